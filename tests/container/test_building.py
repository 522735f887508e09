"""`validate()` checks that calling each declared class or function produces the component."""

import asyncio
import contextlib
import enum
import functools
from abc import ABC, ABCMeta, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, Generic, Protocol, TypeVar
from unittest import mock

import pytest
import typing_extensions

from typedbus import STOP, Bus, Component, Container, InvalidContainer, on, running
from typedbus.faults import ArgumentFault, BuildFault, CycleFault, Fault, HookFault, OverrideFault, ReplacementFault

T = TypeVar("T")
# As for callers that do without a type checker.
declared: Any = Component


class Mailer(ABC):
    """Has abstract methods."""

    @abstractmethod
    def send(self, to: str) -> None:
        """Send."""

    @abstractmethod
    def close(self) -> None:
        """Close."""


class Smtp(Mailer):
    """Leaves one abstract method undefined."""

    def send(self, to: str) -> None:
        """Send."""


class Complete(Smtp):
    """Defines all abstract methods."""

    def close(self) -> None:
        """Close."""


class Chooses(Mailer):
    """Makes an instance of another class."""

    def __new__(cls) -> Any:
        return object.__new__(Complete)


class Choosing(ABCMeta):
    """Makes instances of another class."""

    def __call__(cls) -> Any:
        return Complete()


class Chosen(Mailer, metaclass=Choosing):
    """Its metaclass makes the instance."""


class Mapped(dict[str, int], ABC):
    """Can be instantiated, because dict does not check for abstract methods."""

    @abstractmethod
    def send(self) -> None:
        """Send."""


class Store(ABC, Generic[T]):
    """An abstract class that is generic as well."""

    @abstractmethod
    def load(self) -> T:
        """Load."""


class Repo(Protocol):
    """Is a protocol."""

    def get(self, key: str) -> str: ...


class Extended(typing_extensions.Protocol):
    """Is a protocol of the backport."""

    def get(self, key: str) -> str: ...


class SqlRepo:
    """Has the methods of the protocol without inheriting it."""

    def get(self, key: str) -> str:
        """Get."""
        return "sql"


class Inheriting(Repo):
    """A class that inherits the protocol."""


class Color(enum.Enum):
    """Its metaclass makes the instance."""

    RED = 1


class Awaiting:
    """Has a constructor that is async, which Python refuses."""

    async def __init__(self) -> None: ...  # type: ignore[misc]  # that is the point


class Engine:
    """The component that a declaration means to build."""


async def connect() -> Engine:
    """Connect."""
    return Engine()


def generate() -> Iterator[Engine]:
    """Generate."""
    yield Engine()


async def stream() -> AsyncIterator[Engine]:
    """Generate, and await."""
    yield Engine()


@contextmanager
def managed() -> Generator[Engine, None, None]:
    """Be entered."""
    yield Engine()


@asynccontextmanager
async def managed_async() -> AsyncGenerator[Engine, None]:
    """Be entered, and await."""
    yield Engine()


class Connects:
    """A callable object with async and generator methods."""

    async def __call__(self) -> Engine:
        return Engine()

    async def method(self) -> Engine:
        return Engine()

    @classmethod
    async def of_class(cls) -> Engine:
        return Engine()

    @staticmethod
    async def of_nobody() -> Engine:
        return Engine()


def returns_iterator() -> Iterator[int]:
    """Return an iterator, as a plain function."""
    return iter([1])


def returns_manager() -> AbstractContextManager[Engine]:
    """Return a context manager, as a plain function."""
    return managed()


def entered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function that makes a context manager with one that enters it."""

    @functools.wraps(function)
    def enter() -> Any:
        return contextlib.ExitStack().enter_context(function())

    return enter


def with_faults(container: Any) -> list[Fault]:
    """Return what `validate()` reports."""
    try:
        container.validate()
    except InvalidContainer as invalid:
        return [fault for fault in invalid.exceptions if isinstance(fault, Fault)]
    return []


def shop_with(**members: Any) -> Any:
    """Return a container of a bus and *members*."""
    shop_class: Any = type("Shop", (Container,), {"bus": Component(Bus), **members})
    return shop_class()


def declared_class(cls: Any) -> Any:
    """Return *cls* without its static type."""
    return cls


UNBUILDABLE: list[tuple[Any, str]] = [
    (Mailer, "Mailer is abstract: it does not define close, send"),
    (Smtp, "Smtp is abstract: it does not define close"),
    (functools.partial(declared_class(Smtp)), "Smtp is abstract: it does not define close"),
    (Store[int], "Store is abstract: it does not define load"),
    (functools.partial(declared_class(Store[int])), "Store is abstract: it does not define load"),
    (Repo, "Repo is a protocol, which has no instances"),
    (Extended, "Extended is a protocol, which has no instances"),
    (Awaiting, "the constructor of tests.container.test_building.Awaiting is async"),
    (connect, "connect is async: the component would be a coroutine"),
    (functools.partial(connect), "is async: the component would be a coroutine"),
    (functools.cache(connect), "is async: the component would be a coroutine"),
    (Connects(), "Connects object> is async: the component would be a coroutine"),
    (Connects().method, "Connects.method is async"),
    (Connects.of_class, "Connects.of_class is async"),
    (Connects.of_nobody, "Connects.of_nobody is async"),
    (generate, "generate is a generator function"),
    (stream, "stream is a generator function"),
    (managed, "managed makes a context manager"),
    (functools.partial(managed), "makes a context manager"),
    (managed_async, "managed_async makes a context manager"),
]
if hasattr(typing_extensions, "TypeAliasType"):
    make_alias: Any = typing_extensions.TypeAliasType
    alias = make_alias("UserStore", declared_class(Store)[T], type_params=(T,))
    UNBUILDABLE.append((alias[int], "UserStore is a type alias, which cannot be called"))


@pytest.mark.parametrize(("builds", "problem"), UNBUILDABLE, ids=[str(index) for index in range(len(UNBUILDABLE))])
def test_a_component_that_a_call_cannot_produce_is_a_fault(builds: Any, problem: str) -> None:
    """An abstract class, a protocol, and a function whose body does not run when it is called."""
    (fault,) = with_faults(shop_with(part=declared(builds)))

    assert type(fault) is BuildFault
    assert problem in fault.problem
    assert fault.remedy


@pytest.mark.parametrize(
    "builds",
    [
        Complete,
        Chooses,
        Chosen,
        Mapped,
        SqlRepo,
        Inheriting,
        functools.partial(Color, 1),
        returns_iterator,
        returns_manager,
        entered(managed),
        managed().__enter__,
    ],
)
def test_a_component_that_can_be_built_is_not_a_fault(builds: Any) -> None:
    """A metaclass or a `__new__` may choose, and a plain function may return anything."""
    with running(shop_with(part=declared(builds))) as shop:
        assert shop.part() is not None


def test_an_overridden_abstract_class_is_not_a_fault() -> None:
    """The overridden class is not built; an abstract replacement is a fault."""
    shop = shop_with(mailer=declared(Mailer))

    with shop.override(shop.mailer).by(Complete()):
        assert with_faults(shop) == []
    with shop.override(shop.mailer).by(declared(Smtp)):
        assert [type(fault) for fault in with_faults(shop)] == [BuildFault]


def test_a_long_list_of_missing_methods_is_shortened() -> None:
    """The text of a fault stays short."""
    names: dict[str, Any] = {f"method_{number:03}": abstractmethod(lambda self: None) for number in range(200)}

    (fault,) = with_faults(shop_with(part=declared(ABCMeta("Wide", (), names))))

    assert fault.problem.endswith("method_000, method_001, method_002, method_003, method_004, ...")


def takes_awaitable(thing: Awaitable[Engine]) -> list[Any]:
    return [thing]


def takes_coroutine(thing: Coroutine[Any, Any, Engine] | None) -> list[Any]:
    return [thing]


def takes_iterator(*things: Iterator[Engine]) -> list[Any]:
    return [*things]


def takes_manager(*, thing: AbstractContextManager[Engine]) -> list[Any]:
    return [thing]


def takes_unknown(thing: "Nowhere") -> list[Any]:  # type: ignore[name-defined]  # noqa: F821  # as under TYPE_CHECKING
    return [thing]


def takes_engine(thing: Engine) -> list[Any]:
    return [thing]


def takes_any(thing: Any) -> list[Any]:
    return [thing]


def takes_object(**things: object) -> list[Any]:
    return [*things.values()]


def takes_unannotated(thing):  # type: ignore[no-untyped-def]  # that is the point
    return [thing]


@pytest.mark.parametrize(
    ("builds", "takes", "is_fault"),
    [
        (connect, takes_awaitable, False),
        (connect, takes_coroutine, False),
        (connect, takes_unknown, False),
        (connect, takes_any, True),
        (connect, takes_object, True),
        (connect, takes_unannotated, True),
        (connect, takes_engine, True),
        (generate, takes_iterator, False),
        (generate, takes_engine, True),
        (managed, takes_manager, False),
        (managed, takes_engine, True),
        (managed, takes_any, True),
    ],
)
def test_a_parameter_annotated_for_an_awaitable_iterator_or_manager_accepts_it(
    builds: Any, takes: Any, is_fault: bool
) -> None:
    """A component that awaits, iterates or enters its argument has an annotation for that."""
    part: Any = Component(builds)
    user = declared(takes, thing=part.provided) if takes in (takes_manager, takes_object) else None
    shop = shop_with(part=part, user=user or declared(takes, part.provided))

    assert [type(fault) for fault in with_faults(shop)] == [BuildFault] * is_fault
    if not is_fault:
        with running(shop) as instance:
            assert instance.user() == [instance.part()]
    if asyncio.iscoroutine(thing := None if is_fault else shop.part()):
        thing.close()


def future() -> Awaitable[Engine]:
    """Return an awaitable, as a plain function."""
    return connect()


@pytest.mark.parametrize(
    ("takes", "is_fault"), [(takes_awaitable, False), (takes_any, False), (takes_unannotated, True), (None, False)]
)
def test_an_annotated_awaitable_is_a_fault_unless_a_parameter_is_annotated_for_it(takes: Any, is_fault: bool) -> None:
    """Code that calls the component may await it."""
    part: Any = Component(future)
    shop = shop_with(part=part, **({} if takes is None else {"user": declared(takes, part.provided)}))

    assert [type(fault) for fault in with_faults(shop)] == [BuildFault] * is_fault


class Hidden:
    """Has marks below properties."""

    @property
    @on(STOP)
    def last(self) -> None:
        """Raise: the property must not be read."""

    @functools.cached_property
    @on(STOP)
    def cached(self) -> None:
        """Raise: the property must not be read."""


class Shown(Hidden):
    """Sets two of the names to None."""

    last: Any = None
    cached: Any = None


def test_a_marked_method_hidden_by_a_property_is_a_fault() -> None:
    """The attribute is not a method, so there is nothing to call."""
    faults = with_faults(shop_with(part=Component(Hidden)))

    assert [type(fault) for fault in faults] == [HookFault, HookFault]
    assert "Hidden.last is marked to listen to channel 'stop' and is a property" in faults[0].problem
    assert faults[1].remedy == "remove @cached_property, or the mark"
    assert with_faults(shop_with(part=Component(Hidden).without(STOP))) == []
    assert with_faults(shop_with(part=Component(Shown))) == []


class Infra(Container):
    """A container that is nested in another."""

    engine = Component(Engine)


class App(Container):
    """A container whose instances are assigned attributes."""

    bus = Component(Bus)
    engine = Component(Engine)
    infra = Infra()


def test_assigning_a_component_to_an_instance_is_a_fault() -> None:
    """The container still uses its declaration; the fault recommends an override."""
    app: Any = App()
    app.engine = Component(Engine)

    (fault,) = with_faults(app)

    assert type(fault) is ReplacementFault
    assert fault.path == "App.engine"
    assert fault.remedy == "override it: with container.override(App.engine).by(...)"


@pytest.mark.parametrize(("owner", "name"), [("", "added"), ("", "engine"), ("infra", "engine"), ("infra", "added")])
@pytest.mark.parametrize("is_valid", [False, True])
def test_an_assignment_is_found_on_every_container_and_after_a_validation(
    owner: str, name: str, is_valid: bool
) -> None:
    """On a nested container, under a new name, and after the container was found to be valid."""
    app: Any = App()
    if is_valid:
        app.validate()
    setattr(getattr(app, owner) if owner else app, name, Component(Engine))

    assert [type(fault) for fault in with_faults(app)] == [ReplacementFault]


def test_an_attribute_that_is_not_a_declaration_may_be_assigned() -> None:
    """This includes a second name for a component of the container."""
    app: Any = App()
    app.note = "anything"
    app.alias = app.engine

    assert with_faults(app) == []


def test_assigning_a_component_to_the_class_is_a_fault() -> None:
    """Its instances still use the declaration in the body of the class."""

    class Late(App):
        """Is changed when it is made."""

    late: Any = Late
    late.engine = Component(Engine)

    (fault,) = with_faults(Late())

    assert type(fault) is ReplacementFault
    assert "override it: with container.override(Late.engine).by(...)" in fault.remedy


class FakeRepo:
    """Has the methods of the protocol."""

    def get(self, key: str) -> str:
        """Get."""
        return "fake"


class Unrelated:
    """Has none of the methods of the protocol."""


class Typed(Container):
    """Annotates its components."""

    bus = Component(Bus)
    plain: Component[Repo] = Component(SqlRepo)
    text: "Component[Repo]" = Component(SqlRepo)
    unknown: "Component[Nowhere]" = Component(SqlRepo)  # type: ignore[name-defined]  # noqa: F821


class Inherited(Typed):
    """Inherits the annotations."""


class Nested(Container):
    """Nests the container with annotations."""

    typed = Typed()


@pytest.mark.parametrize("name", ["plain", "text", "unknown"])
def test_an_override_must_match_the_annotation_of_the_component(name: str) -> None:
    """Users of the component rely on the protocol that annotates it."""
    for shop, owner in [(Typed(), None), (Inherited(), None), (Nested(), "typed")]:
        instance: Any = shop
        component = getattr(getattr(instance, owner) if owner else instance, name)
        with instance.override(component).by(FakeRepo()):
            assert with_faults(instance) == []
        with instance.override(component).by(Component(FakeRepo)):
            assert with_faults(instance) == []
        with instance.override(component).by(Unrelated()):
            kinds = [type(fault) for fault in with_faults(instance)]
            assert kinds == ([] if name == "unknown" else [OverrideFault])


class Owner:
    """Is declared with a type of its own."""

    def __init__(self, url: str, size: int = 1) -> None: ...


class Parametrised(Generic[T]):
    """Is declared with type arguments."""

    def __init__(self, url: str, model: type[T]) -> None: ...


@pytest.mark.parametrize(
    ("component", "problem"),
    [
        (declared(Parametrised[int]), "misses 'url'"),
        (declared(functools.partial(Parametrised[int], "x")), "misses 'model'"),
        (
            declared(functools.partial(declared_class(Parametrised[int]), "x", int, 3)),
            "arguments that it does not take",
        ),
        (declared(Parametrised[int], "x", int, colour="red"), "has no parameter 'colour'"),
        (declared(functools.partial(declared_class(Owner), colour="red")), "arguments that it does not take"),
    ],
)
def test_arguments_of_parametrised_classes_and_partials_are_checked(component: Any, problem: str) -> None:
    """They are checked like those of the class itself."""
    faults = with_faults(shop_with(part=component))

    assert problem in faults[0].problem
    assert type(faults[0]) is ArgumentFault


class Database:
    """Starts."""

    def start(self) -> None:
        """Start."""


class Reads:
    """Takes the database as an argument."""

    def __init__(self, database: Database) -> None:
        self.database = database


class Reading(Container):
    """Has a database, and a component that reads it."""

    bus = Component(Bus)
    database = Component(Database)
    reads = Component(Reads, database.provided)


@pytest.mark.parametrize(
    "fake",
    [
        mock.Mock(spec=Database),
        mock.Mock(),
        mock.MagicMock(),
        mock.NonCallableMock(spec=Database),
        mock.create_autospec(Database, instance=True),
        Component(mock.Mock),
        Component(mock.Mock, spec=Database),
        Component(mock.create_autospec, Database, instance=True),
    ],
    ids=range(8),
)
def test_a_mock_replaces_a_component(fake: Any) -> None:
    """Hooks are methods of a class; attributes that a mock creates on access do not listen."""
    container = Reading()

    with container.override(Reading.database).by(fake), running(container) as reading:
        start: Any = reading.reads().database.start
        assert reading.reads().database is reading.database()
        assert not start.called


def test_the_text_of_a_long_cycle_shows_its_ends() -> None:
    """The attribute `cycle` has all of its components."""
    names = [f"Shop.part_{number}" for number in range(1_000)]

    fault = CycleFault(names, "shop.py:1")

    assert fault.cycle == tuple(names)
    assert "Shop.part_3 -> ... (992 more) -> Shop.part_996 -> " in str(fault)
    assert str(fault).count(" -> ") == 9
