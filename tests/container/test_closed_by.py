"""A component that is closed by a function, at the exit of the bus."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.doubles import LIMIT, HookRecorder

from typedbus import (
    EXIT,
    Bus,
    Component,
    Container,
    DeclarationError,
    HookTimeout,
    InvalidContainer,
    TransitionFailures,
    running,
)
from typedbus.events import COMPONENT_EXITED, COMPONENT_EXITING
from typedbus.faults import HookFault


class Engine:
    """Records its end."""

    def __init__(self, notes: list[str], name: str = "engine") -> None:
        self.notes = notes
        self.name = name

    def dispose(self, close: bool = True) -> None:
        self.notes.append(f"dispose {self.name}")


class Pool:
    """Is closed by awaiting."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self.loop: asyncio.AbstractEventLoop | None = None

    async def aclose(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.notes.append("aclose")


class One(Container):
    """A container of a bus and one component, which each test declares."""

    bus = Component(Bus)


def with_part(part: Component[Any], **more: Component[Any]) -> Any:
    """Return a container with *part* as its component `part`, and *more*."""
    container_class: Callable[[], One] = type("Shop", (One,), {"part": part, **more})
    return container_class()


def test_a_component_is_closed_after_everything_that_needs_it_has_exited() -> None:
    """The function is called with the instance at the exit, in reverse start order."""
    notes: list[str] = []
    engine = Component(Engine, notes).closed_by(Engine.dispose)
    user = Component(HookRecorder, notes, "user", engine.provided)

    with running(with_part(engine, user=user)):
        assert notes == ["start user"]

    assert notes == ["start user", "stop user", "exit user", "dispose engine"]


def test_a_component_is_closed_after_its_own_exit() -> None:
    """Its hook of `EXIT` may still use the object."""
    notes: list[str] = []

    def close(recorder: HookRecorder) -> None:
        notes.append("close")

    with running(with_part(Component(HookRecorder, notes).closed_by(close))):
        pass

    assert notes == ["start", "stop", "exit", "close"]


def test_a_component_without_hooks_listens_to_nothing_but_its_closing() -> None:
    """A method of a C extension closes its object, which is closed at the exit and not at the stop."""
    connection = Component(sqlite3.connect, ":memory:", check_same_thread=False).closed_by(sqlite3.Connection.close)
    shop = with_part(connection)

    with running(shop):
        opened = shop.part()
        shop.bus().stop()
        assert opened.execute("select 1").fetchone() == (1,)

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened.execute("select 1")


def test_an_async_function_is_awaited_on_the_loop_of_the_bus() -> None:
    """`AsyncEngine.dispose` is such a function."""
    notes: list[str] = []

    async def main() -> None:
        shop = with_part(Component(Pool, notes).closed_by(Pool.aclose))
        async with running(shop):
            pool = shop.part()
        assert pool.loop is asyncio.get_running_loop()

    asyncio.run(main())

    assert notes == ["aclose"]


def test_a_failure_names_the_component_and_the_function() -> None:
    """It is a failure of the exit, as that of an exit hook is, and the other components exit."""
    notes: list[str] = []

    def fail(engine: Engine) -> None:
        raise OSError("no close")

    first = Component(Engine, notes, "first").closed_by(Engine.dispose)
    shop = with_part(first, failing=Component(Engine, notes, "failing").closed_by(fail))
    shop.bus().start()
    with pytest.raises(TransitionFailures) as caught:
        shop.bus().exit()

    (failure,) = caught.value.failures
    assert (failure.name, failure.channel) == ("Shop.failing.fail", "exit")
    assert notes == ["dispose first"]


@pytest.mark.parametrize(
    ("declare", "name"),
    [
        (lambda part: part.closed_by(Engine.dispose), "Shop.part.dispose"),
        (lambda part: part.closed_by(functools.partial(Engine.dispose, close=False)), "Shop.part.dispose"),
    ],
)
def test_the_listener_is_named_after_the_function(declare: Callable[[Component[Engine]], object], name: str) -> None:
    """Reports and time-outs show this name."""
    part = Component(Engine, [])
    declare(part)
    shop = with_part(part)

    with running(shop) as shop:
        assert [subscription.name for subscription in shop.bus()[EXIT].subscriptions] == [name]


def test_the_closing_is_published_as_events() -> None:
    """As the call of an exit hook is."""
    shop = with_part(Component(Engine, []).closed_by(Engine.dispose))
    events: list[object] = []

    with running(shop):
        shop.bus()[COMPONENT_EXITING].subscribe(lambda event: events.append(("exiting", event.path)))
        shop.bus()[COMPONENT_EXITED].subscribe(lambda event: events.append(("exited", event.path)))

    assert events == [("exiting", "Shop.part"), ("exited", "Shop.part")]


@pytest.mark.slow
def test_the_closing_is_bounded_by_the_limit_of_the_component() -> None:
    """A function that hangs is given up."""
    released = threading.Event()

    def hang(engine: Engine) -> None:
        released.wait(LIMIT)

    shop = with_part(Component(Engine, []).closed_by(hang).within(0.5))
    shop.bus().start()
    try:
        with pytest.raises(TransitionFailures) as caught:
            shop.bus().exit()
    finally:
        released.set()

    (timeout,) = caught.value.exceptions
    assert isinstance(timeout, HookTimeout)
    assert timeout.path == "Shop.part"


def test_an_override_of_a_subclass_is_called() -> None:
    """As for hooks, the name of the method decides."""
    notes: list[str] = []

    class Special(Engine):
        def dispose(self, close: bool = True) -> None:
            notes.append("special")

    def make() -> Engine:
        return Special(notes)

    with running(with_part(Component(make).closed_by(Engine.dispose))):
        pass

    assert notes == ["special"]


def test_a_method_of_another_object_receives_the_instance() -> None:
    """Even if the component has a method of the same name."""
    notes: list[str] = []

    class Registry:
        def dispose(self, engine: Engine) -> None:
            notes.append(f"registry disposes of {engine.name}")

    with running(with_part(Component(Engine, notes).closed_by(Registry().dispose))):
        pass

    assert notes == ["registry disposes of engine"]


def test_an_override_is_not_closed_by_the_function_of_the_declaration() -> None:
    """The test that passes an object closes it; a component that is the override has a function of its own."""
    notes: list[str] = []
    shop = with_part(Component(Engine, notes).closed_by(Engine.dispose))

    with shop.override(shop.part).by(Engine(notes, "fake")), running(shop):
        pass
    assert notes == []

    replacement = Component(Engine, notes, "replacement").closed_by(Engine.dispose)
    with shop.override(shop.part).by(replacement), running(shop):
        pass
    assert notes == ["dispose replacement"]


def test_one_object_of_two_components_is_closed_once() -> None:
    """Its methods listen for the component that built it."""
    notes: list[str] = []

    def same(engine: Engine) -> Engine:
        return engine

    engine = Component(Engine, notes).closed_by(Engine.dispose)
    alias = Component(same, engine.provided).closed_by(Engine.dispose)

    with running(with_part(engine, alias=alias)):
        pass

    assert notes == ["dispose engine"]


def test_a_component_that_listens_to_no_exit_is_closed() -> None:
    """`without` is about the methods of its class."""
    notes: list[str] = []
    recorder = Component(HookRecorder, notes).without(EXIT).closed_by(HookRecorder.exit)

    with running(with_part(recorder)):
        pass

    assert notes == ["start", "stop", "exit"]


def test_a_component_that_is_built_before_a_start_is_closed_by_the_exit_of_the_next_run() -> None:
    """As its exit hooks are called there."""
    notes: list[str] = []
    shop = with_part(Component(Engine, notes).closed_by(Engine.dispose))
    shop.part()

    with running(shop):
        assert notes == []
    assert notes == ["dispose engine"]

    with running(shop):
        pass
    assert notes == ["dispose engine", "dispose engine"]


def test_a_second_function_is_refused() -> None:
    """It would hide the first."""
    part = Component(Engine, []).closed_by(Engine.dispose)

    with pytest.raises(DeclarationError, match=r"closed by .*Engine\.dispose already"):
        part.closed_by(Engine.dispose)


def test_a_value_that_is_no_function_is_refused() -> None:
    """As where the method was called by mistake."""
    closer: Any = None

    with pytest.raises(DeclarationError, match="closed_by takes a function"):
        Component(Engine, []).closed_by(closer)


def test_a_function_that_takes_more_than_the_instance_is_a_fault() -> None:
    """`validate()` finds what a type checker would."""

    def close(engine: Engine, timeout: float) -> None:
        """Never called."""

    closer: Any = close
    with pytest.raises(InvalidContainer) as caught:
        with_part(Component(Engine, []).closed_by(closer)).validate()

    (fault,) = caught.value.exceptions
    assert isinstance(fault, HookFault)
    assert "close does not fit channel 'exit'" in fault.problem
    assert "timeout" in fault.problem
