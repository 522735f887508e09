"""The outbox: a table of the letters to send."""

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, Session, mapped_column

from examples.books.catalogue.shelf import Book, stock_low
from examples.books.infra import Table
from examples.books.orders.desk import Order, order_placed
from typedbus import BoundChannel, Channel, on


class Letter(Table):
    """A letter that has not been delivered."""

    __tablename__ = "letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str]
    text: Mapped[str]


letters_waiting = Channel[[]]("letters_waiting")
"""New letters have been committed."""


class Outbox:
    """Writes each letter in the transaction that causes it, so a letter is stored if and only if its order is."""

    def __init__(self, buyer: str, *, waiting: BoundChannel[[], None]) -> None:
        self._buyer = buyer
        self._waiting = waiting

    @on(order_placed)
    async def confirm(self, order: Order, session: AsyncSession, /) -> None:
        """Confirm an order to the customer."""
        self._write(session, order.email, f"your order {order.number} comes to {order.pence / 100:.2f}")

    @on(stock_low)
    async def reorder(self, book: Book, session: AsyncSession, /) -> None:
        """Ask the buyer to reorder a book."""
        self._write(session, self._buyer, f"{book.copies} left of {book.title}")

    def _write(self, session: AsyncSession, recipient: str, text: str) -> None:
        session.add(Letter(recipient=recipient, text=text))
        event.listen(session.sync_session, "after_commit", self._announce, once=True)

    def _announce(self, session: Session) -> None:
        self._waiting.publish()
