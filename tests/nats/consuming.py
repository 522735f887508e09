"""Containers with a consumer, for tests."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

from tests.nats.servers import NatsServer
from tests.processes import LIMIT

from typedbus import LOG, AsyncChannel, Bus, Channel, Component, Container
from typedbus.nats import LINK, Consumer, EventPort, Link, Stream, event

placed = Channel[[int], None]("order_placed")
placed_async = AsyncChannel[[int], None]("order_placed")


class Seen(queue.SimpleQueue[Any]):
    """What has arrived, for one test."""

    def next(self, limit: float = LIMIT) -> Any:
        """Return the next item; fail after *limit* seconds."""
        try:
            return self.get(timeout=limit)
        except queue.Empty:
            raise AssertionError(f"nothing came within {limit:g} s") from None

    def take(self, count: int) -> list[Any]:
        """Return the next *count* items."""
        return [self.next() for _ in range(count)]


def consumer_site(
    server: NatsServer,
    channel: Any,
    *listeners: Callable[..., Any],
    events: Callable[[Any], object] | None = None,
    log: Callable[[str, int], object] | None = None,
    **options: Any,
) -> Any:
    """Return a container whose consumer calls *listeners*, with a port for the same channel."""

    kind: Any = Consumer  # its type parameter is that of the channel, which is Any here

    class Site(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [server.url])
        port: Component[EventPort[[int]]] = Component(event, link.provided, channel, stream=Stream("ORDERS"))
        consumer = Component(
            kind,
            link.provided,
            bus.provided[channel],
            **{"stream": Stream("ORDERS"), "group": "invoicing", **options},
        )
        listening = Component(subscribed, bus.provided, channel, listeners, events, log)

    return Site


def subscribed(bus: Bus, channel: Any, listeners: Any, events: Any, log: Any) -> object:
    """Subscribe the listeners of a test."""
    for listener in listeners:
        bus[channel].subscribe(listener)
    if events is not None:
        bus[LINK].subscribe(events)
    if log is not None:
        bus[LOG].subscribe(log)
    return object()
