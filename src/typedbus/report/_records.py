"""
What a start was: records of its components, worked out of the events that told of it.

`report` is where they are had from.
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
    started and was stopped again, since the start failed or was broken off, is
    ROLLED_BACK, and so is a start that was broken off.
    """

    STARTED = "started"
    FAILED = "failed"
    NOT_STARTED = "not started"
    DISABLED = "disabled"
    ROLLED_BACK = "rolled back"


@attrs.frozen
class Span:
    """A stretch of a start, in seconds: when it *began*, counted from the beginning of the start, and its length."""

    began: float
    seconds: float

    @property
    def ended(self) -> float:
        """When it ended, counted as *began* is."""
        return self.began + self.seconds


@attrs.frozen
class ComponentRecord:
    """
    One component in a start, or a listener of `START` outside every container.

    Attributes:
        path: Its path.
        outcome: How it ended.
        reason: Why it is disabled, or what it failed with; else empty.
        needs: The paths of the components that it depends on, which start before it.
        after: The paths of the listeners of its channels that start before it.
        construct: Its constructor; None if it had been built before.
        subscribe: What of it listens was subscribed; None if it had been before.
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
        """All of them, each with what was done in it."""
        built = (("construct", self.construct), ("subscribe", self.subscribe))
        return (*((name, span) for name, span in built if span is not None), *(("start", span) for span in self.starts))

    @property
    def start_seconds(self) -> float:
        """What its start hooks took."""
        return sum(span.seconds for span in self.starts)

    @property
    def seconds(self) -> float:
        """What it took in all."""
        return sum(span.seconds for _, span in self.spans)


@attrs.frozen
class FailureRecord:
    """A listener that failed in a start or in its rollback: on which life-cycle channel, after how long, and with what."""

    path: str
    hook: str
    seconds: float
    error: str


@attrs.frozen
class CriticalPath:
    """
    The chain of components, each of which the next starts after, whose start hooks took longest.

    No number of workers makes a start any shorter.
    """

    links: tuple[ComponentRecord, ...]

    @property
    def seconds(self) -> float:
        """What the start hooks along it took."""
        return sum(link.start_seconds for link in self.links)


@attrs.frozen
class StartRecord:
    """
    One start, from the first step to the last; of one under way, what has happened so far.

    Attributes:
        outcome: How it ended; NOT_STARTED while it has not.
        seconds: How long it took, without the rollback.
        components: Each of them, in the order in which they start.
        failures: What failed, in the order of events.
        undone: The paths that the rollback stopped, in that order.
        rollback: What the rollback took, in seconds; None if there was none.
    """

    outcome: Outcome
    seconds: float
    components: tuple[ComponentRecord, ...]
    failures: tuple[FailureRecord, ...]
    undone: tuple[str, ...]
    rollback: float | None

    @property
    def slowest(self) -> tuple[ComponentRecord, ...]:
        """The ten that took longest in all, the longest first."""
        return tuple(heapq.nlargest(_SLOWEST, self.components, key=lambda component: component.seconds))

    @property
    def critical_path(self) -> CriticalPath:
        """The chain that a faster start has to make shorter."""
        by_path = {component.path: component for component in self.components}
        needs = {
            component.path: [by_path[need] for need in (*component.needs, *component.after) if need in by_path]
            for component in self.components
        }
        order, _ = dependencies_first(self.components, lambda component: needs[component.path])
        # For each the longest chain that ends with it, as its length and the last but one.
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
    """A component as far as it has been told."""

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
        """Return the span that was told at *now* to be over."""
        # The listeners before us may have taken their time with the beginning,
        # or with the end: nothing ends before it was told, or it would seem
        # to overlap with what came next.
        began = now - seconds if self.since is None else min(self.since, now - seconds)
        self.since = None
        return Span(began, seconds)


def record_of(noted: Sequence[Noted], known: Iterable[Subscribed | Disabled], now: float) -> StartRecord:
    """Work out what *noted* means, the events of a start that began with the first of them."""
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
                    # It may be told of who builds; what was being built is then the last that was begun.
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
