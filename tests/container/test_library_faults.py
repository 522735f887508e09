"""Faults of dependency-injector's own providers in a container, and the containers that have none."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from dependency_injector import providers, resources

from typedbus import GRACEFUL, START, STOP, Bus, Component, Container, InvalidContainer, on, provided, running
from typedbus.faults import DependencyFault, Fault, LibraryFault, OverrideFault

# The library's types know less than it does.
library: Any = providers


def faults_of(container: Container) -> list[Fault]:
    """Return what `validate` raises."""
    try:
        container.validate()
    except InvalidContainer as invalid:
        return [fault for fault in invalid.exceptions if isinstance(fault, Fault)]
    return []


class Holding:
    """Takes something."""

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
    made: Any = type("Site", (Container,), {"url": url, "user": declare(url)})

    (fault,) = faults_of(made())

    assert isinstance(fault, DependencyFault)
    assert (fault.path, fault.argument, fault.dependency) == ("Site.user", argument, "Site.url")
    assert f"its {argument} needs Site.url" in str(fault)
    assert "site.url.override(providers.Object(...))" in str(fault)
    site = made(url="given")
    assert faults_of(site) == []


def test_each_undefined_dependency_is_a_fault_of_the_nearest_that_has_a_name() -> None:
    """Once, with the name that it has in a nested container or in a `DependenciesContainer`."""

    class Infra(Container):
        url: Any = library.Dependency()
        session: Any = providers.Factory(Holding, url)

    class Site(Container):
        infra = Infra()
        given: Any = library.Container(Infra)
        deps: Any = library.DependenciesContainer()
        holding = Component(Holding, provided(infra.session), other=provided(deps.database))

    found = [(fault.path, fault.dependency) for fault in faults_of(Site()) if isinstance(fault, DependencyFault)]

    assert found == [
        ("Site.holding", "Site.deps.database"),
        ("Site.infra.session", "Site.infra.url"),
        ("Site.given.session", "Site.given.url"),
    ]


def test_a_dependency_that_nothing_certainly_needs_is_no_fault() -> None:
    """Not needed at all, below a branch that may not be taken, or below something overridden."""

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


def test_the_library_s_overrides_are_seen_after_validate() -> None:
    """Of a component, a dependency, a configuration and a whole container, and when they are taken back."""

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
    found = faults_of(site)
    site.database.reset_override()
    looked.append(len(faults_of(site)))
    site.reset_override()
    looked.append(len(faults_of(site)))

    assert looked == [1, 0, 1, 0, 0, 1]
    assert isinstance(found[0], OverrideFault)


async def connect() -> int:
    """Return a connection."""
    return 1


async def connections() -> AsyncIterator[int]:
    """Give a connection."""
    yield 1


@asynccontextmanager
async def connected() -> AsyncIterator[int]:
    """Give a connection."""
    yield 1


class Pool(resources.AsyncResource[int]):
    """Opens something."""

    async def init(self) -> int:
        """Open it."""
        return 1


class Session:
    """Is entered."""

    async def __aenter__(self) -> int:
        return 1

    async def __aexit__(self, *_: object) -> None:
        """Leave."""


@pytest.mark.parametrize("provides", [connect, connections, connected, Pool, Session])
def test_an_asynchronous_resource_is_a_fault(provides: Any) -> None:
    """Nothing awaits its shutdown; the fault says what to write."""
    made: Any = type("Site", (Container,), {"pool": library.Resource(provides)})

    (fault,) = faults_of(made())

    assert isinstance(fault, LibraryFault)
    assert fault.path == "Site.pool"
    assert "is asynchronous" in fault.problem
    assert "open it with a synchronous function" in fault.remedy


def opened() -> Iterator[int]:
    """Give something."""
    yield 1


class Both:
    """Can be entered in either way."""

    def __enter__(self) -> int:
        return 1

    def __exit__(self, *_: object) -> None:
        """Leave."""

    async def __aenter__(self) -> int:
        return 1

    async def __aexit__(self, *_: object) -> None:
        """Leave."""


@pytest.mark.parametrize("provides", [opened, Both, threading.Lock, lambda: 1])
def test_a_synchronous_resource_is_no_fault(provides: Any) -> None:
    """Whatever it is opened by."""
    made: Any = type("Site", (Container,), {"pool": library.Resource(provides)})

    assert faults_of(made()) == []


class Database:
    """Has hooks by their names."""

    def start(self) -> None:
        """Open it."""

    def stop(self) -> None:
        """Close it."""


class Marked:
    """Has a hook by its mark."""

    @on(GRACEFUL)
    def reread(self) -> None:
        """Read settings again."""


class Worker(threading.Thread):
    """Has a method `start` that is inherited from Python."""


class Loop:
    """Has methods of such names that no bus could call."""

    def start(self, seconds: float) -> None:
        """Run for so long."""

    def main(self) -> None:
        """Run."""

    def log(self, text: str) -> None:
        """Write."""


class Keeper:
    """Starts what it is given."""

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
    """It would never be started; the fault names the methods and what to declare."""
    made: Any = type("Site", (Container,), {"it": getattr(library, kind)(cls)})

    (fault,) = faults_of(made())

    assert isinstance(fault, LibraryFault)
    assert method in fault.problem
    assert f"Component({cls.__name__}, ...)" in fault.remedy


@pytest.mark.parametrize("cls", [Worker, Loop, threading.Timer, dict])
def test_a_singleton_whose_methods_bear_such_names_by_chance_is_no_fault(cls: type) -> None:
    """Names that are Python's, and methods that do not fit."""
    made: Any = type("Site", (Container,), {"it": library.Singleton(cls)})

    assert faults_of(made()) == []


def test_a_singleton_whose_user_calls_the_method_is_no_fault() -> None:
    """A component may start what it was given."""

    class Site(Container):
        bus = Component(Bus)
        database: Any = library.Singleton(Database)
        keeper = Component(Keeper, provided(library.List(database))[0])

    with running(Site()):
        pass


def test_an_overridden_singleton_or_resource_is_no_fault() -> None:
    """It is not used."""
    made: Any = type("Site", (Container,), {"database": library.Singleton(Database), "pool": library.Resource(connect)})

    assert faults_of(made(database=1, pool=2)) == []


def test_a_component_without_hooks_is_the_way_out() -> None:
    """Where the program calls the methods itself."""

    class Site(Container):
        bus = Component(Bus)
        database = Component(Database).without(START, STOP)

    with running(Site()):
        pass
