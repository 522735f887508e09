"""Wrong uses of async channels: each marked line is refused."""

from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any

from async_good import (
    Billing,
    Till,
    bill,
    bill_now,
    bill_paid,
    bill_with,
    cancelled,
    counted,
    ended,
    placed,
    priced,
    quote,
    quoted,
    reorder,
    stock_low,
)
from declared import Order, Receipt, closed, order_placed, price_changed
from declared import stock_low as sync_stock_low

from typedbus import (
    AsyncBoundChannel,
    AsyncChannel,
    BoundChannel,
    Bus,
    Channel,
    Component,
    in_thread,
    on,
)
from typedbus.types import AsyncListens, Listens, Takes


async def no_arguments() -> Receipt:
    return Receipt(1)


async def two_arguments(order: Order, more: int, /) -> Receipt:
    return Receipt(1)


async def takes_str(order: str, /) -> Receipt:
    return Receipt(1)


async def returns_str(order: Order, /) -> str:
    return ""


def returns_str_now(order: Order, /) -> str:
    return ""


async def drops_default(sku: str, /, *, left: int) -> None: ...
async def returns_nothing(order: Order, /) -> None: ...


def returns_awaitable_str(order: Order, /) -> Awaitable[str]:
    return returns_str(order)


async def nested(order: Order, /) -> Coroutine[Any, Any, Receipt]:
    return bill(order)


async def lacks_left(sku: str, /) -> None: ...
async def needs_more(sku: str, /, *, left: int = 0, at: str) -> None: ...
async def left_as_str(sku: str, /, *, left: str = "") -> None: ...
async def quote_unnamed(sku: str, count: int = 1, /) -> float:
    return 1.0


async def quote_other_name(name: str, count: int = 1) -> float:
    return 1.0


async def end_later() -> None: ...
async def reprice(sku: str, price: int) -> None: ...


# Declarations

AsyncChannel()  # E
AsyncChannel(3)  # E
AsyncChannel("a", 3)  # E
AsyncChannel("a", concurrent="yes")  # E
AsyncChannel("a", together=True)  # E
AsyncChannel.declare(3)  # E
AsyncChannel.declare(concurrent=True)(3)  # E
a1: Channel[[Order], Receipt] = placed  # E
a2: AsyncChannel[[Order], Receipt] = order_placed  # E
a3: AsyncChannel[[str], Receipt] = placed  # E
a4: AsyncChannel[[Order], str] = placed  # E
a5: AsyncChannel[[Order, int], Receipt] = placed  # E
a6: AsyncChannel[[str], None] = stock_low  # E
a7: Takes[AsyncListens[[str], Receipt]] = placed  # E
a8: Takes[Listens[[Order], Receipt]] = placed  # E
a9: Takes[AsyncListens[[Order], Receipt]] = order_placed  # E
in_thread(3)  # E


# Subscribing


def subscribing(bus: Bus) -> None:
    bus[placed].subscribe(no_arguments)  # E
    bus[placed].subscribe(two_arguments)  # E
    bus[placed].subscribe(takes_str)  # E
    bus[placed].subscribe(returns_str)  # E
    bus[placed].subscribe(returns_str_now)  # E
    bus[placed].subscribe(returns_nothing)  # E
    bus[placed].subscribe(returns_awaitable_str)  # E
    bus[placed].subscribe(nested)  # E
    bus[placed].subscribe(bill(Order("tea")))  # E
    bus[placed].subscribe(bill, priority="high")  # E
    bus[placed].subscribe(bill, 3)  # E
    bus[placed].subscribe(partial(bill_with, "x"))  # E
    bus[placed].subscribe(bill_with)  # E
    bus[placed].subscribe(in_thread(returns_str_now))  # E
    bus[placed].subscribe(in_thread(bill))  # E
    bus[placed].subscribe(Billing)  # E
    bus[placed].unsubscribe(3)  # E
    bus[stock_low].subscribe(lacks_left)  # E
    bus[stock_low].subscribe(needs_more)  # E
    bus[stock_low].subscribe(drops_default)  # E
    bus[stock_low].unsubscribe(drops_default)  # E
    bus[stock_low].subscribe(left_as_str)  # E
    bus[quoted].subscribe(quote_unnamed)  # E
    bus[quoted].subscribe(quote_other_name)  # E
    bus[cancelled].subscribe(bill)  # E
    bus[priced].subscribe(bill)  # E
    bus[ended].subscribe(bill)  # E
    bus[counted].subscribe(quote)  # E
    bus.subscribe(placed, no_arguments)  # E
    bus.subscribe(placed, returns_str)  # E
    bus.subscribe(placed, returns_str_now)  # E
    bus.subscribe(stock_low, lacks_left)  # E
    bus.unsubscribe(placed, returns_str)  # E
    bus["placed"]  # E
    bus[AsyncChannel]  # E


def decorating(bus: Bus) -> None:
    @bus[placed].subscribe  # E
    async def one(order: str, /) -> Receipt:
        return Receipt(1)

    @bus[placed].subscribe(priority=3)  # E
    async def two(order: Order, /) -> str:
        return ""

    @bus[placed].subscribe(priority=3)  # E
    def three(order: Order, /) -> str:
        return ""

    print(one, two, three)


def on_sync_channels(bus: Bus) -> None:
    bus[order_placed].subscribe(bill)  # E
    bus[order_placed].subscribe(bill_paid)  # E
    bus[order_placed].subscribe(Billing())  # E
    bus[order_placed].subscribe(Billing().bill)  # E
    bus[order_placed].subscribe(in_thread(bill_now))  # E
    bus[order_placed].subscribe(partial(bill_with, 0.1))  # E
    bus[closed].subscribe(end_later)  # E
    bus[closed].subscribe(bus[ended].publish)  # E
    bus[price_changed].subscribe(reprice)  # E
    bus[sync_stock_low].subscribe(reorder)  # E
    bus.subscribe(order_placed, bill)  # E
    bus.subscribe(closed, end_later)  # E


# Publishing


async def publishing(bus: Bus) -> None:
    bus[placed].publish(Order("tea"))  # E
    bus[ended].publish()  # E
    bus.publish(placed, Order("tea"))  # E
    bus[stock_low].publish("tea", left=1)  # E
    await bus[placed].publish()  # E
    await bus[placed].publish("tea")  # E
    await bus[placed].publish(Order("tea"), 3)  # E
    await bus[placed].publish(order=Order("tea"))  # E
    await bus[stock_low].publish("tea", 3)  # E
    await bus[stock_low].publish("tea", left="3")  # E
    await bus[quoted].publish(3)  # E
    await bus[counted].publish(3)  # E
    await bus.publish(placed, "tea")  # E
    await bus.publish(stock_low, "tea", right=3)  # E
    await bus[order_placed].publish(Order("tea"))  # E
    await bus.publish(closed)  # E
    b1: list[Receipt] = bus[placed].publish(Order("tea"))  # E
    b2: list[str] = await bus[placed].publish(Order("tea"))  # E
    for _ in bus[placed].publish(Order("tea")):  # E
        pass
    print(b1, b2)


def not_async(bus: Bus) -> None:
    bus[placed].publish(Order("tea"))  # E
    c1: BoundChannel[[Order], Receipt] = bus[placed]  # E
    c2: AsyncBoundChannel[[Order], Receipt] = bus[order_placed]  # E
    c3: AsyncBoundChannel[[Order], str] = bus[placed]  # E
    print(c1, c2, c3)


# Marks and hooks


class Wrong:
    @on(placed)  # E
    async def no_arguments(self) -> Receipt:
        return Receipt(1)

    @on(placed)  # E
    async def takes_str(self, order: str, /) -> Receipt:
        return Receipt(1)

    @on(placed)  # E
    async def returns_str(self, order: Order, /) -> str:
        return ""

    @on(placed)  # E
    def returns_str_now(self, order: Order, /) -> str:
        return ""

    @on(stock_low)  # E
    async def lacks_left(self, sku: str, /) -> None: ...

    @on(order_placed)  # E
    async def is_async(self, order: Order, /) -> Receipt:
        return Receipt(1)

    @on(closed)  # E
    async def closes_later(self) -> None: ...

    @on(placed, stock_low)  # E
    async def lacks_left_of_two(self, thing: object, /) -> Any: ...

    @on(placed, stock_low)  # E
    async def returns_str_for_two(self, thing: object, /, *, left: int = 0) -> str:
        return ""

    async def unmarked(self, order: str, /) -> Receipt:
        return Receipt(1)

    def unmarked_now(self, order: Order, /) -> str:
        return ""


on(placed, priority="high")  # E
on(placed, limit=3.0)  # E
on(placed, inline=True)  # E
placed.calls(Wrong.unmarked)  # E
placed.calls(Wrong.unmarked_now)  # E
placed.calls(Till.low)  # E
placed.calls(Till.unmarked, limit=3.0)  # E
placed.calls(Till.unmarked, priority="high")  # E
order_placed.calls(Till.unmarked)  # E
Component(Wrong).on(placed.calls(Till.unmarked))  # E


# Components


class Shelf:
    def __init__(self, low: AsyncBoundChannel[[str], None]) -> None:
        self.low = low

    async def forgets(self) -> None:
        self.low.publish("tea")  # E
        await self.low.publish(3)  # E


def components(bus: Bus) -> None:
    Shelf(bus[placed])  # E
    Shelf(bus[sync_stock_low])  # E
    Component(Shelf, bus[placed])  # E


# Publishing from threads


def publishing_from_threads(bus: Bus) -> None:
    bus[placed].publish_from_thread()  # E
    bus[placed].publish_from_thread("tea")  # E
    bus[placed].publish_from_thread(Order("tea"), 3)  # E
    bus[stock_low].publish_from_thread("tea", left="3")  # E
    bus[stock_low].publish_from_thread("tea", 3)  # E
    bus[order_placed].publish_from_thread(Order("tea"))  # E
    bus.publish_from_thread(placed, Order("tea"))  # E
    d1: list[str] = bus[placed].publish_from_thread(Order("tea"))  # E
    print(d1)


async def publishing_from_the_loop(bus: Bus) -> None:
    await bus[placed].publish_from_thread(Order("tea"))  # E
    bus[order_placed].publish_in_thread(Order("tea"))  # E
    await bus[order_placed].publish_in_thread("tea")  # E
    await bus[placed].publish_in_thread(Order("tea"))  # E
