"""One object returned by several components: its methods are called once, in the turn of the component that built it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import attrs
import pytest
from dependency_injector import providers

from typedbus import (
    EXIT,
    START,
    STOP,
    Bus,
    Channel,
    Component,
    Container,
    HookTimeout,
    Limits,
    TransitionFailures,
    on,
    provided,
    running,
)
from typedbus.events import SUBSCRIBED

order_placed = Channel[[int], None]("order_placed")


class Store(Protocol):
    calls: list[str]


class SqlStore:
    """Records the calls of its hooks."""

    def __init__(self, calls: list[str], name: str = "sql") -> None:
        self.calls = calls
        self.name = name

    def start(self) -> None:
        self.calls.append(f"{self.name} starts")

    def stop(self) -> None:
        self.calls.append(f"{self.name} stops")

    def exit(self) -> None:
        self.calls.append(f"{self.name} exits")

    @on(order_placed)
    def record(self, order: int, /) -> None:
        self.calls.append(f"{self.name} records {order}")

    def warm(self) -> None:
        self.calls.append(f"{self.name} warms up")

    def flush(self) -> None:
        self.calls.append(f"{self.name} flushes")


class Worker:
    def __init__(self, store: SqlStore) -> None:
        self.store = store

    def start(self) -> None:
        self.store.calls.append("worker starts")

    def stop(self) -> None:
        self.store.calls.append("worker stops")

    def exit(self) -> None:
        self.store.calls.append("worker exits")


def as_store(store: SqlStore) -> Store:
    return store


def as_sql(store: SqlStore) -> SqlStore:
    return store


class Shop(Container):
    bus = Component(Bus)
    calls = Component(list[str])
    sql = Component(SqlStore, calls.provided)
    worker = Component(Worker, sql.provided)
    store = Component(as_store, sql.provided)


class Base(Container):
    store = Component(SqlStore, provided(providers.Object(list[str]())))


class AliasFirst(Base):
    bus = Component(Bus)
    calls = Component(list[str])
    sql = Component(SqlStore, calls.provided)
    worker = Component(Worker, sql.provided)
    store = Component(as_sql, sql.provided)  # declared where the base declares it, before the original


class Names(Container):
    calls = Component(list[str])
    sql = Component(SqlStore, calls.provided)


class Nested(Container):
    bus = Component(Bus)
    names = Names()
    worker = Component(Worker, names.sql.provided)
    store = Component(as_sql, names.sql.provided)

    @property
    def calls(self) -> Component[list[str]]:
        return self.names.calls


library: Any = providers


class Made(Container):
    bus = Component(Bus)
    calls = Component(list[str])
    sql = Component(SqlStore, calls.provided)
    worker = Component(Worker, sql.provided)
    store: Component[SqlStore] = Component(as_sql, provided(library.Factory(as_sql, sql)))


LIFE = ["sql starts", "worker starts", "worker stops", "sql stops", "worker exits", "sql exits"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("cls", [Shop, AliasFirst, Nested, Made])
def test_an_object_with_two_names_starts_in_the_turn_of_the_component_that_built_it(
    cls: Callable[[], Any], workers: int
) -> None:
    """A component that needs the object starts after it, whichever component returns the same object later."""
    shop = cls()
    with running(shop, workers=workers):
        calls = shop.calls()
    assert calls == LIFE


def test_a_listener_with_two_names_is_called_once() -> None:
    """A mark counts once for the object, not once for each of its names."""
    shop = Shop()
    with running(shop):
        shop.bus()[order_placed].publish(7)
    assert shop.calls().count("sql records 7") == 1


def test_a_second_start_calls_the_hooks_in_the_same_order() -> None:
    """Each hook is called once when the bus is stopped and started again."""
    shop = Shop()
    with running(shop):
        shop.bus().stop()
        shop.bus().start()
    assert shop.calls() == [*LIFE[:4], *LIFE]


@attrs.define
class Slow:
    started: threading.Event
    leave: threading.Event

    def start(self) -> None:
        assert self.leave.wait(10)
        self.started.set()


@attrs.define
class Checks:
    slow: object
    started: threading.Event
    was_started: bool = False

    def start(self) -> None:
        self.was_started = self.started.is_set()


def same(slow: Slow) -> Slow:
    return slow


@attrs.define
class Opens:
    leave: threading.Event

    def start(self) -> None:
        self.leave.set()


def test_a_component_that_needs_the_second_name_waits_for_the_object() -> None:
    """This holds with several worker threads as well."""
    started, leave = threading.Event(), threading.Event()

    class App(Container):
        bus = Component(Bus)
        slow = Component(Slow, started, leave)
        alias = Component(same, slow.provided)
        checks = Component(Checks, alias.provided, started)
        opens = Component(Opens, leave)

    app = App()
    with running(app, workers=2):
        assert app.checks().was_started


def test_two_factories_that_return_one_object_have_an_order() -> None:
    """Without a dependency between them the first in the order of starts subscribes the object, and the other waits."""
    started, leave = threading.Event(), threading.Event()
    slow = Slow(started, leave)

    def one() -> Slow:
        return slow

    def other() -> Slow:
        return slow

    class App(Container):
        bus = Component(Bus)
        first = Component(one)
        second = Component(other)
        checks = Component(Checks, second.provided, started)
        opens = Component(Opens, leave)

    app = App()
    needs = {}
    app.attach()[SUBSCRIBED].subscribe(lambda event, /: needs.update({event.path: event.needs}))
    with running(app, workers=3):
        assert app.checks().was_started
    assert needs["App.second"] == ("App.first",)


def test_hooks_added_to_an_alias_are_called_once_after_the_object_has_started() -> None:
    """`on` of an alias adds hooks in the turn of the alias; a hook that the object already has is not added."""

    class App(Container):
        bus = Component(Bus)
        calls = Component(list[str])
        sql = Component(SqlStore, calls.provided)
        worker = Component(Worker, sql.provided)
        store = Component(as_sql, sql.provided).on(
            START.calls(SqlStore.start), START.calls(SqlStore.warm), STOP.calls(SqlStore.flush), EXIT.calls(as_exit)
        )

    app = App()
    with running(app, workers=2):
        pass
    assert sorted(app.calls()) == sorted([*LIFE, "sql warms up", "sql flushes", "alias exits"])
    assert app.calls().index("sql warms up") > app.calls().index("sql starts")
    assert app.calls().index("sql flushes") < app.calls().index("sql stops")


def as_exit(store: SqlStore) -> None:
    store.calls.append("alias exits")


def test_an_alias_does_not_restore_a_hook_that_the_original_excludes() -> None:
    """`without` of the component that built the object applies to its other names, too."""

    class App(Container):
        bus = Component(Bus)
        calls = Component(list[str])
        sql = Component(SqlStore, calls.provided).without(START, STOP, EXIT, order_placed)
        store = Component(as_store, sql.provided)

    app = App()
    with running(app):
        app.bus()[order_placed].publish(1)
    assert app.calls() == []


@attrs.define
class Hangs:
    leave: threading.Event

    def start(self) -> None:
        self.leave.wait(10)


def test_the_time_limit_is_that_of_the_component_that_built_the_object() -> None:
    """An alias without a limit does not remove it."""
    leave = threading.Event()

    def same_again(one: Hangs) -> Hangs:
        return one

    class App(Container):
        bus = Component(Bus)
        hangs = Component(Hangs, leave).within(0.5)
        alias = Component(same_again, hangs.provided)

    with pytest.raises(TransitionFailures) as raised, running(App(), limits=Limits(start=10)):
        pass
    leave.set()
    [failure] = raised.value.failures
    assert isinstance(failure.error, HookTimeout)
    assert (failure.error.path, failure.error.scope) == ("App.hangs", "component")


@pytest.mark.parametrize("by_component", [False, True])
def test_an_override_of_the_original_has_its_place(by_component: bool) -> None:
    """The override is subscribed at the place of the original, and the alias returns it."""
    shop = Shop()
    calls: list[str] = []
    fake = Component(SqlStore, calls, "fake") if by_component else SqlStore(calls, "fake")
    with shop.override(Shop.sql).by(fake), running(shop, workers=2):
        assert shop.store() is shop.sql()
    assert calls == [step.replace("sql", "fake") for step in LIFE]


def test_an_override_of_the_alias_starts_beside_the_original() -> None:
    """The override is another object, which is started in addition."""
    shop, calls = Shop(), list[str]()
    with shop.override(Shop.store).by(SqlStore(calls, "fake")), running(shop):
        pass
    assert calls == ["fake starts", "fake stops", "fake exits"]
    assert shop.calls() == LIFE


def test_one_object_in_two_containers_is_called_once() -> None:
    """The container that starts first subscribes it."""
    calls: list[str] = []
    shared = SqlStore(calls)

    def given() -> SqlStore:
        return shared

    class First(Container):
        bus = Component(Bus)
        sql = Component(given)
        worker = Component(Worker, sql.provided)

    class Second(Container):
        sql = Component(given)

    with running(First(), Second(), workers=2):
        pass
    assert calls == LIFE


def test_an_object_is_subscribed_under_its_second_name_after_the_first_was_overridden() -> None:
    """The overridden component no longer subscribes the object, so the other component may."""
    shop, calls = Shop(), list[str]()
    fake = SqlStore(calls, "fake")
    with shop.override(Shop.sql).by(fake), running(shop):
        pass
    calls.clear()
    with shop.override(Shop.store).by(fake), running(shop):
        pass
    assert calls == ["fake starts", "fake stops", "fake exits"]
