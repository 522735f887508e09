"""Observations, tracings, watchers and listeners that come and go, in any order, behave like a simple model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.observe.test_counts import LEVELS, call
from tests.observe.test_tracing import Recorder, trace

from typedbus import AsyncChannel, Bus, Channel, ChannelFailures, Subscription, Watch
from typedbus._channels.codegen import HEAT
from typedbus._channels.observing.digests import Digest, Digests
from typedbus._channels.observing.tracing import Tracing
from typedbus.observe import ChannelStats, Level, Observation

numbered = Channel[[int], int | None]("numbered")
untyped: Channel[[int], int | None] = Channel("untyped")
awaited = AsyncChannel[[int], int | None]("awaited")
together = AsyncChannel[[int], int | None]("together", concurrent=True)

VERBS: Final = ("publish", "first", "fold", "attempt")


@attrs.frozen
class Change:
    """A change of the listener or the watcher *number*."""

    kind: str
    number: int
    priority: int


@attrs.frozen
class Observe:
    """Begin the observation *number*, or with None as its level end it."""

    number: int
    level: Level | None


@attrs.frozen
class Trace:
    """Begin or end a tracing; it records if *records* is True."""

    is_wanted: bool
    records: bool


@attrs.frozen
class Publish:
    """Calls of *verb*; the first listener that is called makes *changes*."""

    verb: str
    times: int
    changes: Sequence[Change]


@attrs.define
class Figures:
    """The counts of an observation."""

    publishes: int = 0
    calls: dict[str, int] = attrs.Factory(dict)
    failures: dict[str, int] = attrs.Factory(dict)


def name_of(number: int) -> str:
    return f"{__name__}.listener_{number}"


def answer(number: int) -> int | None:
    """Return the result of the listener *number*; every third fails."""
    if number % 3 == 2:
        raise ValueError(number)
    return number if number % 3 else None


class Model:
    """The listeners, and the figures of each open observation."""

    def __init__(self) -> None:
        self.listeners: dict[int, int] = {}
        self.figures: dict[int, Figures] = {}

    def change(self, change: Change) -> None:
        if change.kind == "subscribe":
            self.listeners[change.number] = change.priority
        elif change.kind == "cancel":
            self.listeners.pop(change.number, None)

    def publish(self, verb: str) -> None:
        """Count a call of *verb*."""
        called, failed = [], []
        for number in sorted(self.listeners, key=lambda number: self.listeners[number]):
            called.append(name_of(number))
            try:
                if answer(number) is not None and verb == "first":
                    break
            except ValueError:
                failed.append(name_of(number))
        for figures in self.figures.values():
            figures.publishes += 1
            for counted, names in (figures.calls, called), (figures.failures, failed):
                for name in names:
                    counted[name] = counted.get(name, 0) + 1


class Program:
    """Applies the steps to a bus."""

    def __init__(self, channel: Any) -> None:
        self.bus = Bus()
        self.channel = channel
        self.bound: Any = self.bus[channel]
        self.pending: Sequence[Change] = ()
        self.subscriptions: dict[int, Subscription] = {}
        self.watches: dict[int, Watch] = {}
        self.observations: dict[int, Observation] = {}
        self.digests: dict[int, Digests] = {}
        self.digest: dict[int, Digest] = {}
        self.tracer = Recorder()
        self.tracing: Tracing | None = None

    def listener(self, number: int) -> Callable[[int], int | None]:
        def listen(_: int) -> int | None:
            pending, self.pending = self.pending, ()
            for change in pending:
                self.change(change)
            return answer(number)

        listen.__qualname__ = f"listener_{number}"
        return listen

    def change(self, change: Change) -> None:
        number = change.number
        if change.kind == "subscribe":
            subscription = self.subscriptions.get(number)
            listener = self.listener(number) if subscription is None else subscription.listener
            self.subscriptions[number] = self.bound.subscribe(listener, priority=change.priority)
        elif change.kind == "cancel":
            if number in self.subscriptions:
                self.subscriptions.pop(number).cancel()
        elif change.kind == "watch":
            if number not in self.watches:
                self.watches[number] = self.bound.watch(lambda _: None)
        elif number in self.watches:
            self.watches.pop(number).cancel()

    def publish(self, verb: str) -> None:
        with contextlib.suppress(ChannelFailures):
            call(getattr(self.bound, verb), 3)

    def trace(self, step: Trace) -> None:
        self.tracer.is_on = step.records
        if self.tracing is not None:
            self.tracing.close()
            self.tracing = None
        if step.is_wanted:
            self.tracing = trace(self.bus, self.tracer)


def check(stats: ChannelStats, level: Level, figures: Figures, present: set[str]) -> None:
    """Compare *stats* with the model."""
    assert stats.publishes == figures.publishes
    assert stats.failures == sum(figures.failures.values())
    assert {name: one.calls for name, one in stats.listeners.items() if one.calls} == figures.calls
    assert present <= set(stats.listeners)
    failures = {name: dict(one.failures) for name, one in stats.listeners.items() if one.failures}
    assert failures == {name: {"ValueError": count} for name, count in figures.failures.items()}
    if level != "count":
        assert stats.durations is not None
        assert stats.durations.count == figures.publishes
    if level == "each":
        for one in stats.listeners.values():
            assert one.durations is not None
            assert one.durations.count == one.calls
            assert one.durations.seconds >= 0


def check_digest(digest: Digest, stats: ChannelStats) -> None:
    """Compare the figures that are read for all channels at once with *stats*."""
    assert (digest.publishes, digest.failures) == (stats.publishes, stats.failures)
    if stats.durations is not None:
        assert (digest.timed, tuple(digest.buckets)) == (stats.durations.count, stats.durations.buckets)
        assert digest.nanoseconds == round(stats.durations.seconds * 1e9)


numbers = st.integers(0, 5)
changes = st.builds(
    Change, st.sampled_from(["subscribe", "subscribe", "cancel", "watch", "end"]), numbers, st.sampled_from([10, 50])
)
steps = st.lists(
    changes
    | st.builds(Observe, st.integers(0, 2), st.sampled_from([*LEVELS, None]))
    | st.builds(Trace, st.booleans(), st.booleans())
    | st.builds(
        Publish, st.sampled_from(VERBS), st.sampled_from([1, 2, HEAT + 1]), st.just(()) | st.lists(changes, max_size=2)
    ),
    max_size=12,
)


@pytest.mark.parametrize("channel", [numbered, untyped, awaited, together], ids=lambda channel: channel.name)
@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_the_figures_are_those_of_the_model(channel: Any, steps: list[Any]) -> None:
    """After each step, for each observation; one that has ended keeps its figures."""
    model, program = Model(), Program(channel)
    for step in steps:
        if isinstance(step, Change):
            model.change(step)
            program.change(step)
        elif isinstance(step, Trace):
            program.trace(step)
        elif isinstance(step, Observe):
            ended = program.observations.pop(step.number, None)
            figures = model.figures.pop(step.number, Figures())
            if ended is not None:
                ended.close()
                program.publish("publish")
                model.publish("publish")
                check(ended.stats()[channel], ended.level, figures, set())
            if step.level is not None:
                program.observations[step.number] = program.bus.observe(level=step.level)
                program.digests[step.number] = Digests(program.observations[step.number])
                model.figures[step.number] = Figures()
        else:
            program.pending = step.changes
            for _ in range(step.times):
                program.publish(step.verb)
                model.publish(step.verb)
                if program.pending is not step.changes or not step.changes:
                    for change in step.changes:
                        model.change(change)
                    step = attrs.evolve(step, changes=())
            program.pending = ()
        present = {name_of(number) for number in model.listeners}
        for number, observation in program.observations.items():
            for digest in program.digests[number].read():
                if digest.channel is channel:
                    program.digest[number] = digest
            assert program.digests[number].read() == []  # nothing has happened since
            stats = observation.stats()[channel]
            check(stats, observation.level, model.figures[number], present)
            check_digest(program.digest[number], stats)

    for observation in program.observations.values():
        observation.close()
    program.trace(Trace(is_wanted=False, records=False))
    assert program.bound._observer is None
    assert program.bound._entries is program.bound._watched
