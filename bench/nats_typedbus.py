"""The contender typedbus, on an event loop with async listeners, or with ``threads`` in threads with sync listeners."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from nats_order import ORDER, Order
from nats_raw import PREFETCH, WINDOW
from nats_worker import Tally, in_flight, listen, one_by_one, publish
from typedbus import AsyncChannel, Bus, Channel, Component, Container, running
from typedbus.nats import Consumer, Link, event

THREADS = 8


class Publisher:
    """Publishes on the event loop."""

    def __init__(self, site: Any) -> None:
        self.to_store = site.to_store()
        self.to_consume = site.to_consume()

    async def submit(self, count: int) -> None:
        """Store events in the stream without a consumer."""
        await in_flight(count, WINDOW, lambda: self.to_store.publish(time.perf_counter_ns(), ORDER))

    async def end_to_end(self, count: int) -> None:
        """Store events in the stream that the listener consumes."""
        await in_flight(count, WINDOW, lambda: self.to_consume.publish(time.perf_counter_ns(), ORDER))

    async def stored(self, count: int) -> list[int]:
        """Store events, and await each acknowledgement."""
        return await one_by_one(count, lambda: self.to_store.publish(time.perf_counter_ns(), ORDER))


class ThreadPublisher:
    """Publishes in threads."""

    def __init__(self, site: Any) -> None:
        self.to_store = site.to_store()
        self.to_consume = site.to_consume()
        self.threads = concurrent.futures.ThreadPoolExecutor(THREADS)

    async def _run(self, function: Callable[..., Any], *arguments: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)

    async def submit(self, count: int) -> None:
        """Store events in the stream without a consumer."""
        await self._run(_submit, self.to_store, count)

    async def end_to_end(self, count: int) -> None:
        """Store events in the stream that the listener consumes."""
        await self._run(_submit, self.to_consume, count)

    async def stored(self, count: int) -> list[int]:
        """Store events, and wait for each acknowledgement."""
        return await self._run(
            _one_by_one, count, lambda: self.to_store.publish_from_thread(time.perf_counter_ns(), ORDER)
        )

    async def one_thread(self, count: int) -> None:
        """Store events from one thread, which waits for each."""
        await self._run(_store, self.to_store, count)

    async def eight_threads(self, count: int) -> None:
        """Store events from eight threads, each of which waits for each of its events."""
        await asyncio.gather(*(self._run(_store, self.to_store, count // THREADS) for _ in range(THREADS)))


def _submit(port: Any, count: int) -> None:
    ended = threading.Event()
    numbers = itertools.count(1)

    def done(future: concurrent.futures.Future[Any]) -> None:
        future.result()
        if next(numbers) == count:
            ended.set()

    for _ in range(count):
        port.submit(time.perf_counter_ns(), ORDER).add_done_callback(done)
    ended.wait()


def _store(port: Any, count: int) -> None:
    for _ in range(count):
        port.publish_from_thread(time.perf_counter_ns(), ORDER)


def _one_by_one(count: int, call: Callable[[], object]) -> list[int]:
    took = []
    clock = time.perf_counter_ns
    for _ in range(count):
        began = clock()
        call()
        took.append(clock() - began)
    return took


async def main(role: str, url: str, mode: str) -> None:
    """Publish or listen."""
    declare: Any = Channel if mode == "threads" else AsyncChannel
    stream = "THREADS" if mode == "threads" else "TYPEDBUS"
    events: Any = declare[[int, Order], None](f"{mode}_event")

    class Publishing(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [url])
        to_store = Component(event, link.provided, events, stream=f"{stream}_STORED", window=WINDOW)
        to_consume = Component(event, link.provided, events, stream=stream, window=WINDOW)

    if role == "publish":
        async with running(Publishing) as site:
            await publish(ThreadPublisher(site) if mode == "threads" else Publisher(site))
        return

    class Listening(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [url])
        consumer = Component(
            Consumer, link.provided, bus.provided[events], stream=stream, group="bench", prefetch=PREFETCH
        )

    tally = Tally()

    def take(stamp: int, order: Order) -> None:
        tally.take(stamp)

    async def take_async(stamp: int, order: Order) -> None:
        tally.take(stamp)

    async with running(Listening) as site:
        site.bus()[events].subscribe(take if mode == "threads" else take_async)
        await listen(tally)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
