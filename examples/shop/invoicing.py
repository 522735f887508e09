"""What customers owe, and the letter that tells them."""

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
    """Return *pence* as people write it."""
    return f"{pence // 100:,}.{pence % 100:02}"


class Outbox(Protocol):
    """What letters are put into, as the standard library has several."""

    def add(self, message: EmailMessage, /) -> str:
        """Keep *message*, and return the key of it."""
        ...


def letters_in(folder: Path) -> Maildir:
    """
    Return the mailbox in *folder*, which several processes may write to, and may make at the same time.

    `Maildir` makes one as well, but for a single process.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in "tmp", "new", "cur":
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    return Maildir(folder, create=False)


class Invoicing:
    """Writes the invoices, numbered without a gap, and the letters."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        # Orders from the web come in several threads, which no mailbox knows of.
        self._writing = threading.Lock()

    @on(order_placed)
    def invoice(self, order: Order, /) -> Receipt:
        """Write the invoice, into the transaction of the order."""
        with self._database.transaction() as books:
            prices = dict[str, int](books.execute("SELECT sku, price FROM products").fetchall())
            total = sum(prices[line.sku] * line.quantity for line in order.lines)
            # A number that was rolled back is given again: there are no gaps.
            (number,) = books.execute("SELECT coalesce(max(number), 0) + 1 FROM invoices").fetchone()
            books.execute("INSERT INTO invoices VALUES (?, ?, ?)", (number, order.number, total))
        return Receipt(order.number, number, total)

    @on(order_taken)
    def write(self, order: Order, receipt: Receipt, /) -> None:
        """
        Put a letter into the outbox, now that nothing can undo the order.

        Should the process be killed right before, the letter is lost and the order is not.
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
