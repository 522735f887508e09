"""Events that wait are handled one after the other in one task, which a listener cannot change for the next event."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

from tests.nats.consuming import Seen, consumer_site, placed_async
from tests.nats.servers import NatsServer

from typedbus import running

COUNT = 50
variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")


def handled(server: NatsServer, listener: Callable[[int], Awaitable[None]]) -> tuple[list[tuple[int, int | None]], int]:
    """
    Return the events with what the listener has found in the variable, and in how many tasks it was called.

    The first call waits until the consumer has all events, so that the others are handled without a pause.
    """
    seen, all_sent, tasks = Seen(), asyncio.Event(), set[asyncio.Task[object] | None]()

    async def listen(number: int) -> None:
        await all_sent.wait()
        tasks.add(asyncio.current_task())
        found = variable.get(None)
        await listener(number)
        seen.put((number, found))

    with running(consumer_site(server, placed_async, listen)) as site:
        port = site.port()
        for number in range(COUNT):
            port.publish_from_thread(number)
        session = site.link_().session("test")
        session.handover.call(lambda _: all_sent.set(), None)
        return seen.take(COUNT), len(tasks)


def test_events_that_wait_share_a_task(server: NatsServer) -> None:
    async def listener(number: int) -> None:
        await asyncio.sleep(0)

    found, tasks = handled(server, listener)
    assert found == [(number, None) for number in range(COUNT)]
    assert tasks < COUNT / 2


def test_the_next_event_does_not_see_the_variables_that_a_listener_has_set(server: NatsServer) -> None:
    async def listener(number: int) -> None:
        if number % 10 == 0:
            variable.set(number)

    found, tasks = handled(server, listener)
    assert found == [(number, None) for number in range(COUNT)]
    assert tasks < COUNT / 2


def test_a_listener_that_cancels_its_task_does_not_cancel_the_next_event(server: NatsServer) -> None:
    async def listener(number: int) -> None:
        task = asyncio.current_task()
        if number % 10 == 0 and task is not None:
            task.cancel()
        else:
            await asyncio.sleep(0)

    found, tasks = handled(server, listener)
    assert found == [(number, None) for number in range(COUNT)]
    assert tasks < COUNT / 2
