"""Runs that are tasks on the event loop of the bus."""

import asyncio
import threading

import pytest
from tests.doubles import LIMIT, ThreadCall
from tests.runs.shops import Events

from typedbus import (
    RUN,
    Bus,
    Component,
    Container,
    HookCancelled,
    HookTimeout,
    LoopError,
    Restart,
    RunFailed,
    RunState,
    State,
    Stopping,
    TransitionFailures,
    on,
    running,
)
from typedbus.events import RunBegan, RunBroke, RunEnded, RunGaveUp
from typedbus.testing import FakeClock


class Feed:
    """An async run that fails as often as a test demands, and then waits until it is asked to end."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.threads: list[threading.Thread] = []

    @on(RUN)
    async def follow(self, stopping: Stopping) -> None:
        self.threads.append(threading.current_thread())
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        await stopping.until_set()


def test_a_task_runs_again_after_a_pause_on_the_clock_of_the_bus() -> None:
    """Its calls are tasks on the loop of the bus."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        feed = Component(Feed, OSError("reset"), OSError("reset")).supervised(Restart(first=1.0, jitter=0))

    shop = Shop()
    events = Events(shop.bus())
    with running(shop):
        clock.advance(1.0)
        clock.advance(2.0)
        events.until(RunBegan, 3)
    assert {thread.name for thread in shop.feed().threads} == {"Shop event loop"}
    assert len(shop.feed().threads) == 3


def test_a_task_runs_on_the_loop_of_the_caller() -> None:
    """`await bus.start_async()` lends that loop to the bus."""

    class Shop(Container):
        bus = Component(Bus)
        feed = Component(Feed)

    async def main() -> None:
        async with running(Shop) as shop:
            await asyncio.sleep(0)
            record = shop.bus().runs["Shop.feed"]
            assert record.state is RunState.RUNNING
            assert "await stopping.until_set()" in record.stack()
            threads.extend(shop.feed().threads)

    threads: list[threading.Thread] = []
    asyncio.run(main())
    assert threads == [threading.current_thread()]


def test_the_failure_of_a_task_is_raised_at_the_end_of_the_block() -> None:
    """`RunFailed` is raised there, with the error of the task as its cause."""

    class Shop(Container):
        bus = Component(Bus)
        feed = Component(Feed, OSError("reset"))

    async def main() -> None:
        shop = Shop()
        events = Events(shop.bus())
        async with running(shop):
            await asyncio.to_thread(events.until, RunGaveUp)

    with pytest.raises(RunFailed) as failed:
        asyncio.run(main())
    assert repr(failed.value.__cause__) == "OSError('reset')"


def test_a_start_awaits_an_async_run() -> None:
    """The next component starts after `Stopping.ready`; an error of its run before `ready` fails the start."""

    class Server:
        @on(RUN, awaited=True)
        async def serve(self, stopping: Stopping) -> None:
            stopping.ready()
            await stopping.until_set()

    class Broken:
        def __init__(self, server: object) -> None: ...

        @on(RUN, awaited=True)
        async def serve(self, stopping: Stopping) -> None:
            raise OSError("port taken")

    class Shop(Container):
        bus = Component(Bus)
        server = Component(Server)
        broken = Component(Broken, server.provided)

    async def main() -> None:
        async with running(Shop):
            raise AssertionError

    with pytest.raises(TransitionFailures) as failed:
        asyncio.run(main())
    assert failed.group_contains(OSError, match="port taken", depth=1)


def test_a_task_that_does_not_end_is_cancelled() -> None:
    """The stop cancels it after the limit; the cancellation is logged as a warning, and is not a failure."""
    clock = FakeClock()

    class Endless:
        @on(RUN, limit=2.0)
        async def follow(self, stopping: Stopping) -> None:
            await asyncio.Event().wait()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        endless = Component(Endless)

    shop = Shop()
    shop.bus().start()
    events = Events(shop.bus())
    stop = ThreadCall(shop.bus().stop)
    clock.advance(2.0)
    assert stop.finished().error is None
    assert "run Shop.endless was cancelled, because it had not ended 2 s after it was asked to end" in events.lines
    shop.bus().exit()


def test_a_task_that_ignores_its_cancellation_is_left_behind() -> None:
    """The stop raises a `HookTimeout` with the stack of the task."""
    clock = FakeClock()

    class Stubborn:
        def __init__(self) -> None:
            self.begun, self.released = threading.Event(), threading.Event()

        @on(RUN, limit=2.0)
        async def follow(self, stopping: Stopping) -> None:
            self.begun.set()
            while not self.released.is_set():
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    continue

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        stubborn = Component(Stubborn)

    shop = Shop()
    shop.bus().start()
    assert shop.stubborn().begun.wait(LIMIT)
    events = Events(shop.bus())
    stop = ThreadCall(shop.bus().stop)
    clock.advance(2.0)
    clock.advance(1.0)
    error = stop.finished().error
    assert isinstance(error, TransitionFailures)
    (failure,) = error.exceptions
    assert isinstance(failure, HookTimeout)
    assert "await asyncio.sleep(0.001)" in failure.stack
    shop.stubborn().released.set()
    events.until(RunEnded)
    assert "it had been left behind" in events.lines[-1]
    shop.bus().exit()


def test_a_task_that_other_code_cancels_has_failed() -> None:
    """Its failure is a `HookCancelled`, raised from the `CancelledError`."""
    clock = FakeClock()

    class Cancelled:
        @on(RUN)
        async def follow(self, stopping: Stopping) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        cancelled = Component(Cancelled).supervised(Restart(jitter=0))

    shop = Shop()
    events = Events(shop.bus())
    with running(shop):
        broke = events.until(RunBroke)
        assert isinstance(broke, RunBroke)
        assert isinstance(broke.error, HookCancelled)
        assert isinstance(broke.error.__cause__, asyncio.CancelledError)


def test_a_task_may_stop_its_own_bus() -> None:
    """The stop does not wait for the task that awaits the stop."""
    stopped = asyncio.Event()

    class Last:
        def __init__(self, bus: Bus) -> None:
            self.bus = bus

        @on(RUN)
        async def leave(self, stopping: Stopping) -> None:
            await self.bus.stop_async()
            await stopping.until_set()
            stopped.set()

    class Shop(Container):
        bus = Component(Bus)
        last = Component(Last, bus.provided)

    async def main() -> None:
        async with running(Shop) as shop:
            await stopped.wait()
            assert shop.bus().state is not State.STARTED

    asyncio.run(main())


def test_a_task_on_the_own_loop_of_the_bus_cannot_await_the_exit() -> None:
    """The exit, which ends that loop, would wait for the task; the error suggests `request_exit`."""
    refused: list[str] = []
    started = threading.Event()

    class Leaving:
        def __init__(self, bus: Bus) -> None:
            self.bus = bus

        @on(RUN)
        async def work(self, stopping: Stopping) -> None:
            # During the start the call would only request the exit.
            await asyncio.to_thread(started.wait, LIMIT)
            try:
                await self.bus.exit_async()
            except LoopError as error:
                refused.append(str(error))
                self.bus.request_exit()

    class Shop(Container):
        bus = Component(Bus)
        leaving = Component(Leaving, bus.provided)

    bus = Shop().attach()
    bus.start()
    started.set()
    bus.block()

    (problem,) = refused
    assert problem == (
        "await bus.exit_async(): this task runs on the event loop of the bus, which ends with the exit; "
        "call bus.request_exit()"
    )


def test_an_async_run_without_an_event_loop_has_failed() -> None:
    """The bus exits, and the `LoopError` is the cause of its `RunFailed`."""

    def broken() -> asyncio.AbstractEventLoop:
        raise OSError("no loop")

    class Shop(Container):
        bus = Component(Bus, loop_factory=broken)
        feed = Component(Feed).supervised(Restart("always"))

    with pytest.raises(RunFailed) as failed, running(Shop) as shop:
        shop.bus().block()

    cause = failed.value.__cause__
    assert isinstance(cause, LoopError)
    assert failed.value.errors == (cause,)
