"""Faults of dependency-injector's own providers in a container, and valid uses of them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from dependency_injector import providers, resources

from typedbus import (
    GRACEFUL,
    START,
    STOP,
    Bus,
    Component,
    Container,
    InvalidContainer,
    Listeners,
    lazy,
    on,
    provided,
    running,
)
from typedbus.faults import DependencyFault, Fault, LibraryFault, OverrideFault, TypeFault

# The library's types know less than it does.
library: Any = providers


def faults_of(container: Container) -> list[Fault]:
    """Return the faults that `validate()` raises."""
    try:
        container.validate()
    except InvalidContainer as invalid:
        return [fault for fault in invalid.exceptions if isinstance(fault, Fault)]
    return []


class Holding:
    """Keeps its argument."""

    def __init__(self, it: object = None, other: object = None) -> None:
        self.it = it


@pytest.mark.parametrize(
    ("declare", "argument"),
    [
        (lambda url: providers.Factory(Holding, url), "argument 'it'"),
        (lambda url: providers.Factory(Holding, 1, other=url), "argument 'other'"),
        (lambda url: library.Factory(Holding).add_attributes(it=url), "attribute 'it'"),
        (lambda url: providers.Singleton(Holding, url), "argument 'it'"),
        (lambda url: library.ThreadSafeSingleton(Holding, url), "argument 'it'"),
        (lambda url: providers.Callable(Holding, url), "argument 'it'"),
        (lambda url: library.Resource(Holding, other=url), "argument 'other'"),
        (lambda url: providers.List(1, url), "item 2"),
        (lambda url: providers.Dict(a=url), "item 'a'"),
        (lambda url: providers.Factory(Holding, providers.List(providers.Factory(Holding, url))), "argument 'it'"),
        (lambda url: Component(Holding, 1, provided(url)), "argument 'other'"),
        (lambda url: Component(Holding, other=[provided(url)]), "argument 'other'"),
        (lambda url: Component(Holding, provided(providers.Factory(Holding, url)).it), "argument 'it'"),
        (lambda url: Component(Holding).add_attributes(it=provided(url)), "attribute 'it'"),
        (lambda url: Component(Holding).enabled(provided(url), reason="off"), "condition"),
    ],
)
def test_an_undefined_dependency_is_found_wherever_it_is_needed(declare: Callable[[Any], Any], argument: str) -> None:
    """The fault names the user, its argument and the dependency."""
    url: Any = library.Dependency(instance_of=str)
    site_class: Any = type("Site", (Container,), {"url": url, "user": declare(url)})

    (fault,) = faults_of(site_class())

    assert isinstance(fault, DependencyFault)
    assert (fault.path, fault.argument, fault.dependency) == ("Site.user", argument, "Site.url")
    assert f"its {argument} needs Site.url" in str(fault)
    assert "site.url.override(providers.Object(...))" in str(fault)
    site = site_class(url="given")
    assert faults_of(site) == []


def test_each_undefined_dependency_is_a_fault_of_its_nearest_named_user() -> None:
    """It is reported once, with its name in a nested container or in a `DependenciesContainer`."""

    class Infra(Container):
        url: Any = library.Dependency()
        session: Any = providers.Factory(Holding, url)

    class Site(Container):
        infra = Infra()
        given: Any = library.Container(Infra)
        deps: Any = library.DependenciesContainer()
        holding = Component(Holding, provided(infra.session), other=provided(deps.database))

    faults = [(fault.path, fault.dependency) for fault in faults_of(Site()) if isinstance(fault, DependencyFault)]

    assert faults == [
        ("Site.holding", "Site.deps.database"),
        ("Site.infra.session", "Site.infra.url"),
        ("Site.given.session", "Site.given.url"),
    ]


def test_a_dependency_that_may_not_be_needed_is_not_a_fault() -> None:
    """It has no user, or only one in a branch that may not be chosen, or in an overridden component."""

    class Site(Container):
        bus = Component(Bus)
        unused: Any = library.Dependency()
        config: Any = library.Configuration()
        choice: Any = library.Selector(config.kind, a=library.Factory(Holding, unused), b=library.Factory(Holding))
        chosen = Component(Holding, provided(choice))
        session: Any = providers.Factory(Holding, unused)
        other: Any = providers.Factory(Holding, library.Factory(Holding, unused))

    site = Site(session=Holding(), other=Holding())
    site.config.from_dict({"kind": "b"})
    with running(site):
        assert isinstance(site.chosen().it, Holding)


def test_validate_follows_the_library_s_overrides() -> None:
    """Of a component, a dependency, a configuration and a whole container, and their reset."""

    class Site(Container):
        url: Any = library.Dependency(instance_of=str)
        database = Component(Holding, provided(url))
        holding: Any = Component(Holding, database.provided)

    site = Site()
    looked = [len(faults_of(site))]
    with site.url.override("given"):
        looked.append(len(faults_of(site)))
    looked.append(len(faults_of(site)))
    site.override_providers(url="given")
    looked.append(len(faults_of(site)))
    wrong: Any = 42
    site.database.override(wrong)
    faults = faults_of(site)
    site.database.reset_override()
    looked.append(len(faults_of(site)))
    site.reset_override()
    looked.append(len(faults_of(site)))

    assert looked == [1, 0, 1, 0, 0, 1]
    assert isinstance(faults[0], OverrideFault)


async def connect() -> int:
    """Return a connection."""
    return 1


async def connections() -> AsyncIterator[int]:
    """Yield a connection."""
    yield 1


@asynccontextmanager
async def connected() -> AsyncIterator[int]:
    """Yield a connection."""
    yield 1


class Pool(resources.AsyncResource[int]):
    """A resource class of the library."""

    async def init(self) -> int:
        """Open the pool."""
        return 1


class Session:
    """An async context manager."""

    async def __aenter__(self) -> int:
        return 1

    async def __aexit__(self, *_: object) -> None:
        """Leave."""


@pytest.mark.parametrize("provides", [connect, connections, connected, Pool, Session])
def test_an_asynchronous_resource_is_a_fault(provides: Any) -> None:
    """Its shutdown would not be awaited; the fault recommends the code to write."""
    site_class: Any = type("Site", (Container,), {"pool": library.Resource(provides)})

    (fault,) = faults_of(site_class())

    assert isinstance(fault, LibraryFault)
    assert fault.path == "Site.pool"
    assert "is asynchronous" in fault.problem
    assert "declare a Resource of typedbus" in fault.remedy


def opened() -> Iterator[int]:
    """Yield a connection."""
    yield 1


class Both:
    """A context manager of both kinds."""

    def __enter__(self) -> int:
        return 1

    def __exit__(self, *_: object) -> None:
        """Leave."""

    async def __aenter__(self) -> int:
        return 1

    async def __aexit__(self, *_: object) -> None:
        """Leave."""


@pytest.mark.parametrize("provides", [opened, Both, threading.Lock, lambda: 1])
def test_a_synchronous_resource_is_not_a_fault(provides: Any) -> None:
    """This holds for every way to open it."""
    site_class: Any = type("Site", (Container,), {"pool": library.Resource(provides)})

    assert faults_of(site_class()) == []


class Database:
    """Has hooks with life-cycle names."""

    def start(self) -> None:
        """Open it."""

    def stop(self) -> None:
        """Close it."""


class Marked:
    """Has a marked hook."""

    @on(GRACEFUL)
    def reread(self) -> None:
        """Read settings again."""


class Worker(threading.Thread):
    """Has a method `start` that is inherited from Python."""


class Loop:
    """Has methods with life-cycle names that the bus could not call."""

    def start(self, seconds: float) -> None:
        """Run for this many seconds."""

    def main(self) -> None:
        """Run."""

    def log(self, text: str) -> None:
        """Write."""


class Keeper:
    """Starts its argument."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def start(self) -> None:
        """Start it."""
        self.database.start()

    def stop(self) -> None:
        """Stop it."""
        self.database.stop()


@pytest.mark.parametrize("kind", ["Singleton", "ThreadSafeSingleton", "ThreadLocalSingleton"])
@pytest.mark.parametrize(("cls", "method"), [(Database, "Database.start"), (Marked, "Marked.reread")])
def test_a_class_with_hooks_behind_a_singleton_is_a_fault(kind: str, cls: type, method: str) -> None:
    """It would not be started; the fault names the methods and the declaration to use."""
    site_class: Any = type("Site", (Container,), {"it": getattr(library, kind)(cls)})

    (fault,) = faults_of(site_class())

    assert isinstance(fault, LibraryFault)
    assert method in fault.problem
    assert f"Component({cls.__name__}, ...)" in fault.remedy


def test_listeners_behind_a_singleton_are_a_fault() -> None:
    """Their functions would not listen."""
    site_class: Any = type("Site", (Container,), {"it": library.Singleton(Listeners())})

    (fault,) = faults_of(site_class())

    assert isinstance(fault, LibraryFault)
    assert "a Listeners, whose functions listen only as a component" in fault.problem
    assert fault.remedy == "declare a Component(...) of it"


@pytest.mark.parametrize("cls", [Worker, Loop, threading.Timer, dict])
def test_a_singleton_with_unrelated_methods_of_such_names_is_not_a_fault(cls: type) -> None:
    """Methods that are inherited from Python, and methods with other parameters."""
    site_class: Any = type("Site", (Container,), {"it": library.Singleton(cls)})

    assert faults_of(site_class()) == []


def test_a_singleton_whose_user_calls_the_method_is_not_a_fault() -> None:
    """A component may start its argument."""

    class Site(Container):
        bus = Component(Bus)
        database: Any = library.Singleton(Database)
        keeper = Component(Keeper, provided(library.List(database))[0])

    with running(Site()):
        pass


def test_an_overridden_singleton_or_resource_is_not_a_fault() -> None:
    """It is not used."""
    site_class: Any = type(
        "Site", (Container,), {"database": library.Singleton(Database), "pool": library.Resource(connect)}
    )

    assert faults_of(site_class(database=1, pool=2)) == []


def test_a_component_declared_without_hooks_is_not_a_fault() -> None:
    """The program calls the methods itself."""

    class Site(Container):
        bus = Component(Bus)
        database = Component(Database).without(START, STOP)

    with running(Site()):
        pass


class Connection:
    """Made by an async function."""

    url = "db://"


class Repo:
    """Needs a connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection


class Text:
    """Needs a text."""

    def __init__(self, text: str) -> None:
        self.text = text


async def open_connection() -> Connection:
    """Make a connection."""
    return Connection()


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Component(Repo, provided(library.Singleton(open_connection))),
        lambda: Component(Repo, provided(library.ThreadSafeSingleton(open_connection))),
        lambda: Component(Repo, provided(library.Factory(open_connection))),
        lambda: Component(Repo, provided(library.Callable(open_connection))),
        lambda: Component(Repo, provided(library.Coroutine(open_connection))),
        lambda: Component(Text, provided(library.Singleton(open_connection)).url),
        lambda: Component(
            Repo, provided(library.Factory(library.Singleton(Repo, library.Factory(open_connection)))).connection
        ),
        lambda: Component(Text, provided(library.Callable(str, library.List(library.Factory(open_connection))))),
    ],
)
def test_the_awaitable_of_an_async_provider_is_not_the_object_of_a_component(declare: Callable[[], Any]) -> None:
    """The library passes a future, or a coroutine, also through the providers between the two."""
    site_class: Any = type("Site", (Container,), {"user": declare()})

    (fault,) = faults_of(site_class())

    assert isinstance(fault, TypeFault)
    assert "is given collections.abc.Awaitable" in fault.problem


class Waiting:
    """Takes what can be awaited."""

    def __init__(self, connection: Awaitable[Connection]) -> None: ...


class Later:
    """Takes functions."""

    def __init__(
        self,
        make: Callable[[], Awaitable[Connection]],
        other: Callable[[], Coroutine[Any, Any, Connection]] | None = None,
    ) -> None: ...


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Component(Waiting, provided(library.Factory(open_connection))),
        lambda: Component(Waiting, provided(library.Singleton(open_connection))),
        lambda: Component(Later, lazy(library.Factory(open_connection)), lazy(library.Coroutine(open_connection))),
        lambda: Component(Holding, provided(library.Factory(open_connection))),
        lambda: Component(Repo, provided(library.Selector(library.Object("a"), a=library.Factory(Connection)))),
        lambda: Component(Later, provided(library.DelegatedFactory(open_connection))),
        lambda: Component(Holding, library.Factory(Holding, library.Delegate(library.Factory(open_connection)))),
    ],
)
def test_an_awaitable_may_be_passed_where_one_is_expected(declare: Callable[[], Any]) -> None:
    """A provider of awaitables may be passed uncalled, too."""
    site_class: Any = type("Site", (Container,), {"user": declare()})

    assert faults_of(site_class()) == []


def test_an_override_of_an_async_provider_is_described_in_its_place() -> None:
    """A test may replace the awaitable with a plain object."""

    class Site(Container):
        connection: Any = library.Singleton(open_connection)
        repo = Component(Repo, provided(connection))

    site = Site()
    site.connection.override(Connection())

    assert faults_of(site) == []
    assert isinstance(site.repo().connection, Connection)
