"""What the parts of the shop tell each other."""

from examples.shop.orders import Order, Receipt, Refused
from typedbus import Channel

order_placed = Channel[[Order], Receipt]("order_placed")
"""
An order is being booked; who invoices it answers with the receipt.

Published inside the transaction that books the order: a listener that writes to
the database writes into that transaction, and one that raises undoes it all.
"""

order_taken = Channel[[Order, Receipt]]("order_taken")
"""An order is in the books for good; published after the transaction."""

order_refused = Channel[[int, Refused]]("order_refused")
"""The line of that number of the orders file was not taken, and why; 0 is an order from the web."""


@Channel.declare
def lines_read(lines: int, /, *, share: float) -> None:
    """So many *lines* of the orders file are done, which is *share* of it; 1.0 at its end."""


@Channel.declare
def stock_low(sku: str, /, *, left: int = 0) -> None:
    """Fewer of *sku* are left than its reorder level; told again with each order until that changes."""
