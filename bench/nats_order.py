"""The message of the comparison on NATS: an order of about 450 bytes in JSON, and the time when it was sent."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid

import attrs
import msgspec


class Status(enum.Enum):
    """The state of an order."""

    PLACED = "placed"
    PAID = "paid"


@attrs.frozen
class Address:
    """Where an order goes."""

    street: str
    city: str
    country: str
    company: str | None = None


@attrs.frozen
class Line:
    """An article of an order."""

    sku: str
    quantity: int
    price: decimal.Decimal


@attrs.frozen
class Order:
    """An order."""

    id: uuid.UUID
    placed_at: dt.datetime
    customer: str
    status: Status
    address: Address
    lines: tuple[Line, ...]
    labels: frozenset[str]
    note: str | None
    extra: dict[str, int | str]


ORDER = Order(
    uuid.UUID("7f1d7a0c-53cf-4a53-9df1-5a5d1d6bb1d0"),
    dt.datetime(2026, 11, 30, 12, 30, 15, 250_000, tzinfo=dt.UTC),
    "customer-000042",
    Status.PLACED,
    Address("Elm Street 12", "Springfield", "US"),
    (
        Line("tea-green-100", 2, decimal.Decimal("12.50")),
        Line("cup-white", 1, decimal.Decimal("4.90")),
        Line("pot-iron-1200", 1, decimal.Decimal("89.00")),
    ),
    frozenset({"gift", "new"}),
    None,
    {"weight": 1840, "channel": "web"},
)


class Sent(msgspec.Struct):
    """
    The arguments of a publish: what the contenders without a channel encode and decode themselves.

    Attributes:
        stamp: When the publisher sent it, in nanoseconds of `time.perf_counter_ns`.
        order: The order.
    """

    stamp: int
    order: Order


class Quoted(msgspec.Struct):
    """
    The answer to a request.

    Attributes:
        value: The stamp of the request.
    """

    value: int


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Sent).decode
decode_answer = msgspec.json.Decoder(int).decode
