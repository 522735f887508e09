"""Components that accept a bound channel by its type."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar, assert_type

from declared import (
    Order,
    PaidReceipt,
    Receipt,
    RushOrder,
    audited,
    closed,
    order_cancelled,
    order_placed,
    price_changed,
    quoted,
    stock_low,
    stocked,
)

from listeners import bill, bill_anything, note, refill, refill_anyhow, refill_wider
from typedbus import LOG, START, BoundChannel, Bus, Channel, Component, Container, Publishes, Subscribes, Subscription
from typedbus.types import HookResult

Args = ParamSpec("Args")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)


class StockLow(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0) -> None: ...


class UrgentStockLow(StockLow, Protocol):
    """A protocol that inherits its signature."""


class SkuOnly(Protocol):
    def __call__(self, sku: str, /) -> None: ...


class SkuAndLeft(Protocol):
    def __call__(self, sku: str, /, *, left: int) -> None: ...


class Quoted(Protocol):
    def __call__(self, sku: str, count: int = 1) -> float: ...


class QuotedByName(Protocol):
    def __call__(self, *, sku: str) -> float: ...


class Stocked(Protocol):
    def __call__(self, sku: str, /, *, count: int) -> None: ...


class Audited(Protocol):
    def __call__(self, *parts: str, **numbers: int) -> None: ...


class Closed(Protocol):
    def __call__(self) -> None: ...


class Placed(Protocol):
    def __call__(self, order: Order, /) -> Receipt: ...


class RushPlaced(Protocol):
    def __call__(self, order: RushOrder, /) -> Receipt: ...


class AnyPlaced(Protocol):
    def __call__(self, order: object, /) -> Receipt: ...


class PaidPlaced(Protocol):
    def __call__(self, order: Order, /) -> PaidReceipt: ...


class About(Protocol[Item_contra]):
    def __call__(self, item: Item_contra, /) -> None: ...


class Warehouse:
    def __init__(self, low: Publishes[StockLow]) -> None:
        self.low = low

    def pick(self) -> None:
        assert_type(self.low.publish("tea"), list[None])
        assert_type(self.low.publish("tea", left=3), list[None])


class Buyer:
    def __init__(self, low: Subscribes[StockLow], *, priority: int = 50) -> None:
        self.low, self.priority = low, priority

    def start(self) -> None:
        assert_type(self.low.subscribe(self.buy, priority=self.priority), Subscription)
        self.low.subscribe(self.buy_anyhow)

    def stop(self) -> None:
        self.low.unsubscribe(self.buy)

    def buy(self, sku: str, /, *, left: int = 0) -> None: ...

    def buy_anyhow(self, sku: object, left: float = 0, more: int = 1) -> None: ...


class Desk:
    def __init__(self, rush: Publishes[RushPlaced], low: Publishes[SkuOnly] | None = None) -> None:
        self.rush = rush


class Several:
    lows: dict[str, Publishes[StockLow]]

    def __init__(self, lows: list[Publishes[StockLow]], heard: dict[str, Subscribes[StockLow]]) -> None:
        self.lows = {"first": lows[0]}
        for low in lows:
            low.publish("tea", left=2)
        heard["first"].subscribe(refill)


@dataclass(frozen=True)
class Clerk:
    placed: Publishes[Placed]
    priced: BoundChannel[[str, int], None]
    quotes: Subscribes[Quoted]


def low_of(bus: Bus) -> Publishes[StockLow]:
    return bus[stock_low]


class Infra(Container):
    bus = Component(Bus)
    low = Component(low_of, bus.provided)


class Site(Container):
    infra = Infra()
    warehouse = Component(Warehouse, infra.bus.provided[stock_low])
    other = Component(Warehouse, infra.low.provided)


class Shop(Container):
    bus = Component(Bus)
    warehouse = Component(Warehouse, bus.provided[stock_low])
    buyer = Component(Buyer, low=bus.provided[stock_low], priority=3)
    desk = Component(Desk, bus.provided[order_placed], bus.provided[stock_low])
    several = Component(Several, [bus.provided[stock_low]], {"first": bus.provided[stock_low]})
    clerk = Component(Clerk, bus.provided[order_placed], bus.provided[price_changed], quotes=bus.provided[quoted])


def components_are_constructed_directly(bus: Bus) -> None:
    assert_type(Warehouse(bus[stock_low]).low, Publishes[StockLow])
    Buyer(bus[stock_low])
    Desk(bus[order_placed], bus[stock_low])
    Several([bus[stock_low], bus[stock_low]], {"first": bus[stock_low]})
    Clerk(placed=bus[order_placed], priced=bus[price_changed], quotes=bus[quoted])


def every_kind_of_parameter_is_published(bus: Bus) -> None:
    asks: Publishes[Quoted] = bus[quoted]
    assert_type(asks.publish("tea"), list[float])
    asks.publish("tea", 3)
    asks.publish(count=3, sku="tea")
    stocks: Publishes[Stocked] = bus[stocked]
    stocks.publish("tea", count=3)
    audits: Publishes[Audited] = bus[audited]
    audits.publish("tea", "sold", count=3)
    audits.publish()
    closes: Publishes[Closed] = bus[closed]
    closes.publish()
    starts: Publishes[Callable[[], HookResult]] = bus[START]
    starts.publish()
    logs: Publishes[Callable[[str, int], None]] = bus[LOG]
    logs.publish("open", 20)
    inherited: Publishes[UrgentStockLow] = bus[stock_low]
    inherited.publish("tea", left=3)


def a_component_can_publish_narrower_arguments(bus: Bus, order: RushOrder) -> None:
    rush: Publishes[RushPlaced] = bus[order_placed]
    assert_type(rush.publish(order), list[Receipt])
    sku_only: Publishes[SkuOnly] = bus[stock_low]
    sku_only.publish("tea")
    always: Publishes[SkuAndLeft] = bus[stock_low]
    always.publish("tea", left=3)
    by_name: Publishes[QuotedByName] = bus[quoted]
    by_name.publish(sku="tea")
    cancelled: Publishes[About[RushOrder]] = bus[order_cancelled]
    cancelled.publish(order)
    answered: Publishes[Callable[[Order], object]] = bus[order_placed]
    answered.publish(order)
    anything: Publishes[Callable[..., Any]] = bus[stock_low]
    anything.publish("tea", left=3)


def a_component_can_listen_for_wider_arguments(bus: Bus) -> None:
    wide: Subscribes[AnyPlaced] = bus[order_placed]
    wide.subscribe(bill_anything)
    paid: Subscribes[PaidPlaced] = bus[order_placed]
    paid.subscribe(lambda order: PaidReceipt(len(order.sku)))
    cancelled: Subscribes[About[object]] = bus[order_cancelled]
    cancelled.subscribe(print)
    audits: Subscribes[Audited] = bus[stock_low]
    audits.subscribe(note)


def listeners_have_the_type_of_the_protocol(low: Subscribes[StockLow], placed: Subscribes[Placed]) -> None:
    low.subscribe(refill)
    low.subscribe(refill_wider, priority=3)
    low.subscribe(refill_anyhow)
    low.subscribe(note)
    low.unsubscribe(refill)
    placed.subscribe(bill)
    placed.subscribe(lambda order: Receipt(len(order.sku)))
    with low.subscribe(refill) as subscription:
        assert_type(subscription, Subscription)


def a_decorator_returns_the_listener(low: Subscribes[StockLow]) -> None:
    @low.subscribe()
    def first(sku: str, /, *, left: int = 0) -> None: ...

    @low.subscribe(priority=3)
    def second(sku: object, left: float = 1.0) -> None: ...

    first("tea", left=3)
    second("tea", left=3)


def a_protocol_can_be_passed_on(low: Publishes[StockLow], placed: Subscribes[Placed]) -> None:
    less: Publishes[SkuOnly] = low
    less.publish("tea")
    more: Subscribes[AnyPlaced] = placed
    more.subscribe(bill_anything)


def publish_on(low: Publishes[Callable[Args, Result]], *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
    return low.publish(*args, **kwargs)


def face_of(bound: BoundChannel[Args, Result]) -> Publishes[Callable[Args, Result]]:
    return bound


def bound_to(bus: Bus, channel: Channel[Args, Result]) -> BoundChannel[Args, Result]:
    publishes: Publishes[Callable[Args, Result]] = bus[channel]
    subscribes: Subscribes[Callable[Args, Result]] = bus[channel]
    del publishes, subscribes
    return bus[channel]


def a_function_can_be_generic_in_its_channel(bus: Bus, asks: Publishes[Quoted], order: Order) -> None:
    assert_type(publish_on(asks, "tea", count=3), list[float])
    assert_type(publish_on(bus[quoted], "tea", count=3), list[float])
    assert_type(publish_on(bus[order_placed], order), list[Receipt])
    assert_type(bound_to(bus, order_placed), BoundChannel[[Order], Receipt])
    low: Publishes[StockLow] = face_of(bus[stock_low])
    low.publish("tea", left=3)
