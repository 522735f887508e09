"""The components of the shop."""

from mailbox import mbox

from examples.shop.channels import offer_wanted, order_placed, order_refused, order_taken, stock_low
from examples.shop.database import Database
from examples.shop.desk import Desk
from examples.shop.intake import Intake
from examples.shop.invoicing import Invoicing, Outbox
from examples.shop.purchasing import Purchasing
from examples.shop.report import Report
from examples.shop.settings import Settings
from examples.shop.stock import Stock
from examples.shop.suppliers import Supplier, answer_offers
from typedbus import EXIT, STOP, Bus, Component, Container
from typedbus.servers.wsgi import WSGIServer
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
    stock = Component(Stock, database.provided, settings.provided.products, low=bus.provided[stock_low])
    # In place of the servers of the suppliers, so that the example needs no network.
    market = Component(WSGIServer, bus.provided, answer_offers, bind="127.0.0.1:0")
    camellia = Component(Supplier, "camellia", market.provided)
    teahouse = Component(Supplier, "teahouse", market.provided)
    purchasing = Component(Purchasing, bus.provided, database.provided, wanted=bus.provided[offer_wanted])
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
