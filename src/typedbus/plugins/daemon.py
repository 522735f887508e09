"""
A process that continues without a terminal, and a command that reports whether it started.

It forks twice (daemon(7), setsid(2)). The first child leads a new session, so
that no signals of the terminal reach it; the second is not a session leader, so
that no terminal that it opens can become its controlling terminal. A fork does not
copy threads, and their locks stay locked in the child: so the fork must come
before any thread is started, or it is refused.

The invoking shell needs the result of the start, not only of the fork. So the
first process stays until the start of the bus has succeeded or failed, and ends
with the matching exit status.

When a restart replaces a daemon by a new run of its program, the process already
is a daemon. It keeps its session, its streams and its pid.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from typedbus._base.errors import OperatorError
from typedbus._base.events import Failed, Moved, RolledBack
from typedbus._base.states import State
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import FAILED, MOVED, ROLLED_BACK, START
from typedbus._bus.bus import Bus
from typedbus._channels.channel import on
from typedbus._os.forks import threads_paused
from typedbus._os.reexec import is_daemon
from typedbus._os.streams import open_missing, redirect
from typedbus._os.successor import drop_kept
from typedbus._os.system_call_error import SystemCallError
from typedbus.plugins._double_fork import END, fork_twice

__all__ = ("Daemon", "NoDaemons", "StreamError", "ThreadsRunning")

_TASKS: Final = Path("/proc/self/task")
#: Seconds until threads that have ended must have disappeared.
_SETTLING: Final = 1.0
#: The function that forks; None if the system has none.
_FORK: Final[Callable[[], int] | None] = getattr(os, "fork", None)


class ThreadsRunning(StructuredError, RuntimeError):
    """
    Raised by the start of a `Daemon` while other threads run, which a fork would not copy.

    Attributes:
        threads: The names of the threads that Python knows.
        total: The number of threads that the system counts, including the current one.
    """

    threads: tuple[str, ...]
    total: int

    def __str__(self) -> str:
        names = [f"{name!r}" for name in self.threads]
        if unknown := self.total - 1 - len(self.threads):
            names.append(f"{unknown} not created by Python")
        return (
            f"a process with other threads cannot become a daemon, because a fork does not copy threads: {', '.join(names)}; "
            "start each in the start() of a component with a priority above 10"
        )


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


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  # unlike `resolve` it leaves links alone


@attrs.define(eq=False)
class Daemon:
    """
    Makes the process a daemon when it starts.

    The bus continues in another process, with another pid. The first process waits
    for its start, and never returns from `start`: it ends without calling the
    functions of `atexit`, with 0 if the bus has STARTED, and with 1 if it has not,
    after it has written the failure to its standard error. Until then SIGINT and
    SIGTERM are passed on to the daemon.

    It must start before any other thread, and the main thread must start the bus.
    In a process that is a daemon already it does nothing.

    Args:
        bus: The bus whose start the first process waits for.
        stdin: The file from which the daemon reads its standard input.
        stdout: The file to which its standard output is appended.
        stderr: The file to which its standard error is appended.

    Raises:
        NoDaemons: The system is Windows or macOS.
    """

    bus: Bus
    stdin: Path = attrs.field(kw_only=True, default=Path(os.devnull), converter=_absolute)
    stdout: Path = attrs.field(kw_only=True, default=Path(os.devnull), converter=_absolute)
    stderr: Path = attrs.field(kw_only=True, default=Path(os.devnull), converter=_absolute)
    #: The function that forks; tests replace it.
    _fork: Callable[[], int] | None = attrs.field(init=False, default=_FORK, repr=False)

    def __attrs_post_init__(self) -> None:
        # On macOS the behaviour of the libraries in a forked process is undefined, and launchd expects programs not to fork.
        if self._fork is None or sys.platform == "darwin":
            raise NoDaemons(sys.platform)

    @on(START, priority=10, inline=True)
    def start(self) -> None:
        """
        Fork, and return in the daemon.

        Raises:
            ThreadsRunning: There are other threads.
            StreamError: A file cannot be opened.
            OSError: The system cannot create another process.
        """
        if is_daemon():
            return
        with threads_paused():
            _refuse_threads()
            become_daemon(self.bus, self.stdin, self.stdout, self.stderr, self._fork)
        self.bus.log(f"continues as daemon {os.getpid()}")


def become_daemon(bus: Bus, stdin: Path, stdout: Path, stderr: Path, fork: Callable[[], int] | None = _FORK) -> None:
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


def _refuse_threads() -> None:
    others = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    in_python = total = 1 + len(others)
    deadline = time.monotonic() + _SETTLING
    # A thread that Python has joined stays in /proc for a moment, and nothing signals its end; so poll.
    while _TASKS.exists() and (total := sum(1 for _ in _TASKS.iterdir())) > in_python and time.monotonic() < deadline:
        time.sleep(0.001)
    if others or total > 1:
        raise ThreadsRunning(tuple(others), max(total, in_python))


def _opened(path: Path, flags: int, stream: str) -> io.FileIO:
    try:
        return io.FileIO(os.open(path, flags, 0o666), "r" if flags == os.O_RDONLY else "w")
    except OSError as error:
        raise StreamError(error.errno or errno.EIO, path, stream) from error
    except ValueError as error:
        # A null character in the path.
        raise StreamError(errno.EINVAL, path, stream) from error
