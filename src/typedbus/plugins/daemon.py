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

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from typedbus._base.exports import export
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import START
from typedbus._bus.bus import Bus, parts_of
from typedbus._channels.marks import on
from typedbus._os.forks import threads_paused
from typedbus._os.reexec import is_daemon
from typedbus.plugins._daemon_start import FORK, NoDaemons, StreamError, become_daemon

__all__ = ("Daemon", "NoDaemons", "StreamError", "ThreadsRunning")

_TASKS: Final = Path("/proc/self/task")
#: Seconds until threads that have ended must have disappeared.
_SETTLING: Final = 1.0


class ThreadsRunning(StructuredError, RuntimeError):
    """
    Raised by the start of a `Daemon` while other threads run, which a fork would not copy.

    Attributes:
        threads: The names of the threads that Python knows.
        total: The number of threads that the system counts, including the current one.
        is_loop_running: Whether the event loop of the bus, which runs its async hooks, is among them.
    """

    threads: tuple[str, ...]
    total: int
    is_loop_running: bool = False

    def __str__(self) -> str:
        names = [f"{name!r}" for name in self.threads]
        if unknown := self.total - 1 - len(self.threads):
            names.append(f"{unknown} not created by Python")
        remedy = "start each in the start() of a component with a priority above 10"
        if threading.main_thread().name in self.threads:
            remedy = (
                "start the bus in the main thread, as run() does "
                "(`async with running(...)` and start_async() start it in another thread)"
            )
        elif self.is_loop_running:
            remedy += "; the event loop of the bus begins with its first async hook"
        return (
            "a process with other threads cannot become a daemon, because a fork does not copy threads: "
            f"{', '.join(names)}; {remedy}"
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
    _fork: Callable[[], int] | None = attrs.field(init=False, default=FORK, repr=False)

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
            _refuse_threads(is_loop_running=bool(parts_of(self.bus).event_loop.threads))
            become_daemon(self.bus, self.stdin, self.stdout, self.stderr, self._fork)
        self.bus.log(f"continues as daemon {os.getpid()}")


def _refuse_threads(*, is_loop_running: bool) -> None:
    others = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    in_python = total = 1 + len(others)
    deadline = time.monotonic() + _SETTLING
    # A thread that Python has joined stays in /proc for a moment, and nothing signals its end; so poll.
    while _TASKS.exists() and (total := sum(1 for _ in _TASKS.iterdir())) > in_python and time.monotonic() < deadline:
        time.sleep(0.001)
    if others or total > 1:
        raise ThreadsRunning(tuple(others), max(total, in_python), is_loop_running)


export(globals())
