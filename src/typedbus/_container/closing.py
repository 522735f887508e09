"""The functions that close components: the hooks of `Component.closed_by`."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

from typedbus._bus.builtin import EXIT
from typedbus._channels.channel import Hook


def closing_hook(function: Callable[..., object]) -> Hook[Any]:
    """Return the hook of `EXIT` that calls *function* with the instance of the component."""
    # A hook is bound by the name of its method. A method of another object may share that name.
    return Hook(EXIT, functools.partial(function) if isinstance(function, types.MethodType) else function)


def closing_hooks(component: Any) -> list[Hook[object]]:
    """Return the hook of `Component.closed_by`, if there is one; an override of the component is not closed by it."""
    return [] if component.closing is None or component.overriding is not None else [component.closing]
