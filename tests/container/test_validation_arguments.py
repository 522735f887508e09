"""`validate()` checks the types of arguments before the components are built."""

import collections.abc
import datetime as dt
import decimal
import enum
import functools
import io
import logging
import pathlib
import re
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import IO, Annotated, Any, Generic, Literal, NewType, Optional, Protocol, SupportsInt, TextIO, TypeVar
from unittest.mock import Mock

import attrs
import pytest
from dependency_injector import providers

from typedbus import START, BoundChannel, Bus, Channel, Component, Container, InvalidContainer, provided, running
from typedbus._container.annotations import read
from typedbus._container.descriptions import class_of
from typedbus.faults import ArgumentFault, ChannelFault, Fault, OverrideFault, TypeFault

T = TypeVar("T")
Chosen = TypeVar("Chosen", int, bytes)
UserId = NewType("UserId", int)


class Order:
    """The argument of a publish."""


class Receipt:
    """The result of a listener."""


class Rush(Order):
    """A subclass of `Order`."""


placed = Channel[[Order], Receipt]("placed")
said = Channel[[str], Receipt]("said")
# Of the library as it is: its stubs hold what typedbus needs of it.
library: Any = providers
untold: Channel[[Order], Receipt] = Channel("untold")


@Channel.declare
def low(sku: str, /, *rest: int) -> None:
    """Take any number of arguments."""


class Database:
    """A class."""


Bounded = TypeVar("Bounded", bound=Database)


class Replica(Database):
    """A subclass of `Database`."""


class Silent:
    """An unrelated class."""


class Store(Generic[T]):
    """A generic class."""


class Sends(Protocol):
    """A protocol with one method."""

    name: str

    def send(self) -> None:
        """Send."""


class Sender:
    """Has the method of the protocol."""

    def send(self) -> None:
        """Send."""


class Named(Sender):
    """Has the method and a name."""

    name = "sender"


class Late:
    """Has the method as an attribute that is set in the constructor."""

    def __init__(self) -> None:
        self.send = print


class Declared:
    """Annotates the method as an attribute."""

    send: Callable[[], None]


class Color(enum.Enum):
    """An enumeration."""

    RED = 1


class Picky:
    """Has a `__new__` that returns another class."""

    def __new__(cls) -> typing.Self:
        """Return an instance of `Picked`."""
        return object.__new__(Picked)  # type: ignore[return-value]  # the point of it


class Picked(Picky):
    """The class of the instances."""


@attrs.frozen
class Settings:
    """Has attributes of several kinds."""

    url: str = "memory:"
    size: int = 0
    orders: list[Order] = attrs.field(factory=list)
    prices: dict[str, float] = attrs.field(factory=dict)
    pair: tuple[int, str] = (1, "a")
    many: tuple[int, ...] = ()
    note: str | None = None
    later: "Database | None" = None

    @property
    def home(self) -> pathlib.Path:
        """Return a path."""
        return pathlib.Path()

    def method(self) -> int:
        """Be a method."""
        return 1


class Plain:
    """Has an attribute with a plain value."""

    retries = 3
    nothing = None

    @functools.cached_property
    def cached(self) -> Database:
        """Compute a value once."""
        return Database()


def connect() -> Database:
    """Have a return annotation."""
    return Replica()


def perhaps() -> Database | None:
    """Have an optional return annotation."""
    return None


def any_sender() -> Sends:
    """Have a protocol as its return annotation."""
    return Named()


@functools.wraps(connect)
def decorated(*args: Any) -> Any:
    """Return the result of another function."""


def nested() -> Any:
    """Have no return annotation."""


bus = Component(Bus)
settings = Component(Settings)
database = Component(Database)
replica = Component(Replica)
silent = Component(Silent)
rows: Component[list[Order]] = Component(list[Order])

FITTING: list[tuple[Any, list[Any]]] = [
    (int, [1, True, settings.provided.size, settings.provided.pair[0], settings.provided.many[7]]),
    (float, [1, 1.5, settings.provided.size, settings.provided.prices["a"]]),
    (complex, [1, 1.5, 1j]),
    (bytes, [b"x", bytearray()]),
    (str, ["x", settings.provided.url, settings.provided.note, settings.provided.pair[1]]),
    (typing.LiteralString, ["x"]),
    (str | None, ["x", None, settings.provided.note]),
    (Database | None, [None, replica.provided, Component(perhaps).provided]),
    (None, [None]),
    (Any, [1, None, silent.provided]),
    (object, [1, None, silent.provided]),
    ("Database", [database.provided]),
    ("Nowhere", [1, None]),
    (Database, [database.provided, replica.provided, Component(connect).provided, Component(perhaps).provided]),
    (Database, [Component(Plain).provided.cached, settings.provided.later, provided(library.Factory(Replica))]),
    (Database, [Mock(), Mock(spec=Database), Component(Mock).provided, Component(any_sender).provided]),
    (Database, [Component(decorated).provided, Component(nested).provided]),
    (Replica, [Component(connect).provided]),
    (Picked, [Component(Picky).provided]),
    (type[Database], [Database, Replica]),
    (type[Database | Order], [Rush]),
    (type, [Database, str]),
    (T, [1, silent.provided]),
    (Bounded, [replica.provided]),
    (Chosen, [1, b"x"]),
    (UserId, [1]),
    (Annotated[int, "of legs"], [1]),
    (Literal["a", "b"], ["a", settings.provided.url]),
    (Color, [Color.RED]),
    (Literal[Color.RED], [Color.RED]),
    (Callable[[], int], [print, Database, lambda: 1, functools.partial(print), settings.provided.method]),
    (collections.abc.Callable, [print, Mock()]),
    (Sends, [Named(), Component(Sender).provided, Component(Late).provided, Component(Declared).provided]),
    (Sends, [Component(any_sender).provided]),
    (SupportsInt, [1, 1.5]),
    (Hashable, [1, "x"]),
    (Sequence[str], ["x", ["x"], ("x",), []]),
    (Iterable[int], [[1], range(3), {1}, b"x"]),
    (list[str], [["x"], [], [settings.provided.url]]),
    (list[Order], [rows.provided, settings.provided.orders, [settings.provided.orders[0]], rows.provided[:2]]),
    (Order, [rows.provided[0], settings.provided.orders[0]]),
    (tuple[int, str], [(1, "x"), (settings.provided.size, "x"), settings.provided.pair]),
    (tuple[int, ...], [(1, 2), ()]),
    (dict[str, int], [{"x": 1}, {}, {"x": settings.provided.size}]),
    (Mapping[str, Database], [{"x": replica.provided}]),
    (Iterable[str], [{"x": 1}]),
    (Store[int], [Component(Store[int]).provided, Component(Store).provided]),
    (Channel[[Order], Receipt], [placed]),
    (BoundChannel[[Order], Receipt], [bus.provided[placed], bus.provided[untold]]),
    (BoundChannel[[Rush], Receipt], [bus.provided[placed]]),
    (BoundChannel[[str, int, int]], [bus.provided[low]]),
    (BoundChannel[..., Any], [bus.provided[said]]),
    (BoundChannel, [bus.provided[said]]),
    (Bus, [bus.provided]),
    (pathlib.Path, [pathlib.Path(), settings.provided.home]),
    (TextIO, [io.StringIO()]),
    (IO[str], [io.StringIO()]),
    (logging.Handler, [logging.NullHandler()]),
    (dt.timedelta, [dt.timedelta()]),
    (int, [Component(Plain).provided.retries, Component(Plain).provided.nothing, Component(nested).provided.unknown]),
    (int, [provided(library.Configuration().size.as_int()), provided(library.Configuration().size)]),
    (int, [provided(library.Selector(library.Object("x"), x=library.Object(1)))]),
    (int, [provided(library.Dependency(default=1)), provided(library.Object({"a": 1}))["a"]]),
    (int, [provided(library.List(1, 2))[0], provided(library.Dict(a=1))["a"], provided(library.Dict(a=1))["b"]]),
    (Callable[[], Database], [provided(library.Delegate(database)), provided(library.DelegatedFactory(Database))]),
]

MISFITS: list[tuple[Any, list[Any]]] = [
    (int, ["x", 1.5, None, settings.provided.url, settings.provided, [1], settings.provided.pair[1]]),
    (float, ["x", 1j, settings.provided.url]),
    (bytes, ["x"]),
    (str, [None, 1, settings.provided.home, settings.provided.orders, Component(Plain).provided.retries]),
    (typing.LiteralString, [1]),
    (str | None, [1, b"x"]),
    (Database | None, [silent.provided, 1]),
    (None, [1]),
    ("Database", [silent.provided]),
    (Database, [silent.provided, None, "x", bus.provided, bus.provided[said], provided(library.Factory(Silent))]),
    (Replica, [database.provided]),
    (type[Database], [Silent, Database(), 1, database.provided]),
    (Bounded, [silent.provided]),
    (Chosen, ["x"]),
    (UserId, ["x"]),
    (Annotated[int, "of legs"], ["x"]),
    (Literal["a", "b"], ["c", 1, None]),
    (Literal[1], [True]),
    (Color, [1]),
    (Callable[[], int], [1, "x", database.provided, [print]]),
    (Sends, [silent.provided, 1, Sender()]),
    (SupportsInt, ["x"]),
    (Hashable, [[]]),
    (Sequence[str], [1, [1], {"x": 1}]),
    (Iterable[int], [1, ["x"]]),
    (list[str], ["x", [1], ("x",), [settings.provided.size], ["x", settings.provided.size]]),
    (list[Order], [settings.provided.url, rows.provided[0]]),
    (Order, [rows.provided]),
    (tuple[int, str], [(1,), ("x", 1), [1, "x"]]),
    (tuple[int, ...], [("x",)]),
    (dict[str, int], [{1: 1}, {"x": "x"}, [1], {"x": settings.provided.url}]),
    (Mapping[str, Database], [{"x": silent.provided}]),
    (Iterable[str], [{1: "x"}]),
    (Store[int], [database.provided]),
    (Channel[[Order], Receipt], [1, bus.provided[placed]]),
    (BoundChannel[[Order], Receipt], [bus.provided[said], bus.provided, placed, bus.provided[START]]),
    (BoundChannel[[Order, Order], Receipt], [bus.provided[placed]]),
    (BoundChannel[[Order], int], [bus.provided[placed]]),
    (Bus, [1]),
    (pathlib.Path, ["x"]),
    (decimal.Decimal, [1.0]),
    (dt.timedelta, [3]),
    (int, [provided(library.Configuration().size.as_(str)), provided(library.Dependency(default="x"))]),
    (int, [provided(library.List("x"))[0], provided(library.Dict(a="x"))["a"], provided(library.List(1))]),
    (Database, [provided(library.Delegate(database))]),
]


def each(pairs: list[tuple[Any, list[Any]]]) -> list[Any]:
    """Return a parameter set for each argument."""
    sets = [
        (f"{annotation}-{argument!r}", annotation, argument)
        for annotation, arguments in pairs
        for argument in arguments
    ]
    # Addresses differ between the processes that share the tests.
    return [
        pytest.param(annotation, argument, id=re.sub(r" at 0x\w+| id='\d+'", "", name)[:80])
        for name, annotation, argument in sets
    ]


def with_faults(container: Any) -> list[Fault]:
    """Return the faults that `validate()` reports."""
    try:
        container.validate()
    except InvalidContainer as invalid:
        return [fault for fault in invalid.exceptions if isinstance(fault, Fault)]
    return []


def taking(annotation: Any) -> Any:
    """Return a function that takes one argument, annotated with *annotation*."""

    def take(thing: Any) -> None:
        """Take it."""

    take.__annotations__["thing"] = annotation
    return take


def shop_with(component: Any) -> Any:
    """Return a container with *component* and a database for its arguments."""
    shop_class: Any = type("Shop", (Container,), {"database": database, "part": component})
    return shop_class()


@pytest.mark.parametrize(("annotation", "argument"), each(FITTING))
def test_an_argument_that_may_match_is_accepted(annotation: Any, argument: Any) -> None:
    """Only certain mismatches are faults."""
    assert with_faults(shop_with(Component(taking(annotation), argument))) == []


@pytest.mark.parametrize(("annotation", "argument"), each(MISFITS))
def test_an_argument_that_cannot_match_is_a_fault(annotation: Any, argument: Any) -> None:
    """For every kind of provider as the argument."""
    (fault,) = with_faults(shop_with(Component(taking(annotation), argument)))

    assert type(fault) is TypeFault
    assert fault.problem.startswith(f"{__name__}.taking.<locals>.take takes 'thing' as ")


def counts(first: int, /, *rest: int, named: int = 0, **others: int) -> None:
    """Take numbers by every kind of parameter."""


@pytest.mark.parametrize(
    ("args", "kwargs", "name"),
    [
        (("x",), {}, "first"),
        ((1, 2, "x"), {}, "rest"),
        ((1,), {"named": "x"}, "named"),
        ((1,), {"other": "x"}, "others"),
        ((1,), {"first": "x"}, "others"),
        ((1, 2), {"named": 3, "other": 4, "first": 5}, None),
    ],
)
def test_each_argument_is_checked_against_its_own_parameter(args: Any, kwargs: Any, name: str | None) -> None:
    """By position, by name, and for variadic parameters."""
    faults = with_faults(shop_with(Component(counts, *args, **kwargs)))

    expected = [] if name is None else [f"{__name__}.counts takes {name!r} as int and is given str"]
    assert [fault.problem for fault in faults] == expected


def test_types_are_not_checked_with_too_many_arguments() -> None:
    """The assignment of arguments to parameters would be ambiguous."""
    wrong: Any = taking(int)

    (fault,) = with_faults(shop_with(Component(wrong, "x", 1)))

    assert type(fault) is ArgumentFault


@pytest.mark.parametrize(
    ("annotation", "argument", "words"),
    [
        (int, settings.provided.pair[1], "as int and is given str (Settings.pair[1])"),
        (list[str], [1, "x"], "as list[str] and is given list[int, str]"),
        (list[str], (), "as list[str] and is given an empty tuple"),
        (type[Database], Silent, "as type[Database] and is given type[Silent]"),
        (Database, silent.provided, "as Database and is given Silent (Silent)"),
        (Database, None, "as Database and is given None"),
        (Optional[int], "x", "as int | None and is given str"),  # noqa: UP045  # it is another thing at run time
        (
            BoundChannel[[Order], Receipt],
            bus.provided[said],
            (
                "as BoundChannel[[Order], Receipt] and is given channel 'said', "
                "which is called with (arg0: str, /) -> Receipt (typedbus.Bus[<Channel 'said'>])"
            ),
        ),
    ],
)
def test_a_type_fault_shows_the_parameter_and_the_argument(annotation: Any, argument: Any, words: str) -> None:
    """With the component and the attribute that the argument comes from."""
    (fault,) = with_faults(shop_with(Component(taking(annotation), argument)))

    problem = fault.problem.replace(f"{__name__}.", "").replace("typedbus._bus.bus.", "typedbus.")
    assert problem == f"taking.<locals>.take takes 'thing' as {words.removeprefix('as ')}"


def test_annotations_are_resolved_in_the_module_of_the_class() -> None:
    """attrs generates constructors with string annotations, whose globals are not those of the class."""

    @attrs.frozen
    class Wants:
        size: "int"
        price: "decimal.Decimal"

    faults = with_faults(shop_with(Component(Wants, "x", "y")))  # type: ignore[arg-type]  # the faults

    assert [fault.problem.rpartition(" takes ")[2] for fault in faults] == [
        "'size' as int and is given str",
        "'price' as decimal.Decimal and is given str",
    ]


def broken(unknown, unspelt, called, divided, known=0):  # type: ignore[no-untyped-def]  # it is annotated below
    """Have annotations that cannot be evaluated, each for another reason."""


broken.__annotations__.update(
    {"unknown": "Nowhere", "unspelt": "int.nothing", "called": "int(", "divided": "1 / 0", "known": "int"}
)


def test_an_annotation_that_cannot_be_evaluated_accepts_any_argument() -> None:
    """Whatever the evaluation raises; the other annotations are checked."""
    fits = with_faults(shop_with(Component(broken, 1, 2, 3, 4, 5)))
    (fault,) = with_faults(shop_with(Component(broken, 1, 2, 3, 4, "x")))

    assert fits == []
    assert "takes 'known' as int" in fault.problem


def test_a_signature_is_read_once() -> None:
    """For a function and for a class, for their lifetime."""
    for builds in (connect, Settings):
        assert read(builds) is read(builds)


def test_the_class_of_a_replacement_is_checked_as_the_argument() -> None:
    """Its users get the replacement, not the declared component."""

    class Wants:
        def __init__(self, replica: Replica) -> None:
            """Take one."""

    class Shop(Container):
        database = Component(connect)
        wants = Component(Wants, database.provided)  # type: ignore[arg-type]  # a replica by luck

    shop = Shop()
    before = with_faults(shop)
    with shop.override(Shop.database).by(Replica()):
        fitting = with_faults(shop)
    with shop.override(Shop.database).by(Database()):
        (fault,) = with_faults(shop)

    assert before == fitting == []
    assert isinstance(fault, TypeFault)
    assert fault.problem.endswith(f"is given {__name__}.Database (Shop.database)")


class Declaring(Container):
    """One component for each way to declare its class."""

    built = Component(Database)
    function = Component(connect)
    protocol = Component(any_sender)
    unsaid = Component(nested)


@pytest.mark.parametrize(
    ("name", "stand_in", "is_told"),
    [
        ("built", Replica(), False),
        ("built", Component(Replica), False),
        ("built", Mock(), False),
        ("built", 42, True),
        ("built", None, True),
        ("built", Component(Silent), True),
        ("function", Database(), False),
        ("function", Silent(), True),
        ("protocol", Named(), False),
        ("protocol", Component(Sender), False),
        ("protocol", Silent(), True),
        ("unsaid", 42, False),
    ],
)
def test_a_replacement_must_be_an_instance_of_the_declared_class(name: str, stand_in: Any, is_told: bool) -> None:
    """Or of a subclass; for a protocol, it must have its methods."""
    container = Declaring()
    with container.override(getattr(Declaring, name)).by(stand_in):
        faults = with_faults(container)

    assert [(type(fault), fault.path) for fault in faults] == [(OverrideFault, f"Declaring.{name}")] * is_told


@pytest.mark.parametrize("stand_in", [library.Object(42), library.Factory(Silent), Component(Silent)])
def test_the_library_s_own_override_is_checked(stand_in: Any) -> None:
    """On an instance, and on the class."""

    class Shop(Container):
        database: Any = Component(Database)
        wants = Component(taking(Database), database.provided)

    shop = Shop()
    shop.database.override(stand_in)
    on_instance = with_faults(shop)
    Shop.database.override(stand_in)
    on_class = with_faults(Shop())

    # The user is not told of it a second time.
    assert [type(fault) for fault in on_instance] == [type(fault) for fault in on_class] == [OverrideFault]


def test_providers_that_override_each_other_are_reported_as_a_cycle() -> None:
    """The search for their class ends."""

    class Shop(Container):
        one: Any = Component(Database)
        other: Any = Component(Database)

    shop = Shop()
    shop.one.override(shop.other)
    shop.other.override(shop.one)

    assert class_of(shop.one) is None
    assert with_faults(shop)


def test_a_channel_named_like_a_life_cycle_channel_is_a_fault_of_its_user() -> None:
    """Alone or in a literal; the life-cycle channels themselves are accepted."""
    start = Channel[[], None]("start")

    class Shop(Container):
        bus = Component(Bus)
        right = Component(taking(Any), bus.provided[START])
        wrong = Component(taking(Any), bus.provided[start])
        listed = Component(taking(Any), [bus.provided[start]])

    faults = with_faults(Shop())

    assert [(type(fault), fault.path) for fault in faults] == [
        (ChannelFault, "Shop.wrong"),
        (ChannelFault, "Shop.listed"),
    ]


def test_a_container_with_matching_types_starts() -> None:
    """The types that were checked in advance are those of the objects."""

    class Wants:
        def __init__(self, size: int, channel: BoundChannel[[Order], Receipt], parts: list[Database]) -> None:
            self.size, self.channel, self.parts = size, channel, parts

    class Shop(Container):
        bus = Component(Bus)
        settings = Component(Settings)
        replica = Component(Replica)
        wants = Component(Wants, settings.provided.size, bus.provided[placed], [replica.provided])

    with running(Shop()) as shop:
        wants = shop.wants()

    assert (wants.size, wants.channel.channel, type(wants.parts[0])) == (0, placed, Replica)
