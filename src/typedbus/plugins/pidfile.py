"""
The file that says in which process a site runs.

A number in a file proves nothing: the process may be gone, and its number given
to another. So the file is locked (flock(2)) for as long as its process holds it,
and the lock says whether it does; the number only says which. The system lets
the lock go however the process ends, so what a crash leaves behind is known to
be stale, and is replaced. A lock of fcntl(2) would be lost as soon as anybody in
the process opened the file and closed it again.

The file is written beside its place, locked, and renamed: whoever reads it finds
a whole number, whose process holds the lock already. Of several that start at
once one looks and writes at a time, by a lock on the folder.

A restart in place lets go at the exit and takes the file again at the start. The
pid is the same, and whoever comes in between has it: never two at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import attrs

from typedbus._bus import Bus
from typedbus._channel import on
from typedbus._errors import OperatorError
from typedbus._registry import START, WARNING

__all__ = ("AlreadyRunning", "NoFileLocks", "NotPIDFile", "PIDFile", "PIDFileError", "read")

#: No pid is longer; what is, is no PID file.
_LENGTH: Final = 64


class AlreadyRunning(RuntimeError, OperatorError):
    """
    Raised by the start of a `PIDFile` that another process holds.

    Attributes:
        path: The file.
        pid: What it says; None if it is empty.
    """

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(path, pid)
        self.path = path
        self.pid = pid

    def __str__(self) -> str:
        who = "another process" if self.pid is None else f"process {self.pid}"
        return f"{self.path} is held by {who}, which still runs; end that one first, or give this one another path"


class NotPIDFile(ValueError, OperatorError):
    """
    Raised where a path leads to something that has no process id in it, which is left as it is.

    Attributes:
        path: Where.
        reason: What is there.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} is no PID file: it {self.reason}; correct the path, or remove what is there"


class PIDFileError(OSError, OperatorError):
    """
    Raised by the start of a `PIDFile` where the system does not let it be written.

    Attributes:
        path: The file.
    """

    def __init__(self, number: int, path: Path) -> None:
        super().__init__(number, os.strerror(number))
        self.path = path

    def __reduce__(self) -> tuple[type[PIDFileError], tuple[int | None, Path]]:
        return type(self), (self.errno, self.path)

    def __str__(self) -> str:
        folder = self.path.parent
        remedy = {
            errno.ENOENT: f"make the folder {folder} first",
            errno.ENOTDIR: f"{folder} has to be a folder",
            errno.EWOULDBLOCK: f"another process keeps the folder {folder} locked; give the file one of its own",
        }.get(self.errno or 0, f"let the user that starts this process write into {folder}, or give another path")
        return f"cannot write the PID file {self.path}: {self.strerror}; {remedy}"


class NoFileLocks(NotImplementedError, OperatorError):
    """Raised for a `PIDFile` on a system without flock(2)."""

    def __str__(self) -> str:
        return (
            "this system has no flock, which a PID file needs; leave it out: here a service manager knows the process"
        )


if sys.platform == "win32":
    _LOOKING: Final = os.O_RDONLY
    _FOLDER: Final = os.O_RDONLY

    def _lock(there: int, *, is_shared: bool) -> None:
        raise NoFileLocks

else:
    import fcntl

    # Without waiting for the other end of a pipe, and without following a link that somebody may have planted.
    _LOOKING: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
    _FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY

    def _lock(there: int, *, is_shared: bool) -> None:
        """Lock the open file *there*, or raise BlockingIOError at once."""
        fcntl.flock(there, fcntl.LOCK_NB | (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX))


def _absolute(path: str | os.PathLike[str]) -> Path:
    # Daemons change their directory, and the file is removed at the very end.
    return Path(os.path.abspath(path))  # noqa: PTH100  # unlike `resolve` it leaves links alone


@attrs.define(eq=False)
class PIDFile:
    """
    Writes the pid of this process into a file at the start, and removes it at the exit.

    It starts after `Daemon` and before `Privileges`, and holds the file from its
    first start to the exit, over stops. A file that no process holds is replaced,
    which is logged; one that is empty, too. A child that is forked has no part
    in it. Any thread may start it and let it exit.

    Args:
        bus: Where what is worth knowing is logged.
        path: The file, in a folder that is there; relative to the directory at construction.
        patience: Seconds to wait for others that start in the same folder.
        unlink: What removes it.

    Raises:
        NoFileLocks: The system has no flock(2).
    """

    bus: Bus
    path: Path = attrs.field(kw_only=True, converter=_absolute)
    patience: float = attrs.field(kw_only=True, default=5.0)
    unlink: Callable[[Path], None] = attrs.field(kw_only=True, default=os.unlink)
    #: The descriptor that has the lock.
    _held: int | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        _holders.add(self)
        if sys.platform == "win32":
            raise NoFileLocks

    @on(START, priority=20)
    def start(self) -> None:
        """
        Take the file, unless it is this process's already.

        Raises:
            AlreadyRunning: Another process holds it, or another component of this one.
            NotPIDFile: Something else is at the path.
            PIDFileError: It cannot be written there.
        """
        if self._held is not None:
            if self._is_ours(self._held):
                return
            self.bus.log(f"{self.path} was removed or changed by somebody else, and is written anew", WARNING)
            self.leave()
        try:
            left_behind = self._take()
        except OSError as error:
            raise PIDFileError(error.errno or errno.EIO, self.path) from error
        if left_behind is not None:
            self.bus.log(f"replaced {self.path}, which process {left_behind} had left behind")

    def exit(self) -> None:
        """
        Remove the file if it is still this process's, and let go of it.

        One that cannot be removed, for instance since privileges were dropped,
        is emptied, so that nobody signals a process by it; that is logged.
        """
        if self._held is None:
            return
        try:
            if not self._is_ours(self._held):
                self.bus.log(f"{self.path} was removed or changed by somebody else, and is left as it is", WARNING)
                return
            try:
                self.unlink(self.path)
            except OSError as error:
                os.truncate(self._held, 0)
                self.bus.log(
                    f"cannot remove {self.path}: {error.strerror}; it was emptied, and the next start replaces it",
                    WARNING,
                )
        finally:
            self.leave()

    def leave(self) -> None:
        """Let go of the file without touching it."""
        if self._held is not None:
            # The lock goes with the last descriptor.
            os.close(self._held)
            self._held = None

    def _take(self) -> int | None:
        """Write the file, lock it and put it into its place; return the pid that was there."""
        with _turn(self.path.parent, self.patience):
            left_behind, is_held = _look(self.path)
            if is_held:
                raise AlreadyRunning(self.path, left_behind)
            fresh, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            try:
                _lock(fresh, is_shared=False)
                # For everybody to read, whatever the umask is, as `mkstemp` makes it for nobody.
                os.chmod(fresh, 0o644)  # noqa: PTH101  # a descriptor
                os.write(fresh, b"%d\n" % os.getpid())
                os.replace(name, self.path)  # noqa: PTH105  # a text, as `mkstemp` gives it
            except BaseException:
                os.close(fresh)
                os.unlink(name)  # noqa: PTH108  # as above
                raise
        self._held = fresh
        return left_behind

    def _is_ours(self, held: int) -> bool:
        try:
            there = self.path.lstat()
        except OSError:
            return False
        # The number as well: somebody may have written into it, and a fork that Python knows nothing of has another.
        os.lseek(held, 0, os.SEEK_SET)
        return os.path.samestat(there, os.fstat(held)) and os.read(held, _LENGTH) == b"%d\n" % os.getpid()


_holders: Final[weakref.WeakSet[PIDFile]] = weakref.WeakSet()


def _leave_to_parent() -> None:
    # The descriptor would keep the lock for as long as the child lives.
    for holder in _holders:
        holder.leave()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_leave_to_parent)


def read(path: str | os.PathLike[str]) -> int | None:
    """
    Return the pid of the process that holds the PID file *path*, or None if none does.

    The file may be gone, or have been left behind; it is not touched.

    Raises:
        NotPIDFile: Something else is there.
        NoFileLocks: The system has no flock(2).
        OSError: It cannot be read.
    """
    pid, is_held = _look(_absolute(path))
    return pid if is_held else None


def _look(path: Path) -> tuple[int | None, bool]:
    """Return which pid *path* says, and whether a process holds it."""
    try:
        there = os.open(path, _LOOKING)
    except FileNotFoundError:
        return None, False
    except OSError as error:
        if path.is_symlink():
            raise NotPIDFile(path, "is a symbolic link") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(there).st_mode):
            raise NotPIDFile(path, "is not even a file")
        said = os.read(there, _LENGTH).strip()
        if said and not (said.isdigit() and len(said) < _LENGTH and int(said)):
            raise NotPIDFile(path, f"begins with {said[:20]!r}")
        try:
            # Shared, so that those who only look do not see each other.
            _lock(there, is_shared=True)
        except BlockingIOError:
            return int(said) if said else None, True
        return int(said) if said else None, False
    finally:
        os.close(there)


@contextlib.contextmanager
def _turn(folder: Path, patience: float) -> Generator[None]:
    """Be the only one in *folder* who looks at PID files and writes them, for the length of the block."""
    there = os.open(folder, _FOLDER)
    try:
        until = time.monotonic() + patience
        while True:
            try:
                _lock(there, is_shared=False)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                # There is no lock with a time-out, and others hold this one for some microseconds.
                time.sleep(0.005)
        yield
    finally:
        os.close(there)
