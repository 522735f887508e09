"""
A process that goes on without a terminal, and a command that says whether it could.

It forks twice (daemon(7), setsid(2)). The first child leads a session of its own, so
that no terminal's signals reach it; the second leads none, so that no terminal
that it opens can become its own. The threads of a process do not come along, and
what they had locked stays locked: so the fork comes before any thread is started,
or not at all.

Whoever gave the command wants to know more than that there was a fork. So the
first process stays until the bus has started, or has not, and ends with the status
that says so. The one in between stays as well: it alone is told how its child
ended, if that dies before it could say anything.

A daemon that is replaced by its own program, as a restart does, is one already. It
keeps its session, its streams and its pid.
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
#: Ends what a daemon tells of its start.
_END: Final = b"\0"
_LENGTH: Final = 32
_CHUNK: Final = 65536
_LOOKING: Final = 0.05
_TASKS: Final = Path("/proc/self/task")
#: What a service manager means for the process that it began is the daemon's from then on (sd_listen_fds(3)).
_MEANT_FOR: Final = ("LISTEN_PID", "WATCHDOG_PID")
#: How long threads that have ended may take to be gone, and a daemon that did not start, to end.
_SETTLING: Final = 1.0
_ENDING: Final = 5.0


class ThreadsRunning(RuntimeError):
    """
    Raised by the start of a `Daemon` while other threads run, which would not come along.

    Attributes:
        threads: The names of those that Python knows.
        total: How many the system counts in all, this one included.
    """

    def __init__(self, threads: Sequence[str], total: int) -> None:
        super().__init__(threads, total)
        self.threads: tuple[str, ...] = tuple(threads)
        self.total = total

    def __str__(self) -> str:
        names = [f"{name!r}" for name in self.threads]
        if unknown := self.total - 1 - len(self.threads):
            names.append(f"{unknown} of a library's that Python does not know")
        return (
            f"a process with other threads cannot become a daemon, since they would not come along: {', '.join(names)}; "
            "begin each in the start() of a component that starts later, which is after priority 10"
        )


class StreamError(OSError, OperatorError):
    """
    Raised by the start of a `Daemon` for a file that it cannot take as a standard stream.

    Attributes:
        path: The file.
        stream: Which stream it was to be.
    """

    def __init__(self, number: int, path: Path, stream: str) -> None:
        super().__init__(number, os.strerror(number))
        self.path = path
        self.stream = stream

    def __reduce__(self) -> tuple[type[StreamError], tuple[int | None, Path, str]]:
        return type(self), (self.errno, self.path, self.stream)

    def __str__(self) -> str:
        return (
            f"{self.path} cannot be the {self.stream} of the daemon: {self.strerror}; "
            "make its folder, let this user open it, or give another path"
        )


class NoDaemons(NotImplementedError, OperatorError):
    """
    Raised for a `Daemon` on a system where a process cannot become one.

    Attributes:
        platform: The system, as `sys.platform` names it.
    """

    def __init__(self, platform: str) -> None:
        super().__init__(platform)
        self.platform = platform

    def __str__(self) -> str:
        return (
            f"no process can become a daemon on {self.platform}; "
            "leave the component out, and let the service manager of the system run the program"
        )


if sys.platform == "win32":
    _fork: Callable[[], int] | None = None

    def _fork_twice(fork: Callable[[], int]) -> int:
        raise NoDaemons(sys.platform)

else:
    # What macOS's own libraries do in a forked process is not defined, and its launchd wants programs that stay.
    _fork: Callable[[], int] | None = None if sys.platform == "darwin" else os.fork

    def _fork_twice(fork: Callable[[], int]) -> int:
        """Return in the daemon alone: where to tell how its start went."""
        begun = str(os.getpid())
        with going_on(), contextlib.ExitStack() as opened:
            known, know, outcome, tell = (
                opened.enter_context(io.FileIO(end, mode))
                for end, mode in zip((*os.pipe(), *os.pipe()), "rwrw", strict=True)
            )
            # Until each of the three knows what to do with them.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
            # Where children are ignored the system tells nobody how they ended.
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
                    # Whatever it is, and even if nobody listens any more: no second process is to go on with the program.
                    try:
                        know.write(b"-%d" % (getattr(error, "errno", None) or errno.EIO))
                    finally:
                        os._exit(NOT_STARTED)
                # Before a signal may come: handlers ask whether this is a daemon, or a child that is not meant.
                mark_daemon()
                for name in _MEANT_FOR:
                    if os.environ.get(name) == begun:
                        os.environ[name] = str(os.getpid())
                return os.dup(tell.fileno())
            finally:
                # None stands for one that was not set from Python and cannot be put back.
                signal.signal(signal.SIGCHLD, signal.SIG_DFL if of_children is None else of_children)
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _wait_for(child: int, known: io.FileIO, mask: set[int | signal.Signals]) -> NoReturn:
        """In the first process: pass signals on to the daemon, and end with the status of *child*, which looks on."""
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
            _say(f"nobody knows whether the daemon (pid {said}) started: the process that looked on was killed\n")
        os._exit(NOT_STARTED if status else OK)

    def _look_on(daemon: int, outcome: io.FileIO) -> NoReturn:
        """In the child: wait for what *daemon* says of its start, or for its end, and tell it."""
        said, ended, status = b"", 0, 0
        os.set_blocking(outcome.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(outcome, selectors.EVENT_READ)
            while not ended and not said.endswith(_END):
                # Whoever the daemon has forked holds the pipe as well, so that its end is not told by it.
                selector.select(_LOOKING)
                ended, status = os.waitpid(daemon, os.WNOHANG)
                # After the look at the process, which says what it says before it ends.
                while part := outcome.read(_CHUNK):
                    said += part
        if said == _END:
            os._exit(OK)
        reason = said.removesuffix(_END).decode(errors="replace") or f"{_end_of(status)} before its start was over\n"
        _say(f"the daemon (pid {daemon}) did not start: {reason}")
        until = time.monotonic() + _ENDING
        while not ended and time.monotonic() < until:
            # So that whoever tries again finds nothing of it.
            time.sleep(0.01)
            ended, _ = os.waitpid(daemon, os.WNOHANG)
        os._exit(NOT_STARTED)

    def _say(text: str) -> None:
        """Write on the standard error of the command, from a process that ends without flushing what Python buffers."""
        if is_standard(2):
            with contextlib.suppress(OSError), os.fdopen(2, "wb") as stderr:
                stderr.write(text.encode(errors="backslashreplace"))

    def _end_of(status: int) -> str:
        """Say how a process ended that waitpid tells *status* of."""
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

    The bus goes on in another process, whose pid is another. The first one waits
    until that has started, and never returns from the start: it ends without the
    functions of `atexit`, with 0 if the bus has STARTED, and with 1 if it has not,
    after it has told on its standard error what failed. Meanwhile SIGINT and
    SIGTERM go on to the daemon.

    It has to start before any other thread; whoever starts the bus is to be the
    main thread. In a process that is a daemon already it does nothing.

    Args:
        bus: Whose start is waited for.
        stdin: Where the daemon reads its standard input from.
        stdout: Where its standard output goes to; it is appended.
        stderr: Where its standard error goes to; it is appended.
        fork: What makes a child; None where there is nothing.

    Raises:
        NoDaemons: The system is Windows or macOS.
    """

    bus: Bus
    stdin: Path = attrs.field(kw_only=True, default=Path(os.devnull), converter=_absolute)
    stdout: Path = attrs.field(kw_only=True, default=Path(os.devnull), converter=_absolute)
    stderr: Path = attrs.field(kw_only=True, default=Path(os.devnull), converter=_absolute)
    fork: Callable[[], int] | None = attrs.field(kw_only=True, default=_fork)
    #: In the daemon: the pipe to those who wait, and what is to be told them.
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
            OSError: The system has no room for another process.
        """
        if is_daemon():
            return
        with aside(self.bus):
            _refuse_threads()
            self._become_daemon()
        self.bus.log(f"goes on as daemon {os.getpid()}")

    def _become_daemon(self) -> None:
        with contextlib.ExitStack() as opened:
            # Closed standard streams: no file of the daemon's own may get the number of one.
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
                # What is buffered would be written by each of the three.
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            # A PID file from before a restart names this process, and the daemon will be another one.
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
            self._tell("")

    def _hear_of_a_failure(self, event: Failed, /) -> None:
        if isinstance(event.error, OperatorError):
            self._reasons.append(f"{event.error}\n")
            return
        raised = "".join(traceback.format_exception(event.error))
        self._reasons.append(f"{event.path} in {event.hook}:\n{raised}")

    def _hear_of_a_rollback(self, event: RolledBack, /) -> None:
        self._tell("".join(self._reasons) or "its start was broken off\n")

    def _tell(self, reason: str) -> None:
        """Tell those who wait that the start is over, and why it failed if it did."""
        self.bus[MOVED].unsubscribe(self._hear_of_a_state)
        self.bus[FAILED].unsubscribe(self._hear_of_a_failure)
        self.bus[ROLLED_BACK].unsubscribe(self._hear_of_a_rollback)
        # Those who wait may have been ended meanwhile, and nobody else wants to know.
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._outcome, "wb") as outcome:
            outcome.write(reason.encode(errors="backslashreplace").replace(_END, b"") + _END)


def _refuse_threads() -> None:
    others = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    known = total = 1 + len(others)
    until = time.monotonic() + _SETTLING
    # A thread that Python has joined takes a moment to be gone, and there is nothing to wait for.
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
