"""The stock of products."""

from collections import Counter
from collections.abc import Iterable

from examples.shop.channels import order_taken
from examples.shop.database import Database
from examples.shop.orders import Order, Receipt, Refused
from examples.shop.settings import Product
from typedbus import BoundChannel, on


class Stock:
    """Keeps the stock of each product in the books."""

    def __init__(self, database: Database, products: Iterable[Product], *, low: BoundChannel[[str, int], None]) -> None:
        self._database = database
        self._products = products
        self._low = low

    def start(self) -> None:
        """Add new products to the books, and update prices."""
        with self._database.transaction() as books:
            books.executemany(
                "INSERT INTO products (sku, name, price, initial, level, reorder_level) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (sku) DO UPDATE SET name = excluded.name, price = excluded.price,"
                " reorder_level = excluded.reorder_level",
                [
                    (product.sku, product.name, product.price, product.stock, product.stock, product.reorder_level)
                    for product in self._products
                ],
            )

    def take(self, order: Order) -> None:
        """
        Take the products of *order* from the stock.

        A call and no listener of `order_placed`, since there a refusal would be a failure.

        Raises:
            Refused: A product is unknown, or too few of it are left.
        """
        wanted = Counter[str]()
        for line in order.lines:
            wanted[line.sku] += line.quantity
        with self._database.transaction() as books:
            for sku, quantity in wanted.items():
                left = books.execute("SELECT level FROM products WHERE sku = ?", (sku,)).fetchone()
                if left is None:
                    raise Refused("unknown SKU", f"there is no {sku!a}")
                if left[0] < quantity:
                    raise Refused("out of stock", f"there are not {quantity} of {sku}")
                books.execute("UPDATE products SET level = level - ? WHERE sku = ?", (quantity, sku))
                books.execute(
                    "INSERT INTO movements (order_number, sku, quantity) VALUES (?, ?, ?)",
                    (order.number, sku, -quantity),
                )

    @on(order_taken)
    def look(self, order: Order, receipt: Receipt, /) -> None:
        """Publish the products of the order that have run low."""
        for sku in sorted({line.sku for line in order.lines}):
            with self._database.transaction() as books:
                row = books.execute(
                    "SELECT level FROM products WHERE sku = ? AND level < reorder_level", (sku,)
                ).fetchone()
            if row is not None:
                self._low.publish(sku, row[0])
