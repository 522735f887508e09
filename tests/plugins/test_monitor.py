"""Monitor and Task: periodic and single background work, its threads, its failures, and the exit."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from tests.processes import Begin, programs

from typedbus import (
    GRACEFUL,
    LOG,
    START,
    STOP,
    Bus,
    Component,
    Container,
    StartCancelled,
    State,
    StillRunning,
    TransitionFailures,
    running,
)
from typedbus._bus.bus import parts_of
from typedbus.plugins.monitor import BackgroundTask, CallError, Monitor, NotEnded, PeriodError
from typedbus.testing import FakeClock, Recorder


class Cache:
    """An object whose `clear` reports each call."""

    def __init__(self) -> None:
        self.cleared: SimpleQueue[threading.Thread] = SimpleQueue()

    def clear(self) -> None:
        """Report the call."""
        self.cleared.put(threading.current_thread())

    def fail(self) -> None:
        """Fail."""
        raise OSError("no cache")


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock at 0."""
    return FakeClock()


@pytest.fixture
def bus() -> Iterator[Bus]:
    """Yield a bus that has exited afterwards."""
    bus = Bus()
    yield bus
    bus.exit()


def listen(bus: Bus, task: Monitor | BackgroundTask) -> None:
    """Subscribe the hooks of *task* by hand, as a program without a container does."""
    bus[START].subscribe(task.start)
    bus[STOP].subscribe(task.stop)


def logged(recorder: Recorder[[str, int], None]) -> list[tuple[str, int]]:
    """Return the first lines of the log messages, with levels."""
    return [(str(call.args[0]).split("\n")[0], int(str(call.args[1]))) for call in recorder.calls]


def test_a_monitor_calls_from_the_start_to_the_stop(bus: Bus, clock: FakeClock) -> None:
    """In a thread with its name, which ends with the stop."""
    cache = Cache()
    listen(bus, Monitor(bus, cache.clear, every=60, name="clearing", clock=clock))

    bus.start()
    clock.advance(60)
    first = cache.cleared.get(timeout=10)
    clock.advance(60)
    second = cache.cleared.get(timeout=10)
    bus.stop()

    assert first is second
    assert first.name == "clearing"
    assert not first.is_alive()


def test_a_monitor_has_the_name_of_its_function(bus: Bus) -> None:
    """Unless a name is given."""
    assert Monitor(bus, Cache().clear, every=60).name.endswith("Cache.clear")
    assert BackgroundTask(bus, threading.Event.wait).name == "threading.Event.wait"


def test_a_monitor_runs_in_a_container(clock: FakeClock) -> None:
    """The component that it calls starts before it."""

    class Site(Container):
        bus = Component(Bus)
        clock = Component(lambda: clock)
        cache = Component(Cache)
        clearing = Component(Monitor, bus.provided, cache.provided.clear, every=60, clock=clock.provided)

    with running(Site()) as site:
        clock.advance(60)
        assert site.cache().cleared.get(timeout=10).is_alive()
        assert "Cache.clear" in repr(site.clearing())


def test_a_failing_call_is_reported_and_tried_again(bus: Bus, clock: FakeClock) -> None:
    """The bus continues; the traceback is logged, and health checks can read the failures."""
    cache, called = Cache(), threading.Event()
    monitor = Monitor(bus, cache.fail, every=60, name="clearing", clock=clock)
    listen(bus, monitor)
    messages: SimpleQueue[tuple[str, int]] = SimpleQueue()
    bus[LOG].subscribe(lambda message, level: messages.put((message, level)))
    bus.start()

    clock.advance(60)
    message, level = messages.get(timeout=10)
    clock.advance(120)
    again, _ = messages.get(timeout=10)

    assert level == 40
    assert message.startswith("monitor clearing failed, 1 in a row:\nTraceback")
    assert message.endswith("OSError: no cache")
    assert again.startswith("monitor clearing failed, 2 in a row:")
    assert monitor.failures == 2
    assert isinstance(monitor.last_error, OSError)
    assert bus.state is State.STARTED

    monitor.call = called.set
    clock.advance(240)
    assert called.wait(10)
    bus.stop()
    standing: tuple[int, object] = (monitor.failures, monitor.last_error)
    assert standing == (0, None)


def test_pauses_after_failures_are_bounded(bus: Bus, clock: FakeClock) -> None:
    """The bound can be set."""
    messages: SimpleQueue[None] = SimpleQueue()
    monitor = Monitor(bus, Cache().fail, every=1, longest=3, clock=clock)
    bus[LOG].subscribe(lambda message, level: messages.put(None))
    listen(bus, monitor)
    bus.start()

    for seconds in (1, 2, 3, 3):
        clock.advance(seconds)
        messages.get(timeout=10)

    assert monitor.failures == 4


def test_sys_exit_in_a_monitor_exits_the_bus(bus: Bus, clock: FakeClock) -> None:
    """The program ends with its status, in order."""
    listen(bus, Monitor(bus, lambda: sys.exit(3), every=60, clock=clock))
    bus.start()
    clock.advance(60)

    with Recorder(bus[LOG]) as messages, pytest.raises(SystemExit) as raised:
        bus.block()

    assert raised.value.code == 3
    assert messages.calls == []


def test_a_call_may_stop_its_bus(bus: Bus, clock: FakeClock) -> None:
    """The stop does not wait for its own thread, which ends afterwards."""
    threads: SimpleQueue[threading.Thread] = SimpleQueue()

    def stop() -> None:
        bus.stop()
        threads.put(threading.current_thread())

    listen(bus, Monitor(bus, stop, every=60, clock=clock))
    bus.start()
    clock.advance(60)
    thread = threads.get(timeout=10)
    thread.join(10)

    assert bus.state is State.STOPPED
    assert not thread.is_alive()


def test_a_graceful_reload_does_not_affect_a_monitor(bus: Bus, clock: FakeClock) -> None:
    """The times of its calls do not change."""
    assert not hasattr(Monitor, GRACEFUL.name)
    assert not hasattr(BackgroundTask, GRACEFUL.name)


def test_a_stop_names_the_call_that_does_not_end(bus: Bus) -> None:
    """With its stack; `block` names it as well, because the bus owns the thread."""
    calling, returning = threading.Event(), threading.Event()

    def hang() -> None:
        calling.set()
        returning.wait(30)

    listen(bus, Monitor(bus, hang, every=0.001, name="hanging", patience=0.01))
    bus.start()
    calling.wait(10)

    with pytest.raises(TransitionFailures) as raised:
        bus.stop()
    bus.request_exit()
    with pytest.raises(StillRunning, match="'hanging'"):
        bus.block(patience=0.01)

    (error,) = raised.value.exceptions
    assert isinstance(error, NotEnded)
    assert "in hang\n" in str(error)
    returning.set()


def test_a_task_is_called_once_and_ends_at_the_stop(bus: Bus) -> None:
    """The stop sets its event, and waits for its end."""
    begun = threading.Event()
    ended: list[bool] = []

    def work(stopping: threading.Event) -> None:
        ended.append(stopping.is_set())
        begun.set()
        stopping.wait(30)
        ended.append(stopping.is_set())

    task = BackgroundTask(bus, work, name="working")
    listen(bus, task)
    bus.start()
    assert task.is_running
    assert begun.wait(30)
    bus.stop()

    assert ended == [False, True]
    assert not task.is_running


def test_a_task_that_returns_early_is_named_in_a_warning(bus: Bus) -> None:
    """It is not running afterwards, and the bus continues."""
    messages: list[tuple[str, int, bool]] = []
    task = BackgroundTask(bus, lambda stopping: None, name="consuming")
    bus[LOG].subscribe(lambda text, level, /: messages.append((text, level, task.is_running)))
    listen(bus, task)
    bus.start()
    for thread in list(parts_of(bus).main_loop.threads):
        thread.join(10)

    [(text, level, is_running)] = messages
    assert text.startswith("background task consuming returned before its event was set")
    assert (level, is_running) == (30, False)
    assert task.last_error is None
    assert bus.state is State.STARTED
    bus.exit()


@pytest.mark.parametrize("asked", ["by the stop", "by itself"])
def test_a_task_that_returns_at_a_stop_or_exit_is_not_reported(bus: Bus, asked: str) -> None:
    """Whether the bus stops, or the task itself has requested the exit."""

    def work(stopping: threading.Event) -> None:
        if asked == "by itself":
            bus.request_exit()
        else:
            stopping.wait(10)

    task = BackgroundTask(bus, work)
    listen(bus, task)
    with Recorder(bus[LOG]) as messages:
        with contextlib.suppress(StartCancelled):
            bus.start()
        bus.exit()

    assert messages.calls == []


def test_a_task_that_fails_exits_the_bus_and_is_the_cause(bus: Bus) -> None:
    """The failure is logged, and raised by block after an orderly exit."""
    error = ValueError("no more orders")

    def work(stopping: threading.Event) -> None:
        bus.wait(State.STARTED)
        raise error

    task = BackgroundTask(bus, work, name="working")
    listen(bus, task)
    with Recorder(bus[LOG]) as messages:
        bus.start()
        with pytest.raises(ValueError) as raised:
            bus.block()

    assert raised.value is error
    assert task.last_error is error
    assert logged(messages) == [
        ("background task working failed, the bus exits: ValueError('no more orders')", 40),
        ("the bus exits because of an error:", 40),
    ]
    assert bus.state is State.EXITED


def test_sys_exit_in_a_task_exits_the_bus_with_its_status(bus: Bus) -> None:
    """Python itself would ignore it in a thread."""
    listen(bus, BackgroundTask(bus, lambda stopping: sys.exit(bus.wait(State.STARTED) and 3)))
    bus.start()

    with pytest.raises(SystemExit) as raised:
        bus.block()

    assert raised.value.code == 3


def test_a_task_starts_again_after_a_stop(bus: Bus) -> None:
    """With another event, and without the last error; a second start in between has no effect."""
    events: list[threading.Event] = []
    called = threading.Semaphore(0)

    def work(stopping: threading.Event) -> None:
        events.append(stopping)
        called.release()
        if len(events) == 1:
            raise ValueError("first")
        stopping.wait(30)

    task = BackgroundTask(bus, work)
    task.stop()
    task.start()
    task.start()
    called.acquire()
    task.stop()
    errors: list[object] = [task.last_error]
    task.start()
    called.acquire()
    errors.append(task.last_error)
    task.stop()

    assert len(set(events)) == 2
    assert [type(error) for error in errors] == [ValueError, type(None)]


def test_a_task_may_stop_the_bus(bus: Bus) -> None:
    """The stop does not wait for its own thread."""
    stopped = threading.Event()

    def work(stopping: threading.Event) -> None:
        bus.wait(State.STARTED)
        bus.stop()
        if stopping.is_set():
            stopped.set()

    listen(bus, BackgroundTask(bus, work))
    bus.start()

    assert stopped.wait(10)
    assert bus.wait(State.STOPPED, 10) is State.STOPPED


def test_a_task_never_has_two_threads(bus: Bus) -> None:
    """A thread that has not ended prevents another start, and cannot start the task itself."""
    calling, returning = threading.Event(), threading.Event()
    errors: SimpleQueue[NotEnded] = SimpleQueue()

    def hang(stopping: threading.Event) -> None:
        calling.set()
        returning.wait(30)
        try:
            task.start()
        except NotEnded as error:
            errors.put(error)

    task = BackgroundTask(bus, hang, name="hanging", patience=0.01)
    task.start()
    calling.wait(10)
    for again in (task.stop, task.start):
        with pytest.raises(NotEnded, match="hanging still runs"):
            again()

    returning.set()
    assert "the thread that calls start()" in str(errors.get(timeout=10))
    task.patience = 10
    task.stop()


@pytest.mark.parametrize("period", [0, -1, float("nan"), "5"])
def test_an_invalid_time_is_refused(bus: Bus, period: float) -> None:
    """The error has the name of the task and of the field."""
    with pytest.raises(PeriodError, match="clearing: every="):
        Monitor(bus, Cache().clear, name="clearing", every=period)
    with pytest.raises(PeriodError, match="clearing: longest="):
        Monitor(bus, Cache().clear, name="clearing", every=1, longest=period)
    with pytest.raises(PeriodError, match="clearing: patience="):
        Monitor(bus, Cache().clear, name="clearing", every=1, patience=period)
    with pytest.raises(PeriodError, match="working: patience="):
        BackgroundTask(bus, threading.Event.wait, name="working", patience=period)


async def forgotten(*args: object) -> None:
    """Return a coroutine, which would not be awaited."""


def test_an_object_that_is_not_callable_is_refused(bus: Bus) -> None:
    """At construction, and not later in a thread."""
    nothing: Callable[..., object] = None  # type: ignore[assignment]  # as a caller without a checker

    with pytest.raises(CallError, match="None is not callable; give the function") as raised:
        Monitor(bus, nothing, every=1)
    with pytest.raises(CallError, match="None is not callable; give the function"):
        BackgroundTask(bus, nothing)

    assert isinstance(raised.value, TypeError)


def test_an_async_function_is_refused_by_a_monitor(bus: Bus) -> None:
    """At construction."""
    with pytest.raises(CallError, match="is async, and would not be awaited"):
        Monitor(bus, forgotten, every=1)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start programs, each with its own stderr."""
    with programs(tmp_path, stderr=subprocess.PIPE) as begin:
        yield begin


@pytest.mark.slow
def test_a_process_ends_in_order_when_its_task_fails(begin: Begin) -> None:
    """A running call of a monitor ends first; the status is 70, and the cause is on stderr."""
    program = begin("""
        import threading
        from typedbus import Bus, Component, Container, run
        from typedbus.plugins.monitor import BackgroundTask, Monitor

        counting, failed = threading.Event(), threading.Event()

        def count():
            counting.set()
            failed.wait()
            print("counted", flush=True)

        def work(stopping):
            counting.wait()
            try:
                raise ValueError("no more orders")
            finally:
                failed.set()

        class Site(Container):
            bus = Component(Bus)
            monitor = Component(Monitor, bus.provided, count, every=0.001)
            task = Component(BackgroundTask, bus.provided, work)

        raise SystemExit(run(Site))
    """)

    status = program.end()

    assert status == 70
    assert set(program.lines) == {"counted"}
    assert "background task __main__.work failed, the bus exits: ValueError('no more orders')" in program.errors
    assert "ValueError: no more orders" in program.errors
