"""
Components as arguments of functions that a framework calls, with one scope for each request.

`injected` passes components to routes, views, tasks and commands; it imports no framework
and changes no route. `ScopedASGI` and `ScopedWSGI` open a scope for each request, as
``Hosted(..., scopes=True)`` does.
"""

from __future__ import annotations

from typedbus._base.exports import export
from typedbus.injection._asgi import ScopedASGI
from typedbus.injection._current import current_scope
from typedbus.injection._errors import FailedResponse, InjectionError, NoRunningContainer, NoScope
from typedbus.injection._injected import injected
from typedbus.injection._wsgi import ScopedWSGI

__all__ = (
    "FailedResponse",
    "InjectionError",
    "NoRunningContainer",
    "NoScope",
    "ScopedASGI",
    "ScopedWSGI",
    "current_scope",
    "injected",
)

export(globals())
