"""Processes whose hooks hang: they end with a documented status, and report the hook."""

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
    """Start programs with a separate stderr."""
    with programs(tmp_path, PRELUDE, stderr=subprocess.PIPE) as begin:
        yield begin


def test_a_start_that_hangs_ends_the_process_with_1(begin: Begin) -> None:
    """Started components are stopped, and the stack of the hook is on stderr."""
    program = begin("""
        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part)
            broken = Component(HangsInStart)

        raise SystemExit(run(Shop, limits=Limits(hook=1.0)))
    """)

    status = program.end()

    assert status == 1
    assert program.lines == ["part starts", "hangs", "part stops"]
    assert "typedbus.HookTimeout: Shop.broken has not returned from start" in program.errors
    assert "in hang\n" in program.errors


def test_a_stop_that_hangs_ends_the_process_with_70(begin: Begin) -> None:
    """All other components are stopped, and atexit functions run."""
    program = begin("""
        import atexit

        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part)
            broken = Component(HangsInStop)
            last = Component(lambda bus: bus, bus.provided).on(MAIN.calls(Bus.request_exit))

        atexit.register(say, "interpreter ends")
        raise SystemExit(run(Shop, limits=Limits(stop=1.0)))
    """)

    status = program.end()

    assert status == 70
    assert program.lines == ["part starts", "hangs", "part stops", "interpreter ends"]
    assert "Shop.broken has not returned from stop" in program.errors


def test_an_interrupt_while_hooks_run_in_threads_rolls_back(begin: Begin) -> None:
    """The first interrupt waits for the running hooks; the second abandons and names them."""
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

        # The parent process may ignore SIGINT, which is inherited.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        shop = Shop()
        try:
            with running(shop):
                say("never")
        except KeyboardInterrupt as interrupt:
            error = interrupt
            while error is not None:
                say(type(error).__name__)
                error, last = error.__cause__, error
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
