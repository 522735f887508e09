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
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path

import attrs

from typedbus._base.errors import OperatorError
from typedbus._base.exports import export
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import START, WARNING
from typedbus._bus.bus import Bus
from typedbus._channels.marks import on
from typedbus._os import lock_files
from typedbus._os.file_locks import lock
from typedbus._os.forks import notice
from typedbus._os.pidfiles import HeldFile, claim, held
from typedbus._os.reexec import is_daemon
from typedbus._os.system_call_error import SystemCallError
from typedbus.plugins._pidfile_reader import NoFileLocks, NotPIDFile, UnknownHolder, absolute, opened, pid_in, read

__all__ = ("AlreadyRunning", "NoFileLocks", "NotPIDFile", "PIDFile", "PIDFileError", "UnknownHolder", "read")


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
        holder = (
            "another process, perhaps in another PID namespace or on another host,"
            if self.pid is None
            else f"process {self.pid},"
        )
        return (
            f"{self.path} is held by {holder} which is still running; "
            "end that process first, or give this one another path"
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
    # A daemon changes its directory before the file is removed.
    path: Path = attrs.field(kw_only=True, converter=absolute)
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
            stale_pid = self._take()
        except OSError as error:
            raise PIDFileError(error.errno or errno.EIO, self.path) from error
        if stale_pid is not None:
            self.bus.log(f"replaced {self.path}, which process {stale_pid} had left behind")

    def exit(self) -> None:
        """
        Remove the file if it is still this process's, and release the locks.

        Where the process is about to be replaced, the file stays, locked. The new
        program claims the file, or removes it.

        A file that cannot be removed, for instance because privileges were dropped,
        is emptied, so that no command reads its number; that is logged.
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
            with opened(self.path) as stale:
                stale_pid = None if stale is None else pid_in(stale, self.path)
            descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            file = HeldFile(self.path, descriptor)
            held.append(file)
            try:
                lock(descriptor)
                # Every user may read it, whatever the umask is; `mkstemp` lets only its owner do so.
                os.chmod(descriptor, 0o644)  # noqa: PTH101  # a descriptor
                os.write(descriptor, b"%d\n" % os.getpid())
                os.replace(name, self.path)  # noqa: PTH105  # a text, as `mkstemp` gives it
            except BaseException:
                file.release()
                os.unlink(name)  # noqa: PTH108  # as above
                raise
            if is_daemon():
                self._listen(file)
        self._file = file
        return stale_pid

    def _listen(self, file: HeldFile) -> None:
        try:
            file.listen()
        except OSError as error:
            self.bus.log(
                f"`typedbus restart` cannot reach this process: no socket beside {self.path}: {error}", WARNING
            )


@contextlib.contextmanager
def _turn(path: Path, patience: float) -> Generator[None]:
    """
    Hold the lock for replacing the PID file *path* during the block.

    Raises:
        OSError: The lock file cannot be created, or another process holds it for longer than *patience* seconds.
    """
    place = lock_files.beside(path)
    deadline = time.monotonic() + patience
    while (descriptor := _acquired(place)) is None:
        if time.monotonic() > deadline:
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        # There is no lock with a time-out, and other processes hold this lock for some microseconds.
        time.sleep(0.005)
    try:
        yield
    finally:
        lock_files.release(place, descriptor)


def _acquired(place: Path) -> int | None:
    """Return the descriptor of the lock file *place*, or None to try again later."""
    with contextlib.suppress(BlockingIOError):
        try:
            return lock_files.acquire(place)
        except OSError:
            # Another process holds it, it belongs to another user, or it is not a file. Or it was just removed.
            if not os.path.lexists(place):
                return lock_files.acquire(place)
    return None


export(globals())
