"""What the shop consists of."""

from mailbox import mbox

from examples.shop.channels import order_placed, order_refused, order_taken
from examples.shop.database import Database
from examples.shop.desk import Desk
from examples.shop.intake import Intake
from examples.shop.invoicing import Invoicing
from examples.shop.report import Report
from examples.shop.settings import load_settings
from examples.shop.stock import Purchasing, Stock
from typedbus import EXIT, STOP, Bus, Component, Container


class Shop(Container):
    """A shop that reads orders from a file; the exit is asked for at its end."""

    bus = Component(Bus)
    settings = Component(load_settings)
    database = Component(Database, settings.provided.database)
    # A class of the standard library that has never heard of us. It opens its
    # file when it is made, so that it is closed on exit.
    outbox = Component(mbox, settings.provided.outbox).on(STOP.calls(mbox.flush), EXIT.calls(mbox.close))
    stock = Component(Stock, bus.provided, database.provided, settings.provided.products)
    purchasing = Component(Purchasing, bus.provided, database.provided)
    invoicing = Component(Invoicing, database.provided, outbox.provided)
    report = Component(Report, settings.provided.report)
    desk = Component(
        Desk,
        database.provided,
        stock.provided,
        placed=bus.provided[order_placed],
        taken=bus.provided[order_taken],
        refused=bus.provided[order_refused],
    )
    # Last, so that whoever listens to what it brings about has started before
    # it and stops after it.
    intake = Component(
        Intake,
        bus.provided,
        desk.provided,
        settings.provided.orders,
        orders_per_second=settings.provided.orders_per_second,
    )
