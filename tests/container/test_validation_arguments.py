"""`validate()` on the types of arguments: what fits what, and what is given without being there yet."""

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
    """What is said on a channel."""


class Receipt:
    """What is answered."""


class Rush(Order):
    """A kind of order."""


placed = Channel[[Order], Receipt]("placed")
said = Channel[[str], Receipt]("said")
# Of the library as it is: its stubs hold what typedbus needs of it.
library: Any = providers
untold: Channel[[Order], Receipt] = Channel("untold")


@Channel.declare
def low(sku: str, /, *rest: int) -> None:
    """Any number of arguments."""


class Database:
    """A class."""


Bounded = TypeVar("Bounded", bound=Database)


class Replica(Database):
    """A class of its kind."""


class Silent:
    """A class of no kind."""


class Store(Generic[T]):
    """A generic class."""


class Sends(Protocol):
    """What has a method."""

    name: str

    def send(self) -> None:
        """Send."""


class Sender:
    """Sends."""

    def send(self) -> None:
        """Send."""


class Named(Sender):
    """Sends, and has a name."""

    name = "sender"


class Late:
    """Sends when it has been built."""

    def __init__(self) -> None:
        self.send = print


class Declared:
    """Says that it will be able to send."""

    send: Callable[[], None]


class Color(enum.Enum):
    """One of few."""

    RED = 1


class Picky:
    """Decides itself what it makes."""

    def __new__(cls) -> typing.Self:
        """Make one of a kind."""
        return object.__new__(Picked)  # type: ignore[return-value]  # the point of it


class Picked(Picky):
    """What is made."""


@attrs.frozen
class Settings:
    """Attributes of several kinds."""

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
        """Compute one."""
        return pathlib.Path()

    def method(self) -> int:
        """Be called."""
        return 1


class Plain:
    """An attribute that only has a value."""

    retries = 3
    nothing = None

    @functools.cached_property
    def cached(self) -> Database:
        """Compute one, once."""
        return Database()


def connect() -> Database:
    """Say what is returned."""
    return Replica()


def perhaps() -> Database | None:
    """Say that it may be nothing."""
    return None


def any_sender() -> Sends:
    """Say what it can do."""
    return Named()


@functools.wraps(connect)
def decorated(*args: Any) -> Any:
    """Say what another one gives."""


def nested() -> Any:
    """Say nothing."""


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
    sets = [(f"{wanted}-{one!r}", wanted, one) for wanted, given in pairs for one in given]
    # Addresses differ between the processes that share the tests.
    return [pytest.param(wanted, one, id=re.sub(r" at 0x\w+| id='\d+'", "", name)[:80]) for name, wanted, one in sets]


def with_faults(container: Any) -> list[Fault]:
    """Return what `validate()` has to say."""
    try:
        container.validate()
    except InvalidContainer as invalid:
        return [fault for fault in invalid.exceptions if isinstance(fault, Fault)]
    return []


def taking(wanted: Any) -> Any:
    """Return a function that takes one argument, annotated *wanted*."""

    def take(thing: Any) -> None:
        """Take it."""

    take.__annotations__["thing"] = wanted
    return take


def shop_with(component: Any) -> Any:
    """Return a container with *component* and the database that it may be given."""
    made: Any = type("Shop", (Container,), {"database": database, "part": component})
    return made()


@pytest.mark.parametrize(("wanted", "given"), each(FITTING))
def test_what_may_fit_is_taken(wanted: Any, given: Any) -> None:
    """A container that works is never kept from starting."""
    assert with_faults(shop_with(Component(taking(wanted), given))) == []


@pytest.mark.parametrize(("wanted", "given"), each(MISFITS))
def test_what_cannot_fit_is_a_fault(wanted: Any, given: Any) -> None:
    """Whatever stands for what will be given."""
    (fault,) = with_faults(shop_with(Component(taking(wanted), given)))

    assert type(fault) is TypeFault
    assert fault.problem.startswith(f"{__name__}.taking.<locals>.take takes 'thing' as ")


def counts(first: int, /, *rest: int, named: int = 0, **others: int) -> None:
    """Take numbers in every way."""


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
def test_each_argument_is_held_against_its_own_parameter(args: Any, kwargs: Any, name: str | None) -> None:
    """By position, by name, and what is left over."""
    faults = with_faults(shop_with(Component(counts, *args, **kwargs)))

    wanted = [] if name is None else [f"{__name__}.counts takes {name!r} as int and is given str"]
    assert [fault.problem for fault in faults] == wanted


def test_types_are_not_compared_where_there_are_too_many_arguments() -> None:
    """Which of them is meant for which parameter nobody knows."""
    wrong: Any = taking(int)

    (fault,) = with_faults(shop_with(Component(wrong, "x", 1)))

    assert type(fault) is ArgumentFault


@pytest.mark.parametrize(
    ("wanted", "given", "words"),
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
def test_a_type_fault_shows_what_is_taken_and_what_is_given(wanted: Any, given: Any, words: str) -> None:
    """With the component and the part of it that gives it."""
    (fault,) = with_faults(shop_with(Component(taking(wanted), given)))

    told = fault.problem.replace(f"{__name__}.", "").replace("typedbus._bus.bus.", "typedbus.")
    assert told == f"taking.<locals>.take takes 'thing' as {words.removeprefix('as ')}"


def test_a_class_is_read_with_the_names_of_its_own_module() -> None:
    """Attrs makes constructors whose annotations are strings, and whose globals are not those of the class."""

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
    """Have annotations that cannot be evaluated, for one reason each."""


broken.__annotations__.update(
    {"unknown": "Nowhere", "unspelt": "int.nothing", "called": "int(", "divided": "1 / 0", "known": "int"}
)


def test_an_annotation_that_cannot_be_evaluated_takes_anything() -> None:
    """Whatever it raises; those beside it count nevertheless."""
    fits = with_faults(shop_with(Component(broken, 1, 2, 3, 4, 5)))
    (fault,) = with_faults(shop_with(Component(broken, 1, 2, 3, 4, "x")))

    assert fits == []
    assert "takes 'known' as int" in fault.problem


def test_a_signature_is_read_once() -> None:
    """Of a function and of a class, as long as they live."""
    for builds in (connect, Settings):
        assert read(builds) is read(builds)


def test_what_stands_in_is_what_is_given() -> None:
    """A user is told what it will get, and not what was declared."""

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
    """One component for each way to say what it is."""

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
def test_what_stands_in_is_of_what_was_declared(name: str, stand_in: Any, is_told: bool) -> None:
    """Or of a subclass; of a protocol, whatever has its methods."""
    container = Declaring()
    with container.override(getattr(Declaring, name)).by(stand_in):
        faults = with_faults(container)

    assert [(type(fault), fault.path) for fault in faults] == [(OverrideFault, f"Declaring.{name}")] * is_told


@pytest.mark.parametrize("stand_in", [library.Object(42), library.Factory(Silent), Component(Silent)])
def test_the_library_s_own_override_is_told_as_well(stand_in: Any) -> None:
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


def test_providers_that_stand_in_for_each_other_have_no_class() -> None:
    """They are told as a circle, and asking for the class does not end in another."""

    class Shop(Container):
        one: Any = Component(Database)
        other: Any = Component(Database)

    shop = Shop()
    shop.one.override(shop.other)
    shop.other.override(shop.one)

    assert class_of(shop.one) is None
    assert with_faults(shop)


def test_a_channel_with_the_name_of_a_life_cycle_channel_is_told_to_whom_it_is_given() -> None:
    """Alone or in a literal; those of the life cycle themselves are none."""
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


def test_a_fitting_container_starts() -> None:
    """What was compared without being there is there in the end."""

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
