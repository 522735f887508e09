"""Components that accept an async channel by its type, and are given another: each marked line is refused."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import declared
from async_good import cancelled, counted, ended, placed, quoted, stock_low
from async_injecting_good import (
    AnyPlaced,
    Buyer,
    Clerk,
    Counter,
    Desk,
    Ended,
    PaidPlaced,
    Placed,
    Quoted,
    RushPlaced,
    SkuAndLeft,
    SkuOnly,
    StockLow,
    StockLowNow,
    Warehouse,
)
from declared import Order, Receipt, RushOrder

from typedbus import (
    AsyncBoundChannel,
    AsyncPublishes,
    AsyncSubscribes,
    BoundChannel,
    Bus,
    Component,
    Publishes,
    Subscribes,
)


class Renamed(Protocol):
    async def __call__(self, sku: str, /, *, remaining: int = 0) -> None: ...


class Retyped(Protocol):
    async def __call__(self, sku: str, /, *, left: str = "") -> None: ...


class AnySku(Protocol):
    async def __call__(self, sku: object, /, *, left: int = 0) -> None: ...


class AtShop(Protocol):
    async def __call__(self, sku: str, /, *, left: int = 0, shop: str) -> None: ...


class Answering(Protocol):
    async def __call__(self, sku: str, /, *, left: int = 0) -> str: ...


class Swapped(Protocol):
    async def __call__(self, count: int, sku: str) -> float: ...


class NoListener(Protocol):
    async def close(self) -> None: ...


def wrong_publishers(bus: Bus) -> None:
    _renamed: AsyncPublishes[Renamed] = bus[stock_low]  # E
    _retyped: AsyncPublishes[Retyped] = bus[stock_low]  # E
    _wider: AsyncPublishes[AnySku] = bus[stock_low]  # E
    _more: AsyncPublishes[AtShop] = bus[stock_low]  # E
    _answered: AsyncPublishes[Answering] = bus[stock_low]  # E
    _less: AsyncPublishes[Ended] = bus[stock_low]  # E
    _swapped: AsyncPublishes[Swapped] = bus[quoted]  # E
    _paid: AsyncPublishes[PaidPlaced] = bus[placed]  # E
    _any: AsyncPublishes[AnyPlaced] = bus[placed]  # E
    _nothing: AsyncPublishes[Placed] = bus[cancelled]  # E
    _call: AsyncPublishes[Callable[[int], Awaitable[Receipt]]] = bus[placed]  # E
    _now: AsyncPublishes[StockLowNow] = bus[stock_low]  # E
    _unbound: AsyncPublishes[StockLow] = stock_low  # E
    _no_listener: AsyncPublishes[NoListener] = bus[stock_low]  # E
    _counted: AsyncPublishes[Quoted] = bus[counted]  # E
    _sync: AsyncPublishes[StockLow] = bus[declared.stock_low]  # E
    _sync_now: AsyncPublishes[StockLowNow] = bus[declared.stock_low]  # E
    _async: Publishes[StockLow] = bus[stock_low]  # E
    _async_now: Publishes[StockLowNow] = bus[stock_low]  # E


def wrong_subscribers(bus: Bus) -> None:
    _renamed: AsyncSubscribes[Renamed] = bus[stock_low]  # E
    _retyped: AsyncSubscribes[Retyped] = bus[stock_low]  # E
    _dropped: AsyncSubscribes[SkuOnly] = bus[stock_low]  # E
    _demanded: AsyncSubscribes[SkuAndLeft] = bus[stock_low]  # E
    _answered: AsyncSubscribes[Answering] = bus[stock_low]  # E
    _rush: AsyncSubscribes[RushPlaced] = bus[placed]  # E
    _swapped: AsyncSubscribes[Swapped] = bus[quoted]  # E
    _vague: AsyncSubscribes[Callable[[Order], object]] = bus[placed]  # E
    _unbound: AsyncSubscribes[StockLow] = stock_low  # E
    _sync: AsyncSubscribes[StockLow] = bus[declared.stock_low]  # E
    _async: Subscribes[StockLow] = bus[stock_low]  # E
    _async_now: Subscribes[StockLowNow] = bus[stock_low]  # E


def one_is_not_the_other(
    low: AsyncPublishes[StockLow], heard: AsyncSubscribes[StockLow], narrow: AsyncPublishes[SkuOnly]
) -> None:
    low.subscribe  # E
    low.publish_from_thread  # E
    heard.publish  # E
    heard.subscriptions  # E
    _other: AsyncSubscribes[StockLow] = low  # E
    _same: AsyncPublishes[StockLow] = heard  # E
    _wider: AsyncPublishes[StockLow] = narrow  # E
    _bound: AsyncBoundChannel[[str], None] = narrow  # E
    _sync: Publishes[StockLow] = low  # E


async def publishes_are_checked(
    low: AsyncPublishes[StockLow], asks: AsyncPublishes[Quoted], rush: AsyncPublishes[RushPlaced]
) -> None:
    low.publish("tea")  # E
    await low.publish()  # E
    await low.publish(3)  # E
    await low.publish("tea", 3)  # E
    await low.publish("tea", left="3")  # E
    await low.publish("tea", right=3)  # E
    await asks.publish(name="tea")  # E
    await rush.publish(Order("tea"))  # E
    a1: list[str] = await low.publish("tea")  # E
    a2: list[None] = low.publish("tea")  # E
    print(a1, a2)


async def no_option(sku: str, /) -> None: ...
async def needs_more(sku: str, /, *, left: int = 0, shop: str) -> None: ...
async def takes_int(sku: int, /, *, left: int = 0) -> None: ...
async def returns_str(sku: str, /, *, left: int = 0) -> str:
    return ""


def refill_now(sku: str, /, *, left: int = 0) -> None: ...
async def refill(sku: str, /, *, left: int = 0) -> None: ...
async def bill_rush(order: RushOrder, /) -> Receipt:
    return Receipt(1)


def listeners_are_checked(
    low: AsyncSubscribes[StockLow], now: AsyncSubscribes[StockLowNow], orders: AsyncSubscribes[Placed]
) -> None:
    low.subscribe(no_option)  # E
    low.subscribe(needs_more)  # E
    low.subscribe(takes_int)  # E
    low.subscribe(returns_str)  # E
    low.subscribe(refill_now)  # E
    low.subscribe(refill("tea"))  # E
    low.subscribe(refill, priority="high")  # E
    low.unsubscribe(no_option)  # E
    now.subscribe(refill)  # E
    orders.subscribe(bill_rush)  # E

    @low.subscribe(priority=3)  # E
    async def one(sku: str, /) -> None: ...

    print(one)


def components_are_checked(bus: Bus) -> None:
    Warehouse(bus[quoted])  # E
    Warehouse(bus[declared.stock_low])  # E
    Warehouse(stock_low)  # E
    Buyer(bus[placed])  # E
    Counter(bus[stock_low], bus[placed])  # E
    Desk(bus[stock_low])  # E
    Clerk(bus[placed], bus[ended], bus[stock_low])  # E
    Component(Warehouse, bus[quoted])  # E
    Component(Warehouse, bus[declared.stock_low])  # E
    Component(Buyer, bus[placed])  # E
    b1: BoundChannel[[str], None] = bus[stock_low]  # E
    print(b1)
