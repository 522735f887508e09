"""The process that writes invoices: ``typedbus run examples.shop_nats.invoicing:Invoicing``."""

from __future__ import annotations

from examples.shop_nats.channels import INVOICES, ORDERS, REDELIVERY, Invoice, Order, invoice_written, order_placed
from examples.shop_nats.database import Database
from examples.shop_nats.settings import Settings, link
from typedbus import Bus, Component, Container, on
from typedbus.nats import Consumer, EventPort, Inbox, Outbox, delivery, event

_SCHEMA = """
CREATE TABLE IF NOT EXISTS invoices (number INTEGER PRIMARY KEY, "order", customer, total);
CREATE TABLE IF NOT EXISTS repeated (message_id, attempt, was_duplicate);
"""


def database(settings: Settings) -> Database:
    """Return the database of the invoices."""
    return Database(settings.folder / "invoicing.db", _SCHEMA)


class Office:
    """Writes one invoice for each order, also if the order is delivered twice."""

    def __init__(self, database: Database, outbox: Outbox, written: EventPort[[Invoice]]) -> None:
        self._database = database
        self._outbox = outbox
        self._written = written
        self._inbox = Inbox("invoicing")

    def start(self) -> None:
        """Create the tables of the inbox and the outbox."""
        with self._database.transaction() as books:
            self._inbox.create_table(books)
            self._outbox.create_table(books)

    @on(order_placed)
    def write(self, order: Order, /) -> None:
        """Commit the invoice, its event, and the record that the order is handled, in one transaction."""
        message = delivery()
        with self._database.transaction() as books:
            was_duplicate = self._inbox.seen(books, message.message_id)
            if was_duplicate or message.attempt > 1:
                values = (message.message_id, message.attempt, was_duplicate)
                books.execute("INSERT INTO repeated VALUES (?, ?, ?)", values)
            if was_duplicate:
                return
            invoice = Invoice(order.number, order.customer, order.quantity * order.price)
            books.execute(
                'INSERT INTO invoices ("order", customer, total) VALUES (?, ?, ?)',
                (invoice.order, invoice.customer, invoice.total),
            )
            self._outbox.add(books, self._written, invoice)


class Invoicing(Container):
    """Receives orders, and sends invoices to shipping."""

    bus = Component(Bus)
    settings = Component(Settings.of_environment)
    link = Component(link, bus.provided, settings.provided, "invoicing")
    written = Component(event, link.provided, invoice_written, stream=INVOICES)
    database = Component(database, settings.provided)
    outbox = Component(Outbox, link.provided, database.provided.connect)
    office = Component(Office, database.provided, outbox.provided, written.provided)
    orders = Component(
        Consumer,
        link.provided,
        bus.provided[order_placed],
        stream=ORDERS,
        group="invoicing",
        redelivery=REDELIVERY,
    )
