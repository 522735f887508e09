"""
Open missing standard streams.

A shell (``2>&-``), cron or init may start a process with a standard descriptor
closed. The next file that is opened then gets its number, 0, 1 or 2, and text
meant for stderr ends up in that file. Python sets `sys.stderr` to None in such
a process, and `print(..., file=None)` writes to stdout.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Final

#: The streams by their descriptors, with the mode in which Python opens each.
_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_missing() -> None:
    """
    Open the null device on each standard descriptor that is closed, and create each stream that is None.

    A descriptor that another file has already keeps that file; the stream then
    uses a descriptor of its own. Call it before anything else opens a file.
    """
    for descriptor in range(len(_STREAMS)):
        try:
            os.fstat(descriptor)
        except OSError:
            # The system gives the lowest free number, unless another thread was faster.
            if (null := os.open(os.devnull, os.O_RDWR)) == descriptor:
                # Inheritable: for child processes, and for the program after a restart.
                os.set_inheritable(descriptor, True)  # noqa: FBT003  # it takes no name
                _set_stream(descriptor, descriptor)
            else:
                os.close(null)
    for descriptor, (name, _) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            _set_stream(descriptor, os.open(os.devnull, os.O_RDWR))


def _set_stream(number: int, descriptor: int) -> None:
    """Create the stream with *number*, on *descriptor*, unless the program has replaced that stream."""
    name, mode = _STREAMS[number]
    if getattr(sys, name) is None:
        # Line-buffered: a process that is killed loses buffered text.
        stream = open(  # noqa: SIM115  # for the rest of the process
            descriptor, mode, 1, encoding="utf-8", errors="backslashreplace", closefd=False
        )
        setattr(sys, name, stream)


def is_standard(descriptor: int) -> bool:
    """Return whether *descriptor*, 0 to 2, is that standard stream, and not another file with the same number."""
    name, _ = _STREAMS[descriptor]
    for stream in (getattr(sys, name), getattr(sys, f"__{name}__")):
        try:
            if stream is not None and stream.fileno() == descriptor:
                return True
        except (AttributeError, OSError, ValueError):
            # The stream is closed or has no descriptor, for example in a test.
            continue
    return False


def redirect(number: int, file: int) -> None:
    """
    Redirect the standard stream *number* to the open descriptor *file*.

    If another file has that number, only the stream of `sys` is redirected,
    if it has a descriptor.
    """
    if is_standard(number):
        os.dup2(file, number)
        return
    with contextlib.suppress(AttributeError, OSError, ValueError):
        os.dup2(file, getattr(sys, _STREAMS[number][0]).fileno(), inheritable=False)
