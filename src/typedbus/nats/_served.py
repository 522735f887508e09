"""The channels whose listeners are called for messages."""

from __future__ import annotations

from typing import TypeVar

from typing_extensions import ParamSpec

from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.forked import BUSES
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.async_channel import AsyncChannel
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import Channel
from typedbus._channels.subscriptions import AnyBoundChannel
from typedbus.nats._errors import OtherBus, SchemaFault
from typedbus.nats._link import Link

P = ParamSpec("P")
R = TypeVar("R")


def channel_of(link: Link, bound: BoundChannel[P, R] | AsyncBoundChannel[P, R]) -> Channel[P, R] | AsyncChannel[P, R]:
    """
    Return the channel of *bound*.

    Raises:
        SchemaFault: It is not the channel of a bus.
        OtherBus: It is not a channel of the bus of *link*.
    """
    given: object = bound  # a program may have no type checker
    if not isinstance(given, BoundChannel | AsyncBoundChannel):
        name = given.name if isinstance(given, Channel | AsyncChannel) else repr(given)
        problem = "it is no channel of a bus; pass bus[channel], or bus.provided[channel] in a container"
        raise SchemaFault(name, "", problem)
    if not _has(link.bus, bound):
        owners = [_name_of(bus) for bus in list(BUSES) if _has(bus, bound)]
        raise OtherBus(bound.channel.name, owners[0] if owners else "another bus", link.origin, _name_of(link.bus))
    return bound.channel


def _has(bus: Bus, bound: AnyBoundChannel) -> bool:
    return parts_of(bus).registry.bound.get(bound.channel) is bound


def _name_of(bus: Bus) -> str:
    parts = parts_of(bus)
    # The name of a participant is that of the component under construction.
    return f"the bus of {parts.event_loop.name}" if any(parts.participants) else "a bus without a container"
