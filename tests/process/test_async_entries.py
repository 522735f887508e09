"""Programs with async components, on asyncio and uvloop: signals in each of the ways to start and end them."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import Begin, Program, programs, until

PRELUDE = """
import asyncio, sys, threading
from typedbus import *
from typedbus.events import MOVED

_, loop, hanging = sys.argv

if loop == "uvloop":
    import uvloop
    new_loop = uvloop.new_event_loop
else:
    new_loop = asyncio.new_event_loop


def say(text):
    print(text, flush=True)


class Store:
    def start(self) -> None:
        say("start store")

    def stop(self) -> None:
        say("stop store")

    def exit(self) -> None:
        say("exit store")


class Connection:
    def __init__(self, store: Store) -> None: ...

    async def start(self) -> None:
        assert type(asyncio.get_running_loop()).__module__.startswith(loop)
        await self.hook("start")

    async def stop(self) -> None:
        await self.hook("stop")

    async def exit(self) -> None:
        await self.hook("exit")

    async def hook(self, name):
        await asyncio.sleep(0)
        if name == hanging:
            # Called when this task waits: a signal that arrives earlier would find it running.
            asyncio.get_running_loop().call_soon(say, f"{name} connection")
            await asyncio.Event().wait()
        say(f"{name} connection")
        while f"stubborn {name}" == hanging:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue


class Shop(Container):
    bus = Component(Bus)
    store = Component(Store)
    connection = Component(Connection, store.provided)


shop = Shop()
bus = shop.attach()
bus[MOVED].subscribe(lambda event: say("ready") if event.after is State.STARTED else None)


def run_async(main):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main)


def finish(call, *args):
    try:
        call(*args)
    except* KeyboardInterrupt:
        say(f"interrupted {bus.state.name}")

"""

ENTRIES = {
    "with running, in block": """
        def main():
            bus.loop_factory = new_loop
            with running(shop):
                bus.block()

        finish(main)
    """,
    "with running": """
        def main():
            bus.loop_factory = new_loop
            with running(shop):
                threading.Event().wait()

        finish(main)
    """,
    "async with running": """
        async def main():
            async with running(shop):
                await asyncio.Event().wait()

        finish(run_async, main())
    """,
    "start_async": """
        async def main():
            try:
                await bus.start_async()
                await asyncio.Event().wait()
            finally:
                await bus.exit_async()

        finish(run_async, main())
    """,
    "block_async": """
        async def main():
            try:
                await bus.start_async()
                await bus.block_async()
            finally:
                await bus.exit_async()

        finish(run_async, main())
    """,
}
RUN = "raise SystemExit(run(shop, loop_factory=new_loop))"

STARTED = ["start store", "start connection", "ready"]
STOPPED = ["stop connection", "stop store"]
EXITED = ["exit connection", "exit store"]

LOOPS = [
    "asyncio",
    pytest.param(
        "uvloop", marks=pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")
    ),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals cannot be sent to a process of Windows"),
]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start programs that begin with the prelude; their arguments are the loop and the hook that hangs."""
    with programs(tmp_path, PRELUDE) as begin_program:
        yield begin_program


def notes(program: Program) -> list[str]:
    """Return the lines of the program itself."""
    words = ("start ", "stop ", "exit ", "ready", "interrupted")
    return [line for line in program.lines if line.startswith(words)]


def interrupt(program: Program) -> None:
    """Send SIGINT when the main thread sleeps: Python does not interrupt a thread that is about to sleep on a lock."""
    status = Path(f"/proc/{program.pid}/task/{program.pid}/status")
    if status.exists():
        texts: list[str] = []

        def sleeps() -> bool:
            # It has counts of the times at which the thread has slept.
            texts.append(status.read_text(encoding="utf-8"))
            return len(texts) >= 5 and len(set(texts[-5:])) == 1 and "State:\tS" in texts[-1]

        until(sleeps)
    program.send(signal.SIGINT)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_ctrl_c_ends_a_program_in_order(begin: Begin, entry: str, loop: str) -> None:
    """KeyboardInterrupt is raised when the bus has exited."""
    program = begin(ENTRIES[entry], loop, "")
    program.reach("ready")
    interrupt(program)

    assert program.end() == 0
    assert notes(program) == [*STARTED, *STOPPED, *EXITED, "interrupted EXITED"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_second_ctrl_c_gives_up_the_hook_that_hangs(begin: Begin, entry: str, loop: str) -> None:
    """The remaining hooks are called, and KeyboardInterrupt is raised when the bus has exited."""
    program = begin(ENTRIES[entry], loop, "stop")
    program.reach("ready")
    interrupt(program)
    program.reach("stop connection")
    interrupt(program)

    assert program.end() == 0
    assert notes(program) == [*STARTED, *STOPPED, *EXITED, "interrupted EXITED"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if "async" in entry])
def test_the_remaining_hooks_are_called_though_a_hook_ignores_its_cancellation(
    begin: Begin, entry: str, loop: str
) -> None:
    """asyncio waits for such a task as well, which a third Ctrl-C ends."""
    program = begin(ENTRIES[entry], loop, "stubborn stop")
    program.reach("ready")
    interrupt(program)
    program.reach("stop connection")
    interrupt(program)
    program.reach("exit store")
    interrupt(program)

    assert program.end() == 0
    assert notes(program) == [*STARTED, *STOPPED, *EXITED, "interrupted EXITED"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_ctrl_c_cancels_a_start_that_hangs(begin: Begin, entry: str, loop: str) -> None:
    """The started components are stopped, all are exited, and KeyboardInterrupt is raised."""
    program = begin(ENTRIES[entry], loop, "start")
    program.reach("start connection")
    interrupt(program)

    assert program.end() == 0
    assert notes(program) == [*STARTED[:2], "stop store", *EXITED, "interrupted EXITED"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_run_in_order(begin: Begin, number: signal.Signals, loop: str) -> None:
    """With success; the loop that the factory made runs the async hooks."""
    program = begin(RUN, loop, "")
    program.reach("ready")

    assert program.end(number) == 0
    assert notes(program) == [*STARTED, *STOPPED, *EXITED]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_run_at_once(begin: Begin, number: signal.Signals, loop: str) -> None:
    """With 128 + its number; the stack of the async hook that hangs is among the stacks."""
    program = begin(RUN, loop, "stop")
    program.reach("ready")
    program.send(number)
    program.reach("stop connection")

    assert program.end(number) == 128 + number
    assert notes(program) == [*STARTED, "stop connection"]
    hook = program.lines.index("Async hook Shop.connection.stop (most recent call last):")
    assert [line.split()[-1] for line in program.lines[hook + 1 :] if "File" in line] == ["stop", "hook", "wait"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_signal_cancels_a_start_of_run_that_hangs(begin: Begin, loop: str) -> None:
    """The started components are stopped, all are exited, and the program ends with success."""
    program = begin(RUN, loop, "start")
    program.reach("start connection")

    assert program.end(signal.SIGTERM) == 0
    assert notes(program) == [*STARTED[:2], "stop store", *EXITED]
