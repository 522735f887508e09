"""Senders and receivers with different versions of a declaration, and the fingerprint that identifies a version."""

from __future__ import annotations

import dataclasses
import enum
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs
import msgspec
import pytest

from typedbus import Channel
from typedbus.nats._errors import DecodeFailed
from typedbus.nats._schema import MessageSchema, schema_of

T = TypeVar("T")


class Old(enum.StrEnum):
    NEW = "new"


class New(enum.StrEnum):
    NEW = "new"
    PAID = "paid"


@attrs.frozen
class OldOrder:
    number: int
    status: Old = Old.NEW


@attrs.frozen
class OptionalAdded:
    number: int
    status: Old = Old.NEW
    note: str = "none"


@attrs.frozen
class RequiredAdded:
    number: int
    customer: str
    status: Old = Old.NEW


@attrs.frozen
class Narrowed:
    number: int
    status: None = None


@attrs.frozen
class MemberAdded:
    number: int
    status: New = New.NEW


@attrs.frozen
class Widened:
    number: int | str
    status: Old = Old.NEW


@attrs.frozen
class Removed:
    number: int


def schema(order: Any, function: Callable[..., None] | None = None) -> MessageSchema[..., None]:
    """Return the schema of a channel that takes one order, or of the declaration *function*."""
    if function is not None:
        return schema_of(Channel.declare(function, name="placed"))

    def placed(order: Any) -> None: ...

    placed.__annotations__["order"] = order
    return schema_of(Channel.declare(placed))


def first(order: OldOrder) -> None: ...
def optional_added(order: OldOrder, gift: bool = False) -> None: ...
def named_optional_added(order: OldOrder, *, gift: bool = False) -> None: ...
def required_added(order: OldOrder, customer: str) -> None: ...
def reordered(customer: str, order: OldOrder) -> None: ...
def renamed(purchase: OldOrder) -> None: ...
def removed() -> None: ...


# Parameters


@pytest.mark.parametrize("function", [optional_added, named_optional_added])
def test_an_optional_parameter_may_be_added_on_either_side_first(function: Callable[..., None]) -> None:
    old, new = schema(None, first), schema(None, function)
    order = OldOrder(1)
    assert old.decode(new.encode(order)) == ((order,), {})
    assert old.decode(new.encode(order, gift=True)) == ((order,), {})
    assert new.decode(old.encode(order)) == ((order,), {})
    assert new.decode(new.encode(order, gift=True)) == ((order,), {"gift": True})


def test_a_required_parameter_is_missing_in_old_messages() -> None:
    old, new = schema(None, first), schema(None, required_added)
    assert old.decode(new.encode(OldOrder(1), "Ann")) == ((OldOrder(1),), {})
    with pytest.raises(DecodeFailed, match="missing required field `customer`"):
        new.decode(old.encode(OldOrder(1)))


def test_the_order_of_parameters_does_not_count() -> None:
    one, other = schema(None, required_added), schema(None, reordered)
    assert other.decode(one.encode(OldOrder(1), "Ann")) == (("Ann", OldOrder(1)), {})
    assert one.fingerprint == other.fingerprint


def test_a_renamed_parameter_is_a_missing_one() -> None:
    with pytest.raises(DecodeFailed, match="missing required field `purchase`"):
        schema(None, renamed).decode(schema(None, first).encode(OldOrder(1)))


def test_a_parameter_may_be_removed_from_the_receiver() -> None:
    assert schema(None, removed).decode(schema(None, first).encode(OldOrder(1))) == ((), {})
    with pytest.raises(DecodeFailed, match="missing required field `order`"):
        schema(None, first).decode(schema(None, removed).encode())


# Fields


@pytest.mark.parametrize(
    ("sender", "sent", "receiver", "received"),
    [
        (OldOrder, OldOrder(1), OptionalAdded, OptionalAdded(1)),
        (OptionalAdded, OptionalAdded(1, note="x"), OldOrder, OldOrder(1)),
        (RequiredAdded, RequiredAdded(1, "Ann"), OldOrder, OldOrder(1)),
        (OldOrder, OldOrder(1), Widened, Widened(1)),
        (OldOrder, OldOrder(1), MemberAdded, MemberAdded(1)),
        (MemberAdded, MemberAdded(1), OldOrder, OldOrder(1)),
        (OldOrder, OldOrder(1), Removed, Removed(1)),
        (Removed, Removed(1), OldOrder, OldOrder(1)),
    ],
)
def test_versions_that_understand_each_other(sender: Any, sent: Any, receiver: Any, received: Any) -> None:
    assert schema(receiver).decode(schema(sender).encode(sent)) == ((received,), {})


@pytest.mark.parametrize(
    ("sender", "sent", "receiver", "problem"),
    [
        (OldOrder, OldOrder(1), RequiredAdded, "missing required field `customer` - at `$.order`"),
        (OldOrder, OldOrder(1), Narrowed, "Expected `null`, got `str` - at `$.order.status`"),
        (MemberAdded, MemberAdded(1, New.PAID), OldOrder, "Invalid enum value 'paid' - at `$.order.status`"),
        (Widened, Widened("1"), OldOrder, "Expected `int`, got `str` - at `$.order.number`"),
        (list[OldOrder], [OldOrder(1)], list[RequiredAdded], "missing required field `customer` - at `$.order[0]`"),
    ],
)
def test_versions_that_do_not_name_the_field(sender: Any, sent: Any, receiver: Any, problem: str) -> None:
    with pytest.raises(DecodeFailed) as failed:
        schema(receiver).decode(schema(sender).encode(sent))
    assert failed.value.channel == "placed"
    assert problem in failed.value.problem


# Fingerprints

VERSIONS = [OldOrder, OptionalAdded, RequiredAdded, Narrowed, MemberAdded, Widened, Removed]


def test_each_version_has_a_fingerprint_of_its_own() -> None:
    assert len({schema(order).fingerprint for order in VERSIONS}) == len(VERSIONS)


@attrs.frozen
class Node:
    name: str
    next: Node | None = None
    first: Leaf | None = None


@attrs.frozen
class Leaf:
    node: Node
    tags: frozenset[str] = frozenset({"a", "b", "c"})


@attrs.frozen
class Documented:
    """Another name, another docstring, another default, another order of fields."""

    status: Old = attrs.field(default=Old.NEW, kw_only=True)
    number: int


@dataclasses.dataclass
class AsDataclass:
    number: int
    status: Old = Old.NEW


@attrs.frozen
class Box(Generic[T]):
    value: T
    title: str = ""
    default: int = 0


@attrs.frozen
class OtherBox:
    value: int
    description: str = ""
    default: int = 0


def test_what_does_not_change_a_message_does_not_count() -> None:
    expected = schema(OldOrder).fingerprint
    assert schema(Documented).fingerprint == schema(AsDataclass).fingerprint == expected
    assert schema(int | str).fingerprint == schema(str | int).fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (tuple[int, str], tuple[str, int]),
        (int | None, int),
        (list[int], list[float]),
        (Box[int], Box[str]),
        (Box[int], OtherBox),
        (Node, Leaf),
        (Node, Node | None),
        (dict[str, Node], dict[str, Leaf]),
    ],
)
def test_what_changes_a_message_counts(one: Any, other: Any) -> None:
    assert schema(one).fingerprint != schema(other).fingerprint
    assert schema(one).json_schema() != schema(other).json_schema()


PROGRAM = """
import tests.nats.test_schema_evolution as t
print([t.schema(type).fingerprint for type in (*t.VERSIONS, t.Node, t.Box[int], int | str, t.Leaf | None)])
"""


@pytest.mark.slow
def test_a_fingerprint_is_the_same_in_every_process() -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            encoding="utf-8",
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert printed == {
        f"{[schema(kind).fingerprint for kind in (*VERSIONS, Node, Box[int], int | str, Leaf | None)]}\n"
    }


def test_a_fingerprint_is_the_same_with_every_version_of_python() -> None:
    assert (schema(OldOrder).fingerprint, schema(Node).fingerprint) == ("451cfb199b07f53b", "e53ac0a801574bf5")


def test_the_json_schema_has_arguments_and_result() -> None:
    shown = schema_of(Channel[[OldOrder], int]("placed")).json_schema()
    arguments: Any = shown["arguments"]
    assert arguments["$defs"]["placed"]["required"] == ["arg0"]
    assert arguments["$defs"]["OldOrder"]["properties"].keys() == {"number", "status"}
    assert shown["result"] == msgspec.json.schema(int)
