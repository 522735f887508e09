"""The desk: where a few bytes of JSON become an order in the books."""

import contextlib
import hashlib

from examples.shop.database import Database
from examples.shop.orders import Order, Receipt, Refused, parse_order
from examples.shop.stock import Stock
from typedbus import BoundChannel

WEB = 0
"""The line number of orders that came over the web, where there are no lines."""


class Desk:
    """Takes orders, each wholly or not at all and each once."""

    def __init__(
        self,
        database: Database,
        stock: Stock,
        *,
        placed: BoundChannel[[Order], Receipt],
        taken: BoundChannel[[Order, Receipt], None],
        refused: BoundChannel[[int, Refused], None],
    ) -> None:
        self._database = database
        self._stock = stock
        self._placed = placed
        self._taken = taken
        self._refused = refused

    def take(self, number: int, raw: bytes) -> None:
        """
        Book the order that line *number* of the file says, or tell why not.

        Nothing happens for a line that was taken before, in another run.
        """
        # Who has to know of it listens to `order_refused`; the lines go on.
        with contextlib.suppress(Refused):
            self.sell(raw, line=number)

    def sell(self, raw: bytes, *, line: int = WEB) -> tuple[Receipt, bool]:
        """
        Book the order that *raw* says, and return the receipt and whether the order is new.

        One that was taken before, in the very same words from the same place, is
        not taken again: so whoever has not heard the answer may ask once more.

        Raises:
            Refused: It is none, or cannot be taken; that is told on `order_refused` as well.
            Busy: Another process did not let go of the books.
            ChannelFailures: A listener has failed, that of `order_placed` with the order undone.
        """
        try:
            order = parse_order(raw)
            receipt, is_new = self._book(order, line, hashlib.sha256(raw.strip()).hexdigest())
        except Refused as refused:
            self._refused.publish(line, refused)
            raise
        if is_new:
            self._taken.publish(order, receipt)
        return receipt, is_new

    def _book(self, order: Order, line: int, digest: str) -> tuple[Receipt, bool]:
        with self._database.transaction() as books:
            known = books.execute("SELECT source_line, digest FROM orders WHERE number = ?", (order.number,)).fetchone()
            if known == (line, digest):
                invoice, total = books.execute(
                    "SELECT number, total FROM invoices WHERE order_number = ?", (order.number,)
                ).fetchone()
                return Receipt(order.number, invoice, total), False
            if known is not None:
                source = "the web" if known[0] == WEB else f"line {known[0]}"
                raise Refused("duplicate order number", f"{order.number} was taken from {source}")
            books.execute(
                "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)",
                (order.number, order.customer, order.email, order.placed_on.isoformat(), line, digest),
            )
            self._stock.take(order)
            books.executemany(
                "INSERT INTO order_lines VALUES (?, ?, ?, ?)",
                [(order.number, place, each.sku, each.quantity) for place, each in enumerate(order.lines, 1)],
            )
            (receipt,) = self._placed.publish(order)
        return receipt, True
