"""Constructors, threads and locks: each component is constructed once, and no thread waits for itself."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from dependency_injector import providers
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import Bus, Component, ConstructionCycle, Container, TransitionFailures, provided, running

PATIENCE = 10  # seconds; reached only where a thread hangs


class Database: ...


class Needing:
    def __init__(self, *parts: object) -> None:
        self.parts = parts


def in_thread(function: Callable[[], object], name: str = "other") -> threading.Thread:
    thread = threading.Thread(target=function, name=name, daemon=True)
    thread.start()
    return thread


def ended(*threads: threading.Thread) -> bool:
    for thread in threads:
        thread.join(PATIENCE)
    return not any(thread.is_alive() for thread in threads)


def outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except ConstructionCycle as error:
        return error


def test_a_thread_safe_singleton_between_two_components_does_not_deadlock() -> None:
    """Its lock is held by a thread that waits for the database, which another thread constructs."""
    constructing, asked = threading.Event(), threading.Event()

    def connect() -> Database:
        constructing.set()
        asked.wait(PATIENCE)
        return Database()

    class Shop(Container):
        database = Component(connect)
        # The first argument is made when the singleton has its lock.
        pool = providers.ThreadSafeSingleton(Needing, providers.Callable(asked.set), provided_by(database))
        service = Component(Needing, provided(pool))

    shop = Shop()

    def ask_for_pool() -> None:
        constructing.wait(PATIENCE)
        shop.pool()

    assert ended(in_thread(shop.service), in_thread(ask_for_pool))
    assert shop.service().parts == (shop.pool(),)


def provided_by(component: object) -> Any:
    """Return a component typed as the provider that it is at run time."""
    assert isinstance(component, providers.Provider)
    return component


def test_a_provider_with_a_lock_among_the_arguments_is_called_before_the_component_is_claimed() -> None:
    """All thread-safe singletons share one lock, whose holder may wait for the component that needs the other provider."""
    holds_lock, makes_arguments = threading.Event(), threading.Event()

    def hold(database: Database) -> object:
        return database

    class Locked(providers.Singleton[Any]):
        lock = threading.RLock()

        def __call__(self, *args: object, **kwargs: object) -> Any:
            with self.lock:
                holds_lock.set()
                makes_arguments.wait(PATIENCE)
                return super().__call__(*args, **kwargs)

    class Shop(Container):
        config = Locked(dict)
        database = Component(Needing, provided(providers.Callable(makes_arguments.set)), provided(config))
        pool = Locked(hold, provided_by(database))

    shop = Shop()
    pool = in_thread(shop.pool)
    holds_lock.wait(PATIENCE)
    database = in_thread(shop.database)

    assert ended(pool, database)
    assert shop.pool() is shop.database()


def test_a_constructor_that_requests_a_user_of_its_own_component_gets_an_error() -> None:
    """The error names the component, its place and the requested component; the constructor runs once."""
    names: list[str] = []

    class Asking:
        def __init__(self) -> None:
            names.append("asking")
            shop.user()

    class Shop(Container):
        bus = Component(Bus)
        asking = Component(Asking)
        user = Component(Needing, asking.provided)

    shop = Shop()
    with pytest.raises(ConstructionCycle) as raised:
        shop.user()

    error = raised.value
    assert (error.path, error.asked, error.thread) == ("Shop.asking", "Shop.user", None)
    assert error.place.startswith(__file__)
    assert str(error) == (
        f"Shop.asking ({error.place}) is under construction: its constructor or one of its arguments asked the "
        "container for Shop.user, which needs it; ask for Shop.user later, in start(), or declare it as an argument"
    )
    assert names == ["asking"]


def test_a_component_that_requests_itself_gets_an_error() -> None:
    """The request may come from its constructor, from a function that makes an argument, or from a nested container."""

    class Inner(Container):
        part = Component(lambda: shop.inner.user())
        user = Component(Needing, part.provided)

    class Shop(Container):
        by_constructor = Component(lambda: shop.by_constructor())
        by_argument = Component(Needing, provided(providers.Callable(lambda: shop.by_argument())))
        inner = Inner()

    shop = Shop()

    requests = {"Shop.by_constructor", "Shop.by_argument", "Shop.inner.user"}
    errors = [outcome(shop.by_constructor), outcome(shop.by_argument), outcome(shop.inner.user)]
    assert [type(error) for error in errors] == [ConstructionCycle] * 3
    assert {error.asked for error in errors if isinstance(error, ConstructionCycle)} == requests


def test_a_start_fails_with_the_error_of_a_constructor_that_requests_itself() -> None:
    """It is one of the failures of the start."""

    class Asking:
        def __init__(self) -> None:
            shops[0].asking()

    class Shop(Container):
        bus = Component(Bus)
        asking = Component(Asking)

    shops = [Shop()]
    with pytest.raises(TransitionFailures) as raised:
        shops[0].attach().start()

    assert [type(error) for error in raised.value.exceptions] == [ConstructionCycle]


def test_a_component_is_built_after_such_an_error() -> None:
    """The constructor no longer makes the request."""
    asks = [True]

    class Asking:
        def __init__(self) -> None:
            if asks:
                asks.pop()
                shop.asking()

    class Shop(Container):
        asking = Component(Asking)

    shop = Shop()
    with pytest.raises(ConstructionCycle, match="for it again"):
        shop.asking()

    assert isinstance(shop.asking(), Asking)


def test_a_constructor_may_request_components_that_do_not_need_its_own() -> None:
    """It may also do so in threads that it starts and joins."""

    class Asking:
        def __init__(self) -> None:
            self.direct = shop.first()
            with ThreadPoolExecutor(2) as pool:
                self.by_threads = [one.result(PATIENCE) for one in [pool.submit(shop.second), pool.submit(shop.first)]]

    class Shop(Container):
        bus = Component(Bus)
        first = Component(Database)
        second = Component(Database)
        asking = Component(Asking)

    shop = Shop()
    with running(shop):
        assert shop.asking().direct is shop.first()
        assert shop.asking().by_threads == [shop.second(), shop.first()]


def test_a_thread_that_a_constructor_starts_may_wait_for_the_component() -> None:
    """It gets the component when the constructor has returned."""
    instances: list[object] = []

    class Starting:
        def __init__(self) -> None:
            self.thread = in_thread(lambda: instances.append(shop.user()))

    class Shop(Container):
        starting = Component(Starting)
        user = Component(Needing, starting.provided)

    shop = Shop()
    starting = shop.starting()

    assert ended(starting.thread)
    assert instances == [shop.user()]


def test_two_constructors_that_request_each_other_in_two_threads_get_an_error() -> None:
    """At least one fails, with the name of the thread that constructs the other; neither blocks."""
    both = threading.Barrier(2, timeout=PATIENCE)

    first = {"left", "right"}

    def meet(name: str) -> None:
        if name in first:
            first.remove(name)
            both.wait()

    class Left:
        def __init__(self) -> None:
            meet("left")
            shop.right()

    class Right:
        def __init__(self) -> None:
            meet("right")
            shop.left()

    class Shop(Container):
        left = Component(Left)
        right = Component(Right)

    shop = Shop()
    outcomes: list[object] = []
    threads = [
        in_thread(lambda: outcomes.append(outcome(shop.left)), "left"),
        in_thread(lambda: outcomes.append(outcome(shop.right)), "right"),
    ]
    assert ended(*threads)
    errors = [one for one in outcomes if isinstance(one, ConstructionCycle)]

    assert errors
    assert {error.thread for error in errors} <= {"left", "right", None}
    assert any(error.thread is not None and f"in thread '{error.thread}'" in str(error) for error in errors)


def test_a_waiting_thread_retries_after_a_failed_constructor() -> None:
    """Only the thread that called the constructor gets the exception."""
    constructing, waits = threading.Event(), threading.Event()
    failing = [OSError("not yet")]

    def connect() -> Database:
        if not failing:
            return Database()
        constructing.set()
        waits.wait(PATIENCE)
        raise failing.pop()

    class Shop(Container):
        database = Component(connect)

    shop = Shop()
    errors: list[OSError] = []

    def first() -> None:
        try:
            shop.database()
        except OSError as error:
            errors.append(error)

    instances: list[object] = []
    one = in_thread(first)
    constructing.wait(PATIENCE)

    def second() -> None:
        waits.set()
        instances.append(shop.database())

    other = in_thread(second)

    assert ended(one, other)
    assert len(errors) == 1
    assert instances == [shop.database()]


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is forked there")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_constructor_of_its_parent() -> None:
    """The constructing thread does not exist in the child, which constructs its own component."""
    constructing, may_return = threading.Event(), threading.Event()
    parent = os.getpid()

    def connect() -> Database:
        if os.getpid() == parent:
            constructing.set()
            may_return.wait(PATIENCE)
        return Database()

    class Shop(Container):
        database = Component(connect)

    shop = Shop()
    thread = in_thread(shop.database)
    constructing.wait(PATIENCE)
    child = os.fork()
    if not child:
        os._exit(0 if ended(in_thread(shop.database)) and shop.database.is_built else 1)
    may_return.set()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ended(thread)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_concurrent_calls_of_all_components_return_the_same_instances(data: st.DataObject) -> None:
    """Each component is constructed once, whatever the dependencies and whichever thread is first."""
    count = data.draw(st.integers(1, 8))
    needs = [data.draw(st.sets(st.integers(0, number - 1))) if number else set() for number in range(count)]
    names = data.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=4))
    constructed: list[int] = []
    together = threading.Barrier(len(names), timeout=PATIENCE)

    def builder(number: int) -> Callable[..., Needing]:
        def build(*parts: object) -> Needing:
            constructed.append(number)
            return Needing(*parts)

        return build

    members: dict[str, object] = {}
    for number in range(count):
        arguments = [members[f"part{need}"].provided for need in sorted(needs[number])]  # type: ignore[attr-defined]  # made just above
        members[f"part{number}"] = Component(builder(number), *arguments)
    shop = type("Shop", (Container,), members)()

    def ask(number: int) -> None:
        together.wait()
        getattr(shop, f"part{number}")()

    assert ended(*[in_thread(functools.partial(ask, number)) for number in names])
    parts = {number: getattr(shop, f"part{number}")() for number in range(count)}

    assert sorted(constructed) == list(range(count))
    for number, part in parts.items():
        assert part.parts == tuple(parts[need] for need in sorted(needs[number]))
