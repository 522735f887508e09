"""Starts that end early on the event loop of the caller: cancellations in a rollback, stops of other tasks, groups."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import weakref

import pytest
from tests.bus.test_async_hooks import PATIENCE, Part, add, failures, hang, listen

from typedbus import GRACEFUL, START, STOP, Bus, ChannelFailures, StartCancelled, State, TransitionFailures
from typedbus.events import MOVED, Moved


def test_a_cancellation_in_the_rollback_of_a_failed_start_waits_for_its_end() -> None:
    """It is raised from the failure, when the hooks of the rollback, which are not cancelled, have returned."""
    notes: list[str] = []
    bus = Bus()
    stopping, go = threading.Event(), threading.Event()

    async def stop() -> None:
        stopping.set()
        await asyncio.to_thread(go.wait, PATIENCE)
        notes.append("stop")

    async def fail() -> None:
        raise OSError("no network")

    listen(bus, STOP, stop)
    listen(bus, START, fail)

    async def main() -> None:
        start = asyncio.create_task(bus.start_async())
        await asyncio.to_thread(stopping.wait, PATIENCE)
        start.cancel("enough")
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError, match="enough") as raised:
            await start
        cause = raised.value.__cause__
        assert isinstance(cause, TransitionFailures)
        assert failures(cause) == [OSError]

    asyncio.run(main())

    assert notes == ["stop"]
    assert bus.state is State.STOPPED


@pytest.mark.parametrize("verb", ["stop", "exit"])
def test_another_task_ends_a_start_that_hangs(verb: str) -> None:
    """Both wait for the end of the rollback, and only the start has failed."""
    notes: list[str] = []
    bus = Bus()
    began = threading.Event()

    async def start() -> None:
        await hang(began)

    add(bus, Part("a", notes))
    listen(bus, START, start)

    async def main() -> None:
        starting = asyncio.create_task(bus.start_async())
        await asyncio.to_thread(began.wait, PATIENCE)
        await (bus.stop_async() if verb == "stop" else bus.exit_async())
        assert notes == ["start a", "stop a", "exit a"][: 2 if verb == "stop" else 3]
        with pytest.raises(StartCancelled):
            await starting

    asyncio.run(main())

    assert bus.state is (State.STOPPED if verb == "stop" else State.EXITED)


def test_a_start_that_succeeds_while_it_is_cancelled_is_stopped() -> None:
    """The caller that was cancelled has no use for a started bus; the transition is over, and its thread has ended."""
    notes: list[str] = []
    bus = Bus()
    add(bus, Part("a", notes))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        start = asyncio.create_task(bus.start_async())

        def cancel_after(transition: threading.Thread) -> None:
            transition.join(PATIENCE)
            start.cancel()

        def on_move(event: Moved) -> None:
            if event.after is State.STARTED:
                loop.call_soon_threadsafe(cancel_after, threading.current_thread())

        with bus[MOVED].subscribe(on_move), pytest.raises(asyncio.CancelledError):
            await start

    asyncio.run(main())

    assert notes == ["start a", "stop a"]
    assert bus.state is State.STOPPED


def test_the_failures_of_a_task_group_in_a_hook_are_caught_by_their_types() -> None:
    """The group is one failure of the transition, which is a group itself."""
    bus = Bus()
    caught: list[BaseException] = []

    async def fail(error: Exception) -> None:
        await asyncio.sleep(0)
        raise error

    async def start() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(OSError("no network")))
            group.create_task(fail(ValueError("no number")))

    listen(bus, START, start)

    async def main() -> None:
        try:
            await bus.start_async()
        except* OSError as group:
            caught.extend(group.exceptions)
        except* ValueError as group:
            caught.extend(group.exceptions)

    asyncio.run(main())

    assert len(caught) == 2
    assert all(isinstance(error, ExceptionGroup) for error in caught)
    assert bus.state is State.STOPPED


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_the_exception_of_a_start_is_freed_without_the_garbage_collector(is_cancelled: bool) -> None:
    """It is part of no reference cycle, whether the bus or the task of the caller is asked to end the start."""
    bus = Bus()
    endings: list[weakref.ref[BaseException]] = []
    tasks: list[asyncio.Task[None]] = []

    def end(loop: asyncio.AbstractEventLoop) -> None:
        if is_cancelled:
            loop.call_soon_threadsafe(tasks[0].cancel)
        else:
            bus.request_exit()

    async def start() -> None:
        try:
            await bus.start_async()
        except (StartCancelled, asyncio.CancelledError) as error:
            endings.append(weakref.ref(error))

    async def main() -> None:
        listen(bus, START, functools.partial(end, asyncio.get_running_loop()))
        tasks.append(asyncio.create_task(start()))
        await tasks[0]

    gc.disable()
    try:
        asyncio.run(main())
        assert [ending() for ending in endings] == [None]
    finally:
        gc.enable()


def test_the_failure_of_an_awaited_reload_is_freed_without_the_garbage_collector() -> None:
    """It has been handed from one thread to another, and neither keeps it."""
    bus = Bus()
    failed: list[weakref.ref[BaseException]] = []

    def fail() -> None:
        raise OSError("no file")

    async def main() -> None:
        try:
            await bus.graceful_async()
        except ChannelFailures as error:
            failed.append(weakref.ref(error))

    listen(bus, GRACEFUL, fail)
    gc.disable()
    try:
        asyncio.run(main())
        assert [failure() for failure in failed] == [None]
    finally:
        gc.enable()
