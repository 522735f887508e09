"""Programs whose runs fail, and programs whose runs do not end."""

from __future__ import annotations

import os
import signal
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import Begin, programs

from typedbus import RUN, Bus, Component, Container, Stopping, TransitionFailures, on, running
from typedbus.process._console import console

pytestmark = pytest.mark.slow

PRELUDE = """
import asyncio

from typedbus import *


class Refused(OperatorError):
    def __str__(self):
        return "the broker refuses the password; correct broker.password"


class Consumer:
    def __init__(self, error):
        self.error = error

    @on(RUN)
    def consume(self, stopping):
        raise self.error


class Ticker:
    @on(RUN)
    async def follow(self, stopping):
        print("ticks", flush=True)
        while True:
            await stopping.until_set()
            # Called when the task waits below.
            asyncio.get_running_loop().call_soon(lambda: print("goes on", flush=True))
            await asyncio.Event().wait()


class Prices(Container):
    bus = Component(Bus)
    ticker = Component(Ticker)


class Shop(Container):
    bus = Component(Bus)
    broken = Component(Consumer, OSError("broker gone")).supervised(Restart(most=1, first=0.01))


class Site(Container):
    bus = Component(Bus)
    refused = Component(Consumer, Refused()).supervised(Restart(fatal=(Refused,)))
"""


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start programs that run the container of their source."""
    with programs(tmp_path, PRELUDE) as begin_program:
        yield lambda source: begin_program(textwrap.dedent(source))


def test_a_run_that_gives_up_ends_a_program_with_its_error(begin: Begin) -> None:
    """The bus exits in order, with status 70; the traceback at the end is that of the last error, with the run."""
    program = begin("raise SystemExit(run(Shop))")

    assert program.end() == 70
    assert [line for line in program.lines if line.startswith("bus")][-1].split() == ["bus", "EXITED"]
    last = program.output[program.output.rindex("EXITED") :]
    assert last.count("OSError: broker gone") == 1
    assert "in consume\n    raise self.error" in last
    assert program.lines[-1] == (
        "typedbus.RunFailed: run Shop.broken failed after 2 calls, the last time with OSError('broker gone')"
    )


def test_an_operator_error_of_a_run_is_printed_without_a_traceback(begin: Begin) -> None:
    """The line has the run and the text of the error."""
    program = begin("raise SystemExit(run(Site))")

    assert program.end() == 70
    assert program.lines[-1] == (
        "error: run Site.refused failed: the broker refuses the password; correct broker.password"
    )


def test_a_forced_end_shows_the_stack_of_an_async_run(begin: Begin) -> None:
    """The stack of the thread would only show the event loop."""
    program = begin("raise SystemExit(run(Prices))")
    program.reach("ticks")
    program.send(signal.SIGTERM)
    program.reach("goes on")

    assert program.end(signal.SIGTERM) == 128 + signal.SIGTERM
    title = program.lines.index("Async run Prices.ticker (most recent call last):")
    assert "await asyncio.Event().wait()" in "\n".join(program.lines[title:])


def test_a_run_that_delays_a_stop_is_named_in_plain_lines() -> None:
    """The line has the path of the run, and is written once, after a second."""
    begun = threading.Event()
    reading, writing = os.pipe()
    with os.fdopen(reading) as log, os.fdopen(writing, "w") as stream:
        lines: list[str] = []

        class Consumer:
            @on(RUN)
            def consume(self, stopping: Stopping) -> None:
                begun.set()
                stopping.wait()
                lines.extend(iter(log.readline, "stopping Shop.consumer.consume ...\n"))

            @on(RUN)
            def watch(self, stopping: Stopping) -> None:
                stopping.wait()

        class Shop(Container):
            bus = Component(Bus)
            consumer = Component(Consumer)

        shop = Shop()
        with console(stream, shop.attach()), running(shop):
            begun.wait(60)  # a run that a stop comes before does not begin
        stream.close()
        lines.extend(log)

    assert [line for line in lines if "..." in line] == []
    assert lines[-1] == "bus      EXITED\n"


def test_a_run_that_was_left_behind_is_not_named_any_longer() -> None:
    """The stop then waits for the next hook, which is named."""
    reading, writing = os.pipe()
    begun, released = threading.Event(), threading.Event()
    with os.fdopen(reading) as log, os.fdopen(writing, "w") as stream:
        lines: list[str] = []

        class Hung:
            @on(RUN, limit=0.01)
            def hang(self, stopping: Stopping) -> None:
                begun.set()
                released.wait()

        class Slow:
            def stop(self) -> None:
                lines.extend(iter(log.readline, "stopping Shop.slow ...\n"))

        class Shop(Container):
            bus = Component(Bus)
            hung = Component(Hung)
            slow = Component(Slow)

        shop = Shop()
        with console(stream, shop.attach()), pytest.raises(TransitionFailures), running(shop):
            begun.wait(60)  # a run that a stop comes before does not begin
        released.set()

    assert [line for line in lines if "..." in line] == []
    assert any(line.startswith("failed   Shop.hung") and line.endswith(": given up\n") for line in lines)
