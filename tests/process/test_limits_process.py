"""Processes whose hooks hang: they end, with their status, and say what hung."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import Begin, programs

pytestmark = pytest.mark.slow

PRELUDE = """
import signal, sys, threading
from typedbus import *


def say(text):
    sys.stdout.write(f"{text}\\n")  # in one piece, from several threads
    sys.stdout.flush()


def hang():
    say("hangs")
    threading.Event().wait()


class Part:
    def __init__(self, *needs: object) -> None: ...

    def start(self) -> None:
        say("part starts")

    def stop(self) -> None:
        say("part stops")


class HangsInStart:
    def start(self) -> None:
        hang()


class HangsInStop:
    def start(self) -> None: ...

    def stop(self) -> None:
        hang()

"""


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start programs whose stderr is a stream of its own."""
    with programs(tmp_path, PRELUDE, stderr=subprocess.PIPE) as begin:
        yield begin


def test_a_start_that_hangs_ends_the_process_with_1(begin: Begin) -> None:
    """What had started is stopped, and the stack of what hung is on stderr."""
    program = begin("""
        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part)
            broken = Component(HangsInStart)

        raise SystemExit(run(Shop, limits=Limits(hook=0.2)))
    """)

    status = program.end()

    assert status == 1
    assert program.lines == ["part starts", "hangs", "part stops"]
    assert "typedbus.HookTimeout: Shop.broken has not returned from start" in program.errors
    assert "in hang\n" in program.errors


def test_a_stop_that_hangs_ends_the_process_with_70(begin: Begin) -> None:
    """Everybody else is stopped, and what is asked of the interpreter at its end is done."""
    program = begin("""
        import atexit

        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part)
            broken = Component(HangsInStop)
            last = Component(lambda bus: bus, bus.provided).on(MAIN.calls(Bus.request_exit))

        atexit.register(say, "interpreter ends")
        raise SystemExit(run(Shop, limits=Limits(stop=0.2)))
    """)

    status = program.end()

    assert status == 70
    assert program.lines == ["part starts", "hangs", "part stops", "interpreter ends"]
    assert "Shop.broken has not returned from stop" in program.errors


def test_an_interrupt_while_hooks_run_in_threads_rolls_back(begin: Begin) -> None:
    """The first waits for those that run; the second gives them up, and names them."""
    program = begin("""
        from typedbus._base.clock import SystemClock

        class Telling(SystemClock):
            def wait(self, inbox, seconds):
                say("waits")
                super().wait(inbox, seconds)

        class Shop(Container):
            bus = Component(Bus, clock=Telling())
            part = Component(Part)
            broken = Component(HangsInStart).within(60)

        # Whoever began this may have it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        shop = Shop()
        try:
            with running(shop):
                say("never")
        except KeyboardInterrupt as interrupt:
            told = interrupt
            while told is not None:
                say(type(told).__name__)
                told, last = told.__cause__, told
            say(last.exceptions[0].scope)
            say(shop.bus().state)
    """)

    for _ in range(2):
        program.reach_line("waits")
        program.send(signal.SIGINT)
    status = program.end()

    assert status == 0
    assert [line for line in program.lines if line not in {"waits", "hangs"}] == [
        "part starts",
        "part stops",
        "KeyboardInterrupt",
        "KeyboardInterrupt",
        "TransitionFailures",
        "interrupt",
        "State.EXITED",
    ]
