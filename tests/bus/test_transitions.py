"""Transitions: the calls of start, stop and exit, their order, and their exceptions."""

from __future__ import annotations

import contextlib
import functools
import gc
import threading
import weakref
from collections.abc import Callable

import attrs
import pytest
from tests.doubles import HookRecorder, ThreadCall, raising

from typedbus import EXIT, START, STOP, Bus, Channel, StartCancelled, State, TransitionError, TransitionFailures
from typedbus._bus.bus import parts_of
from typedbus._bus.participants import StartContext
from typedbus.events import (
    LIFECYCLE,
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Failed,
    LifecycleEvent,
    Moved,
    RolledBack,
)
from typedbus.types import HookResult, Inbox

TO_STARTED = [(State.STOPPED, State.STARTING), (State.STARTING, State.STARTED)]
TO_STOPPED = [(State.STARTED, State.STOPPING), (State.STOPPING, State.STOPPED)]
TO_EXITED = [(State.STOPPED, State.EXITING), (State.EXITING, State.EXITED)]
ROLLED_BACK = [
    (State.STOPPED, State.STARTING),
    (State.STARTING, State.STOPPING),
    (State.STOPPING, State.STOPPED),
]


class Gate:
    """A listener that holds a transition until it is opened."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.error = error

    def __call__(self) -> None:
        self.entered.set()
        assert self.opened.wait(10)
        if self.error is not None:
            raise self.error

    def hold(self, call: Callable[[], object]) -> ThreadCall:
        """Begin *call* in a thread, and return when it waits here."""
        caller = ThreadCall(call)
        assert self.entered.wait(10)
        return caller


class CountingClock:
    """Advances by one second at each reading."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        self.seconds += 1.0
        return self.seconds

    def wait(self, inbox: Inbox, seconds: float) -> None:
        raise AssertionError("nothing ticks here")


def subscribe(bus: Bus, *parts: HookRecorder) -> None:
    """Subscribe start, stop and exit of *parts* to *bus*."""
    for part in parts:
        bus[START].subscribe(part.start)
        bus[STOP].subscribe(part.stop)
        bus[EXIT].subscribe(part.exit)


def state_after(ask: Callable[[Bus], None], bus: Bus) -> State:
    """Request a transition of *bus*, and return its state when the call returns."""
    ask(bus)
    return bus.state


def moves(bus: Bus) -> list[tuple[State, State]]:
    """Return a list of the moves of *bus* from now on."""
    transitions: list[tuple[State, State]] = []

    @bus[LIFECYCLE].subscribe()
    def look(event: LifecycleEvent) -> None:
        if isinstance(event, Moved):
            transitions.append((event.before, event.after))

    return transitions


def events(bus: Bus) -> list[LifecycleEvent]:
    """Return a list of the events of *bus* from now on."""
    lifecycle_events: list[LifecycleEvent] = []
    bus[LIFECYCLE].subscribe(lifecycle_events.append)
    return lifecycle_events


def test_a_new_bus_is_stopped() -> None:
    """The first state is STOPPED."""
    assert Bus().state is State.STOPPED


def test_a_bus_goes_through_its_states_in_order() -> None:
    """start, stop and exit pass through every state on their way, and through no other."""
    bus = Bus()
    transitions = moves(bus)

    bus.start()
    bus.stop()
    bus.exit()

    assert transitions == TO_STARTED + TO_STOPPED + TO_EXITED


def test_listeners_run_in_the_state_of_their_transition() -> None:
    """The state changes before the listeners run, and again before the call returns."""
    bus = Bus()
    states: list[State] = []
    for channel, bring in ((START, bus.start), (STOP, bus.stop), (EXIT, bus.exit)):
        bus[channel].subscribe(lambda: states.append(bus.state))
        bring()
        states.append(bus.state)

    assert states == [*list(State)[1:4], State.STOPPED, State.EXITING, State.EXITED]


def test_lifecycle_events_are_in_order() -> None:
    """An event before and after each listener, with its duration."""
    bus = Bus(clock=CountingClock())
    path = bus[START].subscribe(lambda: None).path
    bus[STOP].subscribe(lambda: None)
    bus[EXIT].subscribe(lambda: None)
    lifecycle_events = events(bus)

    bus.start()
    bus.exit()

    assert lifecycle_events == [
        Moved(State.STOPPED, State.STARTING),
        ComponentStarting(path),
        ComponentStarted(path, 1.0),
        Moved(State.STARTING, State.STARTED),
        Moved(State.STARTED, State.STOPPING),
        ComponentStopping(path),
        ComponentStopped(path, 1.0),
        Moved(State.STOPPING, State.STOPPED),
        Moved(State.STOPPED, State.EXITING),
        ComponentExiting(path),
        ComponentExited(path, 1.0),
        Moved(State.EXITING, State.EXITED),
    ]


def test_the_event_of_a_failure_precedes_the_rollback() -> None:
    """It has the channel, the duration and the error."""
    bus = Bus(clock=CountingClock())
    error = ValueError("no database")
    path = bus[START].subscribe(raising(error)).path
    lifecycle_events = events(bus)

    with pytest.raises(TransitionFailures):
        bus.start()

    assert lifecycle_events == [
        Moved(State.STOPPED, State.STARTING),
        ComponentStarting(path),
        Failed(path, "start", 1.0, error),
        Moved(State.STARTING, State.STOPPING),
        RolledBack(1.0, error, ()),
        Moved(State.STOPPING, State.STOPPED),
    ]


@attrs.frozen
class Preparing:
    """A participant that calls *function* before each start."""

    function: Callable[[], object]
    name = "preparing"
    place = "here.py:1"

    def prepare(self, start: StartContext, /) -> None:
        assert start.is_wanted
        self.function()

    def stopped(self) -> None: ...

    def detach(self) -> None: ...


def before_each_start(bus: Bus, function: Callable[[], object]) -> None:
    parts_of(bus).participants.add(Preparing(function))


def test_no_event_reports_the_call_of_a_participant() -> None:
    """Participants prepare a start and are not part of it."""
    bus = Bus()
    before_each_start(bus, lambda: None)
    lifecycle_events = events(bus)

    bus.start()

    assert lifecycle_events == [Moved(*move) for move in TO_STARTED]


@pytest.mark.parametrize("bring", [Bus.stop, Bus.exit], ids=["stop", "exit"])
@pytest.mark.parametrize("state", [State.STOPPED, State.EXITED], ids=lambda state: state.name)
def test_stop_and_exit_call_no_listener_a_second_time(bring: Callable[[Bus], None], state: State) -> None:
    """stop and exit of a bus that has stopped or exited call no listener a second time."""
    bus = Bus()
    calls: list[str] = []
    subscribe(bus, HookRecorder(calls, "a"))
    bus.start()
    (bus.exit if state is State.EXITED else bus.stop)()
    calls.clear()

    bring(bus)

    assert calls == ["exit a"] * (state is State.STOPPED and bring is Bus.exit)


def test_a_bus_that_is_started_cannot_be_started_again() -> None:
    """The error has the current and the requested state."""
    bus = Bus()
    bus.start()

    with pytest.raises(TransitionError, match="STARTED cannot go to STARTING") as raised:
        bus.start()

    assert (raised.value.state, raised.value.target) == (State.STARTED, State.STARTING)
    assert bus.state is State.STARTED


@pytest.mark.parametrize("channel", [STOP, EXIT], ids=lambda channel: channel.name)
def test_a_bus_that_stops_or_exits_cannot_be_started(channel: Channel[[], HookResult]) -> None:
    """start in a listener of STOP or EXIT is an error of that listener, and the transition continues."""
    bus = Bus()
    bus[channel].subscribe(bus.start)
    bus.start()

    with pytest.raises(TransitionFailures) as raised:
        bus.exit()

    error = raised.value.exceptions[0]
    assert isinstance(error, TransitionError)
    assert (error.state.name, error.target) == ({"stop": "STOPPING", "exit": "EXITING"}[channel.name], State.STARTING)
    assert bus.state is State.EXITED


def test_a_bus_that_has_exited_can_be_started_again() -> None:
    """The second run is like the first."""
    bus = Bus()
    calls: list[str] = []
    subscribe(bus, HookRecorder(calls, "a"))
    bus.start()
    bus.exit()
    transitions = moves(bus)

    bus.start()
    bus.exit()

    assert calls == ["start a", "stop a", "exit a"] * 2
    assert transitions == [(State.EXITED, State.STARTING), TO_STARTED[1], *TO_STOPPED, *TO_EXITED]


def test_stop_is_the_exact_reverse_of_start() -> None:
    """By priority, and with equal priorities by the order of subscription."""
    bus = Bus()
    calls: list[str] = []
    for name, priority in (("late", 70), ("first", 50), ("second", 50), ("early", 10)):
        part = HookRecorder(calls, name)
        bus[START].subscribe(part.start, priority=priority)
        bus[STOP].subscribe(part.stop, priority=priority)

    bus.start()
    started, calls[:] = [text.removeprefix("start ") for text in calls], []
    bus.stop()

    assert started == ["early", "first", "second", "late"]
    assert [text.removeprefix("stop ") for text in calls] == started[::-1]


def test_exit_calls_its_listeners_in_reverse() -> None:
    """The first listener in running order is called last."""
    bus = Bus()
    calls: list[str] = []
    bus[EXIT].subscribe(HookRecorder(calls, "late").exit, priority=70)
    bus[EXIT].subscribe(HookRecorder(calls, "a").exit)
    bus[EXIT].subscribe(HookRecorder(calls, "b").exit)

    bus.exit()

    assert calls == ["exit late", "exit b", "exit a"]


def test_exit_of_a_started_bus_stops_it_first() -> None:
    """All listeners of STOP are called before the first of EXIT."""
    bus = Bus()
    calls: list[str] = []
    subscribe(bus, HookRecorder(calls, "a"), HookRecorder(calls, "b"))
    bus.start()
    calls.clear()

    bus.exit()

    assert calls == ["stop b", "stop a", "exit b", "exit a"]


def test_a_hook_that_a_participant_subscribes_is_called_in_the_same_start() -> None:
    """The listeners of START are determined after the participants have returned."""
    bus = Bus()
    calls: list[str] = []
    before_each_start(bus, lambda: subscribe(bus, HookRecorder(calls, "a")))

    bus.start()
    bus.stop()

    assert calls == ["start a", "stop a"]


def test_a_failed_start_stops_the_started_objects() -> None:
    """In reverse; objects after the failure are not started."""
    bus = Bus()
    calls: list[str] = []
    broken = HookRecorder(calls, "broken", start=OSError("port taken"))
    subscribe(bus, HookRecorder(calls, "a"), HookRecorder(calls, "b"), broken, HookRecorder(calls, "never"))
    transitions = moves(bus)

    with pytest.raises(TransitionFailures):
        bus.start()

    assert calls == ["start a", "start b", "start broken", "stop b", "stop a"]
    assert transitions == ROLLED_BACK
    assert bus.state is State.STOPPED


def test_a_failed_start_raises_all_failures() -> None:
    """The failures of the start and of the rollback, in order, with the requested and the reached state."""
    bus = Bus()
    unable, unwilling = OSError("port taken"), ValueError("no lock file")
    a, b = HookRecorder([], "a", stop=unwilling), HookRecorder([], "b", start=unable)
    subscribe(bus, a, b)

    with pytest.raises(TransitionFailures, match="the start failed") as raised:
        bus.start()

    assert raised.value.exceptions == (unable, unwilling)
    assert [(failure.channel, failure.listener) for failure in raised.value.failures] == [
        ("start", b.start),
        ("stop", a.stop),
    ]
    assert (raised.value.goal, raised.value.state) == (State.STARTED, State.STOPPED)


def test_failures_have_the_name_of_their_listener() -> None:
    """It is that of the subscription, and the exception has a note with it."""
    bus = Bus()
    error = ValueError()
    subscription = bus[START].subscribe(raising(error))

    with pytest.raises(TransitionFailures) as raised:
        bus.start()

    assert raised.value.failures[0].name == subscription.name
    assert error.__notes__ == [f"raised by {subscription.name} on channel 'start'"]


def test_a_start_may_succeed_after_one_that_failed() -> None:
    """After the rollback the bus can be started and stopped as usual."""
    bus = Bus()
    calls: list[str] = []
    a, b = HookRecorder(calls, "a"), HookRecorder(calls, "b", start=OSError("port taken"))
    subscribe(bus, a, b)
    with contextlib.suppress(TransitionFailures):
        bus.start()
    calls.clear()
    b.errors.clear()

    bus.start()
    bus.stop()

    assert calls == ["start a", "start b", "stop b", "stop a"]


def test_a_start_that_cannot_be_prepared_calls_no_hook() -> None:
    """The failure of a participant is a failed start."""
    bus = Bus()
    calls: list[str] = []
    subscribe(bus, HookRecorder(calls, "a"))
    before_each_start(bus, raising(ValueError("no settings")))

    with pytest.raises(TransitionFailures) as raised:
        bus.start()

    [failure] = raised.value.failures
    assert (failure.name, failure.channel) == ("preparing", "assemble")
    assert calls == []
    assert bus.state is State.STOPPED


def test_a_listener_of_stop_alone_is_called_in_every_rollback() -> None:
    """Whether it is a function or a method."""
    bus = Bus()
    calls: list[str] = []
    bus[STOP].subscribe(lambda: calls.append("stop plain"))
    bus[STOP].subscribe(HookRecorder(calls, "idle").stop)
    bus[START].subscribe(raising(ValueError()))

    with pytest.raises(TransitionFailures):
        bus.start()

    assert calls == ["stop idle", "stop plain"]


def test_an_object_that_was_subscribed_during_the_start_is_not_stopped() -> None:
    """It was not started."""
    bus = Bus()
    calls: list[str] = []
    bus[START].subscribe(lambda: subscribe(bus, HookRecorder(calls, "latecomer")))
    bus.start()

    bus.stop()

    assert calls == []


def test_an_object_that_started_is_stopped_after_it_unsubscribed_from_start() -> None:
    """The bus records which listeners started; later subscriptions to START do not change that."""
    bus = Bus()
    calls: list[str] = []
    a, b = HookRecorder(calls, "a"), HookRecorder(calls, "b")
    subscribe(bus, a, b)
    bus.start()
    bus[START].unsubscribe(a.start)

    bus.stop()

    assert calls[2:] == ["stop b", "stop a"]


def test_a_stopped_bus_holds_no_reference_to_unsubscribed_objects() -> None:
    """They are freed after the stop."""
    bus = Bus()
    part = HookRecorder([], "a")
    ending = weakref.ref(part)
    subscriptions = [bus[START].subscribe(part.start), bus[STOP].subscribe(part.stop)]
    bus.start()
    bus.stop()

    for subscription in subscriptions:
        subscription.cancel()
    del part, subscription, subscriptions

    assert ending() is None


def test_stop_calls_every_listener_whatever_fails() -> None:
    """All failures are raised at the end."""
    bus = Bus()
    calls: list[str] = []
    first, last = ValueError("a"), KeyError("c")
    subscribe(bus, HookRecorder(calls, "a", stop=first), HookRecorder(calls, "b"), HookRecorder(calls, "c", stop=last))
    bus.start()
    calls.clear()

    with pytest.raises(TransitionFailures, match="listeners failed during the stop") as raised:
        bus.stop()

    assert calls == ["stop c", "stop b", "stop a"]
    assert raised.value.exceptions == (last, first)
    assert (raised.value.goal, raised.value.state) == (State.STOPPED, State.STOPPED)
    assert bus.state is State.STOPPED


def test_exit_calls_every_listener_whatever_fails() -> None:
    """Failures of stop and of exit are raised together."""
    bus = Bus()
    calls: list[str] = []
    stop, exit_ = ValueError("a"), KeyError("b")
    subscribe(bus, HookRecorder(calls, "a", stop=stop), HookRecorder(calls, "b", exit=exit_))
    bus.start()
    calls.clear()

    with pytest.raises(TransitionFailures, match="listeners failed during the exit") as raised:
        bus.exit()

    assert calls == ["stop b", "stop a", "exit b", "exit a"]
    assert raised.value.exceptions == (stop, exit_)
    assert (raised.value.goal, raised.value.state) == (State.EXITED, State.EXITED)


def test_a_failure_is_reported_once() -> None:
    """The exit after a failed stop does not raise its failure again."""
    bus = Bus()
    subscribe(bus, HookRecorder([], "a", stop=ValueError()))
    bus.start()
    with contextlib.suppress(TransitionFailures):
        bus.stop()

    bus.exit()

    assert bus.state is State.EXITED


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_sys_exit_in_a_start_listener_rolls_the_start_back(error: BaseException) -> None:
    """SystemExit and KeyboardInterrupt are raised unchanged after the rollback."""
    bus = Bus()
    calls: list[str] = []
    subscribe(bus, HookRecorder(calls, "a"), HookRecorder(calls, "b", start=error), HookRecorder(calls, "never"))

    with pytest.raises(type(error)) as raised:
        bus.start()

    assert raised.value is error
    assert error.__cause__ is None
    assert calls == ["start a", "start b", "stop a"]
    assert bus.state is State.STOPPED


@pytest.mark.parametrize(("code", "status"), [(0, 1), (None, 1), (3, 3), ("text", "text")])
def test_failures_of_a_rollback_are_the_cause_of_the_system_exit(code: int | str | None, status: int | str) -> None:
    """A status of 0 becomes 1."""
    bus = Bus()
    failed = ValueError()
    subscribe(bus, HookRecorder([], "a", stop=failed), HookRecorder([], "b", start=SystemExit(code)))

    with pytest.raises(SystemExit) as raised:
        bus.start()

    cause = raised.value.__cause__
    assert isinstance(cause, TransitionFailures)
    assert cause.exceptions == (failed,)
    assert raised.value.code == status


def test_a_system_exit_with_status_0_keeps_it_without_failures() -> None:
    """A listener of START may end the program successfully."""
    bus = Bus()
    bus[START].subscribe(raising(SystemExit(0)))

    with pytest.raises(SystemExit) as raised:
        bus.start()

    assert raised.value.code == 0


def test_a_system_exit_in_stop_is_raised_after_every_listener_was_called() -> None:
    """The other listeners of STOP are called first."""
    bus = Bus()
    calls: list[str] = []
    subscribe(bus, HookRecorder(calls, "a"), HookRecorder(calls, "b", stop=SystemExit(4)))
    bus.start()
    calls.clear()

    with pytest.raises(SystemExit, match="4"):
        bus.exit()

    assert calls == ["stop b", "stop a", "exit b", "exit a"]
    assert bus.state is State.EXITED


def test_the_first_system_exit_is_raised_with_the_next_as_its_cause() -> None:
    """None of several is lost."""
    bus = Bus()
    first, second = SystemExit(3), KeyboardInterrupt()
    subscribe(bus, HookRecorder([], "a", stop=second), HookRecorder([], "b", start=first))

    with pytest.raises(SystemExit) as raised:
        bus.start()

    assert raised.value is first
    assert first.__cause__ is second


@pytest.mark.parametrize("leave", [KeyboardInterrupt(), SystemExit(3)], ids=repr)
@pytest.mark.parametrize("state", [State.STARTING, State.STARTED, State.STOPPING, State.STOPPED], ids=lambda s: s.name)
def test_a_lifecycle_listener_may_raise_system_exit_and_the_bus_stays_usable(
    leave: BaseException, state: State
) -> None:
    """SystemExit and KeyboardInterrupt of a listener of LIFECYCLE are raised in the caller, and a later stop works."""
    bus = Bus()
    leaving = [leave]

    @bus[LIFECYCLE].subscribe()
    def look(event: LifecycleEvent) -> None:
        if leaving and isinstance(event, Moved) and event.after is state:
            raise leaving.pop()

    with pytest.raises(type(leave)) as raised:
        bus.start()
        bus.stop()
    bus.stop()

    assert raised.value is leave
    assert bus.state is State.STOPPED


@pytest.mark.parametrize(("ask", "end"), [(Bus.stop, State.STOPPED), (Bus.exit, State.EXITED)], ids=["stop", "exit"])
def test_a_listener_may_cancel_its_start(ask: Callable[[Bus], None], end: State) -> None:
    """stop and exit in a listener of START return; then the started objects are stopped, and the rest is not started."""
    bus = Bus()
    calls: list[str] = []
    subscribe(bus, HookRecorder(calls, "a"))

    @bus[START].subscribe()
    def give_up() -> None:
        ask(bus)
        calls.append(f"still {bus.state.name}")

    subscribe(bus, HookRecorder(calls, "never"))
    with pytest.raises(StartCancelled, match=end.name) as raised:
        bus.start()

    assert raised.value.goal is end
    assert calls[:3] == ["start a", "still STARTING", "stop a"]
    assert bus.state is end


def test_a_cancelled_start_is_raised_from_the_cause() -> None:
    """block raises the cause afterwards, as for every request."""
    bus = Bus()
    cause = OSError("broker gone")
    bus[START].subscribe(lambda: bus.request_exit(cause))

    with pytest.raises(StartCancelled) as cancelled:
        bus.start()
    with pytest.raises(OSError) as raised:
        bus.block()

    assert cancelled.value.__cause__ is raised.value is cause


def test_a_start_cancelled_by_a_stop_has_no_cause() -> None:
    """The cause of an earlier request is not that of the cancellation."""
    bus = Bus()
    bus.request_exit(OSError("broker gone"))
    bus[START].subscribe(bus.stop)

    with pytest.raises(StartCancelled) as cancelled:
        bus.start()

    assert cancelled.value.__cause__ is None


def test_the_last_listener_may_cancel_its_start() -> None:
    """Its request takes effect before the bus is STARTED."""
    bus = Bus()
    bus[START].subscribe(bus.stop)
    transitions = moves(bus)

    with pytest.raises(StartCancelled):
        bus.start()

    assert transitions == ROLLED_BACK


def test_a_cancelled_start_with_a_failed_rollback_raises_the_failure() -> None:
    """It has precedence over the cancellation."""
    bus = Bus()
    subscribe(bus, HookRecorder([], "a", stop=ValueError()))
    bus[START].subscribe(bus.exit)

    with pytest.raises(TransitionFailures) as raised:
        bus.start()

    assert (raised.value.goal, raised.value.state) == (State.STARTED, State.EXITED)


def test_a_listener_that_requests_the_exit_and_fails_exits_the_bus() -> None:
    """The failed start does not revoke the request."""
    bus = Bus()

    @bus[START].subscribe()
    def give_up() -> None:
        bus.exit()
        raise ValueError

    with pytest.raises(TransitionFailures):
        bus.start()

    assert bus.state is State.EXITED


def test_exit_has_precedence_over_stop() -> None:
    """In either order of the requests."""
    for requests in ((Bus.stop, Bus.exit), (Bus.exit, Bus.stop)):
        bus = Bus()
        for request in requests:
            bus[START].subscribe(functools.partial(request, bus))
            bus[STOP].subscribe(functools.partial(request, bus))

        with pytest.raises(StartCancelled):
            bus.start()

        assert bus.state is State.EXITED


def test_a_listener_of_stop_may_request_the_exit() -> None:
    """exit in a listener of STOP returns, and takes effect when all listeners have been called."""
    bus = Bus()
    calls: list[str] = []
    subscribe(bus, HookRecorder(calls, "a"))
    bus[STOP].subscribe(bus.exit)
    bus.start()
    calls.clear()

    bus.stop()

    assert calls == ["stop a", "exit a"]
    assert bus.state is State.EXITED


def test_start_in_a_listener_of_start_returns() -> None:
    """A start during a start has no effect."""
    bus = Bus()
    calls: list[str] = []
    bus[START].subscribe(bus.start)
    subscribe(bus, HookRecorder(calls, "a"))

    bus.start()

    assert calls == ["start a"]
    assert bus.state is State.STARTED


def test_a_cancelled_start_cannot_be_requested_again() -> None:
    """start after stop in the same listener is a TransitionError of that listener."""
    bus = Bus()
    bus[START].subscribe(bus.stop)

    @bus[STOP].subscribe()
    def restart() -> None:
        with pytest.raises(TransitionError):
            bus.start()

    with pytest.raises(StartCancelled):
        bus.start()


def test_eight_threads_may_exit_at_once() -> None:
    """One of them calls the listeners, each once, and all of them return after EXITED."""
    bus = Bus()
    calls: list[str] = []
    together = threading.Barrier(8)
    subscribe(bus, *(HookRecorder(calls, name) for name in "abc"))
    bus.start()
    calls.clear()

    def leave() -> State:
        together.wait()
        return state_after(Bus.exit, bus)

    callers = [ThreadCall(leave) for _ in range(8)]

    assert [caller.finished().result for caller in callers] == [State.EXITED] * 8
    assert calls == [f"{what} {name}" for what in ("stop", "exit") for name in "cba"]


def test_concurrent_callers_of_exit_get_its_failure() -> None:
    """Eight callers get the same exception."""
    bus = Bus()
    gate = Gate(ValueError())
    bus[EXIT].subscribe(gate)
    first = gate.hold(bus.exit)
    others = [ThreadCall(bus.exit).waiting() for _ in range(7)]

    gate.opened.set()

    (error,) = {caller.finished().error for caller in (first, *others)}
    assert isinstance(error, TransitionFailures)


@pytest.mark.parametrize("error", [None, ValueError(), SystemExit(3)], ids=repr)
def test_a_concurrent_caller_of_start_gets_its_outcome(error: BaseException | None) -> None:
    """It calls no listener a second time, and returns with the first."""
    bus = Bus()
    calls: list[str] = []
    gate = Gate(error)
    subscribe(bus, HookRecorder(calls, "a"))
    bus[START].subscribe(gate)
    first = gate.hold(bus.start)
    second = ThreadCall(bus.start).waiting()

    gate.opened.set()

    assert first.finished().error is second.finished().error
    assert isinstance(first.error, TransitionFailures if isinstance(error, ValueError) else type(error))
    assert calls.count("start a") == 1


@pytest.mark.parametrize(("ask", "end"), [(Bus.stop, State.STOPPED), (Bus.exit, State.EXITED)], ids=["stop", "exit"])
def test_another_thread_may_cancel_a_start(ask: Callable[[Bus], None], end: State) -> None:
    """stop and exit from another thread let the running listener end, and return when the started objects are stopped."""
    bus = Bus()
    calls: list[str] = []
    gate = Gate()
    subscribe(bus, HookRecorder(calls, "a"))
    bus[START].subscribe(gate)
    subscribe(bus, HookRecorder(calls, "never"))
    starting = gate.hold(bus.start)
    asking = ThreadCall(lambda: state_after(ask, bus)).waiting()

    gate.opened.set()

    assert asking.finished().result is end
    assert isinstance(starting.finished().error, StartCancelled)
    assert calls[:2] == ["start a", "stop a"]
    assert "start never" not in calls


def test_a_stop_that_joins_a_failing_start_raises_its_failure() -> None:
    """Each thread that waited for the end of the start gets its failures."""
    bus = Bus()
    gate = Gate(ValueError())
    bus[START].subscribe(gate)
    starting = gate.hold(bus.start)
    stopping = ThreadCall(bus.stop).waiting()

    gate.opened.set()

    assert isinstance(stopping.finished().error, TransitionFailures)
    assert starting.finished().error is stopping.error


def test_a_second_stop_joins_the_first() -> None:
    """stop from another thread returns when the running stop has ended."""
    bus = Bus()
    gate = Gate()
    bus[STOP].subscribe(gate)
    bus.start()
    first = gate.hold(bus.stop)
    second = ThreadCall(lambda: state_after(Bus.stop, bus)).waiting()

    gate.opened.set()

    assert second.finished().result is State.STOPPED
    assert first.finished().error is None


def test_exit_from_another_thread_continues_a_stop() -> None:
    """The running stop continues to EXITED, and both return."""
    bus = Bus()
    gate = Gate()
    bus[STOP].subscribe(gate)
    bus.start()
    stopping = gate.hold(bus.stop)
    exiting = ThreadCall(bus.exit).waiting()

    gate.opened.set()

    assert stopping.finished().error is exiting.finished().error is None
    assert bus.state is State.EXITED


def test_stop_from_another_thread_does_not_delay_an_exit() -> None:
    """It returns with the exit."""
    bus = Bus()
    gate = Gate()
    bus[STOP].subscribe(gate)
    bus.start()
    exiting = gate.hold(bus.exit)
    stopping = ThreadCall(bus.stop).waiting()

    gate.opened.set()

    assert stopping.finished().error is exiting.finished().error is None
    assert bus.state is State.EXITED


@pytest.mark.parametrize("channel", [STOP, EXIT], ids=lambda channel: channel.name)
def test_another_thread_cannot_start_a_bus_that_stops_or_exits(channel: Channel[[], HookResult]) -> None:
    """start raises at once, and has no effect."""
    bus = Bus()
    gate = Gate()
    bus[channel].subscribe(gate)
    bus.start()
    exiting = gate.hold(bus.exit)

    with pytest.raises(TransitionError, match="STOPPING|EXITING"):
        bus.start()
    gate.opened.set()

    assert exiting.finished().error is None
    assert bus.state is State.EXITED


def test_the_exception_of_a_cancelled_start_is_freed_without_the_garbage_collector() -> None:
    """It is part of no reference cycle."""
    bus = Bus()
    bus[START].subscribe(bus.stop)
    endings: list[weakref.ref[StartCancelled]] = []
    gc.disable()
    try:
        bus.start()
    except StartCancelled as cancelled:
        endings.append(weakref.ref(cancelled))
    finally:
        gc.enable()

    assert [ending() for ending in endings] == [None]
