"""The settings of the shop: a TOML file, checked before anything is built."""

import difflib
import os
import tomllib
from pathlib import Path
from typing import NoReturn

import attrs

SHOP_TOML = Path(__file__).with_name("shop.toml")
_HIGHEST = 1_000_000_000


@attrs.frozen
class Product:
    """One thing that the shop sells; the price is in pence."""

    sku: str
    name: str
    price: int
    stock: int
    reorder_level: int


@attrs.frozen
class Settings:
    """What the shop is told before it opens."""

    orders: Path
    database: Path
    products: tuple[Product, ...]
    orders_per_second: int = 0

    @property
    def report(self) -> Path:
        """Where the lines that were refused are told; beside the database."""
        return self.database.with_name(f"{self.database.name}.refused.txt")

    @property
    def outbox(self) -> Path:
        """Where the letters to customers go; beside the database."""
        return self.database.with_name(f"{self.database.name}.mbox")


class SettingsError(ValueError):
    """
    Raised by `load_settings` for a file that says no settings.

    Attributes:
        file: The settings file.
        key: The key that is wrong, or None where it is the file itself.
        problem: What is wrong with it.
    """

    def __init__(self, file: Path, key: str | None, problem: str) -> None:
        super().__init__(file, key, problem)
        self.file = file
        self.key = key
        self.problem = problem

    def __str__(self) -> str:
        key = "" if self.key is None else f"{self.key!r} "
        return f"{self.file}: {key}{self.problem}"


def load_settings(file: Path = SHOP_TOML, *, orders: Path | None = None, database: Path | None = None) -> Settings:
    """
    Return what *file* says; paths in it are relative to its folder.

    *orders* and *database* are taken in the place of what it says.

    Raises:
        SettingsError: The file cannot be read, or a key of it is wrong, missing or unknown.
    """
    try:
        with file.open("rb") as opened:
            said: dict[str, object] = tomllib.load(opened)
    except OSError as error:
        raise SettingsError(file, None, f"cannot be read ({error.strerror}); give another with --settings") from None
    except ValueError as error:
        raise SettingsError(file, None, f"is not TOML: {error}") from None
    for key, path in ("orders", orders), ("database", database):
        if path is not None:
            said[key] = str(path.absolute())
    table = _Table(file, said, Settings)
    database = file.parent / table.text("database")
    folder = database.parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        table.complain("database", f"is in {folder}, no folder to write to: make it one, or give --database FILE")
    return Settings(
        orders=file.parent / table.text("orders"),
        database=database,
        products=tuple(_product(product) for product in table.tables("products", Product)),
        orders_per_second=table.number("orders_per_second", 0),
    )


def _product(table: "_Table") -> Product:
    return Product(
        sku=table.text("sku"),
        name=table.text("name"),
        price=table.number("price"),
        stock=table.number("stock"),
        reorder_level=table.number("reorder_level"),
    )


class _Table:
    """One table of a settings file."""

    def __init__(self, file: Path, said: dict[str, object], cls: type[attrs.AttrsInstance], where: str = "") -> None:
        self._file = file
        self._said = said
        self._where = where
        known = attrs.fields_dict(cls)
        for key in said:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1) or known
                self.complain(key, f"is no setting; did you mean {' or '.join(map(repr, near))}?")

    def complain(self, key: str, problem: str) -> NoReturn:
        raise SettingsError(self._file, self._where + key, problem)

    def text(self, key: str) -> str:
        value = self._value(key)
        if not isinstance(value, str) or not value.strip():
            self.complain(key, f"must be text and is {value!r}")
        return value

    def number(self, key: str, default: int | None = None) -> int:
        value = self._value(key, default)
        if type(value) is not int or not 0 <= value <= _HIGHEST:
            self.complain(key, f"must be a whole number from 0 to {_HIGHEST} and is {value!r}")
        return value

    def tables(self, key: str, cls: type[attrs.AttrsInstance]) -> "list[_Table]":
        value = self._value(key)
        if not isinstance(value, list) or not all(isinstance(member, dict) for member in value):
            self.complain(key, f"must be tables, each under [[{key}]], and is {value!r}")
        return [_Table(self._file, said, cls, f"{key}[{index}].") for index, said in enumerate(value)]

    def _value(self, key: str, default: object = None) -> object:
        value = self._said.get(key, default)
        if value is None:
            self.complain(key, "is missing")
        return value
