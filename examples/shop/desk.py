"""The desk: where a line of the orders file becomes an order in the books."""

import hashlib

from examples.shop.database import Database
from examples.shop.orders import Order, Receipt, Refused, parse_order
from examples.shop.stock import Stock
from typedbus import BoundChannel


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
        try:
            order = parse_order(raw)
            receipt = self._book(order, number, hashlib.sha256(raw.strip()).hexdigest())
        except Refused as refused:
            self._refused.publish(number, refused)
            return
        if receipt is not None:
            self._taken.publish(order, receipt)

    def _book(self, order: Order, line: int, digest: str) -> Receipt | None:
        with self._database.transaction() as books:
            known = books.execute("SELECT source_line, digest FROM orders WHERE number = ?", (order.number,)).fetchone()
            if known == (line, digest):
                return None
            if known is not None:
                raise Refused("duplicate order number", f"{order.number} was taken from line {known[0]}")
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
        return receipt
