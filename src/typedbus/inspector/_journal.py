"""What an inspector keeps of the events of a bus: bounded, and as text."""

from __future__ import annotations

import threading
import time
import traceback
from typing import Final

import attrs

from typedbus._base.events import (
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
)
from typedbus._base.failures import error_text, traceback_of
from typedbus._base.run_events import RunBegan, RunBroke, RunEnded, RunEvent, RunGaveUp
from typedbus._base.states import State
from typedbus._bus.builtin import LIFECYCLE, LOG, RUNS
from typedbus._bus.bus import Bus
from typedbus._channels.subscriptions import Subscription
from typedbus.inspector._rings import Ring
from typedbus.report import Report

EVENTS: Final = 500
FAILURES: Final = 50
LINES: Final = 1000
#: The longest texts of errors and messages, and the longest traceback, in characters.
LONGEST: Final = 4000
LONGEST_TRACEBACK: Final = 40_000

_STATES: Final[dict[type[LifecycleEvent], str]] = {
    Constructing: "constructing",
    Constructed: "constructed",
    ComponentStarting: "starting",
    ComponentStarted: "started",
    ComponentStopping: "stopping",
    ComponentStopped: "stopped",
    ComponentExiting: "exiting",
    ComponentExited: "exited",
    Disabled: "disabled",
}
"""The state of a component after an event."""


@attrs.frozen
class Event:
    """An event of the life cycle or of a run, as text; *at* is in seconds since the epoch."""

    at: float
    kind: str
    path: str
    seconds: float | None
    detail: str


@attrs.frozen
class Line:
    """A message on `LOG`; *at* is in seconds since the epoch."""

    at: float
    level: int
    text: str


@attrs.define(eq=False)
class Failure:
    """
    A failure of a listener, a hook or a run: the same exception class at the same place counts as the same failure.

    Attributes:
        number: Identifies it as long as the process lives.
        channel: The channel, or the life-cycle channel of the hook, or "run".
        listener: The path of the component, or the name of the listener.
        traceback: The traceback of the first one.
        seq: The sequence number of the last one.
        at: When the last one happened, in seconds since the epoch.
        count: How many there were.
        error: The text of the last one.
    """

    number: int
    channel: str
    listener: str
    traceback: str
    seq: int
    at: float
    count: int
    error: str


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return *text*, or its beginning if it is longer than *longest* characters."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest} more characters)"


class Journal:
    """
    The events, failures and messages of a bus from its construction on, until the bus has EXITED.

    It holds texts only, since an exception would keep the frames of its traceback alive. Every method may be called
    from any thread.

    Attributes:
        lock: Guards all that follows; it is reentrant, since a signal handler or a finaliser may log. `renew_lock`
            replaces it, so it is read at each use.
        seq: Increases with each event and message. It begins with the time, so that no two processes have the same.
        events_seq: The number of the last event.
        log_seq: The number of the last message.
        components_seq: The number of the last event that concerns a component or a run.
        states: The state of each component by its path.
        errors: The last error of a hook of each component by its path, in this start.
        since: When the bus entered its state, in seconds of its clock.
        starts: How many starts have ended or begun.
        report: The last start.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.lock: threading.RLock = threading.RLock()
        self.seq = self.events_seq = self.log_seq = self.components_seq = time.time_ns() // 1000
        self.states: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.since = bus.clock.now()
        self.starts = 0
        self.report = Report(bus.clock.now, lambda: bus.runs)
        if bus.state is State.STARTING:
            self.report.begin()
        self._events = Ring[Event](EVENTS)
        self._log = Ring[Line](LINES)
        self._failures: dict[tuple[str, ...], Failure] = {}
        self._failure_count = 0
        self._subscriptions: list[Subscription] = [
            bus[LIFECYCLE].subscribe(self._record_event),
            bus[RUNS].subscribe(self._record_run),
            bus[LOG].subscribe(self._record_line),
        ]

    def events(self, seq: int) -> tuple[list[tuple[int, Event]], int]:
        """Return the events after *seq*, and how many of them were dropped."""
        with self.lock:
            return self._events.since(seq)

    def lines(self, seq: int) -> tuple[list[tuple[int, Line]], int]:
        """Return the messages after *seq*, and how many of them were dropped."""
        with self.lock:
            return self._log.since(seq)

    def failures(self, seq: int) -> list[Failure]:
        """Return the failures that happened after *seq*, for the last time, the latest last."""
        with self.lock:
            return [attrs.evolve(failure) for failure in self._failures.values() if failure.seq > seq]

    def traceback(self, number: int) -> str | None:
        """Return the traceback of the failure *number*; None if it is no longer kept."""
        with self.lock:
            return next((one.traceback for one in self._failures.values() if one.number == number), None)

    def renew_lock(self) -> None:
        """Replace the lock in a forked child, where a thread that exists only in the parent may hold the old one."""
        self.lock = threading.RLock()

    def touch(self) -> None:
        """Count a change of components or runs for which there was no event."""
        with self.lock:
            self.seq += 1
            self.events_seq = self.components_seq = self.seq

    def _record_event(self, event: LifecycleEvent, /) -> None:
        at, path, seconds, detail = time.time(), getattr(event, "path", ""), getattr(event, "seconds", None), ""
        kind = type(event)
        with self.lock:
            self.report.record_event(event)
            match event:
                case Moved(before, after):
                    detail = f"{before.name} -> {after.name}"
                    self.since = self._bus.clock.now()
                    if after is State.STARTING:
                        self.starts += 1
                        self.errors.clear()
                        if before is State.EXITED:
                            self.states.clear()
                    elif after is State.STARTED:
                        self.starts += 1
                case Failed(_, hook, _, error):
                    detail = self.errors[path] = self._fail(hook, path, error)
                    self.states[path] = "failed"
                case ListenerFailed(name, channel, error):
                    path, detail = name, self._fail(channel, name, error)
                case Disabled(_, reason):
                    detail = reason
                case RolledBack(_, error):
                    detail = "" if error is None else error_text(error)
                case _:
                    pass
            if kind in _STATES:
                self.states[path] = _STATES[kind]
            self._add(Event(at, kind.__name__, path, seconds, shortened(detail)))
        if isinstance(event, Moved) and event.after is State.EXITED:
            for subscription in self._subscriptions:
                subscription.cancel()

    def _record_run(self, event: RunEvent, /) -> None:
        detail = ""
        with self.lock:
            self.report.record_run(event)
            match event:
                case RunBegan(_, attempt):
                    detail = f"attempt {attempt}"
                case RunBroke(path, _, error, attempt, delay):
                    text = self._fail("run", path, error)
                    detail = f"attempt {attempt}, again in {delay:g} s: {text}"
                case RunGaveUp(path, attempts, error):
                    detail = f"after {attempts} attempts: {self._fail('run', path, error)}"
                case _:
                    pass
            seconds = event.seconds if isinstance(event, (RunEnded, RunBroke)) else None
            self._add(Event(time.time(), type(event).__name__, event.path, seconds, shortened(detail)))

    def _record_line(self, message: str, level: int, /) -> None:
        with self.lock:
            self.seq += 1
            self.log_seq = self.seq
            self._log.add(self.seq, Line(time.time(), level, shortened(str(message))))

    def _add(self, event: Event) -> None:
        self.seq += 1
        self.events_seq = self.components_seq = self.seq
        self._events.add(self.seq, event)

    def _fail(self, channel: str, listener: str, error: BaseException) -> str:
        """Count the failure, and return the text of *error*."""
        frames = list(traceback.walk_tb(error.__traceback__))[-1:]
        place = [f"{frame.f_code.co_filename}:{line}" for frame, line in frames]
        key = (channel, listener, type(error).__qualname__, *place)
        text = shortened(error_text(error))
        failure = self._failures.pop(key, None)
        if failure is None:
            self._failure_count += 1
            trace = shortened(traceback_of(error), LONGEST_TRACEBACK)
            failure = Failure(self._failure_count, channel, listener, trace, 0, 0.0, 0, "")
        failure.seq, failure.at, failure.error = self.seq + 1, time.time(), text
        failure.count += 1
        self._failures[key] = failure
        while len(self._failures) > FAILURES:
            del self._failures[next(iter(self._failures))]
        return text
