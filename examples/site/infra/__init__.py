"""What the applications share: the bus, the stock, and the channel that reports sales."""

import threading

import attrs

from typedbus import BoundChannel, Bus, Channel, Component, Container
from typedbus.settings import configured

sold = Channel[[str, int], None]("sold")
"""Published after each sale, with the article and how many of it are left."""


class SoldOut(Exception):
    """Raised by a sale of which there are no goods."""


class Stock:
    """
    The goods and how many of each are left; every application sells from the same shelf.

    Its methods may be called from any thread.
    """

    def __init__(self, goods: dict[str, int], sold: BoundChannel[[str, int], None]) -> None:
        self._goods = dict(goods)
        self._sold = sold
        self._lock = threading.Lock()

    def all(self) -> dict[str, int]:
        """Return a copy of the goods."""
        with self._lock:
            return dict(self._goods)

    def sell(self, article: str) -> int:
        """
        Take one piece, publish the sale, and return how many are left.

        Raises:
            SoldOut: There is none.
        """
        with self._lock:
            left = self._goods.get(article, 0) - 1
            if left < 0:
                raise SoldOut(article)
            self._goods[article] = left
        self._sold.publish(article, left)
        return left


@attrs.frozen
class InfraSettings:
    """The table ``[site]``."""

    bind: str = "127.0.0.1:8080"
    goods: dict[str, int] = attrs.field(factory=lambda: {"tea": 3})


class Infra(Container):
    """What every application of the site may refer to."""

    bus = Component(Bus)
    settings = configured(InfraSettings, section="site")
    stock = Component(Stock, settings.provided.goods, bus.provided[sold])
