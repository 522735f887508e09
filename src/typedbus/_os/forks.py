"""
Functions that are called in a process that was forked off from this one, before it uses what is its parent's.

A child has the memory of its parent and none of its threads. Python calls the
functions in a child that it forks itself. A server that forks in C, as uWSGI
does, may leave Python out. `notice` recognises such a child by its pid, when it
uses a bus, a PID file or a hosted application for the first time.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading  # noqa: F401  # pyright: ignore[reportUnusedImport]  # its function for children must be called before ours
from collections.abc import Callable, Generator
from typing import Final, Protocol


class Watches(Protocol):
    """A thread of the process that ends before a daemon is forked, and begins again after that."""

    def rest(self) -> None:
        """End it."""

    def set_out(self) -> None:
        """Begin it again."""


#: Those of `run`.
WATCHING: Final[list[Watches]] = []
_functions: Final[list[Callable[[], object]]] = []
_going_on: Final[list[None]] = []
#: The process in which the functions were called last, or that imported this module.
_pid: int = os.getpid()


def after_fork(function: Callable[[], object], /) -> None:
    """Have *function* called in each child from here on, in the order of registration; it must not call `notice`."""
    _functions.append(function)


def notice() -> None:
    """Call the functions if this process was forked off, and they have not been called in it."""
    if os.getpid() != _pid:
        _begin()


def _begin() -> None:
    global _pid  # noqa: PLW0603  # a process has one
    # Another thread of this process that comes here meanwhile calls them as well, which changes nothing.
    for function in _functions:
        function()
    _pid = os.getpid()


@contextlib.contextmanager
def going_on() -> Generator[None]:
    """Let a process that is forked off in the block go on with the buses of this one, as a daemon does."""
    _going_on.append(None)
    try:
        yield
    finally:
        _going_on.pop()


def goes_on() -> bool:
    """Return whether this process goes on with the buses of its parent."""
    return bool(_going_on)


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_begin)
