"""Dead letters are read, delivered to their group again, and removed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from tests.nats.consuming import Seen, consumer_alone, consumer_site, placed, position
from tests.nats.links import linked, opened, run
from tests.nats.servers import NatsServer, raw
from tests.processes import until

from typedbus import Bus, running
from typedbus.nats import (
    DeadLettered,
    DeadLetters,
    Link,
    LinkClosed,
    NotStored,
    Redelivery,
    Stream,
    StreamFault,
    delivery,
)

T = TypeVar("T")
ONCE = Redelivery(attempts=1)


def on_loop(site: Any, call: Coroutine[Any, Any, T]) -> T:
    """Run *call* on the event loop of the bus."""
    return asyncio.run_coroutine_threadsafe(call, site.link_().session("a test").loop).result(60)


def test_a_replayed_event_is_delivered_to_its_group_alone_with_its_id(server: NatsServer) -> None:
    calls, events, others = Seen(), Seen(), Seen()
    is_mended = threading.Event()

    def listener(number: int) -> None:
        found = delivery()
        calls.put((number, found.message_id, found.attempt))
        if not is_mended.is_set():
            raise ValueError("out of stock")

    def keep(event: object) -> None:
        if isinstance(event, DeadLettered):
            events.put(event)

    with (
        running(consumer_site(server, placed, listener, events=keep, redelivery=ONCE)) as site,
        running(consumer_alone(server, placed, others.put, group="shipping")),
    ):
        for number in (1, 2, 3):
            site.port().keyed(f"order-{number}").publish_from_thread(number)
        events.take(3)
        letters = DeadLetters(site.link_(), "ORDERS")
        found = on_loop(site, letters.read("invoicing"))
        assert [(one.message_id, one.data, one.attempts, one.kind) for one in found] == [
            (f"order-{number}", b'{"arg0":%d}' % number, 1, "ValueError") for number in (1, 2, 3)
        ]
        assert {(one.group, one.channel) for one in found} == {("invoicing", "order_placed")}
        assert all("ValueError('out of stock')" in one.reason for one in found)
        assert len({one.event_sequence for one in found}) == 3
        assert sorted(others.take(3)) == [1, 2, 3]
        calls.take(3)
        is_mended.set()
        on_loop(site, letters.replay(found[1]))
        assert calls.next() == (2, "order-2", 1)
        assert [one.message_id for one in on_loop(site, letters.read())] == ["order-1", "order-3"]
        on_loop(site, letters.remove(found[0]))
        on_loop(site, letters.remove(found[0]))
        assert [one.message_id for one in on_loop(site, letters.read())] == ["order-3"]
        until(lambda: position(server, "shipping").num_ack_pending == 0 == position(server, "shipping").num_pending)
        until(lambda: position(server).num_ack_pending == 0)
    assert others.empty()
    assert calls.empty()


def test_a_replayed_event_that_fails_is_a_dead_letter_again(server: NatsServer) -> None:
    events = Seen()

    def fail(number: int) -> None:
        raise ValueError(number)

    def keep(event: object) -> None:
        if isinstance(event, DeadLettered):
            events.put(event.message_id)

    with running(consumer_site(server, placed, fail, events=keep, redelivery=ONCE)) as site:
        site.port().keyed("order-1").publish_from_thread(1)
        assert events.next() == "order-1"
        letters = DeadLetters(site.link_(), Stream("ORDERS"))
        (first,) = on_loop(site, letters.read())
        on_loop(site, letters.replay(first))
        assert events.next() == "order-1"
        (second,) = on_loop(site, letters.read())
        assert second.sequence > first.sequence


def test_dead_letters_are_read_in_pages_and_by_group(server: NatsServer) -> None:
    async def store(client: Any) -> None:
        await client.jetstream().add_stream(name="ORDERS", subjects=["ORDERS.>"])
        for number in range(5):
            group = "a" if number % 2 else "b"
            await client.jetstream().publish(
                f"ORDERS.$dead.{group}.order_placed", b"", headers={"Tb-Dead-Group": group}
            )

    async def check() -> None:
        async with raw(server) as client:
            await store(client)
        link = Link(Bus(), [server.url])
        letters = DeadLetters(link, "ORDERS")
        with pytest.raises(LinkClosed):
            await letters.read()
        await link.start()
        try:
            assert [one.sequence for one in await letters.read(most=2)] == [1, 2]
            assert [one.sequence for one in await letters.read(after=2)] == [3, 4, 5]
            assert [one.sequence for one in await letters.read("a")] == [2, 4]
            assert await letters.read("c") == []
            with pytest.raises(StreamFault, match="stream 'OTHER': its dead letters cannot be read: stream not found"):
                await DeadLetters(link, "OTHER").read()
            (letter,) = await letters.read(most=1)
            with pytest.raises(StreamFault, match="stream 'OTHER': a dead letter cannot be removed: stream not found"):
                await DeadLetters(link, "OTHER").remove(letter)
        finally:
            await link.stop()

    asyncio.run(check())


def test_a_replay_that_is_not_stored_keeps_the_dead_letter(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client:
            streams = client.jetstream()
            await streams.add_stream(name="ORDERS", subjects=["ORDERS.>"], max_msgs=1, discard="new")
            await streams.publish(
                "ORDERS.$dead.a.order_placed",
                b"{}",
                headers={"Tb-Dead-Group": "a", "Tb-Dead-Channel": "order_placed", "Tb-Dead-Message-Id": "order-1"},
            )
        link = Link(Bus(), [server.url])
        await link.start()
        try:
            letters = DeadLetters(link, "ORDERS")
            (letter,) = await letters.read()
            with pytest.raises(NotStored, match="order-1 on 'order_placed' was not stored: maximum messages exceeded"):
                await letters.replay(letter)
            assert await letters.read() == [letter]
        finally:
            await link.stop()

    asyncio.run(check())


def test_the_body_of_the_largest_event_is_that_of_the_event(server: NatsServer) -> None:
    seen, events = Seen(), Seen()
    body = b'{"arg0": 17' + b" " * (1024 * 1024 - 1000) + b"}"

    def listener(number: int) -> None:
        is_first = seen.empty()
        seen.put(number)
        if is_first:
            raise ValueError(number)

    def keep(event: object) -> None:
        if isinstance(event, DeadLettered):
            events.put(event)

    async def store() -> None:
        async with raw(server) as client:
            await client.jetstream().publish("ORDERS.order_placed", body)

    with running(consumer_site(server, placed, listener, events=keep, redelivery=ONCE)) as site:
        asyncio.run(store())
        events.next()
        letters = DeadLetters(site.link_(), "ORDERS")
        (letter,) = on_loop(site, letters.read())
        assert letter.data == b""
        on_loop(site, letters.replay(letter))
        assert seen.take(2) == [17, 17]


@pytest.mark.parametrize("headers", [{}, {"Tb-Dead-Channel": "a 1", "Tb-Dead-Group": "g", "Tb-Dead-Message-Id": "i"}])
def test_a_letter_that_no_consumer_has_stored_is_read_and_not_replayed(
    server: NatsServer, headers: dict[str, str]
) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link), raw(server) as client:
            await client.jetstream().publish(
                "ORDERS.$dead.g.order_placed", b"foreign", headers={"Tb-Dead-Attempts": "many", **headers}
            )
            letters = DeadLetters(link, "ORDERS")
            (letter,) = await letters.read()
            assert (letter.data, letter.attempts, letter.event_sequence) == (b"foreign", 0, 0)
            with pytest.raises(NotStored, match="no consumer has stored it"):
                await letters.replay(letter)
            assert link.is_connected
            await letters.remove(letter)
            assert await letters.read() == []

    run(check())
