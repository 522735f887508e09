"""Runs with faulty exceptions, and listeners of runs that raise or interfere."""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest
from tests.doubles import LIMIT, ThreadCall

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
    """An exception whose text cannot be computed."""

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
    """Its policy applies, and the record has a replacement for the text."""
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
    """The text of the `RunFailed` has a replacement for the text of the error."""

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(Failing, Unprintable)

    bus = Shop().attach()
    bus.start()

    with pytest.raises(RunFailed, match=r"run Shop\.failing failed with Unprintable\(<its repr has failed>\)"):
        bus.block()


def test_the_text_of_an_error_may_stop_the_bus() -> None:
    """The text is computed outside the lock of the run, so that the stop can end the run."""
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


def exit_when_it_begins(message: str, level: int) -> None:
    """Raise `SystemExit` for the line of a run that begins."""
    if message == "run Shop.failing begins":
        raise SystemExit(9)


@pytest.mark.parametrize("kind", [Failing, FailingTask])
def test_a_listener_of_runs_may_end_the_process(kind: type[Failing | FailingTask]) -> None:
    """A `SystemExit` of the listener exits the bus, and the run is FAILED."""

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
    """A `SystemExit` of the listener exits the bus."""

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(Failing, OSError).supervised(ONCE)

    bus = Shop().attach()
    bus[LOG].subscribe(exit_when_it_begins)
    bus.start()

    with pytest.raises(SystemExit) as left:
        bus.block()

    assert left.value.code == 9


def test_a_listener_of_the_log_that_ends_the_process_when_a_task_begins_fails_the_start() -> None:
    """A task begins in the thread of the start, which raises the `SystemExit`; the run is FAILED."""

    class Shop(Container):
        bus = Component(Bus)
        failing = Component(FailingTask, OSError).supervised(ONCE)

    bus = Shop().attach()
    bus[LOG].subscribe(exit_when_it_begins)

    with pytest.raises(SystemExit):
        bus.start()

    assert bus.runs["Shop.failing"].state is RunState.FAILED
    bus.exit()


def test_the_failure_of_a_run_is_not_one_of_a_stop_that_comes_at_the_same_time() -> None:
    """An exit during the report of the failure waits for the end of the report, and has no failure itself."""

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
    """Components that start in parallel create the runs of the bus only once."""
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
    """An object that a failed call leaves open."""


class Connected:
    """A component whose first call of its run fails with a connection in a local variable."""

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
    """A component whose run is a task that fails in the same way."""

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
def test_a_failure_does_not_keep_the_local_variables_of_the_call(kind: type[Connected]) -> None:
    """The connection of the failed call is freed before the next call."""

    class Shop(Container):
        bus = Component(Bus)
        connected = Component(kind).supervised(ONCE)

    with running(Shop) as shop:
        connected = shop.connected()
        assert connected.again.wait(LIMIT)
        (connection,) = connected.connections
        assert connection() is None


def test_a_suspended_generator_in_a_traceback_continues() -> None:
    """The generator can be used after the failure, although other frames of the traceback are cleared."""

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
    """The mark raises `ChannelError` for another value."""
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
    """The run restarts nothing, and its state after the stop is ENDED."""

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
    """The cancellation is a failure of the run, and does not exit the bus."""
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
