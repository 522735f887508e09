"""The books on the shelf."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from examples.books.infra import Table
from typedbus import AsyncBoundChannel, AsyncChannel

_FEW = 3


class Book(Table):
    """A book, and how many copies of it are left."""

    __tablename__ = "books"

    isbn: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    copies: Mapped[int]


stock_low = AsyncChannel[[Book, AsyncSession]]("stock_low")
"""
Few copies of a book are left.

Published inside the transaction that takes them: what a listener adds to the session is committed with it, and a
listener that raises rolls it back.
"""


class UnknownBook(Exception):
    """Raised with the ISBN of a book that the shop does not sell."""


class SoldOut(Exception):
    """Raised with the ISBN of a book of which too few copies are left."""


class Shelf:
    """Reads and changes the stock, in the transaction of one scope."""

    def __init__(self, session: AsyncSession, *, low: AsyncBoundChannel[[Book, AsyncSession], None]) -> None:
        self._session = session
        self._low = low

    async def books(self) -> Sequence[Book]:
        """Return all books, by title."""
        return (await self._session.scalars(select(Book).order_by(Book.title))).all()

    async def find(self, isbn: str) -> Book | None:
        """Return a book, or None if the shop does not sell it."""
        return await self._session.get(Book, isbn)

    async def put(self, isbn: str, title: str, copies: int) -> None:
        """Put a book on the shelf, or replace its title and the number of copies."""
        await self._session.merge(Book(isbn=isbn, title=title, copies=copies))

    async def take(self, isbn: str, copies: int) -> None:
        """
        Take copies of a book.

        Raises:
            UnknownBook: The shop does not sell it.
            SoldOut: Fewer copies are left.
        """
        # One statement: another transaction may take copies between a SELECT and an UPDATE.
        taking = update(Book).where(Book.isbn == isbn, Book.copies >= copies).values(copies=Book.copies - copies)
        book = await self._session.scalar(taking.returning(Book))
        if book is None:
            raise SoldOut(isbn) if await self.find(isbn) else UnknownBook(isbn)
        if book.copies < _FEW:
            await self._low.publish(book, self._session)
