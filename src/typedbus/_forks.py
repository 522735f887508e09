"""
What becomes of buses in a process that is forked off.

A child has the memory of its parent and none of its threads. It would stop and
exit what is the parent's, and wait for locks that nobody holds any more. So
every bus is detached there, before anything else runs.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Generator

from typedbus._bus import BUSES

_going_on: list[None] = []


@functools.cache
def detach_children() -> None:
    """From here on, detach every bus of this process in each that is forked off from it; on Windows nothing is forked."""
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=_detach)


@contextlib.contextmanager
def going_on() -> Generator[None]:
    """Let a process that is forked off in the block go on with the buses of this one, as a daemon does."""
    _going_on.append(None)
    try:
        yield
    finally:
        _going_on.pop()


def _detach() -> None:
    if not _going_on:
        for bus in list(BUSES):
            bus.detach()
