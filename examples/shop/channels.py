"""The channels between the components of the shop."""

from examples.shop.orders import Offer, Order, Receipt, Refused
from typedbus import AsyncChannel, Channel

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


stock_low = Channel[[str, int]]("stock_low")
"""Fewer of a product are left than its reorder level: its SKU and the number; published after each such order."""

offer_wanted = AsyncChannel[[str, int], Offer]("offer_wanted", concurrent=True)
"""A product must be reordered: its SKU and the quantity. All suppliers are asked at the same time."""
