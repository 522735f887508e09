"""Links and ports for tests, started on the loop of the test, and checks that they leave nothing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Protocol

from tests.nats.servers import NatsServer, raw
from tests.processes import LIMIT

from typedbus import Bus, Channel
from typedbus.nats import LINK, EventPort, Link, LinkEvent, Stream, event

placed = Channel[[int], None]("order_placed")


class Addressed(Protocol):
    """A server with an address."""

    @property
    def url(self) -> str: ...


def run(check: Coroutine[Any, Any, None]) -> None:
    """Run *check* on a loop of its own; it must leave no task and no thread."""
    before = {*threading.enumerate()}

    async def checked() -> None:
        await check
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(checked())
    assert {*threading.enumerate()} <= before


@contextlib.asynccontextmanager
async def linked(server: Addressed, user: str = "", **options: Any) -> AsyncIterator[Link]:
    """Give a started link to *server*, and stop it."""
    link = Link(Bus(), [server.url.replace("//", f"//{user}@" if user else "//")], **options)
    await link.start()
    try:
        yield link
    finally:
        await link.stop()


@contextlib.asynccontextmanager
async def opened(link: Link, **options: Any) -> AsyncIterator[EventPort[[int]]]:
    """Give a started port for `placed` on the stream ORDERS, and stop it; it must leave no timer and no handler."""
    port = event(link, placed, **{"stream": Stream("ORDERS"), **options})
    await port.start()
    try:
        yield port
    finally:
        await port.stop()
    assert link.session("test").replies.handlers == {}


async def stored(server: NatsServer, stream: str = "ORDERS") -> list[bytes]:
    """Return the bodies of all events in a stream."""
    async with raw(server) as client:
        api = client.jetstream()
        state = (await api.stream_info(stream)).state
        numbers = range(max(state.first_seq, 1), state.last_seq + 1)
        return [(await api.get_msg(stream, number)).data or b"" for number in numbers]


def body(number: int) -> bytes:
    """Return the body of the event on `placed` with this argument."""
    return b'{"arg0":%d}' % number


async def holds(condition: Callable[[], object], describe: Callable[[], str] = str, limit: float = LIMIT) -> None:
    """Return as soon as *condition* holds; after *limit* seconds fail with the text that *describe* returns."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while not condition():
        assert loop.time() < end, describe()
        await asyncio.sleep(0.01)


def noted(link: Link) -> list[LinkEvent]:
    """Return a list to which every event of the link is appended."""
    events: list[LinkEvent] = []
    link.bus[LINK].subscribe(events.append)
    return events


#: What a call may take longer than its deadline, in seconds, on a machine that runs other tests as well.
LATE = 3.0

#: What an event loop may end a wait before its deadline, in seconds: the clock of uvloop counts milliseconds.
EARLY = 0.01


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took <= seconds, f"{took:.2f} s instead of {seconds:g} s at most"
