"""The PID file during a restart: which process locks it, and when it is removed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

if sys.platform == "win32":
    pytest.skip("this system replaces no process", allow_module_level=True)

from typedbus import Bus
from typedbus.plugins.pidfile import AlreadyRunning, PIDFile, read

pytestmark = pytest.mark.slow

RESTARTING = """
import sys, os
from typedbus import *
from typedbus.plugins.pidfile import PIDFile, read
path = sys.argv[1]


def say(text):
    print(text, flush=True)


is_second = "SECOND" in os.environ
os.environ["SECOND"] = "yes"
if is_second:
    say(f"imports {read(path) == os.getpid()}")
    IMPORTING


class Desk:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def start(self):
        STARTING

    def exit(self):
        EXITING

    def main(self):
        if is_second:
            say(f"started {read(path) == os.getpid()} {sorted(os.listdir(os.path.dirname(path)))}")
            say(f"children {[name for name in os.environ if name.startswith('TYPEDBUS_PIDFILES')]}")
            say(sys.stdin.readline().strip())
            self.bus.request_exit()
        else:
            self.bus.restart()


class Site(Container):
    bus = Component(Bus)
    if not is_second or DECLARES:
        pidfile = Component(PIDFile, bus.provided, path=path + ("2" if is_second and OTHER else ""))
    desk = Component(Desk, bus.provided)


if __name__ == "__main__":
    raise SystemExit(run(Site))
"""


Restart = Callable[..., "subprocess.Popen[str]"]


def lines_of(stream: IO[str] | None) -> Iterator[str]:
    """Yield the lines of a child's output."""
    assert stream is not None
    return (line.rstrip() for line in iter(stream.readline, ""))


@pytest.fixture
def restart(tmp_path: Path) -> Iterator[Restart]:
    """Start a program that restarts as soon as it has started."""
    folder = tmp_path / "run"
    folder.mkdir()
    begun: list[subprocess.Popen[str]] = []

    def begin_one(**spliced: str) -> subprocess.Popen[str]:
        source = RESTARTING
        whole = {
            "IMPORTING": "pass",
            "STARTING": "pass",
            "EXITING": "pass",
            "DECLARES": "True",
            "OTHER": "False",
            **spliced,
        }
        for name, text in whole.items():
            source = source.replace(name, text)
        (tmp_path / "program.py").write_text(source)
        pipe = subprocess.PIPE
        command = [sys.executable, str(tmp_path / "program.py"), str(folder / "site.pid")]
        begun.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return begun[-1]

    yield begin_one
    for one in begun:
        one.kill()
        one.communicate()


def test_a_restart_keeps_the_file(restart: Restart, tmp_path: Path) -> None:
    """It stays locked during the import of the new program, it is the same file afterwards, and no variable is left."""
    path = tmp_path / "run" / "site.pid"
    program = restart(IMPORTING="say(os.stat(path).st_ino)", EXITING="is_second or say(os.stat(path).st_ino)")
    lines = lines_of(program.stdout)

    before, imports, during = next(lines), next(lines), next(lines)
    assert (imports, before) == ("imports True", during)
    assert next(lines) == "started True ['site.pid']"
    assert next(lines) == "children []"
    assert (read(path), str(path.stat().st_ino)) == (program.pid, before)
    program.communicate("go\n", timeout=30)
    assert program.returncode == 0
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("spliced", "files"), [({"DECLARES": "False"}, []), ({"OTHER": "True"}, ["site.pid2"])], ids=["none", "another"]
)
def test_a_new_program_without_the_file_removes_it(restart: Restart, spliced: dict[str, str], files: list[str]) -> None:
    """After its start, the file is neither locked nor present."""
    lines = lines_of(restart(**spliced).stdout)

    assert [next(lines), next(lines)] == ["imports True", f"started False {files}"]


@pytest.mark.parametrize(
    "spliced",
    [
        {"IMPORTING": "raise ValueError"},
        {"IMPORTING": "sys.exit(3)"},
        {"STARTING": "if is_second: raise ValueError"},
        {"EXITING": "is_second or self.bus.request_exit()"},
        {"EXITING": "is_second or os.rmdir(os.getcwd())"},
    ],
    ids=["import", "exit", "start", "overtaken", "refused"],
)
def test_a_failed_restart_removes_the_file(
    restart: Restart, tmp_path: Path, spliced: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the new program fails, and if the old program exits after all."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    program = restart(**spliced)
    program.communicate("go\n", timeout=30)

    assert list((tmp_path / "run").iterdir()) == []


def test_a_signal_during_the_import_leaves_an_unlocked_file(restart: Restart, tmp_path: Path) -> None:
    """The locks end with the process."""
    program = restart(IMPORTING="sys.stdin.readline()")
    assert "imports True" in lines_of(program.stdout)
    program.terminate()
    program.wait(30)

    assert read(tmp_path / "run" / "site.pid") is None


def test_no_other_process_can_lock_the_file_during_a_restart(restart: Restart, tmp_path: Path) -> None:
    """Its start is refused with the PID."""
    program = restart(IMPORTING="sys.stdin.readline()")
    assert "imports True" in lines_of(program.stdout)

    with pytest.raises(AlreadyRunning) as refused:
        PIDFile(Bus(), path=tmp_path / "run" / "site.pid").start()

    assert refused.value.pid == program.pid
