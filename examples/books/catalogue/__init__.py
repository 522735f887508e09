"""The catalogue: the books of the shop, and their prices."""

from httpx2 import AsyncClient

from examples.books.catalogue.prices import Prices
from examples.books.catalogue.shelf import Shelf, stock_low
from examples.books.infra import Infra
from typedbus import Component, Container, Resource, Scoped


class Catalogue(Container):
    """The stock in the database, and the client of the wholesaler."""

    # The wholesaler is reached without a proxy.
    client = Resource(AsyncClient, base_url=Infra.settings.provided.wholesaler, trust_env=False)
    prices = Component(Prices, client.provided)
    shelf = Scoped(Shelf, Infra.session.provided, low=Infra.bus.provided[stock_low])
