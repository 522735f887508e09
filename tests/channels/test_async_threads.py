"""Publishing between threads and event loops."""

from __future__ import annotations

import asyncio
import contextvars
import threading

from typedbus import AsyncChannel, Bus, Channel, in_thread

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_a_function_in_a_thread_does_not_block_the_loop() -> None:
    """It runs in another thread with the variables of the publisher, while the loop runs other tasks."""
    bound = Bus()[AsyncChannel[[threading.Event], tuple[int, str]]("block")]

    def block(event: threading.Event, /) -> tuple[int, str]:
        assert event.wait(5)
        return threading.get_ident(), variable.get()

    bound.subscribe(in_thread(block))

    async def main() -> list[tuple[int, str]]:
        event = threading.Event()
        variable.set("copied")
        asyncio.get_running_loop().call_soon(event.set)
        return await bound.publish(event)

    ((thread, value),) = asyncio.run(main())
    assert thread != threading.get_ident()
    assert value == "copied"


def test_a_sync_publish_in_a_thread_does_not_block_the_loop() -> None:
    """Its listeners run in another thread with the variables of the publisher."""
    bound = Bus()[Channel[[threading.Event], tuple[int, str]]("block")]

    @bound.subscribe
    def block(event: threading.Event, /) -> tuple[int, str]:
        assert event.wait(5)
        return threading.get_ident(), variable.get()

    async def main() -> list[tuple[int, str]]:
        event = threading.Event()
        variable.set("copied")
        asyncio.get_running_loop().call_soon(event.set)
        return await bound.publish_in_thread(event)

    ((thread, value),) = asyncio.run(main())
    assert thread != threading.get_ident()
    assert value == "copied"


def test_a_thread_publishes_on_the_loop_of_another_thread() -> None:
    """`asyncio.run_coroutine_threadsafe` takes the publish; the listeners run in the thread of the loop."""
    bound = Bus()[AsyncChannel[[int], tuple[int, int]]("numbers")]

    @bound.subscribe
    async def listen(number: int, /) -> tuple[int, int]:
        return number, threading.get_ident()

    async def main() -> list[tuple[int, int]]:
        loop = asyncio.get_running_loop()

        def publish() -> list[tuple[int, int]]:
            return asyncio.run_coroutine_threadsafe(bound.publish(3), loop).result(5)

        return await asyncio.to_thread(publish)

    assert asyncio.run(main()) == [(3, threading.get_ident())]


def test_a_function_in_a_thread_keeps_its_name() -> None:
    """So a failure names the function."""

    def charge(number: int, /) -> int:
        return number

    bound = Bus()[AsyncChannel[[int], int]("numbers")]

    assert bound.subscribe(in_thread(charge)).name.endswith("charge")
