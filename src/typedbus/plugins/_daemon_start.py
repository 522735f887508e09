"""The step in which a process becomes a daemon, and the report of the daemon's start to the waiting processes."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from typedbus._base.errors import OperatorError
from typedbus._base.events import Failed, Moved, RolledBack
from typedbus._base.states import State
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import FAILED, MOVED, ROLLED_BACK
from typedbus._bus.bus import Bus
from typedbus._os.streams import open_missing, redirect
from typedbus._os.successor import drop_kept
from typedbus._os.system_call_error import SystemCallError
from typedbus.plugins._double_fork import END, fork_twice

#: None on Windows.
FORK: Final[Callable[[], int] | None] = getattr(os, "fork", None)


class StreamError(SystemCallError):
    """
    Raised by the start of a `Daemon` for a file that cannot become a standard stream.

    Attributes:
        path: The file.
        stream: The name of the stream.
    """

    path: Path
    stream: str

    def __str__(self) -> str:
        return (
            f"{self.path} cannot become the {self.stream} of the daemon: {self.strerror}; "
            "create its folder, give this user access to it, or set another path"
        )


class NoDaemons(StructuredError, NotImplementedError, OperatorError):
    """
    Raised for a `Daemon` on a system where a process cannot become a daemon.

    Attributes:
        platform: The system, as `sys.platform` names it.
    """

    platform: str

    def __str__(self) -> str:
        return (
            f"a process cannot become a daemon on {self.platform}; "
            "leave out the Daemon component, and let the service manager of the system run the program"
        )


def become_daemon(bus: Bus, stdin: Path, stdout: Path, stderr: Path, fork: Callable[[], int] | None = FORK) -> None:
    """
    Fork, and return in the daemon, which reports the end of the start of *bus* to the first process.

    Raises:
        NoDaemons: The system cannot fork.
        StreamError: A file cannot be opened.
        OSError: The system cannot create another process.
    """
    if sys.platform == "win32" or fork is None:
        raise NoDaemons(sys.platform)
    with contextlib.ExitStack() as opened:
        # If standard streams are closed, no other file of the daemon may get their descriptors.
        open_missing()
        files = [
            opened.enter_context(_opened(path, flags, stream))
            for path, flags, stream in (
                (stdin, os.O_RDONLY, "standard input"),
                (stdout, os.O_WRONLY | os.O_CREAT | os.O_APPEND, "standard output"),
                (stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND, "standard error"),
            )
        ]
        for stream in (sys.stdout, sys.stderr):
            # Otherwise each of the three processes would write what is buffered.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        # A PID file from before a restart names this process, and the daemon will have another pid.
        drop_kept()
        report = _StartReport(bus, fork_twice(fork))
        for number, file in enumerate(files):
            redirect(number, file.fileno())
    report.subscribe()


class _StartReport:
    """
    Collects the failures of the start of *bus*, and reports its end to the waiting processes, once.

    Args:
        bus: The bus of the daemon.
        descriptor: The pipe to which the report is written; closed after that.
    """

    def __init__(self, bus: Bus, descriptor: int) -> None:
        self._bus = bus
        self._descriptor = descriptor
        self._failures: list[str] = []

    def subscribe(self) -> None:
        """Listen to the start of the bus, until its end is reported."""
        self._bus[MOVED].subscribe(self._moved)
        self._bus[FAILED].subscribe(self._failed)
        self._bus[ROLLED_BACK].subscribe(self._rolled_back)

    def _moved(self, event: Moved, /) -> None:
        if event.after is State.STARTED:
            self._send("")

    def _failed(self, event: Failed, /) -> None:
        if isinstance(event.error, OperatorError):
            self._failures.append(f"{event.error}\n")
            return
        trace = "".join(traceback.format_exception(event.error))
        self._failures.append(f"{event.path} in {event.hook}:\n{trace}")

    def _rolled_back(self, event: RolledBack, /) -> None:
        self._send("".join(self._failures) or "its start was cancelled\n")

    def _send(self, reason: str) -> None:
        self._bus[MOVED].unsubscribe(self._moved)
        self._bus[FAILED].unsubscribe(self._failed)
        self._bus[ROLLED_BACK].unsubscribe(self._rolled_back)
        # The waiting processes may be gone; a broken pipe is ignored.
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._descriptor, "wb") as pipe:
            pipe.write(reason.encode(errors="backslashreplace").replace(END, b"") + END)


def _opened(path: Path, flags: int, stream: str) -> io.FileIO:
    try:
        return io.FileIO(os.open(path, flags, 0o666), "r" if flags == os.O_RDONLY else "w")
    except OSError as error:
        raise StreamError(error.errno or errno.EIO, path, stream) from error
    except ValueError as error:
        # A null character in the path.
        raise StreamError(errno.EINVAL, path, stream) from error
