"""A shop, and the same shop with faults in its container, for the recordings."""

from __future__ import annotations

from typedbus import BoundChannel, Bus, Channel, Component, Container, on

order_placed = Channel[[str, int], None]("order_placed")
stock_low = Channel[[str], None]("stock_low")


class Database:
    """Keeps orders."""


class Cache:
    """Keeps answers."""


class Desk:
    """Takes orders."""

    def __init__(self, placed: BoundChannel[[str, int], None]) -> None:
        self._placed = placed

    def sell(self, sku: str, count: int) -> None:
        """Sell *count* pieces."""
        self._placed.publish(sku, count)


class Orders:
    """Writes orders."""

    def __init__(self, database: Database, limit: int) -> None: ...

    @on(order_placed)
    def write(self, sku: str, count: int) -> None:
        """Write one order."""


class Mails:
    """Writes to customers, with a method that does not fit its channel."""

    @on(order_placed)
    def thank(self, sku: str) -> None:
        """Thank for one order."""


class Stock:
    """Counts what is left."""

    @on(stock_low)
    def reorder(self, sku: str) -> None:
        """Order more."""


class Shop(Container):
    """A valid container."""

    bus = Component(Bus)
    database = Component(Database)
    stock = Component(Stock)
    orders = Component(Orders, database.provided, limit=3)
    desk = Component(Desk, bus.provided[order_placed])


class Broken(Container):
    """Declares each component wrongly in another way."""

    bus = Component(Bus)
    cache = Component(Cache, size=10)
    orders = Component(Orders, cache.provided, limit=3)
    mails = Component(Mails)
