"""Local publishes that a port forwards reach the other processes, and come back from none of them."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from tests.nats.links import body, holds, run, stored
from tests.nats.servers import NatsServer

from typedbus import AsyncChannel, Bus, Channel, Component, Container, running
from typedbus.nats import Consumer, EventPort, Link, Stream, event

placed = Channel[[int], None]("order_placed")
placed_async = AsyncChannel[[int], None]("order_placed")

#: Any, since its type parameter is that of a channel of any kind here.
_CONSUMER: Any = Consumer
_EVENT: Any = event


@attrs.define(eq=False)
class Forwarding:
    """Forwards the local publishes of a channel, and notes the numbers of all publishes."""

    bus: Bus
    port: EventPort[[int]]
    channel: Any
    numbers: list[int] = attrs.field(factory=list)

    def start(self) -> None:
        is_async = isinstance(self.channel, AsyncChannel)
        bound: Any = self.bus[self.channel]
        bound.subscribe(self.port.forward if is_async else self.port.forward_from_thread)
        bound.subscribe(self.numbers.append)


def process(server: NatsServer, channel: Any, group: str) -> Any:
    """Return the container of a process that sends and receives the events of *channel*."""

    class Site(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [server.url], name=group)
        port = Component(_EVENT, link.provided, channel, stream=Stream("ORDERS"))
        forwarding = Component(Forwarding, bus.provided, port.provided, channel)
        consumer = Component(_CONSUMER, link.provided, bus.provided[channel], stream=Stream("ORDERS"), group=group)

    return Site


@pytest.mark.parametrize("channel", [placed, placed_async])
def test_an_event_does_not_go_around(server: NatsServer, channel: Any) -> None:
    async def publish(bus: Bus, number: int) -> None:
        bound: Any = bus[channel]
        if isinstance(channel, AsyncChannel):
            await bound.publish(number)
        else:
            await asyncio.to_thread(bound.publish, number)

    async def check() -> None:
        async with (
            running(process(server, channel, "first")) as first,
            running(process(server, channel, "second")) as second,
        ):
            await publish(first.bus(), 1)
            await publish(second.bus(), 2)
            lists = [first.forwarding().numbers, second.forwarding().numbers]
            # Each process has its own publish, and both events from the stream.
            await holds(lambda: all(len(numbers) == 3 for numbers in lists))
            await publish(first.bus(), 3)
            await holds(lambda: [len(numbers) for numbers in lists] == [5, 4])
        assert await stored(server) == [body(1), body(2), body(3)]

    run(check())
