"""Orders and their parser, which reports every mistake in an order."""

import json
import re
from datetime import date
from typing import TypeVar

import attrs

T = TypeVar("T", bound=object)

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", re.ASCII)
_TYPES: dict[type[object], str] = {str: "text", int: "a whole number", list: "a list", dict: "an object"}
_HIGHEST_NUMBER = 999_999_999
_HIGHEST_QUANTITY = 9_999


@attrs.frozen
class OrderLine:
    """A quantity of one product."""

    sku: str
    quantity: int


@attrs.frozen
class Order:
    """An order of a customer."""

    number: int
    customer: str
    email: str
    placed_on: date
    lines: tuple[OrderLine, ...]


@attrs.frozen
class Receipt:
    """The answer to an order; *total* is in pence."""

    order: int
    invoice: int
    total: int


@attrs.frozen
class Offer:
    """The offer of a supplier; *price* is in pence, for each piece."""

    supplier: str
    price: int


class Refused(Exception):
    """
    Raised for an order that cannot be booked.

    Attributes:
        kind: The kind of problem, one of a few fixed texts.
        detail: The problem in this order.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


def parse_order(raw: bytes) -> Order:
    """
    Return the order in a line of the orders file, or in the body of a request.

    Raises:
        Refused: It is not a valid order.
    """
    table = _checked(_read(raw), dict, "an order")
    number = _field(table, "number", int)
    if not 1 <= number <= _HIGHEST_NUMBER:
        raise Refused("bad number", f"{number} is not between 1 and {_HIGHEST_NUMBER}")
    email = _field(table, "email", str)
    if not _EMAIL.fullmatch(email):
        raise Refused("bad address", f"no letter would reach {email!a}")
    customer = _text(table, "customer")
    placed_on = _day(_field(table, "date", str))
    lines = tuple(_line(_checked(line, dict, "each of 'lines'")) for line in _field(table, "lines", list))
    if not lines:
        raise Refused("missing field", "'lines' is empty")
    return Order(number, customer, email, placed_on, lines)


def _read(raw: bytes) -> object:
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise Refused("not UTF-8", f"byte {raw[error.start]:#04x} in column {error.start + 1}") from None
    if not text:
        raise Refused("empty line", "nothing is ordered")
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise Refused("broken JSON", f"{error.msg} in column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, or thousands of brackets.
        raise Refused("broken JSON", str(error)) from None
    return value


def _checked(value: object, kind: type[T], name: str) -> T:
    # Not isinstance, for which true and false are numbers.
    if type(value) is not kind:
        raise Refused("wrong type", f"{name} must be {_TYPES[kind]} and is {type(value).__name__}")
    assert isinstance(value, kind)
    return value


def _field(table: dict[str, object], name: str, kind: type[T]) -> T:
    if name not in table:
        raise Refused("missing field", repr(name))
    return _checked(table[name], kind, repr(name))


def _text(table: dict[str, object], name: str) -> str:
    text = _field(table, name, str)
    # Not printable: line ends, and lone surrogates, which cannot be written to a file.
    if not text.strip() or not text.isprintable():
        raise Refused("wrong type", f"{name!r} is not printable text: {text!a}")
    return text


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Refused("bad date", f"{text!a} is not a date of the form 2025-03-31") from None
    if day.isoformat() != text:
        raise Refused("bad date", f"{text!a} is not a date of the form 2025-03-31")
    return day


def _line(table: dict[str, object]) -> OrderLine:
    sku, quantity = _text(table, "sku"), _field(table, "quantity", int)
    if not 1 <= quantity <= _HIGHEST_QUANTITY:
        raise Refused("bad quantity", f"{quantity} of {sku} is not between 1 and {_HIGHEST_QUANTITY}")
    return OrderLine(sku, quantity)
