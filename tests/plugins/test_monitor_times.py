"""The calls of a monitor: their grid, their pauses after failures, and starts and stops."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from typedbus import Bus
from typedbus._bus.bus import parts_of
from typedbus.plugins._thread_ends import join
from typedbus.plugins.monitor import Monitor, NotEnded, PeriodError
from typedbus.testing import FakeClock


class Work:
    """A function that records its calls, and can fail or take time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.called: SimpleQueue[tuple[float, threading.Thread]] = SimpleQueue()
        self.takes = 0.0
        self.raises: BaseException | None = None

    def __call__(self) -> None:
        began = self.clock.now()
        self.clock.advance(self.takes, sleepers=0)
        self.called.put((began, threading.current_thread()))
        if self.raises is not None:
            # Otherwise its traceback would grow with each call.
            raise self.raises.with_traceback(None)

    def when(self) -> float:
        """Return the time of the next call, after it has happened."""
        return self.called.get(timeout=10)[0]


@pytest.fixture
def bus() -> Iterator[Bus]:
    """Yield a bus, whose threads have ended afterwards."""
    bus = Bus()
    yield bus
    assert not any(thread.is_alive() for thread in threads_of(bus))


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands at 0."""
    return FakeClock()


@pytest.fixture
def work(clock: FakeClock) -> Work:
    """Return a function to repeat."""
    return Work(clock)


@pytest.fixture
def monitor(bus: Bus, clock: FakeClock, work: Work) -> Iterator[Monitor]:
    """Yield a monitor that calls it every 10 s, and stop it afterwards."""
    monitor = Monitor(bus, work, name="work", every=10, longest=60, clock=clock, patience=10)
    yield monitor
    monitor.stop()


def threads_of(bus: Bus) -> list[threading.Thread]:
    """Return the threads that the bus owns."""
    return list(parts_of(bus).main_loop.threads)


def test_the_first_call_is_one_period_after_the_start(monitor: Monitor, work: Work, clock: FakeClock) -> None:
    """No call comes before that."""
    monitor.start()
    clock.advance(9.5)
    clock.advance(0.5)

    assert work.when() == 10
    assert work.called.empty()


def test_calls_are_on_a_grid(monitor: Monitor, work: Work, clock: FakeClock) -> None:
    """The duration of a call does not move the following calls."""
    work.takes = 3
    monitor.start()
    clock.advance(10)
    assert work.when() == 10
    clock.advance(7)
    assert work.when() == 20
    clock.advance(7)

    assert work.when() == 30


def test_missed_calls_are_not_repeated(monitor: Monitor, work: Work, clock: FakeClock) -> None:
    """The next call after a long call is at the next point of the grid."""
    work.takes = 25
    monitor.start()
    clock.advance(10)
    assert work.when() == 10
    work.takes = 0
    clock.advance(5)

    assert work.when() == 40
    assert work.called.empty()


def test_a_late_wake_does_not_move_the_grid(monitor: Monitor, work: Work, clock: FakeClock) -> None:
    """After a suspension, the calls continue on the same grid."""
    monitor.start()
    clock.advance(33)
    assert work.when() == 33
    clock.advance(7)

    assert work.when() == 40


def test_failures_increase_the_pause(monitor: Monitor, work: Work, clock: FakeClock) -> None:
    """After n failures in a row, the pause is 2ⁿ periods, up to a maximum; a success resets it."""
    work.raises = ValueError("broken")
    monitor.start()

    waited = [10, 20, 40, 60, 60]
    for seconds in waited:
        clock.advance(seconds - 0.5)
        clock.advance(0.5)
        assert work.when() == clock.now()
    clock.advance(0)
    assert monitor.last_error is work.raises
    work.raises = None
    clock.advance(60)
    assert work.when() == sum(waited) + 60
    clock.advance(10)

    assert work.when() == sum(waited) + 70


def test_a_period_longer_than_the_maximum_pause_is_kept(bus: Bus, work: Work, clock: FakeClock) -> None:
    """An hourly call is repeated after an hour."""
    work.raises = ValueError("broken")
    monitor = Monitor(bus, work, every=100, longest=60, clock=clock)
    monitor.start()
    clock.advance(100)
    assert work.when() == 100
    clock.advance(100)

    assert work.when() == 200
    monitor.stop()


def test_the_pause_is_bounded_after_any_number_of_failures(bus: Bus, work: Work, clock: FakeClock) -> None:
    """No number grows without limit."""
    work.raises = ValueError("broken")
    monitor = Monitor(bus, work, every=1, longest=1, clock=clock)
    monitor.start()
    for _ in range(1100):
        clock.advance(1)
        work.when()

    monitor.stop()
    assert work.called.empty()


def test_a_base_exception_ends_the_thread(bus: Bus, monitor: Monitor, work: Work, clock: FakeClock) -> None:
    """`SystemExit` ends the thread, and is the last error of the monitor."""
    work.raises = SystemExit(3)
    monitor.start()
    clock.advance(10)
    work.when()
    [thread] = threads_of(bus)
    thread.join(10)

    assert not thread.is_alive()
    assert monitor.last_error is work.raises


def test_a_stop_wakes_the_thread_at_once(bus: Bus, monitor: Monitor, work: Work) -> None:
    """The clock does not move, so the thread does not wait for the next call."""
    monitor.start()
    [thread] = threads_of(bus)

    monitor.stop()

    assert not thread.is_alive()
    assert work.called.empty()


def test_a_stop_before_the_start_has_no_effect(monitor: Monitor, work: Work, clock: FakeClock) -> None:
    """A start afterwards works."""
    monitor.stop()
    monitor.start()
    clock.advance(10)

    assert work.when() == 10


def test_a_second_start_has_no_effect(bus: Bus, monitor: Monitor, work: Work, clock: FakeClock) -> None:
    """It starts neither a thread nor a new grid."""
    monitor.start()
    clock.advance(5)
    monitor.start()
    clock.advance(5)

    assert work.when() == 10
    assert len(threads_of(bus)) == 1


def test_a_start_after_a_stop_begins_a_new_grid(bus: Bus, monitor: Monitor, work: Work, clock: FakeClock) -> None:
    """In a new thread, which the bus owns like the first."""
    monitor.start()
    clock.advance(4)
    [first] = threads_of(bus)
    monitor.stop()
    monitor.start()
    [second] = set(threads_of(bus)) - {first}
    clock.advance(9.5)
    clock.advance(0.5)

    assert work.called.get(timeout=10) == (14, second)


def test_a_call_can_stop_its_own_thread(bus: Bus, monitor: Monitor, clock: FakeClock) -> None:
    """It does not wait for itself; the thread ends when the call returns."""
    stopped: SimpleQueue[None] = SimpleQueue()

    def stop() -> None:
        monitor.stop()
        stopped.put(None)

    monitor.call = stop
    monitor.start()
    clock.advance(10)
    stopped.get(timeout=10)
    [thread] = threads_of(bus)
    thread.join(10)

    assert not thread.is_alive()


def test_a_call_can_restart_its_monitor(monitor: Monitor, work: Work, clock: FakeClock) -> None:
    """A new grid begins when the call has returned."""
    restarted: SimpleQueue[None] = SimpleQueue()

    def again() -> None:
        work()
        clock.advance(3, sleepers=0)
        monitor.stop()
        monitor.start()
        restarted.put(None)
        # The new grid begins when this call has returned, and not at the start.
        clock.advance(2, sleepers=0)

    monitor.call = again
    monitor.start()
    clock.advance(10)
    assert work.when() == 10
    restarted.get(timeout=10)
    clock.advance(10)

    assert work.when() == 25


def test_a_stop_waits_for_the_running_call_up_to_its_patience(bus: Bus) -> None:
    """The error names the thread and shows its stack; after a start the calls continue when that call has returned."""
    calling, returning, is_called_at_once = threading.Event(), threading.Event(), threading.Lock()

    def hang() -> None:
        assert is_called_at_once.acquire(blocking=False)
        calling.set()
        returning.wait(30)
        is_called_at_once.release()

    slow = Monitor(bus, hang, name="slow", every=0.001, patience=0.01)
    slow.start()
    calling.wait(10)

    with pytest.raises(NotEnded, match=r"slow still runs 0\.01 s after it was asked to stop") as raised:
        slow.stop()

    assert "in hang\n" in str(raised.value)
    assert isinstance(raised.value, TimeoutError)
    slow.start()
    calling.clear()
    returning.set()
    assert calling.wait(10)
    slow.patience = 10
    slow.stop()
    assert slow.last_error is None


def test_concurrent_starts_and_stops_leave_no_thread(bus: Bus, monitor: Monitor) -> None:
    """Starts and stops come in any order from several threads."""
    barrier = threading.Barrier(4)
    before = threading.active_count()

    def turn() -> None:
        barrier.wait(10)
        for _ in range(50):
            monitor.start()
            monitor.stop()

    turners = [threading.Thread(target=turn) for _ in range(4)]
    for turner in turners:
        turner.start()
    for turner in turners:
        turner.join(30)
    monitor.stop()

    assert threading.active_count() == before
    assert not any(thread.is_alive() for thread in threads_of(bus))


def test_a_thread_that_ends_during_a_stop_is_not_waited_for() -> None:
    """The caller's own thread is not waited for either."""
    done = threading.Thread(target=str)
    done.start()
    join(done, 10)
    join(threading.current_thread(), 0)

    assert not done.is_alive()


@pytest.mark.parametrize("given", [0, -1, float("nan"), float("inf"), True, "10", None])
@pytest.mark.parametrize("field", ["every", "longest"])
def test_an_invalid_time_is_refused(bus: Bus, field: str, given: object) -> None:
    """The error has the name and the value."""
    fields: dict[str, object] = {"every": 1, field: given}

    with pytest.raises(PeriodError) as raised:
        Monitor(bus, print, name="work", **fields)  # type: ignore[arg-type]  # as a caller without a checker

    assert str(raised.value) == f"work: {field}={given!r} is not a duration; give a number of seconds above 0"
    assert isinstance(raised.value, ValueError)


def test_the_errors_can_be_pickled() -> None:
    """They are equal to the originals."""
    for error in (PeriodError("work", "every", 0), NotEnded("work", 5, "here")):
        again = pickle.loads(pickle.dumps(error))

        assert str(again) == str(error)
        assert vars(again) == vars(error)
