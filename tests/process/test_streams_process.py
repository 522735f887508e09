"""Processes that begin with closed standard streams: their messages do not end up in other files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("no shell of this system closes a standard stream", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

PROGRAM = """\
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path

WHEN = os.environ["WHEN"]


def ledger():
    return open(os.environ["LEDGER"], "wb", buffering=0)


if WHEN == "import":
    FILE = ledger()

from typedbus import Bus, Component, Container, run
from typedbus.plugins.daemon import Daemon


class Ledger:
    def __init__(self, bus: Bus) -> None:
        if WHEN == "construction":
            self.file = ledger()

    def start(self) -> None:
        if WHEN == "import":
            self.file = FILE
        elif WHEN == "start":
            self.file = ledger()
        self.file.write(b"BEGIN\\n")
        print("on stdout", flush=True)
        print("on stderr", file=sys.stderr)
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()

    def main(self) -> None:
        signal.raise_signal(signal.SIGTERM)

    def stop(self) -> None:
        self.file.write(b"END\\n")
        self.file.close()
        Path("done").touch()
        if os.environ.get("TWICE"):
            signal.raise_signal(signal.SIGTERM)


class Site(Container):
    bus = Component(Bus)
    ledger = Component(Ledger, bus.provided)


class Forked(Site):
    daemon = Component(Daemon, Site.bus.provided, stdout="out", stderr="out")


if __name__ == "__main__":
    raise SystemExit(run(Forked if "--daemon" in sys.argv else Site))
"""
COMMAND = ["-m", "typedbus", "run", "program:Site"]
CLOSED = ["2>&-", "<&- >&- 2>&-", "<&-"]


def begin(folder: Path, closed: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python in *folder* with streams closed by a shell."""
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "LEDGER": "ledger", "WHEN": "start", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def text_of(path: Path, last: str = "") -> str:
    """Return the content of a file as soon as it contains *last*."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if last in text:
            return text
        time.sleep(0.01)
    raise AssertionError(path)


@pytest.mark.parametrize("when", ["import", "construction", "start"])
@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    "program", [pytest.param(COMMAND, marks=pytest.mark.exhaustive), ["program.py"]], ids=["command", "program"]
)
def test_a_file_of_a_component_has_only_its_own_output(
    tmp_path: Path, program: list[str], closed: str, when: str
) -> None:
    """Whenever it is opened, and although its descriptor may have the number of stderr."""
    done = begin(tmp_path, closed, *program, WHEN=when)

    assert done.returncode == 0
    assert (tmp_path / "ledger").read_bytes() == b"BEGIN\nEND\n"


@pytest.mark.parametrize("when", ["import", "start"])
@pytest.mark.parametrize("closed", CLOSED)
def test_a_forced_end_writes_no_stacks_into_the_file_of_a_component(tmp_path: Path, closed: str, when: str) -> None:
    """The second SIGTERM ends the process with 143."""
    done = begin(tmp_path, closed, "program.py", WHEN=when, TWICE="1")

    assert done.returncode == 143
    assert (tmp_path / "ledger").read_bytes() == b"BEGIN\nEND\n"


@pytest.mark.skipif(sys.platform == "darwin", reason="no process becomes a daemon on this system")
@pytest.mark.parametrize("when", ["import", "start"])
@pytest.mark.parametrize("closed", [*CLOSED, ""])
@pytest.mark.parametrize(
    "program",
    [[*COMMAND, "--daemon", "--output", "out"], pytest.param(["program.py", "--daemon"], marks=pytest.mark.exhaustive)],
    ids=["command", "program"],
)
def test_a_daemon_started_without_streams_writes_all_of_its_output(
    tmp_path: Path, program: list[str], closed: str, when: str
) -> None:
    """Printed text, uncaught exceptions of threads and reports of `run` are in the output file of the daemon only."""
    done = begin(tmp_path, closed, *program, WHEN=when)

    assert done.returncode == 0
    output = text_of(tmp_path / "out", "EXITED\n")
    assert "on stdout\n" in output
    assert "on stderr\n" in output
    assert "ZeroDivisionError" in output
    assert "SIGTERM: exiting in order" in output or (when == "import" and "2>&-" in closed)
    assert (tmp_path / "ledger").read_bytes() == b"BEGIN\nEND\n"


def test_an_invalid_container_is_not_reported_on_stdout(tmp_path: Path) -> None:
    """Python redirects messages to stdout if stderr is None."""
    (tmp_path / "bad.py").write_text(
        "from typedbus import Container, run\n\nclass Bad(Container): ...\n\nraise SystemExit(run(Bad))\n",
        encoding="utf-8",
    )
    done = begin(tmp_path, "2>&-", "bad.py")

    assert (done.returncode, done.stdout) == (1, "")
