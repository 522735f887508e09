"""
Locks that show which process holds a file.

On Linux a file is locked twice, because each lock proves something that the other does not:

- A write lock of the open file description (fcntl(2), F_OFD_SETLK) requires the permission to write the file, so a
  process that can only read the file cannot take it. It shows that the file is held.
- A lock of flock(2) is recorded with the process that took it, and the system translates the pid of that process into
  the PID namespace of the process that reads it. It shows which process holds the file, regardless of its contents.

Both belong to the open file and not to the process, so neither is lost when some code in the process opens the file and
closes it again, and both survive execv(2). Both are taken while the file is new and no other user can open it. Other
systems have only flock(2); there the pid in a locked file is trusted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
from collections.abc import Generator
from typing import Final

if sys.platform == "win32":
    LOOKING: Final = os.O_RDONLY

    def lock(descriptor: int) -> None:
        raise NotImplementedError

    def is_locked(descriptor: int) -> bool:
        raise NotImplementedError

else:
    import fcntl

    #: The flags to open a file for reading, without waiting for the other end of a pipe, and without following a
    #: symbolic link that another user may have planted.
    LOOKING: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
    #: The struct flock of fcntl(2) with offsets of 64 bits: type, whence, start, length, pid; padded to its alignment.
    _RANGE: Final = struct.Struct("hhqqi0q")

    def lock(descriptor: int) -> None:
        """
        Take both locks on an open file that no other user can open yet.

        Raises:
            BlockingIOError: Another process holds one of the locks.
        """
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _description_lock(descriptor, "F_OFD_SETLK", fcntl.F_WRLCK)

    def is_locked(descriptor: int) -> bool:
        """Return whether the open file is locked; on Linux by a process that may write it, and without locking it."""
        kind = _description_lock(descriptor, "F_OFD_GETLK", fcntl.F_RDLCK)
        if kind is not None:
            return kind != fcntl.F_UNLCK
        try:
            # A shared lock, so that processes that only check do not see each other.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False

    def _description_lock(descriptor: int, command: str, kind: int) -> int | None:
        """Carry out *command* of fcntl(2), and return the resulting lock type; None if the command is not supported."""
        if not hasattr(fcntl, command):
            return None
        try:
            answer = fcntl.fcntl(descriptor, getattr(fcntl, command), _RANGE.pack(kind, os.SEEK_SET, 0, 0, 0))
        except OSError as error:
            # Some user-space kernels, such as gVisor, do not support it.
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
                return None
            raise
        lock_type: int = _RANGE.unpack(answer)[0]
        return lock_type


def problem_with(descriptor: int, pid: int | None) -> str | None:
    """Return why process *pid* cannot be considered the holder of the lock on the open file, or None if it holds it."""
    if pid is None:
        return "it is empty"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        # The list of locks may contain the pid of a process that took the lock and has ended, and whose child holds it.
        return f"no process {pid}, which it names, runs here"
    except PermissionError:
        pass  # it runs as another user
    if sys.platform != "linux":
        return None
    try:
        numbers = next(line for line in _lines("/proc/self/status") if line.startswith("NSpid:")).split()[1:]
    except (OSError, StopIteration):
        return "/proc is not mounted"
    if len(numbers) > 1:
        return "/proc shows another PID namespace"
    try:
        has_locked = any(_is_lock_of(pid, line) for line in _locks_of(pid, os.fstat(descriptor)))
    except OSError:
        # The process belongs to another user, or is hidden. Every user may read this list, which has the same pids.
        place = _place_of(descriptor)
        has_locked = any(_is_lock_of(pid, line) and place in line.split() for line in _lines("/proc/locks"))
    return None if has_locked else f"process {pid}, which it names, has not locked it"


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # called for many small files
        return file.read().splitlines()


def _locks_of(pid: int, there: os.stat_result) -> Generator[str]:
    """Yield the locks on the file *there* held through open files of process *pid*, as fdinfo shows them (proc(5))."""
    for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208  # names, not paths
        # The descriptor may have been closed meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), there):  # noqa: PTH116  # as in `_lines`
                for line in _lines(f"/proc/{pid}/fdinfo/{number}"):
                    if line.startswith("lock:"):
                        yield line.removeprefix("lock:")


def _is_lock_of(pid: int, line: str) -> bool:
    """Return whether *line*, of fdinfo or /proc/locks, is an exclusive flock that process *pid* itself took."""
    return line.split()[1:5] == ["FLOCK", "ADVISORY", "WRITE", str(pid)]


def _place_of(descriptor: int) -> str:
    """Return device and inode of an open file as shown in /proc/locks; stat(2) differs on some file systems."""
    info = dict(line.split(":", 1) for line in _lines(f"/proc/self/fdinfo/{descriptor}"))
    there = os.fstat(descriptor)
    major, minor = os.major(there.st_dev), os.minor(there.st_dev)
    for line in _lines("/proc/self/mountinfo"):
        mount, _, device = line.split(" ", 3)[:3]
        if mount == info.get("mnt_id", "").strip():
            major, minor = map(int, device.split(":"))
    return f"{major:02x}:{minor:02x}:{info.get('ino', str(there.st_ino)).strip()}"
