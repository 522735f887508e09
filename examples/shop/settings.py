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
        raise ValueError(f"is in {path.parent}, no folder to write to: make it one, or give another")


@attrs.frozen
class Product:
    """One thing that the shop sells; the price is in pence."""

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
    """What the shop is told before it opens, by a file or as a site on the web."""

    database: Path = attrs.field(validator=_check_folder)
    products: tuple[Product, ...] = attrs.field(validator=_check_products)
    orders: Path = _ORDERS
    orders_per_second: int = attrs.field(default=0, validator=_check_number)
    bind: str = "127.0.0.1:8080"

    @property
    def report(self) -> Path:
        """Where the lines that were refused are told; beside the database."""
        return self.database.with_name(f"{self.database.name}.refused.txt")

    @property
    def outbox(self) -> Path:
        """Where the letters to customers go, if one process writes them; beside the database."""
        return self.database.with_name(f"{self.database.name}.mbox")

    @property
    def letters(self) -> Path:
        """The folder for the letters of several processes; beside the database."""
        return self.database.with_name(f"{self.database.name}.letters")
