"""Processes whose hooks hang: they end, with their status, and say what hung."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
def begin(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Begin programs of this source; none of them outlives the test."""
    programs: list[subprocess.Popen[str]] = []

    def begin_program(source: str) -> subprocess.Popen[str]:
        path = tmp_path / f"program{len(programs)}.py"
        path.write_text(PRELUDE + textwrap.dedent(source), encoding="utf-8")
        command = [sys.executable, str(path)]
        programs.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return programs[-1]

    yield begin_program
    for program in programs:
        program.kill()
        program.communicate()


def read_until(program: subprocess.Popen[str], text: str) -> None:
    """Read what *program* says on stdout, up to a line that is *text*."""
    assert program.stdout is not None
    assert text in (line.strip() for line in iter(program.stdout.readline, ""))


def test_a_start_that_hangs_ends_the_process_with_1(begin: Callable[[str], subprocess.Popen[str]]) -> None:
    """What had started is stopped, and the stack of what hung is on stderr."""
    program = begin("""
        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part)
            broken = Component(HangsInStart)

        raise SystemExit(run(Shop, limits=Limits(hook=0.2)))
    """)

    out, err = program.communicate(timeout=30)

    assert program.returncode == 1
    assert out.split("\n") == ["part starts", "hangs", "part stops", ""]
    assert "typedbus.HookTimeout: Shop.broken has not returned from start" in err
    assert "in hang\n" in err


def test_a_stop_that_hangs_ends_the_process_with_70(begin: Callable[[str], subprocess.Popen[str]]) -> None:
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

    out, err = program.communicate(timeout=30)

    assert program.returncode == 70
    assert out.split("\n") == ["part starts", "hangs", "part stops", "interpreter ends", ""]
    assert "Shop.broken has not returned from stop" in err


def test_an_interrupt_while_hooks_run_in_threads_rolls_back(begin: Callable[[str], subprocess.Popen[str]]) -> None:
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

    read_until(program, "waits")
    program.send_signal(signal.SIGINT)
    read_until(program, "waits")
    program.send_signal(signal.SIGINT)
    out, _ = program.communicate(timeout=30)

    assert program.returncode == 0
    assert [line for line in out.split("\n") if line != "hangs"] == [
        "part stops",
        "KeyboardInterrupt",
        "KeyboardInterrupt",
        "TransitionFailures",
        "interrupt",
        "State.EXITED",
        "",
    ]
