"""Right uses of async channels."""

from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any, assert_type

from declared import Order, PaidReceipt, Receipt, RushOrder, order_placed

from typedbus import (
    AsyncBoundChannel,
    AsyncChannel,
    Bus,
    Channel,
    Component,
    Container,
    Subscription,
    in_thread,
    on,
)
from typedbus.types import AnyChannel, AsyncListens, Hook, Takes

placed = AsyncChannel[[Order], Receipt]("placed")
cancelled = AsyncChannel[[Order]]("cancelled")
priced = AsyncChannel[[str, int], None]("priced", concurrent=True)
ended = AsyncChannel[[], None]("ended")
later = Channel[[int], Awaitable[int]]("later")


@AsyncChannel.declare
async def stock_low(sku: str, /, *, left: int = 0) -> None:
    """Few of `sku` are left."""


@AsyncChannel.declare
def quoted(sku: str, count: int = 1) -> float:
    """The price of `sku` is asked for."""
    return 0.0


@AsyncChannel.declare(concurrent=True)
async def counted(*skus: str, **numbers: int) -> int:
    """Some were counted."""
    return 0


assert_type(placed, AsyncChannel[[Order], Receipt])
assert_type(cancelled, AsyncChannel[[Order], None])
any_channel: AnyChannel = placed
takes: Takes[AsyncListens[[Order], Receipt]] = placed


async def bill(order: Order, /) -> Receipt:
    return Receipt(1)


async def bill_paid(order: object, /) -> PaidReceipt:
    return PaidReceipt(1)


def bill_now(order: Order, /) -> Receipt:
    return Receipt(1)


def bill_by_callback(order: Order, /) -> Awaitable[Receipt]:
    return bill(order)


async def bill_with(rate: float, order: Order, /) -> Receipt:
    return Receipt(1)


async def reorder(sku: str, /, *, left: int = 0) -> None: ...
async def reorder_more(sku: str, /, *, left: int = 0, at: str = "") -> None: ...
def reorder_now(sku: str, /, *, left: int = 0) -> None: ...
async def quote(sku: str, count: int = 1) -> float:
    return 1.0


class Billing:
    async def __call__(self, order: Order, /) -> Receipt:
        return Receipt(1)

    async def bill(self, order: Order, /) -> Receipt:
        return Receipt(1)


async def subscribing(bus: Bus) -> None:
    bound = bus[placed]
    assert_type(bound, AsyncBoundChannel[[Order], Receipt])
    subscription = bound.subscribe(bill)
    assert_type(subscription, Subscription)
    bound.subscribe(bill_paid, priority=10)
    bound.subscribe(bill_now)
    bound.subscribe(bill_by_callback)
    bound.subscribe(partial(bill_with, 0.2))
    bound.subscribe(Billing())
    bound.subscribe(Billing().bill)
    bound.subscribe(in_thread(bill_now))
    bound.unsubscribe(bill)
    bus[stock_low].subscribe(reorder)
    bus[stock_low].subscribe(reorder_more)
    bus[stock_low].subscribe(reorder_now)
    bus[quoted].subscribe(quote)
    bus.subscribe(placed, bill)
    bus.subscribe(placed, bill_now, priority=3)
    bus.unsubscribe(placed, bill)
    with bus[ended].subscribe(end):
        pass

    @bound.subscribe
    async def decorated(order: Order, /) -> Receipt:
        return Receipt(1)

    @bound.subscribe(priority=3)
    async def decorated_later(order: Order, /) -> Receipt:
        return Receipt(1)

    @bound.subscribe(priority=3)
    def decorated_now(order: Order, /) -> Receipt:
        return Receipt(1)

    @bound.subscribe(priority=3)
    def decorated_by_callback(order: Order, /) -> Awaitable[Receipt]:
        return bill(order)

    @bus[ended].subscribe(priority=3)
    def decorated_either() -> Awaitable[None] | None:
        return None

    assert_type(await decorated_later(Order("tea")), Receipt)
    assert_type(decorated_now(Order("tea")), Receipt)
    print(decorated_by_callback, decorated_either)
    bus[later].subscribe(count)


async def end() -> None: ...
async def count(number: int) -> int:
    return number


async def publishing(bus: Bus) -> None:
    assert_type(await bus[order_placed].publish_in_thread(Order("tea")), list[Receipt])
    assert_type(await bus[placed].publish(Order("tea")), list[Receipt])
    assert_type(await bus[placed].publish(RushOrder("tea")), list[Receipt])
    assert_type(await bus.publish(placed, Order("tea")), list[Receipt])
    assert_type(await bus.publish(stock_low, "tea", left=3), list[None])
    assert_type(await bus[quoted].publish("tea", count=2), list[float])
    assert_type(await bus[counted].publish("a", "b", c=1), list[int])
    await bus[cancelled].publish(Order("tea"))
    await bus[priced].publish("tea", 3)
    await bus[ended].publish()
    publish: Coroutine[Any, Any, list[None]] = bus[ended].publish()
    await publish


class Shelf:
    def __init__(self, placed: AsyncBoundChannel[[Order], Receipt]) -> None:
        self.placed = placed

    async def sell(self) -> None:
        assert_type(await self.placed.publish(Order("tea")), list[Receipt])


def given_to_components(bus: Bus) -> None:
    Shelf(bus[placed])


class Till:
    @on(placed)
    async def bill(self, order: Order, /) -> Receipt:
        return Receipt(1)

    @on(placed, priority=3)
    def bill_now(self, order: Order, /) -> Receipt:
        return Receipt(1)

    @on(placed)
    @in_thread
    def bill_in_thread(self, order: Order, /) -> Receipt:
        return Receipt(1)

    @on(stock_low)
    async def low(self, sku: str, /, *, left: int = 0) -> None: ...

    @on(placed, stock_low)
    async def note(self, thing: object, /, *, left: int = 0) -> Any: ...

    async def unmarked(self, order: Order, /) -> Receipt:
        return Receipt(1)

    def unmarked_now(self, order: Order, /) -> Receipt:
        return Receipt(1)


async def marked(till: Till) -> None:
    assert_type(await till.bill(Order("tea")), Receipt)
    assert_type(till.bill_now(Order("tea")), Receipt)


class Shop(Container):
    bus = Component(Bus)
    till = Component(Till).on(placed.calls(Till.unmarked), placed.calls(Till.unmarked_now, priority=3))
    shelf = Component(Shelf, bus.provided[placed])


hook: Hook[Till] = placed.calls(Till.unmarked)


def publishing_from_threads(bus: Bus) -> None:
    assert_type(bus[placed].publish_from_thread(Order("tea")), list[Receipt])
    assert_type(bus[stock_low].publish_from_thread("tea", left=3), list[None])
    assert_type(bus[counted].publish_from_thread("a", "b", c=1), list[int])
    bus[ended].publish_from_thread()
