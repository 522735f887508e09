"""The components of the shop."""

from mailbox import mbox

from examples.shop.channels import order_placed, order_refused, order_taken
from examples.shop.database import Database
from examples.shop.desk import Desk
from examples.shop.intake import Intake
from examples.shop.invoicing import Invoicing, Outbox
from examples.shop.report import Report
from examples.shop.settings import Settings
from examples.shop.stock import Purchasing, Stock
from typedbus import EXIT, STOP, Bus, Component, Container
from typedbus.settings import configured


class Office(Container):
    """The components that book an order, from the file or from the web."""

    bus = Component(Bus)
    settings = configured(Settings, section="shop")
    database = Component(Database, settings.provided.database)
    # A class of the standard library, without any code for typedbus. It opens
    # its file in the constructor, so the file is closed on exit.
    outbox: Component[Outbox] = Component(mbox, settings.provided.outbox).on(
        STOP.calls(mbox.flush), EXIT.calls(mbox.close)
    )
    stock = Component(Stock, bus.provided, database.provided, settings.provided.products)
    purchasing = Component(Purchasing, bus.provided, database.provided)
    invoicing = Component(Invoicing, database.provided, outbox.provided)
    desk = Component(
        Desk,
        database.provided,
        stock.provided,
        placed=bus.provided[order_placed],
        taken=bus.provided[order_taken],
        refused=bus.provided[order_refused],
    )


class Shop(Office):
    """A shop that reads orders from a file, and requests the exit at its end."""

    report = Component(Report, Office.settings.provided.report)
    # Declared last: the listeners of its messages start before it, and stop after it.
    intake = Component(
        Intake,
        Office.bus.provided,
        Office.desk.provided,
        Office.settings.provided.orders,
        orders_per_second=Office.settings.provided.orders_per_second,
    )
