"""The places of declarations in the source."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any, Final


def calling_place(depth: int = 1) -> str:
    """
    Return the file and line from which the calling function was called, for errors about what it declares.

    Args:
        depth: 2 for the caller of that caller, and so on.
    """
    frame = sys._getframe(depth + 1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # faster than `inspect`
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


_CO_OPTIMIZED: Final = 0x01  # of `inspect`, which is slow to import


def function_outside_class(decorated: Callable[..., Any], frame: types.FrameType) -> types.FunctionType | None:
    """
    Return the function that the code of *frame* is decorating, if it is not in the body of a class; else None.

    *decorated* is the function or an inner decorator around it. None also for a function that may become a method: its
    first parameter is ``self`` or ``cls``, it is a lambda, or the body of a class is running, which applies a decorator.
    """
    running: types.FrameType | None = frame
    while running is not None:
        # Only the body of a module and that of a class store their names in a dict.
        if not running.f_code.co_flags & _CO_OPTIMIZED and running.f_code.co_name != "<module>":
            return None
        running = running.f_back
    from typedbus._base.methods import layers  # a program whose marks are on methods does not need it

    for layer in layers(decorated, ""):
        if isinstance(layer, types.FunctionType) and layer.__name__ != "<lambda>":
            code = layer.__code__
            # A call in a later statement, ``Cls.method = on(channel)(function)``, is not a decorator.
            lines = [line for _, _, line in code.co_lines() if line is not None]
            is_here = code in frame.f_code.co_consts and code.co_firstlineno <= frame.f_lineno <= max(lines)
            if is_here and code.co_varnames[: code.co_argcount][:1] not in (("self",), ("cls",)):
                return layer
    return None
