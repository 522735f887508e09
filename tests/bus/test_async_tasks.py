"""Tasks that async hooks create: which of their calls belong to the transition, and for how long."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Awaitable, Callable

import pytest
from tests.bus.test_async_hooks import PATIENCE, failures, hang, listen

from typedbus import START, STOP, Bus, HookTimeout, StartCancelled, State, TransitionFailures, WaitError
from typedbus._bus.bus import parts_of
from typedbus.events import MOVED, Moved


class Background:
    """Its start creates a task, and returns."""

    def __init__(self, function: Callable[[], Awaitable[object]]) -> None:
        self.function = function
        self.tasks: list[asyncio.Task[object]] = []
        self.goes = asyncio.Event()

    async def start(self) -> None:
        self.tasks.append(asyncio.create_task(self.run()))

    async def run(self) -> object:
        await self.goes.wait()
        return await self.function()


def test_a_task_of_a_start_may_stop_the_bus_after_it() -> None:
    """Its context names the transition that created it, which is over: so it waits for the end of the stop."""
    bus = Bus()
    notes: list[str] = []

    async def stop() -> None:
        await asyncio.sleep(0.01)
        notes.append("stop")

    async def main() -> None:
        part = Background(bus.stop_async)
        listen(bus, START, part.start)
        listen(bus, STOP, stop)
        await bus.start_async()
        part.goes.set()
        await part.tasks[0]
        assert notes == ["stop"]
        assert bus.state is State.STOPPED
        await bus.exit_async()

    asyncio.run(main())


def test_a_task_of_a_start_may_wait_for_a_state_after_it() -> None:
    """The wait is not one of the start any more."""
    bus = Bus()

    async def main() -> None:
        part = Background(functools.partial(bus.wait_async, State.EXITED))
        listen(bus, START, part.start)
        await bus.start_async()
        part.goes.set()
        await asyncio.sleep(0)
        await bus.exit_async()
        assert await part.tasks[0] is State.EXITED

    asyncio.run(main())


@pytest.mark.parametrize("workers", [1, 3])
def test_a_task_of_a_start_that_stops_the_bus_meanwhile_calls_it_off(workers: int) -> None:
    """The stop is a request, as in the hook itself, and the task goes on at once; the start is rolled back."""
    bus = Bus(workers=workers)
    states: list[State] = []
    stopped: list[str] = []

    async def stop() -> None:
        await bus.stop_async()
        states.append(bus.state)

    async def main() -> None:
        part = Background(stop)

        async def later() -> None:
            part.goes.set()
            await hang()

        async def undo() -> None:
            stopped.append("stop")

        listen(bus, START, part.start)
        listen(bus, STOP, undo)
        listen(bus, START, later)
        with pytest.raises(StartCancelled):
            await bus.start_async()
        await part.tasks[0]
        assert bus.state is State.STOPPED

    asyncio.run(main())

    assert states == [State.STARTING]
    assert stopped == ["stop"]


def test_a_task_with_a_context_of_its_own_may_wait_for_the_start() -> None:
    """A task without one belongs to the hook, which may wait for it; the error shows how to create the other."""
    bus = Bus()
    tasks: list[asyncio.Task[State | None]] = []
    errors: list[str] = []

    async def start() -> None:
        wait = functools.partial(bus.wait_async, State.STARTED)
        tasks.append(asyncio.create_task(wait(), context=contextvars.Context()))
        with pytest.raises(WaitError) as raised:
            await asyncio.create_task(wait())
        errors.append(str(raised.value))

    listen(bus, START, start)

    async def main() -> None:
        await bus.start_async()
        assert await tasks[0] is State.STARTED

    asyncio.run(main())

    [error] = errors
    assert "create_task(..., context=contextvars.Context())" in error


@pytest.mark.parametrize("is_async", [True, False])
def test_a_hook_must_not_block_until_the_exit(is_async: bool) -> None:
    """The exit would wait for the hook."""
    bus = Bus()
    hook: Callable[[], object] = bus.block_async if is_async else bus.block
    listen(bus, START, hook)

    with pytest.raises(TransitionFailures) as raised:
        bus.start()
    bus.exit()

    assert failures(raised.value) == [WaitError]


def test_a_second_cancellation_between_two_phases_gives_up_the_next_hook() -> None:
    """Here it comes when the start has been called off, and its rollback has not called a hook."""
    bus = Bus()
    began = threading.Event()

    async def start() -> None:
        await hang(began)

    async def stop() -> None:
        await asyncio.sleep(PATIENCE)

    listen(bus, STOP, stop)
    listen(bus, START, start)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        starting = asyncio.create_task(bus.start_async())

        async def cancel() -> None:
            starting.cancel()
            current = parts_of(bus).machine.current
            assert current is not None
            while not current.gives_up:  # noqa: ASYNC110  # no event announces it
                await asyncio.sleep(0)

        def look(event: Moved) -> None:
            if event.after is State.STOPPING:
                asyncio.run_coroutine_threadsafe(cancel(), loop).result(PATIENCE)

        with bus[MOVED].subscribe(look):
            await asyncio.to_thread(began.wait, PATIENCE)
            starting.cancel("enough")
            with pytest.raises(asyncio.CancelledError, match="enough") as raised:
                await starting
        cause = raised.value.__cause__
        assert isinstance(cause, TransitionFailures)
        assert failures(cause) == [HookTimeout]

    asyncio.run(main())

    assert bus.state is State.STOPPED
