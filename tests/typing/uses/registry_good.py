"""Functions that can be registered as listeners of a channel, and components of them."""

from collections.abc import Callable
from typing import Any, assert_type

from declared import Order, PaidReceipt, Receipt, audited, closed, order_placed, quoted, stock_low

from listeners import bill, bill_anything, bill_with_default
from typedbus import EXIT, LOG, START, AsyncChannel, Bus, Component, Container, Listeners
from typedbus.events import LIFECYCLE, LifecycleEvent
from typedbus.types import ListenersSubscription

order_shipped = AsyncChannel[[Order], Receipt]("order_shipped")
orders_counted = AsyncChannel[[], int]("orders_counted")
listeners = Listeners()


@listeners.on(order_placed)
def bill_here(order: Order, /) -> Receipt:
    return Receipt(1)


@listeners.on(order_placed, priority=5)
def bill_more(thing: object, /, copies: int = 1) -> PaidReceipt:
    return PaidReceipt(copies)


@listeners.on(stock_low)
@listeners.on(audited)
def note(*things: object, **named: object) -> None: ...


@listeners.on(stock_low)
def refill(sku: str, /, *, left: int = 0) -> None: ...


@listeners.on(quoted)
def ask(sku: str, count: int = 1) -> float:
    return float(count)


@listeners.on(LIFECYCLE)
def follow(event: LifecycleEvent, /) -> None: ...


@listeners.on(LOG)
def write(message: str, level: int, /) -> None: ...


@listeners.on(START, priority=5)
def connect() -> None: ...


@listeners.on(EXIT)
async def disconnect() -> None: ...


@listeners.on(order_shipped)
async def post(order: Order, /) -> Receipt:
    return Receipt(1)


@listeners.on(order_shipped)
def post_now(order: Order, /) -> Receipt:
    return Receipt(1)


@listeners.on(order_placed, closed)
def bill_or_close(*orders: Order) -> Any: ...


@listeners.on(stock_low, quoted, priority=5)
def note_both(sku: str, count: int = 1, *, left: int = 0) -> Any: ...


@listeners.on(order_shipped, orders_counted)
async def post_or_count(*orders: Order) -> Any: ...


listeners.on(order_placed)(bill)
listeners.on(order_placed)(bill_anything)
listeners.on(order_placed)(bill_with_default)

# The function has the signature of the channel.
assert_type(bill_here(Order("tea")), Receipt)
refill("tea", left=2)
placing: Callable[[Order], Receipt] = bill_more


async def use() -> None:
    assert_type(await post(Order("tea")), Receipt)
    await disconnect()


class Shop(Container):
    bus = Component(Bus)
    analytics = Component(listeners)
    reports = Component(listeners, bus.provided)


shop = Shop()
assert_type(shop.analytics(), Listeners)
assert_type(shop.reports(), Listeners)

with shop.override(Shop.analytics).by(Listeners()):
    pass
with shop.override(Shop.analytics).by(Component(Listeners())):
    pass

with listeners.subscribe(Bus()) as subscription:
    assert_type(subscription, ListenersSubscription)
    subscription.cancel()


def stop_listening(closing: Listeners) -> None:
    @closing.on(closed)
    def close() -> None: ...

    close()
