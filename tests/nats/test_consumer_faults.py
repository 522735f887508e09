"""Consumers whose server, process or listeners stop: nothing is lost, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import StreamConfig
from tests.nats.consuming import Seen, consumer_alone, consumer_site, placed, placed_async, position, received_by_group
from tests.nats.servers import NatsServer, raw
from tests.processes import Begin, free_port, programs, until

from typedbus import HookTimeout, TransitionFailures, running
from typedbus.nats import ConnectionLost, Redelivery, delivery


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    with programs(tmp_path) as start:
        yield start


def publish(server: NatsServer, *numbers: int) -> None:
    """Store events with a raw client."""

    async def send() -> None:
        async with raw(server) as client:
            for number in numbers:
                await client.jetstream().publish("ORDERS.order_placed", b'{"arg0": %d}' % number)

    asyncio.run(send())


def make_stream(server: NatsServer) -> None:
    """Create the stream."""

    async def make() -> None:
        async with raw(server) as client:
            await client.jetstream().add_stream(StreamConfig(name="ORDERS", subjects=["ORDERS.>"]))

    asyncio.run(make())


@pytest.mark.parametrize("channel", [placed, placed_async], ids=["sync", "async"])
def test_a_consumer_resumes_when_the_server_is_back_and_nothing_grows(server: NatsServer, channel: Any) -> None:
    seen = Seen()
    monitor = free_port()
    server.stop()
    server.config = f"http: 127.0.0.1:{monitor}"
    server.start()

    def subscriptions() -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{monitor}/connz?subs=1", timeout=10) as answer:
            return sum(one["subscriptions"] for one in json.load(answer)["connections"])

    with running(consumer_alone(server, channel, seen.put)) as site:
        loop = site.link_().session("order_placed").loop

        def sizes() -> tuple[int, int, int]:
            return len(asyncio.all_tasks(loop)), threading.active_count(), subscriptions()

        publish(server, 0)
        assert seen.next() == 0
        before = sizes()
        for number in range(1, 6):
            server.kill9()
            server.start()
            ready_at = time.monotonic()
            publish(server, number)
            # The server may have lost the acknowledgement of the event before; that is delivered again.
            while seen.next() != number:
                pass
            # It is well below 1 s on an idle machine; the event of a lost subscription would come after 30 s.
            assert time.monotonic() - ready_at < 20
        until(lambda: sizes() <= before, lambda: f"{before} -> {sizes()}")


@pytest.mark.parametrize("channel", [placed, placed_async], ids=["sync", "async"])
def test_an_event_that_ends_while_the_server_is_down_is_acknowledged_later(server: NatsServer, channel: Any) -> None:
    seen, release, lost = Seen(), threading.Event(), threading.Event()

    def listener(number: int) -> None:
        seen.put((number, delivery().attempt))
        release.wait(60)

    async def listener_async(number: int) -> None:
        await asyncio.to_thread(listener, number)

    def note(event: object) -> None:
        if isinstance(event, ConnectionLost):
            lost.set()

    call = listener if channel is placed else listener_async
    with running(consumer_site(server, channel, call, redelivery=Redelivery(ack_wait=60), events=note)) as site:
        site.port().publish_from_thread(1)
        assert seen.next() == (1, 1)
        # A killed server may have lost that it has delivered the event, and would deliver it again.
        server.stop()
        assert lost.wait(60)
        release.set()
        until(lambda: site.consumer().held == 0)
        server.start()
        until(lambda: received_by_group(server) == 1)
        assert position(server).delivered.consumer_seq == 1
    assert seen.empty()


def test_a_stop_with_a_frozen_server_ends_in_time(server: NatsServer) -> None:
    seen = Seen()
    with running(consumer_site(server, placed, seen.put)) as site:
        site.port().publish_from_thread(1)
        assert seen.next() == 1
        server.freeze()
        began = time.monotonic()
        site.bus().stop()
        # The run may take 5 s, the link 2 s; without a limit it would not end.
        assert time.monotonic() - began < 20
        server.thaw()


@pytest.mark.parametrize("channel", [placed, placed_async], ids=["sync", "async"])
def test_a_stop_returns_what_has_not_begun_and_waits_for_what_has(server: NatsServer, channel: Any) -> None:
    here, there, release = Seen(), Seen(), threading.Event()

    def listener(number: int) -> None:
        here.put(number)
        release.wait(60)

    async def listener_async(number: int) -> None:
        await asyncio.to_thread(listener, number)

    def handle(number: int) -> None:
        there.put((number, delivery().attempt))

    call = listener if channel is placed else listener_async
    with running(consumer_site(server, channel, call)) as site:
        for number in range(50):
            site.port().publish_from_thread(number)
        assert here.next() == 0
        until(lambda: position(server).num_ack_pending == 50)
        with running(consumer_alone(server, channel, handle)):
            stopping = threading.Thread(target=site.bus().stop)
            stopping.start()
            began = time.monotonic()
            # Each is delivered twice: a third delivery, to the process that stops, would bring it closer to a dead letter.
            assert sorted(there.take(49)) == [(number, 2) for number in range(1, 50)]
            # Without the return they would come after 30 s; 1 s is usual.
            assert time.monotonic() - began < 20
            assert stopping.is_alive()
            release.set()
            stopping.join(60)
            until(lambda: position(server).num_ack_pending == 0)
    assert here.empty()
    assert there.empty()


def test_an_async_listener_that_outlasts_the_stop_is_cancelled_and_its_event_returned(server: NatsServer) -> None:
    began, there, cancelled = Seen(), Seen(), threading.Event()

    async def listener(number: int) -> None:
        began.put(number)
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    def handle(number: int) -> None:
        there.put((number, delivery().attempt))

    with running(consumer_site(server, placed_async, listener, patience=0.5)) as site:
        site.port().publish_from_thread(1)
        assert began.next() == 1
        site.bus().stop()
        assert cancelled.is_set()
        with running(consumer_alone(server, placed_async, handle)):
            assert there.next(20) == (1, 2)


def test_a_thread_that_outlasts_the_stop_is_named_with_its_stack(server: NatsServer) -> None:
    began, lines, release = Seen(), Seen(), threading.Event()

    def listener(number: int) -> None:
        began.put(number)
        release.wait(60)

    def log(message: str, level: int) -> None:
        if "has not returned" in message:
            lines.put(message)

    with running(consumer_site(server, placed, listener, log=log, patience=0.5)) as site:
        site.port().publish_from_thread(1)
        assert began.next() == 1
        with pytest.raises(TransitionFailures) as failed:
            site.bus().stop()
        assert failed.value.split(HookTimeout)[1] is None
        assert "release.wait(60)" in lines.next()
        release.set()


def test_a_consumer_begins_when_the_server_comes_later(server: NatsServer) -> None:
    seen = Seen()
    make_stream(server)
    server.stop()
    with running(
        consumer_alone(
            server, placed, seen.put, stream="ORDERS", link={"connect_within": 0.1, "require_at_start": False}
        )
    ):
        server.start()
        publish(server, 1)
        assert seen.next() == 1


def test_a_consumer_begins_when_its_stream_comes_later(server: NatsServer) -> None:
    seen, lines = Seen(), Seen()
    server.stop()

    def log(message: str, level: int) -> None:
        if "receives no events" in message:
            lines.put((message, level))

    link = {"connect_within": 0.1, "require_at_start": False}
    with running(consumer_alone(server, placed, seen.put, stream="ORDERS", link=link, log=log)):
        server.start()
        message, level = lines.next()
        assert "the server has no such stream: create it" in message
        assert level == 40
        make_stream(server)
        publish(server, 1)
        assert seen.next() == 1


def test_a_consumer_that_was_removed_from_the_server_is_created_again(server: NatsServer) -> None:
    seen, lines = Seen(), Seen()

    async def remove() -> None:
        async with raw(server) as client:
            await client.jetstream().delete_consumer("ORDERS", "invoicing@order_placed")

    def log(message: str, level: int) -> None:
        if "was missing in the server" in message:
            lines.put(level)

    with running(consumer_site(server, placed, seen.put, redelivery=Redelivery(ack_wait=0.5), log=log)) as site:
        site.port().publish_from_thread(1)
        assert seen.next() == 1
        until(lambda: received_by_group(server) == 1)
        asyncio.run(remove())
        # At least once: the position of the group is lost.
        assert seen.next() == 1
        assert lines.next() == 30


def test_a_consumer_that_may_not_acknowledge_logs_the_permission(server: NatsServer) -> None:
    lines = Seen()
    server.config = (
        "authorization { users: [ {user: all, password: all}, {user: shop, password: secret, permissions: "
        '{ publish: { deny: "$JS.ACK.>" } } } ] }'
    )
    server.reload()

    async def store() -> None:
        async with raw(server, user="all", password="all") as client:
            await client.jetstream().add_stream(StreamConfig(name="ORDERS", subjects=["ORDERS.>"]))
            await client.jetstream().publish("ORDERS.order_placed", b'{"arg0": 1}')

    asyncio.run(store())

    def log(message: str, level: int) -> None:
        if "cannot acknowledge" in message:
            lines.put((message, level))

    url = server.url.replace("://", "://shop:secret@")
    with running(consumer_alone(server, placed, lambda number: None, log=log, url=url)):
        message, level = lines.next()
        assert "allow '$JS.ACK.>'" in message
        assert level == 40


_PROGRAM = """
    import os, sys, threading, time
    from typedbus import RUNS, Bus, Channel, Component, Container
    from typedbus.nats import Consumer, Link, Redelivery, Stream, delivery
    from typedbus.process import run

    placed = Channel[[int], None]("order_placed")
    pause = float(sys.argv[2])

    def subscribed(bus):
        bus[RUNS].subscribe(lambda event: print("began to consume", flush=True))

        @bus[placed].subscribe
        def listener(number: int) -> None:
            print("began", number, delivery().attempt, flush=True)
            if pause:
                threading.Event().wait(pause)
            print("handled", number, flush=True)
        return object()

    class Site(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [sys.argv[1]])
        consumer = Component(
            Consumer, link.provided, bus.provided[placed], stream=Stream("ORDERS"), group="invoicing",
            redelivery=Redelivery(ack_wait=float(sys.argv[3])), in_order="in_order" in sys.argv,
        )
        listening = Component(subscribed, bus.provided)

    run(Site)
"""


@pytest.mark.slow
@pytest.mark.parametrize("order", ["", "in_order"])
def test_an_event_of_a_killed_process_is_delivered_to_another(server: NatsServer, begin: Begin, order: str) -> None:
    make_stream(server)
    first = begin(_PROGRAM, server.url, 60, 1, order)
    first.reach("began to consume")
    publish(server, 1, 2, 3)
    first.reach("began 1 1")
    second = begin(_PROGRAM, server.url, 0, 1, order)
    second.reach("began to consume")
    first.kill()
    second.reach("began 1 2")
    second.reach_all("handled", 3)
    handled = [line for line in second.lines if line.startswith("handled")]
    assert sorted(handled) == ["handled 1", "handled 2", "handled 3"]
    if order:
        assert handled == sorted(handled)
    until(lambda: position(server).num_ack_pending == 0)


@pytest.mark.slow
def test_a_process_that_ends_under_load_loses_no_event_and_holds_none_up(server: NatsServer, begin: Begin) -> None:
    make_stream(server)
    # Events that were not returned would come after 60 s.
    first, second = (begin(_PROGRAM, server.url, 0.002, 60) for _ in range(2))
    for process in (first, second):
        process.reach("began to consume")
    publish(server, *range(1000))
    first.reach("handled")
    second.reach("handled")
    assert first.end(15) == 0
    until(lambda: position(server).ack_floor.stream_seq == 1000, limit=40)
    assert second.end(15) == 0
    lines = [*first.lines, *second.lines]
    assert {line for line in lines if line.startswith("handled")} == {f"handled {number}" for number in range(1000)}
    assert len([line for line in lines if line.startswith("handled")]) == 1000


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
@pytest.mark.parametrize("channel", [placed, placed_async], ids=["sync", "async"])
def test_a_slow_listener_loses_nothing_and_the_memory_does_not_grow(server: NatsServer, channel: Any) -> None:
    count = 100_000
    done = threading.Event()
    numbers: set[int] = set()
    most_held = 0

    def listener(number: int) -> None:
        nonlocal most_held
        numbers.add(number)
        most_held = max(most_held, site.consumer().held)
        time.sleep(0.0005)  # ten times slower than the publisher
        if len(numbers) == count:
            done.set()

    async def listener_async(number: int) -> None:
        await asyncio.sleep(0)
        listener(number)

    call = listener if channel is placed else listener_async
    with running(consumer_site(server, channel, call)) as site:
        port = site.port()
        sent = 0
        while sent < 2000:
            port.publish_from_thread(sent)
            sent += 1
        until(lambda: len(numbers) == sent)
        before = _rss()
        while sent < count:
            port.submit(sent)
            sent += 1
        assert done.wait(600)
        until(lambda: position(server).num_ack_pending == 0)
        # Without the numbers themselves.
        assert _rss() - before < 20 + count * 100 / 1e6
        assert most_held <= 256
        assert position(server).num_redelivered == 0


def _rss() -> float:
    """Return the memory of this process, in MB."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
