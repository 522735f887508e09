"""`validate()` finds what type checkers cannot see in the declarations of scopes."""

import contextlib
import functools
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Generic, Protocol, Self, TypeVar

import pytest
from dependency_injector import providers

from typedbus import (
    LOG,
    SESSION,
    START,
    Bus,
    Channel,
    Choice,
    Component,
    Container,
    Given,
    InvalidContainer,
    Resource,
    ResourceError,
    Scoped,
    every,
    lazy,
    on,
    provided,
)
from typedbus._container.forms import Form, form_of
from typedbus.faults import (
    ArgumentFault,
    BuildFault,
    CycleFault,
    Fault,
    HiddenFault,
    HookFault,
    LifetimeFault,
    OpenerFault,
    OverrideFault,
    TypeFault,
)

T = TypeVar("T")
#: Some arguments are wrong on purpose.
declare: Any = Scoped
component: Any = Component


class Engine:
    """Lives as long as the container."""


class User:
    name = "Ada"


class Session:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine


class Managed(Session):
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None: ...


class AsyncManaged(Session):
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None: ...


class Renamed:
    """Gives an object of another class when it is opened."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __enter__(self) -> Session:
        return Session(self.engine)

    def __exit__(self, *details: object) -> None: ...


class Repo(Generic[T]):
    def __init__(self, engine: Engine) -> None:
        self.engine = engine


def generated(engine: Engine) -> Iterator[Session]:
    yield Session(engine)


def generated_fully(engine: Engine) -> Generator[Session, None, None]:
    yield Session(engine)


@contextlib.contextmanager
def decorated(engine: Engine) -> Generator[Session, None, None]:
    yield Session(engine)


async def generated_async(engine: Engine) -> AsyncIterator[Session]:
    yield Session(engine)


@contextlib.asynccontextmanager
async def decorated_async(engine: Engine) -> AsyncGenerator[Session, None]:
    yield Session(engine)


async def connected(engine: Engine) -> Session:
    return Session(engine)


def connecting(engine: Engine) -> Coroutine[Any, Any, Session]:
    return connected(engine)


def managed(engine: Engine) -> AbstractContextManager[Session]:
    return decorated(engine)


def managed_async(engine: Engine) -> AbstractAsyncContextManager[Session]:
    return decorated_async(engine)


def created(engine: Engine) -> Session:
    return Session(engine)


class Opening:
    """A callable object, and a bound method."""

    def __call__(self, engine: Engine) -> Iterator[Session]:
        yield Session(engine)

    def method(self, engine: Engine) -> Iterator[Session]:
        yield Session(engine)


def of_session(session: Session) -> None: ...


def of_user(user: User) -> None: ...


#: Callables in every form, each of which takes an engine and gives a session.
FORMS: list[Any] = [
    generated,
    generated_fully,
    decorated,
    generated_async,
    decorated_async,
    connected,
    connecting,
    managed,
    managed_async,
    created,
    Session,
    Managed,
    AsyncManaged,
    Renamed,
    functools.partial(generated),
    functools.partial(decorated),
    Opening(),
    Opening().method,
]


class Shop(Container):
    """Declarations that the containers of these tests refer to."""

    bus = Component(Bus)
    engine = Component(Engine)
    user = Given(User)
    session = Scoped(generated, engine.provided)
    connection = Scoped(generated_async, engine.provided)
    feed = Scoped(Session, engine.provided).at(SESSION)
    renamed = Scoped(Renamed, engine.provided)
    of_user = Scoped(of_user, user.provided)
    annotated: Scoped[Session] = Scoped(lambda: Managed(Engine()))


def faults_of(**declarations: object) -> list[Fault]:
    """Return the faults of a container with *declarations* besides those of `Shop`."""
    made: Any = type("Made", (Shop,), declarations)
    try:
        made().validate()
    except InvalidContainer as invalid:
        return [fault for fault in invalid.exceptions if isinstance(fault, Fault)]
    return []


def fault_of(kind: type[Fault], **declarations: object) -> Fault:
    """Return the only fault, which is of *kind*."""
    (fault,) = faults_of(**declarations)
    assert type(fault) is kind, fault
    return fault


# Arguments.


@pytest.mark.parametrize("builds", FORMS)
def test_the_object_that_a_form_opens_is_compared_with_the_parameter(builds: Any) -> None:
    opened = Scoped(builds, Shop.engine.provided)
    assert faults_of(opened=opened, right=Scoped(of_session, opened.provided)) == []

    opened = Scoped(builds, Shop.engine.provided)
    fault = fault_of(TypeFault, opened=opened, wrong=declare(of_user, opened.provided))
    assert "takes 'user' as" in fault.problem
    assert "(Made.opened)" in fault.problem


@pytest.mark.parametrize("builds", [form for form in FORMS if form not in (created, Session)])
def test_the_object_that_a_resource_opens_is_compared_with_the_parameter(builds: Any) -> None:
    def resource() -> Resource[Session]:
        declared: Resource[Session] = Resource(builds, Shop.engine.provided)
        is_async_function = form_of(builds) is Form.COROUTINE
        return declared.closed_by(of_session) if is_async_function else declared

    opened = resource()
    assert faults_of(opened=opened, right=Component(of_session, opened.provided)) == []

    opened = resource()
    fault = fault_of(TypeFault, opened=opened, wrong=component(of_user, opened.provided))
    assert "takes 'user' as" in fault.problem


@pytest.mark.parametrize("builds", FORMS)
def test_the_arguments_of_a_form_are_compared_with_its_parameters(builds: Any) -> None:
    assert "takes 'engine' as" in fault_of(TypeFault, x=declare(builds, "sqlite:")).problem
    assert "misses 'engine'" in fault_of(ArgumentFault, x=declare(builds)).problem
    assert "2" in fault_of(ArgumentFault, x=declare(builds, Shop.engine.provided, 3)).problem
    assert "'motor'" in fault_of(ArgumentFault, x=declare(builds, Shop.engine.provided, motor=3)).problem


def test_the_parameters_of_a_decorated_generator_function_are_those_of_a_component_as_well() -> None:
    """`contextmanager` passes them on, unlike other decorators."""
    kinds = {type(fault) for fault in faults_of(x=component(decorated, 3))}
    assert TypeFault in kinds


def test_an_argument_that_is_not_of_a_scope_is_checked() -> None:
    seen = Channel[[str], None]("seen")

    def listening(bus: Bus, channel: Any, text: str) -> None: ...

    bus, user = Shop.bus, Shop.user
    assert faults_of(x=Scoped(listening, bus.provided, bus.provided[seen], user.provided.name)) == []
    assert "'text'" in fault_of(TypeFault, x=declare(listening, bus.provided, bus.provided[seen], 3)).problem


def test_a_given_value_fits_its_class_and_protocol() -> None:
    class HasName(Protocol):
        name: str

    named = Given(HasName)
    assert faults_of(named=named, x=declare(of_user, named.provided)) == []
    assert "'session'" in fault_of(TypeFault, x=declare(of_session, Shop.user.provided)).problem


def test_a_generic_class_is_checked_by_its_origin() -> None:
    repo = Scoped(Repo[User], Shop.engine.provided)
    assert "'session'" in fault_of(TypeFault, repo=repo, x=declare(of_session, repo.provided)).problem


def test_the_annotation_of_a_declaration_is_compared_with_the_object_that_it_opens() -> None:
    """mypy takes the annotated class for a plain one."""

    class Folder:
        def __enter__(self) -> str:
            return ""

        def __exit__(self, *details: object) -> None: ...

    class Annotated(Shop):
        right: Scoped[str] = Scoped(Folder)
        base: Scoped[Session] = Scoped(Managed, Shop.engine.provided)
        wrong: Scoped[Folder] = Scoped(Folder)
        unknown: "Scoped[Missing]" = Scoped(Folder)  # type: ignore[name-defined]  # noqa: F821  # on purpose

    with pytest.raises(InvalidContainer) as caught:
        Annotated().validate()
    (fault,) = caught.value.exceptions
    assert isinstance(fault, TypeFault)
    assert fault.path == "Annotated.wrong"
    assert fault.remedy == "annotate it as Scoped[str], or remove the annotation"


def test_an_abstract_class_is_a_fault() -> None:
    class Port(Protocol):
        def send(self) -> None: ...

    assert "is a protocol" in fault_of(BuildFault, port=declare(Port)).problem


def test_a_declaration_hidden_in_an_argument_is_a_fault() -> None:
    fault = fault_of(HiddenFault, x=Scoped(list, {1: frozenset([Shop.session])}))
    assert "holds Shop.session" in fault.problem
    assert "session.opener" in fault.remedy

    fault = fault_of(HiddenFault, x=Component(list, [{Shop.user}]))
    assert "user.provided" in fault.remedy
    assert "opener" not in fault.remedy


def test_a_declaration_in_a_closure_is_a_fault() -> None:
    session = Shop.session
    fault = fault_of(HiddenFault, x=Scoped(lambda: session()))
    assert "holds Shop.session" in fault.problem


def test_objects_that_need_each_other_are_a_fault() -> None:
    class Package(Container):
        second = Scoped(of_session, Shop.session.provided)

    cycles = [fault for fault in faults_of(package=Package(), session=declare(created, Package.second.provided))]
    assert [fault.cycle for fault in cycles if isinstance(fault, CycleFault)] == [
        ("Made.session", "Made.package.second")
    ]


# Openers.


class Mailer:
    def __init__(self, sessions: Callable[[], AbstractContextManager[Session]]) -> None: ...


class AsyncMailer:
    def __init__(self, sessions: Callable[[], AbstractAsyncContextManager[Session]]) -> None: ...


class UserMailer:
    def __init__(self, users: Callable[[], AbstractContextManager[User]]) -> None: ...


def test_the_object_that_an_opener_opens_is_compared_with_the_parameter() -> None:
    session, connection = Shop.session, Shop.connection
    assert faults_of(x=Component(Mailer, session.opener)) == []
    assert faults_of(x=Component(AsyncMailer, session.async_opener)) == []
    assert faults_of(x=Component(AsyncMailer, connection.async_opener)) == []
    assert faults_of(x=Component(Mailer, Shop.renamed.opener)) == []

    for wrong in (
        component(UserMailer, session.opener),
        component(Mailer, session.async_opener),
        component(AsyncMailer, session.opener),
        component(of_session, session.opener),
    ):
        fault = fault_of(TypeFault, wrong=wrong)
        assert "AbstractContextManager[" in fault.problem or "AbstractAsyncContextManager[" in fault.problem
        assert "(Made.session." in fault.problem


def test_an_opener_fits_an_unspecific_parameter() -> None:
    def of_function(function: Callable[..., object]) -> None: ...

    def of_manager(function: Callable[[], AbstractContextManager[Any]]) -> None: ...

    def of_bare_manager(function: "Callable[[], AbstractContextManager]") -> None: ...  # type: ignore[type-arg]

    for builds in (of_function, of_manager, of_bare_manager, lambda function: function):
        assert faults_of(x=component(builds, Shop.session.opener)) == []


def test_a_sync_opener_of_an_async_form_is_a_fault() -> None:
    fault = fault_of(OpenerFault, x=Component(Mailer, Shop.connection.opener))
    assert "Made.connection.opener, whose scope needs Made.connection" in fault.problem
    assert "which is an async generator" in fault.problem
    assert "pass Made.connection.async_opener" in fault.remedy


def test_an_opener_of_an_object_that_needs_an_async_form_is_a_fault() -> None:
    orders = Scoped(Repo[User], Scoped(connected, Shop.engine.provided).provided.engine)
    assert "which is a coroutine" in fault_of(OpenerFault, orders=orders, x=Component(list, [orders.opener])).problem
    orders = Scoped(Repo[User], Scoped(connected, Shop.engine.provided).provided.engine)
    assert faults_of(orders=orders, x=Component(list, [orders.async_opener])) == []


def test_an_opener_of_an_object_that_needs_a_given_value_is_a_fault() -> None:
    fault = fault_of(OpenerFault, x=Component(list, (Shop.of_user.async_opener,)))
    assert "Made.of_user.async_opener, whose scope needs Made.user" in fault.problem
    assert "no value is given" in fault.problem


def test_an_opener_of_a_scoped_object_is_checked_as_well() -> None:
    fault = fault_of(OpenerFault, x=Scoped(Mailer, Shop.connection.opener))
    assert fault.path == "Made.x"


def test_an_opener_of_an_overridden_object_builds_the_override() -> None:
    class Overridden(Shop):
        mailer = Component(Mailer, Shop.connection.opener)

    shop = Overridden()
    with shop.override(Overridden.connection).by(Session(Engine())):
        shop.validate()


def test_an_opener_of_an_inline_declaration_is_a_fault() -> None:
    """It belongs to no container, which would open the scope."""
    inline = Scoped(generated, Shop.engine.provided)
    fault = fault_of(HiddenFault, x=Component(Mailer, inline.opener))
    assert "Scoped(generated).opener, which is declared inline" in fault.problem
    assert "x = Scoped(generated)" in fault.remedy


# Lifetimes.


def test_a_factory_of_a_scoped_object_belongs_to_the_scope() -> None:
    factory = providers.Factory(Managed, Shop.session)
    fault = fault_of(LifetimeFault, factory=factory, x=Component(list, [provided(factory)]))
    assert "it would keep one Made.session" in fault.problem

    factory = providers.Factory(Managed, Shop.session)
    assert faults_of(factory=factory, x=Scoped(list, [provided(factory)])) == []


def test_a_provider_that_is_passed_uncalled_does_not_know_the_scope() -> None:
    for kind in (Component, Scoped):
        factory = providers.Factory(Managed, Shop.session)
        fault = fault_of(LifetimeFault, factory=factory, x=kind(list, [lazy(factory)]))
        assert "a function that needs Made.session" in fault.problem
        assert "pass x.opener" in fault.remedy


def test_a_singleton_of_the_library_cannot_keep_a_scoped_object() -> None:
    singleton = providers.Singleton(Managed, Shop.session)
    fault = fault_of(LifetimeFault, singleton=singleton, x=Scoped(list, [provided(singleton)]))
    assert f"it needs {__name__}.Managed, of which the container has one (Singleton)" in fault.problem
    assert "which would keep one Made.session" in fault.problem


def test_the_condition_of_a_component_is_not_of_a_scope() -> None:
    is_open = Scoped(lambda: True)
    disabled = Component(Engine).enabled(is_open.provided, reason="closed")
    fault = fault_of(LifetimeFault, is_open=is_open, x=disabled)
    assert fault.remedy == "take the condition from a component"


def test_a_choice_has_no_scoped_branches() -> None:
    key = Component(str, "fast")
    choice: Any = Choice(key.provided, {"fast": Shop.session})
    fault = fault_of(LifetimeFault, key=key, choice=choice)
    assert fault.remedy.startswith("declare a Scoped that takes its choice from components")


def test_a_list_of_all_components_of_a_kind_has_no_scoped_objects() -> None:
    class Kept(Container):
        bus = Component(Bus)
        scoped = Scoped(Engine)
        engine = Component(Engine)
        engines = Component(list, every(Engine))

    kept = Kept()
    kept.validate()
    assert kept.engines() == [kept.engine()]


def test_a_component_is_not_overridden_by_a_scoped_object() -> None:
    shop = Shop()
    with shop.override(Shop.engine).by(Scoped(Engine)), pytest.raises(InvalidContainer) as caught:
        shop.validate()
    (fault,) = caught.value.exceptions
    assert isinstance(fault, OverrideFault)
    assert "it belongs to the container, and is overridden by a Scoped" in fault.problem


def test_an_object_of_a_session_is_not_overridden_by_one_of_a_request() -> None:
    shop = Shop()
    with shop.override(Shop.feed).by(Scoped(created, Shop.engine.provided)):
        with pytest.raises(InvalidContainer) as caught:
            shop.validate()
        (fault,) = caught.value.exceptions
        assert isinstance(fault, OverrideFault)
        assert fault.remedy == "add .at(SESSION)"
    with shop.override(Shop.feed).by(Scoped(created, Shop.engine.provided).at(SESSION)):
        shop.validate()


@pytest.mark.parametrize(
    ("name", "good", "wrong"),
    [
        ("session", Session(Engine()), Engine()),
        ("connection", Managed(Engine()), User()),
        ("renamed", Session(Engine()), Renamed(Engine())),
        ("annotated", Session(Engine()), User()),
        ("user", User(), Engine()),
    ],
)
def test_an_override_is_compared_with_the_object_that_is_opened(name: str, good: object, wrong: object) -> None:
    shop = Shop()
    overridden: Any = getattr(Shop, name)
    with shop.override(overridden).by(good):
        shop.validate()
    with shop.override(overridden).by(wrong), pytest.raises(InvalidContainer) as caught:
        shop.validate()
    (fault,) = caught.value.exceptions
    assert isinstance(fault, OverrideFault)


# Methods.


class Listening:
    @on(START)
    def begin(self) -> None: ...

    def stop(self) -> None:
        """Has the name of a channel, and is called by other code."""


def listening() -> Iterator[Listening]:
    yield Listening()


@pytest.mark.parametrize("builds", [Listening, listening])
def test_a_marked_method_of_a_scoped_object_is_a_fault(builds: Callable[[], Any]) -> None:
    fault = fault_of(HookFault, x=Scoped(builds))
    assert "Listening.begin is marked to listen to channel 'start'" in fault.problem
    assert "Made.x.opener" in fault.remedy


# Connections.


def opened_file(engine: Engine) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection, connection:
        yield connection


@contextlib.contextmanager
def managed_file(engine: Engine) -> Generator[sqlite3.Connection, None, None]:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection, connection:
        yield connection


def unclosed_file(engine: Engine) -> sqlite3.Connection:
    return sqlite3.connect(":memory:")


class Subclass(sqlite3.Connection):
    """Is not closed either."""


class Closing(sqlite3.Connection):
    """Closes itself."""

    def __exit__(self, *details: object) -> Any:
        super().__exit__(None, None, None)
        self.close()


@pytest.mark.parametrize("builds", [sqlite3.connect, sqlite3.Connection, Subclass, functools.partial(unclosed_file)])
def test_a_connection_whose_with_statement_only_ends_a_transaction_is_a_fault(builds: Any) -> None:
    """The end of the scope would leave it open."""
    argument = Shop.engine.provided if isinstance(builds, functools.partial) else ":memory:"
    fault = fault_of(BuildFault, x=Scoped(builds, argument))
    assert "is a transaction, and does not close the connection" in fault.problem
    assert "generator function" in fault.remedy


def test_a_connection_that_is_closed_is_none() -> None:
    engine = Shop.engine.provided
    assert faults_of(x=Scoped(opened_file, engine), y=Scoped(managed_file, engine), z=Scoped(Closing, ":memory:")) == []


def test_an_unannotated_function_that_returns_such_a_connection_is_an_error_in_the_scope() -> None:
    class Unannotated(Shop):
        database = Scoped(lambda: sqlite3.connect(":memory:"))

    with Unannotated().scope() as scope, pytest.raises(ResourceError, match="does not close the connection"):
        scope[Unannotated.database]


# Containers.


def test_the_faults_of_a_nested_container_are_found() -> None:
    class Inner(Container):
        engine = Component(Engine)
        wrong = declare(of_user, engine.provided)

    fault = fault_of(TypeFault, inner=Inner())
    assert fault.path == "Made.inner.wrong"


def test_a_scoped_object_of_another_container_is_an_argument() -> None:
    class Package(Container):
        orders = Scoped(of_session, Shop.session.provided)
        mailer = Component(Mailer, Shop.session.opener)
        poster = Component(AsyncMailer, Shop.connection.async_opener)

    assert faults_of(package=Package()) == []


def test_the_log_of_a_bus_is_an_argument() -> None:
    class Logged(Container):
        bus = Component(Bus)
        log = Scoped(lambda log: log, bus.provided[LOG])

    Logged().validate()


def test_an_awaitable_that_a_plain_function_returns_is_an_object() -> None:
    """Only a coroutine is awaited, as type checkers see it."""

    def later() -> Awaitable[Session]:
        raise NotImplementedError

    def of_awaitable(session: Awaitable[Session]) -> None: ...

    pending = Scoped(later)
    assert faults_of(pending=pending, x=Scoped(of_awaitable, pending.provided)) == []
