"""
Functions that are called in a forked child process, before it uses resources of its parent.

A child has the memory of its parent and none of its threads. Python calls the
functions in a child that it forks itself. A server that forks in C, such as uWSGI,
may bypass Python. `notice` recognises such a child by its pid, when it
uses a bus, a PID file or a hosted application for the first time.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading  # noqa: F401  # pyright: ignore[reportUnusedImport]  # its function for children must be called before ours
from collections.abc import Callable, Generator
from typing import Final, Protocol


class BackgroundThread(Protocol):
    """A thread that can be ended for a while, since some calls need a process with a single thread."""

    def pause(self) -> None:
        """End the thread, and wait for its end."""

    def resume(self) -> None:
        """Start the thread again, in this process or in a forked child."""


#: The threads of `run` that run at present.
BACKGROUND_THREADS: Final[list[BackgroundThread]] = []
_functions: Final[list[Callable[[], object]]] = []
_keeping: Final[list[None]] = []
#: The pid of the process in which the functions were called last, or that imported this module.
_pid: int = os.getpid()


def after_fork(function: Callable[[], object], /) -> None:
    """Call *function* in each later forked child, in the order of registration; it must not call `notice`."""
    _functions.append(function)


def notice() -> None:
    """Call the functions if this process is a forked child in which they have not been called yet."""
    if os.getpid() != _pid:
        _begin()


def current_pid() -> int:
    """
    Return the pid of this process without a system call.

    In a child that was forked in C it is that of the parent until `notice` is called.
    """
    return _pid


def _begin() -> None:
    global _pid  # noqa: PLW0603  # a process has one
    # Another thread of this process may call the functions at the same time, which is harmless.
    for function in _functions:
        function()
    _pid = os.getpid()


@contextlib.contextmanager
def keeping_buses() -> Generator[None]:
    """Let a process that is forked in the block keep the buses of this process, as a daemon does."""
    _keeping.append(None)
    try:
        yield
    finally:
        _keeping.pop()


def keeps_buses() -> bool:
    """Return whether this process, a forked child, keeps the buses of its parent."""
    return bool(_keeping)


@contextlib.contextmanager
def threads_paused() -> Generator[None]:
    """End the background threads of the process for a block whose calls need a process with a single thread."""
    threads = [*BACKGROUND_THREADS]
    for thread in threads:
        thread.pause()
    try:
        yield
    finally:
        for thread in threads:
            thread.resume()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_begin)
