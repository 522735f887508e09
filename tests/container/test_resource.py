"""Resources: opened when the bus starts and closed when it stops, in the threads of hooks."""

from __future__ import annotations

import contextlib
import io
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers
from tests.doubles import LIMIT, ConstructionRecorder

from typedbus import (
    LOG,
    START,
    STOP,
    Bus,
    Channel,
    Choice,
    Component,
    Container,
    DeclarationError,
    HookTimeout,
    InvalidContainer,
    NotOpen,
    OverrideError,
    Resource,
    ResourceError,
    TransitionFailures,
    every,
    on,
    provided,
    running,
)
from typedbus.events import LIFECYCLE, ComponentStarted, ComponentStarting, Constructed, Constructing, LifecycleEvent
from typedbus.faults import BuildFault, LifetimeFault

order_placed = Channel[[int], str]("order_placed")


class Connection:
    """What the resources of this module open."""

    def __init__(self, notes: list[str], name: str) -> None:
        self.notes = notes
        self.name = name
        self.is_wanted = True


def generated(notes: list[str], name: str = "resource", *needs: object) -> Iterator[Connection]:
    """Open a connection, and close it."""
    notes.append(f"open {name}")
    yield Connection(notes, name)
    notes.append(f"close {name}")


@contextlib.contextmanager
def managed(notes: list[str], name: str = "resource", *needs: object) -> Generator[Connection, None, None]:
    """Open a connection, and close it."""
    yield from generated(notes, name)


class Manager(AbstractContextManager[Connection, None]):
    """Opens a connection, and closes it."""

    def __init__(self, notes: list[str], name: str = "resource", *needs: object) -> None:
        self.notes = notes
        self.name = name

    def __enter__(self) -> Connection:
        self.notes.append(f"open {self.name}")
        return Connection(self.notes, self.name)

    def __exit__(self, *exception: object) -> None:
        assert exception == (None, None, None)
        self.notes.append(f"close {self.name}")


def returned(notes: list[str], name: str = "resource", *needs: object) -> AbstractContextManager[Connection]:
    """Return a context manager that is not a context manager of `contextlib`."""
    return Manager(notes, name)


FORMS = pytest.mark.parametrize("form", [generated, managed, Manager, returned, lambda notes: Manager(notes)])


class One(Container):
    """A container of a bus alone."""

    bus = Component(Bus)


def shop_of(**parts: object) -> Any:
    """Return a container `Shop` with *parts* as its declarations."""
    container_class: Callable[[], One] = type("Shop", (One,), parts)
    return container_class()


def failures_of_start(shop: Any) -> list[Exception]:
    """Start *shop*, which fails, and return the failures; the bus has exited."""
    with pytest.raises(TransitionFailures) as caught, running(shop):
        raise AssertionError
    return list(caught.value.exceptions)


@FORMS
def test_a_resource_is_opened_when_the_bus_starts_and_closed_when_it_stops(form: Any) -> None:
    """The component is the object that a generator yields, or that a context manager returns."""
    notes: list[str] = []
    shop = shop_of(resource=Resource(form, notes))

    with running(shop):
        assert type(shop.resource()) is Connection
        assert shop.resource() is shop.resource()
        assert notes == ["open resource"]
        shop.bus().stop()
        assert notes == ["open resource", "close resource"]


def test_a_context_manager_of_the_standard_library_is_opened() -> None:
    """`TemporaryDirectory` provides the name of the folder."""
    shop = shop_of(folder=Resource(tempfile.TemporaryDirectory, prefix="typedbus-"))

    with running(shop):
        folder = Path(shop.folder())
        assert folder.is_dir()
    assert not folder.exists()


def test_a_component_that_needs_a_resource_is_built_after_it_is_open_and_dropped_before_it_is_closed() -> None:
    """Also if it needs the resource through other components; the other components are built before the start."""
    notes: list[str] = []

    resource = Resource(generated, notes)
    near = Component(ConstructionRecorder, notes, "near", resource.provided)
    far = Component(ConstructionRecorder, notes, "far", near.provided)
    other = Component(ConstructionRecorder, notes, "other")

    with running(shop_of(far=far, near=near, resource=resource, other=other)):
        assert notes == [
            "build other", "open resource", "build near", "start near", "build far", "start far", "start other",
        ]  # fmt: skip
        notes.clear()

    assert notes == [
        "stop other", "stop far", "exit far", "stop near", "exit near", "close resource", "exit other",
    ]  # fmt: skip


def test_the_component_receives_the_opened_object_and_its_attributes() -> None:
    """As it receives a component."""
    received: list[object] = []
    resource = Resource(generated, [], "tea")
    shop = shop_of(
        resource=resource,
        user=Component(lambda *args: received.extend(args), resource.provided, resource.provided.name),
    )

    with running(shop):
        assert received == [shop.resource(), "tea"]


def test_a_start_after_a_stop_builds_only_the_resource_and_its_users_again() -> None:
    """A start after an exit builds everything again."""
    notes: list[str] = []
    resource = Resource(generated, notes)
    user = Component(ConstructionRecorder, notes, "user", resource.provided)
    shop = shop_of(other=Component(ConstructionRecorder, notes, "other"), resource=resource, user=user)

    with running(shop):
        first = shop.user(), shop.other(), shop.resource()
        shop.bus().stop()
        notes.clear()
        shop.bus().start()
        assert notes == ["start other", "open resource", "build user", "start user"]
        second = shop.user(), shop.other(), shop.resource()
    assert [one is other for one, other in zip(first, second, strict=True)] == [False, True, False]

    notes.clear()
    with running(shop):
        assert notes == ["build other", "start other", "open resource", "build user", "start user"]


def test_a_resource_is_not_open_before_the_start_and_after_the_stop() -> None:
    """Neither is a component that needs it: a call would open it at the wrong time, and not close it."""
    notes: list[str] = []
    resource = Resource(generated, notes)
    shop = shop_of(resource=resource, user=Component(ConstructionRecorder, notes, "user", resource.provided))

    def are_refused() -> bool:
        for component in (shop.resource, shop.user):
            with pytest.raises(NotOpen) as caught:
                component()
            assert (caught.value.path, caught.value.place) == ("Shop.resource", resource.place)
        return True

    assert are_refused()
    with running(shop):
        shop.bus().stop()
        assert are_refused()
    assert are_refused()
    assert notes == ["open resource", "build user", "start user", "stop user", "exit user", "close resource"]


def test_a_function_that_is_passed_lazily_returns_the_open_resource() -> None:
    """It does not order the start."""
    notes: list[str] = []
    resource = Resource(generated, notes)

    class Lazy:
        def __init__(self, resource: Callable[[], Connection]) -> None:
            notes.append("build lazy")
            self.resource = resource

    shop = shop_of(lazy=Component(Lazy, resource.lazy), resource=resource)

    with running(shop):
        assert notes == ["build lazy", "open resource"]
        assert shop.lazy().resource() is shop.resource()


def test_the_opening_is_published_as_events() -> None:
    """The call of the declared function as a construction, and the opening as a start, under the path of the resource."""
    shop = shop_of(resource=Resource(generated, []))
    events: list[LifecycleEvent] = []
    shop.bus()[LIFECYCLE].subscribe(events.append)

    with running(shop):
        own = [event for event in events if getattr(event, "path", "") == "Shop.resource"]

    kinds = (ComponentStarting, Constructing, Constructed, ComponentStarted)
    assert [type(event) for event in own if isinstance(event, kinds)] == list(kinds)


def test_a_failure_while_it_is_opened_is_the_failure_of_the_start() -> None:
    """The resources that are open are closed in the reverse order, and nothing else is built."""
    notes: list[str] = []

    def failing(second: Connection) -> Iterator[Connection]:
        if second.name:
            raise OSError("no network")
        yield second

    first = Resource(generated, notes, "first")
    second = Resource(generated, notes, "second", first.provided)
    third = Resource(failing, second.provided)
    shop = shop_of(
        first=first, second=second, third=third, user=Component(ConstructionRecorder, notes, "user", third.provided)
    )

    (error,) = failures_of_start(shop)

    assert str(error) == "no network"
    place = shop.third.place
    assert error.__notes__ == [
        f"raised while Shop.third was opened ({place})",
        "raised by Shop.third.open on channel 'start'",
    ]
    assert notes == ["open first", "open second", "close second", "close first"]


def test_a_component_whose_constructor_fails_is_not_stopped() -> None:
    """The resource that it needs is closed."""
    notes: list[str] = []
    resource = Resource(generated, notes)
    user = Component(ConstructionRecorder, notes, "user", resource.provided, failing=["build user"])

    (error,) = failures_of_start(shop_of(resource=resource, user=user))

    assert "raised by Shop.user.build on channel 'start'" in error.__notes__
    assert notes == ["open resource", "build user", "close resource"]


def test_a_component_whose_start_fails_is_not_stopped_but_exits() -> None:
    """As a component that needs no resource."""
    notes: list[str] = []
    resource = Resource(generated, notes)
    user = Component(ConstructionRecorder, notes, "user", resource.provided, failing=["start user"])

    failures_of_start(shop_of(resource=resource, user=user))

    assert notes == ["open resource", "build user", "start user", "exit user", "close resource"]


def test_a_failure_while_it_is_closed_is_a_failure_of_the_stop() -> None:
    """The other resources are closed."""
    notes: list[str] = []

    def failing(first: Connection) -> Iterator[Connection]:
        yield first
        raise OSError("no close")

    first = Resource(generated, notes, "first")
    shop = shop_of(first=first, failing=Resource(failing, first.provided))
    bus = shop.attach()
    bus.start()
    with pytest.raises(TransitionFailures) as caught:
        bus.exit()

    (failure,) = caught.value.failures
    assert (failure.name, failure.channel, str(failure.error)) == ("Shop.failing.close", "stop", "no close")
    assert notes == ["open first", "close first"]


def test_a_generator_must_yield_once() -> None:
    """The error names the resource and its place."""

    def never() -> Iterator[Connection]:
        yield from ()

    def twice() -> Iterator[Connection]:
        yield Connection([], "first")
        yield Connection([], "second")

    resource = Resource(never)
    (error,) = failures_of_start(shop_of(resource=resource))
    assert isinstance(error, ResourceError)
    assert (error.path, error.place) == ("Shop.resource", resource.place)
    assert "ends without a yield" in error.reason

    shop = shop_of(resource=Resource(twice))
    bus = shop.attach()
    bus.start()
    with pytest.raises(TransitionFailures) as caught:
        bus.stop()
    (error,) = caught.value.exceptions
    assert isinstance(error, ResourceError)
    assert "it yields twice" in error.reason
    bus.exit()


def test_a_resource_receives_no_exception_and_suppresses_none() -> None:
    """The failure of a start is not the failure of the resource."""
    notes: list[object] = []

    class Suppressing:
        def __enter__(self) -> None:
            """Open nothing."""

        def __exit__(self, *exception: object) -> bool:
            notes.append(exception)
            return True

    def failing(resource: None) -> None:
        raise OSError("no component")

    resource = Resource(Suppressing)
    (error,) = failures_of_start(shop_of(resource=resource, user=Component(failing, resource.provided)))

    assert str(error) == "no component"
    assert notes == [(None, None, None)]


def test_a_result_that_cannot_be_opened_fails_the_start() -> None:
    """If neither code nor annotation show it before."""
    (error,) = failures_of_start(shop_of(resource=Resource(lambda: object())))  # type: ignore[call-overload]  # the fault

    assert isinstance(error, ResourceError)
    assert "a builtins.object cannot be opened" in error.reason


def test_a_class_that_cannot_be_opened_is_refused_at_its_declaration() -> None:
    """Type checkers refuse it as well."""
    builds: Any = Connection

    with pytest.raises(DeclarationError, match="neither a context manager nor a generator"):
        Resource(builds, [], "tea")


def test_a_connection_that_only_the_result_shows_fails_the_start() -> None:
    """It would not be closed."""
    made: list[sqlite3.Connection] = []

    def connect():  # type: ignore[no-untyped-def]  # the subject
        made.append(sqlite3.connect(":memory:"))
        return made[0]

    (error,) = failures_of_start(shop_of(resource=Resource(connect)))
    made[0].close()

    assert isinstance(error, ResourceError)
    assert "the with statement of sqlite3.Connection is a transaction" in error.reason


@pytest.mark.parametrize("builds", [sqlite3.connect, sqlite3.Connection])
def test_a_connection_whose_with_statement_is_a_transaction_is_a_fault(builds: Any) -> None:
    """It would not be closed."""
    with pytest.raises(InvalidContainer) as caught:
        shop_of(resource=Resource(builds, ":memory:")).validate()

    (fault,) = caught.value.exceptions
    assert isinstance(fault, BuildFault)
    assert "is a transaction, and does not close the connection" in fault.problem
    assert "closed_by(...)" in fault.remedy


def test_a_function_that_returns_an_iterator_is_refused_at_its_declaration() -> None:
    """Type checkers take it for a generator function."""

    def iterated() -> Iterator[Connection]:
        return iter([Connection([], "tea")])

    with pytest.raises(DeclarationError, match="is not a generator function"):
        Resource(iterated)


def test_a_resource_that_closes_itself_is_not_closed_by_a_function() -> None:
    """It would be closed twice."""
    with pytest.raises(DeclarationError, match=r"a generator closes its object itself; remove closed_by"):
        Resource(generated, []).closed_by(print)


@pytest.mark.parametrize("workers", [1, 8])
def test_listeners_on_other_channels_are_called_in_the_order_of_declaration(workers: int) -> None:
    """Whether or not they are built at their turn, and whichever is built first."""
    called: list[str] = []

    class Listener:
        def __init__(self, name: str, *needs: object) -> None:
            self.name = name

        @on(order_placed)
        def place(self, order: int, /) -> str:
            called.append(self.name)
            return self.name

    slow = threading.Event()

    def waiting() -> Iterator[None]:
        slow.wait(0.05 if workers > 1 else 0)
        yield

    resource, late = Resource(generated, []), Resource(waiting)
    shop = shop_of(
        resource=resource,
        late=late,
        a=Component(Listener, "a", late.provided),
        b=Component(Listener, "b"),
        c=Component(Listener, "c", resource.provided),
        d=Component(Listener, "d"),
    )

    with running(shop, workers=workers):
        first = shop.bus()[order_placed].publish(1)
        shop.bus().stop()
        assert shop.bus()[order_placed].publish(2) == ["b", "d"]
        shop.bus().start()
        assert shop.bus()[order_placed].publish(3) == first

    assert first == ["a", "b", "c", "d"]
    assert called == [*first, "b", "d", *first]


def test_an_override_by_an_object_is_neither_opened_nor_closed() -> None:
    """The components that need it are built before the start."""
    notes: list[str] = []
    resource = Resource(generated, notes)
    shop = shop_of(resource=resource, user=Component(ConstructionRecorder, notes, "user", resource.provided))

    with shop.override(shop.resource).by(Connection(notes, "fake")):
        shop.user()
        with running(shop):
            assert shop.resource().name == "fake"
    assert notes == ["build user", "start user", "stop user", "exit user"]

    notes.clear()
    with running(shop):
        assert notes == ["open resource", "build user", "start user"]


def test_an_override_by_another_resource_is_opened() -> None:
    """In place of the declared one, and under its path."""
    notes: list[str] = []
    shop = shop_of(resource=Resource(generated, notes))

    with shop.override(shop.resource).by(Resource(Manager, notes, "other")), running(shop):
        assert notes == ["open other"]
    assert notes == ["open other", "close other"]


def test_a_resource_can_be_overridden_between_a_stop_and_a_start() -> None:
    """It is not open, and nothing is built with it."""
    notes: list[str] = []
    resource = Resource(generated, notes)
    shop = shop_of(resource=resource, user=Component(ConstructionRecorder, notes, "user", resource.provided))
    bus = shop.attach()
    bus.start()
    with pytest.raises(OverrideError), shop.override(shop.resource).by(Connection(notes, "fake")):
        raise AssertionError
    bus.stop()
    notes.clear()

    with shop.override(shop.resource).by(Connection(notes, "fake")):
        bus.start()
        bus.exit()

    assert notes == ["build user", "start user", "stop user", "exit user"]


def test_a_component_can_be_overridden_by_a_resource() -> None:
    """Its users are built at their turn then."""
    notes: list[str] = []
    component = Component(Connection, notes, "component")
    shop = shop_of(component=component, user=Component(ConstructionRecorder, notes, "user", component.provided))

    with shop.override(shop.component).by(Resource(generated, notes)), running(shop):
        assert notes == ["open resource", "build user", "start user"]


def test_a_subclass_replaces_a_component_by_a_resource() -> None:
    """The declarations of the base class that refer to it are built at their turn."""
    notes: list[str] = []

    class Base(Container):
        bus = Component(Bus)
        connection = Component(Connection, notes, "component")
        user = Component(ConstructionRecorder, notes, "user", connection.provided)

    class Shop(Base):
        connection = Resource(generated, notes)

    with running(Shop) as shop:
        assert notes == ["open resource", "build user", "start user"]
        assert shop.connection().name == "resource"


def test_a_resource_in_a_nested_container_is_opened_for_the_outer_one() -> None:
    """And in a container that another one refers to."""
    notes: list[str] = []

    class Infra(Container):
        resource = Resource(generated, notes)

    class Shop(Container):
        bus = Component(Bus)
        infra = Infra()
        user = Component(ConstructionRecorder, notes, "user", infra.resource.provided)

    class Report(Container):
        referring = Component(ConstructionRecorder, notes, "referring", Infra.resource.provided)

    with running(Shop, Report):
        assert notes == ["open resource", "build user", "start user", "build referring", "start referring"]
        notes.clear()
    assert notes == ["stop referring", "exit referring", "stop user", "exit user", "close resource"]


def test_a_resource_that_is_not_enabled_is_not_opened() -> None:
    """A component that takes it as optional is built before the start."""
    notes: list[str] = []
    resource = Resource(generated, notes).enabled(False, reason="off")
    shop = shop_of(resource=resource, user=Component(ConstructionRecorder, notes, "user", resource.optional))

    with running(shop):
        shop.user()
    assert notes == ["build user", "start user", "stop user", "exit user"]


def test_a_condition_is_evaluated_at_each_start_that_opens() -> None:
    """A resource is not built after a stop, unlike other components."""
    notes: list[str] = []
    switch = {"on": True}
    resource = Resource(generated, notes).enabled(provided(providers.Callable(switch.__getitem__, "on")), reason="off")
    shop = shop_of(resource=resource)

    with running(shop):
        shop.bus().stop()
        switch["on"] = False
        notes.clear()
        shop.bus().start()
    assert notes == []


@pytest.mark.parametrize("key", ["file", "memory"])
def test_a_choice_opens_the_resource_that_it_selects(key: str) -> None:
    """Its users are built at their turn only if a resource is selected."""
    notes: list[str] = []
    file, memory = Resource(generated, notes, "file"), Component(Connection, notes, "memory")
    store = Choice[Connection](key, {"file": file, "memory": memory})
    shop = shop_of(
        file=file, memory=memory, store=store, user=Component(ConstructionRecorder, notes, "user", store.provided)
    )

    if key == "memory":
        shop.user()
    with running(shop):
        assert shop.store().name == key
    opened, closed = (["open file"], ["close file"]) if key == "file" else ([], [])
    assert notes == [*opened, "build user", "start user", "stop user", "exit user", *closed]


def test_a_list_of_all_components_of_a_kind_has_the_open_resources() -> None:
    """The component that receives it is built after they are open."""
    received: list[str] = []

    class Reader:
        def __init__(self, connections: Sequence[Connection]) -> None:
            received.extend(connection.name for connection in connections)

    shop = shop_of(
        reader=Component(Reader, every(Connection)),
        first=Resource(generated, [], "first"),
        second=Component(Connection, [], "second"),
        third=Resource(managed, [], "third"),
    )

    with running(shop):
        assert received == ["first", "second", "third"]


def test_hooks_of_one_object_of_two_components_are_called_once() -> None:
    """They listen for the component that built the object."""
    notes: list[str] = []

    def same(recorder: ConstructionRecorder) -> ConstructionRecorder:
        return recorder

    resource = Resource(generated, notes)
    user = Component(ConstructionRecorder, notes, "user", resource.provided)
    alias = Component(same, user.provided).on(START.calls(lambda user: notes.append("start alias")))

    with running(shop_of(resource=resource, user=user, alias=alias)):
        pass

    assert notes == [
        "open resource", "build user", "start user", "start alias", "stop user", "exit user", "close resource",
    ]  # fmt: skip


def test_hooks_of_a_class_that_is_known_only_when_it_is_built_are_called() -> None:
    """A function without an annotation returns it."""
    notes: list[str] = []

    def make(resource):  # type: ignore[no-untyped-def]  # the subject
        return Maker(notes, "user")

    class Maker(ConstructionRecorder):
        @on(order_placed)
        def place(self, order: int, /) -> str:
            return self.name

    resource = Resource(generated, notes)
    shop = shop_of(resource=resource, user=Component(make, resource.provided))

    with running(shop):
        assert notes == ["open resource", "build user", "start user"]
        assert shop.bus()[order_placed].publish(1) == ["user"]
        notes.clear()
    assert notes == ["stop user", "exit user", "close resource"]


def test_a_component_whose_class_was_not_known_exits_if_its_start_fails() -> None:
    """As one whose class is declared."""
    notes: list[str] = []

    def make(resource):  # type: ignore[no-untyped-def]  # the subject
        return ConstructionRecorder(notes, "user", failing=["start user"])

    resource = Resource(generated, notes)

    failures_of_start(shop_of(resource=resource, user=Component(make, resource.provided)))

    assert notes == ["open resource", "build user", "start user", "exit user", "close resource"]


def test_a_resource_whose_class_was_not_known_is_closed_if_its_hook_fails() -> None:
    """The hook was declared for a class that no annotation names."""
    notes: list[str] = []

    class Checked(Connection):
        def check(self) -> None:
            raise OSError("no answer")

    def opened():  # type: ignore[no-untyped-def]  # the subject
        notes.append("open")
        yield Checked(notes, "checked")
        notes.append("close")

    (error,) = failures_of_start(shop_of(resource=Resource(opened).on(START.calls(Checked.check))))

    assert str(error) == "no answer"
    assert notes == ["open", "close"]


def test_a_component_that_is_built_during_a_stop_is_built_again_by_the_next_start() -> None:
    """Its resource is closed right after that."""
    notes: list[str] = []

    class Asking(ConstructionRecorder):
        def stop(self) -> None:
            super().stop()
            shop.user()

    resource = Resource(generated, notes)
    asking = Component(Asking, notes, "asking", resource.provided)
    user = Component(ConstructionRecorder, notes, "user", resource.provided)
    shop = shop_of(resource=resource, asking=asking, user=user)
    bus = shop.attach()
    bus.start()
    bus.stop()
    assert notes[-4:] == ["stop asking", "build user", "exit asking", "close resource"]
    notes.clear()
    bus.start()
    assert notes == ["open resource", "build asking", "start asking", "build user", "start user"]
    bus.exit()


def test_hooks_of_an_alias_are_called_whatever_hooks_the_object_has() -> None:
    """Its own hook of `STOP` needs no hook of `START`."""
    notes: list[str] = []

    def same(recorder: ConstructionRecorder) -> ConstructionRecorder:
        return recorder

    resource = Resource(generated, notes)
    user = Component(ConstructionRecorder, notes, "user", resource.provided)
    alias = Component(same, user.provided).on(STOP.calls(lambda user: notes.append("stop alias")))

    with running(shop_of(resource=resource, user=user, alias=alias)):
        notes.clear()
    assert notes == ["stop alias", "stop user", "exit user", "close resource"]


def test_each_argument_is_built_once() -> None:
    """A factory of the library is called once for each opening."""
    built: list[str] = []

    def build() -> str:
        built.append("argument")
        return "argument"

    def opened(argument: str) -> Iterator[Connection]:
        yield Connection([], argument)

    resource = Resource(opened, provided(providers.Factory(build))).add_attributes(is_wanted=False)

    with running(shop_of(resource=resource)):
        assert built == ["argument"]


def test_methods_of_the_opened_object_are_hooks_only_where_that_is_declared() -> None:
    """Many context managers call their own `start` and `stop`."""
    notes: list[str] = []

    class Recorder(ConstructionRecorder):
        @on(order_placed)
        def place(self, order: int, /) -> str:
            return "placed"

    def opened() -> Iterator[Recorder]:
        recorder = Recorder(notes)
        recorder.start()
        yield recorder
        recorder.stop()

    declared = Resource(opened).on(STOP.calls(lambda recorder: notes.append("flush")))
    with running(shop_of(resource=declared)) as shop:
        assert shop.bus()[order_placed].publish(1) == ["placed"]

    assert notes == ["build", "start", "flush", "stop"]


def test_a_component_that_needs_a_resource_is_closed_by_its_function_at_the_stop() -> None:
    """Because the next start builds it again."""
    notes: list[str] = []
    resource = Resource(generated, notes)
    user = Component(ConstructionRecorder, notes, "user", resource.provided).closed_by(
        lambda user: notes.append("closed")
    )
    shop = shop_of(resource=resource, user=user)

    with running(shop):
        shop.bus().stop()
        assert notes[3:] == ["stop user", "exit user", "closed", "close resource"]


def test_a_singleton_of_the_library_that_was_built_with_a_resource_is_dropped_with_it() -> None:
    """And a resource of the library is shut down before the resource that it needs is closed."""
    notes: list[str] = []

    def library(connection: Connection) -> Iterator[str]:
        notes.append("initialize")
        yield "library"
        notes.append("shut down")

    def built(opened: str) -> list[str]:
        notes.append(f"build on {opened}")
        return notes

    resource = Resource(generated, notes)
    opened = providers.Resource(library, resource)
    singleton = providers.Singleton(built, opened)
    shop = shop_of(resource=resource, opened=opened, singleton=singleton, user=Component(list, [provided(singleton)]))

    with running(shop):
        assert notes == ["open resource", "initialize", "build on library"]
        notes.clear()
        shop.bus().stop()
        assert notes == ["shut down", "close resource"]
        notes.clear()
        shop.bus().start()
        assert notes == ["open resource", "initialize", "build on library"]


def test_a_singleton_of_the_library_that_only_calls_a_resource_later_is_kept() -> None:
    """It was not built with it."""

    class Holder:
        def __init__(self, resource: Callable[[], Connection]) -> None:
            self.resource = resource

    resource = Resource(generated, [])
    shop = shop_of(resource=resource, holder=providers.Singleton(Holder, resource.provider))

    with running(shop):
        holder = shop.holder()
        assert holder.resource() is shop.resource()
        shop.bus().stop()
        shop.bus().start()
        assert shop.holder() is holder


@pytest.mark.slow
def test_a_resource_that_opens_too_late_is_closed_at_once() -> None:
    """Its thread closes it, and the log has a line about it."""
    notes: list[str] = []
    released, closed = threading.Event(), threading.Event()
    messages: list[str] = []

    def late() -> Iterator[None]:
        released.wait(LIMIT)
        notes.append("open")
        yield
        notes.append("close")
        closed.set()

    shop = shop_of(resource=Resource(late).within(0.5))
    shop.bus()[LOG].subscribe(lambda message, level: messages.append(message))
    try:
        (error,) = failures_of_start(shop)
        assert isinstance(error, HookTimeout)
        assert (error.path, error.hook) == ("Shop.resource", "start")
        assert notes == []
    finally:
        released.set()

    assert closed.wait(LIMIT)
    assert notes == ["open", "close"]
    assert [text for text in messages if "Shop.resource.open returned after" in text and "Shop.resource.close" in text]


@pytest.mark.slow
def test_a_component_that_starts_too_late_is_stopped_and_dropped_in_its_thread() -> None:
    """It exits after that; the resource that it needs has been closed by the rollback."""
    notes: list[str] = []
    released, ended = threading.Event(), threading.Event()

    class Late(ConstructionRecorder):
        def start(self) -> None:
            released.wait(LIMIT)
            super().start()

        def exit(self) -> None:
            super().exit()
            ended.set()

    resource = Resource(generated, notes)
    shop = shop_of(resource=resource, late=Component(Late, notes, "late", resource.provided).within(0.5))
    try:
        (error,) = failures_of_start(shop)
        assert isinstance(error, HookTimeout)
        assert notes == ["open resource", "build late", "close resource"]
    finally:
        released.set()

    assert ended.wait(LIMIT)
    assert notes[3:] == ["start late", "stop late", "exit late"]


def test_a_stop_in_the_middle_of_a_start_closes_what_is_open() -> None:
    """The components that have not had their turn are not built."""
    notes: list[str] = []
    first = Resource(generated, notes, "first")

    class Stopper:
        def __init__(self, bus: Bus, connection: Connection) -> None:
            self.bus = bus

        def start(self) -> None:
            self.bus.request_exit()

    stopper = Component(Stopper, One.bus.provided, first.provided)
    last = Resource(generated, notes, "last", stopper.provided)
    shop = shop_of(first=first, stopper=stopper, last=last)

    with pytest.raises(Exception, match="cancelled"), running(shop):
        raise AssertionError

    assert notes == ["open first", "close first"]


def test_resources_that_do_not_need_each_other_are_opened_side_by_side() -> None:
    """With several workers."""
    barrier = threading.Barrier(8, timeout=LIMIT)

    def meeting() -> Iterator[int]:
        yield barrier.wait()
        barrier.wait()

    shop = shop_of(**{f"r{number}": Resource(meeting) for number in range(8)})

    with running(shop, workers=8):
        assert {getattr(shop, f"r{number}")() for number in range(8)} == set(range(8))


def test_a_file_is_a_context_manager() -> None:
    """And not an iterator of lines."""

    def opened() -> io.StringIO:
        return io.StringIO("tea")

    shop = shop_of(file=Resource(opened))
    with running(shop):
        file = shop.file()
        assert file.read() == "tea"
    assert file.closed


def test_attributes_of_a_declaration_are_set_on_the_opened_object() -> None:
    """Before other components receive it."""
    shop = shop_of(resource=Resource(generated, []).add_attributes(name="set"))

    with running(shop):
        assert shop.resource().name == "set"


def test_a_condition_cannot_need_a_resource() -> None:
    """It is evaluated before anything is opened."""
    resource = Resource(generated, [])
    shop = shop_of(resource=resource, user=Component(list).enabled(resource.provided.is_wanted, reason="off"))

    with pytest.raises(InvalidContainer) as caught:
        shop.validate()
    (fault,) = caught.value.exceptions
    assert isinstance(fault, LifetimeFault)
    assert (fault.path, fault.place) == ("Shop.user", shop.user.place)
    assert "its condition needs Shop.resource" in fault.problem


FIRST_SUBSCRIPTION = """
from collections.abc import Iterator
from typedbus import Bus, Component, Container, Resource, running


def engine() -> Iterator[str]:
    yield "engine"


class Shop(Container):
    bus = Component(Bus)
    engine = Resource(engine)
    orders = Component(str.upper, engine.provided)


with running(Shop()) as shop:
    shop.bus().stop()
    shop.bus().start()
    print(shop.orders())
"""


def test_the_first_subscription_of_a_process_may_be_that_of_a_resource() -> None:
    """A start after a stop gives it the same position, which is the first of all."""
    program = subprocess.run([sys.executable, "-c", FIRST_SUBSCRIPTION], capture_output=True, text=True, check=False)
    assert (program.returncode, program.stdout) == (0, "ENGINE\n"), program.stderr
