"""Durable events: an event is in the stream when its publish returns, and every publish ends by its deadline."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import attrs
from tests.nats.servers import NatsServer, raw

from typedbus import Bus, Channel, Component, Container, running
from typedbus.nats import (
    EventPort,
    Link,
    Stream,
    event,
)

placed = Channel[[int], None]("order_placed")
noted = Channel[[str], None]("noted")


@contextlib.asynccontextmanager
async def linked(server: NatsServer, **options: Any) -> AsyncIterator[Link]:
    """Give a started link to *server*, and stop it."""
    link = Link(Bus(), [server.url], **options)
    await link.start()
    try:
        yield link
    finally:
        await link.stop()


@contextlib.asynccontextmanager
async def opened(link: Link, **options: Any) -> AsyncIterator[EventPort[[int]]]:
    """Give a started port for `placed` on the stream ORDERS, and stop it."""
    port = event(link, placed, **{"stream": Stream("ORDERS"), **options})
    await port.start()
    try:
        yield port
    finally:
        await port.stop()


async def stored(server: NatsServer, stream: str = "ORDERS") -> list[bytes]:
    """Return the bodies of all events in a stream."""
    async with raw(server) as client:
        api = client.jetstream()
        state = (await api.stream_info(stream)).state
        return [
            (await api.get_msg(stream, number)).data or b"" for number in range(state.first_seq, state.last_seq + 1)
        ]


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

    asyncio.run(check())


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
