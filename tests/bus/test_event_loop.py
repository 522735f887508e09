"""The event loop of a bus: who creates it, what runs on it, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest

from typedbus import LOG, START, STOP, Bus, LoopError, State

PATIENCE = 10


async def here() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    """Return the loop and the thread that run this coroutine."""
    await asyncio.sleep(0)
    return asyncio.get_running_loop(), threading.current_thread()


def test_coroutines_run_on_one_loop_in_a_thread_that_ends_with_the_exit() -> None:
    """A start after the exit has another loop."""
    bus = Bus()

    bus.start()
    first, thread = bus.run_on_loop(here()).result(PATIENCE)
    same, _ = bus.run_on_loop(here()).result(PATIENCE)
    bus.exit()
    bus.start()
    second, _ = bus.run_on_loop(here()).result(PATIENCE)
    bus.exit()

    assert first is same
    assert first is not second
    assert thread.name == "bus event loop"
    assert thread.daemon
    assert not thread.is_alive()
    assert first.is_closed()


def test_a_factory_creates_the_loop() -> None:
    """The loop of the bus is the loop that the factory returns."""
    created: list[asyncio.AbstractEventLoop] = []

    def factory() -> asyncio.AbstractEventLoop:
        created.append(asyncio.new_event_loop())
        return created[-1]

    bus = Bus()
    bus.loop_factory = factory

    loop, _ = bus.run_on_loop(here()).result(PATIENCE)
    bus.exit()

    assert bus.loop_factory is factory
    assert created == [loop]


def test_the_loop_refuses_to_wait_for_itself() -> None:
    """The coroutine is closed, so that no warning reports that it was not awaited."""
    bus = Bus()

    async def ask() -> None:
        bus.run_on_loop(here())

    with pytest.raises(LoopError, match=r"bus.run_on_loop\(\): .*await the coroutine"):
        bus.run_on_loop(ask()).result(PATIENCE)
    bus.exit()


def test_a_bus_that_has_exited_runs_no_coroutine() -> None:
    """The coroutine is closed."""
    bus = Bus()
    bus.exit()

    with pytest.raises(LoopError, match="has exited"):
        bus.run_on_loop(here())


def test_a_coroutine_may_run_in_the_hooks_of_the_exit() -> None:
    """The loop ends after the last hook."""
    bus = Bus()
    loops: list[asyncio.AbstractEventLoop] = []

    def note() -> None:
        loops.append(bus.run_on_loop(here()).result(PATIENCE)[0])

    bus[START].subscribe(note)
    bus[STOP].subscribe(note)

    bus.start()
    bus.exit()

    assert loops[0] is loops[1]


def test_a_task_that_still_runs_at_the_exit_is_cancelled_and_logged_with_its_await_chain() -> None:
    """The chain is outermost first, through async generators, to the function that waits."""
    bus = Bus()
    lines: list[str] = []
    bus[LOG].subscribe(lambda text, level: lines.append(text))
    began = threading.Event()
    errors: list[type[BaseException]] = []

    async def numbers() -> AsyncIterator[int]:
        began.set()
        await asyncio.Event().wait()
        yield 1

    async def pump() -> None:
        try:
            async for _ in numbers():
                pass
        except BaseException as error:
            errors.append(type(error))
            raise

    bus.run_on_loop(pump())
    assert began.wait(PATIENCE)
    bus.exit()

    assert errors == [asyncio.CancelledError]
    [line] = lines
    assert "still ran when the bus exited, and was cancelled; it was at:" in line
    frames = [part.split("\n")[0] for part in line.split(", in ")[1:]]
    assert frames == ["pump", "numbers", "wait"]


def test_async_generators_are_closed_at_the_exit() -> None:
    """An async generator that is not exhausted runs its `finally`, on the loop."""
    bus = Bus()
    closed: list[asyncio.AbstractEventLoop] = []
    generators: list[AsyncIterator[int]] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append(asyncio.get_running_loop())

    async def first() -> asyncio.AbstractEventLoop:
        generators.append(numbers())
        await anext(generators[0])
        return asyncio.get_running_loop()

    loop = bus.run_on_loop(first()).result(PATIENCE)
    bus.exit()

    assert closed == [loop]


def test_a_system_exit_in_a_task_does_not_end_the_loop() -> None:
    """asyncio re-raises it out of the loop, which continues."""
    bus = Bus()

    async def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit, match="3"):
        bus.run_on_loop(leave()).result(PATIENCE)
    loop, _ = bus.run_on_loop(here()).result(PATIENCE)
    bus.exit()

    assert loop.is_closed()


def test_a_bus_that_is_dropped_leaves_no_thread_behind() -> None:
    """Its loop ends without an exit as soon as the bus is not referenced any more."""
    bus = Bus()
    loop, thread = bus.run_on_loop(here()).result(PATIENCE)

    del bus
    gc.collect()

    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert loop.is_closed()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_a_loop_of_its_own() -> None:
    """The thread of the parent's loop does not exist in the child."""
    program = f"""
import asyncio, os, sys
from typedbus import Bus
bus = Bus()
async def answer():
    return 42
assert bus.run_on_loop(answer()).result({PATIENCE}) == 42
child = os.fork()
if not child:
    bus.detach()
    result = bus.run_on_loop(answer()).result({PATIENCE})
    bus.exit()
    os._exit(result)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
bus.exit()
print(status)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "42"


@pytest.mark.slow
def test_a_sync_program_does_not_import_asyncio() -> None:
    """Neither the bus nor a transition of sync hooks needs it."""
    program = """
import sys
from typedbus import START, Bus, Limits
bus = Bus(workers=2, limits=Limits(hook=5))
bus[START].subscribe(lambda: None)
bus.start()
bus.exit()
print("asyncio" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "False"


def test_a_bus_without_coroutines_has_no_thread() -> None:
    """The loop is created with the first coroutine, not with the start."""
    bus = Bus()
    before = threading.active_count()

    bus.start()

    assert threading.active_count() == before
    assert bus.state is State.STARTED
    bus.exit()
