"""Repeated calls: their grid, their failures, and the single thread that makes them."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from typedbus.plugins._periodic import NotEnded, PeriodError, Repeat, join
from typedbus.testing import FakeClock


class Work:
    """A function that records its calls, and can fail or take time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.called: SimpleQueue[tuple[float, threading.Thread]] = SimpleQueue()
        self.takes = 0.0
        self.raises: BaseException | None = None
        self.failed: SimpleQueue[BaseException] = SimpleQueue()
        self.owned: list[threading.Thread] = []

    def __call__(self) -> None:
        began = self.clock.now()
        self.clock.advance(self.takes, sleepers=0)
        self.called.put((began, threading.current_thread()))
        if self.raises is not None:
            raise self.raises

    def when(self) -> float:
        """Return the time of the next call, after it has happened."""
        return self.called.get(timeout=10)[0]


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands at 0."""
    return FakeClock()


@pytest.fixture
def work(clock: FakeClock) -> Work:
    """Return a function to repeat."""
    return Work(clock)


@pytest.fixture
def repeat(clock: FakeClock, work: Work) -> Iterator[Repeat]:
    """Return an object that repeats it every 10 s, and stop it afterwards."""
    repeat = Repeat(
        name="work", call=work, every=10, failed=work.failed.put, own=work.owned.append, longest=60, clock=clock
    )
    yield repeat
    repeat.stop(10)
    for thread in work.owned:
        thread.join(10)
    assert not any(thread.is_alive() for thread in work.owned)


def test_the_first_call_is_one_period_after_the_start(repeat: Repeat, work: Work, clock: FakeClock) -> None:
    """Not earlier."""
    repeat.start()
    clock.advance(9.5)
    clock.advance(0.5)

    assert work.when() == 10
    assert work.called.empty()


def test_calls_are_on_a_grid(repeat: Repeat, work: Work, clock: FakeClock) -> None:
    """The duration of a call does not move the following calls."""
    work.takes = 3
    repeat.start()
    clock.advance(10)
    assert work.when() == 10
    clock.advance(7)
    assert work.when() == 20
    clock.advance(7)

    assert work.when() == 30


def test_missed_calls_are_not_repeated(repeat: Repeat, work: Work, clock: FakeClock) -> None:
    """The next call after a long call is at the next point of the grid."""
    work.takes = 25
    repeat.start()
    clock.advance(10)
    assert work.when() == 10
    work.takes = 0
    clock.advance(5)

    assert work.when() == 40
    assert work.called.empty()


def test_a_late_wake_does_not_move_the_grid(repeat: Repeat, work: Work, clock: FakeClock) -> None:
    """After a suspension, the calls continue on the same grid."""
    repeat.start()
    clock.advance(33)
    assert work.when() == 33
    clock.advance(7)

    assert work.when() == 40


def test_failures_are_reported_and_increase_the_pause(repeat: Repeat, work: Work, clock: FakeClock) -> None:
    """After n failures in a row, the pause is 2ⁿ periods, up to a maximum; a success resets it."""
    work.raises = ValueError("broken")
    repeat.start()

    waited = [10, 20, 40, 60, 60]
    for seconds in waited:
        clock.advance(seconds - 0.5)
        clock.advance(0.5)
        assert work.when() == clock.now()
        assert work.failed.get(timeout=10) is work.raises
    work.raises = None
    clock.advance(60)
    assert work.when() == sum(waited) + 60
    clock.advance(10)

    assert work.when() == sum(waited) + 70
    assert work.failed.empty()


def test_a_period_longer_than_the_maximum_pause_is_kept(work: Work, clock: FakeClock) -> None:
    """An hourly call is repeated after an hour."""
    work.raises = ValueError("broken")
    repeat = Repeat(name="work", call=work, every=100, failed=work.failed.put, longest=60, clock=clock)
    repeat.start()
    clock.advance(100)
    assert work.when() == 100
    clock.advance(100)

    assert work.when() == 200
    repeat.stop(10)


def test_the_pause_is_bounded_after_any_number_of_failures(work: Work, clock: FakeClock) -> None:
    """No number grows without limit."""
    work.raises = ValueError("broken")
    repeat = Repeat(name="work", call=work, every=1, failed=work.failed.put, longest=1, clock=clock)
    repeat.start()
    for _ in range(1100):
        clock.advance(1)
        work.when()

    repeat.stop(10)
    assert work.called.empty()


def test_a_base_exception_is_reported_and_ends_the_thread(repeat: Repeat, work: Work, clock: FakeClock) -> None:
    """`SystemExit` was meant to end the thread."""
    work.raises = SystemExit(3)
    repeat.start()
    clock.advance(10)

    assert work.failed.get(timeout=10) is work.raises
    work.owned[0].join(10)
    assert not work.owned[0].is_alive()


def test_a_stop_wakes_the_thread_at_once(repeat: Repeat, work: Work) -> None:
    """Without waiting for the next call; the clock does not move."""
    repeat.start()

    repeat.stop(10)

    assert not work.owned[0].is_alive()
    assert work.called.empty()


def test_a_stop_before_the_start_has_no_effect(repeat: Repeat, work: Work, clock: FakeClock) -> None:
    """A start afterwards works."""
    repeat.stop(10)
    repeat.start()
    clock.advance(10)

    assert work.when() == 10


def test_a_second_start_has_no_effect(repeat: Repeat, work: Work, clock: FakeClock) -> None:
    """It begins neither a thread nor a grid."""
    repeat.start()
    clock.advance(5)
    repeat.start()
    clock.advance(5)

    assert work.when() == 10
    assert len(work.owned) == 1


def test_a_start_after_a_stop_begins_a_new_grid(repeat: Repeat, work: Work, clock: FakeClock) -> None:
    """In a new thread, which is registered with the bus like the first."""
    repeat.start()
    clock.advance(4)
    repeat.stop(10)
    repeat.start()
    clock.advance(9.5)
    clock.advance(0.5)

    assert work.when() == 14
    assert len(work.owned) == 2


def test_a_call_can_stop_its_own_thread(repeat: Repeat, work: Work, clock: FakeClock) -> None:
    """It does not wait for itself; the thread ends when the call returns."""
    stopped: SimpleQueue[None] = SimpleQueue()

    def stop() -> None:
        repeat.stop(10)
        stopped.put(None)

    repeat.call = stop
    repeat.start()
    clock.advance(10)
    stopped.get(timeout=10)
    work.owned[0].join(10)

    assert not work.owned[0].is_alive()


def test_a_call_can_restart_its_own_thread(repeat: Repeat, work: Work, clock: FakeClock) -> None:
    """The thread continues with a new grid; there is no second thread."""

    def again() -> None:
        work()
        clock.advance(3, sleepers=0)
        repeat.stop(10)
        repeat.start()

    repeat.call = again
    repeat.start()
    clock.advance(10)
    assert work.when() == 10
    clock.advance(10)

    assert work.when() == 23
    assert len(work.owned) == 1


def test_a_stop_waits_for_the_running_call_up_to_its_patience(repeat: Repeat, work: Work) -> None:
    """The error names the thread and shows its stack; a start afterwards uses the same thread."""
    calling, returning = threading.Event(), threading.Event()

    def hang() -> None:
        calling.set()
        returning.wait(30)

    slow = Repeat(name="slow", call=hang, every=0.001, failed=work.failed.put, own=work.owned.append)
    slow.start()
    calling.wait(10)

    with pytest.raises(NotEnded, match=r"slow still runs 0\.01 s after it was asked to stop") as raised:
        slow.stop(0.01)

    assert "in hang\n" in str(raised.value)
    assert isinstance(raised.value, TimeoutError)
    slow.start()
    calling.clear()
    returning.set()
    assert calling.wait(10)
    slow.stop(10)
    assert len(work.owned) == 1


def test_concurrent_starts_and_stops_leave_at_most_one_thread(repeat: Repeat, work: Work) -> None:
    """In any order."""
    barrier = threading.Barrier(4)
    before = threading.active_count()

    def turn() -> None:
        barrier.wait(10)
        for _ in range(50):
            repeat.start()
            repeat.stop(10)

    turners = [threading.Thread(target=turn) for _ in range(4)]
    for turner in turners:
        turner.start()
    for turner in turners:
        turner.join(30)
    repeat.stop(10)

    assert threading.active_count() == before
    assert not any(thread.is_alive() for thread in work.owned)


def test_a_thread_that_ends_during_a_stop_is_not_waited_for() -> None:
    """The caller's own thread is not waited for either."""
    done = threading.Thread(target=str)
    done.start()
    join(done, 10)
    join(threading.current_thread(), 0)

    assert not done.is_alive()


@pytest.mark.parametrize("given", [0, -1, float("nan"), float("inf"), True, "10", None])
@pytest.mark.parametrize("field", ["every", "longest"])
def test_an_invalid_time_is_refused(field: str, given: object) -> None:
    """The error has the name and the value."""
    fields: dict[str, object] = {"every": 1, field: given}

    with pytest.raises(PeriodError) as raised:
        Repeat(name="work", call=print, failed=print, **fields)  # type: ignore[arg-type]  # as a caller without a checker

    assert str(raised.value) == f"work: {field}={given!r} is not a duration; give a number of seconds above 0"
    assert isinstance(raised.value, ValueError)


def test_the_errors_can_be_pickled() -> None:
    """They are equal to the originals."""
    for error in (PeriodError("work", "every", 0), NotEnded("work", 5, "here")):
        again = pickle.loads(pickle.dumps(error))

        assert str(again) == str(error)
        assert vars(again) == vars(error)


@pytest.mark.slow
def test_importing_typedbus_does_not_import_repeat() -> None:
    """Programs without repeated calls do not pay for it."""
    import subprocess

    command = [sys.executable, "-c", "import sys, typedbus; sys.exit('typedbus.plugins._periodic' in sys.modules)"]

    assert subprocess.run(command, check=False).returncode == 0
