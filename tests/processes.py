"""Programs in processes of their own, for tests: started, read, signalled, and killed at the end of the test."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

#: The time in seconds after which a program that does not go on fails the test.
LIMIT = 60.0


def until(condition: Callable[[], object], describe: Callable[[], str] = str, *, limit: float = LIMIT) -> None:
    """Return as soon as *condition* holds; after *limit* seconds fail with the text that *describe* returns."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.01)


def shortest(measure: Callable[[], float], enough: float, *, tries: int = 5) -> float:
    """
    Return the first time below *enough* that *measure* returns; without one, the shortest of *tries*.

    For a call that must not wait at all: on a busy machine, some calls take longer.
    """
    times: list[float] = []
    while not times or (times[-1] >= enough and len(times) < tries):
        times.append(measure())
    return min(times)


@contextlib.contextmanager
def without_frameworks(folder: Path) -> Iterator[None]:
    """
    Hide web frameworks from the Python programs that start within the block; *folder* must be empty.

    dependency-injector imports those that are installed. A program that needs none of them
    starts in less than half of the time without.
    """
    for name in ("fastapi", "pydantic", "starlette", "werkzeug"):
        (folder / f"{name}.py").write_text("raise ImportError\n", encoding="utf-8")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([before] if before else [])])
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _ports() -> Iterator[int]:
    """Give the ports of this worker of pytest-xdist in turn, from a random one on."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(12000 + worker, 32000, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    first = random.SystemRandom().randrange(len(ports))
    return itertools.cycle([*ports[first:], *ports[:first]])


_ports_in_turn = _ports()


def free_port() -> int:
    """
    Return a free port, which no other test takes; for programs that take no listening socket.

    It is below the ports that the system gives to clients: while the server of a test is down, a client may get one of
    those.
    """
    while True:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", next(_ports_in_turn))) as server:
            return int(server.getsockname()[1])


def fork() -> int:
    """Fork without the warning that other threads run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def in_child(check: Callable[[], None], fork: Callable[[], int] = fork) -> None:
    """Call *check* in a child made by *fork*, and fail unless it returns there."""
    child = fork()
    if not child:
        status = 1
        try:
            check()
            status = 0
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\n".encode())
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


class Program:
    """
    A process whose output is read line by line.

    It has a session of its own, so that `kill` reaches its children as well.
    The program reads what a test writes to its stdin, and its stderr goes where its stdout goes.

    Args:
        command: The command line.
        options: Arguments of `subprocess.Popen`, for other streams, an environment, and so on.

    Attributes:
        child: The process.
        pid: The process that signals are sent to.
        lines: What was read of stdout so far, without line ends.
    """

    def __init__(self, *command: str | Path, **options: Any) -> None:
        defaults = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.child: subprocess.Popen[str] = subprocess.Popen(
            command, text=True, start_new_session=True, **{**defaults, **options}
        )
        self.pid = self.child.pid
        self.lines: list[str] = []
        self._errors: list[str] = []
        self._unread: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._readers = [
            threading.Thread(target=self._read, args=[stream, keep], daemon=True)
            for stream, keep in [(self.child.stdout, self._unread.put), (self.child.stderr, self._errors.append)]
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str], keep: Callable[[str], object]) -> None:
        for line in stream:
            keep(line)
        if stream is self.child.stdout:
            self._unread.put(None)

    def _next(self, expected: str) -> str | None:
        """Return the next line, and None at the end of the output."""
        try:
            line = self._unread.get(timeout=LIMIT)
        except queue.Empty:
            raise AssertionError(f"{expected} did not come within {LIMIT:g} s:\n{self.output}{self.errors}") from None
        if line is None:
            self._unread.put(None)  # for the next call
            return None
        self.lines.append(line.rstrip())
        return self.lines[-1]

    @property
    def output(self) -> str:
        """What was read of stdout so far."""
        return "\n".join(self.lines)

    @property
    def errors(self) -> str:
        """What the process has written to stderr, where that is a pipe."""
        return "".join(self._errors)

    def reach(self, text: str) -> str:
        """Read on to the next line that contains *text*, and return it."""
        while (line := self._next(repr(text))) is not None:
            if text in line:
                return line
        raise AssertionError(f"the output ended without {text!r}:\n{self.output}{self.errors}")

    def reach_line(self, text: str) -> None:
        """Read on to the next line that is *text*."""
        while self.reach(text) != text:
            pass

    def reach_all(self, text: str, times: int = 1) -> None:
        """Read on until *times* of all lines contain *text*."""
        while (missing := times - sum(text in line for line in self.lines)) > 0:
            for _ in range(missing):
                self.reach(text)

    def send(self, *numbers: int) -> None:
        """Send signals."""
        for number in numbers:
            os.kill(self.pid, number)

    def write(self, text: str = "\n") -> None:
        """Write *text* to stdin."""
        assert self.child.stdin is not None
        self.child.stdin.write(text)
        self.child.stdin.flush()

    def end(self, number: int | None = None) -> int:
        """Send signal *number* if given; read until no process has the output open, and return the exit status."""
        if number is not None:
            self.send(number)
        while self._next("the end of the output") is not None:
            pass
        for reader in self._readers:
            reader.join(LIMIT)
        return self.child.wait(LIMIT)

    def kill(self) -> None:
        """Kill the process and the others of its session, and close its streams."""
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGKILL)
        self.child.kill()
        self.child.wait()
        for reader in self._readers:
            reader.join(LIMIT)
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # of what was never read from stdin
                    stream.close()


#: What `programs` gives.
Begin: TypeAlias = Callable[..., Program]


@contextlib.contextmanager
def programs(folder: Path, prelude: str = "", **defaults: Any) -> Iterator[Begin]:
    """
    Give a function that writes a program into *folder* and starts it; kill all of them at the end.

    Its parameters are the source, the arguments, `flags` for the interpreter, a command `within` which it runs,
    and options of `Program`.

    Args:
        prelude: The beginning of each program.
        defaults: Options of each `Program`.
    """
    started: list[Program] = []

    def begin(
        source: str, *arguments: object, flags: Sequence[str] = (), within: Sequence[str] = (), **options: Any
    ) -> Program:
        path = folder / f"program{len(started)}.py"
        path.write_text(prelude + textwrap.dedent(source), encoding="utf-8")
        command: list[str | Path] = [*within, sys.executable, *flags, path, *map(str, arguments)]
        started.append(Program(*command, **{**defaults, **options}))
        return started[-1]

    try:
        yield begin
    finally:
        for program in started:
            program.kill()
