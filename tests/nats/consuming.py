"""Containers with a consumer, for tests."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from typing import Any

from tests.nats.servers import NatsServer, raw
from tests.processes import LIMIT

from typedbus import LOG, AsyncChannel, Bus, Channel, Component, Container
from typedbus.nats import LINK, Consumer, EventPort, Link, Stream, event

placed = Channel[[int], None]("order_placed")
placed_async = AsyncChannel[[int], None]("order_placed")

#: Any, since its type parameter is that of a channel of any type here.
_CONSUMER: Any = Consumer


class Seen(queue.SimpleQueue[Any]):
    """The objects that have arrived, in order."""

    def next(self, limit: float = LIMIT) -> Any:
        """Return the next object; fail after *limit* seconds."""
        try:
            return self.get(timeout=limit)
        except queue.Empty:
            raise AssertionError(f"nothing came within {limit:g} s") from None

    def take(self, count: int) -> list[Any]:
        """Return the next *count* objects."""
        return [self.next() for _ in range(count)]


def _subscribed(bus: Bus, channel: Any, listeners: Any, events: Any, log: Any) -> object:
    for listener in listeners:
        bus[channel].subscribe(listener)
    if events is not None:
        bus[LINK].subscribe(events)
    if log is not None:
        bus[LOG].subscribe(log)
    return object()


def consumer_alone(
    server: NatsServer,
    channel: Any,
    *listeners: Callable[..., Any],
    events: Callable[[Any], object] | None = None,
    log: Callable[[str, int], object] | None = None,
    link: dict[str, Any] | None = None,
    url: str | None = None,
    patience: float = 5.0,
    **options: Any,
) -> Any:
    """Return a container whose consumer calls *listeners*."""
    settings = {"stream": Stream("ORDERS"), "group": "invoicing", **options}

    class Site(Container):
        bus = Component(Bus)
        link_ = Component(Link, bus.provided, [url or server.url], **(link or {}))
        consumer = Component(_CONSUMER, link_.provided, bus.provided[channel], **settings).within(patience)
        listening = Component(_subscribed, bus.provided, channel, listeners, events, log)

    return Site


def consumer_site(server: NatsServer, channel: Any, *listeners: Callable[..., Any], **options: Any) -> Any:
    """Return the same with a port for the channel, on the stream ORDERS."""
    alone: Any = consumer_alone(server, channel, *listeners, **options)

    class Site(alone):  # type: ignore[misc]
        port: Component[EventPort[[int]]] = Component(event, alone.link_.provided, channel, stream=Stream("ORDERS"))

    return Site


async def _position(server: NatsServer, group: str, channel: str) -> Any:
    async with raw(server) as client:
        return await client.jetstream().consumer_info("ORDERS", f"{group}@{channel}")


def position(server: NatsServer, group: str = "invoicing", channel: str = "order_placed") -> Any:
    """Return the state of a consumer in the server."""
    return asyncio.run(_position(server, group, channel))


def received_by_group(server: NatsServer, group: str = "invoicing") -> int:
    """Return up to which position of the stream the group has acknowledged all events."""
    return int(position(server, group).ack_floor.stream_seq)
