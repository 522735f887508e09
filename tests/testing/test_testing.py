"""`typedbus.testing`: recorders, clocks and running containers for the tests of applications."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import pytest
from tests.doubles import LIMIT, ThreadCall

from typedbus import (
    EXIT,
    MAIN,
    START,
    AsyncChannel,
    Bus,
    Channel,
    ChannelFailures,
    Component,
    Container,
    HookTimeout,
    InvalidContainer,
    Limits,
    State,
    TransitionError,
    TransitionFailures,
)
from typedbus.events import LIFECYCLE, ComponentStarted
from typedbus.faults import BusFault
from typedbus.testing import Call, FakeClock, NoAnswer, Recorder, running

ring = Channel[[], None]("ring")
square = Channel[[int], int]("square")


@Channel.declare
def stock_low(sku: str, /, *, left: int = 0) -> None:
    """Fewer than the reorder level are left of `sku`."""


class Counter:
    """A component that counts how often it was started and stopped."""

    def __init__(self) -> None:
        self.started = 0
        self.stopped = 0

    def start(self) -> None:
        """Count."""
        self.started += 1

    def stop(self) -> None:
        """Count."""
        self.stopped += 1


class Broken:
    """A component that can neither stop nor, if asked so, start."""

    def __init__(self, *, starts: bool) -> None:
        self.starts = starts

    def start(self) -> None:
        """Fail if asked so."""
        if not self.starts:
            raise OSError("no disk")

    def stop(self) -> None:
        """Fail."""
        raise ValueError("no end")


class Shop(Container):
    """A container that works."""

    bus = Component(Bus)
    counter = Component(Counter)


class Stubborn(Container):
    """A container that starts and does not stop well."""

    bus = Component(Bus)
    broken = Component(Broken, starts=True)


class Ticking:
    """A bus that blocks in a thread and is ticked by a clock that a test holds."""

    def __init__(self, interval: float) -> None:
        self.clock = FakeClock(100.0)
        self.bus = Bus(clock=self.clock)
        self.times: SimpleQueue[float] = SimpleQueue()
        self.bus[MAIN].subscribe(lambda: self.times.put(self.clock.now()))
        self.thread = threading.Thread(target=self.bus.block, kwargs={"interval": interval})

    def next(self) -> float:
        """Return when the next tick came."""
        return self.times.get(timeout=60)


@pytest.fixture
def ticking() -> Iterator[Ticking]:
    """Give a bus that blocks, with a tick every two seconds, until the end of the test."""
    ticking = Ticking(2.0)
    ticking.bus.start()
    ticking.thread.start()
    yield ticking
    ticking.bus.request_exit()
    ticking.thread.join(timeout=60)
    assert not ticking.thread.is_alive()


# Recorder


def test_a_recorder_remembers_every_publish() -> None:
    """Arguments are kept as they were given, in order."""
    bound = Bus()[stock_low]

    with Recorder(bound) as lows:
        bound.publish("A-1", left=2)
        bound.publish("A-2")

    assert lows.calls == [Call(("A-1",), {"left": 2}), Call(("A-2",), {"left": 0})]


def test_a_recorder_counts_what_was_published() -> None:
    """`times` counts the publishes of exactly these arguments."""
    bound = Bus()[stock_low]

    with Recorder(bound) as lows:
        for _ in range(2):
            bound.publish("A-1", left=2)
        bound.publish("A-1")

    assert (lows.times("A-1", left=2), lows.times("A-1"), lows.times("A-2")) == (2, 1, 0)


def test_a_recorder_listens_inside_its_block_alone() -> None:
    """Before and after it, and when the block fails, it is not subscribed."""
    bound = Bus()[ring]

    recorder = Recorder(bound)
    bound.publish()
    with pytest.raises(OSError, match="no disk"), recorder:
        bound.publish()
        raise OSError("no disk")
    bound.publish()

    assert (recorder.times(), bound.subscriptions) == (1, ())


def test_a_recorder_answers_as_it_was_told() -> None:
    """Its answers are the results of the publish, and are kept."""
    bound = Bus()[square]

    with Recorder(bound).answering(lambda number: number * number) as squares:
        answers = [bound.publish(2), bound.publish(3)]

    assert answers == [[4], [9]]
    assert squares.results == [4, 9]


def test_a_recorder_may_answer_with_a_failure() -> None:
    """An exception of the answer is the failure of a listener; the call is recorded."""
    bound = Bus()[square]

    def refuse(number: int, /) -> int:
        raise ValueError(number)

    with Recorder(bound).answering(refuse) as squares, pytest.raises(ChannelFailures) as caught:
        bound.publish(3)

    assert isinstance(caught.value.exceptions[0], ValueError)
    assert (squares.times(3), squares.results) == (1, [])


def test_a_recorder_on_a_channel_without_results_needs_no_answer() -> None:
    """It returns None, as every listener of such a channel."""
    bound = Bus()[ring]

    with Recorder(bound):
        assert bound.publish() == [None]


def test_a_recorder_on_a_channel_with_results_needs_an_answer() -> None:
    """Without one it refuses to listen."""
    bound = Bus()[square]

    with pytest.raises(NoAnswer) as caught, Recorder(bound):  # type: ignore[misc]  # the checkers refuse it, too
        raise AssertionError

    assert (caught.value.channel, caught.value.result, bound.subscriptions) == ("square", int, ())


@pytest.mark.parametrize(
    ("result", "shown"),
    [(int, "int"), (list[int], "list[int]"), (int | None, "int | None"), ("Elsewhere", "Elsewhere")],
)
def test_no_answer_names_the_channel_and_its_result(result: Any, shown: str) -> None:
    """And how to give the recorder one."""

    def asked() -> Any:
        """Ask."""

    asked.__annotations__["return"] = result
    recorder: Any = Recorder(Bus()[Channel.declare(asked)])

    with pytest.raises(NoAnswer) as caught, recorder:
        raise AssertionError

    assert str(caught.value) == (
        f"this recorder has no answer, but listeners of channel 'asked' return {shown}; "
        "pass a function that returns the answer: Recorder(bound).answering(function)"
    )


@pytest.mark.parametrize("annotations", [{}, {"return": Any}, {"return": None}, {"sku": "Elsewhere", "return": "None"}])
def test_a_recorder_needs_no_answer_where_none_may_be_returned(annotations: dict[str, Any]) -> None:
    """Also where the result of the channel is not known, or another annotation cannot be evaluated."""

    def asked(sku: Any = "", /) -> Any:
        """Ask."""

    asked.__annotations__ = annotations
    bound = Bus()[Channel.declare(asked)]

    with Recorder(bound) as questions:
        assert bound.publish("tea") == [None]

    assert questions.times("tea") == 1


def test_answering_gives_the_recorder_back() -> None:
    """So that it may be kept under a name before it listens."""
    bound = Bus()[square]
    squares = Recorder(bound)

    with squares.answering(lambda number: number * number) as listening:
        bound.publish(2)

    assert listening is squares
    assert squares.results == [4]


def test_a_recorder_has_a_priority() -> None:
    """It can listen before and after everybody else."""
    bound = Bus()[square]

    bound.subscribe(lambda number: number)
    with (
        Recorder(bound, priority=90).answering(lambda number: 90),
        Recorder(bound, priority=10).answering(lambda number: 10),
    ):
        assert bound.publish(3) == [10, 3, 90]


def test_two_recorders_are_two_listeners() -> None:
    """The end of one is not the end of the other."""
    bound = Bus()[ring]

    with Recorder(bound) as outer:
        with Recorder(bound) as inner:
            bound.publish()
        bound.publish()

    assert (outer.times(), inner.times()) == (2, 1)


def test_a_recorder_listens_to_an_async_channel() -> None:
    """Publishes and answers are recorded, and an answer that raises is a failure of the publish."""
    counted = AsyncChannel[[str], int]("counted")
    saved = AsyncChannel[[str], None]("saved")
    bus = Bus()

    async def publish() -> list[int]:
        await bus[saved].publish("tea")
        with pytest.raises(ChannelFailures):
            await bus[counted].publish("")
        return await bus[counted].publish("tea")

    with Recorder(bus[saved]) as saves, Recorder(bus[counted]).answering(lambda text: 6 // len(text)) as counts:
        results = asyncio.run(publish())

    assert (results, counts.results, counts.calls) == ([2], [2], [Call(("",), {}), Call(("tea",), {})])
    assert saves.times("tea") == 1
    with pytest.raises(NoAnswer):
        Recorder(bus[counted]).__enter__()  # type: ignore[misc]  # it is wrong


# FakeClock


def test_a_fake_clock_stands_still() -> None:
    """It begins at the given time, and only `advance` moves it."""
    clock = FakeClock(7.0)

    clock.advance(2.5, sleepers=0)

    assert clock.now() == 9.5
    assert FakeClock().now() == 0.0


def test_durations_come_from_the_clock_of_the_bus() -> None:
    """The duration of a listener is measured on the clock of the bus."""
    clock = FakeClock()
    bus = Bus(clock=clock)
    bus[START].subscribe(lambda: clock.advance(2.5, sleepers=0))

    with Recorder(bus[LIFECYCLE]) as events:
        bus.start()

    (took,) = [call.args[0].seconds for call in events.calls if isinstance(call.args[0], ComponentStarted)]
    assert took == 2.5


def test_a_tick_comes_when_the_clock_has_reached_it(ticking: Ticking) -> None:
    """Short of the interval nothing is published; the clock wakes the blocking thread in time."""
    ticking.clock.advance(1.0)
    ticking.clock.advance(1.0)

    assert ticking.next() == 102.0
    assert ticking.times.empty()


def test_ticks_do_not_drift(ticking: Ticking) -> None:
    """A tick that comes late does not put off those after it."""
    times = []
    for seconds in (2.5, 1.5, 2.25, 1.75, 3.0, 1.0):
        ticking.clock.advance(seconds)
        times.append(ticking.next())

    assert times == [102.5, 104.0, 106.25, 108.0, 111.0, 112.0]


def test_ticks_that_were_missed_are_not_made_up_for(ticking: Ticking) -> None:
    """After a long sleep there is one tick, and the next is in step with those before."""
    ticking.clock.advance(9.0)
    late = ticking.next()
    ticking.clock.advance(1.0)

    assert (late, ticking.next(), ticking.times.empty()) == (109.0, 110.0, True)


def test_the_clock_wakes_who_is_due_alone() -> None:
    """Of two threads that sleep on it, the one that sleeps longer goes on sleeping."""
    clock, woken = FakeClock(), SimpleQueue[str]()
    inboxes = {"short": SimpleQueue[None](), "long": SimpleQueue[None]()}

    def sleep(name: str, seconds: float) -> None:
        clock.wait(inboxes[name], seconds)
        woken.put(name)

    with ThreadPoolExecutor() as threads:
        threads.submit(sleep, "long", 5.0)
        threads.submit(sleep, "short", 1.0)
        clock.advance(1.0, sleepers=2)
        first = woken.get(timeout=60)
        clock.advance(4.0)
        second = woken.get(timeout=60)

    assert (first, second) == ("short", "long")


def test_what_comes_into_the_inbox_ends_the_sleep() -> None:
    """The sleeper is then none any more, and what came is taken."""
    clock, inbox = FakeClock(), SimpleQueue[None]()
    inbox.put(None)

    clock.wait(inbox, 5.0)

    assert inbox.empty()
    with pytest.raises(TimeoutError):
        clock.advance(5.0, patience=0.0)


@pytest.mark.timeout(5)  # less than the patience of `advance`, which would hide that it is not woken
def test_the_clock_waits_for_a_sleeper_to_come() -> None:
    """`advance` may be called first, and goes on as soon as a thread sleeps."""
    clock = FakeClock()
    sleeper = threading.Thread(target=clock.wait, args=(SimpleQueue(), 2.0), daemon=True)

    class One(int):
        def __le__(self, other: int) -> bool:
            if sleeper.ident is None:
                sleeper.start()
            return int(self) <= other

    clock.advance(2.0, sleepers=One(1), patience=60.0)
    sleeper.join(timeout=60)

    assert (clock.now(), sleeper.is_alive()) == (2.0, False)


def test_who_was_woken_sleeps_no_more() -> None:
    """The next `advance` waits for the next sleep, though the thread has not come out of this one."""
    clock, go_on = FakeClock(), threading.Event()

    class Slow(SimpleQueue[None]):
        def get(self, block: bool = True, timeout: float | None = None) -> None:
            super().get(block, timeout)
            go_on.wait(timeout=60)

    sleeper = threading.Thread(target=clock.wait, args=(Slow(), 2.0), daemon=True)
    sleeper.start()
    clock.advance(2.0)
    with pytest.raises(TimeoutError):
        clock.advance(2.0, patience=0.0)
    go_on.set()
    sleeper.join(timeout=60)

    assert clock.now() == 2.0


def test_a_clock_that_nobody_sleeps_on_does_not_go_on() -> None:
    """`advance` tells how many it waited for, and the time stays."""
    clock = FakeClock()

    with pytest.raises(TimeoutError, match="^0 of 2 threads sleep on the clock$"):
        clock.advance(1.0, sleepers=2, patience=0.01)

    assert clock.now() == 0.0


# running


def test_a_container_runs_for_the_length_of_the_block() -> None:
    """It is started before it and exited after it."""
    shop = Shop()

    with running(shop) as given:
        inside = (given is shop, shop.bus().state, shop.counter().started, shop.counter().stopped)

    assert inside == (True, State.STARTED, 1, 0)
    assert (shop.bus().state, shop.counter().stopped) == (State.EXITED, 1)


def test_a_container_is_exited_when_the_block_fails() -> None:
    """The exception of the block is raised unchanged."""
    shop, error = Shop(), OSError("no disk")

    with pytest.raises(OSError, match="no disk") as caught, running(shop):
        raise error

    assert caught.value is error
    assert (shop.bus().state, shop.counter().stopped) == (State.EXITED, 1)


def test_an_exit_that_fails_is_told_after_the_block() -> None:
    """A block that went well does not hide that the container did not end well."""
    container = Stubborn()

    with pytest.raises(TransitionFailures) as caught, running(container):
        pass

    assert (caught.value.goal, container.bus().state) == (State.EXITED, State.EXITED)


def test_a_block_and_an_exit_that_fail_are_told_together() -> None:
    """Neither hides the other."""
    error = OSError("no disk")

    with pytest.raises(BaseExceptionGroup) as caught, running(Stubborn()):
        raise error

    first, second = caught.value.exceptions
    assert (first, type(second)) == (error, TransitionFailures)


def test_a_container_that_does_not_start_is_exited() -> None:
    """The block does not run, and the components that were built are released."""

    class Dead(Container):
        bus = Component(Bus)
        broken = Component(Broken, starts=False)

    dead, exits = Dead(), list[str]()
    dead.bus()[EXIT].subscribe(lambda: exits.append("exit"))

    with pytest.raises(TransitionFailures) as caught, running(dead):
        raise AssertionError

    assert (caught.value.goal, dead.bus().state, exits) == (State.STARTED, State.EXITED, ["exit"])


def test_an_invalid_container_is_not_built() -> None:
    """Its faults are raised before any constructor runs."""
    built: list[str] = []

    class Wrong(Container):
        bus = Component(Bus)
        other = Component(Bus)
        noted = Component(lambda: built.append("noted"))

    with pytest.raises(InvalidContainer) as caught, running(Wrong()):
        raise AssertionError

    assert ([type(fault) for fault in caught.value.exceptions], built) == ([BusFault], [])


def test_a_container_that_runs_already_is_left_alone() -> None:
    """The inner block is refused, and the outer one goes on."""
    shop = Shop()

    with running(shop):
        with pytest.raises(TransitionError), running(shop):
            raise AssertionError
        inside = shop.bus().state

    assert inside is State.STARTED


def test_a_container_may_run_again() -> None:
    """New components are built and started."""
    shop = Shop()

    for _ in range(2):
        with running(shop):
            pass

        assert (shop.counter().started, shop.counter().stopped) == (1, 1)


# FakeClock, and hooks on an event loop


class Slow:
    """Has a start that awaits something for ever; it ignores cancellations until it is released."""

    def __init__(self, *, ignores: bool = False) -> None:
        self.ignores = ignores
        self.begun, self.cancelled = threading.Event(), threading.Event()
        self.released = False

    async def start(self) -> None:
        self.begun.set()
        while not self.released:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                if not self.ignores:
                    raise

    async def release(self) -> None:
        self.released = True
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


def timeout_of(error: BaseException | None) -> HookTimeout:
    """Return the only failure of a start."""
    assert isinstance(error, TransitionFailures)
    (timeout,) = error.exceptions
    assert isinstance(timeout, HookTimeout)
    return timeout


def test_a_clock_overruns_an_async_hook_on_the_bus_s_own_loop() -> None:
    """It is cancelled when the clock has passed the limit, in no real time."""
    clock = FakeClock()
    bus = Bus(clock=clock, limits=Limits(hook=3600))
    bus[START].subscribe(Slow().start)
    starting = ThreadCall(bus.start)

    clock.advance(3600)

    timeout = timeout_of(starting.finished().error)
    assert (timeout.outcome, timeout.seconds) == ("cancelled", 3600)
    bus.exit()


def test_a_clock_overruns_an_async_hook_on_the_loop_of_the_caller() -> None:
    """A test moves the clock in another thread, so that the loop stays free."""
    clock = FakeClock()
    bus = Bus(clock=clock, limits=Limits(hook=3600))
    bus[START].subscribe(Slow().start)

    async def main() -> BaseException:
        starting = asyncio.create_task(bus.start_async())
        await asyncio.to_thread(clock.advance, 3600)
        with pytest.raises(TransitionFailures) as failed:
            await starting
        await bus.exit_async()
        return failed.value

    timeout = timeout_of(asyncio.run(main()))

    assert (timeout.outcome, timeout.seconds) == ("cancelled", 3600)


def test_a_clock_gives_up_an_async_hook_that_ignores_its_cancellation() -> None:
    """A second of the clock after the cancellation it is left behind."""
    clock = FakeClock()
    bus = Bus(clock=clock, limits=Limits(hook=3600))
    slow = Slow(ignores=True)
    bus[START].subscribe(slow.start)
    starting = ThreadCall(bus.start)
    assert slow.begun.wait(LIMIT)

    clock.advance(3600)
    assert slow.cancelled.wait(LIMIT)
    clock.advance(1)

    assert timeout_of(starting.finished().error).outcome == "left behind"
    bus.run_on_loop(slow.release()).result()
    bus.exit()
