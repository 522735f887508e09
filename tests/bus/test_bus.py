"""The bus beside its transitions: channels on it, what looks on, waiting, blocking, and what it leaves behind."""

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

sold = Channel[[str, int], str]("sold")


def output(program: str, *, status: int = 0) -> str:
    """Run *program* in a process of its own, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout


@contextlib.contextmanager
def hanging(bus: Bus, *names: str) -> Iterator[None]:
    """Let *bus* own threads of these names that hang until the end."""
    released = threading.Event()

    def hang_here() -> None:
        released.wait(10)

    threads = [threading.Thread(target=hang_here, name=name) for name in names]
    for thread in threads:
        bus.own(thread)
        thread.start()
    try:
        yield
    finally:
        released.set()
        for thread in threads:
            thread.join()


def test_a_bus_gives_the_same_bound_channel_each_time() -> None:
    """bus[channel] is one object for each channel and bus."""
    bus = Bus()

    assert bus[sold] is bus[sold]
    assert bus[sold].channel is sold
    assert bus[sold] is not Bus()[sold]


def test_a_bus_gives_the_same_bound_channel_to_every_thread() -> None:
    """Threads that ask for a channel at the same time get one and the same."""
    bus = Bus()
    together = threading.Barrier(8)

    callers = [ThreadCall(lambda: (together.wait(), bus[sold])[1]) for _ in range(8)]

    assert {caller.finished().result for caller in callers} == {bus[sold]}


def test_the_verbs_of_a_bus_are_those_of_its_bound_channels() -> None:
    """publish, subscribe and unsubscribe of the bus do what those of bus[channel] do."""
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
def test_a_name_is_no_channel(use: Callable[[Bus, Any], object], example: str) -> None:
    """A bus refuses anything but a channel object, and names what it takes."""
    with pytest.raises(ChannelError) as raised:
        use(Bus(), "start")

    assert str(raised.value).startswith("'start' is not a channel")
    assert str(raised.value).endswith(f"the channel object, as in {example}")


def test_a_bus_lists_the_channels_that_were_asked_for() -> None:
    """channels has each once: those that a bus begins with, then the others in the order of the first use."""
    bus = Bus()
    bus.publish(sold, "A-1", 1)
    bus.log("hello")
    bus[sold].subscribe(lambda sku, count: sku)

    assert bus.channels[:2] == (LOG, LIFECYCLE)
    assert bus.channels[-2:] == (MAIN, sold)


def test_a_bus_shows_its_state_and_how_much_it_knows() -> None:
    """The repr of a bus tells its state and the number of its channels, not their contents."""
    bus = Bus()
    bus.start()

    assert re.fullmatch(r"<Bus STARTED with \d+ channel\(s\)>", repr(bus))


def test_several_buses_share_nothing() -> None:
    """The listeners of a bus are not called for what happens on another bus."""
    one, other = Bus(), Bus()
    heard: list[str] = []
    other[START].subscribe(lambda: heard.append("start"))
    other[LOG].subscribe(lambda message, level: heard.append(message))

    one.start()
    one.log("hello")
    one.request_exit()

    assert other.state is State.STOPPED
    assert heard == []
    assert not one.wait(State.STOPPED, timeout=0)
    assert other.wait(State.STOPPED, timeout=0)


def test_graceful_is_published() -> None:
    """graceful calls its listeners and changes no state."""
    bus = Bus()
    heard: list[State] = []
    bus[GRACEFUL].subscribe(lambda: heard.append(bus.state))

    bus.graceful()

    assert heard == [State.STOPPED]


def test_graceful_raises_the_failure_of_a_listener() -> None:
    """graceful raises what publishing raises."""
    bus = Bus()
    error = ValueError()
    bus[GRACEFUL].subscribe(raising(error))

    with pytest.raises(ChannelFailures) as raised:
        bus.graceful()

    assert raised.value.exceptions == (error,)


def test_a_message_is_logged_with_its_level() -> None:
    """log publishes message and level, which is that of information unless given."""
    bus = Bus()
    heard: list[tuple[str, int]] = []
    bus[LOG].subscribe(lambda message, level: heard.append((message, level)))

    bus.log("hello")
    bus.log("careful", 30)

    assert heard == [("hello", 20), ("careful", 30)]


def test_a_failing_log_listener_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The others get the message, the caller no error, and stderr both message and failure."""
    bus = Bus()
    heard: list[str] = []

    def fail(message: str, level: int) -> None:
        raise OSError("disk full")

    subscription = bus[LOG].subscribe(fail)
    bus[LOG].subscribe(lambda message, level: heard.append(message))

    bus.log("hello", 30)

    assert heard == ["hello"]
    told = capsys.readouterr().err
    assert told == f"hello 30\n({subscription.name} on 'log' failed: OSError('disk full'))\n"


def test_publishing_on_log_answers_for_those_that_worked(capsys: pytest.CaptureFixture[str]) -> None:
    """bus[LOG].publish keeps its promise of one result for each listener that returned."""
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

    told = capsys.readouterr().err
    assert "OSError('one')" in told
    assert "OSError('two')" in told


def closed() -> IO[str]:
    stream = io.StringIO()
    stream.close()
    return stream


class Broken(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, text: str, /) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("stderr", [None, closed, Broken, object], ids=["none", "closed", "broken pipe", "no stream"])
def test_a_failing_log_listener_changes_nothing_without_stderr(stderr: Callable[[], Any] | None) -> None:
    """Without stderr the failure of a LOG listener is dropped, and the other listeners are called."""
    bus = Bus()
    heard: list[str] = []
    bus[LOG].subscribe(lambda message, level: raising(ValueError())())
    bus[LOG].subscribe(lambda message, level: heard.append(message))

    with contextlib.redirect_stderr(stderr and stderr()):
        bus.log("hello")

    assert heard == ["hello"]


def test_a_failing_lifecycle_listener_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Transitions go their way, the others hear of them, and stderr gets event and failure."""
    bus = Bus()
    heard: list[LifecycleEvent] = []
    bus[LIFECYCLE].subscribe(lambda event: raising(ValueError("no room"))())
    bus[LIFECYCLE].subscribe(heard.append)

    bus.start()

    assert bus.state is State.STARTED
    assert heard == [Moved(State.STOPPED, State.STARTING), Moved(State.STARTING, State.STARTED)]
    told = capsys.readouterr().err
    assert str(heard[0]) in told
    assert "ValueError('no room')" in told


def test_a_log_listener_may_raise_system_exit() -> None:
    """SystemExit and its like pass through log, as they do everywhere."""
    bus = Bus()
    bus[LOG].subscribe(lambda message, level: raising(SystemExit(3))())

    with pytest.raises(SystemExit):
        bus.log("hello")


def test_waiting_for_the_state_that_is_returns_at_once() -> None:
    """A state that the bus is in needs no waiting."""
    assert Bus().wait(State.STOPPED) is State.STOPPED


@pytest.mark.parametrize(
    "states",
    [State.STARTED, [State.EXITED, State.STARTED], {State.STARTED}, iter((State.STARTED,))],
    ids=["one", "list", "set", "iterator"],
)
def test_waiting_ends_when_the_state_is_reached(states: State | Iterable[State]) -> None:
    """wait takes one state or any iterable of them, and wakes at the first that comes."""
    bus = Bus()
    waiting = ThreadCall(lambda: bus.wait(states)).waiting()

    bus.start()

    assert waiting.finished().result is State.STARTED


def test_waiting_goes_on_through_other_states() -> None:
    """A state that no thread waits for wakes no thread."""
    bus = Bus()
    waiting = ThreadCall(lambda: bus.wait(State.EXITED)).waiting()

    bus.start()
    bus.stop()

    waiting.waiting()
    bus.exit()

    assert waiting.finished().result is State.EXITED


@pytest.mark.parametrize("timeout", [0.01, 0, -1])
def test_waiting_ends_with_its_time(timeout: float) -> None:
    """wait tells that the state was not reached in time, and takes what has passed as no time."""
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
    """A waiter that sees several of its states go by is woken by the first and disturbed by no other."""
    bus = Bus()
    waiting = ThreadCall(lambda: bus.wait(set(State) - {State.STOPPED})).waiting()

    bus.start()
    bus.exit()

    assert waiting.finished().result is State.STARTING


def test_all_waiting_threads_are_woken() -> None:
    """A state wakes all threads that wait for it, and no thread that waits for another state."""
    bus = Bus()
    started = [ThreadCall(lambda: bus.wait(State.STARTED)).waiting() for _ in range(10)]
    exited = ThreadCall(lambda: bus.wait(State.EXITED)).waiting()

    bus.start()

    assert [waiting.finished().result for waiting in started] == [State.STARTED] * 10
    assert exited.is_alive()
    bus.exit()
    exited.finished()


def test_waiting_for_nothing_is_an_error() -> None:
    """wait refuses an empty set of states, which would never come."""
    with pytest.raises(WaitError, match="no state: give at least one state"):
        Bus().wait([])


@pytest.mark.parametrize(
    ("given", "text"),
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
def test_waiting_for_a_value_that_is_not_a_state_is_an_error(given: Any, text: str) -> None:
    """At once, with what to write."""
    with pytest.raises(WaitError, match=text):
        Bus().wait(given, timeout=0)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (State.STARTED, "State.STARTED is a state, not a channel: wait for it with bus.wait\\(State.STARTED\\)"),
        (ComponentStarted, "they are published on COMPONENT_STARTED, as in bus\\[COMPONENT_STARTED\\]"),
        (Moved, "they are published on MOVED"),
    ],
)
def test_a_state_or_an_event_is_no_channel(given: Any, text: str) -> None:
    """The error names the channel, or the method, that is meant."""
    with pytest.raises(ChannelError, match=text):
        Bus()[given]
    with pytest.raises(ChannelError, match=text):
        Bus().subscribe(given, print)


@pytest.mark.parametrize("channel", [START, STOP, EXIT], ids=lambda channel: channel.name)
def test_a_listener_cannot_wait_for_its_own_transition(channel: Channel[[], None]) -> None:
    """wait in a listener of the transition that would have to go on is an error, which names the state."""
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


def test_a_listener_may_wait_for_the_state_that_is() -> None:
    """wait in a listener for the state of the moment returns."""
    bus = Bus()
    seen: list[State | None] = []
    bus[START].subscribe(lambda: seen.append(bus.wait(State.STARTING)))

    bus.start()

    assert seen == [State.STARTING]


def test_a_thread_that_a_listener_began_may_wait() -> None:
    """Only the thread that carries the transition out must not wait for it."""
    bus = Bus()
    waiting: list[ThreadCall] = []
    bus[START].subscribe(lambda: waiting.append(ThreadCall(lambda: bus.wait(State.STARTED)).waiting()))

    bus.start()

    assert waiting[0].finished().result is State.STARTED


def test_a_listener_may_wait_for_another_bus() -> None:
    """The transition of one bus is no reason not to wait for another."""
    bus, other = Bus(), Bus()
    seen: list[State | None] = []
    bus[START].subscribe(lambda: seen.append(other.wait(State.STARTED, timeout=0)))

    bus.start()

    assert seen == [None]


def test_a_wait_that_is_over_leaves_nothing_behind() -> None:
    """The bus keeps no reference to a wait that is over, whether it succeeded, timed out, returned at once or failed."""
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


def test_an_interrupted_wait_leaves_nothing_behind() -> None:
    """KeyboardInterrupt ends a wait, and the bus keeps no reference to it."""
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
    """Neither a start nor a stop ends the block, and the exit of another thread does."""
    bus = Bus()
    blocking = ThreadCall(bus.block).waiting()

    bus.start()
    bus.stop()
    bus.start()
    blocking.waiting()
    bus.exit()

    assert blocking.finished().error is None


def test_blocking_on_a_bus_that_has_exited_returns_at_once() -> None:
    """block comes too late for nothing."""
    bus = Bus()
    bus.exit()

    assert ThreadCall(bus.block).finished().error is None


def test_the_thread_in_block_carries_out_a_requested_exit() -> None:
    """request_exit returns at once; stop and exit happen in the thread that blocks."""
    bus = Bus()
    seen: list[threading.Thread] = []
    bus[STOP].subscribe(lambda: seen.append(threading.current_thread()))
    bus[EXIT].subscribe(lambda: seen.append(threading.current_thread()))
    bus.start()
    blocking = ThreadCall(bus.block).waiting()

    bus.request_exit()

    assert blocking.finished().error is None
    assert seen == [blocking, blocking]
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
    """request_exit of a bus that has exited leaves block as it is: it returns."""
    bus = Bus()
    bus.exit()

    bus.request_exit()

    assert ThreadCall(bus.block).finished().error is None


def test_a_request_is_forgotten_when_the_bus_has_exited() -> None:
    """What an exit has fulfilled does not end the next life of the bus, nor is its cause raised there."""
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


def test_a_request_breaks_a_start_off() -> None:
    """request_exit in a listener of START stops what had started and goes on to EXITED."""
    bus = Bus()
    heard: list[str] = []
    bus[START].subscribe(bus.request_exit)
    bus[START].subscribe(lambda: heard.append("start"))
    bus[EXIT].subscribe(lambda: heard.append("exit"))

    with pytest.raises(StartCancelled):
        bus.start()

    assert heard == ["exit"]
    assert bus.state is State.EXITED


def test_a_request_takes_a_stop_further() -> None:
    """request_exit in a listener of STOP leads to EXITED, also when no thread is in block."""
    bus = Bus()
    bus[STOP].subscribe(bus.request_exit)
    bus.start()

    bus.stop()

    assert bus.state is State.EXITED


def test_the_cause_of_a_request_is_raised_after_the_exit() -> None:
    """block raises what request_exit was given, once everything has ended in order."""
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


def test_what_fails_in_the_exit_is_raised_by_block() -> None:
    """block raises the failure of a STOP listener after a requested exit."""
    bus = Bus()
    error = ValueError()
    bus[STOP].subscribe(raising(error))
    bus.start()
    bus.request_exit()

    with pytest.raises(TransitionFailures) as raised:
        bus.block()

    assert raised.value.exceptions == (error,)


def test_several_problems_are_raised_together() -> None:
    """Causes in the order of the requests come first, then what went wrong in the thread and in the exit."""
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
    heard: list[State] = []
    error = ValueError()
    bus[MAIN].subscribe(raising(error))
    bus[EXIT].subscribe(lambda: heard.append(bus.state))
    bus.start()

    with pytest.raises(ChannelFailures) as raised:
        bus.block()

    assert raised.value.exceptions == (error,)
    assert heard == [State.EXITING]
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


def test_a_second_thread_that_blocks_merely_waits() -> None:
    """Ticks, causes and owned threads are the business of the first; the second returns after the exit."""
    bus = Bus()
    seen: set[threading.Thread] = set()
    first = ThreadCall(lambda: bus.block(interval=0.001, patience=0)).waiting()
    second = ThreadCall(lambda: bus.block(interval=0.001, patience=0)).waiting()
    ticked = threading.Event()
    bus[MAIN].subscribe(lambda: seen.add(threading.current_thread()))
    bus[MAIN].subscribe(ticked.set)
    assert ticked.wait(10)

    with hanging(bus, "reader"):
        bus.request_exit()
        assert isinstance(first.finished().error, StillRunning)
        assert second.finished().error is None

    assert seen == {first}


def test_a_cause_is_raised_once() -> None:
    """What one block has raised is not raised by the next."""
    bus = Bus()
    bus.request_exit(ValueError())
    with contextlib.suppress(ValueError):
        bus.block()

    assert ThreadCall(bus.block).finished().error is None


def test_a_bus_can_be_blocked_on_again() -> None:
    """A block that has ended, even with an error, leaves the next one to serve."""
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
    """The first tick comes after one interval, each other one after the rest that the listeners left of it."""
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
    """After a listener that took too long one tick comes late, and the others when they would have come anyway."""
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
    """Ticks begin with the first listener of MAIN, though the bus had nothing to wake up for."""
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
def test_a_request_cuts_the_interval_short(interval: float) -> None:
    """A request wakes a thread that blocks between two ticks, however long the interval is."""
    bus = Bus()
    bus[MAIN].subscribe(lambda: None)
    blocking = ThreadCall(lambda: bus.block(interval=interval)).waiting()

    bus.request_exit()

    assert blocking.finished().error is None


def test_block_joins_the_threads_that_the_bus_owns() -> None:
    """Each owned thread has ended when block returns; those not begun and the one that blocks are left out."""
    bus = Bus()
    working = threading.Thread(target=lambda: bus.wait(State.EXITED) and bus.wait(State.STARTED, 0.01))
    for thread in (working, threading.Thread(name="not begun"), threading.current_thread()):
        bus.own(thread)
    working.start()
    bus.request_exit()

    bus.block()

    assert not working.is_alive()


def test_a_thread_that_does_not_end_is_named_with_its_stack() -> None:
    """StillRunning tells of each thread that outlives the patience by what its name is and where it hangs."""
    bus = Bus()
    ending = threading.Thread(target=bus.wait, args=[State.EXITED])
    bus.own(ending)
    ending.start()
    bus.request_exit()

    with hanging(bus, "reader"), pytest.raises(StillRunning, match="'reader' is at") as raised:
        bus.block(patience=0.02)

    ((name, stack),) = raised.value.threads
    assert name == "reader"
    assert "in hang_here" in stack
    assert raised.value.patience == 0.02


def test_threads_share_the_patience() -> None:
    """block waits for all owned threads together no longer than its timeout."""
    bus = Bus()
    bus.request_exit()

    with hanging(bus, *map(str, range(20))), pytest.raises(StillRunning) as raised:
        began = time.monotonic()
        bus.block(patience=0.1)
    took = time.monotonic() - began

    assert {name for name, _ in raised.value.threads} == {str(number) for number in range(20)}
    assert 0.1 <= took < 1.9


def test_a_thread_that_hangs_comes_after_the_cause() -> None:
    """StillRunning takes its place behind what else was wrong."""
    bus = Bus()
    bus.request_exit(ValueError())

    with hanging(bus, "reader"), pytest.raises(BaseExceptionGroup) as raised:
        bus.block(patience=0)

    assert [type(problem) for problem in raised.value.exceptions] == [ValueError, StillRunning]


class Dying:
    """A thread that raises when it may, what the bus logs, and what threading.excepthook is given."""

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
    """What `threading.excepthook` is given."""
    given: list[BaseException | None] = []
    before = threading.excepthook
    threading.excepthook = lambda args: given.append(args.exc_value)
    yield given
    threading.excepthook = before


@pytest.mark.parametrize("owned", ["before its start", "while it runs", "twice"])
def test_a_thread_of_the_bus_that_dies_is_logged(owned: str, hooked: list[BaseException | None]) -> None:
    """Once, as an error with its traceback, in that thread; then threading.excepthook gets it, which is left in place."""
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


def test_a_thread_of_the_bus_that_leaves_is_not_logged(hooked: list[BaseException | None]) -> None:
    """SystemExit is how a thread ends itself."""
    bus = Bus()
    dying = Dying(bus, SystemExit(0))
    bus.own(dying.thread)
    dying.thread.start()
    dying.may.set()
    dying.thread.join(10)

    assert dying.lines == []


def test_block_logs_the_cause_of_an_exit() -> None:
    """While the components that keep the log listen, and once for each object."""
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


def test_a_thread_keeps_no_bus(hooked: list[BaseException | None]) -> None:
    """One that is owned by a bus which is gone dies as any other."""
    bus = Bus()
    dying = Dying(bus, OSError("broker gone"))
    bus.own(dying.thread)
    dying.thread.start()
    gone = weakref.ref(bus)
    del bus
    gc.collect()
    assert gone() is None

    dying.may.set()
    dying.thread.join(10)

    assert hooked == [dying.error]


def test_a_cause_that_the_exit_fails_with_is_raised_once_by_block() -> None:
    """The failure of the exit has it."""
    bus = Bus()
    cause = OSError("broker gone")
    bus[STOP].subscribe(raising(cause))
    bus.start()
    bus.request_exit(cause)
    bus.request_exit(cause)

    with pytest.raises(TransitionFailures) as raised:
        bus.block()

    assert raised.value.exceptions == (cause,)


def test_what_block_raises_leaves_no_circle_behind() -> None:
    """Problems are gone when the caller lets go of them, without the garbage collector."""
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


def test_a_bus_that_is_dropped_leaves_nothing_behind() -> None:
    """No thread, no entry with the interpreter and no handler of a signal outlives a bus, nor does the bus itself."""
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
    """Ctrl-C, wherever block stands, ends the bus in order and is raised afterwards."""
    said = output(f"""
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

    assert said == "stop\ninterrupted EXITED\n"


@pytest.mark.slow
@pytest.mark.parametrize("ticks", [False, True], ids=["without ticks", "between ticks"])
def test_a_signal_handler_may_request_the_exit(ticks: bool) -> None:
    """request_exit wakes the very thread that it interrupts."""
    said = output(f"""
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

    assert said == "EXITED\n"


@pytest.mark.slow
def test_a_signal_handler_may_break_a_start_off() -> None:
    """A request in the middle of a start keeps the rest from starting and stops what had started."""
    said = output("""
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

    assert said == "stop\nexit\nEXITED\n"
