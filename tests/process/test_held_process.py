"""Signals that arrive while a real process is replaced by its own program."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.processes import Begin, Program, programs, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no process"),
]

#: A site that SIGUSR2 restarts, and that pauses after the restart before and after the import of typedbus.
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


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start sites."""
    environ = {name: value for name, value in os.environ.items() if name != "AGAIN"}
    with programs(tmp_path, env=environ) as begin_program:

        def begin(*, before: str = "", at_exit: str = "pass", within: Sequence[str] = ()) -> Program:
            source = SITE.replace("{exit}", at_exit).replace("{before}", textwrap.dedent(before))
            return begin_program(source, within=within)

        yield begin


def child_of(pid: int) -> int:
    """Return the only child of process *pid*."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


PHASES = ["before the import", "after the import"]


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_before_the_start_of_the_new_program_is_handled_after_it(begin: Begin, phase: str) -> None:
    """It neither ends the process nor is lost, in several restarts."""
    program = begin()
    program.reach_line("ready")
    for _ in range(3):
        program.send(signal.SIGUSR2)
        for reached in PHASES:
            program.reach_line(reached)
            if reached == phase:
                program.send(signal.SIGUSR1)
            program.write()
        program.reach_line("graceful")
    program.send(signal.SIGTERM)

    assert program.end() == 0


def test_a_second_restart_is_carried_out_after_the_start(begin: Begin) -> None:
    """The code may have changed during the import."""
    program = begin()
    program.reach_line("ready")
    program.send(signal.SIGUSR2)
    program.reach_line("before the import")
    program.send(signal.SIGUSR2)
    program.write()
    program.reach_line("after the import")
    program.write()
    program.reach_line("bus      STARTED")
    program.reach_line("before the import")
    program.write()
    program.reach_line("after the import")
    program.write()
    program.reach_line("ready")
    program.send(signal.SIGTERM)

    assert program.end() == 0


def test_a_signal_in_the_exit_before_the_replacement_reaches_the_new_program(begin: Begin) -> None:
    """During its exit, the old program handles no more requests."""
    raising = '"AGAIN" in os.environ and signal.raise_signal(signal.SIGUSR1)'
    program = begin(at_exit=raising)
    program.reach_line("ready")
    program.send(signal.SIGUSR2)
    for phase in PHASES:
        program.reach_line(phase)
        program.write()
    program.reach_line("graceful")
    program.send(signal.SIGTERM)

    assert program.end() == 0


@pytest.mark.parametrize("phase", PHASES)
def test_sigterm_during_the_import_ends_the_new_program_at_once(begin: Begin, phase: str) -> None:
    """No component has been started, so that none must be stopped."""
    program = begin()
    program.reach_line("ready")
    program.send(signal.SIGUSR2)
    program.reach_line("before the import")
    if phase != "before the import":
        program.write()
        program.reach_line(phase)
    program.send(signal.SIGTERM)

    assert program.end() == -signal.SIGTERM


def test_a_handler_that_the_program_installs_itself_gets_the_signal(begin: Begin) -> None:
    """A handler that was installed without `Signals` counts as a user of the signal."""
    program = begin(before="signal.signal(signal.SIGVTALRM, lambda *ignored: say('own handler'))")
    program.reach_line("ready")
    program.send(signal.SIGUSR2)
    program.reach_line("before the import")
    program.send(signal.SIGVTALRM)
    program.write()
    program.reach_line("after the import")
    program.write()
    program.reach_line("own handler")
    program.send(signal.SIGTERM)

    assert program.end() == 0


def test_a_program_without_a_handler_has_the_default_action_again(begin: Begin) -> None:
    """After its start no signal is blocked, and a pending signal is discarded."""
    before = "'AGAIN' in os.environ or signal.signal(signal.SIGVTALRM, lambda *ignored: None)"
    program = begin(before=before)
    program.reach_line("ready")
    program.send(signal.SIGUSR2)
    program.reach_line("before the import")
    program.send(signal.SIGVTALRM)
    program.write()
    program.reach_line("after the import")
    program.write()
    program.reach_line("ready")
    program.send(signal.SIGVTALRM)

    assert program.end() == -signal.SIGVTALRM


def test_children_of_the_import_have_no_signal_blocked(begin: Begin) -> None:
    """They inherit neither the mask nor the handlers."""
    asking = (
        "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), signal.getsignal(10), flush=True)"
    )
    program = begin(before=f"subprocess.run([sys.executable, '-c', {asking!r}])")
    program.reach_line("ready")
    program.send(signal.SIGUSR2)
    for phase in PHASES:
        program.reach_line(phase)
        program.write()
    program.reach_line("ready")
    program.send(signal.SIGTERM)

    assert program.end() == 0
    assert program.lines.count("[] 0") == 2


def test_sigterm_while_a_failure_is_printed_before_the_replacement_ends_the_process(
    begin: Begin,
) -> None:
    """A handler still exists at that time."""
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
    program.reach_line("ready")
    program.send(signal.SIGUSR2)

    assert program.end() == 70
    assert "SIGTERM: exiting in order; send it again to end at once" in program.lines


def test_a_child_that_outlives_a_restart_is_logged_and_reaped(begin: Begin) -> None:
    """The new program did not start it, but leaves no zombie."""
    before = """
    if "AGAIN" not in os.environ:
        child = subprocess.Popen(["sleep", "1000"])
        say(f"child {child.pid}")
    """
    program = begin(before=before)
    program.reach_line("ready")
    program.send(signal.SIGUSR2)
    for phase in PHASES:
        program.reach_line(phase)
        program.write()
    program.reach_line("ready")
    (child,) = (int(line.split()[1]) for line in program.lines if line.startswith("child "))
    try:
        warning = f"child process {child} still runs and stays a child of the restarted program: sleep 1000"
        assert f"log      {warning}" in program.lines
    finally:
        os.kill(child, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{child}").exists(), lambda: f"process {child} is a zombie")

    program.send(signal.SIGTERM)
    assert program.end() == 0


AS_PID_1 = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="only root makes a PID namespace",
)
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--")


@AS_PID_1
def test_pid_1_of_a_namespace_exits_in_order_after_a_restart(begin: Begin) -> None:
    """SIGTERM and a restart work as in other processes."""
    program = begin(within=NAMESPACE)
    program.reach_line("ready")
    program.pid = child_of(program.pid)
    program.send(signal.SIGUSR2)
    for phase in PHASES:
        program.reach_line(phase)
        program.write()
    program.reach_line("ready")
    program.send(signal.SIGTERM)

    assert program.end() == 0
    assert program.lines[-1] == "bus      EXITED"


@AS_PID_1
@pytest.mark.parametrize("phase", PHASES)
def test_sigterm_during_the_import_ends_pid_1_of_a_namespace(begin: Begin, phase: str) -> None:
    """The system has no default action for this process, so that SIGTERM would be lost."""
    program = begin(within=NAMESPACE)
    program.reach_line("ready")
    program.pid = child_of(program.pid)
    program.send(signal.SIGUSR2)
    program.reach_line("before the import")
    if phase == "before the import":
        program.send(signal.SIGTERM)
        program.write()
    else:
        program.write()
        program.reach_line(phase)
        program.send(signal.SIGTERM)

    assert program.end() == 128 + signal.SIGTERM
    assert "bus      STARTED" not in program.lines[program.lines.index("before the import") :]
