"""The listeners of one priority of a concurrent channel run concurrently, each in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from typedbus import AsyncChannel, Bus, ChannelFailures


def test_listeners_of_one_priority_run_concurrently() -> None:
    """Both must be running for either to return; the next priority begins when both have ended."""
    bound = Bus()[AsyncChannel[[], str]("meet", concurrent=True)]
    order: list[str] = []

    async def main() -> list[str]:
        here, there = asyncio.Event(), asyncio.Event()

        @bound.subscribe(priority=10)
        async def first() -> str:
            here.set()
            await there.wait()
            await asyncio.sleep(0)
            order.append("first")
            return "first"

        @bound.subscribe(priority=10)
        async def second() -> str:
            await here.wait()
            there.set()
            order.append("second")
            return "second"

        @bound.subscribe(priority=20)
        async def third() -> str:
            order.append("third")
            return "third"

        return await bound.publish()

    assert asyncio.run(main()) == ["first", "second", "third"]
    assert order == ["second", "first", "third"]


def test_cancelling_the_publisher_of_a_concurrent_channel_awaits_every_listener() -> None:
    """All running listeners are cancelled; the publish ends after the last of them."""
    bound = Bus()[AsyncChannel[[], None]("ends", concurrent=True)]
    calls: list[str] = []
    reached = asyncio.Event()

    def listener(number: int) -> Callable[[], Awaitable[None]]:
        async def listen() -> None:
            if number == 2:
                reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(number):
                    await asyncio.sleep(0)
                calls.append(f"ended {number}")
                if number == 1:
                    raise ValueError(number)

        return listen

    for number in range(3):
        bound.subscribe(listener(number))

    async def main() -> BaseException | None:
        task = asyncio.create_task(bound.publish())
        await reached.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            return error
        return None

    error = asyncio.run(main())

    assert calls == ["ended 0", "ended 1", "ended 2"]
    assert error is not None
    assert isinstance(error.__cause__, ChannelFailures)
    assert [one.args for one in error.__cause__.exceptions] == [(1,)]


def test_a_failure_during_the_cancellation_does_not_cancel_the_other_listeners_again() -> None:
    """Each listener is cancelled once, so that it can clean up."""
    bound = Bus()[AsyncChannel[[], None]("ends", concurrent=True)]
    calls: list[str] = []
    reached = asyncio.Event()

    @bound.subscribe
    async def fail() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("no")

    @bound.subscribe
    async def clean_up() -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            calls.append("clean")

    async def main() -> None:
        task = asyncio.create_task(bound.publish())
        await reached.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())

    assert calls == ["clean"]


def test_after_a_recursion_error_the_running_listeners_are_cancelled_and_no_other_begins() -> None:
    """The publish raises it when they have ended; an earlier failure is its cause."""
    bound = Bus()[AsyncChannel[[], None]("ends", concurrent=True)]
    calls: list[str] = []

    async def main() -> None:
        begun = asyncio.Event()

        @bound.subscribe(priority=1)
        async def fail() -> None:
            raise ValueError("no")

        @bound.subscribe
        async def running() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                calls.append("cancelled")

        @bound.subscribe
        async def leave() -> None:
            await begun.wait()
            raise RecursionError

        @bound.subscribe(priority=99)
        def later() -> None:
            calls.append("later")

        await bound.publish()

    with pytest.raises(RecursionError) as caught:
        asyncio.run(main())

    assert calls == ["cancelled"]
    assert isinstance(caught.value.__cause__, ChannelFailures)


def test_a_task_as_a_result_is_not_awaited() -> None:
    """The result of a listener is its own, even if it is a task."""
    bound = Bus()[AsyncChannel[[], object]("tasks", concurrent=True)]
    ended = asyncio.Event()

    async def wait() -> None:
        await ended.wait()

    @bound.subscribe
    async def begin() -> object:
        return asyncio.ensure_future(wait())

    async def main() -> bool:
        (task,) = await bound.publish()
        assert isinstance(task, asyncio.Task)
        was_running = not task.done()
        ended.set()
        await task
        return was_running

    assert asyncio.run(main())
