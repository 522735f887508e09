"""Durable events: an event is in the stream when its publish returns, from the loop and from threads."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import defaultdict
from typing import Any

import attrs
import pytest
from tests.nats.links import body, linked, opened, placed, run, stored
from tests.nats.servers import NatsServer, raw
from tests.processes import LIMIT

from typedbus import AsyncChannel, Bus, Channel, Component, Container, LoopError, running
from typedbus.nats import (
    DeadLetters,
    EncodeFailed,
    EventPort,
    Link,
    LinkClosed,
    OutcomeUnknown,
    PortFault,
    SchemaFault,
    Stream,
    StreamFault,
    ask,
    event,
    gather,
    signal,
)


def test_a_publish_returns_when_the_event_is_stored(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server, name="shop") as link, opened(link) as port:
            receipts = [await port.publish(17), await port.publish(18)]
            assert [(one.stream, one.sequence, one.is_duplicate) for one in receipts] == [
                ("ORDERS", 1, False),
                ("ORDERS", 2, False),
            ]
            async with raw(server) as client:
                message = await client.jetstream().get_msg("ORDERS", 2)
        assert (message.subject, message.data) == ("ORDERS.order_placed", b'{"arg0":18}')
        assert message.headers is not None
        assert message.headers["Nats-Msg-Id"] == receipts[1].message_id
        assert message.headers["Tb-Origin"] == link.origin
        assert len(message.headers["Tb-Schema"]) == 16

    run(check())


def test_a_port_is_a_component_whose_users_may_publish_in_their_start(server: NatsServer) -> None:
    @attrs.define(eq=False)
    class Orders:
        placed: EventPort[[int]]

        def start(self) -> None:
            self.placed.publish_from_thread(1)

        def stop(self) -> None:
            self.placed.publish_from_thread(2)

    class Site(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [server.url])
        placed = Component(event, link.provided, placed, stream=Stream("ORDERS"))
        orders = Component(Orders, placed.provided)

    with running(Site):
        pass
    assert asyncio.run(stored(server)) == [b'{"arg0":1}', b'{"arg0":2}']


def test_threads_publish_and_submit_in_their_order(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link, window=64) as port:

            def work(first: int) -> None:
                assert port.publish_from_thread(first).stream == "ORDERS"
                futures = [port.submit(number) for number in range(first + 1, first + 100)]
                assert [future.result().sequence for future in futures] == sorted(
                    future.result().sequence for future in futures
                )

            await asyncio.gather(*(asyncio.to_thread(work, 1000 * number) for number in range(8)))
            bodies = await stored(server)
            by_thread = defaultdict(list)
            for one in bodies:
                by_thread[int(one[8:-1]) // 1000].append(one)
            assert {**by_thread} == {
                number: [*map(body, range(1000 * number, 1000 * number + 100))] for number in range(8)
            }

    run(check())


def test_an_event_with_a_known_key_is_stored_once(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link) as port:
            first = await port.keyed("order-17").publish(17)
            second = await asyncio.to_thread(port.keyed("order-17").publish_from_thread, 17)
            third = await asyncio.wrap_future(port.keyed("order-17").submit(17))
            assert (first.is_duplicate, second.is_duplicate, third.is_duplicate) == (False, True, True)
            assert {first.sequence, second.sequence, third.sequence} == {1}
            assert {first.message_id, second.message_id, third.message_id} == {"order-17"}
            assert await stored(server) == [body(17)]

    run(check())


def test_an_event_is_encoded_now_and_stored_later(server: NatsServer) -> None:
    port = event(Link(Bus(), ["nats://127.0.0.1:1"]), placed, stream="ORDERS")
    encoded = [port.encoded(1), port.keyed("order-2").encoded(2)]

    async def check() -> None:
        async with linked(server) as link, opened(link) as port:
            receipts = [await port.publish_encoded(one) for one in encoded]
            assert [one.message_id for one in receipts] == [one.message_id for one in encoded]
            assert receipts[1].message_id == "order-2"
            assert (await port.publish_encoded(encoded[0])).is_duplicate
            assert await stored(server) == [body(1), body(2)]
            async with raw(server) as client:
                headers = (await client.jetstream().get_msg("ORDERS", 1)).headers
            assert headers is not None
            assert headers["Tb-Origin"] == encoded[0].headers["Tb-Origin"]

    run(check())


@pytest.mark.parametrize("key", ["", "a b", "line\nline", "\r", "ü", "x" * 256, 17])
def test_a_key_that_cannot_be_an_id_is_refused(key: str) -> None:
    port = event(Link(Bus(), ["nats://127.0.0.1:1"]), placed, stream="ORDERS")
    with pytest.raises(PortFault, match="1 to 255 printable ASCII characters") as caught:
        port.keyed(key)
    assert (caught.value.channel, caught.value.argument, caught.value.given) == ("order_placed", "key", key)


@pytest.mark.parametrize(
    "option, given", [("deadline", 0), ("deadline", True), ("deadline", math.inf), ("window", 0), ("window", 1.5)]
)
def test_an_option_that_is_no_such_number_is_refused(option: str, given: float) -> None:
    with pytest.raises(PortFault, match=f"{option}={given!r}"):
        event(Link(Bus(), ["nats://127.0.0.1:1"]), placed, stream="ORDERS", **{option: given})  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", ["", "a.b", 3])
def test_a_stream_that_has_no_such_name_is_refused_where_it_is_passed(stream: Any) -> None:
    link = Link(Bus(), ["nats://127.0.0.1:1"])
    for make in (lambda: event(link, placed, stream=stream), lambda: DeadLetters(link, stream)):
        with pytest.raises(StreamFault, match="is no name of a stream"):
            make()


def test_a_channel_whose_arguments_cannot_be_sent_is_refused_where_the_port_is_made() -> None:
    with pytest.raises(SchemaFault, match="'anything'"):
        event(Link(Bus(), ["nats://127.0.0.1:1"]), Channel[[object], None]("anything"), stream="ORDERS")


def test_a_port_sends_between_its_start_and_its_stop(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link:
            port = event(link, placed, stream=Stream("ORDERS"))
            for _ in range(2):
                with pytest.raises(LinkClosed, match="'order_placed'"):
                    await port.publish(1)
                with pytest.raises(LinkClosed):
                    port.submit(1)
                with pytest.raises(LinkClosed):
                    await asyncio.to_thread(port.publish_from_thread, 1)
                await port.start()
                await port.publish(2)
                await port.stop()
                await port.stop()
            assert await stored(server) == [body(2), body(2)]
        with pytest.raises(LinkClosed):
            await port.start()

    run(check())


def test_calls_on_a_wrong_loop_or_in_its_thread_are_refused(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link) as port:
            with pytest.raises(LoopError, match=r"publish_from_thread\(\) on the event port of 'order_placed'"):
                port.publish_from_thread(1)

            async def elsewhere() -> int:
                with pytest.raises(LoopError, match="not the event loop of the link"):
                    await port.publish(2)
                with pytest.raises(LoopError):
                    port.publish_from_thread(3)
                return (await asyncio.wrap_future(port.submit(4))).sequence

            assert await asyncio.to_thread(asyncio.run, elsewhere()) == 1
            assert await stored(server) == [body(4)]

    run(check())


def test_a_blocked_loop_does_not_block_a_thread_beyond_the_deadline(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link, deadline=0.2) as port:
            outcomes: list[object] = []

            def publish() -> None:
                try:
                    outcomes.append(port.publish_from_thread(1))
                except OutcomeUnknown as error:
                    outcomes.append(error)

            thread = threading.Thread(target=publish)
            thread.start()
            thread.join(LIMIT)  # blocks the loop
            assert [type(one) for one in outcomes] == [OutcomeUnknown]

    run(check())


def test_an_argument_that_does_not_fit_raises_in_the_caller(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link) as port:
            with pytest.raises(TypeError):
                port.submit()  # type: ignore[call-arg]
            with pytest.raises(EncodeFailed):
                port.submit("17")  # type: ignore[arg-type]
            assert await stored(server) == []

    run(check())


def test_a_local_publish_is_forwarded_to_the_stream(server: NatsServer) -> None:
    shipped = AsyncChannel[[int], None]("shipped")

    async def check() -> None:
        async with linked(server) as link, opened(link) as port:
            other = event(link, shipped, stream=Stream("ORDERS"))
            await other.start()
            link.bus[placed].subscribe(port.forward_from_thread)
            link.bus[shipped].subscribe(other.forward)
            await asyncio.to_thread(link.bus[placed].publish, 1)
            await link.bus[shipped].publish(2)
            await other.stop()
            assert await stored(server) == [body(1), body(2)]

    run(check())


def test_the_repr_of_a_port_names_its_channel_and_has_no_message() -> None:
    link = Link(Bus(), ["nats://user:secret@127.0.0.1:1"])
    question = Channel[[int], int]("quote_wanted")
    assert [repr(port) for port in (event(link, placed, stream="ORDERS"), signal(link, placed))] == [
        "<EventPort 'order_placed' on stream 'ORDERS'>",
        "<SignalPort 'order_placed'>",
    ]
    assert [repr(port) for port in (ask(link, question, timeout=1.0), gather(link, question, timeout=1.0))] == [
        "<AskPort 'quote_wanted'>",
        "<GatherPort 'quote_wanted'>",
    ]
