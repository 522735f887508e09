"""Signals that arrive while a real process is replaced by its own program."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no process"),
]

#: A site that is restarted by SIGUSR2, and pauses in its second life before and after the import of typedbus.
SITE = """
import os, signal, subprocess, sys

def say(text):
    os.write(1, f"{text}\\n".encode())

def pause(where):
    if "AGAIN" in os.environ:
        say(where)
        sys.stdin.readline()

pause("before the import")
from typedbus import *
from typedbus.plugins.signals import Action, Signals, channel_of
pause("after the import")

class Part:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.is_ready = False

    @on(channel_of(signal.SIGALRM))
    def alarm(self) -> None:
        say("alarm")

    def graceful(self) -> None:
        say("graceful")

    def exit(self) -> None:
        {exit}

    def main(self) -> None:
        if not self.is_ready:
            self.is_ready = True
            os.environ["AGAIN"] = "yes"
            say("ready")

class Site(Container):
    bus = Component(Bus)
    signals = Component(Signals, bus.provided, actions={signal.SIGUSR2: Action.RESTART, signal.SIGALRM: None})
    part = Component(Part, bus.provided)

{before}
status = run(Site)
raise SystemExit(status)
"""


class Program:
    """The site in a process of its own, with its lines."""

    def __init__(self, path: Path, *, before: str = "", at_exit: str = "pass", command: tuple[str, ...] = ()) -> None:
        path.write_text(SITE.replace("{exit}", at_exit).replace("{before}", textwrap.dedent(before)), encoding="utf-8")
        self.child = subprocess.Popen(
            [*command, sys.executable, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "AGAIN"},
        )
        self.pid = self.child.pid
        self.lines: list[str] = []

    def reach(self, text: str) -> None:
        """Read until a line is *text*."""
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.lines.append(line.rstrip())
            if line.rstrip() == text:
                return
        raise AssertionError(f"{text!r} never came:\n" + "\n".join(self.lines))

    def send(self, *numbers: signal.Signals) -> None:
        """Send it signals."""
        for number in numbers:
            os.kill(self.pid, number)

    def go_on(self) -> None:
        """Let it go on from a pause."""
        assert self.child.stdin is not None
        self.child.stdin.write("\n")
        self.child.stdin.flush()

    def end(self) -> int:
        """Read to the end and return the exit status."""
        assert self.child.stdout is not None
        self.lines.extend(line.rstrip() for line in self.child.stdout)
        return self.child.wait(60)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Begin programs; none of them outlives the test."""
    programs: list[Program] = []

    def begun(**given: object) -> Program:
        programs.append(Program(tmp_path / "site.py", **given))  # type: ignore[arg-type]  # by name
        return programs[-1]

    yield begun
    for program in programs:
        program.child.kill()
        program.child.communicate()


def child_of(pid: int) -> int:
    """Return the only child of process *pid*."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


PHASES = ["before the import", "after the import"]


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_between_the_replacement_and_the_start_is_acted_on_after_the_start(
    begin: Callable[..., Program], phase: str
) -> None:
    """It neither ends the process, nor is it lost: as often as the process is restarted."""
    program = begin()
    program.reach("ready")
    for _ in range(3):
        program.send(signal.SIGUSR2)
        for reached in PHASES:
            program.reach(reached)
            if reached == phase:
                program.send(signal.SIGUSR1)
            program.go_on()
        program.reach("graceful")
    program.send(signal.SIGTERM)

    assert program.end() == 0


def test_a_second_restart_is_carried_out_after_the_start(begin: Callable[..., Program]) -> None:
    """The code may have changed while it was imported."""
    program = begin()
    program.reach("ready")
    program.send(signal.SIGUSR2)
    program.reach("before the import")
    program.send(signal.SIGUSR2)
    program.go_on()
    program.reach("after the import")
    program.go_on()
    program.reach("bus      STARTED")
    program.reach("before the import")
    program.go_on()
    program.reach("after the import")
    program.go_on()
    program.reach("ready")
    program.send(signal.SIGTERM)

    assert program.end() == 0


def test_a_signal_in_the_exit_before_the_replacement_reaches_the_new_program(begin: Callable[..., Program]) -> None:
    """When the old program has turned to its exit, it carries out no request any more."""
    raising = '"AGAIN" in os.environ and signal.raise_signal(signal.SIGUSR1)'
    program = begin(at_exit=raising)
    program.reach("ready")
    program.send(signal.SIGUSR2)
    for phase in PHASES:
        program.reach(phase)
        program.go_on()
    program.reach("graceful")
    program.send(signal.SIGTERM)

    assert program.end() == 0


@pytest.mark.parametrize("phase", PHASES)
def test_sigterm_during_the_import_ends_the_new_program_at_once(begin: Callable[..., Program], phase: str) -> None:
    """Nothing has been started, so there is nothing to stop."""
    program = begin()
    program.reach("ready")
    program.send(signal.SIGUSR2)
    program.reach("before the import")
    if phase != "before the import":
        program.go_on()
        program.reach(phase)
    program.send(signal.SIGTERM)

    assert program.end() == -signal.SIGTERM


def test_a_handler_that_the_program_installs_itself_gets_the_signal(begin: Callable[..., Program]) -> None:
    """A handler that was installed without `Signals` makes the signal one that the new program needs."""
    program = begin(before="signal.signal(signal.SIGVTALRM, lambda *ignored: say('own handler'))")
    program.reach("ready")
    program.send(signal.SIGUSR2)
    program.reach("before the import")
    program.send(signal.SIGVTALRM)
    program.go_on()
    program.reach("after the import")
    program.go_on()
    program.reach("own handler")
    program.send(signal.SIGTERM)

    assert program.end() == 0


def test_a_program_without_a_handler_has_the_default_action_again(begin: Callable[..., Program]) -> None:
    """After its start nothing is held any more; a signal that had arrived is discarded."""
    before = "'AGAIN' in os.environ or signal.signal(signal.SIGVTALRM, lambda *ignored: None)"
    program = begin(before=before)
    program.reach("ready")
    program.send(signal.SIGUSR2)
    program.reach("before the import")
    program.send(signal.SIGVTALRM)
    program.go_on()
    program.reach("after the import")
    program.go_on()
    program.reach("ready")
    program.send(signal.SIGVTALRM)

    assert program.end() == -signal.SIGVTALRM


def test_children_of_the_import_have_no_signal_blocked(begin: Callable[..., Program]) -> None:
    """They inherit neither the mask nor the handlers."""
    asking = (
        "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), signal.getsignal(10), flush=True)"
    )
    program = begin(before=f"subprocess.run([sys.executable, '-c', {asking!r}])")
    program.reach("ready")
    program.send(signal.SIGUSR2)
    for phase in PHASES:
        program.reach(phase)
        program.go_on()
    program.reach("ready")
    program.send(signal.SIGTERM)

    assert program.end() == 0
    assert program.lines.count("[] 0") == 2


def test_sigterm_while_a_failure_is_printed_before_the_replacement_ends_the_process(
    begin: Callable[..., Program],
) -> None:
    """The last moment in which a handler may catch it counts as well."""
    program = begin(
        before="""
        class Failure(Exception):
            def __str__(self):
                if "AGAIN" in os.environ and bus.state is State.EXITED:
                    signal.raise_signal(signal.SIGTERM)
                return "failed"

        Site = Site()
        bus = Site.attach()
        """,
        at_exit="raise Failure",
    )
    program.reach("ready")
    program.send(signal.SIGUSR2)

    assert program.end() == 70
    assert "SIGTERM: exiting in order; send it again to end at once" in program.lines


def test_a_child_that_outlives_a_restart_is_named_and_reaped_when_it_ends(begin: Callable[..., Program]) -> None:
    """The new program does not know it, and leaves no zombie all the same."""
    before = """
    if "AGAIN" not in os.environ:
        child = subprocess.Popen(["sleep", "1000"])
        say(f"child {child.pid}")
    """
    program = begin(before=before)
    program.reach("ready")
    program.send(signal.SIGUSR2)
    for phase in PHASES:
        program.reach(phase)
        program.go_on()
    program.reach("ready")
    (child,) = (int(line.split()[1]) for line in program.lines if line.startswith("child "))
    try:
        warning = f"child process {child} still runs and stays a child of the restarted program: sleep 1000"
        assert f"log      {warning}" in program.lines
    finally:
        os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        select.select([], [], [], 0.01)

    assert not Path(f"/proc/{child}").exists()
    program.send(signal.SIGTERM)
    assert program.end() == 0


AS_PID_1 = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="only root makes a PID namespace",
)
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--")


@AS_PID_1
def test_the_first_process_of_a_namespace_exits_in_order_also_after_a_restart(begin: Callable[..., Program]) -> None:
    """SIGTERM and a restart mean the same there."""
    program = begin(command=NAMESPACE)
    program.reach("ready")
    program.pid = child_of(program.pid)
    program.send(signal.SIGUSR2)
    for phase in PHASES:
        program.reach(phase)
        program.go_on()
    program.reach("ready")
    program.send(signal.SIGTERM)

    assert program.end() == 0
    assert program.lines[-1] == "bus      EXITED"


@AS_PID_1
@pytest.mark.parametrize("phase", PHASES)
def test_sigterm_during_the_import_ends_the_first_process_of_a_namespace(
    begin: Callable[..., Program], phase: str
) -> None:
    """The system has no default action for it, so that SIGTERM would be lost there."""
    program = begin(command=NAMESPACE)
    program.reach("ready")
    program.pid = child_of(program.pid)
    program.send(signal.SIGUSR2)
    program.reach("before the import")
    if phase == "before the import":
        program.send(signal.SIGTERM)
        program.go_on()
    else:
        program.go_on()
        program.reach(phase)
        program.send(signal.SIGTERM)

    assert program.end() == 128 + signal.SIGTERM
    assert "bus      STARTED" not in program.lines[program.lines.index("before the import") :]
