"""
A file that names the process in which a site runs.

A number in a file proves nothing. So the process locks the file as long as it uses it, in a way that shows the pid of
the owner, and that a process with only read access cannot imitate: see `typedbus._os.file_locks`. The system releases
the locks however the process ends, so a file that a crash left behind is recognized as stale, and is replaced.

The new file is written under another name, locked, and renamed: a reader finds a complete number, whose process holds
the locks already. If several processes start at once, a lock file, which only its owner can open, lets one at a time
check and write.

A restart in place keeps the file: the locks survive the replacement of the process, see `typedbus._os.pidfiles`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import attrs

from typedbus._base.errors import OperatorError
from typedbus._base.structured import StructuredError
from typedbus._bus.bus import Bus
from typedbus._bus.registry import START, WARNING
from typedbus._channels.channel import on
from typedbus._os import lock_files
from typedbus._os.file_locks import LOOKING, is_locked, lock, problem_with
from typedbus._os.forks import notice
from typedbus._os.pidfiles import HeldFile, claim, held
from typedbus._os.reexec import is_daemon
from typedbus._os.system_call_error import SystemCallError

__all__ = ("AlreadyRunning", "NoFileLocks", "NotPIDFile", "PIDFile", "PIDFileError", "UnknownHolder", "read")

#: No pid is longer; a file with more text is not a PID file.
_LENGTH: Final = 64
#: The highest pid of any system (PID_MAX_LIMIT of Linux).
_HIGHEST: Final = 2**22
#: How often a check is repeated if its result is contradictory, since the owner of the file changed meanwhile.
_LOOKS: Final = 5


class AlreadyRunning(StructuredError, RuntimeError, OperatorError):
    """
    Raised by the start of a `PIDFile` that another process holds.

    Attributes:
        path: The file.
        pid: The pid of that process; None if it cannot be identified from here, see `UnknownHolder`.
    """

    path: Path
    pid: int | None

    def __str__(self) -> str:
        who = (
            "another process, perhaps in another PID namespace or on another host,"
            if self.pid is None
            else f"process {self.pid},"
        )
        return (
            f"{self.path} is held by {who} which is still running; "
            "end that process first, or give this one another path"
        )


class NotPIDFile(StructuredError, ValueError, OperatorError):
    """
    Raised where a path leads to a file without a process id, which is left unchanged.

    Attributes:
        path: The path.
        reason: A description of the file.
    """

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path} is not a PID file: it {self.reason}; correct the path, or remove the file"


class UnknownHolder(StructuredError, RuntimeError, OperatorError):
    """
    Raised by `read` for a PID file that is held, but not by the process that it names.

    The process may run in another PID namespace, such as a container, or on another host that shares the folder;
    or another program wrote into the file. Do not signal a process on the basis of such a file.

    Attributes:
        path: The file.
        pid: The number in it; None if it is empty.
        reason: Why that number is not accepted as the holder's pid.
    """

    path: Path
    pid: int | None
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.path} is held by a process that cannot be identified from here: {self.reason}; "
            "look in the PID namespace (container) and on the host where that process runs"
        )


class PIDFileError(SystemCallError):
    """
    Raised by the start of a `PIDFile` if the system does not allow writing it.

    Attributes:
        path: The file.
    """

    path: Path

    def __str__(self) -> str:
        folder = self.path.parent
        remedy = {
            errno.ENOENT: f"create the folder {folder} first",
            errno.ENOTDIR: f"{folder} must be a folder",
            errno.EWOULDBLOCK: (
                f"another start has locked {lock_files.beside(self.path)}; "
                "wait for it, or remove that file if no process is starting"
            ),
        }.get(self.errno, f"give the user of this process write access to {folder}, or set another path")
        return f"cannot write the PID file {self.path}: {self.strerror}; {remedy}"


class NoFileLocks(NotImplementedError, OperatorError):
    """Raised for a `PIDFile` on a system without flock(2)."""

    def __str__(self) -> str:
        return (
            "this system has no flock(2), which a PID file needs; "
            "leave out the PIDFile component, and let a service manager keep track of the process"
        )


def _absolute(path: str | os.PathLike[str]) -> Path:
    # A daemon changes its directory before the file is removed.
    return Path(os.path.abspath(path))  # noqa: PTH100  # unlike `resolve` it leaves links alone


@attrs.define(eq=False)
class PIDFile:
    """
    Writes the pid of this process into a file at the start, and removes it at the exit.

    It starts after `Daemon` and before `Privileges`, and holds the file from its
    first start to the exit, through stops and restarts in place. A file that no
    process holds is replaced, which is logged; so is an empty one, without a log
    message. A forked child does not hold it. Any thread may call the methods.

    Args:
        bus: Log messages go to its `LOG`.
        path: The file, in a folder that exists; relative to the working directory at construction.
        patience: Seconds to wait for other starts with the same file.

    Raises:
        NoFileLocks: The system has no flock(2).
    """

    bus: Bus
    path: Path = attrs.field(kw_only=True, converter=_absolute)
    patience: float = attrs.field(kw_only=True, default=5.0)
    _file: HeldFile | None = attrs.field(init=False, default=None)
    #: The function that removes the file; tests replace it.
    _unlink: Callable[[Path], None] = attrs.field(init=False, default=os.unlink)

    def __attrs_post_init__(self) -> None:
        if sys.platform == "win32":
            raise NoFileLocks

    @on(START, priority=20)
    def start(self) -> None:
        """
        Write and lock the file, unless this process holds it already, as after a stop or a restart in place.

        A daemon gets a socket beside the file as well, for `typedbus restart`.

        Raises:
            AlreadyRunning: Another process holds the file, or another component of this process.
            NotPIDFile: The path leads to something else.
            PIDFileError: The file cannot be written there.
        """
        if self._held is not None:
            if self._held.is_intact():
                return
            self.bus.log(f"{self.path} was removed or changed by another program, and is written again", WARNING)
            self.leave()
        self._file = claim(self.path)
        if self._file is not None:
            return
        try:
            left_behind = self._take()
        except OSError as error:
            raise PIDFileError(error.errno or errno.EIO, self.path) from error
        if left_behind is not None:
            self.bus.log(f"replaced {self.path}, which process {left_behind} had left behind")

    def exit(self) -> None:
        """
        Remove the file if it is still this process's, and release the locks.

        Where the process is about to be replaced, the file stays, locked. The new
        program claims the file, or removes it.

        A file that cannot be removed, for instance because privileges were dropped,
        is emptied, so that its number misleads no command; that is logged.
        """
        file = self._held
        self._file = None
        if file is None:
            return
        if not file.is_intact():
            self.bus.log(f"{self.path} was removed or changed by another program, and is left as it is", WARNING)
            file.release()
        elif self.bus.is_restarting:
            file.is_kept = True
        elif (error := file.remove(self._unlink)) is not None:
            self.bus.log(
                f"cannot remove {self.path}: {error.strerror}; it was emptied, and the next start replaces it",
                WARNING,
            )

    def leave(self) -> None:
        """Release the locks, and leave the file unchanged."""
        if self._held is not None:
            self._held.release()
        self._file = None

    @property
    def _held(self) -> HeldFile | None:
        """The file, or None if it was released; a forked child releases it."""
        notice()
        return None if self._file is None or self._file.descriptor is None else self._file

    def _take(self) -> int | None:
        """Write the file, lock it and move it to its path; return the pid in the file that it replaces."""
        with _turn(self.path, self.patience):
            try:
                holder = read(self.path)
            except UnknownHolder as unknown:
                raise AlreadyRunning(self.path, None) from unknown
            if holder is not None:
                raise AlreadyRunning(self.path, holder)
            with _opened(self.path) as descriptor:
                left_behind = None if descriptor is None else _number_in(descriptor, self.path)
            fresh, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            file = HeldFile(self.path, fresh)
            held.append(file)
            try:
                lock(fresh)
                # Every user may read it, whatever the umask is; `mkstemp` lets only its owner do so.
                os.chmod(fresh, 0o644)  # noqa: PTH101  # a descriptor
                os.write(fresh, b"%d\n" % os.getpid())
                os.replace(name, self.path)  # noqa: PTH105  # a text, as `mkstemp` gives it
            except BaseException:
                file.release()
                os.unlink(name)  # noqa: PTH108  # as above
                raise
            if is_daemon():
                self._listen(file)
        self._file = file
        return left_behind

    def _listen(self, file: HeldFile) -> None:
        try:
            file.listen()
        except OSError as error:
            self.bus.log(
                f"`typedbus restart` cannot reach this process: no socket beside {self.path}: {error}", WARNING
            )


def read(path: str | os.PathLike[str]) -> int | None:
    """
    Return the pid of the process that holds the PID file *path*, or None if no process holds it.

    The process is in the PID namespace of the caller, and has itself locked the
    file. The file may be absent, or have been left behind; it is not changed.

    Raises:
        NotPIDFile: The path leads to something else.
        UnknownHolder: The file is held, but not by the process that it names, as seen from here.
        NoFileLocks: The system has no flock(2).
        OSError: The file cannot be read.
    """
    if sys.platform == "win32":
        raise NoFileLocks
    place = _absolute(path)
    looks = 0
    while True:
        looks += 1
        with _opened(place) as descriptor:
            if descriptor is None:
                return None
            pid = _number_in(descriptor, place)
            if not is_locked(descriptor):
                return None
            problem = problem_with(descriptor, pid)
        if problem is None:
            return pid
        # The holder may have ended between the two checks, and the list of all locks is not read atomically.
        if looks == _LOOKS:
            raise UnknownHolder(place, pid, problem)


@contextlib.contextmanager
def _opened(path: Path) -> Generator[int | None]:
    """Open the regular file *path* for reading, and yield its descriptor, or None if it does not exist."""
    try:
        descriptor = os.open(path, LOOKING)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        if path.is_symlink():
            raise NotPIDFile(path, "is a symbolic link") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotPIDFile(path, "is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def _number_in(descriptor: int, path: Path) -> int | None:
    text = os.read(descriptor, _LENGTH).strip()
    if not text:
        return None
    if not (text.isdigit() and len(text) < _LENGTH and int(text)):
        raise NotPIDFile(path, f"begins with {text[:20]!r}")
    if int(text) > _HIGHEST:
        raise NotPIDFile(path, f"has the number {text[:20].decode()}, which no process can have")
    return int(text)


@contextlib.contextmanager
def _turn(path: Path, patience: float) -> Generator[None]:
    """
    Hold the lock for replacing the PID file *path* during the block.

    Raises:
        OSError: The lock file cannot be created, or another process holds it for longer than *patience* seconds.
    """
    place = lock_files.beside(path)
    deadline = time.monotonic() + patience
    while (descriptor := _locked(place)) is None:
        if time.monotonic() > deadline:
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        # There is no lock with a time-out, and other processes hold this lock for some microseconds.
        time.sleep(0.005)
    try:
        yield
    finally:
        lock_files.release(place, descriptor)


def _locked(place: Path) -> int | None:
    """Return the descriptor of the lock file *place*, or None to try again later."""
    with contextlib.suppress(BlockingIOError):
        try:
            return lock_files.acquire(place)
        except OSError:
            # Another process holds it, it belongs to another user, or it is not a file. Or it was just removed.
            if not os.path.lexists(place):
                return lock_files.acquire(place)
    return None
