"""
Records of a start and its components, computed from life-cycle events.

The package `report` exports them.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import attrs

from typedbus._base.events import (
    ComponentStarted,
    ComponentStarting,
    Constructed,
    Constructing,
    Disabled,
    LifecycleEvent,
    Moved,
    RolledBack,
    Subscribed,
)
from typedbus._base.ordering import dependencies_first
from typedbus._base.states import State

_SLOWEST: Final = 10


class Outcome(enum.Enum):
    """
    How a start ended, as a whole or for one component.

    A component without a start hook has STARTED when the bus has. One that had
    started and was stopped again, because the start failed or was cancelled, is
    ROLLED_BACK, and so is a start that was cancelled.
    """

    STARTED = "started"
    FAILED = "failed"
    NOT_STARTED = "not started"
    DISABLED = "disabled"
    ROLLED_BACK = "rolled back"


@attrs.frozen
class Span:
    """A part of a start: when it *began*, in seconds from the beginning of the start, and its length in *seconds*."""

    began: float
    seconds: float

    @property
    def ended(self) -> float:
        """When it ended, in seconds from the beginning of the start."""
        return self.began + self.seconds


@attrs.frozen
class RunStart:
    """
    The first call of a run, during a start or right after it.

    Attributes:
        path: The path of the run.
        began: When it was called, in seconds from the beginning of the start; None if it has not been called.
        ready: The seconds from *began* until it called `Stopping.ready`; None if it has not called that.
    """

    path: str
    began: float | None = None
    ready: float | None = None


@attrs.frozen
class ComponentRecord:
    """
    One component in a start, or a listener of `START` or `RUN` outside every container.

    Attributes:
        path: Its path.
        outcome: How its start ended.
        reason: Why it is disabled, or the error it failed with; otherwise empty.
        needs: The paths of the components that it depends on, which start before it.
        after: The paths of the listeners of its channels that start before it.
        construct: The call of its constructor; None if it was constructed before. For a resource, and a component
            that needs one, it is a part of the first span in *starts*.
        subscribe: The subscription of its listeners; None if they were subscribed before.
        starts: Its start hooks, in the order in which they were called.
        functions: The functions of a `Listeners`, as in ``"record on order_placed"``; None for any other component.
        runs: Its runs.
    """

    path: str
    outcome: Outcome
    reason: str
    needs: tuple[str, ...]
    after: tuple[str, ...]
    construct: Span | None
    subscribe: Span | None
    starts: tuple[Span, ...]
    functions: tuple[str, ...] | None = None
    runs: tuple[RunStart, ...] = ()

    @property
    def spans(self) -> tuple[tuple[str, Span], ...]:
        """All spans, each with the name of its step."""
        steps = (("construct", self.construct), ("subscribe", self.subscribe))
        return (*((name, span) for name, span in steps if span is not None), *(("start", span) for span in self.starts))

    @property
    def start_seconds(self) -> float:
        """How long its start hooks took."""
        return sum(span.seconds for span in self.starts)

    @property
    def seconds(self) -> float:
        """How long it took in total."""
        inner = self.construct if self.construct is not None and self.is_built_late else None
        return sum(span.seconds for _, span in self.spans if span is not inner)

    @property
    def is_built_late(self) -> bool:
        """Whether it was constructed by a step of its start: it is a resource, or needs one."""
        construct = self.construct
        return construct is not None and any(span.began <= construct.began <= span.ended for span in self.starts)


@attrs.frozen
class FailureRecord:
    """A listener that failed in a start or in its rollback: the life-cycle channel, the duration and the error."""

    path: str
    hook: str
    seconds: float
    error: str


@attrs.frozen
class CriticalPath:
    """
    The chain of components, each starting after the one before, whose start hooks took longest in total.

    No number of workers makes a start shorter than this.
    """

    links: tuple[ComponentRecord, ...]

    @property
    def seconds(self) -> float:
        """How long the start hooks along it took."""
        return sum(link.start_seconds for link in self.links)


@attrs.frozen
class StartRecord:
    """
    One start, from the first step to the last, or up to now if it is still running.

    Attributes:
        outcome: How it ended; NOT_STARTED while it is running.
        seconds: How long it took, without the rollback.
        components: All components, in the order in which they start.
        failures: The failures, in the order of events.
        rolled_back: The paths that the rollback stopped, in the order in which they were stopped.
        rollback: The duration of the rollback in seconds; None if there was no rollback.
    """

    outcome: Outcome
    seconds: float
    components: tuple[ComponentRecord, ...]
    failures: tuple[FailureRecord, ...]
    rolled_back: tuple[str, ...]
    rollback: float | None

    @property
    def slowest(self) -> tuple[ComponentRecord, ...]:
        """The ten components that took longest in total, the longest first."""
        return tuple(heapq.nlargest(_SLOWEST, self.components, key=lambda component: component.seconds))

    @property
    def critical_path(self) -> CriticalPath:
        """The chain that must become shorter for a faster start."""
        by_path = {component.path: component for component in self.components}
        needs = {
            component.path: [by_path[need] for need in (*component.needs, *component.after) if need in by_path]
            for component in self.components
        }
        order, _ = dependencies_first(self.components, lambda component: needs[component.path])
        # For each component the longest chain that ends with it: its length, and the component before.
        longest: dict[str, tuple[float, ComponentRecord | None]] = {}
        for component in order:
            previous = max(needs[component.path], key=lambda need: longest[need.path][0], default=None)
            start = 0.0 if previous is None else longest[previous.path][0]
            longest[component.path] = (start + component.start_seconds, previous)
        links: list[ComponentRecord] = []
        link = max(order, key=lambda component: longest[component.path][0], default=None)
        while link is not None:
            if link.starts:
                links.append(link)
            link = longest[link.path][1]
        return CriticalPath(tuple(reversed(links)))


TimedEvent: TypeAlias = tuple[float, LifecycleEvent | FailureRecord]
"""An event, or the record of a failure, with the time at which it was published."""


@attrs.define(eq=False)
class _Part:
    """The state of a component after the events so far."""

    path: str
    outcome: Outcome = Outcome.NOT_STARTED
    reason: str = ""
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    functions: tuple[str, ...] | None = None
    construct: Span | None = None
    subscribe: Span | None = None
    starts: list[Span] = attrs.field(factory=list)
    runs: list[RunStart] = attrs.field(factory=list)
    since: float | None = None
    #: When its construction began, within its start.
    constructing_since: float | None = None

    def begin_construction(self, now: float) -> None:
        self.outcome, self.reason, self.construct = Outcome.NOT_STARTED, "", None
        if self.subscribe is None:
            self.needs, self.after, self.functions, self.since = (), (), None, now
        else:
            # A resource, or a component that needs one: it is subscribed before, and its start goes on.
            self.constructing_since = now

    def add_construction(self, now: float, seconds: float) -> None:
        if self.constructing_since is None:
            self.construct = self.span(now, seconds)
        else:
            self.construct = Span(min(self.constructing_since, now - seconds), seconds)
            self.constructing_since = None

    def span(self, now: float, seconds: float) -> Span:
        """Return the span whose end was reported at *now*."""
        # Earlier listeners may have delayed the event of the beginning, or that
        # of the end. A span ends no later than it was reported: otherwise it
        # would seem to overlap the next one.
        began = now - seconds if self.since is None else min(self.since, now - seconds)
        self.since = None
        return Span(began, seconds)

    def add_start(self, now: float, seconds: float, outcome: Outcome, reason: str = "") -> None:
        self.starts.append(self.span(now, seconds))
        self.outcome, self.reason = outcome, reason or self.reason

    def roll_back(self) -> None:
        if self.outcome is Outcome.STARTED:
            self.outcome = Outcome.ROLLED_BACK

    def record(self) -> ComponentRecord:
        return ComponentRecord(
            self.path,
            self.outcome,
            self.reason,
            self.needs,
            self.after,
            self.construct,
            self.subscribe,
            tuple(self.starts),
            self.functions,
            tuple(self.runs),
        )


TimedRun: TypeAlias = tuple[str, float | None, float | None]
"""The path of a run, with the times at which it was first called and first ready, or None."""


def record_of(
    events: Sequence[TimedEvent],
    earlier_events: Iterable[Subscribed | Disabled],
    runs: Iterable[TimedRun],
    now: float,
) -> StartRecord:
    """
    Return the record of a start.

    Args:
        events: The events of the start, the first of which is its beginning.
        earlier_events: Events of components that were constructed, or found disabled, in an earlier start.
        runs: The runs of the bus.
        now: The current time.
    """
    parts: dict[str, _Part] = {}
    failures: list[FailureRecord] = []
    stopped_paths: tuple[str, ...] = ()
    rollback: float | None = None
    beginning = events[0][0]
    outcome, total = Outcome.NOT_STARTED, now - beginning

    def part_of(path: str) -> _Part:
        return parts.setdefault(path, _Part(path))

    for earlier in earlier_events:
        part = part_of(earlier.path)
        if isinstance(earlier, Subscribed):
            part.needs, part.after, part.functions = earlier.needs, earlier.after, earlier.functions
        else:
            part.outcome, part.reason = Outcome.DISABLED, earlier.reason
    for time, event in events:
        offset = time - beginning
        match event:
            case Constructing(path):
                part_of(path).begin_construction(offset)
            case Constructed(path, seconds):
                part_of(path).add_construction(offset, seconds)
            case Subscribed(path, seconds, needs, after, functions):
                part = part_of(path)
                part.subscribe = part.span(offset, seconds)
                part.needs, part.after, part.functions = needs, after, functions
            case Disabled(path, reason):
                parts[path] = _Part(path, Outcome.DISABLED, reason)
            case ComponentStarting(path):
                part_of(path).since = offset
            case ComponentStarted(path, seconds):
                part_of(path).add_start(offset, seconds, Outcome.STARTED)
            case FailureRecord(path, hook, seconds, error):
                failures.append(event)
                if hook == "start":
                    part_of(path).add_start(offset, seconds, Outcome.FAILED, error)
                elif hook == "assemble":
                    # The path may be that of the container; then the component that was begun last has failed.
                    candidates = [part for part in parts.values() if part.path == path or part.since is not None]
                    for part in candidates[-1:]:
                        part.construct = part.span(offset, 0.0 if part.since is None else offset - part.since)
                        part.outcome, part.reason = Outcome.FAILED, error
            case Moved(State.STARTING, after):
                total = offset
                outcome = Outcome.FAILED if failures else Outcome.ROLLED_BACK
                if after is State.STARTED:
                    outcome = Outcome.STARTED
                    for part in parts.values():
                        if part.outcome is Outcome.NOT_STARTED:
                            part.outcome = Outcome.STARTED
            case RolledBack(rollback, _, stopped_paths):
                for path in stopped_paths:
                    part_of(path).roll_back()
            case _:
                continue
    for run in runs:
        _add_run(parts, run, beginning, outcome)
    components = tuple(part.record() for part in parts.values())
    return StartRecord(outcome, total, components, tuple(failures), stopped_paths, rollback)


def _add_run(parts: dict[str, _Part], run: TimedRun, beginning: float, outcome: Outcome) -> None:
    """Add *run* to its component in *parts*, or to a part of its own if it belongs to no component."""
    path, began, ready = run
    owner = next((prefix for prefix in _prefixes(path) if prefix in parts), path)
    part = parts.setdefault(owner, _Part(owner))
    if part.outcome is Outcome.NOT_STARTED and outcome is Outcome.STARTED:
        part.outcome = outcome
    seconds = None if began is None or ready is None else ready - began
    part.runs.append(RunStart(path, None if began is None else began - beginning, seconds))


def _prefixes(path: str) -> list[str]:
    """Return *path* and its dotted prefixes, the longest first."""
    names = path.split(".")
    return [".".join(names[:count]) for count in range(len(names), 0, -1)]
