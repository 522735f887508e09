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
from typedbus.nats import Consumer, Link, Receiver, Responder, ask, event, gather, signal

THREADS = 8
IN_FLIGHT = 64
BURST = 1000
MOST = 1_000_000


class Publisher:
    """Publishes on the event loop."""

    def __init__(self, site: Any) -> None:
        self.signals = site.signals()
        self.to_store = site.to_store()
        self.to_consume = site.to_consume()
        self.question = site.question()
        self.poll = site.poll()

    async def one_way(self, count: int) -> None:
        """Publish at most once."""
        for number in range(count):
            self.signals.publish(time.perf_counter_ns(), ORDER)
            if not number % BURST:
                await asyncio.sleep(0)  # a publish does not wait, and drops what the link cannot send in time

    async def submit(self, count: int) -> None:
        """Store events in the stream without a consumer."""
        await in_flight(count, WINDOW, lambda: self.to_store.publish(time.perf_counter_ns(), ORDER))

    async def end_to_end(self, count: int) -> None:
        """Store events in the stream that the listener consumes."""
        await in_flight(count, WINDOW, lambda: self.to_consume.publish(time.perf_counter_ns(), ORDER))

    async def ask_many(self, count: int) -> None:
        """Request answers, with 64 in flight."""
        await in_flight(count, 64, self._ask)

    async def stored(self, count: int) -> list[int]:
        """Store events, and await each acknowledgement."""
        return await one_by_one(count, lambda: self.to_store.publish(time.perf_counter_ns(), ORDER))

    async def ask(self, count: int) -> list[int]:
        """Request one answer each."""
        return await one_by_one(count, self._ask)

    async def gather(self, count: int) -> list[int]:
        """Request the answers of three processes each."""
        return await one_by_one(count, self._gather)

    async def _ask(self) -> int:
        return (await self.question.ask(time.perf_counter_ns(), ORDER)).value

    async def _gather(self) -> list[int]:
        gathered = (await self.poll.gather(time.perf_counter_ns(), ORDER)).value
        return [reply.value for reply in gathered.replies]


class ThreadPublisher:
    """Publishes in threads."""

    def __init__(self, site: Any) -> None:
        self.signals = site.signals()
        self.to_store = site.to_store()
        self.to_consume = site.to_consume()
        self.question = site.question()
        self.poll = site.poll()
        self.threads = concurrent.futures.ThreadPoolExecutor(IN_FLIGHT)

    async def _run(self, function: Callable[..., Any], *arguments: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)

    async def one_way(self, count: int) -> None:
        """Publish at most once."""
        loop = asyncio.get_running_loop()

        def send() -> None:
            for number in range(count):
                self.signals.publish_from_thread(time.perf_counter_ns(), ORDER)
                if not number % BURST:
                    # A publish does not wait, and drops what the link cannot send in time.
                    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()

        await self._run(send)

    async def submit(self, count: int) -> None:
        """Store events in the stream without a consumer."""
        await self._run(_submit, self.to_store, count)

    async def end_to_end(self, count: int) -> None:
        """Store events in the stream that the listener consumes."""
        await self._run(_submit, self.to_consume, count)

    async def ask_many(self, count: int) -> None:
        """Request answers, from 64 threads."""
        await asyncio.gather(*(self._run(_one_by_one, count // IN_FLIGHT, self._ask) for _ in range(IN_FLIGHT)))

    async def ask(self, count: int) -> list[int]:
        """Request one answer each."""
        return await self._run(_one_by_one, count, self._ask)

    async def gather(self, count: int) -> list[int]:
        """Request the answers of three processes each."""
        return await self._run(_one_by_one, count, self._gather)

    def _ask(self) -> int:
        return self.question.ask_from_thread(time.perf_counter_ns(), ORDER).value

    def _gather(self) -> list[int]:
        gathered = self.poll.gather_from_thread(time.perf_counter_ns(), ORDER).value
        return [reply.value for reply in gathered.replies]

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


def subscribed(bound: Any, listener: Callable[..., Any]) -> Callable[..., Any]:
    """Subscribe *listener* to a channel."""
    bound.subscribe(listener)
    return listener


async def main(role: str, url: str, mode: str) -> None:
    """Publish, or listen; ``answer`` is the role of the processes that only answer `gather`."""
    declare: Any = Channel if mode == "threads" else AsyncChannel
    stream = "THREADS" if mode == "threads" else "TYPEDBUS"
    of_signals, of_events, of_questions, of_polls = (
        declare[[int, Order], result](f"{mode}_{name}")
        for name, result in (("signal", None), ("event", None), ("question", int), ("poll", int))
    )
    tally = Tally()

    def take(stamp: int, order: Order) -> None:
        tally.take(stamp)

    async def take_async(stamp: int, order: Order) -> None:
        tally.take(stamp)

    def answer(stamp: int, order: Order) -> int:
        return stamp

    async def answer_async(stamp: int, order: Order) -> int:
        return stamp

    handler, answerer = (take, answer) if mode == "threads" else (take_async, answer_async)

    class Site(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [url])

    class Publishing(Site):
        signals = Component(signal, Site.link.provided, of_signals)
        to_store = Component(event, Site.link.provided, of_events, stream=f"{stream}_STORED", window=WINDOW)
        to_consume = Component(event, Site.link.provided, of_events, stream=stream, window=WINDOW)
        question = Component(ask, Site.link.provided, of_questions, timeout=10.0)
        poll = Component(gather, Site.link.provided, of_polls, timeout=10.0, expect=3)

    class Answering(Site):
        answers = Component(subscribed, Site.bus.provided[of_polls], answerer)
        polled = Component(Responder, Site.link.provided, Site.bus.provided[of_polls], group=None)

    class Listening(Answering):
        takers = Component(subscribed, Site.bus.provided[of_signals], handler)
        receiver = Component(Receiver, Site.link.provided, Site.bus.provided[of_signals], most=MOST)
        handlers = Component(subscribed, Site.bus.provided[of_events], handler)
        answerers = Component(subscribed, Site.bus.provided[of_questions], answerer)
        asked = Component(Responder, Site.link.provided, Site.bus.provided[of_questions], group="bench")
        consumer = Component(
            Consumer, Site.link.provided, Site.bus.provided[of_events], stream=stream, group="bench", prefetch=PREFETCH
        )

    async with running({"publish": Publishing, "listen": Listening, "answer": Answering}[role]) as site:
        if role == "publish":
            await publish(ThreadPublisher(site) if mode == "threads" else Publisher(site))
        else:
            await listen(tally)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
