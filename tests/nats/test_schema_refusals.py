"""Channels that cannot be sent are refused where a port is made, with the channel, the path and the remedy."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Self, TypedDict, TypeVar

import attrs
import msgspec
import pytest

from typedbus import AsyncChannel, Bus, Channel
from typedbus.nats import Consumer, Link, Receiver, Responder, ask, event, gather, signal
from typedbus.nats._errors import SchemaFault
from typedbus.nats._schema import schema_of

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")


@attrs.frozen
class Line:
    item: str
    price: Any


@attrs.frozen
class Order:
    lines: tuple[Line, ...]


@attrs.frozen
class PrivateAttrs:
    _number: int = attrs.field(alias="number")


@dataclasses.dataclass(frozen=True)
class PrivateDataclass:
    _number: int


@attrs.define
class Computed:
    number: int
    doubled: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.doubled = 2 * self.number


@dataclasses.dataclass
class ComputedDataclass:
    number: int
    doubled: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.doubled = 2 * self.number


@dataclasses.dataclass
class InitVariable:
    number: int
    factor: dataclasses.InitVar[int]


@attrs.frozen
class Converted:
    number: int = attrs.field(converter=int)


@attrs.define
class OwnInit:
    number: int

    def __init__(self) -> None:
        self.__attrs_init__(1)  # type: ignore[attr-defined]  # attrs adds it to a class with a constructor of its own


@dataclasses.dataclass(init=False)
class OwnInitDataclass:
    number: int


@attrs.frozen
class Base:
    number: int


class Undecorated(Base):
    pass


@attrs.define
class Failure(Exception):
    number: int


@attrs.define
class Mapped(dict[str, int]):
    number: int


@attrs.define
class TakesSelf:
    number: int
    doubled: int = attrs.Factory(lambda self: 2 * self.number, takes_self=True)


@attrs.frozen(cache_hash=True)
class CachedHash:
    number: int


@attrs.define
class CachedProperty:
    number: int

    @functools.cached_property
    def doubled(self) -> int:
        return 2 * self.number


@attrs.define(slots=False)
class CachedPropertyDict:
    number: int

    @functools.cached_property
    def doubled(self) -> int:
        return 2 * self.number


@attrs.define
class WithoutType:
    number = attrs.field()  # type: ignore[var-annotated]  # what is tested


@attrs.frozen
class Box(Generic[T]):
    value: T


@attrs.frozen
class Cat:
    name: str


@attrs.frozen
class Dog:
    name: str


@attrs.frozen
class Owner:
    pets: dict[str, list[Cat | Dog]]


@attrs.frozen
class Kennel:
    """It contains itself before the part that cannot be sent."""

    parent: Kennel | None
    above: list[Kennel]
    pets: tuple[Cat | Dog, int]


@attrs.frozen
class Recursive:
    parent: Self | None


@attrs.frozen
class Unresolved:
    price: Decimal


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


class Mixed(enum.Enum):
    A = 1
    B = "b"


class Plain:
    pass


class Point(NamedTuple):
    x: int
    tag: object


class Options(TypedDict):
    callback: Callable[[], None]


class Bytes(msgspec.Struct):
    raw: memoryview


@pytest.mark.parametrize(
    ("annotation", "path", "problem"),
    [
        (Any, "", "state the type"),
        (object, "", "values of object have no form in JSON"),
        (Callable[[int], int], "", "values of collections.abc.Callable have no form"),
        (Plain, "", "Plain have no form in JSON; send an attrs class, a dataclass, or a basic type"),
        (type, "", "values of type have no form"),
        (complex, "", "values of complex have no form"),
        (Iterable[int], "", "values of collections.abc.Iterable have no form"),
        (Iterator[int], "", "values of collections.abc.Iterator have no form"),
        (Awaitable[int], "", "values of collections.abc.Awaitable have no form"),
        (list, "[]", "state the type, such as list[int]"),
        (dict, ".keys()", "state the type"),
        (tuple, "[]", "state the type"),
        (frozenset, "[]", "state the type"),
        (Order, ".lines[].price", "state the type"),
        (dict[str, tuple[int, Order]], "[][1].lines[].price", "state the type"),
        (PrivateAttrs, "._number", "a private field is not sent; rename it, or pass codec=CattrsCodec()"),
        (PrivateDataclass, "._number", "a private field is not sent"),
        (Computed, ".doubled", "a field with init=False would be taken from the message"),
        (ComputedDataclass, ".doubled", "a field with init=False would be taken from the message"),
        (InitVariable, ".factor", "an InitVar is not sent; make it a field"),
        (Converted, ".number", "its converter does not run in the receiver"),
        (OwnInit, "", "the __init__ of OwnInit does not run in the receiver"),
        (OwnInitDataclass, "", "the __init__ of OwnInitDataclass does not run in the receiver"),
        (Undecorated, "", "Undecorated inherits its fields and is not decorated itself"),
        (Failure, "", "Failure inherits from Exception, which is not restored"),
        (Mapped, "", "Mapped inherits from dict, which is not restored"),
        (TakesSelf, "", "a default with takes_self=True is not computed in the receiver"),
        (CachedHash, "", "remove cache_hash=True"),
        (CachedProperty, ".doubled", "a cached property is sent once it has been computed"),
        (CachedPropertyDict, ".doubled", "a cached property is sent once it has been computed"),
        (WithoutType, ".number", "state the type"),
        (Box, ".value", "a type variable"),
        (Cat | Dog, "", "may not contain more than one dataclass or attrs type"),
        (Owner, ".pets[][]", "send one of them, or pass codec=CattrsCodec()"),
        (Kennel, ".pets[0]", "Type unions may not contain more than one dataclass or attrs type"),
        (str | datetime, "", "more than one str-like type"),
        (list[int | complex], "[]", "Type unions containing a custom type"),
        (Cat | dict[str, int], "", "more than one dict-like type"),
        (Recursive, ".parent", "Self is not resolved; write the name of the class"),
        (
            Unresolved,
            "",
            "its annotation cannot be evaluated: name 'Decimal' is not defined; import the name at run time",
        ),
        ("Missing", "", "its annotation cannot be evaluated: Missing; import the name at run time"),
        (Permission, "", "a combination of flags of Permission"),
        (list[Mixed], "[]", "Enums must contain either all str or all int values"),
        (dict[tuple[int, int], int], ".keys()", "the keys of a JSON object are text"),
        (dict[int | str, int], ".keys()", "use one type as keys"),
        (dict[Literal[1, "1"], int], ".keys()", "use one type as keys"),
        (dict[float, int], ".keys()", "the keys of a JSON object are text"),
        (Point, ".tag", "values of object have no form"),
        (Options, ".callback", "Callable have no form"),
        (Bytes, ".raw", "MemoryView has no form"),
        (msgspec.Raw, "", "Raw has no form"),
    ],
)
def test_a_type_that_a_receiver_could_not_restore_is_refused(annotation: Any, path: str, problem: str) -> None:
    with pytest.raises(SchemaFault) as refused:
        schema_of(Channel[[int, annotation], None]("sent"))
    assert refused.value.channel == "sent"
    assert refused.value.path == f"arg1{path}"
    assert problem in refused.value.problem
    with pytest.raises(SchemaFault) as refused:
        schema_of(AsyncChannel[[int], annotation]("asked"))
    assert (refused.value.channel, refused.value.path) == ("asked", f"the result{path}")
    assert str(refused.value).startswith("channel 'asked' cannot be sent to other processes, at the result")


def many(*prices: int) -> None: ...
def named(**prices: int) -> None: ...
def without_annotation(price) -> None: ...  # type: ignore[no-untyped-def]  # what is tested
def without_result(price: int): ...  # type: ignore[no-untyped-def]  # what is tested
def private(__price: int) -> None: ...  # noqa: PYI063
def unresolved(*, price: Decimal | None = None) -> None: ...


@pytest.mark.parametrize(
    ("function", "path", "problem"),
    [
        (many, "*prices", "declare each parameter by name"),
        (named, "**prices", "declare each parameter by name"),
        (without_annotation, "price", "it has no annotation; state its type"),
        (without_result, "the result", "it has no annotation; write -> None, or the type of the result"),
        (private, "__price", "its name must not begin with two underscores"),
        (unresolved, "price", "its annotation cannot be evaluated: Decimal | None; import the name at run time"),
    ],
)
def test_a_declaration_that_names_no_types_is_refused(function: Any, path: str, problem: str) -> None:
    with pytest.raises(SchemaFault) as refused:
        schema_of(Channel.declare(function))
    assert (refused.value.channel, refused.value.path) == (function.__name__, path)
    assert problem in refused.value.problem


def test_a_refused_channel_is_refused_again() -> None:
    channel = Channel[[object], None]("sent")
    for _ in range(2):
        with pytest.raises(SchemaFault):
            schema_of(channel)


link = Link(Bus(), ["nats://127.0.0.1:1"])
answered = Channel[[int], int]("answered")
told = Channel[[int], None]("told")


@pytest.mark.parametrize(
    "make",
    [
        lambda: event(link, answered, stream="S"),  # type: ignore[arg-type]
        lambda: signal(link, answered),  # type: ignore[arg-type]
        lambda: Consumer(link, link.bus[answered], stream="S", group="g"),  # type: ignore[arg-type]
        lambda: Receiver(link, link.bus[answered]),  # type: ignore[arg-type]
    ],
)
def test_a_channel_with_a_result_has_no_events_and_no_signals(make: Callable[[], object]) -> None:
    with pytest.raises(SchemaFault, match="events and signals have no result, and it is <class 'int'>"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Consumer(link, told, stream="S", group="g"),  # type: ignore[arg-type]
        lambda: Receiver(link, told),  # type: ignore[arg-type]
        lambda: Responder(link, told, group="g"),  # type: ignore[arg-type]
    ],
)
def test_a_channel_without_a_bus_is_refused_with_the_remedy(make: Callable[[], object]) -> None:
    with pytest.raises(SchemaFault, match=r"channel 'told'.* it is no channel of a bus; pass bus\[channel\]"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: event(link, "told", stream="S"),  # type: ignore[arg-type]
        lambda: signal(link, "told"),  # type: ignore[arg-type]
        lambda: ask(link, "told", timeout=1.0),  # type: ignore[arg-type]
        lambda: gather(link, "told", timeout=1.0),  # type: ignore[arg-type]
    ],
)
def test_a_name_in_place_of_a_channel_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(SchemaFault, match=r"'told'.* it is no channel; pass a Channel or an AsyncChannel"):
        make()
