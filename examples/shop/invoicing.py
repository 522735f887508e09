"""Invoices, and the letters to customers."""

import threading
from email.message import EmailMessage
from mailbox import Maildir
from pathlib import Path
from typing import Protocol

from examples.shop.channels import order_placed, order_taken
from examples.shop.database import Database
from examples.shop.orders import Order, Receipt
from typedbus import on


def money(pence: int) -> str:
    """Return *pence* as an amount in pounds, such as 1,234.50."""
    return f"{pence // 100:,}.{pence % 100:02}"


class Outbox(Protocol):
    """A mailbox for letters; the standard library has several."""

    def add(self, message: EmailMessage, /) -> str:
        """Store *message*, and return its key."""
        ...


def letters_in(folder: Path) -> Maildir:
    """
    Return the mailbox in *folder*, which several processes may create and write at the same time.

    `Maildir` fails if another process creates the folder at the same moment.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in "tmp", "new", "cur":
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    return Maildir(folder, create=False)


class Invoicing:
    """Writes the invoices, numbered without gaps, and the letters."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        # Orders from the web arrive in several threads, and a mailbox has no lock for threads.
        self._writing = threading.Lock()

    @on(order_placed)
    def invoice(self, order: Order, /) -> Receipt:
        """Write the invoice, into the transaction of the order."""
        with self._database.transaction() as books:
            prices = dict[str, int](books.execute("SELECT sku, price FROM products").fetchall())
            total = sum(prices[line.sku] * line.quantity for line in order.lines)
            # A number that was rolled back is used again, so there are no gaps.
            (number,) = books.execute("SELECT coalesce(max(number), 0) + 1 FROM invoices").fetchone()
            books.execute("INSERT INTO invoices VALUES (?, ?, ?)", (number, order.number, total))
        return Receipt(order.number, number, total)

    @on(order_taken)
    def write(self, order: Order, receipt: Receipt, /) -> None:
        """
        Put a letter into the outbox, after the order was committed.

        If the process is killed between the two, the letter is lost and the order is kept.
        """
        letter = EmailMessage()
        letter["To"] = order.email
        letter["Subject"] = f"Your order {order.number}"
        letter.set_content(
            f"Dear {order.customer},\n\nthank you for your order. "
            f"It comes to {money(receipt.total)}; the invoice is number {receipt.invoice}.\n"
        )
        with self._writing:
            self._outbox.add(letter)
