"""The life cycle of a bus, and ways to wait for it."""

import threading
from typing import Any, assert_never, assert_type

from typedbus import (
    EXIT,
    GRACEFUL,
    MAIN,
    START,
    STOP,
    Bus,
    Channel,
    ChannelFailures,
    Failure,
    HookTimeout,
    Limits,
    State,
    TransitionFailures,
)
from typedbus.events import (
    COMPONENT_STARTED,
    FAILED,
    LIFECYCLE,
    LISTENER_FAILED,
    MOVED,
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Constructed,
    Constructing,
    Disabled,
    Failed,
    LifecycleEvent,
    ListenerFailed,
    Moved,
    RolledBack,
    Subscribed,
)
from typedbus.types import Clock, HookResult, Inbox


def a_bus_moves_through_its_states(bus: Bus) -> None:
    assert_type(bus.state, State)
    bus.start()
    bus.graceful()
    bus.stop()
    bus.exit()
    bus.request_exit()
    bus.request_exit(OSError("gone"))
    bus.block()
    bus.block(interval=1, patience=2.5)
    bus.own(threading.current_thread())


def a_thread_can_wait_for_a_bus(bus: Bus, states: set[State]) -> None:
    assert_type(bus.wait(State.STARTED), State | None)
    bus.wait(State.STARTED, 1)
    bus.wait(State.STARTED, timeout=0.5)
    bus.wait([State.STOPPED, State.EXITED], timeout=None)
    bus.wait(states)
    bus.wait(state for state in State if state is not State.STARTED)


def life_cycle_channels_have_no_arguments() -> None:
    for channel in (START, STOP, EXIT, GRACEFUL):
        assert_type(channel, Channel[[], HookResult])
    assert_type(MAIN, Channel[[], None])
    assert_type(LIFECYCLE, Channel[[LifecycleEvent], None])


def an_event_is_one_of_these(event: LifecycleEvent) -> str:
    match event:
        case Moved(before, after):
            assert_type(before, State)
            return after.name
        case Constructing(path) | ComponentStarting(path) | ComponentStopping(path) | ComponentExiting(path):
            return path
        case (
            Constructed(path, seconds)
            | ComponentStarted(path, seconds)
            | ComponentStopped(path, seconds)
            | ComponentExited(path, seconds)
        ):
            assert_type(seconds, float)
            return path
        case Subscribed(path, seconds, needs):
            assert_type(needs, tuple[str, ...])
            return path
        case Disabled(path, reason):
            return path + reason
        case Failed(path, hook, seconds, error):
            assert_type(error, BaseException)
            assert_type(hook, str)
            return path
        case RolledBack(seconds, cause, paths):
            assert_type(cause, BaseException | None)
            assert_type(paths, tuple[str, ...])
            return repr(cause)
        case ListenerFailed(name, channel, raised):
            assert_type(raised, Exception)
            return name + channel
        case _:
            assert_never(event)


def a_state_is_one_of_six(state: State) -> bool:
    match state:
        case State.STOPPED | State.EXITED:
            return False
        case State.STARTING | State.STARTED | State.STOPPING | State.EXITING:
            return True
        case _:
            assert_never(state)


def listeners_of_the_life_cycle_receive_each_event(bus: Bus) -> None:
    seen: list[LifecycleEvent] = []
    bus[LIFECYCLE].subscribe(seen.append)
    bus.subscribe(LIFECYCLE, seen.append)
    bus[LIFECYCLE].publish(Moved(State.STOPPED, State.STARTING))


def listeners_of_one_event_receive_only_that_event(bus: Bus) -> None:
    started: list[ComponentStarted] = []
    anything: list[object] = []
    assert_type(COMPONENT_STARTED, Channel[[ComponentStarted], None])
    bus[COMPONENT_STARTED].subscribe(started.append)
    bus[FAILED].subscribe(lambda failed: print(failed.hook, failed.error))
    bus[LISTENER_FAILED].subscribe(anything.append)
    bus.subscribe(MOVED, anything.append)


def a_bus_has_workers_and_limits(bus: Bus) -> None:
    assert_type(Bus(workers=4, limits=Limits(hook=5, start=60.0, stop=None)), Bus)
    assert_type(bus.workers, int)
    bus.workers = 8
    bus.limits = Limits()
    assert_type(bus.limits.rollback, float | None)


def a_timeout_has_typed_attributes(error: HookTimeout) -> None:
    late: TimeoutError = error
    assert_type(error.limit, float | None)
    assert_type(error.waiting, tuple[str, ...])
    print(late, error.path, error.place, error.stack)


class Hourglass:
    def now(self) -> float:
        return 0.0

    def wait(self, inbox: Inbox, seconds: float) -> None: ...


def a_clock_can_be_passed_to_a_bus(hourglass: Hourglass) -> None:
    clock: Clock = hourglass
    assert_type(Bus(clock=clock), Bus)
    Bus(clock=hourglass)
    Bus(clock=None)
    Bus()


def failures_have_typed_attributes(bus: Bus) -> None:
    try:
        bus.start()
    except ChannelFailures as failed:
        assert_type(failed.failures, tuple[Failure, ...])
        assert_type(failed.results, tuple[Any, ...])
    except TransitionFailures as failed:
        assert_type(failed.goal, State)
        assert_type(failed.failures[0].error, Exception)
