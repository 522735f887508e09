"""
Components as arguments of functions that a framework calls, with one scope for each request.

`injected` passes components to routes, views, tasks and commands; it imports no framework
and changes no route.
"""

from __future__ import annotations

from typedbus._base.exports import export
from typedbus.injection._current import current_scope
from typedbus.injection._errors import InjectionError, NoRunningContainer, NoScope
from typedbus.injection._injected import injected

__all__ = (
    "InjectionError",
    "NoRunningContainer",
    "NoScope",
    "current_scope",
    "injected",
)

export(globals())
