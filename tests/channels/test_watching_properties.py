"""Watchers and listeners that come and go behave like a simple model, also while a publish runs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import AsyncChannel, Bus, Channel, Published, Subscription, Watch
from typedbus._channels.codegen import HEAT

Value = tuple[int, ...]
Event = tuple[str, int, Value]

numbered = Channel[[Value], Value | None]("numbered")
untyped: Channel[[Value], Value | None] = Channel("untyped")
awaited = AsyncChannel[[Value], Value | None]("awaited")
together = AsyncChannel[[Value], Value | None]("together", concurrent=True)

VERBS: Final = ("publish", "first", "fold", "attempt")


@attrs.frozen
class Change:
    """
    A change of the listeners or watchers.

    Attributes:
        kind: "subscribe", "cancel", "watch", "watch bus" or "end".
        number: The listener or the watcher.
        priority: The priority of the listener.
    """

    kind: str
    number: int
    priority: int


@attrs.frozen
class Publish:
    """
    Calls of a verb.

    Attributes:
        verb: Its name.
        times: How often it is called.
        changes: What the first function does that the first call calls.
    """

    verb: str
    times: int
    changes: Sequence[Change]


class Model:
    """The functions that are subscribed and that watch, and the calls that a publish would make."""

    def __init__(self) -> None:
        self.listeners: dict[int, int] = {}
        self.watchers: list[int] = []

    def change(self, change: Change) -> None:
        """Make *change*; each function is subscribed once, and watches once."""
        if change.kind == "subscribe":
            self.listeners[change.number] = change.priority
        elif change.kind == "cancel":
            self.listeners.pop(change.number, None)
        elif change.kind in ("watch", "watch bus"):
            if change.number not in self.watchers:
                self.watchers.append(change.number)
        elif change.number in self.watchers:
            self.watchers.remove(change.number)

    def publish(self, verb: str, value: Value) -> tuple[list[Event], object]:
        """Return the calls that *verb* makes, and its result."""
        events: list[Event] = [("watcher", number, value) for number in self.watchers]
        results: list[Value | None] = []
        for number in sorted(self.listeners, key=lambda number: self.listeners[number]):
            events.append(("listener", number, value))
            results.append(answer(number, value))
            if verb == "first" and results[-1] is not None:
                break
            if verb == "fold":
                value = results[-1] or value
        if verb == "first":
            return events, results[-1] if results else None
        return events, value if verb == "fold" else results


def answer(number: int, value: Value) -> Value | None:
    """Return the result of the listener *number*: None for even numbers."""
    return (*value, number) if number % 2 else None


class Program:
    """Makes the same changes and publishes on a bus."""

    def __init__(self, channel: Any) -> None:
        self.bus = Bus()
        self.bound: Any = self.bus[channel]
        self.events: list[Event] = []
        self.pending: Sequence[Change] = ()
        self.subscriptions: dict[int, Subscription] = {}
        self.watches: dict[int, Watch] = {}

    def record(self, kind: str, number: int, value: Value) -> None:
        """Record a call, and make the pending changes."""
        self.events.append((kind, number, value))
        pending, self.pending = self.pending, ()
        for change in pending:
            self.change(change)

    def change(self, change: Change) -> None:
        """Make *change*."""
        number = change.number
        if change.kind == "subscribe":
            subscription = self.subscriptions.get(number)
            listener = self.listener(number) if subscription is None else subscription.listener
            self.subscriptions[number] = self.bound.subscribe(listener, priority=change.priority)
        elif change.kind == "cancel":
            if number in self.subscriptions:
                self.subscriptions.pop(number).cancel()
        elif change.kind == "end":
            if number in self.watches:
                self.watches.pop(number).cancel()
        elif number not in self.watches:
            if change.kind == "watch":
                self.watches[number] = self.bound.watch(lambda value: self.record("watcher", number, value))
            else:
                self.watches[number] = self.bus.watch(self.bus_watcher(number))

    def listener(self, number: int) -> Callable[[Value], Value | None]:
        def listen(value: Value) -> Value | None:
            self.record("listener", number, value)
            return answer(number, value)

        return listen

    def bus_watcher(self, number: int) -> Callable[[Published], None]:
        def watch(published: Published) -> None:
            assert published.channel is self.bound.channel
            self.record("watcher", number, published.args[0])

        return watch

    async def publish(self, verb: str, value: Value) -> tuple[list[Event], object]:
        """Return the calls that *verb* made, and its result."""
        self.events = []
        result = getattr(self.bound, verb)(value)
        if inspect.iscoroutine(result):
            result = await result
        return self.events, list(result.results) if verb == "attempt" else result


changes = st.builds(
    Change,
    st.sampled_from(["subscribe", "cancel", "watch", "watch bus", "end"]),
    st.integers(0, 4),
    st.sampled_from([10, 50, 90]),
)
publishes = st.builds(Publish, st.sampled_from(VERBS), st.sampled_from([1, 2, HEAT + 2]), st.lists(changes, max_size=3))
steps = st.lists(changes | publishes, max_size=25)


async def run(channel: Any, script: Sequence[Change | Publish]) -> None:
    """Compare the program with the model, step by step."""
    model, program = Model(), Program(channel)
    for step in script:
        if isinstance(step, Change):
            model.change(step)
            program.change(step)
        else:
            for time in range(step.times):
                expected = model.publish(step.verb, (time,))
                if time == 0 and expected[0]:
                    program.pending = step.changes
                    for change in step.changes:
                        model.change(change)
                assert await program.publish(step.verb, (time,)) == expected
        assert bool(program.bound) == bool(model.listeners or model.watchers)


@pytest.mark.slow
@pytest.mark.parametrize("channel", [numbered, untyped, awaited, together], ids=lambda channel: channel.name)
@given(script=steps)
@settings(max_examples=60, deadline=None)
def test_publishes_call_the_watchers_and_listeners_of_their_beginning(
    channel: Any, script: list[Change | Publish]
) -> None:
    """The order, the arguments and the results are those of the model."""
    asyncio.run(run(channel, script))
