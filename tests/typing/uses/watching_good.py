"""Valid watchers, and questions for listeners."""

from collections.abc import Callable
from typing import Any, Protocol, assert_type

from declared import Order, Receipt, RushOrder, audited, closed, order_placed, quoted, stock_low

from typedbus import (
    AsyncBoundChannel,
    AsyncChannel,
    AsyncPublishes,
    BoundChannel,
    Bus,
    Channel,
    Published,
    Publishes,
    Watch,
)

priced = AsyncChannel[[Order], float]("priced")


@AsyncChannel.declare(concurrent=True)
async def shipped(sku: str, /, *, count: int = 1) -> bool:
    """An order leaves the house."""
    return True


def write(order: Order, /) -> None: ...


def count(order: Order, /) -> int:
    return 1


def anything(*args: object, **kwargs: object) -> str:
    return ""


class Audit:
    def record(self, order: Order, /) -> object: ...

    def note(self, sku: str, /, *, left: int = 0) -> None: ...

    def note_any(self, sku: str, /, **numbers: int) -> None: ...


class ReadsLow(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0) -> None: ...


class AsksPrice(Protocol):
    async def __call__(self, order: Order, /) -> float: ...


def a_watcher_returns_anything(bus: Bus, audit: Audit) -> None:
    assert_type(bus[order_placed].watch(write), Watch)
    bus[order_placed].watch(count)
    bus[order_placed].watch(anything)
    bus[order_placed].watch(audit.record)
    bus[order_placed].watch(print)
    bus[order_placed].watch(lambda order: order.sku)
    bus[stock_low].watch(audit.note)
    bus[stock_low].watch(audit.note_any)
    bus[closed].watch(lambda: 1)
    bus[audited].watch(anything)
    bus[quoted].watch(lambda sku, count=1: sku * count)


def a_watcher_of_an_async_channel_is_a_plain_function(bus: Bus, audit: Audit) -> None:
    assert_type(bus[priced].watch(write), Watch)
    bus[priced].watch(audit.record)
    bus[priced].watch(lambda order: order.sku)
    bus[shipped].watch(anything)


def a_watch_ends(bus: Bus) -> None:
    bus[order_placed].watch(write).cancel()
    with bus[order_placed].watch(write) as watch:
        assert_type(watch, Watch)
        assert_type(watch.name, str)


def a_decorated_function_keeps_its_type(bus: Bus) -> None:
    @bus[order_placed].watch()
    def audit(order: Order, /) -> int:
        return 1

    @bus[priced].watch()
    def audit_later(order: Order, /) -> str:
        return ""

    assert_type(audit(Order("tea")), int)
    assert_type(audit_later(RushOrder("tea")), str)


def watch_both(
    bound: BoundChannel[[Order], Receipt], awaited: AsyncBoundChannel[[Order], float], audit: Callable[[Order], None]
) -> None:
    bound.watch(audit)
    awaited.watch(audit)


def the_truth_of_a_bound_channel(
    bus: Bus, low: Publishes[ReadsLow], price: AsyncPublishes[AsksPrice], channel: Channel[[str], None]
) -> None:
    assert_type(bool(bus[order_placed]), bool)
    assert_type(bus[priced].has_listeners, bool)
    assert_type(low.has_listeners, bool)
    assert_type(price.has_listeners, bool)
    if low and price and bus[channel]:
        low.publish("tea", left=1)


def log_all(published: Published) -> None:
    assert_type(published.args, tuple[Any, ...])
    print(published.channel.name, published.kwargs.get("left"))
    if published.channel is order_placed:
        print("an order")


def a_watcher_of_all_channels_receives_a_published(bus: Bus) -> None:
    assert_type(bus.watch(log_all), Watch)
    with bus.watch(print) as watch:
        print(watch.channel)
    events: list[object] = []
    bus.watch(events.append)
    bus.watch(lambda published: published.channel)


def a_channel_that_is_found_by_name_takes_any_watcher_and_argument(bus: Bus) -> None:
    channel = bus.channel("order_placed")
    assert_type(channel, Channel[..., Any] | AsyncChannel[..., Any])
    bus[channel].watch(log_all)
    if isinstance(channel, Channel):
        bus[channel].publish("tea", left=1)
    else:
        bus[channel].publish_from_thread("tea")
