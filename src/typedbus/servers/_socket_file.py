"""
The file of a Unix socket; of several processes that start at once, exactly one gets it.

bind(2) creates the file, and fails if it exists. A process that was killed leaves
its file behind, so a file that refuses connections is replaced. But a file also
refuses connections between bind(2) and listen(2) of another process, and two
processes may find the same stale file. Therefore a process holds a lock from
before bind(2) until after listen(2).

If another user has put something in the place of the lock file, the start continues
without the lock, so that no other user can block it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Final

import attrs

from typedbus._os import lock_files
from typedbus._os.kept_sockets import Identity

#: How often the lock file may be replaced while it is being locked, before the start continues without it.
_ATTEMPTS: Final = 100


@attrs.frozen
class SocketFile:
    """
    The file of a socket that was bound here.

    Attributes:
        path: Its path.
        identity: Device, inode and time of creation; the time is needed since file systems reuse inode numbers.
    """

    path: Path
    identity: Identity

    def is_intact(self) -> bool:
        """Return whether the file is still at its path; True if this process may not enter the folder."""
        try:
            return _identity(self.path) == self.identity
        except PermissionError:
            return True
        except OSError:
            return False

    def remove(self) -> None:
        """
        Remove the file, unless another file has replaced it.

        Called while the socket still listens, when no other start replaces the file.

        Raises:
            OSError: The file cannot be removed.
        """
        with contextlib.suppress(FileNotFoundError):
            if _identity(self.path) == self.identity:
                self.path.unlink()


def bind_file(listening: socket.socket, path: Path, mode: int | None, backlog: int) -> SocketFile:
    """
    Bind *listening* to *path*, and listen.

    Only a socket file that refuses connections is replaced, never a socket in use
    or any other kind of file, including a symbolic link.

    Args:
        listening: A new stream socket. The caller closes it if this raises.
        path: An absolute path.
        mode: The permissions of the file; the umask decides if None. On Linux the file never has more than these.
        backlog: As of listen(2).

    Raises:
        OSError: The operating system refuses; EADDRINUSE if another process serves there, or is starting to.
    """
    if mode is not None:
        # On Linux the file gets these permissions at its creation; other systems do not allow the call.
        with contextlib.suppress(OSError):
            os.fchmod(listening.fileno(), mode)
    with _lock(path):
        try:
            listening.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_stale(path)
            listening.bind(str(path))
        file = SocketFile(path, _identity(path))
        try:
            set_mode(path, mode)
            listening.listen(backlog)
        except OSError:
            with contextlib.suppress(OSError):
                file.remove()
            raise
    return file


def _identity(path: Path) -> Identity:
    status = path.lstat()
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _remove_stale(path: Path) -> None:
    """Remove *path* if it is a socket on which no process listens; raise OSError if it is anything else."""
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(0.0)
        # 0: a process listens. EAGAIN: its backlog is full.
        result = client.connect_ex(str(path))
    if result == errno.ECONNREFUSED:
        path.unlink(missing_ok=True)
    elif result != errno.ENOENT:
        reason = result if result == errno.EACCES else errno.EADDRINUSE
        raise OSError(reason, os.strerror(reason))


def set_mode(path: Path, mode: int | None) -> None:
    """Set the permissions of a socket's file to *mode*, unless they equal it already or *mode* is None."""
    if mode is None or stat.S_IMODE(path.lstat().st_mode) == mode:
        return
    # A user with write access to the folder may have put a symbolic link in the place of the socket.
    try:
        path.chmod(mode, follow_symlinks=False)
    except NotImplementedError:
        if path.is_symlink():
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        path.chmod(mode)


@contextlib.contextmanager
def _lock(path: Path) -> Generator[None, None, None]:
    """Hold the lock of *path*, if a lock is possible; raise EADDRINUSE if another process holds it."""
    lock_file = lock_files.beside(path)
    descriptor = _acquire(lock_file)
    try:
        yield
    finally:
        if descriptor is not None:
            lock_files.release(lock_file, descriptor)


def _acquire(lock_file: Path) -> int | None:
    """Return the descriptor of the locked *lock_file*; None if the start must continue without a lock."""
    for _ in range(_ATTEMPTS):
        try:
            descriptor = lock_files.acquire(lock_file)
        except BlockingIOError:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)) from None
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                raise
            # Another user owns the lock file, no file can be created here, or the file system has no locks. If the socket
            # cannot be created either, bind(2) gives the reason.
            return None
        if descriptor is not None:
            return descriptor
    return None
