"""Channels that change: listeners that fit before and after, event objects, and uses of deprecated channels that are not reported."""

from dataclasses import dataclass
from typing import Protocol, assert_type

from typedbus import (
    AsyncChannel,
    AsyncPublishes,
    BoundChannel,
    Bus,
    Channel,
    Component,
    Container,
    Publishes,
    on,
)
from typedbus.types import DeprecatedAsyncChannel, DeprecatedChannel


@Channel.declare
def art_set(*, album: str, source: str = "") -> None:
    """The parameter *source* is new."""


@AsyncChannel.declare
async def art_fetched(*, album: str, source: str = "") -> None:
    """The parameter *source* is new."""


def with_the_new_parameter(*, album: str, source: str = "") -> None: ...


def with_a_default_of_its_own(*, album: str, source: str = "unknown", size: int = 0) -> None: ...


def with_any_others(*, album: str, **_: object) -> None: ...


async def async_with_any_others(*, album: str, **_: object) -> None: ...


@dataclass(frozen=True, kw_only=True)
class ArtSet:
    album: str
    source: str = ""


@Channel.declare
def art_cleared(*, album: str) -> None:
    """The parameter *source* has been removed."""


art = Channel[[ArtSet]]("art")


def with_an_event(event: ArtSet, /) -> None: ...


class Cover:
    @on(art_set)
    def with_any_others(self, *, album: str, **_: object) -> None: ...

    @on(art_set)
    def with_the_new_parameter(self, *, album: str, source: str = "") -> None: ...

    @on(art)
    def with_an_event(self, event: ArtSet, /) -> None: ...


def listeners_that_fit_before_and_after(bus: Bus) -> None:
    bus[art_set].subscribe(with_the_new_parameter)
    bus[art_set].subscribe(with_a_default_of_its_own)
    bus[art_set].subscribe(with_any_others)
    bus[art_fetched].subscribe(async_with_any_others)
    bus[art].subscribe(with_an_event)
    bus[art_cleared].subscribe(with_the_new_parameter)
    bus[art_cleared].subscribe(with_any_others)
    bus[art_set].publish(album="a")
    bus[art_set].publish(album="a", source="s")
    bus[art].publish(ArtSet(album="a"))


# Deprecated channels


def order(sku: str, /, *, count: int = 1) -> None: ...


async def async_order(sku: str, /, *, count: int = 1) -> None: ...


@Channel.declare(deprecated="use order_placed")
def order_made(sku: str, /, *, count: int = 1) -> None: ...


@AsyncChannel.declare(deprecated="use order_sent")
async def order_shipped(sku: str, /, *, count: int = 1) -> None: ...


@AsyncChannel.declare(deprecated="use order_packed", concurrent=True)
def order_boxed(sku: str, /, *, count: int = 1) -> float:
    raise NotImplementedError


order_taken = Channel.declare(order, name="order.taken", deprecated="use order_placed")
order_returned = AsyncChannel.declare(async_order, name="order.returned", deprecated="use order_sent")
order_placed = Channel.declare(order, name="order.placed")


class Order(Protocol):
    def __call__(self, sku: str, /, *, count: int = 1) -> None: ...


class AsyncOrder(Protocol):
    async def __call__(self, sku: str, /, *, count: int = 1) -> None: ...


class Shop:
    def __init__(self, made: BoundChannel[[str], None], shipped: AsyncPublishes[AsyncOrder]) -> None: ...

    @on(order_placed)
    def note(self, sku: str, /, *, count: int = 1) -> None: ...

    def confirm(self, sku: str, /, *, count: int = 1) -> None: ...

    async def follow(self, sku: str, /, *, count: int = 1) -> None: ...


def make(sku: str, /) -> None: ...


order_named = Channel.declare(make, deprecated="use order_placed")


class Site(Container):
    bus = Component(Bus)
    shop = Component(Shop, bus.provided[order_named], bus.provided[order_shipped])


def a_deprecated_channel_is_a_channel(
    made: Channel[[str], None], shipped: AsyncChannel[[str], None], publishes: Publishes[Order]
) -> None: ...


def publishing_on_deprecated_channels_is_not_reported(bus: Bus) -> None:
    assert_type(bus[order_made].publish("tea", count=2), list[None])
    assert_type(bus.publish(order_taken, "tea", count=2), list[None])
    bus[order_made].attempt("tea")
    bus[order_made].unsubscribe(order)
    a_deprecated_channel_is_a_channel(order_named, AsyncChannel.declare(make, deprecated="use it"), bus[order_made])
    made: Publishes[Order] = bus[order_made]
    made.publish("tea", count=2)


async def publishing_on_deprecated_async_channels_is_not_reported(bus: Bus) -> None:
    assert_type(await bus[order_boxed].publish("tea", count=2), list[float])
    assert_type(await bus.publish(order_shipped, "tea"), list[None])
    assert_type(await bus[order_returned].publish("tea"), list[None])


def annotations(made: DeprecatedChannel[[str], None], shipped: DeprecatedAsyncChannel[[str], float]) -> None:
    assert_type(made.deprecated, str)
    assert_type(shipped.concurrent, bool)
