"""Watchers that do not take the arguments of their channel: each marked line is refused."""

from collections.abc import Callable
from typing import Protocol

from declared import Order, RushOrder, closed, order_placed, stock_low
from watching_good import Audit, priced, shipped

from typedbus import AsyncBoundChannel, BoundChannel, Bus, Published, Publishes


class ReadsLow(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0) -> None: ...


def takes_rush_orders(order: RushOrder, /) -> None: ...


def takes_text(text: str, /) -> None: ...


def takes_nothing() -> None: ...


def takes_a_note(sku: str, /) -> None: ...


def needs_left(sku: str, /, *, left: int) -> None: ...


def a_watcher_takes_the_arguments_of_the_channel(bus: Bus, audit: Audit) -> None:
    bus[order_placed].watch(takes_rush_orders)  # E
    bus[order_placed].watch(takes_text)  # E
    bus[order_placed].watch(takes_nothing)  # E
    bus[order_placed].watch(audit.note)  # E
    bus[stock_low].watch(takes_a_note)  # E
    bus[stock_low].watch(needs_left)  # E
    bus[closed].watch(takes_text)  # E
    bus[order_placed].watch("audit")  # E
    bus[order_placed].watch(None)  # E


def a_watcher_of_an_async_channel_does_as_well(bus: Bus) -> None:
    bus[priced].watch(takes_text)  # E
    bus[shipped].watch(takes_text)  # E


def a_decorated_watcher_does_as_well(bus: Bus) -> None:
    @bus[order_placed].watch()  # E
    def _audit(text: str, /) -> None: ...

    bus[order_placed].watch()(takes_nothing)  # E
    bus[priced].watch()(takes_text)  # E


def a_watch_has_no_priority(bus: Bus, watcher: Callable[[Order], None]) -> None:
    bus[order_placed].watch(watcher, priority=10)  # E


def a_bound_channel_is_watched_with_its_own_arguments(
    bound: BoundChannel[[str], None], awaited: AsyncBoundChannel[[str], None], watcher: Callable[[Order], None]
) -> None:
    bound.watch(watcher)  # E
    awaited.watch(watcher)  # E


def a_component_that_only_publishes_watches_nothing(low: Publishes[ReadsLow]) -> None:
    low.watch(print)  # E


def a_watcher_of_all_channels_takes_a_published(bus: Bus) -> None:
    bus.watch(takes_text)  # E
    bus.watch(takes_nothing)  # E
    bus.watch(bus.log)  # E
    bus.watch()  # E


def a_published_is_frozen(published: Published) -> None:
    published.args = ()  # E
    published.kwargs["left"] = 1  # E


def channels_are_found_by_name_alone(bus: Bus) -> None:
    bus.channel(order_placed)  # E
