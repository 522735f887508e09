"""The bus apart from its transitions: channels, observers, `wait`, `block`, and garbage collection."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import io
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import pytest
from tests.doubles import ThreadCall, TickingClock, raising, until_waiting

from typedbus import (
    EXIT,
    GRACEFUL,
    LOG,
    MAIN,
    START,
    STOP,
    Bus,
    Channel,
    ChannelError,
    ChannelFailures,
    StartCancelled,
    State,
    StillRunning,
    TransitionFailures,
    WaitError,
)
from typedbus._bus.bus import parts_of
from typedbus.events import COMPONENT_STARTED, LIFECYCLE, ComponentStarted, LifecycleEvent, Moved
from typedbus.types import HookResult

sold = Channel[[str, int], str]("sold")


def output(program: str, *, status: int = 0) -> str:
    """Run *program* in its own process, and return its output."""
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == status, process.stderr
    return process.stdout


@contextlib.contextmanager
def hanging(bus: Bus, *names: str) -> Iterator[None]:
    """Let *bus* own threads with these names that hang until the end."""
    released = threading.Event()
    hung = threading.Semaphore(0)

    def hang_here() -> None:
        hung.release()
        released.wait(10)

    threads = [threading.Thread(target=hang_here, name=name) for name in names]
    for thread in threads:
        bus.own(thread)
        thread.start()
        hung.acquire()
    try:
        yield
    finally:
        released.set()
        for thread in threads:
            thread.join()


def test_a_bus_returns_the_same_bound_channel_each_time() -> None:
    """bus[channel] is one object for each channel and bus."""
    bus = Bus()

    assert bus[sold] is bus[sold]
    assert bus[sold].channel is sold
    assert bus[sold] is not Bus()[sold]


def test_a_bus_returns_the_same_bound_channel_to_every_thread() -> None:
    """Threads that look up a channel at the same time get the same object."""
    bus = Bus()
    together = threading.Barrier(8)

    callers = [ThreadCall(lambda: (together.wait(), bus[sold])[1]) for _ in range(8)]

    assert {caller.finished().result for caller in callers} == {bus[sold]}


def test_the_methods_of_a_bus_delegate_to_its_bound_channels() -> None:
    """publish, subscribe and unsubscribe of the bus do the same as those of bus[channel]."""
    bus = Bus()

    def receipt(sku: str, count: int) -> str:
        return f"{count} {sku}"

    subscription = bus.subscribe(sold, receipt, priority=7)

    assert bus[sold].subscriptions == (subscription,)
    assert (subscription.listener, subscription.priority) == (receipt, 7)
    assert bus.publish(sold, "A-1", 3) == ["3 A-1"]
    bus.unsubscribe(sold, receipt)
    assert bus.publish(sold, "A-1", 3) == []


def test_a_listener_of_a_bus_has_priority_50_by_default() -> None:
    """bus.subscribe gives the priority that bus[channel].subscribe gives."""
    assert Bus().subscribe(sold, lambda sku, count: sku).priority == 50


@pytest.mark.parametrize(
    ("use", "example"),
    [
        (lambda bus, channel: bus[channel], "bus[START]"),
        (lambda bus, channel: bus.publish(channel), "bus[START]"),
        (lambda bus, channel: bus.subscribe(channel, print), "bus.subscribe(START, listener)"),
        (lambda bus, channel: bus.unsubscribe(channel, print), "bus.subscribe(START, listener)"),
    ],
    ids=["index", "publish", "subscribe", "unsubscribe"],
)
def test_a_name_is_refused_as_a_channel(use: Callable[[Bus, Any], object], example: str) -> None:
    """The error has the accepted types."""
    with pytest.raises(ChannelError) as raised:
        use(Bus(), "start")

    assert str(raised.value).startswith("'start' is not a channel")
    assert str(raised.value).endswith(f"the channel object, as in {example}")


def test_a_bus_lists_the_channels_that_were_looked_up() -> None:
    """Each once: the built-in channels first, then the others in the order of the first use."""
    bus = Bus()
    bus.publish(sold, "A-1", 1)
    bus.log("hello")
    bus[sold].subscribe(lambda sku, count: sku)

    assert bus.channels[:2] == (LOG, LIFECYCLE)
    assert bus.channels[-2:] == (MAIN, sold)


def test_the_repr_of_a_bus_has_its_state_and_number_of_channels() -> None:
    """It does not show their contents."""
    bus = Bus()
    bus.start()

    assert re.fullmatch(r"<Bus STARTED with \d+ channel\(s\)>", repr(bus))


def test_two_buses_are_independent() -> None:
    """The listeners of a bus are not called for a publish on another bus."""
    one, other = Bus(), Bus()
    names: list[str] = []
    other[START].subscribe(lambda: names.append("start"))
    other[LOG].subscribe(lambda message, level: names.append(message))

    one.start()
    one.log("hello")
    one.request_exit()

    assert other.state is State.STOPPED
    assert names == []
    assert not one.wait(State.STOPPED, timeout=0)
    assert other.wait(State.STOPPED, timeout=0)


def test_graceful_is_published() -> None:
    """graceful calls its listeners and does not change the state."""
    bus = Bus()
    states: list[State] = []
    bus[GRACEFUL].subscribe(lambda: states.append(bus.state))

    bus.graceful()

    assert states == [State.STOPPED]


def test_graceful_raises_the_failure_of_a_listener() -> None:
    """graceful raises what publishing raises."""
    bus = Bus()
    error = ValueError()
    bus[GRACEFUL].subscribe(raising(error))

    with pytest.raises(ChannelFailures) as raised:
        bus.graceful()

    assert raised.value.exceptions == (error,)


def test_a_message_is_logged_with_its_level() -> None:
    """log publishes message and level; the default level is INFO."""
    bus = Bus()
    messages: list[tuple[str, int]] = []
    bus[LOG].subscribe(lambda message, level: messages.append((message, level)))

    bus.log("hello")
    bus.log("careful", 30)

    assert messages == [("hello", 20), ("careful", 30)]


def test_a_failing_log_listener_does_not_affect_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    """The caller gets no error, and stderr has the message and the failure."""
    bus = Bus()
    messages: list[str] = []

    def fail(message: str, level: int) -> None:
        raise OSError("disk full")

    subscription = bus[LOG].subscribe(fail)
    bus[LOG].subscribe(lambda message, level: messages.append(message))

    bus.log("hello", 30)

    assert messages == ["hello"]
    errors = capsys.readouterr().err
    assert errors == f"hello 30\n({subscription.name} on 'log' failed: OSError('disk full'))\n"


def test_publishing_on_log_returns_the_results_of_successful_listeners(capsys: pytest.CaptureFixture[str]) -> None:
    """bus[LOG].publish returns one result for each listener that returned."""
    bus = Bus()
    bus[LOG].subscribe(lambda message, level: None)
    bus[LOG].subscribe(lambda message, level: None)
    bus[LOG].subscribe(lambda message, level: raising(ValueError())())

    assert bus[LOG].publish("hello", 20) == [None, None]
    assert "hello" in capsys.readouterr().err


def test_each_failing_log_listener_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """stderr gets a note for every log listener that failed."""
    bus = Bus()

    def fail(error: Exception, message: str, level: int) -> None:
        raise error

    for error in (OSError("one"), OSError("two")):
        bus[LOG].subscribe(functools.partial(fail, error))

    bus.log("hello")

    errors = capsys.readouterr().err
    assert "OSError('one')" in errors
    assert "OSError('two')" in errors


def closed() -> IO[str]:
    stream = io.StringIO()
    stream.close()
    return stream


class Broken(io.StringIO):
    """A pipe without a reader."""

    def write(self, text: str, /) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("stderr", [None, closed, Broken, object], ids=["none", "closed", "broken pipe", "no stream"])
def test_a_failing_log_listener_is_ignored_without_stderr(stderr: Callable[[], Any] | None) -> None:
    """The failure is dropped, and the other listeners are called."""
    bus = Bus()
    messages: list[str] = []
    bus[LOG].subscribe(lambda message, level: raising(ValueError())())
    bus[LOG].subscribe(lambda message, level: messages.append(message))

    with contextlib.redirect_stderr(stderr and stderr()):
        bus.log("hello")

    assert messages == ["hello"]


def test_a_failing_lifecycle_listener_does_not_affect_transitions(capsys: pytest.CaptureFixture[str]) -> None:
    """The other listeners are called, and stderr has event and failure."""
    bus = Bus()
    events: list[LifecycleEvent] = []
    bus[LIFECYCLE].subscribe(lambda event: raising(ValueError("no room"))())
    bus[LIFECYCLE].subscribe(events.append)

    bus.start()

    assert bus.state is State.STARTED
    assert events == [Moved(State.STOPPED, State.STARTING), Moved(State.STARTING, State.STARTED)]
    errors = capsys.readouterr().err
    assert str(events[0]) in errors
    assert "ValueError('no room')" in errors


def test_a_log_listener_may_raise_system_exit() -> None:
    """SystemExit and KeyboardInterrupt pass through log."""
    bus = Bus()
    bus[LOG].subscribe(lambda message, level: raising(SystemExit(3))())

    with pytest.raises(SystemExit):
        bus.log("hello")


def test_waiting_for_the_current_state_returns_at_once() -> None:
    """A thread need not sleep for it."""
    assert Bus().wait(State.STOPPED) is State.STOPPED


@pytest.mark.parametrize(
    "states",
    [State.STARTED, [State.EXITED, State.STARTED], {State.STARTED}, iter((State.STARTED,))],
    ids=["one", "list", "set", "iterator"],
)
def test_waiting_ends_when_the_state_is_reached(states: State | Iterable[State]) -> None:
    """wait accepts one state or any iterable of states, and returns at the first."""
    bus = Bus()
    waiting = ThreadCall(lambda: bus.wait(states)).waiting()

    bus.start()

    assert waiting.finished().result is State.STARTED


def test_waiting_continues_through_other_states() -> None:
    """A state wakes only the threads that wait for it."""
    bus = Bus()
    waiting = ThreadCall(lambda: bus.wait(State.EXITED)).waiting()

    bus.start()
    bus.stop()

    waiting.waiting()
    bus.exit()

    assert waiting.finished().result is State.EXITED


@pytest.mark.parametrize("timeout", [0.01, 0, -1])
def test_wait_returns_at_its_timeout(timeout: float) -> None:
    """The result shows that the state was not reached; a negative timeout counts as zero."""
    assert Bus().wait(State.STARTED, timeout) is None


@pytest.mark.parametrize("state", [State.STARTING, State.STOPPING, State.EXITING], ids=lambda state: state.name)
def test_a_state_that_passes_is_not_missed(state: State) -> None:
    """A thread that waits for a short-lived state returns, even if it runs after the state has passed."""
    bus = Bus()
    waiting = ThreadCall(lambda: bus.wait(state, timeout=10)).waiting()

    bus.start()
    bus.exit()

    assert waiting.finished().result is state
    assert bus.state is State.EXITED


def test_several_states_of_one_wait_may_pass() -> None:
    """The first of its states wakes the waiting thread."""
    bus = Bus()
    waiting = ThreadCall(lambda: bus.wait(set(State) - {State.STOPPED})).waiting()

    bus.start()
    bus.exit()

    assert waiting.finished().result is State.STARTING


def test_all_waiting_threads_are_woken() -> None:
    """A state wakes all threads that wait for it, and no thread that waits for another state."""
    bus = Bus()
    starts = [ThreadCall(lambda: bus.wait(State.STARTED)).waiting() for _ in range(10)]
    exited = ThreadCall(lambda: bus.wait(State.EXITED)).waiting()

    bus.start()

    assert [waiting.finished().result for waiting in starts] == [State.STARTED] * 10
    assert exited.is_alive()
    bus.exit()
    exited.finished()


def test_waiting_for_an_empty_set_is_an_error() -> None:
    """It would never end."""
    with pytest.raises(WaitError, match="no state: give at least one state"):
        Bus().wait([])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            COMPONENT_STARTED,
            "cannot wait for <Channel 'component_started'>: it is a channel, .*bus.wait\\(State.STARTED\\)",
        ),
        ([State.STOPPED, START], "cannot wait for <Channel 'start'>: it is a channel"),
        ("STARTED", "cannot wait for 'STARTED': it is a string, not a state: write State.STARTED"),
        ("started", "write State.STARTED"),
        (["STARTED"], "cannot wait for 'STARTED': it is a string, not a state: write State.STARTED"),
        (
            "running",
            "cannot wait for 'running': it is not a state: give one of State.STOPPED, State.STARTING, State.STARTED",
        ),
        (3, "cannot wait for 3: it is not a state"),
        ([None], "cannot wait for"),
    ],
)
def test_waiting_for_a_value_that_is_not_a_state_is_an_error(value: Any, text: str) -> None:
    """The error is raised at once, with the code to write."""
    with pytest.raises(WaitError, match=text):
        Bus().wait(value, timeout=0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (State.STARTED, "State.STARTED is a state, not a channel: wait for it with bus.wait\\(State.STARTED\\)"),
        (ComponentStarted, "they are published on COMPONENT_STARTED, as in bus\\[COMPONENT_STARTED\\]"),
        (Moved, "they are published on MOVED"),
    ],
)
def test_a_state_or_an_event_is_refused_as_a_channel(value: Any, text: str) -> None:
    """The error names the channel, or the method, that is meant."""
    with pytest.raises(ChannelError, match=text):
        Bus()[value]
    with pytest.raises(ChannelError, match=text):
        Bus().subscribe(value, print)


@pytest.mark.parametrize("channel", [START, STOP, EXIT], ids=lambda channel: channel.name)
def test_a_listener_cannot_wait_for_its_own_transition(channel: Channel[[], HookResult]) -> None:
    """The error names the state."""
    bus = Bus()

    @bus[channel].subscribe()
    def wait() -> None:
        bus.wait(State.STARTED if channel is START else State.EXITED)

    with pytest.raises(TransitionFailures) as raised:
        bus.start()
        bus.exit()

    error = raised.value.exceptions[0]
    assert isinstance(error, WaitError)
    assert re.search("the bus is (STARTING|STOPPING|EXITING) and goes on only when this listener returns", str(error))


def test_a_listener_may_wait_for_the_current_state() -> None:
    """wait returns at once."""
    bus = Bus()
    states: list[State | None] = []
    bus[START].subscribe(lambda: states.append(bus.wait(State.STARTING)))

    bus.start()

    assert states == [State.STARTING]


def test_a_thread_started_by_a_listener_may_wait() -> None:
    """Only the thread of the transition must not wait for it."""
    bus = Bus()
    waiting: list[ThreadCall] = []
    bus[START].subscribe(lambda: waiting.append(ThreadCall(lambda: bus.wait(State.STARTED)).waiting()))

    bus.start()

    assert waiting[0].finished().result is State.STARTED


def test_a_listener_may_wait_for_another_bus() -> None:
    """Only the transition of its own bus would be a deadlock."""
    bus, other = Bus(), Bus()
    states: list[State | None] = []
    bus[START].subscribe(lambda: states.append(other.wait(State.STARTED, timeout=0)))

    bus.start()

    assert states == [None]


def test_the_bus_holds_no_reference_to_a_finished_wait() -> None:
    """Whether it succeeded, timed out, returned at once or failed."""
    bus = Bus()
    waiting = ThreadCall(lambda: bus.wait(State.STARTED)).waiting()
    bus.wait(State.STOPPED)
    bus.wait(State.EXITED, timeout=0)

    @bus[START].subscribe()
    def wait() -> None:
        with pytest.raises(WaitError):
            bus.wait(State.STARTED)

    bus.start()
    waiting.finished()

    assert parts_of(bus).machine.waiters == []


def test_the_bus_holds_no_reference_to_an_interrupted_wait() -> None:
    """KeyboardInterrupt ends a wait."""
    bus = Bus()
    waiting, over, begun = threading.current_thread(), threading.Event(), threading.Event()

    def interrupt(number: int, frame: object) -> None:
        if not over.is_set():
            over.set()
            raise KeyboardInterrupt

    def interrupting() -> None:
        begun.wait()  # the main thread also sleeps while it starts this one
        until_waiting(waiting)
        # Again and again, since a signal that comes just before a thread falls asleep does not wake it.
        while not over.wait(0.01):
            signal.pthread_kill(waiting.ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    other = ThreadCall(interrupting)
    with pytest.raises(KeyboardInterrupt):
        begun.set()
        bus.wait(State.STARTED, timeout=10)
    other.finished()
    signal.signal(signal.SIGUSR1, before)

    assert parts_of(bus).machine.waiters == []


def test_block_returns_when_the_bus_has_exited() -> None:
    """Neither a start nor a stop ends the block; the exit of another thread does."""
    bus = Bus()
    blocking = ThreadCall(bus.block).waiting()

    bus.start()
    bus.stop()
    bus.start()
    blocking.waiting()
    bus.exit()

    assert blocking.finished().error is None


def test_blocking_on_a_bus_that_has_exited_returns_at_once() -> None:
    """There is no request to execute."""
    bus = Bus()
    bus.exit()

    assert ThreadCall(bus.block).finished().error is None


def test_the_thread_in_block_carries_out_a_requested_exit() -> None:
    """request_exit returns at once; stop and exit run in the thread in block."""
    bus = Bus()
    threads: list[threading.Thread] = []
    bus[STOP].subscribe(lambda: threads.append(threading.current_thread()))
    bus[EXIT].subscribe(lambda: threads.append(threading.current_thread()))
    bus.start()
    blocking = ThreadCall(bus.block).waiting()

    bus.request_exit()

    assert blocking.finished().error is None
    assert threads == [blocking, blocking]
    assert bus.state is State.EXITED


def test_a_request_waits_for_a_thread_in_block() -> None:
    """request_exit before block takes effect when block begins."""
    bus = Bus()
    bus.start()

    bus.request_exit()
    state = bus.state
    bus.block()

    assert state is State.STARTED
    assert bus.state is State.EXITED


def test_a_request_after_the_exit_returns_at_once() -> None:
    """A request_exit after the exit does not affect block."""
    bus = Bus()
    bus.exit()

    bus.request_exit()

    assert ThreadCall(bus.block).finished().error is None


def test_a_request_is_forgotten_when_the_bus_has_exited() -> None:
    """A fulfilled request does not end the next run of the bus, and its cause is not raised there."""
    bus = Bus()
    lives: list[State] = []
    bus.request_exit(ValueError("from the first life"))
    bus.exit()

    @bus[MAIN].subscribe()
    def tick() -> None:
        lives.append(bus.state)
        bus.request_exit()

    bus.start()
    bus.block(interval=0.001)

    assert lives == [State.STARTED]


def test_a_request_made_before_a_start_keeps_its_cause() -> None:
    """A start forgets only the causes of requests that have been fulfilled."""
    bus = Bus()
    cause = ValueError()
    bus.request_exit(cause)
    bus.start()

    with pytest.raises(ValueError) as raised:
        bus.block()

    assert raised.value is cause


def test_a_request_in_a_start_listener_cancels_the_start() -> None:
    """The started listeners are stopped, and the bus exits."""
    bus = Bus()
    calls: list[str] = []
    bus[START].subscribe(bus.request_exit)
    bus[START].subscribe(lambda: calls.append("start"))
    bus[EXIT].subscribe(lambda: calls.append("exit"))

    with pytest.raises(StartCancelled):
        bus.start()

    assert calls == ["exit"]
    assert bus.state is State.EXITED


def test_a_request_in_a_stop_listener_continues_to_the_exit() -> None:
    """This needs no thread in block."""
    bus = Bus()
    bus[STOP].subscribe(bus.request_exit)
    bus.start()

    bus.stop()

    assert bus.state is State.EXITED


def test_the_cause_of_a_request_is_raised_after_the_exit() -> None:
    """block raises the argument of request_exit after an orderly exit."""
    bus = Bus()
    cause = ValueError()
    bus.start()

    @bus[EXIT].subscribe()
    def look() -> None:
        assert raised_by == []

    raised_by: list[BaseException | None] = []
    bus.request_exit(cause)
    raised_by.append(ThreadCall(bus.block).finished().error)

    assert raised_by == [cause]
    assert bus.state is State.EXITED


def test_block_raises_a_failure_of_the_exit() -> None:
    """The failure is that of a STOP listener after a requested exit."""
    bus = Bus()
    error = ValueError()
    bus[STOP].subscribe(raising(error))
    bus.start()
    bus.request_exit()

    with pytest.raises(TransitionFailures) as raised:
        bus.block()

    assert raised.value.exceptions == (error,)


def test_several_problems_are_raised_together() -> None:
    """Causes in the order of the requests, then failures of the thread and of the exit."""
    bus = Bus()
    one, two, failed = ValueError("one"), KeyboardInterrupt(), OSError("three")
    bus[STOP].subscribe(raising(failed))
    bus.start()
    bus.request_exit(one)
    bus.request_exit(two)

    with pytest.raises(BaseExceptionGroup, match="has exited, with problems") as raised:
        bus.block()

    assert raised.value.exceptions[:2] == (one, two)
    assert isinstance(raised.value.exceptions[2], TransitionFailures)
    assert raised.value.exceptions[2].exceptions == (failed,)


def test_a_failing_main_listener_ends_the_bus_in_order() -> None:
    """A failure in MAIN exits the bus and is raised by block afterwards."""
    bus = Bus(clock=TickingClock())
    states: list[State] = []
    error = ValueError()
    bus[MAIN].subscribe(raising(error))
    bus[EXIT].subscribe(lambda: states.append(bus.state))
    bus.start()

    with pytest.raises(ChannelFailures) as raised:
        bus.block()

    assert raised.value.exceptions == (error,)
    assert states == [State.EXITING]
    assert bus.state is State.EXITED


@pytest.mark.parametrize("leave", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_system_exit_in_main_ends_the_bus_in_order(leave: BaseException) -> None:
    """SystemExit and KeyboardInterrupt in a listener of MAIN are raised by block, after the exit."""
    bus = Bus(clock=TickingClock())
    bus[MAIN].subscribe(raising(leave))
    bus.start()

    with pytest.raises(type(leave)) as raised:
        bus.block()

    assert raised.value is leave
    assert bus.state is State.EXITED


def test_a_second_thread_in_block_only_waits() -> None:
    """The first thread handles ticks, causes and owned threads; the second returns after the exit."""
    bus = Bus()
    threads: set[threading.Thread] = set()
    first = ThreadCall(lambda: bus.block(interval=0.001, patience=0)).waiting()
    second = ThreadCall(lambda: bus.block(interval=0.001, patience=0)).waiting()
    ticked = threading.Event()
    bus[MAIN].subscribe(lambda: threads.add(threading.current_thread()))
    bus[MAIN].subscribe(ticked.set)
    assert ticked.wait(10)

    with hanging(bus, "reader"):
        bus.request_exit()
        assert isinstance(first.finished().error, StillRunning)
        assert second.finished().error is None

    assert threads == {first}


def test_a_cause_is_raised_once() -> None:
    """A later block does not raise it again."""
    bus = Bus()
    bus.request_exit(ValueError())
    with contextlib.suppress(ValueError):
        bus.block()

    assert ThreadCall(bus.block).finished().error is None


def test_block_can_be_called_again() -> None:
    """The first block may have ended with an error."""
    bus = Bus()
    bus.request_exit(ValueError())
    with contextlib.suppress(ValueError):
        bus.block()
    bus.start()
    blocking = ThreadCall(bus.block).waiting()

    bus.request_exit()

    assert blocking.finished().error is None
    assert bus.state is State.EXITED


def test_block_does_not_tick_without_listeners_of_main() -> None:
    """Without listeners of MAIN the bus does not read the clock, and waits for requests only."""
    clock = TickingClock()
    bus = Bus(clock=clock)
    bus.start()
    blocking = ThreadCall(bus.block).waiting()

    bus.request_exit()

    blocking.finished()
    assert clock.waits == []


def test_main_ticks_at_its_interval() -> None:
    """The first tick comes after one interval; the time of the listeners counts towards the next interval."""
    clock = TickingClock()
    bus = Bus(clock=clock)
    ticks: list[float] = []

    @bus[MAIN].subscribe()
    def tick() -> None:
        ticks.append(clock.seconds)
        clock.seconds += 0.25
        if len(ticks) == 3:
            bus.request_exit()

    bus.block(interval=1.0)

    assert ticks == [1.0, 2.0, 3.0]
    assert clock.waits == [1.0, 0.75, 0.75]


def test_main_ticks_ten_times_a_second_by_default() -> None:
    """The interval of block is a tenth of a second."""
    clock = TickingClock()
    bus = Bus(clock=clock)
    bus[MAIN].subscribe(bus.request_exit)

    bus.block()

    assert clock.waits == [0.1]


def test_ticks_that_were_missed_are_not_made_up_for() -> None:
    """After a slow listener one tick is late, and the others come at their planned times."""
    clock = TickingClock()
    bus = Bus(clock=clock)
    ticks: list[float] = []

    @bus[MAIN].subscribe()
    def tick() -> None:
        ticks.append(clock.seconds)
        clock.seconds += 2.5 if len(ticks) == 1 else 0.0
        if len(ticks) == 4:
            bus.request_exit()

    bus.block(interval=1.0)

    assert ticks == [1.0, 3.5, 4.0, 5.0]


def test_subscribing_to_main_wakes_the_thread_in_block() -> None:
    """Ticks begin with the first listener of MAIN."""
    bus = Bus()
    ticked = threading.Event()
    blocking = ThreadCall(lambda: bus.block(interval=0.001)).waiting()

    bus[MAIN].subscribe(ticked.set)

    assert ticked.wait(10)
    bus.request_exit()
    blocking.finished()


def test_ticks_end_with_the_last_listener_and_begin_with_the_next() -> None:
    """Without listeners the ticks end; the first tick of the next listener comes after a whole interval."""
    clock = TickingClock()
    bus = Bus(clock=clock)

    @bus[MAIN].subscribe()
    def once() -> None:
        bus[MAIN].unsubscribe(once)

    blocking = ThreadCall(lambda: bus.block(interval=1.0)).waiting()
    waits = [*clock.waits]
    clock.seconds = 50.0

    bus[MAIN].subscribe(bus.request_exit)

    blocking.finished()
    assert waits == [1.0]
    assert clock.waits == [1.0, 1.0]


@pytest.mark.parametrize("interval", [60.0, 1e30])
def test_a_request_interrupts_the_interval(interval: float) -> None:
    """It wakes a thread that sleeps between two ticks."""
    bus = Bus()
    bus[MAIN].subscribe(lambda: None)
    blocking = ThreadCall(lambda: bus.block(interval=interval)).waiting()

    bus.request_exit()

    assert blocking.finished().error is None


def test_block_joins_the_threads_that_the_bus_owns() -> None:
    """Each owned thread has ended when block returns, except unstarted threads and the calling thread."""
    bus = Bus()
    working = threading.Thread(target=lambda: bus.wait(State.EXITED) and bus.wait(State.STARTED, 0.01))
    for thread in (working, threading.Thread(name="not begun"), threading.current_thread()):
        bus.own(thread)
    working.start()
    bus.request_exit()

    bus.block()

    assert not working.is_alive()


def test_a_thread_that_does_not_end_is_named_with_its_stack() -> None:
    """StillRunning has the name and the stack of each thread that outlives the timeout."""
    bus = Bus()
    ending = threading.Thread(target=bus.wait, args=[State.EXITED])
    bus.own(ending)
    ending.start()
    bus.request_exit()

    with hanging(bus, "reader"), pytest.raises(StillRunning, match="'reader' is at") as raised:
        bus.block(patience=0.3)

    ((name, stack),) = raised.value.threads
    assert name == "reader"
    assert "in hang_here" in stack
    assert raised.value.patience == 0.3


def test_threads_share_the_patience() -> None:
    """The timeout of block applies to all owned threads together."""
    bus = Bus()
    bus.request_exit()

    with hanging(bus, *map(str, range(20))), pytest.raises(StillRunning) as raised:
        began = time.monotonic()
        bus.block(patience=0.3)
    took = time.monotonic() - began

    assert {name for name, _ in raised.value.threads} == {str(number) for number in range(20)}
    # Each would be waited for 6 s in all.
    assert 0.3 <= took < 5.9


def test_a_thread_that_hangs_comes_after_the_cause() -> None:
    """StillRunning is the last of the exceptions."""
    bus = Bus()
    bus.request_exit(ValueError())

    with hanging(bus, "reader"), pytest.raises(BaseExceptionGroup) as raised:
        bus.block(patience=0)

    assert [type(problem) for problem in raised.value.exceptions] == [ValueError, StillRunning]


class Dying:
    """A thread that raises on demand, and the log messages of the bus."""

    def __init__(self, bus: Bus, error: BaseException) -> None:
        self.may = threading.Event()
        self.error = error
        self.thread = threading.Thread(target=self.work, name="consumer")
        self.lines: list[tuple[str, int, str]] = []
        bus[LOG].subscribe(self.look)

    def work(self) -> None:
        assert self.may.wait(10)
        raise self.error

    def look(self, text: str, level: int, /) -> None:
        self.lines.append((threading.current_thread().name, level, text))


@pytest.fixture
def hooked() -> Iterator[list[BaseException | None]]:
    """The exceptions passed to `threading.excepthook`."""
    errors: list[BaseException | None] = []
    before = threading.excepthook
    threading.excepthook = lambda args: errors.append(args.exc_value)
    yield errors
    threading.excepthook = before


@pytest.mark.parametrize("owned", ["before its start", "while it runs", "twice"])
def test_a_thread_of_the_bus_that_dies_is_logged(owned: str, hooked: list[BaseException | None]) -> None:
    """Once, as an error with its traceback, in that thread; threading.excepthook is called and not replaced."""
    bus = Bus()
    dying = Dying(bus, OSError("broker gone"))
    hook = threading.excepthook
    if owned != "while it runs":
        bus.own(dying.thread)
    dying.thread.start()
    if owned != "before its start":
        bus.own(dying.thread)
    is_left_alone = threading.excepthook is hook
    dying.may.set()
    dying.thread.join(10)

    [(thread, level, text)] = dying.lines
    assert (thread, level) == ("consumer", 40)
    assert text.startswith("thread 'consumer' of the bus died of an exception:\nTraceback")
    assert text.endswith("OSError: broker gone")
    assert hooked == [dying.error]
    assert is_left_alone
    assert bus.state is State.STOPPED


def test_sys_exit_in_a_thread_of_the_bus_is_not_logged(hooked: list[BaseException | None]) -> None:
    """SystemExit is a regular end of a thread."""
    bus = Bus()
    dying = Dying(bus, SystemExit(0))
    bus.own(dying.thread)
    dying.thread.start()
    dying.may.set()
    dying.thread.join(10)

    assert dying.lines == []


def test_block_logs_the_cause_of_an_exit() -> None:
    """While the logging components still listen, and once for each object."""
    bus = Bus()
    lines: list[tuple[State, int, str]] = []
    bus[LOG].subscribe(lambda text, level, /: lines.append((bus.state, level, text)))
    bus.start()
    cause = OSError("broker gone")
    bus.request_exit(cause)
    bus.request_exit(cause)

    with pytest.raises(OSError):
        bus.block()

    [(state, level, text)] = lines
    assert (state, level) == (State.EXITING, 40)
    assert text.startswith("the bus exits because of an error:\nOSError: broker gone")


def test_an_owned_thread_does_not_keep_its_bus_alive(hooked: list[BaseException | None]) -> None:
    """Its exception is handled as usual when the bus was collected."""
    bus = Bus()
    dying = Dying(bus, OSError("broker gone"))
    bus.own(dying.thread)
    dying.thread.start()
    reference = weakref.ref(bus)
    del bus
    gc.collect()
    assert reference() is None

    dying.may.set()
    dying.thread.join(10)

    assert hooked == [dying.error]


def test_a_cause_that_the_exit_fails_with_is_raised_once_by_block() -> None:
    """The failure of the exit contains it."""
    bus = Bus()
    cause = OSError("broker gone")
    bus[STOP].subscribe(raising(cause))
    bus.start()
    bus.request_exit(cause)
    bus.request_exit(cause)

    with pytest.raises(TransitionFailures) as raised:
        bus.block()

    assert raised.value.exceptions == (cause,)


def test_an_exception_of_block_is_freed_without_the_garbage_collector() -> None:
    """It is part of no reference cycle."""
    bus = Bus(clock=TickingClock())
    bus[MAIN].subscribe(raising(OSError()))
    bus[STOP].subscribe(lambda: bus.request_exit(ValueError()))
    bus.start()
    endings: list[weakref.ref[BaseException]] = []
    gc.disable()
    try:
        bus.block()
    except ExceptionGroup as problems:
        endings.extend(map(weakref.ref, (problems, problems.exceptions[1])))
    finally:
        gc.enable()

    assert [ending() for ending in endings] == [None, None]


def test_an_unreferenced_bus_is_freed() -> None:
    """It leaves no thread, no interpreter hook and no signal handler."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    before = (set(threading.enumerate()), atexit._ncallbacks())
    bus = Bus()
    bus[MAIN].subscribe(bus.request_exit)
    bus[START].subscribe(lambda: None)
    bus.start()
    bus.block(interval=0.001)
    ending = weakref.ref(bus)

    del bus
    gc.collect()

    assert ending() is None
    assert (set(threading.enumerate()), atexit._ncallbacks()) == before
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == handlers


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in a listener", "between ticks", "without ticks"])
def test_an_interrupted_block_exits_in_order(where: str) -> None:
    """Ctrl-C at any point of block exits the bus in order and is raised afterwards."""
    lines = output(f"""
        import signal
        from typedbus import MAIN, STOP, Bus

        def interrupt(number, frame):
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.raise_signal(signal.SIGINT)

        def tick():
            if "{where}" == "in a listener":
                signal.raise_signal(signal.SIGINT)
            if "{where}" == "without ticks":
                bus[MAIN].unsubscribe(tick)
            # More than once, since a signal that comes just before a thread falls asleep does not wake it.
            signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)

        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, interrupt)
        bus = Bus()
        bus[MAIN].subscribe(tick)
        bus[STOP].subscribe(lambda: print("stop"))
        bus.start()
        try:
            bus.block(interval=0.1)
        except KeyboardInterrupt:
            print("interrupted", bus.state.name)
    """)

    assert lines == "stop\ninterrupted EXITED\n"


@pytest.mark.slow
@pytest.mark.parametrize("ticks", [False, True], ids=["without ticks", "between ticks"])
def test_a_signal_handler_may_request_the_exit(ticks: bool) -> None:
    """request_exit wakes the thread that the handler interrupts."""
    lines = output(f"""
        import signal
        from typedbus import MAIN, Bus

        bus = Bus()
        if {ticks}:
            bus[MAIN].subscribe(lambda: None)
        bus.start()
        signal.signal(signal.SIGALRM, lambda number, frame: bus.request_exit())
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        bus.block(interval=60)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(bus.state.name)
    """)

    assert lines == "EXITED\n"


@pytest.mark.slow
def test_a_signal_handler_may_cancel_a_start() -> None:
    """The rest is not started, and the started listeners are stopped."""
    lines = output("""
        import signal
        from typedbus import EXIT, START, STOP, Bus, StartCancelled

        bus = Bus()
        signal.signal(signal.SIGTERM, lambda number, frame: bus.request_exit())
        bus[START].subscribe(lambda: signal.raise_signal(signal.SIGTERM))
        bus[START].subscribe(lambda: print("never"))
        bus[STOP].subscribe(lambda: print("stop"))
        bus[EXIT].subscribe(lambda: print("exit"))
        try:
            bus.start()
        except StartCancelled:
            print(bus.state.name)
        bus.block()
    """)

    assert lines == "stop\nexit\nEXITED\n"
