"""Whether a callable is async: whether a call returns a coroutine, and runs nothing before it is awaited."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any, Final

CO_COROUTINE: Final = 0x80
"""The flag in `inspect`, whose import takes longer than that of the rest of the package."""

CO_GENERATORS: Final = 0x20 | 0x200
"""CO_GENERATOR and CO_ASYNC_GENERATOR of `inspect`."""

_MARKS: Final = frozenset({"_is_coroutine_marker", "_is_coroutine"})


def is_async_callable(listener: object) -> bool:
    """
    Return whether *listener* is an async function, a method or a `functools.partial` of one, or has an async `__call__`.

    A function or a callable object that `inspect.markcoroutinefunction` or its predecessor in asyncio has marked counts
    as well, as in `inspect.iscoroutinefunction`.
    """
    inner: Any = listener.__func__ if type(listener) is types.MethodType else listener
    while type(inner) is not types.FunctionType:
        kind: Any = type(inner)
        if issubclass(kind, type):
            return False
        if kind is types.MethodType:
            inner = inner.__func__
        elif issubclass(kind, functools.partial):
            inner = inner.func
        elif not _MARKS.isdisjoint(getattr(inner, "__dict__", ())):
            return True
        else:
            inner = kind.__call__
            if type(inner) is not types.FunctionType:
                return False
    if inner.__code__.co_flags & CO_COROUTINE:
        return True
    attributes = inner.__dict__
    return bool(attributes) and not _MARKS.isdisjoint(attributes)


def returns_coroutine(listener: Any) -> bool:
    """
    Return whether *listener* is an async function, or a method or a `functools.partial` of one.

    A call of any other async callable may return an awaitable that is not a coroutine.
    """
    while type(listener) is not types.FunctionType:
        if type(listener) is types.MethodType:
            listener = listener.__func__
        elif type(listener) is functools.partial:
            listener = listener.func
        else:
            return False
    return bool(listener.__code__.co_flags & CO_COROUTINE)


def mark_coroutine_function(function: Any) -> None:
    """Make `inspect.iscoroutinefunction`, on Python 3.11 that of asyncio, return True for *function*."""
    if sys.version_info >= (3, 12):
        import inspect

        inspect.markcoroutinefunction(function)
    else:
        import asyncio

        function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001  # no public way
