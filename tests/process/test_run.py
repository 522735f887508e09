"""`run` as a whole program: real processes, real signals, and the exit status."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import Begin, Program, programs

from typedbus import Bus, Component, Container, NotMainThread, run

PRELUDE = """
import os, signal, sys, threading
from typedbus import *


def say(text):
    print(text, flush=True)


class Part:
    def __init__(self, bus: Bus, *needed: object) -> None:
        self.bus = bus

    def start(self) -> None:
        say("part starts")

    def stop(self) -> None:
        say("part stops")

    def exit(self) -> None:
        say("part exits")


class Ticking:
    def __init__(self, bus: Bus, *needed: object) -> None:
        self.bus = bus

    def main(self) -> None:
        say("serving")

"""


def reported(program: Program) -> list[str]:
    """Return the lines that the program and its bus wrote, without times, tracebacks and ticks."""
    lines = [re.sub(r" \(\d+\.\d ms\)", "", line) for line in program.lines]
    kept = r"(bus|built|started|stopped|exited|failed|log)  +\S|part |SIG"
    return [re.sub(r"  +", " ", line) for line in lines if re.match(kept, line)]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start programs that run the container of their source."""
    with programs(tmp_path, PRELUDE) as begin_program:
        yield lambda source: begin_program(textwrap.dedent(source) + "\n\nraise SystemExit(run(Shop))\n")


STARTED = ["bus STARTING", "built Shop.part", "part starts", "started Shop.part", "bus STARTED"]
STOPPED = ["bus STOPPING", "part stops", "stopped Shop.part", "bus STOPPED"]
EXITED = ["bus EXITING", "part exits", "exited Shop.part", "bus EXITED"]

pytestmark = pytest.mark.slow


def test_a_program_whose_bus_exits_ends_with_success(begin: Begin) -> None:
    """request_exit ends a program in order and with status 0; each event is a line of output."""
    program = begin("""
        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided).on(MAIN.calls(lambda part: part.bus.request_exit()))
    """)

    assert program.end() == 0
    assert reported(program) == STARTED + STOPPED + EXITED


def test_log_messages_are_printed(begin: Begin) -> None:
    """Messages on LOG are among the lines of the life cycle."""
    program = begin("""
        def speak(part: Part) -> None:
            part.bus.log("hello")
            part.bus.request_exit()

        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided).on(MAIN.calls(speak))
    """)

    assert program.end() == 0
    assert reported(program) == [*STARTED, "log hello", *STOPPED, *EXITED]


def test_an_invalid_container_is_reported_without_a_traceback(tmp_path: Path) -> None:
    """Every fault is on stderr, stdout is empty, no component is built, and the status is 1."""
    path = tmp_path / "program.py"
    path.write_text(
        PRELUDE
        + textwrap.dedent("""
            class Shop(Container):
                bus = Component(Bus)
                part = Component(Part)
                other = Component(Part, bus.provided, nothing=1)

            raise SystemExit(run(Shop))
        """)
    )

    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: Shop cannot be wired: 2 fault(s), nothing was built\n- Shop.part (")
    assert "Traceback" not in done.stderr


def test_a_container_without_a_bus_is_reported_without_a_traceback(begin: Begin) -> None:
    """The message shows how to declare a bus."""
    program = begin("class Shop(Container): pass")

    assert program.end() == 1
    assert "declare one: bus = Component(Bus)" in program.output
    assert "Traceback" not in program.output


def test_a_failing_constructor_ends_a_program_in_order(begin: Begin) -> None:
    """The status is 1, the traceback names the component, and built components have exited."""
    program = begin("""
        def fail(part: Part) -> None:
            raise OSError("no database")

        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided)
            broken = Component(fail, part.provided)
    """)

    assert program.end() == 1
    assert "OSError: no database" in program.output
    assert "raised while Shop.broken was built" in program.output
    assert reported(program)[-6:] == [STOPPED[0], STOPPED[-1], *EXITED]


def test_a_failing_start_ends_a_program_in_order(begin: Begin) -> None:
    """The status is 1; started components are stopped, and the listeners of EXIT are called."""
    program = begin("""
        class Broken(Part):
            def start(self) -> None:
                raise OSError("port taken")
            stop = exit = None

        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided)
            broken = Component(Broken, bus.provided, part.provided)
    """)

    assert program.end() == 1
    assert reported(program) == [
        *STARTED[:2],
        "built Shop.broken",
        *STARTED[2:4],
        "failed Shop.broken in start: OSError('port taken')",
        *STOPPED,
        *EXITED,
    ]
    assert "the start failed and was rolled back" in program.output


def test_a_start_that_a_listener_cancels_is_not_a_failure(begin: Begin) -> None:
    """A listener of START that stops the bus ends the program with status 0, and without a traceback."""
    program = begin("""
        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided)
            giving_up = Component(Ticking, bus.provided, part.provided).on(START.calls(lambda self: self.bus.stop()))
    """)

    assert program.end() == 0
    assert reported(program)[-8:] == STOPPED + EXITED
    assert "Traceback" not in program.output


def test_a_failing_stop_is_a_failure_of_the_program(begin: Begin) -> None:
    """The status is 70, and all other components have stopped and exited."""
    program = begin("""
        class Broken(Part):
            start = exit = None
            def stop(self) -> None:
                raise OSError("disk full")
            def main(self) -> None:
                self.bus.request_exit()

        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided)
            broken = Component(Broken, bus.provided, part.provided)
    """)

    assert program.end() == 70
    assert "failed Shop.broken in stop: OSError('disk full')" in reported(program)
    assert reported(program)[-7:] == STOPPED[1:] + EXITED
    assert "Traceback" in program.output


def test_the_cause_of_an_exit_is_a_failure_of_the_program(begin: Begin) -> None:
    """request_exit with a cause ends a program in order, the cause is printed, and the status is 70."""
    program = begin("""
        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided).on(MAIN.calls(lambda part: part.bus.request_exit(OSError("no heat"))))
    """)

    assert program.end() == 70
    assert reported(program) == STARTED + STOPPED + EXITED
    assert "OSError: no heat" in program.output


def test_all_problems_are_reported(begin: Begin) -> None:
    """Each cause has its own traceback, the first at the end, where readers look first."""
    program = begin("""
        def fail(part: Part) -> None:
            part.bus.request_exit(OSError("one"))
            part.bus.request_exit(OSError("two"))

        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided).on(MAIN.calls(fail))
    """)

    assert program.end() == 70
    assert [line for line in program.lines if line.startswith("OSError")] == ["OSError: two", "OSError: one"]


def test_a_thread_that_hangs_does_not_hang_the_program(begin: Begin) -> None:
    """After a patience of 5 s, a program that owns such a thread ends with 70, and shows its stack."""
    program = begin("""
        def hang_here(bus: Bus):
            bus.wait(State.EXITED)
            sys.stdout.write("what was still to be written\\n")  # in one piece, beside what the bus tells
            threading.Event().wait()

        def begin(part: Part) -> None:
            thread = threading.Thread(target=hang_here, args=[part.bus], name="reader")
            part.bus.own(thread)
            thread.start()
            part.bus.request_exit()

        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided).on(MAIN.calls(begin))
    """)

    assert program.end() == 70
    assert "thread 'reader' is at" in program.output
    assert "in hang_here" in program.output
    assert "bus EXITED" in reported(program)
    assert "what was still to be written" in program.lines


@pytest.mark.parametrize("hook", ["start", "main"])
@pytest.mark.parametrize(("code", "status"), [("3", 3), ("0", 0), ("", 0), ("'text'", 1)])
def test_a_listener_may_end_the_program_with_its_own_status(begin: Begin, hook: str, code: str, status: int) -> None:
    """sys.exit in a listener gives its status, or its text and 1, after everything has ended in order."""
    program = begin(f"""
        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided)
            last = Component(Ticking, bus.provided, part.provided).on(
                {hook.upper()}.calls(lambda self: sys.exit({code}))
            )
    """)

    assert program.end() == status
    assert reported(program)[-8:] == STOPPED + EXITED
    assert ("text" in program.lines) == (code == "'text'")
    assert "Traceback" not in program.output


def test_failures_before_sys_exit_are_reported(begin: Begin) -> None:
    """sys.exit keeps its status, and the failures of the rollback are printed with it."""
    program = begin("""
        class Broken(Part):
            start = exit = None
            def stop(self) -> None:
                raise OSError("disk full")

        class Shop(Container):
            bus = Component(Bus)
            broken = Component(Broken, bus.provided)
            last = Component(Ticking, bus.provided, broken.provided).on(START.calls(lambda self: sys.exit(3)))
    """)

    assert program.end() == 3
    assert "OSError: disk full" in program.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_a_program_in_order(begin: Begin, number: signal.Signals) -> None:
    """SIGINT and SIGTERM stop and exit the started components in order, and the status is 0."""
    program = begin("""
        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided)
            ticking = Component(Ticking, bus.provided, part.provided)
    """)
    program.reach("serving")

    program.send(number)

    assert program.end() == 0
    assert reported(program)[-9:] == [
        f"{number.name}: exiting in order; send it again to end at once",
        *STOPPED,
        *EXITED,
    ]
    assert "Traceback" not in program.output


def test_a_signal_cancels_a_start(begin: Begin) -> None:
    """SIGTERM during a start lets the running listener return, stops started components and starts no more."""
    program = begin("""
        def be_notified(self) -> None:
            signal.raise_signal(signal.SIGTERM)
            say("part goes on to its end")

        class Never(Part):
            def start(self) -> None:
                say("part never starts")
            stop = exit = None

        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part, bus.provided)
            notified = Component(Ticking, bus.provided, part.provided).on(START.calls(be_notified))
            never = Component(Never, bus.provided, notified.provided)
    """)

    assert program.end() == 0
    assert reported(program)[-11:] == [
        "SIGTERM: exiting in order; send it again to end at once",
        "part goes on to its end",
        "started Shop.notified",
        *STOPPED,
        *EXITED,
    ]
    assert "Traceback" not in program.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_second_signal_ends_a_program_at_once(begin: Begin, number: signal.Signals) -> None:
    """If the exit hangs, a second signal ends the process with 128 + its number and the stack of every thread."""
    program = begin("""
        class Hanging(Ticking):
            def stop(self) -> None:
                self.hang_here()

            def hang_here(self) -> None:
                say("hanging")
                # In turns, since a signal that comes just before a thread falls asleep does not wake it.
                while True:
                    threading.Event().wait(0.05)

        class Shop(Container):
            bus = Component(Bus)
            part = Component(Hanging, bus.provided)
    """)
    program.reach("serving")
    program.send(signal.SIGTERM)
    program.reach("hanging")

    program.send(number)

    assert program.end() == 128 + number
    assert f"{number.name} again: ending at once; the stacks of all threads:" in program.lines
    assert "in hang_here" in program.output
    assert reported(program)[-1].startswith(number.name)


class Quiet:
    """Ends the program at its first tick, or fails to start."""

    def __init__(self, bus: Bus, error: Exception | None = None) -> None:
        self.bus = bus
        self.error = error

    def start(self) -> None:
        if self.error is not None:
            raise self.error

    def main(self) -> None:
        self.bus.request_exit()


class Good(Container):
    """Starts and ends."""

    bus = Component(Bus)
    quiet = Component(Quiet, bus.provided)


class Bad(Container):
    """Does not start."""

    bus = Component(Bus)
    quiet = Component(Quiet, bus.provided, OSError("port taken"))


@pytest.mark.parametrize(("container", "status"), [(Good, 0), (Bad, 1)], ids=["good", "bad"])
def test_signal_handlers_are_restored(container: type[Container], status: int) -> None:
    """After a run that succeeds and after one that fails."""

    def mine(number: int, frame: object) -> None:
        raise AssertionError

    before = {number: signal.signal(number, mine) for number in (signal.SIGINT, signal.SIGTERM)}
    returned = run(container)
    after = {number: signal.signal(number, handler) for number, handler in before.items()}

    assert returned == status
    assert set(after.values()) == {mine}


def test_a_process_can_run_several_programs() -> None:
    """No state of a run remains for the next."""
    assert [run(Good), run(Bad), run(Good)] == [0, 1, 0]


def test_run_refuses_threads_other_than_the_main_thread() -> None:
    """Only the main thread can handle signals; no component is built, and the error names the remedy."""
    raised: list[BaseException] = []

    def try_it() -> None:
        with pytest.raises(NotMainThread, match=r"running\(container\)") as refused:
            run(Good)
        raised.append(refused.value)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()

    assert len(raised) == 1
