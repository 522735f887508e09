"""
The ids and capabilities of this process, and the system calls that change them.

The calls are fields of `ProcessIds`, so that tests can run the component that
makes them without being root.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs

#: The threads of this process, as folders; Linux only.
TASKS: Final = Path("/proc/self/task")
#: The bits of CAP_SETGID and CAP_SETUID, and their names (linux/capability.h).
SET_IDS: Final = {1 << 6: "CAP_SETGID", 1 << 7: "CAP_SETUID"}


@attrs.frozen
class Identity:
    """The identity of a process: its real, effective and saved ids, and its sorted supplementary groups."""

    uids: frozenset[int]
    gids: frozenset[int]
    groups: tuple[int, ...]


@attrs.frozen
class ProcessIds:
    """
    The functions that return and change the ids of this process.

    Args:
        identity: Returns the present identity.
        setgroups: Sets the supplementary groups, as setgroups(2).
        setgid: Sets the group, as setgid(2).
        setuid: Sets the user, as setuid(2).
    """

    identity: Callable[[], Identity]
    setgroups: Callable[[Sequence[int]], None]
    setgid: Callable[[int], None]
    setuid: Callable[[int], None]


if sys.platform == "win32":
    SYSTEM: Final[ProcessIds | None] = None
else:

    def _identity() -> Identity:
        if sys.platform == "darwin":
            uids, gids = {os.getuid(), os.geteuid()}, {os.getgid(), os.getegid()}
        else:
            uids, gids = {*os.getresuid()}, {*os.getresgid()}
        return Identity(frozenset(uids), frozenset(gids), tuple(sorted(os.getgroups())))

    #: The functions of the operating system; None if it has no setuid(2).
    SYSTEM: Final[ProcessIds | None] = ProcessIds(_identity, os.setgroups, os.setgid, os.setuid)


def set_id_capabilities(thread: Path) -> int:
    """Return the capabilities of `SET_IDS` that *thread*, a folder in `TASKS`, has in any of its sets."""
    capabilities = 0
    # A thread may end meanwhile, and a system may have no /proc.
    with contextlib.suppress(OSError):
        for line in (thread / "status").read_text().splitlines():
            name, _, bits = line.partition(":")
            if name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                capabilities |= int(bits, 16)
    return capabilities & sum(SET_IDS)


def drop_capabilities(capabilities: int) -> None:
    """
    Take *capabilities* from all sets of the calling thread, the ambient one included. Linux only.

    Raises:
        OSError: The system refuses it.
    """
    import ctypes  # only a process with such capabilities needs it

    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, the calling thread
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable: the lower 32, then the upper 32
    for call in (libc.capget, libc.capset):
        if call(header, sets):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        sets[:3] = [bits & ~capabilities for bits in sets[:3]]
