"""Operator errors: `run` prints a line, and a traceback only on request."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

PROGRAM = """\
import sys

PORT = sys.argv[2] if sys.argv[2:] and sys.argv[2].isdigit() else 0

from typedbus import Bus, Component, Container, OperatorError, run
from typedbus.plugins.daemon import Daemon
from typedbus.plugins.logs import Logging
from typedbus.plugins.pidfile import PIDFile
from typedbus.plugins.privileges import Privileges
from typedbus.servers.wsgi import WSGIServer


class Part:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus


class Dry(OperatorError):
    def __str__(self) -> str:
        return "the tank is empty; fill it"


class Broken(Part):
    def start(self) -> None:
        raise KeyError("a slip")


class Empty(Part):
    def start(self) -> None:
        raise Dry


class Runs(Empty):
    def start(self) -> None:
        self.bus.request_exit(Dry())


class Sticks(Part):
    def start(self) -> None:
        pass

    def stop(self) -> None:
        raise KeyError("stuck")


class Site(Container):
    bus = Component(Bus)


class Log(Site):
    part = Component(Logging, Site.bus.provided, file="none/x.log")


class Pid(Site):
    part = Component(PIDFile, Site.bus.provided, path="none/x.pid")


class Port(Site):
    part = Component(WSGIServer, Site.bus.provided, app=lambda environ, start: [], bind=f"127.0.0.1:{PORT}")


class User(Site):
    part = Component(Privileges, Site.bus.provided, user="nosuchuser")


class Streams(Site):
    part = Component(Daemon, Site.bus.provided, stdout="none/out")


class Tank(Site):
    part = Component(Empty, Site.bus.provided)


class Later(Site):
    part = Component(Runs, Site.bus.provided)


class Both(Site):
    sticks = Component(Sticks, Site.bus.provided)
    part = Component(Empty, Site.bus.provided)


class Slip(Site):
    part = Component(Broken, Site.bus.provided)


if __name__ == "__main__":
    raise SystemExit(run(vars()[sys.argv[1]], tracebacks="--traceback" in sys.argv))
"""
CASES = {
    "Log": "cannot write the log file",
    "Pid": "cannot write the PID file",
    "Port": "cannot listen on 127.0.0.1:",
    "User": "user 'nosuchuser' does not exist on this system",
    "Streams": "cannot become the standard output of the daemon",
    "Tank": "the tank is empty; fill it",
}


@pytest.fixture
def busy_port() -> Iterator[str]:
    """Return a port on which another socket listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


def run_program(folder: Path, *arguments: str, command: tuple[str, ...] = ("program.py",)) -> tuple[int, str]:
    """Return the status of the program, and its stderr."""
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *command, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


def problem_lines(output: str) -> list[str]:
    """Return the lines of *output* that are not about the life cycle."""
    words = ("bus ", "built ", "started ", "failed ", "rolled back ", "exited ", "stopped ")
    return [line for line in output.splitlines() if not line.startswith(words)]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="not every component exists on this system")
@pytest.mark.parametrize("case", CASES)
def test_an_operator_error_is_one_line(tmp_path: Path, busy_port: str, case: str) -> None:
    """No traceback or second report follows; the line about the hook has the name of the class."""
    status, output = run_program(tmp_path, case, busy_port)

    assert status == 1
    (line,) = problem_lines(output)
    assert line.startswith("error: ")
    assert CASES[case] in line


@pytest.mark.parametrize("case", ["Log", "Tank"])
def test_tracebacks_of_operator_errors_are_shown_on_request(tmp_path: Path, case: str) -> None:
    """The text is the last line of the traceback."""
    status, output = run_program(tmp_path, case, "0", "--traceback")

    assert status == 1
    assert "Traceback (most recent call last):" in output
    assert CASES[case] in output


def test_an_operator_error_after_the_start_is_one_line(tmp_path: Path) -> None:
    """It is the cause of an exit, and the status is 70."""
    status, output = run_program(tmp_path, "Later", "0")

    assert status == 70
    assert [line for line in problem_lines(output) if not line.startswith("log ")] == [
        "error: the tank is empty; fill it"
    ]


@pytest.mark.parametrize(("case", "error"), [("Slip", "KeyError: 'a slip'"), ("Both", "KeyError: 'stuck'")])
def test_other_errors_have_a_traceback(tmp_path: Path, case: str, error: str) -> None:
    """Even together with an operator error."""
    status, output = run_program(tmp_path, case, "0")

    assert status == 1
    assert "Traceback (most recent call last):" in output
    assert error in output
    if case == "Both":
        assert "Dry: the tank is empty; fill it" in output


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="not every option works on this system")
@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        ("--log-file none/x", 1, "error: cannot write the log file"),
        ("--pidfile none/x", 1, "error: cannot write the PID file"),
        ("--daemon --output none/x", 1, "error: "),
        ("--daemon --pidfile none/x", 1, "did not start: cannot write the PID file"),
        ("--user nosuchuser", 2, "Error: user 'nosuchuser'"),
    ],
)
def test_an_option_that_fails_is_reported_in_one_line(tmp_path: Path, line: str, status: int, text: str) -> None:
    """With ``--traceback``, a failed start has more lines."""
    command = ("-m", "typedbus", "run", "program:Site", *line.split())

    ended, text_of_all = run_program(tmp_path, command=command)
    lines = problem_lines(text_of_all)
    more = problem_lines(run_program(tmp_path, command=(*command, "--traceback"))[1])

    assert ended == status
    if status == 1:
        (reason,) = lines
        assert text in reason
    else:
        assert text in lines[-1]
    assert not [line for line in lines if "Traceback" in line]
    # A daemon has written the traceback to its output.
    assert bool([line for line in more if "Traceback" in line]) == (text.startswith("error: "))
