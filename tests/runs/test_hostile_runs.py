"""Runs whose errors, and whose listeners, misbehave."""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest
from tests.doubles import ThreadCall
from tests.runs.shops import LIMIT

from typedbus import (
    LOG,
    RUN,
    RUNS,
    Bus,
    ChannelError,
    Component,
    Container,
    HookTimeout,
    InvalidContainer,
    Restart,
    RunFailed,
    RunState,
    State,
    Stopping,
    on,
    running,
)
from typedbus.events import RunBroke, RunEvent, RunGaveUp

ONCE = Restart(most=1, first=0.001, then="unready")


class Unprintable(Exception):
    """An exception without a text."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class Numbered(Exception):
    """An exception whose text is not a string."""

    def __repr__(self) -> str:
        return 3  # type: ignore[return-value]  # the mistake


class Failing:
    """A component whose run raises."""

    def __init__(self, error: Callable[[], BaseException]) -> None:
        self.error = error

    @on(RUN)
    def work(self, stopping: Stopping) -> None:
        raise self.error()


class FailingTask:
    """A component whose async run raises."""

    def __init__(self, error: Callable[[], BaseException]) -> None:
        self.error = error

    @on(RUN)
    async def work(self, stopping: Stopping) -> None:
        raise self.error()


@pytest.mark.parametrize("kind", [Failing, FailingTask])
@pytest.mark.parametrize("error", [Unprintable, Numbered])
def test_a_run_that_raises_an_error_without_a_text_runs_again(
    error: type[Exception], kind: type[Failing | FailingTask]
) -> None:
    """The record has a text without it, and the policy decides."""
    over = threading.Event()

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(kind, error).supervised(ONCE)

    shop = Shop()
    shop.attach()[RUNS].subscribe(lambda event: over.set() if isinstance(event, RunGaveUp) else None)
    with running(shop):
        assert over.wait(LIMIT)
        record = shop.bus().runs["Shop.failing"]

    assert (record.state, record.attempt) == (RunState.FAILED, 2)
    assert record.last_error == f"{error.__name__}(<its repr has failed>)"


def test_a_run_without_a_policy_that_raises_an_error_without_a_text_exits_the_bus() -> None:
    """The cause of the exit has a text nevertheless."""

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(Failing, Unprintable)

    bus = Shop().attach()
    bus.start()

    with pytest.raises(RunFailed, match=r"run Shop\.failing failed with Unprintable\(<its repr has failed>\)"):
        bus.block()


def test_the_text_of_an_error_may_stop_the_bus() -> None:
    """It is computed in the thread of the run, while nothing waits for that."""
    buses: list[Bus] = []

    class Stops(Exception):
        def __repr__(self) -> str:
            buses[0].stop()
            return "Stops()"

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(Failing, Stops).supervised(ONCE)

    buses.append(Shop().attach())
    buses[0].start()

    assert buses[0].wait(State.STOPPED, LIMIT) is State.STOPPED
    ThreadCall(buses[0].exit).finished()


@pytest.mark.parametrize("kind", [Failing, FailingTask])
def test_a_listener_of_runs_may_end_the_process(kind: type[Failing | FailingTask]) -> None:
    """SystemExit from it exits the bus; the run does not wait for ever."""

    def leave(event: RunEvent) -> None:
        if isinstance(event, RunBroke):
            raise SystemExit(9)

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(kind, OSError).supervised(ONCE)

    bus = Shop().attach()
    bus[RUNS].subscribe(leave)
    bus.start()

    with pytest.raises(SystemExit) as left:
        bus.block()

    assert left.value.code == 9
    assert bus.runs["Shop.failing"].state is RunState.FAILED


def test_a_listener_of_the_log_may_end_the_process_when_a_run_begins() -> None:
    """SystemExit from it exits the bus, whose run is never called."""

    def leave(message: str, level: int) -> None:
        if message == "run Shop.failing begins":
            raise SystemExit(9)

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(Failing, OSError).supervised(ONCE)

    bus = Shop().attach()
    bus[LOG].subscribe(leave)
    bus.start()

    with pytest.raises(SystemExit) as left:
        bus.block()

    assert left.value.code == 9


def test_a_listener_of_the_log_that_ends_the_process_when_a_task_begins_fails_the_start() -> None:
    """A task begins in the thread of the start, which raises it."""

    def leave(message: str, level: int) -> None:
        if message == "run Shop.failing begins":
            raise SystemExit(9)

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(FailingTask, OSError).supervised(ONCE)

    bus = Shop().attach()
    bus[LOG].subscribe(leave)

    with pytest.raises(SystemExit):
        bus.start()

    assert bus.runs["Shop.failing"].state is RunState.FAILED
    bus.exit()


def test_the_failure_of_a_run_is_not_one_of_a_stop_that_comes_at_the_same_time() -> None:
    """The stop has asked the run to end after it had failed; it waits until that has been reported."""

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(Failing, OSError).supervised(ONCE)

    bus = Shop().attach()
    exits: list[ThreadCall] = []

    @bus[RUNS].subscribe()
    def exit_bus(event: RunEvent) -> None:
        if isinstance(event, RunGaveUp):
            exits.append(ThreadCall(bus.exit).waiting())
            exited.set()

    exited = threading.Event()
    bus.start()
    assert exited.wait(LIMIT)
    (exiting,) = exits

    assert exiting.finished().error is None


def test_runs_that_several_starts_await_at_once_begin_once() -> None:
    """The first runs of a bus, whose components start in parallel."""
    calls: list[Stopping] = []

    class Awaited:
        @on(RUN, awaited=True)
        def work(self, stopping: Stopping) -> None:
            calls.append(stopping)
            stopping.ready()
            stopping.wait()

    class Shop(Container):
        bus = Component(Bus, workers=4)
        first = Component(Awaited)
        second = Component(Awaited)
        third = Component(Awaited)
        fourth = Component(Awaited)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            with running(Shop):
                pass
    finally:
        sys.setswitchinterval(interval)

    assert len(calls) == 80


class Connection:
    """Something that a call opens, and does not close when it fails."""


class Connected:
    """A component whose run fails with a connection in a local variable, until it is told to wait."""

    def __init__(self) -> None:
        self.connections: list[weakref.ref[Connection]] = []
        self.again = threading.Event()

    @on(RUN)
    def work(self, stopping: Stopping) -> None:
        if self.connections:
            self.again.set()
            stopping.wait()
            return
        connection = Connection()
        self.connections.append(weakref.ref(connection))
        try:
            raise ValueError("broken")
        except ValueError:
            raise OSError("gone") from None


class ConnectedTask(Connected):
    """The same as a task."""

    @on(RUN)
    async def work(self, stopping: Stopping) -> None:  # type: ignore[override]  # the runs of both classes
        if self.connections:
            self.again.set()
            await stopping.until_set()
            return
        connection = Connection()
        self.connections.append(weakref.ref(connection))
        raise ExceptionGroup("gone", [OSError("gone")])


@pytest.mark.parametrize("kind", [Connected, ConnectedTask])
def test_a_failure_does_not_keep_what_the_call_has_opened(kind: type[Connected]) -> None:
    """The next call might have to wait for it."""

    class Shop(Container):
        bus = Component(Bus)
        connected = Component(kind).supervised(ONCE)

    with running(Shop) as shop:
        connected = shop.connected()
        assert connected.again.wait(LIMIT)
        (connection,) = connected.connections
        assert connection() is None


def test_a_suspended_generator_in_a_traceback_goes_on() -> None:
    """It may belong to other code, which uses it after the failure."""

    def numbers() -> Iterator[BaseException | int]:
        try:
            raise OSError("gone")
        except OSError as error:
            yield error
        yield 2

    generator = numbers()
    error = next(generator)
    assert isinstance(error, OSError)
    cause: BaseException = error
    over = threading.Event()

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(Failing, lambda: cause).supervised(ONCE)

    bus = Shop().attach()
    bus[RUNS].subscribe(lambda event: over.set() if isinstance(event, RunGaveUp) else None)
    bus.start()
    assert over.wait(LIMIT)
    bus.exit()

    assert next(generator) == 2


def test_awaited_is_a_bool() -> None:
    """The mark refuses another value."""
    with pytest.raises(ChannelError, match="takes True or False as awaited=, and was given 'yes'"):
        on(RUN, awaited="yes")  # type: ignore[call-overload]  # the fault


def test_a_policy_of_a_component_without_its_runs_is_a_fault() -> None:
    """The fault names the two declarations that exclude each other."""

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(Failing, OSError).without(RUN).supervised(ONCE)

    with pytest.raises(InvalidContainer) as invalid:
        Shop().validate()

    assert "it is supervised, and .without(RUN) leaves out its runs; remove one of the two" in str(invalid.value)


def test_a_run_that_a_stop_ends_before_it_restarts_its_dependents_has_ended() -> None:
    """The stop does not wait for its thread, which has nothing to restart any more."""

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(Failing, OSError).supervised(Restart(takes="dependents", first=0.001))

    bus = Shop().attach()
    stops: list[ThreadCall] = []
    stopping = threading.Event()

    @bus[RUNS].subscribe()
    def stop_bus(event: RunEvent) -> None:
        if isinstance(event, RunBroke):
            stops.append(ThreadCall(bus.stop).waiting())
            stopping.set()

    bus.start()
    assert stopping.wait(LIMIT)
    assert stops[0].finished().error is None
    state = bus.runs["Shop.failing"].state
    bus.exit()

    assert state is RunState.ENDED


def test_a_thread_whose_own_loop_was_cancelled_runs_again() -> None:
    """As a task that other code has cancelled: this is a failure, and no reason to exit the bus."""
    over = threading.Event()

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(Failing, asyncio.CancelledError).supervised(ONCE)

    shop = Shop()
    shop.attach()[RUNS].subscribe(lambda event: over.set() if isinstance(event, RunGaveUp) else None)
    with running(shop):
        assert over.wait(LIMIT)
        record = shop.bus().runs["Shop.failing"]

    assert (record.state, record.attempt) == (RunState.FAILED, 2)
    assert record.last_error is not None
    assert record.last_error.startswith("HookCancelled: Shop.failing ended run (")


def test_the_text_of_an_error_of_typedbus_is_one_line() -> None:
    """The repr of an overrun has the stack in it."""

    class Slow:
        calls = 0

        def start(self) -> None:
            self.calls += 1
            if self.calls == 2:
                raise HookTimeout("Shop.slow", "start", "shop.py:7", 2.0, 1.0, "hook", "  File shop.py, line 8\n", ())

        @on(RUN)
        def work(self, stopping: Stopping) -> None:
            if self.calls == 1:
                raise OSError("gone")
            again.set()
            stopping.wait()

    class Shop(Container):
        bus = Component(Bus)
        slow = Component(Slow).supervised(Restart(takes="dependents", first=0.001))

    again = threading.Event()
    with running(Shop) as shop:
        assert again.wait(LIMIT)
        text = shop.bus().runs["Shop.slow"].last_error

    assert text is not None
    assert text.startswith("HookTimeout: Shop.slow has not returned from start (shop.py:7) after 2.00 s")
    assert "\n" not in text
