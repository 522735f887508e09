"""What lies on the shelves, and what is ordered anew."""

from collections import Counter
from collections.abc import Iterable

from examples.shop.channels import order_taken, stock_low
from examples.shop.database import Database
from examples.shop.orders import Order, Receipt, Refused
from examples.shop.settings import Product
from typedbus import Bus, on


class Stock:
    """Knows how many are left of each product, and takes from them."""

    def __init__(self, bus: Bus, database: Database, products: Iterable[Product]) -> None:
        # Its signature has a name in it, which no annotation of a parameter could say.
        self._low = bus[stock_low]
        self._database = database
        self._products = products

    def start(self) -> None:
        """Put products on the shelves that are not there yet; prices may have changed."""
        with self._database.transaction() as books:
            books.executemany(
                "INSERT INTO products (sku, name, price, initial, level, reorder_level) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (sku) DO UPDATE SET name = excluded.name, price = excluded.price,"
                " reorder_level = excluded.reorder_level",
                [(one.sku, one.name, one.price, one.stock, one.stock, one.reorder_level) for one in self._products],
            )

    def take(self, order: Order) -> None:
        """
        Take from the shelves what *order* asks for.

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
        """Tell of what is running low."""
        for sku in sorted({line.sku for line in order.lines}):
            with self._database.transaction() as books:
                found = books.execute(
                    "SELECT level FROM products WHERE sku = ? AND level < reorder_level", (sku,)
                ).fetchone()
            if found is not None:
                self._low.publish(sku, left=found[0])


class Purchasing:
    """Orders from the suppliers, each product once."""

    def __init__(self, bus: Bus, database: Database) -> None:
        self._bus = bus
        self._database = database

    @on(stock_low)
    def reorder(self, sku: str, /, *, left: int = 0) -> None:
        """Order *sku* anew, unless that was done."""
        with self._database.transaction() as books:
            done = books.execute("INSERT OR IGNORE INTO reorders (sku, remaining) VALUES (?, ?)", (sku, left))
        if done.rowcount:
            self._bus.log(f"{left} of {sku} left; ordered anew")
