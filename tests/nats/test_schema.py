"""The messages of a channel: which channels have a schema, and what encoding and decoding keep."""

from __future__ import annotations

import dataclasses
import gc
import json
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest

from typedbus import AsyncChannel, Channel
from typedbus.nats._errors import DecodeFailed, SchemaFault
from typedbus.nats._schema import schema_of


@attrs.frozen
class Line:
    item: str
    quantity: int


@attrs.frozen
class Order:
    number: int
    lines: tuple[Line, ...]
    note: str | None = None


@dataclasses.dataclass(frozen=True)
class Receipt:
    number: int
    total: float


@Channel.declare
def order_placed(order: Order, /, priority: int = 3, *, urgent: bool = False, customer: str) -> Receipt:
    """Both kinds of parameters, with and without a default."""
    raise NotImplementedError


@AsyncChannel.declare
async def order_paid(order: Order, /) -> None:
    """An async channel."""


ORDER = Order(7, (Line("tea", 2),))


# Encoding and decoding


def test_the_arguments_are_an_object_by_parameter_name() -> None:
    schema = schema_of(order_placed)
    data = schema.encode(ORDER, 4, urgent=True, customer="Ann")
    assert json.loads(data) == {
        "order": {"number": 7, "lines": [{"item": "tea", "quantity": 2}], "note": None},
        "priority": 4,
        "urgent": True,
        "customer": "Ann",
    }
    assert schema.decode(data) == ((ORDER,), {"customer": "Ann", "priority": 4, "urgent": True})


def test_an_omitted_argument_is_left_to_the_default_of_the_receiver() -> None:
    schema = schema_of(order_placed)
    data = schema.encode(ORDER, customer="Ann")
    assert b"priority" not in data
    assert b"urgent" not in data
    assert schema.decode(data) == ((ORDER,), {"customer": "Ann"})


def test_a_channel_of_types_numbers_its_parameters() -> None:
    schema = schema_of(Channel[[Order, int], None]("placed"))
    data = schema.encode(ORDER, 3)
    assert list(json.loads(data)) == ["arg0", "arg1"]
    assert schema.decode(data) == ((ORDER, 3), {})


def test_an_async_channel_has_the_same_messages() -> None:
    assert schema_of(order_paid).decode(schema_of(order_paid).encode(ORDER)) == ((ORDER,), {})


def test_a_result_arrives_equal() -> None:
    schema = schema_of(order_placed)
    assert schema.decode_result(schema.encode_result(Receipt(7, 1.5))) == Receipt(7, 1.5)
    assert schema_of(order_paid).encode_result(None) == b"null"
    assert schema_of(order_paid).decode_result(b"null") is None


def test_a_channel_has_one_schema() -> None:
    assert schema_of(order_placed) is schema_of(order_placed)
    assert len(schema_of(order_placed).fingerprint) == 16


def test_a_positional_default_before_a_passed_argument_is_filled_in() -> None:
    """A sender whose declaration has only the second parameter leaves the first one out."""

    @Channel.declare
    def moved(first: int = 1, second: int = 2, third: int = 3, /) -> None: ...

    assert schema_of(moved).decode(b'{"second":5}') == ((1, 5), {})
    assert schema_of(moved).decode(b'{"third":5}') == ((1, 2, 5), {})
    assert schema_of(moved).decode(b"{}") == ((), {})
    assert schema_of(moved).decode(schema_of(moved).encode(7)) == ((7,), {})


def test_a_schema_does_not_keep_its_channel() -> None:
    channel = Channel[[Order], None]("placed")
    schema, reference = schema_of(channel), weakref.ref(channel)
    del channel
    gc.collect()
    assert reference() is None
    assert schema.name == "placed"


def test_threads_get_the_same_schema() -> None:
    channel = Channel[[Order], None]("placed")
    with ThreadPoolExecutor(8) as pool:
        schemas = list(pool.map(lambda _: schema_of(channel), range(64)))
    assert {id(schema) for schema in schemas} == {id(schema_of(channel))}


# Bad messages


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "Input data was truncated"),
        (b"garbage", "malformed"),
        (b"[]", "Expected `object`, got `array`"),
        pytest.param(
            b'{"order":' * 5000, "", id="deep"
        ),  # RecursionError, or a truncated message where C code may recurse deeper
        pytest.param(b'{"order":' * 1_000_000, "", id="very deep"),
        (b'{"order":{"number":1,"lines":[{"item":"\xff","quantity":1}]}}', "Invalid UTF-8"),
        (
            b'{"order":{"number":1,"lines":[{"item":"tea"}]}}',
            "missing required field `quantity` - at `$.order.lines[0]`",
        ),
        (
            b'{"order":{"number":1,"lines":[{"item":"tea","quantity":"2"}]}}',
            "got `str` - at `$.order.lines[0].quantity`",
        ),
        (b'{"order":{"number":true,"lines":[]}}', "got `bool` - at `$.order.number`"),
    ],
)
def test_a_message_of_another_form_fails_with_its_place(data: bytes, problem: str) -> None:
    with pytest.raises(DecodeFailed) as failed:
        schema_of(order_paid).decode(data)
    assert problem in failed.value.problem
    assert failed.value.channel == "order_paid"


def test_a_result_of_another_form_fails_with_its_place() -> None:
    with pytest.raises(DecodeFailed, match=r"the result: Expected `float`, got `str` - at `\$.total`"):
        schema_of(order_placed).decode_result(b'{"number":1,"total":"2"}')


# Refused channels


def test_a_channel_without_a_signature_at_run_time_is_refused() -> None:
    unknown: Channel[[int], None] = Channel("stock")
    with pytest.raises(SchemaFault, match=r'write Channel\[\[int\], None\]\("stock"\), or use declare'):
        schema_of(unknown)


@pytest.mark.parametrize("name", ["a b", "a.*", ">", "a..b", ".a", "a.", "a\n", "a\x7f", "zoë", "$x"])
def test_a_name_that_is_no_subject_is_refused(name: str) -> None:
    with pytest.raises(SchemaFault, match="its name is no subject"):
        schema_of(Channel[[int], None](name))


@pytest.mark.parametrize("name", ["a", "orders.placed", "a-b_c", "a$,b", "a:b/c"])
def test_a_name_of_subject_tokens_is_accepted(name: str) -> None:
    assert schema_of(Channel[[int], None](name)).name == name


@attrs.frozen
class Private:
    _number: int


@pytest.mark.parametrize(
    ("annotation", "path"),
    [
        (Any, "arg0"),
        (object, "arg0"),
        (Callable[[int], int], "arg0"),
        (list[Any], "arg0[]"),
        (tuple[Private, ...], "arg0[]._number"),
        (Order | Line, "arg0"),
    ],
)
def test_a_type_that_cannot_be_restored_is_refused(annotation: Any, path: str) -> None:
    with pytest.raises(SchemaFault) as refused:
        schema_of(Channel[[annotation], None]("sent"))
    assert (refused.value.channel, refused.value.path) == ("sent", path)
