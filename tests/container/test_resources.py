"""Resources and singletons of dependency-injector in the life of a container."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Self

import pytest
from dependency_injector import providers, resources

from typedbus import Bus, Component, Container, Limits, TransitionFailures, provided, running

# The library's types know less than it does.
library: Any = providers


class Engine:
    """Is open until it is closed."""

    def __init__(self) -> None:
        self.is_open = True


class Part:
    """Records its exit."""

    def __init__(self, events: list[str], name: str, *needed: object) -> None:
        self.events = events
        self.name = name
        self.needed = needed

    def exit(self) -> None:
        """Record the call."""
        self.events.append(f"{self.name} exits")


class Record:
    """Holds its arguments, and has no hooks."""

    def __init__(self, events: list[str], name: str, *needed: object) -> None:
        self.events = events
        self.name = name
        self.needed = needed


def opened(events: list[str], name: str, *needed: object) -> Iterator[Engine]:
    """Record when the resource is opened and closed."""
    engine = Engine()
    events.append(f"{name} opens")
    yield engine
    engine.is_open = False
    events.append(f"{name} closes")


def failing(events: list[str], name: str) -> Iterator[Engine]:
    """Yield a resource that fails to close."""
    yield Engine()
    events.append(f"{name} fails")
    raise OSError(name)


def library_factory(it: object) -> list[object]:
    """Return a provider of the library in between two others."""
    return [it]


class Site(Container):
    """Resources between components; providers in between hide dependencies from the library's own order."""

    bus = Component(Bus)
    events = Component(list[str])
    settings = Component(Part, events.provided, "settings")
    outer: Any = library.Resource(opened, events, "outer", settings)
    inner: Any = library.Resource(opened, events, "inner", library.Callable(library_factory, outer))
    repo: Any = library.Singleton(Record, events, "singleton", inner)
    orders = Component(Part, events.provided, "orders", provided(library.List(repo)))
    other = Component(Part, events.provided, "other", orders.provided)
    unused: Any = library.Resource(opened, events, "unused")


@pytest.mark.parametrize("workers", [1, 8])
def test_resources_are_shut_down_after_their_users_and_before_their_dependencies(workers: int) -> None:
    """In the reverse order of the graph, also through other providers and with several workers."""
    site = Site()
    with running(site, workers=workers):
        events = site.events()
        engine = site.inner()
        site.unused()
    closed = [event for event in events if event != "unused closes"]

    assert closed == [
        "outer opens",
        "inner opens",
        "unused opens",
        "other exits",
        "orders exits",
        "inner closes",
        "outer closes",
        "settings exits",
    ]
    assert "unused closes" in events
    assert not engine.is_open


def test_a_resource_is_opened_and_shut_down_once_between_start_and_exit() -> None:
    """A stop leaves it open; the start after an exit opens another, and makes new singletons."""
    site = Site()
    bus = site.attach()
    bus.start()
    first, kept = site.inner(), site.repo()
    bus.stop()
    bus.start()
    assert site.inner() is first
    assert first.is_open
    events = site.events()
    bus.exit()
    assert events.count("inner closes") == 1
    assert events.index("orders exits") < events.index("inner closes") < events.index("settings exits")
    bus.start()
    second = site.inner()
    assert second is not first
    assert second.is_open
    assert site.repo() is not kept
    assert site.orders().needed[0] == [site.repo()]
    bus.exit()

    assert not second.is_open


@pytest.mark.parametrize("kind", ["Singleton", "ThreadSafeSingleton", "ThreadLocalSingleton", "ContextLocalSingleton"])
def test_singletons_that_use_a_component_are_made_again_after_an_exit(kind: str) -> None:
    """Other singletons stay, as in the library."""

    class Own(Container):
        bus = Component(Bus)
        events = Component(list[str])
        near: Any = getattr(library, kind)(Record, events, "near")
        far: Any = getattr(library, kind)(Record, library.Factory(list), "far", library.Dict(a=near))
        alone: Any = getattr(library, kind)(Engine)

    own = Own()
    lives = []
    for _ in range(2):
        with running(own):
            lives.append((own.near(), own.far(), own.alone()))
            assert own.near().events is own.events()
    first, second = lives

    assert first[0] is not second[0]
    assert first[1] is not second[1]
    assert first[2] is second[2]


def test_a_shutdown_that_fails_is_reported_and_the_others_follow() -> None:
    """It is reported like an exit hook that fails, with the path of the resource."""

    class Own(Container):
        bus = Component(Bus)
        events = Component(list[str])
        base: Any = library.Resource(opened, events, "base")
        broken: Any = library.Resource(failing, events, "broken")
        orders = Component(Part, events.provided, "orders", provided(broken), provided(base))

    own = Own()
    events = []
    with pytest.raises(TransitionFailures) as failures, running(own):
        events = own.events()

    (failure,) = failures.value.failures
    assert failure.name == "Own.broken.shutdown"
    assert isinstance(failure.error, OSError)
    assert events == ["base opens", "orders exits", "broken fails", "base closes"] or events == [
        "base opens",
        "orders exits",
        "base closes",
        "broken fails",
    ]


def test_resources_are_shut_down_after_a_start_that_failed() -> None:
    """Whether their user was built or not, and also if a condition opened them."""

    class Broken:
        def __init__(self, *needed: object) -> None:
            raise ValueError("broken")

    class Own(Container):
        bus = Component(Bus)
        events: Any = library.Object([])
        near: Any = library.Resource(opened, events, "near")
        early: Any = library.Resource(opened, events, "early")
        settings = Component(dict[str, Any], provided(library.Callable(dict, it=early)))
        broken = Component(Broken, provided(near))
        late = Component(Part, provided(events), "late").enabled(settings.provided["it"].is_open, reason="closed")

    own = Own()
    with pytest.raises(TransitionFailures, match="broken"), running(own):
        pass

    assert sorted(own.events()) == ["early closes", "early opens", "near closes", "near opens"]


def test_a_resource_that_was_opened_before_the_start_is_shut_down_at_the_exit() -> None:
    """By `init_resources`, as in programs written for dependency-injector."""
    site = Site()
    site.init_resources()
    with running(site):
        engine = site.unused()

    assert not engine.is_open


def test_a_resource_that_uses_an_overridden_component_is_shut_down_with_the_override() -> None:
    """It is opened again with the original."""
    site = Site()
    fake: list[str] = []
    with site.override(Site.events).by(fake):
        site.orders()
        assert fake == ["outer opens", "inner opens"]
    site.orders()

    assert fake == ["outer opens", "inner opens", "inner closes", "outer closes"]
    assert site.events() == ["outer opens", "inner opens"]


def test_a_shutdown_that_fails_at_the_end_of_an_override_is_raised_after_the_others() -> None:
    """One failure is raised unchanged, several in a group."""

    class Own(Container):
        events = Component(list[str])
        first: Any = library.Resource(failing, events, "first")
        second: Any = library.Resource(opened, events, "second", first)
        third: Any = library.Resource(failing, events, "third")

    own = Own()
    fake: list[str] = []
    with pytest.raises(OSError, match="first"), own.override(Own.events).by(fake):
        own.second()
    own = Own()
    with pytest.raises(ExceptionGroup), own.override(Own.events).by(fake):
        own.first()
        own.third()

    assert fake[:3] == ["second opens", "second closes", "first fails"]


def test_an_overridden_resource_is_neither_opened_nor_shut_down() -> None:
    """The override is made by the library's own method."""
    site = Site()
    engine = Engine()
    with site.outer.override(engine), site.inner.override(engine), running(site):
        database: Any = site.orders().needed[0]
        assert database[0].needed[0] is engine
        events = site.events()

    assert events == ["other exits", "orders exits"]
    assert engine.is_open


def test_resources_of_nested_containers_are_shut_down_too() -> None:
    """They may be declared in either way."""

    class Outer(Container):
        bus = Component(Bus)
        events = Component(list[str])

        class Inner(Container):
            events: Any = library.Dependency()
            resource: Any = library.Resource(opened, events, "given")
            user = Component(Part, provided(events), "user", provided(resource))

        inner: Any = library.Container(Inner, events=events)

    outer = Outer()
    with running(outer):
        events = outer.events()

    assert events == ["given opens", "user exits", "given closes"]


def test_shutdown_resources_follows_the_graph_and_continues_after_failures() -> None:
    """The library's own method respects direct dependencies alone, and ends at the first failure."""
    site = Site()
    site.init_resources()
    events = site.events()
    site.shutdown_resources()

    assert events.index("inner closes") < events.index("outer closes")

    class Own(Container):
        events = Component(list[str])
        first: Any = library.Resource(opened, events, "first")
        broken: Any = library.Resource(failing, events, "broken")

    own = Own()
    own.init_resources()
    with pytest.raises(OSError, match="broken"):
        own.shutdown_resources()
    assert {"first closes", "broken fails"} <= set(own.events())


def test_resource_classes_of_the_library_are_shut_down() -> None:
    """Classes with `init` and `shutdown` methods, and context managers."""
    calls: list[str] = []

    class Pool(resources.Resource[str]):
        def init(self) -> str:
            """Open it."""
            return "pool"

        def shutdown(self, resource: str | None) -> None:
            """Close it."""
            calls.append(f"{resource} closed")

    class Lock:
        def __init__(self, pool: str) -> None:
            assert pool == "pool"

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            calls.append("lock closed")

    class Own(Container):
        bus = Component(Bus)
        pool: Any = library.Resource(Pool)
        lock: Any = library.Resource(Lock, pool)
        user = Component(Part, [], "user", provided(lock))

    with running(Own()):
        pass

    assert calls == ["lock closed", "pool closed"]


def test_the_hook_limit_applies_to_the_shutdown_of_a_resource() -> None:
    """The report names the resource that hangs."""
    released = threading.Event()

    def hangs() -> Iterator[int]:
        yield 1
        released.wait(60)

    class Own(Container):
        bus = Component(Bus)
        resource: Any = library.Resource(hangs)
        user = Component(Part, [], "user", provided(resource))

    with pytest.raises(TransitionFailures, match=r"Own\.resource\.shutdown"):
        with running(Own(), limits=Limits(hook=0.5)):
            pass
    released.set()
