"""The opt-in codec sends private fields, converters and unions of classes, and is as strict as messages without it."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, NewType, TypeVar
from uuid import UUID

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import Channel
from typedbus.nats import CattrsCodec, DecodeFailed, EncodeFailed, SchemaFault
from typedbus.nats._schema import MessageSchema, schema_of

T = TypeVar("T")
CODEC = CattrsCodec()


class Status(enum.Enum):
    NEW = "new"


@attrs.frozen
class Card:
    _number: str
    limit: Decimal = attrs.field(default=Decimal("1.5"), converter=Decimal)


@attrs.frozen
class Cash:
    amount: float


@dataclasses.dataclass(frozen=True)
class Voucher:
    code: int


@attrs.frozen
class GoldCard(Card):
    points: int = 0


@attrs.define
class Box(Generic[T]):
    _content: T
    labels: list[T] = attrs.field(factory=list)
    size: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.size = len(self.labels)


Payment = NewType("Payment", Card)


@attrs.frozen
class Order:
    id: UUID
    at: datetime
    paid: Card | Cash | Voucher | None
    others: dict[str, tuple[Card | Cash, ...]] = attrs.field(factory=dict)
    seen: frozenset[Voucher] = frozenset()
    cards: set[Card] = attrs.field(factory=set)
    box: Box[Card] | None = None
    payment: Annotated[Payment, "meta"] | None = None
    parts: list[Order] = attrs.field(factory=list)
    counts: dict[int, Status] = attrs.field(factory=dict)


@Channel.declare
def placed(order: Order, /, how: Card | Cash | None = None, *, count: int) -> list[Card | Cash]:
    """Without the codec it is refused."""
    raise NotImplementedError


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
cards = st.builds(Card, texts, st.decimals(allow_nan=False).map(str))
cashes = st.builds(Cash, st.floats(allow_nan=False, allow_infinity=False))
vouchers = st.builds(Voucher, st.integers())
boxes = st.builds(Box, cards, st.lists(cards, max_size=2))
orders: st.SearchStrategy[Order] = st.deferred(
    lambda: st.builds(
        Order,
        st.uuids(),
        st.datetimes(timezones=st.just(UTC)),
        st.none() | cards | cashes | vouchers,
        st.dictionaries(texts, st.lists(cards | cashes, max_size=2).map(tuple), max_size=2),
        st.frozensets(vouchers, max_size=2),
        st.sets(cards, max_size=2),
        st.none() | boxes,
        st.none() | cards,
        st.lists(orders, max_size=1),
        st.dictionaries(st.integers(), st.sampled_from(Status), max_size=2),
    )
)


def coded() -> MessageSchema[..., Any]:
    return schema_of(placed, CODEC)


def order(**fields: Any) -> Order:
    return Order(UUID(int=1), datetime(2026, 1, 2, tzinfo=UTC), **{"paid": None, **fields})


def message(**fields: Any) -> bytes:
    """Return a message whose order has the given fields."""
    plain = {"id": str(UUID(int=1)), "at": "2026-01-02T00:00:00Z", "paid": None, **fields}
    return json.dumps({"order": plain, "count": 1}).encode()


def test_the_channel_is_refused_without_the_codec() -> None:
    with pytest.raises(SchemaFault, match=r"at order\.paid: .*pass codec=CattrsCodec\(\)"):
        schema_of(placed)


def test_a_member_of_a_union_has_the_name_of_its_class() -> None:
    data = coded().encode(order(paid=Card("12", "2.5")), count=1)
    sent = json.loads(data)["order"]["paid"]
    assert sent == {"$type": "Card", "_number": "12", "limit": "2.5"}
    args, kwargs = coded().decode(data)
    assert (args, kwargs) == ((order(paid=Card("12", "2.5")),), {"count": 1})


def test_the_constructor_runs_in_the_receiver() -> None:
    data = coded().encode(order(box=Box(Card("1"), [Card("2"), Card("3")])), count=1)
    assert json.loads(data)["order"]["box"].keys() == {"_content", "labels"}
    (arrived,), _ = coded().decode(data)
    assert isinstance(arrived, Order)
    assert arrived.box is not None
    assert arrived.box.size == 2


@settings(deadline=None, max_examples=60)
@given(sent=orders, how=st.none() | cards | cashes, result=st.lists(cards | cashes, max_size=3))
def test_values_arrive_equal(sent: Order, how: Card | Cash | None, result: list[Card | Cash]) -> None:
    assert coded().decode(coded().encode(sent, how, count=3)) == ((sent,), {"how": how, "count": 3})
    assert coded().decode_result(coded().encode_result(result)) == result


def test_an_omitted_argument_is_left_to_its_default() -> None:
    assert coded().decode(coded().encode(order(), count=1)) == ((order(),), {"count": 1})


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"paid": {"$type": "Cash", "amount": "1"}}, "Expected `float`, got `str` - at `$.order.paid.amount`"),
        ({"paid": {"$type": "Cash"}}, "missing required field `amount` - at `$.order.paid`"),
        ({"paid": {"$type": "Voucher", "code": True}}, "Expected `int`, got `bool`"),
        ({"paid": {"$type": "Voucher", "code": 1.0}}, "Expected `int`, got `float`"),
        ({"paid": {"$type": "Card", "_number": 1}}, "Expected `str`, got `int` - at `$.order.paid._number`"),
        ({"paid": {"$type": "Card"}}, "missing required field - at `$.order.paid._number`"),
        ({"paid": {"$type": "Box"}}, "expected an object whose $type is Card or Cash or Voucher, got 'Box'"),
        ({"paid": {"$type": []}}, "expected an object whose $type"),
        ({"paid": {"_number": "1"}}, "expected an object whose $type is Card or Cash or Voucher, got None"),
        ({"paid": "Card"}, "expected an object whose $type"),
        ({"others": ""}, "expected an object, got a text - at `$.order.others`"),
        ({"others": {"a": ""}}, "expected an array, got a text - at `$.order.others['a']`"),
        ({"others": {"a": [{"$type": "Cash", "amount": None}]}}, "got `null` - at `$.order.others['a'][0].amount`"),
        ({"cards": {}}, "expected an array, got an object - at `$.order.cards`"),
        ({"box": []}, "expected an object, got an array - at `$.order.box`"),
        ({"parts": [1]}, "expected an object, got a number - at `$.order.parts[0]`"),
        ({"id": 3}, "Expected `uuid`, got `int` - at `$.order.id`"),
        ({"counts": {"a": "new"}}, "Expected `int`, got `str`"),
        ({"paid": {"$type": "Card", "_number": "1", "limit": "x"}}, "Invalid decimal string - at `$.order.paid.limit`"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_path(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(DecodeFailed) as failed:
        coded().decode(message(**fields))
    assert problem in failed.value.problem


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"\xff", pytest.param(b'{"order":' * 5000, id="deep"), b'{"order":1,"count":1}', b'{"count":1}'],
)
def test_a_damaged_message_raises_one_error(data: bytes) -> None:
    with pytest.raises(DecodeFailed):
        coded().decode(data)


def test_a_result_of_another_type_is_refused_with_its_path() -> None:
    with pytest.raises(DecodeFailed, match=r"the result: Expected `float`, got `str` - at `\$\[0\]\.amount`"):
        coded().decode_result(b'[{"$type":"Cash","amount":"1"}]')


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"paid": Cash(float("nan"))}, "in a value of Cash.amount: got nan; JSON has neither NaN nor infinity"),
        ({"paid": GoldCard("1")}, "got an instance of GoldCard; expected"),
        ({"box": Box(GoldCard("1"))}, "got an instance of GoldCard; expected Card, and no subclass of it"),
        ({"others": {"a": [Cash(1.0)]}}, "got an instance of list; expected tuple, and no subclass of it"),
        ({"others": {1: (Cash(1.0),)}}, "in a value of str: got 1; expected str"),
        ({"paid": Card(True)}, "in a value of str: got True; expected str"),  # type: ignore[arg-type]
        ({"box": "x"}, "got an instance of str; expected"),
    ],
)
def test_a_value_that_would_change_is_not_sent(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(EncodeFailed) as failed:
        coded().encode(order(**fields), count=1)
    assert (failed.value.channel, failed.value.path) == ("placed", "order")
    assert problem in failed.value.problem


def test_a_result_that_would_change_is_not_sent() -> None:
    with pytest.raises(EncodeFailed) as failed:
        coded().encode_result([Cash(float("inf"))])
    assert failed.value.path == "result"


class Own:
    pass


@attrs.define
class OwnInit:
    _number: int

    def __init__(self) -> None:
        self.__attrs_init__(1)  # type: ignore[attr-defined]  # attrs adds it to a class with a constructor of its own


@attrs.frozen
class Unsendable:
    _cards: dict[str, list[Own]]


@pytest.mark.parametrize(
    ("annotation", "path", "problem"),
    [
        (Any, "", "state the type"),
        (Unsendable, "._cards[][]", "values of tests.nats.test_schema_codec.Own have no form in JSON"),
        (OwnInit, "", "OwnInit has an __init__ of its own"),
        (Card | int, "", "CattrsCodec does not send"),
        (tuple[Card, int], "", "CattrsCodec does not send"),
        (dict[int, Card], "", "CattrsCodec does not send"),
    ],
)
def test_a_type_that_the_codec_does_not_restore_is_refused(annotation: Any, path: str, problem: str) -> None:
    with pytest.raises(SchemaFault) as refused:
        schema_of(Channel[[annotation], None]("sent"), CODEC)
    assert refused.value.path == f"arg0{path}"
    assert problem in refused.value.problem


def test_the_fingerprint_is_that_of_the_schema() -> None:
    first = schema_of(Channel[[Card | Cash], None]("sent"), CODEC)
    assert first.fingerprint == schema_of(Channel[[Cash | Card], None]("other"), CODEC).fingerprint
    assert first.fingerprint != schema_of(Channel[[Card | Voucher], None]("sent"), CODEC).fingerprint
    assert first.fingerprint != schema_of(Channel[[Card], None]("sent"), CODEC).fingerprint
    arguments: Any = first.json_schema()["arguments"]
    tags = [member["allOf"][0]["properties"]["$type"]["const"] for member in arguments["properties"]["arg0"]["anyOf"]]
    assert tags == ["Card", "Cash"]


def test_a_member_may_be_generic() -> None:
    channel = Channel[[Box[Decimal] | Card | None], None]("sent")
    data = schema_of(channel, CODEC).encode(Box(Decimal("1.5")))
    assert json.loads(data)["arg0"] == {"$type": "Box", "_content": "1.5", "labels": []}
    assert schema_of(channel, CODEC).decode(data) == ((Box(Decimal("1.5")),), {})
    with pytest.raises(SchemaFault, match="CattrsCodec does not send"):
        schema_of(Channel[[Box[int] | Box[str]], None]("sent"), CODEC)


def test_a_channel_has_one_schema_for_each_codec() -> None:
    channel = Channel[[int], None]("sent")
    assert schema_of(channel, CODEC) is schema_of(channel, CODEC)
    assert schema_of(channel, CODEC) is not schema_of(channel)


def test_a_channel_that_needs_no_codec_is_sent_without_it() -> None:
    channel = Channel[[int, Cash], list[str]]("sent")
    assert CODEC.bind("sent", {"arg0": int, "arg1": Cash, "return": list[str]}) is None
    assert schema_of(channel, CODEC).fingerprint == schema_of(channel).fingerprint
    assert schema_of(channel, CODEC).encode(1, Cash(2.0)) == schema_of(channel).encode(1, Cash(2.0))


def test_the_codec_needs_cattrs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cattrs", None)
    with pytest.raises(ImportError, match=r"CattrsCodec needs cattrs: pip install cattrs"):
        CattrsCodec()
