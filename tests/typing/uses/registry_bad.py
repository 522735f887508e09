"""Functions that cannot be registered as listeners of a channel."""

from typing import Any

from declared import Order, Receipt, closed, order_placed, quoted, stock_low

from listeners import bill_rush, bill_text, bill_twice, bill_with_flag, bill_without_order
from typedbus import START, AsyncChannel, Bus, Component, Container, Listeners

order_shipped = AsyncChannel[[Order], Receipt]("order_shipped")
listeners = Listeners()


@listeners.on(order_placed)  # E
def bill_number(order: int, /) -> Receipt:
    return Receipt(order)


@listeners.on(order_placed)  # E
def no_receipt(order: Order, /) -> None: ...


@listeners.on(stock_low)  # E
def drops_left(sku: str, /) -> None: ...


@listeners.on(quoted)  # E
def renames(name: str, count: int = 1) -> float:
    return 0.0


@listeners.on(order_placed)  # E
async def too_late(order: Order, /) -> Receipt:
    return Receipt(1)


@listeners.on(order_shipped)  # E
async def posts_number(order: int, /) -> Receipt:
    return Receipt(order)


@listeners.on(stock_low, quoted)  # E
def drops_left_of_two(sku: str, count: int = 1) -> Any: ...


@listeners.on(order_placed, closed)  # E
def needs_order_of_two(order: Order, /) -> Any: ...


@listeners.on(START)  # E
def starts_with(order: Order, /) -> None: ...


listeners.on(order_placed)(bill_rush)  # E
listeners.on(order_placed)(bill_text)  # E
listeners.on(order_placed)(bill_twice)  # E
listeners.on(order_placed)(bill_with_flag)  # E
listeners.on(order_placed)(bill_without_order)  # E
listeners.on("order_placed")  # E
listeners.on(closed, priority="high")  # E
listeners.on(closed, limit=2.0)  # E
listeners.subscribe(order_placed)  # E


class Shop(Container):
    bus = Component(Bus)
    analytics = Component(listeners, 1)  # E
    number: Component[int] = Component(listeners)  # E


listeners.on(closed)(Shop().analytics)  # E
