"""Listeners that a new parameter breaks, and listeners of deprecated channels; a marked line is an error for both checkers."""

from evolving_good import (
    Shop,
    art_cleared,
    art_fetched,
    art_set,
    async_order,
    order,
    order_boxed,
    order_made,
    order_returned,
    order_shipped,
    order_taken,
)

from typedbus import AsyncChannel, Bus, Channel, Component, Container, Listeners, on


def v1(*, album: str) -> None: ...


async def async_v1(*, album: str) -> None: ...


def with_a_required_parameter(*, album: str, source: str) -> None: ...


class Cover:
    @on(art_set)  # E
    def v1(self, *, album: str) -> None: ...

    @on(art_fetched)  # E
    async def async_v1(self, *, album: str) -> None: ...


class Frame:
    def v1(self, *, album: str) -> None: ...


def a_listener_without_the_new_parameter_breaks(bus: Bus) -> None:
    bus[art_set].subscribe(v1)  # E
    bus[art_set].subscribe(with_a_required_parameter)  # E
    bus[art_fetched].subscribe(async_v1)  # E
    art_set.calls(Frame.v1)  # E
    bus[art_cleared].subscribe(with_a_required_parameter)  # E
    bus[art_cleared].publish(album="a", source="s")  # E


# Deprecated channels

Channel.declare(order, deprecated=True)  # E
Channel.declare(order, deprecated=None)  # E
Channel.declare(deprecated=True)  # E
AsyncChannel.declare(order, deprecated=True)  # E
AsyncChannel.declare(deprecated=None)  # E


def drop(sku: str, /) -> None: ...


def listeners_of_deprecated_channels_are_reported(bus: Bus) -> None:
    bus[order_made].subscribe(order)  # E
    bus[order_taken].subscribe(order, priority=10)  # E
    bus[order_made].subscribe(drop)  # E
    bus.subscribe(order_made, order)  # E
    bus.subscribe(order_made, drop)  # E
    bus[order_shipped].subscribe(async_order)  # E
    bus[order_returned].subscribe(order)  # E
    bus[order_boxed].subscribe(drop)  # E
    bus.subscribe(order_shipped, async_order)  # E

    @bus[order_made].subscribe()  # E
    def listen(sku: str, /, *, count: int = 1) -> None: ...

    @bus[order_shipped].subscribe(priority=10)  # E
    async def listen_later(sku: str, /, *, count: int = 1) -> None: ...

    listen("tea")


listeners = Listeners()


@listeners.on(order_made)  # E
def register(sku: str, /, *, count: int = 1) -> None: ...


@listeners.on(order_shipped, priority=10)  # E
async def async_register(sku: str, /, *, count: int = 1) -> None: ...


class Mail:
    @on(order_made)  # E
    def confirm(self, sku: str, /, *, count: int = 1) -> None: ...

    @on(order_made, priority=10)  # E
    def drop(self, sku: str, /) -> None: ...

    @on(order_shipped)  # E
    async def follow(self, sku: str, /, *, count: int = 1) -> None: ...

    @on(order_returned)  # E
    def take_back(self, sku: str, /, *, count: int = 1) -> None: ...


class Site(Container):
    bus = Component(Bus)
    shop = Component(Mail).on(order_made.calls(Mail.confirm))  # E
    other = Component(Mail).on(order_shipped.calls(Mail.follow))  # E


def a_deprecated_channel_checks_arguments(bus: Bus, shop: Shop) -> None:
    bus[order_made].publish("tea", count="two")  # E
    bus.publish(order_made, 2)  # E
    bus[order_made].publish()  # E
    order_made.calls(Shop.follow)  # E
