"""The process that packs parcels: ``typedbus run examples.shop_nats.shipping:Shipping``."""

from __future__ import annotations

from examples.shop_nats.channels import INVOICES, REDELIVERY, Invoice, invoice_written
from examples.shop_nats.database import Database
from examples.shop_nats.settings import Settings, link
from typedbus import Bus, Component, Container, on
from typedbus.nats import Consumer, Inbox, delivery

_SCHEMA = """
CREATE TABLE IF NOT EXISTS parcels (number INTEGER PRIMARY KEY, "order", customer);
CREATE TABLE IF NOT EXISTS repeated (message_id, attempt, was_duplicate);
"""


def database(settings: Settings) -> Database:
    """Return the database of the parcels."""
    return Database(settings.folder / "shipping.db", _SCHEMA)


class Warehouse:
    """Packs one parcel for each invoice, also if the invoice is delivered twice."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._inbox = Inbox("shipping")

    def start(self) -> None:
        """Create the table of the inbox."""
        with self._database.transaction() as books:
            self._inbox.create_table(books)

    @on(invoice_written)
    def pack(self, invoice: Invoice, /) -> None:
        """Commit the parcel, and the record that the invoice is handled, in one transaction."""
        message = delivery()
        with self._database.transaction() as books:
            was_duplicate = self._inbox.seen(books, message.message_id)
            if was_duplicate or message.attempt > 1:
                values = (message.message_id, message.attempt, was_duplicate)
                books.execute("INSERT INTO repeated VALUES (?, ?, ?)", values)
            if not was_duplicate:
                books.execute(
                    'INSERT INTO parcels ("order", customer) VALUES (?, ?)', (invoice.order, invoice.customer)
                )


class Shipping(Container):
    """Receives invoices, and packs parcels."""

    bus = Component(Bus)
    settings = Component(Settings.of_environment)
    link = Component(link, bus.provided, settings.provided, "shipping")
    database = Component(database, settings.provided)
    warehouse = Component(Warehouse, database.provided)
    invoices = Component(
        Consumer,
        link.provided,
        bus.provided[invoice_written],
        stream=INVOICES,
        group="shipping",
        redelivery=REDELIVERY,
    )
