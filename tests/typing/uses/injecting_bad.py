"""Bound channels that components do not accept; a marked line is an error for both checkers."""

from collections.abc import Callable
from typing import Protocol

from declared import Order, Receipt, closed, order_cancelled, order_placed, quoted, stock_low, stocked
from injecting_good import (
    AnyPlaced,
    Buyer,
    Clerk,
    Desk,
    PaidPlaced,
    Placed,
    Quoted,
    RushPlaced,
    Several,
    SkuAndLeft,
    SkuOnly,
    StockLow,
    Warehouse,
    publish_on,
)

from listeners import bill_rush, refill_answering, refill_demanding, refill_dropping, refill_renamed
from typedbus import BoundChannel, Bus, Component, Container, Publishes, Subscribes


class Renamed(Protocol):
    def __call__(self, sku: str, /, *, remaining: int = 0) -> None: ...


class Retyped(Protocol):
    def __call__(self, sku: str, /, *, left: str = "") -> None: ...


class AnySku(Protocol):
    def __call__(self, sku: object, /, *, left: int = 0) -> None: ...


class AtShop(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0, shop: str = "") -> None: ...


class Answering(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0) -> int: ...


class Nothing(Protocol):
    def __call__(self) -> None: ...


class Swapped(Protocol):
    def __call__(self, count: int = 1, sku: str = "") -> float: ...


class NoListener:
    def close(self) -> None: ...


class Shop(Container):
    bus = Component(Bus)
    other = Component(Warehouse, bus.provided[quoted])  # E
    without = Component(Warehouse, bus.provided[closed])  # E
    whole = Component(Warehouse, bus.provided)  # E
    unbound = Component(Warehouse, stock_low)  # E
    missing = Component(Warehouse)  # E
    buyer = Component(Buyer, bus.provided[stocked])  # E
    named = Component(Buyer, low=bus.provided[quoted])  # E
    desk = Component(Desk, bus.provided[order_cancelled])  # E
    optional = Component(Desk, bus.provided[order_placed], bus.provided[stocked])  # E
    several = Component(Several, [bus.provided[quoted]], {})  # E
    clerk = Component(Clerk, bus.provided[order_placed], bus.provided[stock_low], bus.provided[quoted])  # E


def components_are_constructed_directly(bus: Bus) -> None:
    Warehouse(bus[quoted])  # E
    Warehouse(bus)  # E
    Warehouse(stock_low)  # E
    Buyer(bus[stocked])  # E
    Desk(bus[order_placed], bus[closed])  # E
    Several([bus[stock_low], bus[quoted]], {})  # E
    Several([], {"first": bus[quoted]})  # E


def a_channel_must_accept_the_published_arguments(bus: Bus) -> None:
    _renamed: Publishes[Renamed] = bus[stock_low]  # E
    _retyped: Publishes[Retyped] = bus[stock_low]  # E
    _wider: Publishes[AnySku] = bus[stock_low]  # E
    _more: Publishes[AtShop] = bus[stock_low]  # E
    _answered: Publishes[Answering] = bus[stock_low]  # E
    _less: Publishes[Nothing] = bus[stock_low]  # E
    _optional: Publishes[StockLow] = bus[stocked]  # E
    _swapped: Publishes[Swapped] = bus[quoted]  # E
    _paid: Publishes[PaidPlaced] = bus[order_placed]  # E
    _any: Publishes[AnyPlaced] = bus[order_placed]  # E
    _nothing: Publishes[Placed] = bus[order_cancelled]  # E
    _call: Publishes[Callable[[int], Receipt]] = bus[order_placed]  # E
    _unbound: Publishes[StockLow] = stock_low  # E
    _no_listener: Publishes[NoListener] = bus[stock_low]  # E


def a_listener_must_accept_the_published_arguments(bus: Bus) -> None:
    _renamed: Subscribes[Renamed] = bus[stock_low]  # E
    _retyped: Subscribes[Retyped] = bus[stock_low]  # E
    _dropped: Subscribes[SkuOnly] = bus[stock_low]  # E
    _demanded: Subscribes[SkuAndLeft] = bus[stock_low]  # E
    _answered: Subscribes[Answering] = bus[stock_low]  # E
    _rush: Subscribes[RushPlaced] = bus[order_placed]  # E
    _swapped: Subscribes[Swapped] = bus[quoted]  # E
    _vague: Subscribes[Callable[[Order], object]] = bus[order_placed]  # E
    _unbound: Subscribes[StockLow] = stock_low  # E


def a_protocol_has_one_direction(
    low: Publishes[StockLow], heard: Subscribes[StockLow], narrow: Publishes[SkuOnly]
) -> None:
    low.subscribe(refill_dropping)  # E
    heard.publish("tea")  # E
    _other: Subscribes[StockLow] = low  # E
    _same: Publishes[StockLow] = heard  # E
    _wider: Publishes[StockLow] = narrow  # E
    _whole: BoundChannel[[str], None] = low  # E


def published_arguments_are_checked(
    low: Publishes[StockLow], asks: Publishes[Quoted], rush: Publishes[RushPlaced]
) -> None:
    low.publish()  # E
    low.publish(3)  # E
    low.publish("tea", 3)  # E
    low.publish("tea", left="two")  # E
    low.publish("tea", remaining=3)  # E
    low.publish(sku="tea")  # E
    low.publish("tea")[0].number  # E
    asks.publish(name="tea")  # E
    rush.publish(Order("tea"))  # E
    publish_on(low, "tea", remaining=3)  # E


def listeners_are_checked(low: Subscribes[StockLow], placed: Subscribes[Placed]) -> None:
    low.subscribe(refill_dropping)  # E
    low.subscribe(refill_demanding)  # E
    low.subscribe(refill_renamed)  # E
    low.subscribe(refill_answering)  # E
    low.subscribe(3)  # E
    low.subscribe(refill_dropping, priority=3)  # E
    low.subscribe(priority="first")  # E
    low.subscribe()(refill_dropping)  # E
    low.unsubscribe(refill_dropping)  # E
    placed.subscribe(bill_rush)  # E
    placed.subscribe(lambda: Receipt(1))  # E
