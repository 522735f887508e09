"""The desk: turns a line of JSON into an order in the books."""

import contextlib
import hashlib

from examples.shop.database import Database
from examples.shop.orders import Order, Receipt, Refused, parse_order
from examples.shop.stock import Stock
from typedbus import BoundChannel

WEB = 0
"""The line number of orders from the web."""


class Desk:
    """Books orders, each in one transaction and only once."""

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
        Book the order in line *number* of the file, or publish why it was refused.

        A line that an earlier run has booked is skipped.
        """
        # The refusal was published on `order_refused`; the next line follows.
        with contextlib.suppress(Refused):
            self.sell(raw, line=number)

    def sell(self, raw: bytes, *, line: int = WEB) -> tuple[Receipt, bool]:
        """
        Book the order in *raw*, and return the receipt and whether the order is new.

        An identical order from the same source is booked only once, so a client
        that did not get the answer may send it again.

        Raises:
            Refused: It is not an order, or cannot be booked; this is published on `order_refused` as well.
            Busy: Another process has locked the books for too long.
            ChannelFailures: A listener failed. If it listens to `order_placed`, the order is rolled back.
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
            booked = books.execute(
                "SELECT source_line, digest FROM orders WHERE number = ?", (order.number,)
            ).fetchone()
            if booked == (line, digest):
                invoice, total = books.execute(
                    "SELECT number, total FROM invoices WHERE order_number = ?", (order.number,)
                ).fetchone()
                return Receipt(order.number, invoice, total), False
            if booked is not None:
                source = "the web" if booked[0] == WEB else f"line {booked[0]}"
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
