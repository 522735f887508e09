"""Signals to real programs in each phase, with handlers, forks and restarts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import Begin, programs

from typedbus.plugins.pidfile import read

pytestmark = pytest.mark.slow

PRELUDE = """
import os, signal, sys, threading
# Whoever began this may have it ignored, as shells do in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
from typedbus import *
from typedbus.plugins.pidfile import PIDFile
from typedbus.plugins.signals import *

NUMBERS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1]
before = [signal.getsignal(number) for number in NUMBERS]


def say(text):
    os.write(1, f"{text}\\n".encode())


def hang_here(where):
    say(f"in {where}")
    # In turns, since a signal that comes just before a thread falls asleep does not wake it.
    while True:
        threading.Event().wait(0.05)


def pause(where):
    say(f"in {where}")
    sys.stdin.readline()


class Part:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def graceful(self) -> None:
        say("graceful")

"""

SITE = """
class Phased(Part):
    is_ready = False

    def start(self) -> None:
        {start}

    def stop(self) -> None:
        {stop}
        say("stops")

    def exit(self) -> None:
        {exit}

    def main(self) -> None:
        # Its first tick is when start() has returned.
        if not self.is_ready:
            self.is_ready = True
            say("ready")

class Site(Container):
    bus = Component(Bus)
    signals = Component(Signals, bus.provided)
    pidfile = Component(PIDFile, bus.provided, path=os.path.join(os.path.dirname(__file__), "site.pid"))
    part = Component(Phased, bus.provided)

status = run(Site)
say("restored" if [signal.getsignal(number) for number in NUMBERS] == before else "not restored")
raise SystemExit(status)
"""


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start programs of this source."""
    with programs(tmp_path, PRELUDE) as begin:
        yield begin


def site(**hooks: str) -> str:
    """Return a site whose component executes *hooks*, by name."""
    return SITE.format(**({"start": "pass", "stop": "pass", "exit": "pass"} | hooks))


TERM, INT, HUP, USR1 = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1
QUICK = {
    (TERM, "starting"),
    (USR1, "starting"),
    (INT, "started"),
    (HUP, "started"),
    (USR1, "started"),
    (TERM, "stopping"),
    (INT, "hangs in start"),
    (HUP, "hangs in stop"),
    (USR1, "hangs in exit"),
}
MATRIX = [
    pytest.param(
        number,
        phase,
        id=f"{number.name}-{phase}",
        marks=[] if (number, phase) in QUICK else [pytest.mark.exhaustive],
    )
    for number in (TERM, INT, HUP, USR1)
    for phase in ("starting", "started", "stopping", "hangs in start", "hangs in stop", "hangs in exit")
]


@pytest.mark.parametrize(("number", "phase"), MATRIX)
def test_each_signal_in_each_phase(begin: Begin, tmp_path: Path, number: signal.Signals, phase: str) -> None:
    """
    It exits in order with 0, puts the handlers back and leaves no PID file.

    Where a hook hangs, a second one forces with 128 + n; the file that stays is a stale one.
    """
    asks = number is not USR1
    pidfile = tmp_path / "site.pid"
    if phase == "starting":
        program = begin(site(start="pause('start')"))
        program.reach("in start")
        program.send(number)
        program.write()
        if not asks:
            program.reach("graceful")
            program.send(TERM)
    elif phase == "started":
        program = begin(site())
        program.reach("ready")
        program.send(number)
        if not asks:
            program.reach("graceful")
            program.send(TERM)
    elif phase == "stopping":
        program = begin(site(start="self.bus.request_exit()", stop="pause('stop')"))
        program.reach("in stop")
        program.send(number)
        program.write()
    else:
        hook = phase.split()[-1]
        program = begin(site(**{hook: f"hang_here('{hook}')"}))
        if hook != "start":
            program.reach("ready")
            program.send(number if asks else TERM)
        program.reach(f"in {hook}")
        # What is no exit, or no second one, changes nothing.
        program.send(number if hook == "start" else USR1)
        if asks and hook == "start":
            program.reach(f"{number.name}: exiting in order")
        if number in (HUP, USR1) and (hook == "start" or number is HUP):
            program.send(TERM)
            program.reach("SIGTERM: exiting in order")
        program.send(TERM)

        assert program.end() == 128 + TERM, program.output
        assert "SIGTERM again: ending at once; the stacks of all threads:" in program.lines
        assert "in hang_here" in program.output
        assert "restored" not in program.output
        assert (pidfile.exists(), read(pidfile)) == (True, None)
        return

    assert program.end() == 0, program.output
    assert program.lines[-1] == "restored"
    assert not pidfile.exists()
    assert "bus      EXITED" in program.lines
    assert ("graceful" in program.lines) == (number is USR1 and phase != "stopping")
    assert (f"log      {number.name}: exiting in order" in program.lines) == (asks and phase != "stopping")
    assert "stops" in program.lines
    assert "Traceback" not in program.output


def test_a_second_signal_ends_the_process_after_the_exit_of_the_component(begin: Begin) -> None:
    """run() counts the signals of the component: while it waits for owned threads, a second one ends the process."""
    program = begin("""
        class Owning(Part):
            def start(self) -> None:
                thread = threading.Thread(target=self.last, daemon=True)
                self.bus.own(thread)
                thread.start()

            def last(self) -> None:
                self.bus.wait(State.EXITED)
                say("all have exited")
                hang_here("thread")

        class Site(Container):
            bus = Component(Bus)
            signals = Component(Signals, bus.provided)
            part = Component(Owning, bus.provided).on(MAIN.calls(lambda part: signal.raise_signal(signal.SIGTERM)))

        raise SystemExit(run(Site))
    """)
    program.reach("in thread")

    program.send(TERM)

    assert program.end() == 128 + TERM
    assert "SIGTERM again: ending at once; the stacks of all threads:" in program.lines


def test_a_signal_ends_a_forked_child(begin: Begin) -> None:
    """The inherited handlers take no action in the child, and the parent continues."""
    program = begin("""
        class Forking(Part):
            def start(self) -> None:
                child = os.fork()
                if not child:
                    hang_here(f"the fork {os.getpid()}")
                self.child = child

            def main(self) -> None:
                _, status = os.waitpid(self.child, 0)
                say(f"died of {os.WTERMSIG(status)}")
                self.bus.request_exit()

        class Site(Container):
            bus = Component(Bus)
            signals = Component(Signals, bus.provided)
            part = Component(Forking, bus.provided)

        raise SystemExit(run(Site))
    """)
    program.reach("in the fork ")
    child = int(program.lines[-1].split()[-1])

    os.kill(child, TERM)

    assert program.end() == 0
    assert f"died of {TERM:d}" in program.lines


def test_signals_work_on_a_bus_without_a_container(begin: Begin) -> None:
    """Its hooks are subscribed by hand; the process ends in order, with the handlers restored."""
    program = begin("""
        bus = Bus()
        signals = Signals(bus, actions={signal.SIGUSR2: lambda: say("second")})
        bus[START].subscribe(signals.start, priority=5)
        bus[EXIT].subscribe(signals.exit, priority=5)
        bus[GRACEFUL].subscribe(lambda: say("graceful"))
        bus.start()
        say("ready")
        bus.block()
        say("restored" if [signal.getsignal(number) for number in NUMBERS] == before else "not restored")
    """)
    program.reach("ready")
    program.send(USR1)
    program.reach("graceful")
    program.send(signal.SIGUSR2)
    program.reach("second")

    program.send(TERM)

    assert program.end() == 0
    assert program.lines[-2:] == ["SIGTERM: exiting in order; send it again to end at once", "restored"]


AGAIN = """
from typedbus._os.reexec import mark_daemon

class Serving(Part):
    said = False

    def main(self) -> None:
        # Its first tick is when start() has returned.
        if not self.said:
            self.said = True
            say(f"{{os.getpid()}} serves")

class Site(Container):
    bus = Component(Bus)
    signals = Component(Signals, bus.provided)
    part = Component(Serving, bus.provided).on(STOP.calls(lambda part: {stop}))

mark_daemon()
raise SystemExit(run(Site))
"""


def test_a_daemon_can_be_restarted_repeatedly(begin: Begin) -> None:
    """SIGHUP replaces it by the same command line under the same pid, and its successor catches signals like it."""
    program = begin(AGAIN.format(stop="None"), flags=("-X", "dev", "-W", "ignore"))
    for _ in range(3):
        program.reach(f"{program.pid} serves")
        program.send(HUP)
    program.reach(f"{program.pid} serves")

    program.send(TERM)

    assert program.end() == 0
    assert program.lines.count("log      SIGHUP: restarting in order") == 3
    assert program.lines.count("bus      EXITED") == 4


def test_a_failure_before_a_restart_is_reported(begin: Begin) -> None:
    """A failed stop does not prevent the restart, and its traceback is on stderr before it."""
    program = begin(AGAIN.format(stop="1 / 0"))
    program.reach("serves")
    program.send(HUP)
    program.reach("serves")

    assert "ZeroDivisionError: division by zero" in program.output
    program.send(TERM)
    assert program.end() == 70


def test_an_exit_during_a_restart_overrides_it(begin: Begin) -> None:
    """SIGTERM while it stops for a restart ends the process, in order and without force."""
    program = begin(AGAIN.format(stop="pause('stop')"))
    program.reach("serves")
    program.send(HUP)
    program.reach("in stop")

    program.send(TERM)
    program.write()

    assert program.end() == 0
    assert program.output.count("serves") == 1
    assert "SIGTERM: exiting in order; send it again to end at once" in program.lines


def test_an_impossible_restart_is_reported_and_the_process_continues(begin: Begin, tmp_path: Path) -> None:
    """The original directory was removed: nothing is stopped."""
    folder = tmp_path / "gone"
    folder.mkdir()
    program = begin(
        f"""
        from typedbus import process  # which notes where it began

        class Site(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided).on(MAIN.calls(lambda part: part.bus.request(part.bus.restart)))
        site = Site()
        site.bus().subscribe(LOG, lambda message, level: site.bus().request_exit())
        os.rmdir({str(folder)!r})
        raise SystemExit(run(site))
    """,
        cwd=folder,
    )

    assert program.end() == 0
    assert (
        f"its directory {folder} no longer exists; restore it, or start the program from another place"
        in program.output
    )


def test_a_restart_during_a_start_cancels_it(begin: Begin) -> None:
    """The components that had started are stopped, and the program begins again."""
    program = begin("""
        class Once(Part):
            def start(self) -> None:
                if os.environ.setdefault("ONCE", "") == "":
                    os.environ["ONCE"] = "done"
                    self.bus.restart()
                    say("broken off")

        class Last(Part):
            def start(self) -> None:
                say(f"{os.getpid()} starts to the end")
                self.bus.request_exit()

        class Site(Container):
            bus = Component(Bus)
            once = Component(Once, bus.provided)
            last = Component(Last, bus.provided)

        raise SystemExit(run(Site))
    """)

    assert program.end() == 0
    assert program.output.count("broken off") == 1
    assert program.lines.count(f"{program.pid} starts to the end") == 1
