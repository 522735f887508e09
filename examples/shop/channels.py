"""The channels between the components of the shop."""

from examples.shop.orders import Order, Receipt, Refused
from typedbus import Channel

order_placed = Channel[[Order], Receipt]("order_placed")
"""
An order is being booked; the listener that writes the invoice returns the receipt.

Published inside the transaction that books the order: a listener that writes to
the database writes into that transaction, and a listener that raises rolls it back.
"""

order_taken = Channel[[Order, Receipt]]("order_taken")
"""An order has been booked; published after the transaction is committed."""

order_refused = Channel[[int, Refused]]("order_refused")
"""An order was refused: its line number in the orders file (0 for an order from the web), and the reason."""


@Channel.declare
def lines_read(lines: int, /, *, share: float) -> None:
    """The first *lines* lines of the orders file have been read, a *share* of it from 0.0 to 1.0."""


@Channel.declare
def stock_low(sku: str, /, *, left: int = 0) -> None:
    """Fewer of *sku* are left than its reorder level; published after each such order."""
