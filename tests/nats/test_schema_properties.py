"""Arguments arrive equal and of equal type, whatever their values; a damaged message never raises another error."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import Channel
from typedbus.nats._errors import DecodeFailed
from typedbus.nats._schema import schema_of

T = TypeVar("T")
Sku = NewType("Sku", str)


class Status(enum.Enum):
    NEW = "new"
    PAID = "paid"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@attrs.frozen
class Line:
    sku: Sku
    price: Decimal
    quantity: int = attrs.field(validator=attrs.validators.ge(0))


@attrs.define
class Address:
    street: str
    country: str = "GB"


@attrs.frozen
class Order:
    id: UUID
    at: datetime
    lines: tuple[Line, ...]
    address: Address
    status: Status
    note: str | None
    tags: frozenset[str]
    counts: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Period:
    day: date
    begin: time
    length: timedelta


@attrs.frozen
class Page(Generic[T]):
    items: list[T]
    next: T | None


@attrs.frozen
class Tree:
    name: str
    children: tuple[Tree, ...] = ()


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Options(TypedDict, total=False):
    level: Level
    raw: bytes


class Square(msgspec.Struct, frozen=True, tag="square"):
    side: int


class Circle(msgspec.Struct, frozen=True, tag="circle"):
    radius: float


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
skus = texts.map(Sku)
floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(allow_nan=False)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(
    min_value=datetime(1, 1, 3),  # noqa: DTZ001  # the zone is generated
    max_value=datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.one_of(st.just(UTC), zones),
)
lines = st.builds(Line, skus, decimals, st.integers(0))
orders = st.builds(
    Order,
    st.uuids(),
    moments,
    st.lists(lines, max_size=3).map(tuple),
    st.builds(Address, texts, texts),
    st.sampled_from(Status),
    st.none() | texts,
    st.frozensets(texts, max_size=3),
    st.dictionaries(texts, st.integers(), max_size=3),
)
periods = st.builds(Period, st.dates(), st.times(), st.timedeltas())
trees = st.recursive(
    st.builds(Tree, texts), lambda inner: st.builds(Tree, texts, st.lists(inner, max_size=3).map(tuple))
)

SIGNATURES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "attrs": (Order, orders),
    "dataclass": (Period, periods),
    "decimal": (Decimal, decimals),
    "uuid": (UUID, st.uuids()),
    "moment": (datetime, moments),
    "timedelta": (timedelta, st.timedeltas()),
    "enums": (tuple[Status, Level], st.tuples(st.sampled_from(Status), st.sampled_from(Level))),
    "frozenset": (frozenset[Line], st.frozensets(lines, max_size=3)),
    "generic": (
        Page[Page[Line]],
        st.builds(
            Page, st.lists(st.builds(Page, st.lists(lines, max_size=2), st.none() | lines), max_size=2), st.none()
        ),
    ),
    "newtype": (Sku, skus),
    "optional": (Line | None, st.none() | lines),
    "recursive": (Tree, trees),
    "numbers": (int | float | bool | None, st.integers() | floats | st.booleans() | st.none()),
    "bytes": (tuple[bytes, bytearray], st.tuples(st.binary(max_size=9), st.binary(max_size=9).map(bytearray))),
    "namedtuple": (Point, st.builds(Point, floats, floats)),
    "typeddict": (
        Options,
        st.fixed_dictionaries({}, optional={"level": st.sampled_from(Level), "raw": st.binary(max_size=9)}),
    ),
    "tagged": (
        list[Square | Circle],
        st.lists(st.builds(Square, st.integers()) | st.builds(Circle, floats), max_size=3),
    ),
    "literal": (Literal["a", "b", 1], st.sampled_from(["a", "b", 1])),
    "bounded": (Annotated[int, msgspec.Meta(ge=0, lt=9)], st.integers(0, 8)),
    "int keys": (dict[int, str], st.dictionaries(st.integers(), texts, max_size=3)),
    "uuid keys": (dict[UUID, date], st.dictionaries(st.uuids(), st.dates(), max_size=3)),
    "decimal keys": (dict[Decimal, time], st.dictionaries(decimals, st.times(), max_size=3)),
    "moment keys": (dict[datetime, int], st.dictionaries(moments, st.integers(), max_size=3)),
    "timedelta keys": (dict[timedelta, int], st.dictionaries(st.timedeltas(), st.integers(), max_size=3)),
    "enum keys": (
        tuple[dict[Status, int], dict[Level, int]],
        st.tuples(*(st.dictionaries(st.sampled_from(kind), st.integers()) for kind in (Status, Level))),
    ),
    "literal keys": (dict[Literal[1, 2], int], st.dictionaries(st.sampled_from([1, 2]), st.integers())),
    "bytes keys": (dict[bytes, int], st.dictionaries(st.binary(max_size=4), st.integers(), max_size=3)),
}


@functools.cache
def channel(name: str) -> Channel[[Any], Any]:
    return channel_of(SIGNATURES[name][0], name.replace(" ", "-"))


def channel_of(annotation: Any, name: str) -> Channel[[Any], Any]:
    return Channel[[annotation], annotation](name)


def types_in(value: Any) -> Any:
    """Return the classes of a value and of all its parts; an offset counts instead of the class of a time zone."""
    if attrs.has(type(value)):
        return type(value), [types_in(part) for part in attrs.asdict(value, recurse=False).values()]
    if dataclasses.is_dataclass(value):
        return type(value), [types_in(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, msgspec.Struct):
        return type(value), [types_in(part) for part in msgspec.structs.astuple(value)]
    if isinstance(value, dict):
        return dict, sorted((str(key), types_in(key), str(types_in(part))) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return type(value), [types_in(part) for part in value]
    if isinstance(value, frozenset):
        return frozenset, {str(types_in(part)) for part in value}
    if isinstance(value, datetime):
        return datetime, value.utcoffset()
    return type(value)


@pytest.mark.parametrize("name", SIGNATURES)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_an_argument_and_a_result_arrive_equal_and_of_equal_type(name: str, data: st.DataObject) -> None:
    value = data.draw(SIGNATURES[name][1])
    schema = schema_of(channel(name))
    (arrived,), kwargs = schema.decode(schema.encode(value))
    result = schema.decode_result(schema.encode_result(value))
    assert kwargs == {}
    assert arrived == result == value
    assert str(types_in(arrived)) == str(types_in(value))


@Channel.declare
def placed(order: Order, /, gift: bool = False, note: str = "", *, at: datetime, level: Level = Level.LOW) -> None:
    """It has every kind of parameter."""


@settings(deadline=None)
@given(
    args=st.tuples(orders) | st.tuples(orders, st.booleans()) | st.tuples(orders, st.booleans(), texts),
    kwargs=st.fixed_dictionaries({"at": moments}, optional={"level": st.sampled_from(Level)}),
)
def test_arguments_bind_to_the_same_parameters(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    signature = placed.signature()
    assert signature is not None
    sent = signature.bind(*args, **kwargs)
    arrived_args, arrived_kwargs = schema_of(placed).decode(schema_of(placed).encode(*args, **kwargs))
    arrived = signature.bind(*arrived_args, **arrived_kwargs)
    assert arrived.arguments == sent.arguments


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["order", "id", "at", "lines", "x"]), inner)
    ),
)


@settings(deadline=None)
@given(data=st.binary() | json_values.map(lambda value: json.dumps({"order": value, "at": value}).encode()))
def test_a_damaged_message_raises_one_error(data: bytes) -> None:
    with pytest.raises(DecodeFailed):
        schema_of(placed).decode(data)


@settings(deadline=None)
@given(order=orders, at=moments, place=st.integers(0), byte=st.integers(0, 255))
def test_a_message_with_a_changed_byte_is_decoded_or_raises_one_error(
    order: Order, at: datetime, place: int, byte: int
) -> None:
    data = bytearray(schema_of(placed).encode(order, at=at))
    data[place % len(data)] = byte
    try:
        (arrived,), kwargs = schema_of(placed).decode(bytes(data))
    except DecodeFailed:
        return
    assert type(arrived) is Order
    assert kwargs.keys() <= {"at", "gift", "note", "level"}
