"""
A process that continues without a terminal, and a command that reports whether it started.

It forks twice (daemon(7), setsid(2)). The first child leads a new session, so
that no signals of the terminal reach it; the second is not a session leader, so
that no terminal that it opens can become its controlling terminal. A fork does not
copy threads, and their locks stay locked in the child: so the fork must come
before any thread is started, or it is refused.

The invoking shell needs the result of the start, not only of the fork. So the
first process stays until the start of the bus has succeeded or failed, and ends
with the matching exit status. The intermediate process stays as well: only it
receives the exit status of the daemon, if that dies before it reports anything.

When a restart replaces a daemon by a new run of its program, the process already
is a daemon. It keeps its session, its streams and its pid.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import selectors
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

import attrs

from typedbus._base.errors import OperatorError
from typedbus._base.events import Failed, Moved, RolledBack
from typedbus._base.states import State
from typedbus._bus.bus import Bus
from typedbus._bus.registry import FAILED, MOVED, ROLLED_BACK, START
from typedbus._channels.channel import on
from typedbus._os.forks import going_on
from typedbus._os.reexec import is_daemon, mark_daemon
from typedbus._os.streams import is_standard, open_missing, redirect
from typedbus._os.successor import drop_kept
from typedbus.plugins._watching import aside

__all__ = ("Daemon", "NoDaemons", "StreamError", "ThreadsRunning")

OK: Final = 0
NOT_STARTED: Final = 1
_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM)
#: Ends the report of a daemon about its start.
_END: Final = b"\0"
_LENGTH: Final = 32
_CHUNK: Final = 65536
_LOOKING: Final = 0.05
_TASKS: Final = Path("/proc/self/task")
#: Environment variables in which a service manager names the process it started; updated to the daemon's pid
#: (sd_listen_fds(3)).
_MEANT_FOR: Final = ("LISTEN_PID", "WATCHDOG_PID")
#: Seconds until threads that have ended must have disappeared, and until a daemon that did not start must have ended.
_SETTLING: Final = 1.0
_ENDING: Final = 5.0


class ThreadsRunning(RuntimeError):
    """
    Raised by the start of a `Daemon` while other threads run, which a fork would not copy.

    Attributes:
        threads: The names of the threads that Python knows.
        total: The number of threads that the system counts, including the current one.
    """

    def __init__(self, threads: Sequence[str], total: int) -> None:
        super().__init__(threads, total)
        self.threads: tuple[str, ...] = tuple(threads)
        self.total = total

    def __str__(self) -> str:
        names = [f"{name!r}" for name in self.threads]
        if unknown := self.total - 1 - len(self.threads):
            names.append(f"{unknown} not created by Python")
        return (
            f"a process with other threads cannot become a daemon, because a fork does not copy threads: {', '.join(names)}; "
            "start each in the start() of a component with a priority above 10"
        )


class StreamError(OSError, OperatorError):
    """
    Raised by the start of a `Daemon` for a file that cannot become a standard stream.

    Attributes:
        path: The file.
        stream: The name of the stream.
    """

    def __init__(self, number: int, path: Path, stream: str) -> None:
        super().__init__(number, os.strerror(number))
        self.path = path
        self.stream = stream

    def __reduce__(self) -> tuple[type[StreamError], tuple[int | None, Path, str]]:
        return type(self), (self.errno, self.path, self.stream)

    def __str__(self) -> str:
        return (
            f"{self.path} cannot become the {self.stream} of the daemon: {self.strerror}; "
            "create its folder, give this user access to it, or set another path"
        )


class NoDaemons(NotImplementedError, OperatorError):
    """
    Raised for a `Daemon` on a system where a process cannot become a daemon.

    Attributes:
        platform: The system, as `sys.platform` names it.
    """

    def __init__(self, platform: str) -> None:
        super().__init__(platform)
        self.platform = platform

    def __str__(self) -> str:
        return (
            f"a process cannot become a daemon on {self.platform}; "
            "leave out the Daemon component, and let the service manager of the system run the program"
        )


if sys.platform == "win32":
    _fork: Callable[[], int] | None = None

    def _fork_twice(fork: Callable[[], int]) -> int:
        raise NoDaemons(sys.platform)

else:
    # The behaviour of macOS's libraries in a forked process is undefined, and its launchd expects programs not to fork.
    _fork: Callable[[], int] | None = None if sys.platform == "darwin" else os.fork

    def _fork_twice(fork: Callable[[], int]) -> int:
        """Return only in the daemon, with the pipe to which it reports the outcome of its start."""
        begun = str(os.getpid())
        with going_on(), contextlib.ExitStack() as opened:
            known, know, outcome, tell = (
                opened.enter_context(io.FileIO(end, mode))
                for end, mode in zip((*os.pipe(), *os.pipe()), "rwrw", strict=True)
            )
            # Block these signals until all three processes handle them.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
            # If SIGCHLD is ignored, waitpid(2) returns no exit status.
            of_children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                if child := fork():
                    know.close()
                    _wait_for(child, known, mask)
                try:
                    os.setsid()
                    if grandchild := fork():
                        tell.close()
                        know.write(b"%d" % grandchild)
                        _look_on(grandchild, outcome)
                except BaseException as error:
                    # For any error, even if the pipe is broken: a second process must not continue the program.
                    try:
                        know.write(b"-%d" % (getattr(error, "errno", None) or errno.EIO))
                    finally:
                        os._exit(NOT_STARTED)
                # Before signals are unblocked: handlers take no action in a forked process that is not a daemon.
                mark_daemon()
                for name in _MEANT_FOR:
                    if os.environ.get(name) == begun:
                        os.environ[name] = str(os.getpid())
                return os.dup(tell.fileno())
            finally:
                # None is a handler that was not set from Python, and cannot be restored.
                signal.signal(signal.SIGCHLD, signal.SIG_DFL if of_children is None else of_children)
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _wait_for(child: int, known: io.FileIO, mask: set[int | signal.Signals]) -> NoReturn:
        """In the first process: pass signals on to the daemon, and end with the status of *child*, which watches it."""
        said = int(known.read(_LENGTH) or -errno.ECHILD)
        if said < 0:
            os.waitpid(child, 0)
            raise OSError(-said, os.strerror(-said))

        def pass_on(number: int, frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(said, number)

        for number in _PASSED_ON:
            signal.signal(number, pass_on)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            _say(
                f"it is unknown whether the daemon (pid {said}) started: the process that waited for its report was killed\n"
            )
        os._exit(NOT_STARTED if status else OK)

    def _look_on(daemon: int, outcome: io.FileIO) -> NoReturn:
        """In the child: wait for the report of *daemon* about its start, or for its end, and report the result."""
        said, ended, status = b"", 0, 0
        os.set_blocking(outcome.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(outcome, selectors.EVENT_READ)
            while not ended and not said.endswith(_END):
                # Children of the daemon hold the pipe as well, so it may stay open after the daemon has ended.
                selector.select(_LOOKING)
                ended, status = os.waitpid(daemon, os.WNOHANG)
                # Read after waitpid: a daemon that has ended wrote its report before that.
                while part := outcome.read(_CHUNK):
                    said += part
        if said == _END:
            os._exit(OK)
        reason = (
            said.removesuffix(_END).decode(errors="replace") or f"{_end_of(status)} before its start had finished\n"
        )
        _say(f"the daemon (pid {daemon}) did not start: {reason}")
        until = time.monotonic() + _ENDING
        while not ended and time.monotonic() < until:
            # So that another attempt does not find this daemon still running.
            time.sleep(0.01)
            ended, _ = os.waitpid(daemon, os.WNOHANG)
        os._exit(NOT_STARTED)

    def _say(text: str) -> None:
        """Write to the standard error of the command, from a process that ends without flushing Python's buffers."""
        if is_standard(2):
            with contextlib.suppress(OSError), os.fdopen(2, "wb") as stderr:
                stderr.write(text.encode(errors="backslashreplace"))

    def _end_of(status: int) -> str:
        """Describe how a process ended, from the *status* that waitpid returned."""
        code = os.waitstatus_to_exitcode(status)
        return (
            f"it ended with status {code}"
            if code >= 0
            else f"it was killed by signal {-code} ({signal.strsignal(-code)})"
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
        fork: The function that forks; None where the system does not support it.

    Raises:
        NoDaemons: The system is Windows or macOS.
    """

    bus: Bus
    stdin: Path = attrs.field(kw_only=True, default=Path(os.devnull), converter=_absolute)
    stdout: Path = attrs.field(kw_only=True, default=Path(os.devnull), converter=_absolute)
    stderr: Path = attrs.field(kw_only=True, default=Path(os.devnull), converter=_absolute)
    fork: Callable[[], int] | None = attrs.field(kw_only=True, default=_fork)
    #: In the daemon: the pipe to the waiting processes, and the failures to report.
    _outcome: int = attrs.field(init=False, default=-1)
    _reasons: list[str] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        if self.fork is None:
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
        with aside(self.bus):
            _refuse_threads()
            self._become_daemon()
        self.bus.log(f"continues as daemon {os.getpid()}")

    def _become_daemon(self) -> None:
        with contextlib.ExitStack() as opened:
            # If standard streams are closed, no other file of the daemon may get their descriptors.
            open_missing()
            streams = [
                opened.enter_context(_opened(path, flags, stream))
                for path, flags, stream in (
                    (self.stdin, os.O_RDONLY, "standard input"),
                    (self.stdout, os.O_WRONLY | os.O_CREAT | os.O_APPEND, "standard output"),
                    (self.stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND, "standard error"),
                )
            ]
            for stream in (sys.stdout, sys.stderr):
                # Otherwise each of the three processes would write what is buffered.
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            # A PID file from before a restart names this process, and the daemon will have another pid.
            drop_kept()
            assert self.fork is not None
            self._outcome = _fork_twice(self.fork)
            for number, file in enumerate(streams):
                redirect(number, file.fileno())
        self.bus[MOVED].subscribe(self._hear_of_a_state)
        self.bus[FAILED].subscribe(self._hear_of_a_failure)
        self.bus[ROLLED_BACK].subscribe(self._hear_of_a_rollback)

    def _hear_of_a_state(self, event: Moved, /) -> None:
        if event.after is State.STARTED:
            self._report("")

    def _hear_of_a_failure(self, event: Failed, /) -> None:
        if isinstance(event.error, OperatorError):
            self._reasons.append(f"{event.error}\n")
            return
        raised = "".join(traceback.format_exception(event.error))
        self._reasons.append(f"{event.path} in {event.hook}:\n{raised}")

    def _hear_of_a_rollback(self, event: RolledBack, /) -> None:
        self._report("".join(self._reasons) or "its start was cancelled\n")

    def _report(self, reason: str) -> None:
        """Report the end of the start to the waiting processes, with the reason if it failed."""
        self.bus[MOVED].unsubscribe(self._hear_of_a_state)
        self.bus[FAILED].unsubscribe(self._hear_of_a_failure)
        self.bus[ROLLED_BACK].unsubscribe(self._hear_of_a_rollback)
        # The waiting processes may be gone; a broken pipe is ignored.
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._outcome, "wb") as outcome:
            outcome.write(reason.encode(errors="backslashreplace").replace(_END, b"") + _END)


def _refuse_threads() -> None:
    others = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    known = total = 1 + len(others)
    until = time.monotonic() + _SETTLING
    # A thread that Python has joined stays in /proc for a moment, and nothing signals its end; so poll.
    while _TASKS.exists() and (total := sum(1 for _ in _TASKS.iterdir())) > known and time.monotonic() < until:
        time.sleep(0.001)
    if others or total > 1:
        raise ThreadsRunning(others, max(total, known))


def _opened(path: Path, flags: int, stream: str) -> io.FileIO:
    try:
        return io.FileIO(os.open(path, flags, 0o666), "r" if flags == os.O_RDONLY else "w")
    except OSError as error:
        raise StreamError(error.errno or errno.EIO, path, stream) from error
    except ValueError as error:
        # A null character in the path.
        raise StreamError(errno.EINVAL, path, stream) from error
