"""SIGTERM to real programs whose output, or whose main thread, is blocked."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from typedbus._os.unblocked import write, write_stacks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its pipes and signals are others")

SITE = """
import ctypes, os, signal, sys, threading
from typedbus import *

def say(text):
    os.write(int(os.environ["SAYING"]), f"{text}\\n".encode())

def hang_in_c():
    say("hanging")
    # A mutex that is locked twice: no signal ends the wait for it.
    mutex = ctypes.create_string_buffer(128)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)

def fill(stream):
    def print_for_ever():
        while True:
            print("y" * 1000, file=stream)
    threading.Thread(target=print_for_ever, daemon=True).start()

class Part:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.is_ready = False

    def start(self) -> None:
        say("starting")
        {start}

    def stop(self) -> None:
        say("stopping")
        {stop}

    def main(self) -> None:
        if not self.is_ready:
            self.is_ready = True
            say("ready")
            {main}

class Site(Container):
    bus = Component(Bus)
    part = Component(Part, bus.provided)

{before}
raise SystemExit(run(Site))
"""


def fill(descriptor: int) -> None:
    """Write to *descriptor* until it is full."""
    os.set_blocking(descriptor, False)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(descriptor, b"x" * size)
    os.set_blocking(descriptor, True)


def full_pipe() -> tuple[int, int]:
    """Return a full pipe that no process reads."""
    reading, writing = os.pipe()
    fill(writing)
    return reading, writing


def full_socket() -> tuple[int, int]:
    """Return a pair of sockets that no process reads, with a full buffer."""
    reading, writing = socket.socketpair()
    fill(writing.fileno())
    return reading.detach(), writing.detach()


def stopped_terminal() -> tuple[int, int]:
    """Return a terminal whose output is stopped, as by Ctrl-S."""
    import termios

    controlling, terminal = os.openpty()
    termios.tcflow(terminal, termios.TCOOFF)
    return controlling, terminal


class Program:
    """The site in its own process, with its output on a separate pipe."""

    def __init__(self, path: Path, out: int, err: int, **hooks: str) -> None:
        source = SITE
        for name in ("start", "stop", "main", "before"):
            source = source.replace(f"{{{name}}}", hooks.get(name, "pass"))
        path.write_text(textwrap.dedent(source))
        self.saying, saying = os.pipe()
        os.set_inheritable(saying, True)
        self.child = subprocess.Popen(
            [sys.executable, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            pass_fds=[saying],
            env={**os.environ, "SAYING": str(saying)},
            start_new_session=True,
        )
        os.close(saying)
        self.output = ""

    def reach(self, word: str) -> None:
        """Read until the output contains *word*."""
        while word not in self.output:
            part = os.read(self.saying, 4096).decode()
            assert part, f"{word!r} never came: {self.output}"
            self.output += part

    def terminate(self, times: int) -> int:
        """Send SIGTERM until the process ends, but at most so many times, and return its status."""
        for left in reversed(range(times)):
            self.child.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.child.wait(2 if left else 60)
        raise AssertionError(f"it still runs after {times} SIGTERM")


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start programs; they are killed at the end of the test."""
    with contextlib.ExitStack() as ending:

        def begun(out: int = subprocess.DEVNULL, err: int = subprocess.DEVNULL, **hooks: str) -> Program:
            program = Program(tmp_path / "site.py", out, err, **hooks)
            ending.callback(os.close, program.saying)
            ending.callback(program.child.wait)
            ending.callback(program.child.kill)
            return program

        yield begun


@pytest.mark.slow
@pytest.mark.parametrize("kind", [full_pipe, full_socket, stopped_terminal])
def test_the_second_sigterm_ends_a_process_whose_stderr_blocks(
    begin: Callable[..., Program], kind: Callable[[], tuple[int, int]]
) -> None:
    """The first line of the start is not written either; the message and the stacks do not wait for a reader."""
    reading, writing = kind()
    try:
        program = begin(err=writing, before='say("beginning")')
        program.reach("beginning")

        # A signal that arrives before its handler ends the process, too, and an exit may write no line that blocks.
        assert program.terminate(3) in {0, 128 + signal.SIGTERM, -signal.SIGTERM}
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_second_sigterm_ends_a_main_thread_that_waits_for_a_stream(
    begin: Callable[..., Program], stream: str
) -> None:
    """Another thread writes to a full pipe; a signal does not interrupt the wait for the lock of the stream."""
    reading, writing = os.pipe()
    try:
        given = {"out" if stream == "stdout" else "err": writing}
        line = f"print('x' * 100000, file=sys.{stream}, flush=True)"
        program = begin(**given, main=f"fill(sys.{stream})", stop=line)
        program.reach("ready")
        with contextlib.suppress(subprocess.TimeoutExpired):
            # Wait until the pipe is full; when the thread enters its write cannot be observed.
            while select.select([], [writing], [], 0)[1]:
                program.child.wait(0.01)

        assert program.terminate(2) == 128 + signal.SIGTERM
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.slow
def test_one_sigterm_suffices_if_only_the_output_of_run_blocks(begin: Callable[..., Program]) -> None:
    """During an exit these lines are omitted, and components are stopped in order."""
    reading, writing = os.pipe()
    try:
        program = begin(err=writing)
        program.reach("ready")
        fill(writing)

        assert program.terminate(1) == 0
        program.reach("stopping")
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.slow
@pytest.mark.parametrize("hook", ["start", "main", "stop"])
def test_the_second_sigterm_ends_a_main_thread_in_c_code(
    begin: Callable[..., Program], hook: str, tmp_path: Path
) -> None:
    """It runs no Python signal handlers; the stacks show the call."""
    log = tmp_path / "stderr"
    with log.open("wb") as stderr:
        program = begin(err=stderr.fileno(), **{hook: "hang_in_c()"})
        if hook == "stop":
            program.reach("ready")
            program.child.send_signal(signal.SIGTERM)
        program.reach("hanging")

        assert program.terminate(1 if hook == "stop" else 2) == 128 + signal.SIGTERM

    text = log.read_text()
    assert "SIGTERM again: ending at once; the stacks of all threads:" in text
    assert "in hang_in_c" in text


@pytest.mark.slow
def test_one_sigterm_never_forces_an_end(begin: Callable[..., Program]) -> None:
    """Even if it interrupts the main thread, and after forked children have received a SIGTERM each."""
    stop = """
        import multiprocessing, time
        children = [multiprocessing.get_context("fork").Process(target=signal.pause) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.terminate()
            child.join()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(2.5)
        """
    lines = textwrap.indent(textwrap.dedent(stop), " " * 8).strip()
    program = begin(main="self.bus.request_exit()", stop=lines)
    program.reach("stopping")

    assert program.child.wait(60) == 0


@pytest.mark.slow
def test_a_signal_at_the_beginning_of_a_forked_process_does_not_count_in_its_parent(
    begin: Callable[..., Program],
) -> None:
    """The child has not closed the sockets of the signals, which it shares with its parent, at that time."""
    program = begin(
        before="os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))",
        main="[os.waitpid(os.fork() or signal.pause(), 0) for _ in range(3)]; self.bus.request_exit()",
        stop="import time; os.kill(os.getpid(), signal.SIGINT); time.sleep(2.5)",
    )
    program.reach("stopping")

    assert program.child.wait(60) == 0


@pytest.mark.slow
def test_a_forked_process_has_one_thread_and_its_parent_keeps_the_signals(
    begin: Callable[..., Program],
) -> None:
    """The thread that watches for signals is paused for the fork, and continues in the parent."""
    before = 'os.register_at_fork(before=lambda: say("threads " + " ".join(t.name for t in threading.enumerate())))'
    main = (
        "child = os.fork(); child or os._exit(signal.set_wakeup_fd(-1) + 2); "
        'say(f"status {os.waitpid(child, 0)[1]}"); say("again " + " ".join(t.name for t in threading.enumerate()))'
    )
    program = begin(before=before, main=main)
    program.reach("again")
    program.terminate(1)

    lines = program.output.splitlines()
    assert "threads MainThread" in lines
    assert f"status {1 << 8}" in lines
    assert "again MainThread signals" in program.output


def test_writing_to_a_full_pipe_returns() -> None:
    """The text is discarded, and the pipe stays in blocking mode."""
    reading, writing = full_pipe()
    try:
        write(writing, b"lost", patience=0.01)

        assert os.get_blocking(writing)
    finally:
        os.close(reading)
        os.close(writing)


def test_a_slow_reader_gets_everything() -> None:
    """A text larger than the pipe is written in pieces until the time limit."""
    reading, writing = os.pipe()
    text = b"0123456789" * 100_000
    pieces: list[bytes] = []

    def read() -> None:
        while part := os.read(reading, 1 << 16):
            pieces.append(part)

    thread = threading.Thread(target=read)
    thread.start()
    write(writing, text, patience=20)
    os.close(writing)
    thread.join(20)
    os.close(reading)

    assert b"".join(pieces) == text


def test_stacks_are_written_without_a_free_descriptor(tmp_path: Path) -> None:
    """A process that has used up its descriptors still shows its stacks."""
    import resource

    with (tmp_path / "stacks").open("w+b") as file:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (file.fileno() + 1, limits[1]))
        try:
            write_stacks(file.fileno())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

        assert b"in test_stacks_are_written" in Path(file.name).read_bytes()
