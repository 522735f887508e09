"""
Writing that never waits, for signal handlers and for a process that must end.

A pipe whose reader does not read and a terminal that is stopped let a write wait for
ever. Making the descriptor non-blocking would do so for every process that shares it,
such as the shell. So where the system allows it, the file is opened once more.
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

_OWN: Final = "/proc/self/fd"


def write(descriptor: int, data: bytes, patience: float = 0.0) -> None:
    """
    Write *data* as far as *descriptor* takes it without waiting, and discard the rest.

    It takes no lock, and raises nothing where the descriptor cannot be written.

    Args:
        descriptor: A file, pipe, terminal or socket.
        data: What to write.
        patience: Seconds to wait for a slow reader, in total.
    """
    until = time.monotonic() + patience
    with contextlib.ExitStack() as opened, contextlib.suppress(OSError, ValueError):
        send = _sender(descriptor, opened)
        while data:
            try:
                data = data[send(data) :]
            except BlockingIOError:
                left = until - time.monotonic()
                if left <= 0:
                    return
                select.select([], [descriptor], [], left)


def can_write(descriptor: int, patience: float) -> bool:
    """Return whether *descriptor* takes a line without waiting for longer than *patience* seconds."""
    if sys.platform == "win32":
        return True
    try:
        return bool(select.select([], [descriptor], [], patience)[1])
    except (OSError, ValueError):
        # The write itself fails with the reason.
        return True


def _sender(descriptor: int, opened: contextlib.ExitStack) -> Callable[[bytes], int]:
    """Return a function that writes as much as it can to *descriptor*, and raises BlockingIOError rather than wait."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or sys.platform == "win32":
        return lambda data: os.write(descriptor, data)
    if stat.S_ISSOCK(mode):
        duplicate = opened.enter_context(socket.socket(fileno=os.dup(descriptor)))
        return lambda data: duplicate.send(data, socket.MSG_DONTWAIT)
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        own = os.open(f"{_OWN}/{descriptor}", flags)
        opened.callback(os.close, own)
        return lambda data: os.write(own, data)

    def write_if_ready(data: bytes) -> int:
        # As many bytes as a pipe that is ready takes at once.
        if not select.select([], [descriptor], [], 0)[1]:
            raise BlockingIOError
        return os.write(descriptor, data[: select.PIPE_BUF])

    return write_if_ready


def write_stacks(descriptor: int, patience: float = 0.0) -> None:
    """Write where every thread of Python is, as `write` does."""
    if sys.platform == "linux":
        # The interpreter writes in many small pieces. In memory none of them waits, and a slow reader loses nothing.
        with contextlib.suppress(OSError), os.fdopen(os.memfd_create("stacks"), "w+b", buffering=0) as memory:
            faulthandler.dump_traceback(memory)
            memory.seek(0)
            write(descriptor, memory.read(), patience)
            return
    with contextlib.suppress(OSError, ValueError):
        if sys.platform == "win32":
            faulthandler.dump_traceback(descriptor)
            return
        # There is no descriptor left. For other processes that share this one, it is non-blocking for a moment only.
        is_blocking = os.get_blocking(descriptor)
        os.set_blocking(descriptor, False)
        try:
            faulthandler.dump_traceback(descriptor)
        finally:
            os.set_blocking(descriptor, is_blocking)
