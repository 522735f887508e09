"""
Child processes at a restart.

The program that replaces this one has the same pid, so it inherits the children
without a record of them. A child that has ended stays a zombie until its parent waits
for it. So this module reaps ended children before the process is
replaced, and lists the running children for the new program.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Final

_INHERITED: Final = "TYPEDBUS_CHILDREN"
_PROC: Final = Path("/proc")
#: How long the helpers of multiprocessing may take to end, in seconds.
_ENDING: Final = 1.0
#: The helpers of multiprocessing, with the attributes for the pipe whose closing ends them, and for their pid.
_HELPERS: Final = (
    ("multiprocessing.forkserver", "_forkserver", "_forkserver_alive_fd", "_forkserver_pid"),
    # Last, since the fork server holds the pipe of this helper as well.
    ("multiprocessing.resource_tracker", "_resource_tracker", "_fd", "_pid"),
)


def settle() -> dict[int, str]:
    """
    Reap the children that have ended, and return the command lines of the running children, by pid.

    The helper processes that multiprocessing starts by itself are ended first. Call this only
    before the process is replaced: no other code can wait for the children afterwards.
    """
    if sys.platform == "win32":
        return {}
    for module, owner, pipe, child in _HELPERS:
        helper = getattr(sys.modules.get(module), owner, None)
        descriptor, pid = getattr(helper, pipe, None), getattr(helper, child, None)
        if not isinstance(descriptor, int) or not isinstance(pid, int):
            continue
        setattr(helper, pipe, None)
        setattr(helper, child, None)
        with contextlib.suppress(OSError):
            os.close(descriptor)
        deadline = time.monotonic() + _ENDING
        while not has_ended(pid) and time.monotonic() < deadline:
            # Polling is the only way: SIGCHLD belongs to the program.
            time.sleep(0.005)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return _commands()


def has_ended(pid: int) -> bool:
    """Return whether child *pid* has ended, and reap it if so; True if there is no such child."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def bequeath(pids: list[int]) -> None:
    """Pass the children *pids* to the program that replaces this one; see `inherited`."""
    os.environ.pop(_INHERITED, None)
    if pids:
        os.environ[_INHERITED] = f"{os.getpid()}:{','.join(map(str, pids))}"


def inherited() -> list[int]:
    """Return the children that the program left running before the restart; only once, since pids are reused."""
    parent, _, pids = os.environ.get(_INHERITED, "").partition(":")
    # Other processes inherit the environment as well.
    if parent != str(os.getpid()):
        return []
    del os.environ[_INHERITED]
    return [int(pid) for pid in pids.split(",") if pid.isdecimal()]


def _commands() -> dict[int, str]:
    """Return the command lines of the children of this process, by pid."""
    commands: dict[int, str] = {}
    for process in _PROC.glob("[0-9]*"):
        # The process may end meanwhile.
        with contextlib.suppress(OSError, ValueError, IndexError):
            _, _, fields = (process / "stat").read_text(errors="replace").rpartition(")")
            if int(fields.split()[1]) == os.getpid():
                words = (process / "cmdline").read_bytes().split(b"\0")
                commands[int(process.name)] = b" ".join(words).decode(errors="replace").strip() or "?"
    return commands
