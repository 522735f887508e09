"""
Writing without blocking, for signal handlers and for a process that must end.

A write blocks forever if the reader of a pipe does not read, or if a terminal is
stopped. Making the descriptor non-blocking would affect every process that shares it,
such as the shell. So the file is opened a second time where the system allows it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import socket
import stat
import sys
import time
from collections.abc import Callable
from typing import Final

_DESCRIPTORS: Final = "/proc/self/fd"


def write(descriptor: int, data: bytes, patience: float = 0.0) -> None:
    """
    Write as much of *data* as *descriptor* accepts without blocking, and discard the rest.

    It acquires no lock, and raises nothing if the descriptor cannot be written.

    Args:
        descriptor: A file, pipe, terminal or socket.
        data: The bytes to write.
        patience: Seconds to wait for a slow reader, in total.
    """
    deadline = time.monotonic() + patience
    with contextlib.ExitStack() as resources, contextlib.suppress(OSError, ValueError):
        send = _sender(descriptor, resources)
        while data:
            try:
                data = data[send(data) :]
            except BlockingIOError:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return
                select.select([], [descriptor], [], remaining)


def can_write(descriptor: int, patience: float) -> bool:
    """Return whether *descriptor* becomes writable within *patience* seconds."""
    if sys.platform == "win32":
        return True
    try:
        return bool(select.select([], [descriptor], [], patience)[1])
    except (OSError, ValueError):
        # The write itself fails with the reason.
        return True


def _sender(descriptor: int, resources: contextlib.ExitStack) -> Callable[[bytes], int]:
    """Return a function that writes as much as *descriptor* accepts, and raises BlockingIOError instead of blocking."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or sys.platform == "win32":
        return lambda data: os.write(descriptor, data)
    if stat.S_ISSOCK(mode):
        duplicate = resources.enter_context(socket.socket(fileno=os.dup(descriptor)))
        return lambda data: duplicate.send(data, socket.MSG_DONTWAIT)
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        second = os.open(f"{_DESCRIPTORS}/{descriptor}", flags)
        resources.callback(os.close, second)
        return lambda data: os.write(second, data)

    def write_if_ready(data: bytes) -> int:
        # A pipe that is ready accepts this many bytes at once.
        if not select.select([], [descriptor], [], 0)[1]:
            raise BlockingIOError
        return os.write(descriptor, data[: select.PIPE_BUF])

    return write_if_ready


def write_stacks(descriptor: int, patience: float = 0.0) -> None:
    """Write the stack of every Python thread, in the same way as `write`."""
    if sys.platform == "linux":
        # The interpreter writes many small pieces. Writing to memory never blocks, and a slow reader loses nothing.
        with contextlib.suppress(OSError), os.fdopen(os.memfd_create("stacks"), "w+b", buffering=0) as memory:
            faulthandler.dump_traceback(memory)
            memory.seek(0)
            write(descriptor, memory.read(), patience)
            return
    with contextlib.suppress(OSError, ValueError):
        if sys.platform == "win32":
            faulthandler.dump_traceback(descriptor)
            return
        # Without a second descriptor, this one becomes non-blocking, for a moment also in processes that share it.
        is_blocking = os.get_blocking(descriptor)
        os.set_blocking(descriptor, False)
        try:
            faulthandler.dump_traceback(descriptor)
        finally:
            os.set_blocking(descriptor, is_blocking)
