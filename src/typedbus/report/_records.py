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
class ComponentRecord:
    """
    One component in a start, or a listener of `START` outside every container.

    Attributes:
        path: Its path.
        outcome: How its start ended.
        reason: Why it is disabled, or the error it failed with; otherwise empty.
        needs: The paths of the components that it depends on, which start before it.
        after: The paths of the listeners of its channels that start before it.
        construct: The call of its constructor; None if it was constructed before.
        subscribe: The subscription of its listeners; None if they were subscribed before.
        starts: Its start hooks, in the order in which they were called.
    """

    path: str
    outcome: Outcome
    reason: str
    needs: tuple[str, ...]
    after: tuple[str, ...]
    construct: Span | None
    subscribe: Span | None
    starts: tuple[Span, ...]

    @property
    def spans(self) -> tuple[tuple[str, Span], ...]:
        """All spans, each with the name of its step."""
        built = (("construct", self.construct), ("subscribe", self.subscribe))
        return (*((name, span) for name, span in built if span is not None), *(("start", span) for span in self.starts))

    @property
    def start_seconds(self) -> float:
        """How long its start hooks took."""
        return sum(span.seconds for span in self.starts)

    @property
    def seconds(self) -> float:
        """How long it took in total."""
        return sum(span.seconds for _, span in self.spans)


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
        undone: The paths that the rollback stopped, in the order in which they were stopped.
        rollback: The duration of the rollback in seconds; None if there was no rollback.
    """

    outcome: Outcome
    seconds: float
    components: tuple[ComponentRecord, ...]
    failures: tuple[FailureRecord, ...]
    undone: tuple[str, ...]
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
            before = max(needs[component.path], key=lambda need: longest[need.path][0], default=None)
            so_far = 0.0 if before is None else longest[before.path][0]
            longest[component.path] = (so_far + component.start_seconds, before)
        links: list[ComponentRecord] = []
        link = max(order, key=lambda component: longest[component.path][0], default=None)
        while link is not None:
            if link.starts:
                links.append(link)
            link = longest[link.path][1]
        return CriticalPath(tuple(reversed(links)))


Noted: TypeAlias = tuple[float, LifecycleEvent | FailureRecord]


@attrs.define(eq=False)
class _Part:
    """The state of a component after the events so far."""

    path: str
    outcome: Outcome = Outcome.NOT_STARTED
    reason: str = ""
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    construct: Span | None = None
    subscribe: Span | None = None
    starts: list[Span] = attrs.field(factory=list)
    since: float | None = None

    def span(self, now: float, seconds: float) -> Span:
        """Return the span whose end was reported at *now*."""
        # Earlier listeners may have delayed the event of the beginning, or that
        # of the end. A span ends no later than it was reported: otherwise it
        # would seem to overlap the next one.
        began = now - seconds if self.since is None else min(self.since, now - seconds)
        self.since = None
        return Span(began, seconds)


def record_of(noted: Sequence[Noted], known: Iterable[Subscribed | Disabled], now: float) -> StartRecord:
    """Return the record of a start from its events, *noted*, of which the first is its beginning."""
    parts: dict[str, _Part] = {}
    failures: list[FailureRecord] = []
    undone: tuple[str, ...] = ()
    rollback: float | None = None
    outcome, seconds = Outcome.NOT_STARTED, now - noted[0][0]

    def part(path: str) -> _Part:
        return parts.setdefault(path, _Part(path))

    for told in known:
        if isinstance(told, Subscribed):
            part(told.path).needs, part(told.path).after = told.needs, told.after
        else:
            part(told.path).outcome, part(told.path).reason = Outcome.DISABLED, told.reason
    for at, event in noted:
        offset = at - noted[0][0]
        match event:
            case Constructing(path):
                parts[path] = _Part(path, since=offset)
            case Constructed(path, took):
                part(path).construct = part(path).span(offset, took)
            case Subscribed(path, took, needs, after):
                part(path).subscribe = part(path).span(offset, took)
                part(path).needs, part(path).after = needs, after
            case Disabled(path, reason):
                parts[path] = _Part(path, Outcome.DISABLED, reason)
            case ComponentStarting(path):
                part(path).since = offset
            case ComponentStarted(path, took):
                part(path).starts.append(part(path).span(offset, took))
                part(path).outcome = Outcome.STARTED
            case FailureRecord(path, hook, took, error):
                failures.append(event)
                if hook == "start":
                    part(path).starts.append(part(path).span(offset, took))
                    part(path).outcome, part(path).reason = Outcome.FAILED, error
                elif hook == "assemble":
                    # The path may be that of the container; then the component that was begun last has failed.
                    begun = [one for one in parts.values() if one.path == path or one.since is not None]
                    for failed in begun[-1:]:
                        failed.construct = failed.span(offset, 0.0 if failed.since is None else offset - failed.since)
                        failed.outcome, failed.reason = Outcome.FAILED, error
            case Moved(State.STARTING, after):
                seconds = offset
                outcome = Outcome.FAILED if failures else Outcome.ROLLED_BACK
                if after is State.STARTED:
                    outcome = Outcome.STARTED
                    for other in parts.values():
                        if other.outcome is Outcome.NOT_STARTED:
                            other.outcome = Outcome.STARTED
            case RolledBack(rollback, _, undone):
                for path in undone:
                    if part(path).outcome is Outcome.STARTED:
                        part(path).outcome = Outcome.ROLLED_BACK
            case _:
                continue
    components = tuple(
        ComponentRecord(
            one.path, one.outcome, one.reason, one.needs, one.after, one.construct, one.subscribe, tuple(one.starts)
        )
        for one in parts.values()
    )
    return StartRecord(outcome, seconds, components, tuple(failures), undone, rollback)
