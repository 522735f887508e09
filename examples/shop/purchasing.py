"""Reorders from the suppliers."""

from logging import WARNING

from examples.shop.channels import stock_low
from examples.shop.database import Database
from examples.shop.invoicing import money
from examples.shop.orders import Offer
from typedbus import RUN, AsyncBoundChannel, BoundChannel, Bus, ChannelFailures, Restart, Stopping, on

_QUANTITY = 100
_NOT_REORDERED = "SELECT sku, level FROM products WHERE level < reorder_level AND sku NOT IN (SELECT sku FROM reorders)"


class Purchasing:
    """Reorders products, each product once, at the lowest price."""

    def __init__(self, bus: Bus, database: Database, *, wanted: AsyncBoundChannel[[str, int], Offer]) -> None:
        self._bus = bus
        self._database = database
        self._wanted = wanted

    @on(stock_low)
    def reorder(self, sku: str, left: int, /) -> None:
        """
        Reorder *sku*, unless it has been reordered already.

        The thread that takes the order waits here, while the suppliers are asked on the event loop of the bus.
        """
        with self._database.transaction() as books:
            insertion = books.execute("INSERT OR IGNORE INTO reorders (sku, remaining) VALUES (?, ?)", (sku, left))
        if not insertion.rowcount:
            return
        try:
            offers = self._wanted.publish_from_thread(sku, _QUANTITY)
        except ChannelFailures as failures:
            # The offers of the other suppliers are enough.
            self._bus.log(str(failures), WARNING)
            offers = [result for result in failures.results if isinstance(result, Offer)]
        if offers:
            best = min(offers, key=lambda offer: offer.price)
            self._bus.log(f"{left} of {sku} left; reordered from {best.supplier} at {money(best.price)}")
        else:
            with self._database.transaction() as books:
                books.execute("DELETE FROM reorders WHERE sku = ?", (sku,))


class Restocking:
    """Finds products that are low and were not reordered, for example because no supplier made an offer."""

    def __init__(self, database: Database, *, low: BoundChannel[[str, int], None], seconds: float = 60.0) -> None:
        self._database = database
        self._low = low
        self._seconds = seconds

    @on(RUN, restart=Restart())
    def look(self, stopping: Stopping) -> None:
        """Publish each of these products on `stock_low`, every *seconds*."""
        while not stopping.wait(self._seconds):
            with self._database.reading() as books:
                rows = books.execute(_NOT_REORDERED).fetchall()
            for sku, left in rows:
                self._low.publish(sku, left)
