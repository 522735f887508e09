"""Orders of customers."""

from examples.books.catalogue import Catalogue
from examples.books.infra import Infra
from examples.books.orders.desk import Desk, order_placed
from typedbus import Container, Scoped


class Orders(Container):
    """The desk; it takes books from the shelf of the catalogue."""

    desk = Scoped(
        Desk,
        Infra.session.provided,
        Catalogue.shelf.provided,
        Catalogue.prices.provided,
        placed=Infra.bus.provided[order_placed],
    )
