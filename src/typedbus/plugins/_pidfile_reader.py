"""Reads the pid of the process that holds a PID file."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final

from typedbus._base.errors import OperatorError
from typedbus._base.structured import StructuredError
from typedbus._os.file_locks import LOOKING, is_locked, problem_with

#: No pid is longer; a file with more text is not a PID file.
_LENGTH: Final = 64
#: The highest pid of any system (PID_MAX_LIMIT of Linux).
_HIGHEST: Final = 2**22
#: How often a check is repeated if its result is contradictory, since the owner of the file changed meanwhile.
_LOOKS: Final = 5


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


class NoFileLocks(NotImplementedError, OperatorError):
    """Raised for a `PIDFile` on a system without flock(2)."""

    def __str__(self) -> str:
        return (
            "this system has no flock(2), which a PID file needs; "
            "leave out the PIDFile component, and let a service manager keep track of the process"
        )


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return *path* from the root, without resolving links."""
    return Path(os.path.abspath(path))  # noqa: PTH100  # unlike `resolve` it leaves links alone


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
    place = absolute(path)
    looks = 0
    while True:
        looks += 1
        with opened(place) as descriptor:
            if descriptor is None:
                return None
            pid = pid_in(descriptor, place)
            if not is_locked(descriptor):
                return None
            problem = problem_with(descriptor, pid)
        if problem is None:
            return pid
        # The holder may have ended between the two checks, and the list of all locks is not read atomically.
        if looks == _LOOKS:
            raise UnknownHolder(place, pid, problem)


@contextlib.contextmanager
def opened(path: Path) -> Generator[int | None]:
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


def pid_in(descriptor: int, path: Path) -> int | None:
    """
    Return the number in the open file *descriptor* at *path*, or None if the file is empty.

    Raises:
        NotPIDFile: It has other text.
    """
    text = os.read(descriptor, _LENGTH).strip()
    if not text:
        return None
    if not (text.isdigit() and len(text) < _LENGTH and int(text)):
        raise NotPIDFile(path, f"begins with {text[:20]!r}")
    if int(text) > _HIGHEST:
        raise NotPIDFile(path, f"has the number {text[:20].decode()}, which no process can have")
    return int(text)
