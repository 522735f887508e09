"""A consumer, a receiver and a responder need a link and a channel of one bus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from typedbus import AsyncChannel, Bus, Channel, Component, Container, running
from typedbus.nats import Consumer, Link, OtherBus, Receiver, Responder

placed = Channel[[int], None]("order_placed")
placed_async = AsyncChannel[[int], None]("order_placed_async")


def consumer(link: Link, bound: Any) -> object:
    return Consumer(link, bound, stream="ORDERS", group="g")


def receiver(link: Link, bound: Any) -> object:
    return Receiver(link, bound)


def responder(link: Link, bound: Any) -> object:
    return Responder(link, bound, group="g")


each = pytest.mark.parametrize("kind", [consumer, receiver, responder])


@each
@pytest.mark.parametrize("channel", [placed, placed_async], ids=["sync", "async"])
def test_a_channel_of_another_bus_than_the_link_is_refused(kind: Callable[..., object], channel: Any) -> None:
    bus, other = Bus(), Bus()
    link = Link(bus, ["nats://127.0.0.1:4222"], name="shop")

    kind(link, bus[channel])
    with pytest.raises(OtherBus) as raised:
        kind(link, other[channel])

    error = raised.value
    assert (error.channel, error.link) == (channel.name, link.origin)
    assert error.channel_bus == error.link_bus == "a bus without a container"
    assert "link.provided and bus.provided[channel] in one container" in str(error)


@each
def test_the_error_names_the_containers_of_both_buses(kind: Callable[..., object]) -> None:
    class Billing(Container):
        bus = Component(Bus)

    refused: list[OtherBus] = []

    def refuse(link: Link) -> object:
        with pytest.raises(OtherBus) as raised:
            kind(link, billing.bus()[placed])
        refused.append(raised.value)
        return object()

    class Shop(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, ["nats://127.0.0.1:4222"], require_at_start=False, connect_within=0.1)
        served = Component(refuse, link.provided)

    with running(Billing) as billing, running(Shop):
        pass

    assert [(one.channel_bus, one.link_bus) for one in refused] == [("the bus of Billing", "the bus of Shop")]
