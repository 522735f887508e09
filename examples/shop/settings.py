"""The settings of the shop: the table [shop] of a TOML file, checked before anything is built."""

import os
from pathlib import Path

import attrs

SHOP_TOML = Path(__file__).with_name("shop.toml")
_ORDERS = SHOP_TOML.with_name("orders.jsonl")
_HIGHEST = 1_000_000_000


def _check_text(instance: object, field: "attrs.Attribute[str]", text: str) -> None:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be printable text that is not empty")


def _check_number(instance: object, field: "attrs.Attribute[int]", number: int) -> None:
    if not 0 <= number <= _HIGHEST:
        raise ValueError(f"must be a whole number from 0 to {_HIGHEST}")


def _check_folder(instance: object, field: "attrs.Attribute[Path]", path: Path) -> None:
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise ValueError(f"is in {path.parent}, which is not a writable folder; create it, or give another path")


@attrs.frozen
class Product:
    """A product of the shop; the price is in pence."""

    sku: str = attrs.field(validator=_check_text)
    name: str = attrs.field(validator=_check_text)
    price: int = attrs.field(validator=_check_number)
    stock: int = attrs.field(validator=_check_number)
    reorder_level: int = attrs.field(validator=_check_number)


def _check_products(
    instance: object, field: "attrs.Attribute[tuple[Product, ...]]", value: tuple[Product, ...]
) -> None:
    skus = [product.sku for product in value]
    twice = sorted({sku for sku in skus if skus.count(sku) > 1})
    if twice:
        raise ValueError(f"has {', '.join(twice)} more than once")


@attrs.frozen
class Settings:
    """The settings of the shop, for orders from a file and from the web."""

    database: Path = attrs.field(validator=_check_folder)
    products: tuple[Product, ...] = attrs.field(validator=_check_products)
    orders: Path = _ORDERS
    orders_per_second: int = attrs.field(default=0, validator=_check_number)
    bind: str = "127.0.0.1:8080"
    metrics: bool = True
    traces: bool = False

    @property
    def report(self) -> Path:
        """The report on refused lines; beside the database."""
        return self.database.with_name(f"{self.database.name}.refused.txt")

    @property
    def outbox(self) -> Path:
        """The mailbox for letters to customers, written by one process; beside the database."""
        return self.database.with_name(f"{self.database.name}.mbox")

    @property
    def letters(self) -> Path:
        """The mailbox for letters, written by several processes; beside the database."""
        return self.database.with_name(f"{self.database.name}.letters")
