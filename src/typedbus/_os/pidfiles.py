"""
The PID files that this process holds, and how they survive its replacement.

Locks of flock(2), and locks of an open file description (fcntl(2)), last until the last descriptor of that open file is
closed. So a restart leaves the descriptors to the new program, see `typedbus._os.successor`, and the component that
declares the same file claims it. A kept file that no component claims is removed.

Beside the PID file of a daemon there is a socket that `typedbus restart` connects to. It is bound while the process
still has the permission to do so, is accessible only to the user of the process, and survives the replacement with the
file: so the reports of a restart need no permission for any path.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import attrs

from typedbus._os.forks import after_fork
from typedbus._os.successor import Entry, Keeper, register

#: No pid has more characters.
_LENGTH: Final = 64
#: The number of commands that may wait for the same restart.
_BACKLOG: Final = 128


def socket_beside(path: Path) -> Path:
    """Return the path of the socket on which the daemon that holds the PID file *path* reports its restart."""
    return path.with_name(f".{path.name}.restart")


@contextlib.contextmanager
def short_path(path: Path) -> Generator[str]:
    """Yield a path to *path* that is short enough for a Unix socket address, however deep its folder is. Linux only."""
    folder = os.open(path.parent, getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0))
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@attrs.define(eq=False)
class HeldFile:
    """
    A PID file that this process has locked.

    Args:
        path: Its place.
        descriptor: The open file that carries the locks; None after the release.
        listener: The socket beside it, or None.
        is_kept: Whether it waits for the program that replaces this one; then no component is responsible for it.
    """

    path: Path
    descriptor: int | None
    listener: socket.socket | None = None
    is_kept: bool = False

    def is_intact(self) -> bool:
        """
        Return whether the file at the path is this file, and contains the pid of this process.

        If this process may no longer read the folder, a file that still has a name counts as intact.
        """
        if self.descriptor is None or not _has_pid_of_this_process(self.descriptor):
            return False
        status = os.fstat(self.descriptor)
        try:
            return os.path.samestat(self.path.lstat(), status)
        except PermissionError:
            return status.st_nlink > 0
        except OSError:
            return False

    def listen(self) -> None:
        """
        Bind the socket beside the file, only for the effective user of this process; an existing socket is replaced.

        Raises:
            OSError: The system refuses to bind it.
        """
        if sys.platform != "linux":
            return
        place = socket_beside(self.path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # Linux gives a bound socket the mode of its descriptor; the umask belongs to the whole process.
            os.fchmod(listener.fileno(), 0o600)
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(place.lstat().st_mode):
                    place.unlink()
            with short_path(place) as address:
                listener.bind(address)
            listener.listen(_BACKLOG)
            listener.settimeout(0)
        except BaseException:
            listener.close()
            raise
        if self.listener is not None:
            self.listener.close()
        self.listener = listener

    def follow_user(self) -> None:
        """Bind the socket again if the process has changed its user, so that commands of that user can connect."""
        with contextlib.suppress(OSError):
            if self.listener is not None and socket_beside(self.path).lstat().st_uid != os.geteuid():
                self.listen()

    def remove(self, unlink: Callable[[Path], None] = os.unlink) -> OSError | None:
        """
        Remove the file and its socket, and release both.

        A file that cannot be removed is emptied, so that its pid misleads no command; the error is returned.
        """
        try:
            if self.listener is not None:
                with contextlib.suppress(OSError):
                    os.unlink(socket_beside(self.path))  # noqa: PTH108  # as the default of *unlink*
            unlink(self.path)
        except OSError as error:
            if self.descriptor is not None:
                os.truncate(self.descriptor, 0)
            return error
        finally:
            self.release()
        return None

    def release(self) -> None:
        """Close the file and its socket without removing them. The locks end with the last descriptor."""
        if self in held:
            held.remove(self)
        if self.listener is not None:
            self.listener.close()
            self.listener = None
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


#: All PID files that this process holds.
held: Final[list[HeldFile]] = []


def claim(path: Path) -> HeldFile | None:
    """Return the kept file at *path*, or None; the caller is responsible for it from here on."""
    for file in held:
        if file.is_kept and file.is_intact() and _is_at(path, file):
            file.path = path
            file.is_kept = False
            return file
    return None


def _has_pid_of_this_process(descriptor: int) -> bool:
    # Another program may have written into the file, and a process that was forked in C has another pid.
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.read(descriptor, _LENGTH) == b"%d\n" % os.getpid()
    except OSError:
        return False


def _is_at(path: Path, file: HeldFile) -> bool:
    assert file.descriptor is not None
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.descriptor))
    except PermissionError:
        return path == file.path
    except OSError:
        return False


def _drop() -> None:
    for file in [file for file in held if file.is_kept]:
        if file.is_intact():
            file.remove()
        else:
            file.release()


def _entries() -> list[Entry]:
    entries: list[Entry] = []
    for file in held:
        if file.is_kept and file.descriptor is not None:
            listening = None if file.listener is None else file.listener.fileno()
            descriptors = [file.descriptor] if listening is None else [file.descriptor, listening]
            entries.append(([str(file.path), file.descriptor, listening], descriptors))
    return entries


def _adopt(path: str, descriptor: int, listening: int | None) -> None:
    if not _has_pid_of_this_process(descriptor):
        return
    file = HeldFile(Path(path), descriptor, is_kept=True)
    os.set_inheritable(descriptor, False)  # noqa: FBT003  # by position alone
    if listening is not None and stat.S_ISSOCK(os.fstat(listening).st_mode):
        os.set_inheritable(listening, False)  # noqa: FBT003  # as above
        file.listener = socket.socket(fileno=listening)
        file.listener.settimeout(0)
    held.append(file)


def _leave_to_parent() -> None:
    # A descriptor in the child would keep the locks for as long as the child lives.
    for file in [*held]:
        file.release()


register(Keeper("TYPEDBUS_PIDFILES", _entries, _adopt, _drop))
after_fork(_leave_to_parent)
