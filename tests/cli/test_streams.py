"""The command line with standard streams that fail: a closed pipe, a full disk, a closed descriptor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MODULE = """\
import atexit

from typedbus import MAIN, START, Bus, Component, Container

print("imported")
atexit.register(print, "leaving")


class Part:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def main(self) -> None:
        print("running")
        self.bus.request_exit()


def fail(part: Part) -> None:
    raise OSError("no heat")


class Failing(Container):
    bus = Component(Bus)
    part = Component(Part, bus.provided).on(START.calls(fail))


class Bad(Container):
    part = Component(Part)  # type: ignore[call-arg]


def print_at_once(part: Part) -> None:
    print("running", flush=True)


class Noticing(Container):
    bus = Component(Bus)
    part = Component(Part, bus.provided).on(MAIN.calls(print_at_once))


class Shop(Container):
    bus = Component(Bus)
    part = Component(Part, bus.provided)
"""

#: Command lines, their exit status, and the status with a full stdout; None if stdout has no output.
COMMANDS = [
    ("--help", 0, 2),
    ("check module:Shop", 0, 2),
    ("check module:Bad", 1, 1),
    ("check nothing:Shop", 2, None),
    ("graph module:Shop", 0, 2),
    ("graph module:Bad --format dot", 1, 1),
    ("run module:Shop", 0, 70),
    ("run module:Shop --report -", 0, 70),
    ("run module:Failing", 1, 1),
    ("run module:Bad", 1, 1),
    ("status --pidfile none.pid", 3, 3),
    ("stop --pidfile none.pid", 0, None),
    ("reload --pidfile none.pid", 1, None),
]
#: Command lines that behave like another of the list.
REST = ("check nothing:Shop", "graph module:Shop", "run module:Shop", "run module:Bad", "reload --pidfile none.pid")
COMMAND = pytest.mark.parametrize(
    ("line", "status", "unwritten"),
    [
        pytest.param(*command, marks=[pytest.mark.exhaustive] if command[0] in REST else [], id=command[0])
        for command in COMMANDS
    ],
)
ERROR = "Error: cannot write stdout: No space left on device\n"

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a module of containers."""
    (tmp_path / "module.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


def typedbus(
    folder: Path, line: str, *flags: str, closed: int | None = None, **streams: int
) -> subprocess.CompletedProcess[str]:
    """Run a command line in *folder* with *streams*, and without the descriptor *closed*."""
    command = [sys.executable, *flags, "-m", "typedbus", *line.split()]
    if closed is not None:
        command = ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *command]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    outputs: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run(command, cwd=folder, env=environment, encoding="utf-8", timeout=60, check=False, **outputs)


def complaints(text: str) -> list[str]:
    """Return the lines of *text* in which the interpreter or the command complains about a stream."""
    signs = ("Exception ignored", "Broken pipe", "lost sys.std", "NoneType", "Bad file descriptor")
    return [line for line in text.splitlines() if any(sign in line for sign in signs)]


@pytest.fixture
def broken_pipe() -> Iterator[int]:
    """Return the write end of a pipe whose read end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def full() -> Iterator[int]:
    """Return a device without space."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    device = os.open("/dev/full", os.O_WRONLY)
    yield device
    os.close(device)


@COMMAND
def test_a_closed_pipe_as_stdout_does_not_change_the_status(
    folder: Path, broken_pipe: int, line: str, status: int, unwritten: int | None
) -> None:
    """The status is that of the command, and stderr has no error about the pipe."""
    done = typedbus(folder, line, stdout=broken_pipe)

    assert (done.returncode, complaints(done.stderr)) == (status, [])


@COMMAND
def test_a_full_stdout_is_reported(folder: Path, full: int, line: str, status: int, unwritten: int | None) -> None:
    """A success whose output is lost becomes a failure; a failure keeps its status."""
    done = typedbus(folder, line, stdout=full)

    assert (done.returncode, done.stderr.endswith(ERROR), complaints(done.stderr)) == (
        (status, False, []) if unwritten is None else (unwritten, True, [])
    )


@COMMAND
@pytest.mark.parametrize("kind", ["broken_pipe", "full"])
def test_an_unwritable_stderr_does_not_change_the_status(
    folder: Path, request: pytest.FixtureRequest, line: str, status: int, unwritten: int | None, kind: str
) -> None:
    """Messages are lost, and stdout has the same output."""
    done = typedbus(folder, line, stderr=request.getfixturevalue(kind))

    assert (done.returncode, bool(done.stdout), complaints(done.stdout)) == (status, unwritten is not None, [])


@COMMAND
def test_a_closed_stdout_does_not_change_the_status(
    folder: Path, line: str, status: int, unwritten: int | None
) -> None:
    """Output is lost, and stderr has no error about it."""
    done = typedbus(folder, line, closed=1)

    assert (done.returncode, complaints(done.stderr)) == (status, [])


@COMMAND
def test_a_closed_stderr_does_not_change_the_status(
    folder: Path, line: str, status: int, unwritten: int | None
) -> None:
    """Messages do not appear on stdout."""
    done = typedbus(folder, line, closed=2)

    assert (done.returncode, bool(done.stdout)) == (status, unwritten is not None)
    assert "error:" not in done.stdout
    assert "Traceback" not in done.stdout


def test_a_closed_pipe_without_buffering_does_not_change_the_status(folder: Path, broken_pipe: int) -> None:
    """The write fails at once, and not at the exit."""
    done = typedbus(folder, "check module:Shop", "-u", stdout=broken_pipe)

    assert (done.returncode, complaints(done.stderr)) == (0, [])


def test_a_component_that_prints_to_a_closed_pipe_fails(folder: Path, broken_pipe: int) -> None:
    """As in a program without `run`; the status is that of a failure."""
    done = typedbus(folder, "run module:Noticing", stdout=broken_pipe)

    assert done.returncode == 70
    assert "BrokenPipeError: [Errno 32] Broken pipe\n" in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_missing_library_has_status_2_with_an_unwritable_stderr(folder: Path, full: int) -> None:
    """The message about the extra may be lost."""
    source = "import sys; sys.modules['click'] = None; from typedbus.__main__ import main; raise SystemExit(main())"

    done = subprocess.run([sys.executable, "-c", source], stdout=full, stderr=full, timeout=60, check=False)

    assert done.returncode == 2
