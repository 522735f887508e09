"""Values that a receiver could not restore are refused by the sender, with their path."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgspec
import pytest

from typedbus import Channel
from typedbus.nats._errors import EncodeFailed
from typedbus.nats._schema import schema_of


class Color(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@attrs.frozen
class Line:
    item: str
    price: float


@attrs.frozen
class GiftLine(Line):
    text: str = ""


@attrs.frozen
class Node:
    value: int
    children: tuple[Node, ...] = ()


class Point(NamedTuple):
    x: int
    y: float


class Options(TypedDict, total=False):
    color: Color
    size: int


class Square(msgspec.Struct, tag="square"):
    side: int


class Circle(msgspec.Struct, tag="circle"):
    radius: float


class Words(msgspec.Struct):
    text: str


Lines = msgspec.defstruct("Lines", [("class", float)])


def nested(depth: int) -> Node:
    node = Node(0)
    for _ in range(depth):
        node = Node(0, (node,))
    return node


def encoded(annotation: Any, value: object) -> bytes:
    """Send *value* on a channel with a parameter of that type."""
    return schema_of(Channel[[annotation], None]("sent")).encode(value)


NAN = float("nan")
INF = float("inf")
TEXT: Any = "4"
NAIVE = datetime(2026, 1, 2)  # noqa: DTZ001  # a value that is refused


@pytest.mark.parametrize(
    ("annotation", "value", "path", "problem"),
    [
        (int, True, "arg0", "got True; expected int"),
        (int, Level.LOW, "arg0", "got an instance of Level; expected int"),
        (int, "1", "arg0", "got '1'; expected int"),
        (str, Color.RED, "arg0", "got an instance of Color; expected str"),
        (Color, "red", "arg0", "got 'red'; expected Color"),
        (bool, 1, "arg0", "got 1; expected bool"),
        (None, 1, "arg0", "got 1; expected None"),
        (float, NAN, "arg0", "got nan; JSON has neither NaN nor infinity"),
        (float, -INF, "arg0", "got -inf; JSON has neither"),
        (float, 2**53 + 1, "arg0", "got 9007199254740993; expected float"),
        (float, True, "arg0", "got True; expected float"),
        (list[Line], [Line("tea", 1.0), Line("rum", NAN)], "arg0[1].price", "got nan"),
        (Line, GiftLine("tea", 1.0, "hi"), "arg0", "got an instance of GiftLine; expected Line, and no subclass"),
        (Line, None, "arg0", "got None; expected Line"),
        (tuple[int, str], (1, 2), "arg0[1]", "got 2; expected str"),
        (tuple[int, str], (1, "a", "b"), "arg0", "expected 2 items"),
        (dict[str, float], {"a": 1.0, "b": INF}, "arg0['b']", "got inf"),
        (dict[str, int], {Color.RED: 1}, "arg0.keys()", "got an instance of Color; expected str"),
        (Mapping[str, int], Sequence, "arg0", "expected dict"),
        (frozenset[int], {1, False}, "arg0[]", "got False; expected int"),
        (float | None, NAN, "arg0", "got nan; JSON has neither"),
        (int | str, 1.0, "arg0", "got 1.0; expected int, and no subclass of it, or expected str"),
        (Line | None, Line("tea", NAN), "arg0.price", "got nan"),
        (Square | Circle, Circle(NAN), "arg0.radius", "got nan"),
        (Square | Circle, Words("x"), "arg0", "expected Square"),
        (datetime, NAIVE, "arg0", "expected a time zone with an offset in whole minutes"),
        (datetime, datetime(2026, 1, 2, tzinfo=timezone(timedelta(seconds=90))), "arg0", "in whole minutes"),
        (time, time(1, tzinfo=timezone(timedelta(seconds=90))), "arg0", "in whole minutes"),
        (Annotated[datetime, msgspec.Meta(tz=False)], datetime(2026, 1, 2, tzinfo=UTC), "arg0", "no time zone"),
        (Literal["a", 1], True, "arg0", "expected 1 or 'a'"),
        (Literal["a", 1], [], "arg0", "expected 1 or 'a'"),
        (Annotated[int, msgspec.Meta(ge=0)], -1, "arg0", "got -1; expected a number >= 0"),
        (Annotated[int, msgspec.Meta(multiple_of=5)], 6, "arg0", "got 6; expected a multiple of 5"),
        (Annotated[str, msgspec.Meta(pattern="^a")], "b", "arg0", "expected a text that matches ^a"),
        (Annotated[list[int], msgspec.Meta(min_length=1)], [], "arg0", "expected a length >= 1"),
        (Annotated[str, msgspec.Meta(max_length=1)], "ab", "arg0", "got 'ab'; expected a length <= 1"),
        (Point, Point(True, 1.0), "arg0.x", "got True"),
        (Options, {"size": 1, "weight": 2}, "arg0", "expected the keys of Options"),
        (Options, {"color": "red"}, "arg0['color']", "got 'red'; expected Color"),
        (Node, Node(1, (Node(2), Node(3, (Node(TEXT),)))), "arg0.children[1].children[0].value", "got '4'"),
        (Lines, Lines(NAN), "arg0.class", "got nan"),
        (Line, Line("\ud800", 1.0), "", "UnicodeEncodeError"),
        pytest.param(int, 10**4400, "", "ValueError: Exceeds the limit (4300 digits)", id="long int"),
        (Node, nested(3000), "", "nested too deeply"),
    ],
)
def test_a_value_that_would_change_is_not_sent(annotation: Any, value: object, path: str, problem: str) -> None:
    with pytest.raises(EncodeFailed) as failed:
        encoded(annotation, value)
    assert failed.value.channel == "sent"
    assert failed.value.path == path
    assert problem in failed.value.problem
    assert str(failed.value).startswith("nothing was sent on 'sent'")


@pytest.mark.parametrize(
    ("annotation", "value", "data"),
    [
        (float, 2, b'{"arg0":2}'),
        (int, 2**80, b'{"arg0":1208925819614629174706176}'),
        (Sequence[int], (1, 2), b'{"arg0":[1,2]}'),
        (Annotated[datetime, msgspec.Meta(tz=False)], NAIVE, b'{"arg0":"2026-01-02T00:00:00"}'),
        (time, time(1), b'{"arg0":"01:00:00"}'),
        (Options, {"color": Color.RED}, b'{"arg0":{"color":"red"}}'),
        (int | float, 2**60, b'{"arg0":1152921504606846976}'),
        (Literal["a"] | str, "b", b'{"arg0":"b"}'),  # noqa: PYI051
        (Annotated[int, msgspec.Meta(title="count")], 1, b'{"arg0":1}'),
    ],
)
def test_a_value_of_its_type_is_sent(annotation: Any, value: object, data: bytes) -> None:
    assert encoded(annotation, value) == data


def test_a_result_is_checked_like_an_argument() -> None:
    schema = schema_of(Channel[[], list[Line]]("asked"))
    with pytest.raises(EncodeFailed) as failed:
        schema.encode_result([Line("tea", NAN)])
    assert failed.value.path == "result[0].price"


def test_wrong_arguments_are_a_type_error_with_the_name_of_the_channel() -> None:
    @Channel.declare
    def placed(order: int, /, *, urgent: bool = False) -> None: ...

    encode: Callable[..., bytes] = schema_of(placed).encode
    for args, kwargs in (((), {}), ((), {"order": 1}), ((1, True), {}), ((1,), {"late": True})):
        with pytest.raises(TypeError, match=r"^placed\(\) "):
            encode(*args, **kwargs)


def test_parameters_may_have_the_names_of_builtins() -> None:
    @Channel.declare
    def placed(type: int, len: str, self: list[int], *, int: float, data: bytes) -> None: ...  # noqa: A002

    schema = schema_of(placed)
    assert schema.decode(schema.encode(1, "a", [2], int=1.5, data=b"x")) == ((1, "a", [2]), {"int": 1.5, "data": b"x"})


@attrs.frozen
class Wide:
    """Each level has the next one twice; the generated code must not double with each."""

    left: Narrow
    right: Narrow


@attrs.frozen
class Narrow:
    left: dict[str, list[tuple[list[Line], list[Line]]]]
    right: dict[str, list[tuple[list[Line], list[Line]]]]


def test_a_class_that_occurs_again_is_checked_as_well() -> None:
    good = {"a": [([Line("tea", 1.0)], [Line("rum", 2.0)])]}
    bad = {"a": [([Line("tea", 1.0)], [Line("rum", NAN)])]}
    encoded(Wide, Wide(Narrow(good, good), Narrow(good, good)))
    for wide in (
        Wide(Narrow(bad, good), Narrow(good, good)),
        Wide(Narrow(good, bad), Narrow(good, good)),
        Wide(Narrow(good, good), Narrow(bad, good)),
        Wide(Narrow(good, good), Narrow(good, bad)),
    ):
        with pytest.raises(EncodeFailed, match="got nan"):
            encoded(Wide, wide)


def test_containers_may_be_nested_deeply() -> None:
    annotation: Any = int
    value: Any = 1
    bad: Any = True
    for _ in range(30):
        annotation, value, bad = list[annotation], [value], [bad]
    encoded(annotation, value)
    with pytest.raises(EncodeFailed, match="got True"):
        encoded(annotation, bad)
