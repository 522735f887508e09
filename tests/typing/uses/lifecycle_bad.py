"""Invalid uses of a bus, and incomplete matches of events; a marked line is an error for both checkers."""

import threading
import time
from typing import assert_never

from typedbus import START, Bus, Limits, State
from typedbus.events import (
    COMPONENT_STARTED,
    FAILED,
    LIFECYCLE,
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
from typedbus.types import Clock


def other_values_are_not_states(bus: Bus) -> None:
    bus.wait()  # E
    bus.wait("STARTED")  # E
    bus.wait(State.RUNNING)  # E
    bus.wait(["STARTED"])  # E
    bus.wait(START)  # E
    bus.wait(3)  # E
    bus.wait(None)  # E
    bus.wait(State.STARTED, "1")  # E
    bus.wait(State.STARTED, State.STOPPED)  # E
    bus.wait(State.STARTED, seconds=1)  # E
    bus.wait(states=State.STARTED, state=State.STOPPED)  # E


def a_bus_rejects_other_arguments(bus: Bus) -> None:
    bus.start(START)  # E
    bus.stop(True)  # E
    bus.exit(1)  # E
    bus.graceful("now")  # E
    bus.request_exit("why")  # E
    bus.request_exit(OSError)  # E
    bus.block(0.1)  # E
    bus.block(interval="0.1")  # E
    bus.own(print)  # E
    bus.own(threading)  # E
    bus.reload()  # E
    bus.state = State.STARTED  # E
    bus.state()  # E


def other_objects_are_not_clocks(clock: Clock) -> None:
    Bus(clock)  # E
    Bus(clock=time.monotonic)  # E
    Bus(clock=Clock)  # E
    Bus(clock=5.0)  # E
    Clock()  # E


def a_match_must_cover_all_events(event: LifecycleEvent) -> str:
    match event:
        case Moved(_, after):
            return after.name
        case Constructing(path) | ComponentStarting(path) | ComponentStopping(path) | ComponentExiting(path):
            return path
        case Constructed(path, _) | ComponentStarted(path, _) | ComponentStopped(path, _) | ComponentExited(path, _):
            return path
        case Subscribed(path, _, _) | Disabled(path, _) | RolledBack(_, _, (path,)) | ListenerFailed(path, _, _):
            return path
        case _:
            assert_never(event)  # E


def a_listener_of_another_event_is_refused(bus: Bus, started: list[ComponentStarted], moved: list[Moved]) -> None:
    bus[COMPONENT_STARTED].subscribe(moved.append)  # E
    bus[FAILED].subscribe(started.append)  # E
    bus[LIFECYCLE].subscribe(started.append)  # E
    bus[COMPONENT_STARTED].publish(Moved(State.STOPPED, State.STARTING))  # E
    bus.subscribe(COMPONENT_STARTED, moved.append)  # E


def workers_and_limits_have_types(bus: Bus) -> None:
    Bus(4)  # E
    Bus(workers="4")  # E
    Bus(limits=60)  # E
    Limits(60)  # E
    Limits(start="60")  # E
    Limits(begin=60)  # E
    bus.workers = "4"  # E
    bus.limits = 60  # E
    bus.limits.start = 60  # E


def isinstance_must_cover_all_events(event: LifecycleEvent) -> None:
    if isinstance(event, Moved | Constructed | ComponentStarted | ComponentStopped | Failed):
        return
    assert_never(event)  # E


def a_match_must_cover_all_states(state: State) -> bool:
    match state:
        case State.STOPPED | State.EXITED:
            return False
        case State.STARTING | State.STARTED | State.STOPPING:
            return True
        case _:
            assert_never(state)  # E


def an_event_has_only_its_own_attributes(moved: Moved, failed: Failed, started: ComponentStarted) -> None:
    moved.path  # E
    failed.error.failure  # E
    moved.after = State.STOPPED  # E
    started.seconds = 1.0  # E
    Moved(State.STOPPED)  # E
    ComponentStarted("orders", "1")  # E
    print(moved.after.name.typo)  # E
