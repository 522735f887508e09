"""BackgroundTask and Monitor as runs: their policies, records, events and async functions."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest

from typedbus import (
    LOG,
    RUN,
    START,
    STOP,
    Bus,
    Component,
    Container,
    Restart,
    RestartPolicyError,
    RunFailed,
    RunReturned,
    RunState,
    State,
    Stopping,
    on,
    running,
)
from typedbus._bus.bus import parts_of
from typedbus.events import RunBegan, RunBroke, RunEnded, RunGaveUp
from typedbus.plugins.health import Health
from typedbus.plugins.monitor import BackgroundTask, Monitor
from typedbus.testing import FakeClock, Recorder, RunRecorder

SECOND = Restart(first=1, longest=4, jitter=0)


class Work:
    """A function for a task: it raises the errors of a list, one for each call, then waits until it must end."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.waiting = threading.Event()
        self.stopping = threading.Event()

    def __call__(self, stopping: threading.Event) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.stopping = stopping
        self.waiting.set()
        stopping.wait()


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock at 0."""
    return FakeClock()


@pytest.fixture
def bus(clock: FakeClock) -> Iterator[Bus]:
    """Yield a bus on that clock, which has exited afterwards."""
    bus = Bus(clock=clock)
    yield bus
    bus.exit()


@pytest.fixture
def events(bus: Bus) -> Iterator[RunRecorder]:
    """Yield a recorder of the events of runs on the bus."""
    with RunRecorder(bus) as events:
        yield events


def begun(bus: Bus, task: Monitor | BackgroundTask) -> None:
    """Subscribe the hooks of *task*, and start the bus."""
    bus[START].subscribe(task.start)
    bus[STOP].subscribe(task.stop)
    bus.start()


def test_a_task_that_fails_is_called_again(bus: Bus, clock: FakeClock, events: RunRecorder) -> None:
    """The calls come after the pauses of its policy, and the bus continues."""
    work = Work(OSError("no broker"), OSError("no broker"))
    task = BackgroundTask(bus, work, name="consuming", restart=SECOND)
    begun(bus, task)

    broke = events.wait(RunBroke)
    paused = task.is_running, bus.runs["consuming"].state, task.last_error
    clock.advance(1)
    again = events.wait(RunBroke)
    clock.advance(2)
    assert work.waiting.wait(10)

    assert paused == (False, RunState.WAITING, broke.error)
    assert (broke.path, broke.delay, again.delay) == ("consuming", 1, 2)
    record = bus.runs["consuming"]
    assert (record.state, record.attempt, record.restarts) == (RunState.RUNNING, 3, 2)
    assert task.is_running
    assert task.last_error is None
    assert bus.state is State.STARTED


def test_a_task_that_fails_too_often_exits_the_bus(bus: Bus, clock: FakeClock, events: RunRecorder) -> None:
    """The cause of the exit is a `RunFailed`, raised from the last error."""
    errors = [OSError("first"), OSError("second")]
    task = BackgroundTask(bus, Work(*errors), name="consuming", restart=Restart(most=1, first=1, jitter=0))
    begun(bus, task)
    events.wait(RunBroke)
    clock.advance(1)

    with pytest.raises(RunFailed) as raised:
        bus.block()

    assert raised.value.__cause__ is errors[1]
    assert (raised.value.path, raised.value.attempts, raised.value.errors) == ("consuming", 2, tuple(errors))


def test_failures_of_long_ago_do_not_count(bus: Bus, clock: FakeClock, events: RunRecorder) -> None:
    """A task whose failures are further apart than the window is always called again."""
    may_fail: SimpleQueue[None] = SimpleQueue()

    def work(stopping: Stopping) -> None:
        may_fail.get(timeout=10)
        raise OSError

    begun(bus, BackgroundTask(bus, work, name="consuming", restart=Restart(most=1, within=60, first=1, jitter=0)))
    for _ in range(5):
        clock.advance(61, sleepers=0)
        may_fail.put(None)
        events.wait(RunBroke)
        clock.advance(1)
        events.wait(RunBegan)

    assert bus.runs["consuming"].restarts == 5
    assert bus.state is State.STARTED
    may_fail.put(None)


def test_a_fatal_error_is_not_tried_again(bus: Bus) -> None:
    """The bus exits at the first such error."""
    error = PermissionError("no such user")

    def work(stopping: threading.Event) -> None:
        bus.wait(State.STARTED)
        raise error

    begun(bus, BackgroundTask(bus, work, restart=Restart(fatal=(PermissionError,))))

    with pytest.raises(RunFailed) as raised:
        bus.block()

    assert raised.value.__cause__ is error


@pytest.mark.parametrize("moment", ["at once", "later"])
def test_the_site_continues_without_a_task(bus: Bus, events: RunRecorder, moment: str) -> None:
    """With then="unready" the bus continues, also if the task fails while the bus starts."""
    is_started = threading.Event()

    def work(stopping: threading.Event) -> None:
        if moment == "later":
            is_started.wait(10)
        raise OSError("no data")

    def await_failure() -> None:
        if moment == "at once":
            events.wait(RunGaveUp)

    bus[START].subscribe(await_failure, priority=60)
    begun(bus, BackgroundTask(bus, work, name="loading", restart=Restart("never", then="unready")))
    is_started.set()
    if moment == "later":
        events.wait(RunGaveUp)

    probe = Health(bus).ready()
    record = bus.runs["loading"]
    assert (record.state, record.is_ready) == (RunState.FAILED, False)
    assert record.last_error == "OSError('no data')"
    assert not probe.is_ok
    assert [check.name for check in probe.checks] == ["loading"]
    assert not bus.is_exit_requested
    assert bus.state is State.STARTED


def test_a_return_is_a_failure_of_a_task_that_always_runs(bus: Bus, clock: FakeClock, events: RunRecorder) -> None:
    """A return after the stop is no failure."""
    calls: SimpleQueue[None] = SimpleQueue()

    def work(stopping: threading.Event) -> None:
        if calls.empty():
            calls.put(None)
        else:
            stopping.wait()

    begun(bus, BackgroundTask(bus, work, restart=Restart("always", first=1, jitter=0)))
    broke = events.wait(RunBroke)
    clock.advance(1)
    events.wait(RunBegan)
    bus.stop()
    events.wait(RunEnded)

    assert isinstance(broke.error, RunReturned)
    assert bus.state is State.STOPPED


def test_a_return_ends_a_task_that_is_called_again_after_failures(bus: Bus, events: RunRecorder) -> None:
    """The task has ended: it is ready, and no warning is logged."""
    with Recorder(bus[LOG]) as messages:
        begun(bus, BackgroundTask(bus, lambda stopping: None, name="importing", restart=Restart()))
        events.wait(RunEnded)

    record = bus.runs["importing"]
    assert (record.state, record.is_ready) == (RunState.ENDED, True)
    assert all(call.args[1] == 20 for call in messages.calls)


def test_a_stop_ends_a_pause_at_once(bus: Bus, events: RunRecorder) -> None:
    """The stop returns without an advance of the clock; a start afterwards calls the function again."""
    work = Work(OSError())
    begun(bus, BackgroundTask(bus, work, name="consuming", restart=SECOND))
    events.wait(RunBroke)

    bus.stop()
    state = bus.runs["consuming"].state
    bus.start()

    assert state is RunState.ENDED
    assert work.waiting.wait(10)
    assert bus.runs["consuming"].attempt == 1


def test_runs_have_the_path_of_their_component() -> None:
    """Records and events have the path; the objects that are constructed after an exit have the same paths."""

    class Site(Container):
        bus = Component(Bus)
        clearing = Component(Monitor, bus.provided, print, every=60)
        consuming = Component(BackgroundTask, bus.provided, Work(), name="work", restart=SECOND)
        loading = Component(BackgroundTask, bus.provided, Work(), name="work")

    site = Site()
    site_bus = site.bus()
    # So that the records of the first objects are not removed before the second start.
    kept: list[object] = []
    for _ in range(2):
        with RunRecorder(site_bus) as events, running(site):
            records = site_bus.runs
            began = [events.wait(RunBegan, path) for path in records]
            kept.extend([site.clearing(), site.consuming(), site.loading()])

        assert list(records) == ["Site.clearing", "Site.consuming", "Site.loading"]
        assert [record.path for record in records.values()] == list(records)
        assert [record.policy for record in records.values()] == [None, SECOND, None]
        assert [event.path for event in began] == list(records)
        assert [record.state for record in site_bus.runs.values()] == [RunState.ENDED] * 3
    assert len(kept) == 6


def test_runs_of_one_name_outside_a_container_have_different_paths(bus: Bus) -> None:
    """Their paths differ while both have begun; a run that has ended gives its path to another."""
    first, second, third = (BackgroundTask(bus, Work(), name="consuming") for _ in range(3))
    first.start()
    second.start()
    both = list(bus.runs)
    first.stop()
    third.start()

    assert both == ["consuming", "consuming (2)"]
    assert {path: record.state for path, record in bus.runs.items()} == dict.fromkeys(both, RunState.RUNNING)
    second.stop()
    third.stop()


def test_a_failed_task_of_an_earlier_start_is_not_shown(bus: Bus, events: RunRecorder) -> None:
    """The next start can be ready, although the object of the task still exists."""

    def fail(stopping: Stopping) -> None:
        raise OSError("no data")

    task = BackgroundTask(bus, fail, name="loading", restart=Restart("never", then="unready"))
    with bus[START].subscribe(task.start), bus[STOP].subscribe(task.stop):
        bus.start()
        events.wait(RunGaveUp)
        bus.exit()
    begun(bus, BackgroundTask(bus, Work(), name="consuming"))

    assert list(bus.runs) == ["consuming"]
    assert task.last_error is not None


def test_a_task_that_is_no_longer_used_has_no_record(bus: Bus) -> None:
    """The bus does not keep the task alive."""
    task = BackgroundTask(bus, Work(), name="consuming")
    task.start()
    task.stop()
    states = [record.state for record in bus.runs.values()]
    del task
    gc.collect()

    assert states == [RunState.ENDED]
    assert bus.runs == {}


async def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop."""
    return asyncio.get_running_loop()


@pytest.mark.parametrize("end", [Bus.stop, Bus.exit])
def test_an_async_function_is_a_task_on_the_loop_of_the_bus(
    bus: Bus, events: RunRecorder, end: Callable[[Bus], None]
) -> None:
    """A stop asks the function to end, and waits for its end."""
    loops: list[asyncio.AbstractEventLoop] = []
    notes: list[str] = []

    async def follow(stopping: Stopping) -> None:
        loops.append(asyncio.get_running_loop())
        await stopping.until_set()
        await asyncio.sleep(0)
        notes.append("ended")

    task = BackgroundTask(bus, follow, name="following")
    begun(bus, task)
    loop = bus.run_on_loop(running_loop()).result(10)
    events.wait(RunBegan)
    was_running = task.is_running
    end(bus)

    assert notes == ["ended"]
    assert loops == [loop]
    assert (was_running, task.is_running) == (True, False)


def test_an_async_function_is_called_again_after_a_failure(bus: Bus, clock: FakeClock, events: RunRecorder) -> None:
    """The next call comes after the pause of its policy."""
    errors = [OSError("no feed")]
    follows = threading.Event()

    async def follow(stopping: Stopping) -> None:
        if errors:
            raise errors.pop()
        follows.set()
        await stopping.until_set()

    begun(bus, BackgroundTask(bus, follow, restart=SECOND))
    events.wait(RunBroke)
    clock.advance(1)

    assert follows.wait(10)


def test_an_async_function_that_fails_exits_the_bus(bus: Bus) -> None:
    """The cause of the exit is the error of the function, as for a plain function."""
    error, may_fail = OSError("no feed"), asyncio.Event()

    async def follow(stopping: Stopping) -> None:
        await may_fail.wait()
        raise error

    async def let_it_fail() -> None:
        may_fail.set()

    task = BackgroundTask(bus, follow, name="following")
    with Recorder(bus[LOG]) as messages:
        begun(bus, task)
        bus.run_on_loop(let_it_fail())
        with pytest.raises(OSError) as raised:
            bus.block()

    assert raised.value is error
    assert task.last_error is error
    assert messages.times("background task following failed, the bus exits: OSError('no feed')", 40) == 1


@pytest.mark.parametrize("stops", ["another thread", "itself"])
def test_an_error_after_the_stop_exits_the_bus(bus: Bus, stops: str) -> None:
    """The error is the cause of the exit, and not a failure of the stop."""
    error = OSError("not flushed")
    called = threading.Event()

    def work(stopping: Stopping) -> None:
        bus.wait(State.STARTED)
        called.set()
        if stops == "itself":
            bus.stop()
        stopping.wait()
        raise error

    begun(bus, BackgroundTask(bus, work))
    assert called.wait(10)
    if stops == "another thread":
        bus.stop()

    with pytest.raises(OSError) as raised:
        bus.block()

    assert raised.value is error


def test_an_error_after_the_stop_does_not_exit_a_site_that_does_without_the_task(bus: Bus, events: RunRecorder) -> None:
    """The error is logged, with its traceback."""
    called = threading.Event()

    def work(stopping: Stopping) -> None:
        called.set()
        stopping.wait()
        raise OSError("not flushed")

    begun(bus, BackgroundTask(bus, work, name="flushing", restart=Restart("never", then="unready")))
    assert called.wait(10)
    with Recorder(bus[LOG]) as messages:
        bus.stop()
        events.wait(RunGaveUp)

    [text] = [str(call.args[0]) for call in messages.calls if call.args[1] == 40]
    assert text.startswith("run flushing failed, and is not called again: OSError('not flushed')\nTraceback")
    assert not bus.is_exit_requested


def test_an_async_function_that_does_not_end_is_cancelled() -> None:
    """After its patience it is cancelled, with a warning; the stop succeeds if it ends within the patience again."""
    bus, began = Bus(), threading.Event()

    async def sleep(stopping: Stopping) -> None:
        began.set()
        await asyncio.sleep(60)

    begun(bus, BackgroundTask(bus, sleep, name="sleeping", patience=0.5))
    assert began.wait(10)
    with Recorder(bus[LOG]) as messages:
        bus.stop()

    [call] = messages.calls
    assert call.args == ("run sleeping was cancelled, because it had not ended 0.5 s after it was asked to end", 30)
    assert bus.runs["sleeping"].state is RunState.ENDED
    bus.exit()


def test_a_task_may_fail_with_an_error_without_a_text(bus: Bus) -> None:
    """The error is the cause of the exit."""

    class Mute(Exception):
        def __repr__(self) -> str:
            raise AssertionError

    def work(stopping: Stopping) -> None:
        bus.wait(State.STARTED)
        raise Mute

    begun(bus, BackgroundTask(bus, work, name="working"))

    with pytest.raises(Mute):
        bus.block()


def test_a_task_restarts_with_the_component_that_it_needs() -> None:
    """A run of that component takes its dependents along; the task is the same object, and is called again."""
    called, may_fail = threading.Event(), threading.Event()

    class Pool:
        @on(RUN)
        def watch(self, stopping: Stopping) -> None:
            if not called.is_set():
                called.set()
                may_fail.wait(10)
                raise OSError("no database")
            stopping.wait()

        def work(self, stopping: Stopping) -> None:
            stopping.wait()

    class Site(Container):
        bus = Component(Bus)
        pool = Component(Pool).supervised(Restart(takes="dependents", first=0.001, longest=0.001))
        working = Component(BackgroundTask, bus.provided, pool.provided.work)

    site = Site()
    with RunRecorder(site.bus()) as events, running(site):
        first = events.wait(RunBegan, "Site.working")
        task = site.working()
        may_fail.set()
        again = events.wait(RunBegan, "Site.working")
        assert site.working() is task
        assert task.is_running

    assert (first.attempt, again.attempt) == (1, 1)
    kinds = [type(event) for event in events.events if event.path == "Site.working"]
    assert kinds == [RunBegan, RunEnded, RunBegan, RunEnded]


def test_a_monitor_without_a_policy_runs_as_long_as_it_fails(bus: Bus, clock: FakeClock, events: RunRecorder) -> None:
    """The monitor delays its calls itself, so a failure does not end the run."""
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise OSError("no cache")

    begun(bus, Monitor(bus, fail, every=1, name="clearing", clock=clock))
    clock.advance(1)
    assert failed.wait(10)
    clock.advance(0)

    record = bus.runs["clearing"]
    assert (record.state, record.attempt, record.is_ready) == (RunState.RUNNING, 1, True)


def test_a_policy_decides_about_a_monitor_that_fails(bus: Bus, clock: FakeClock, events: RunRecorder) -> None:
    """The next call comes after the pause of the policy, later calls at the period; in the end the bus exits."""
    times: SimpleQueue[float] = SimpleQueue()
    failing = [False, True, True]

    def ping() -> None:
        times.put(clock.now())
        if failing and failing.pop(0):
            raise OSError("no answer")

    policy = Restart(most=2, first=1, jitter=0)
    monitor = Monitor(bus, ping, every=10, name="pinging", clock=clock, restart=policy)
    begun(bus, monitor)
    clock.advance(10)
    times.get(timeout=10)
    clock.advance(10)
    events.wait(RunBroke)
    failures = monitor.failures
    clock.advance(1)
    events.wait(RunBroke)
    clock.advance(2)
    clock.advance(10)

    assert [times.get(timeout=10) for _ in range(4)] == [20, 21, 23, 33]
    assert failures == 1
    clock.advance(0)
    assert monitor.failures == 0
    failing[:] = [True]
    clock.advance(10)
    with pytest.raises(RunFailed) as raised:
        bus.block()
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.attempts == 3


def test_each_call_of_a_monitor_is_a_beat(bus: Bus, clock: FakeClock) -> None:
    """A call that hangs is silent; a monitor that waits for its next call is not silent."""
    hangs, returning = threading.Event(), threading.Event()
    called: SimpleQueue[None] = SimpleQueue()

    def ping() -> None:
        called.put(None)
        if hangs.is_set():
            returning.wait(10)

    begun(bus, Monitor(bus, ping, every=10, name="pinging", clock=clock, restart=Restart(silent=15)))
    for _ in range(3):
        clock.advance(10)
        called.get(timeout=10)
    clock.advance(9)
    is_silent = [bus.runs["pinging"].is_silent]
    hangs.set()
    clock.advance(1)
    called.get(timeout=10)
    clock.advance(16, sleepers=0)
    record = bus.runs["pinging"]
    is_silent.append(record.is_silent)
    probe = Health(bus).alive()
    returning.set()

    assert is_silent == [False, True]
    assert not probe.is_ok
    assert "in ping" in probe.checks[0].detail


def test_a_monitor_that_would_always_be_silent_is_refused(bus: Bus) -> None:
    """The constructor raises the error."""
    with pytest.raises(RestartPolicyError, match="silent=10 is not longer than every=10"):
        Monitor(bus, print, every=10, name="pinging", restart=Restart(silent=10))


def test_a_forked_process_has_no_call_of_its_parent(bus: Bus) -> None:
    """The child can start the task."""
    work = Work()
    task = BackgroundTask(bus, work, name="consuming")
    task.start()
    assert work.waiting.wait(10)
    [thread] = parts_of(bus).main_loop.threads
    stopping = work.stopping

    bus.detach()

    record = bus.runs["consuming"]
    assert (record.state, record.attempt, task.is_running) == (RunState.IDLE, 0, False)
    work.waiting.clear()
    task.start()
    assert work.waiting.wait(10)
    task.stop()
    stopping.set()
    thread.join(10)


def test_a_policy_that_takes_dependents_is_refused(bus: Bus) -> None:
    """No component depends on a function."""
    policy = Restart(takes="dependents")

    with pytest.raises(RestartPolicyError, match="needs a run that is a method of a component"):
        BackgroundTask(bus, Work(), restart=policy)
    with pytest.raises(RestartPolicyError, match="needs a run that is a method of a component"):
        Monitor(bus, print, every=60, restart=policy)


def test_a_policy_that_is_no_policy_is_refused(bus: Bus) -> None:
    """The constructor raises the error, as the mark does."""
    with pytest.raises(RestartPolicyError, match=r"restart='always' is not a Restart; write restart=Restart\(...\)"):
        BackgroundTask(bus, Work(), restart="always")  # type: ignore[arg-type]  # the fault
    with pytest.raises(RestartPolicyError, match=r"restart='always' is not a Restart; write restart=Restart\(...\)"):
        Monitor(bus, print, every=60, restart="always")  # type: ignore[arg-type]  # the fault
