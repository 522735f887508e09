"""
Lock files: each is beside the file that it protects, and exists only while it is held.

Other users could hold a lock on the folder, or on any file that they can read. So a lock
file is empty, and only its owner can open it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from typing import Final

_OTHERS: Final = 0o077


def beside(path: Path) -> Path:
    """Return the path of the lock file for *path*."""
    return path.with_name(f".{path.name}.lock")


if sys.platform == "win32":

    def acquire(place: Path) -> int | None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    def release(place: Path, descriptor: int) -> None:
        raise NotImplementedError

else:
    import fcntl

    #: Neither a pipe without a reader nor a symbolic link of another user holds up or diverts the open.
    _FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK

    def acquire(place: Path) -> int | None:
        """
        Create the lock file *place*, lock it without waiting, and return its descriptor.

        Returns:
            None if the previous holder removed the file meanwhile; the caller may try again.

        Raises:
            BlockingIOError: Another process holds it.
            PermissionError: It belongs to another user, or it is not a lock file.
            OSError: It cannot be created or locked.
        """
        with contextlib.ExitStack() as undoing:
            descriptor = os.open(place, _FLAGS, 0o600)
            undoing.callback(os.close, descriptor)
            status = os.fstat(descriptor)
            is_own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            if not is_own or status.st_mode & _OTHERS or status.st_size:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(status, place.lstat()):
                    undoing.pop_all()
                    return descriptor
        return None

    def release(place: Path, descriptor: int) -> None:
        """Remove the lock file *place*, unlock it, and close *descriptor*."""
        # Before the unlock: a process that has opened the file detects that it is not at the path any more.
        with contextlib.suppress(OSError):
            place.unlink()
        # A process that was forked meanwhile has the same descriptor: closing it here leaves the lock held.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
