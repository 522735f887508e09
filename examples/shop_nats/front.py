"""The process that takes orders: ``typedbus run examples.shop_nats.front:Front``."""

from __future__ import annotations

import random

from examples.shop_nats.channels import ORDERS, Order, order_placed
from examples.shop_nats.database import Database
from examples.shop_nats.settings import Settings, link
from typedbus import RUN, Bus, Component, Container, Stopping, on
from typedbus.nats import EventPort, Outbox, event

_SCHEMA = "CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, customer, sku, quantity, price)"
_PRICES = {"mug": 850, "tea": 420, "pot": 2700}


def database(settings: Settings) -> Database:
    """Return the database of the orders."""
    return Database(settings.folder / "front.db", _SCHEMA)


class Intake:
    """
    Takes orders: each is committed together with its event.

    After a crash it continues behind the last order in the database.
    """

    def __init__(
        self, settings: Settings, database: Database, outbox: Outbox, placed: EventPort[[Order]], pause: float = 0.002
    ) -> None:
        self._settings = settings
        self._database = database
        self._outbox = outbox
        self._placed = placed
        self._pause = pause

    def start(self) -> None:
        """Create the table of the outbox."""
        with self._database.transaction() as books:
            self._outbox.create_table(books)

    @on(RUN)
    def take_orders(self, stopping: Stopping) -> None:
        """Take the orders that are missing."""
        with self._database.transaction() as books:
            ((last,),) = books.execute("SELECT coalesce(max(number), 0) FROM orders")
        for number in range(last + 1, self._settings.orders + 1):
            if stopping.wait(self._pause):
                break
            sku = random.choice([*_PRICES])  # no secret
            order = Order(number, f"customer{number % 7}", sku, 1 + number % 3, _PRICES[sku])
            with self._database.transaction() as books:
                books.execute(
                    "INSERT INTO orders VALUES (?, ?, ?, ?, ?)",
                    (order.number, order.customer, order.sku, order.quantity, order.price),
                )
                self._outbox.add(books, self._placed, order)


class Front(Container):
    """Takes orders, and sends them to invoicing."""

    bus = Component(Bus)
    settings = Component(Settings.of_environment)
    link = Component(link, bus.provided, settings.provided, "front")
    placed = Component(event, link.provided, order_placed, stream=ORDERS)
    database = Component(database, settings.provided)
    outbox = Component(Outbox, link.provided, database.provided.connect)
    intake = Component(Intake, settings.provided, database.provided, outbox.provided, placed.provided)
