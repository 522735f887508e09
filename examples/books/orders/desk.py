"""The desk, which takes orders."""

from collections.abc import Mapping

from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, relationship

from examples.books.catalogue.prices import Prices
from examples.books.catalogue.shelf import Shelf
from examples.books.infra import Table
from typedbus import AsyncBoundChannel, AsyncChannel


class Order(Table):
    """An order of a customer."""

    __tablename__ = "orders"

    number: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    lines: Mapped[list["Line"]] = relationship(lazy="selectin")

    @property
    def pence(self) -> int:
        """The total, in pence."""
        return sum(line.pence for line in self.lines)


class Line(Table):
    """Copies of one book in an order, and their price."""

    __tablename__ = "order_lines"

    order: Mapped[int] = mapped_column(ForeignKey("orders.number"), primary_key=True)
    isbn: Mapped[str] = mapped_column(ForeignKey("books.isbn"), primary_key=True)
    copies: Mapped[int]
    pence: Mapped[int]


order_placed = AsyncChannel[[Order, AsyncSession]]("order_placed")
"""An order is placed; published inside its transaction, like `stock_low`."""


class Desk:
    """Takes orders, each in the transaction of its scope."""

    def __init__(
        self,
        session: AsyncSession,
        shelf: Shelf,
        prices: Prices,
        *,
        placed: AsyncBoundChannel[[Order, AsyncSession], None],
    ) -> None:
        self._session = session
        self._shelf = shelf
        self._prices = prices
        self._placed = placed

    async def place(self, email: str, copies: Mapping[str, int]) -> Order:
        """
        Place an order.

        Args:
            email: The address of the customer.
            copies: How many copies of each book, by ISBN.

        Raises:
            UnknownBook: The shop does not sell one of the books.
            SoldOut: Too few copies of one of them are left.
            HTTPError: The wholesaler returned no price.
        """
        # Before the first write, after which SQLite admits no other writer.
        prices = {isbn: await self._prices.price(isbn) for isbn in copies}
        # In one order for all customers: two transactions that wait for each other's rows would fail.
        for isbn, count in sorted(copies.items()):
            await self._shelf.take(isbn, count)
        lines = [Line(isbn=isbn, copies=count, pence=count * prices[isbn]) for isbn, count in copies.items()]
        order = Order(email=email, lines=lines)
        self._session.add(order)
        await self._session.flush()  # which assigns the number
        await self._placed.publish(order, self._session)
        return order

    async def find(self, number: int) -> Order | None:
        """Return the order with this number, or None."""
        return await self._session.get(Order, number)
