"""One bound channel against a model of it, by chance and under threads."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from typedbus import Bus, Channel, ChannelFailures, Subscription

# Published with how many publishes deep a listener may go on.
nested = Channel[[int], str]("nested")

Deed = tuple[str, int, int]
"""What a listener does when it is called: its kind, and a listener and a priority to do it with."""

LISTENERS: Final = 6
listeners: Final = st.integers(0, LISTENERS - 1)
priorities: Final = st.integers(-2, 2)
kinds: Final = st.sampled_from(["answer", "fail", "publish", "subscribe", "unsubscribe", "cancel"])
deeds: Final = st.tuples(kinds, listeners, priorities)


class Refused(Exception):
    """What a listener raises that is to fail."""


@attrs.define
class Entry:
    """A subscription in the model."""

    listener: int
    priority: int


@attrs.define
class Model:
    """The rules of a bound channel, written as simply as possible."""

    deeds: dict[int, Deed]
    entries: list[Entry] = attrs.field(factory=list)
    called: list[tuple[int, int]] = attrs.field(factory=list)

    def subscribe(self, listener: int, priority: int) -> Entry:
        """Keep the entry that there is, or add one at the end."""
        for entry in self.entries:
            if entry.listener == listener:
                entry.priority = priority
                return entry
        self.entries.append(Entry(listener, priority))
        return self.entries[-1]

    def unsubscribe(self, listener: int) -> None:
        """Remove the entry."""
        self.entries = [entry for entry in self.entries if entry.listener != listener]

    def cancel(self, ended: Entry) -> None:
        """Remove this entry."""
        self.entries = [entry for entry in self.entries if entry is not ended]

    def in_order(self) -> list[int]:
        """Return the listeners in running order."""
        return [entry.listener for entry in sorted(self.entries, key=lambda entry: entry.priority)]

    def publish(self, depth: int) -> tuple[list[str], list[int]]:
        """Return the results of the listeners, and the listeners that fail."""
        answers, failed = [], []
        for listener in self.in_order():
            self.called.append((listener, depth))
            if self.fails(listener, depth):
                failed.append(listener)
            else:
                answers.append(f"{listener} at {depth}")
        return answers, failed

    def fails(self, listener: int, depth: int) -> bool:
        """Do what *listener* does; return whether that fails."""
        kind, other, priority = self.deeds[listener]
        if kind == "publish" and depth:
            return bool(self.publish(depth - 1)[1])
        if kind == "subscribe":
            self.subscribe(other, priority)
        elif kind == "unsubscribe":
            self.unsubscribe(other)
        elif kind == "cancel":
            self.entries = [entry for entry in self.entries if entry.listener != listener]
        return kind == "fail"


class BoundChannelMachine(RuleBasedStateMachine):
    """Does the same to a bound channel and to the model, and compares."""

    subscriptions: Bundle[tuple[Subscription, Entry]] = Bundle("subscriptions")

    def __init__(self) -> None:
        super().__init__()
        self.bound = Bus()[nested]
        self.called: list[tuple[int, int]] = []
        self.deeds: dict[int, Deed] = dict.fromkeys(range(LISTENERS), ("answer", 0, 0))
        self.model = Model(self.deeds)
        self.listeners = [self.listener(number) for number in range(LISTENERS)]

    def listener(self, number: int) -> Callable[[int], str]:
        """Return the listener of this number."""

        def listen(depth: int, /) -> str:
            kind, other, priority = self.deeds[number]
            self.called.append((number, depth))
            if kind == "publish" and depth:
                self.bound.publish(depth - 1)
            elif kind == "subscribe":
                self.bound.subscribe(self.listeners[other], priority=priority)
            elif kind == "unsubscribe":
                self.bound.unsubscribe(self.listeners[other])
            elif kind == "cancel":
                for subscription in self.bound.subscriptions:
                    if subscription.listener is listen:
                        subscription.cancel()
            elif kind == "fail":
                raise Refused
            return f"{number} at {depth}"

        return listen

    @rule(target=subscriptions, listener=listeners, priority=priorities)
    def subscribe(self, listener: int, priority: int) -> tuple[Subscription, Entry]:
        """Subscribe, perhaps again."""
        subscription = self.bound.subscribe(self.listeners[listener], priority=priority)
        return subscription, self.model.subscribe(listener, priority)

    @rule(listener=listeners)
    def unsubscribe(self, listener: int) -> None:
        """End the subscription of a listener, if there is one."""
        self.bound.unsubscribe(self.listeners[listener])
        self.model.unsubscribe(listener)

    @rule(subscription=subscriptions)
    def cancel(self, subscription: tuple[Subscription, Entry]) -> None:
        """End a subscription, perhaps an old one."""
        subscription[0].cancel()
        self.model.cancel(subscription[1])

    @rule(listener=listeners, deed=deeds)
    def behave(self, listener: int, deed: Deed) -> None:
        """Change the behaviour of a listener."""
        self.deeds[listener] = deed

    @rule(depth=st.integers(0, 2))
    def publish(self, depth: int) -> None:
        """Publish, and compare who was called, in which order, and with what outcome."""
        answers, failed = self.model.publish(depth)
        try:
            outcome = self.bound.publish(depth), list[object]()
        except ChannelFailures as error:
            outcome = [str(one) for one in error.results], [failure.listener for failure in error.failures]
        assert outcome == (answers, [self.listeners[listener] for listener in failed])
        assert self.called == self.model.called

    @invariant()
    def the_same_listen_in_the_same_order(self) -> None:
        """The subscriptions are those of the model."""
        listening = [self.listeners.index(one.listener) for one in self.bound.subscriptions]
        assert listening == self.model.in_order()
        assert [one.priority for one in self.bound.subscriptions] == sorted(one.priority for one in self.model.entries)


@pytest.mark.slow
def test_a_bound_channel_behaves_like_its_model() -> None:
    """For any sequence of subscribing, ending, failing and nested publishing."""
    run_state_machine_as_test(
        BoundChannelMachine, settings=settings(max_examples=150, stateful_step_count=30, deadline=None)
    )


# Under threads

passing_by = Channel[[list["Passing"]], None]("passing_by")
PUBLISHERS: Final = 4
SUBSCRIBERS: Final = 4
ROUNDS: Final = 6_000


@attrs.define(eq=False)
class Passing:
    """
    A listener that notes itself in what is published.

    Attributes:
        priority: Its place.
        began: A moment when its subscription surely had begun.
        ending: The last moment when it surely had not been ended.
        ended: A moment when it surely was over.
    """

    priority: int
    began: float = float("inf")
    ending: float = float("inf")
    ended: float = float("inf")

    def __call__(self, called: list[Passing], /) -> None:
        """Note that it was called."""
        called.append(self)


@attrs.frozen
class Publish:
    """The listeners that a publish called, and its begin and end."""

    began: float
    ended: float
    called: list[Passing]


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let the interpreter switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Crowd:
    """Publishers and subscribers of one channel, and all that they did."""

    def __init__(self) -> None:
        self.bound = Bus()[passing_by]
        # Its `next` cannot be interrupted: moments that everybody agrees on.
        self.now = itertools.count().__next__
        self.together = threading.Barrier(PUBLISHERS + SUBSCRIBERS)
        self.permanent = [Passing(priority, began=-1) for priority in (-100, 0, 0, 100)]
        # All subscribers let it come and go, and may share a subscription of it.
        self.contested = Passing(priority=50)
        for listener in self.permanent:
            self.bound.subscribe(listener, priority=listener.priority)

    def publish(self) -> Publish:
        """Publish once."""
        called: list[Passing] = []
        began = self.now()
        self.bound.publish(called)
        return Publish(began, self.now(), called)

    def publish_often(self) -> list[Publish]:
        """Publish, round after round."""
        self.together.wait()
        return [self.publish() for _ in range(ROUNDS)]

    def subscribe_and_cancel(self) -> tuple[list[Passing], list[Publish]]:
        """Subscribe and cancel listeners, overlapping, round after round; the last two stay."""
        self.together.wait()
        came: list[tuple[Passing, Subscription]] = []
        published = []
        for number in range(ROUNDS):
            listener = Passing(priority=number % 7 - 3)
            subscription = self.bound.subscribe(listener, priority=listener.priority)
            listener.began = self.now()
            came.append((listener, subscription))
            published.append(self.publish())
            for _ in range(4):
                self.bound.subscribe(self.contested, priority=self.contested.priority).cancel()
            if number >= 2:
                listener, subscription = came[number - 2]
                listener.ending = self.now()
                if number % 2:
                    subscription.cancel()
                else:
                    self.bound.unsubscribe(listener)
                listener.ended = self.now()
                published.append(self.publish())
        return [listener for listener, _ in came], published


@pytest.mark.slow
@pytest.mark.usefixtures("hasty_threads")
def test_no_call_is_lost_or_doubled_under_threads() -> None:
    """
    Each publish calls exactly the listeners that are subscribed.

    It calls each listener that was subscribed throughout once, in order of priority;
    no listener that was cancelled before it began; and no listener twice that was
    subscribed or cancelled meanwhile.
    """
    crowd = Crowd()
    with ThreadPoolExecutor(PUBLISHERS + SUBSCRIBERS) as threads:
        publishers = [threads.submit(crowd.publish_often) for _ in range(PUBLISHERS)]
        subscribers = [threads.submit(crowd.subscribe_and_cancel) for _ in range(SUBSCRIBERS)]
        published = [publish for publisher in publishers for publish in publisher.result()]
        came = crowd.permanent.copy()
        for subscriber in subscribers:
            listeners, publishes = subscriber.result()
            came += listeners
            published += publishes

    assert sum(1 for publish in published if not is_right(publish, crowd.permanent)) == 0
    assert missed(published, came) == []
    staying = [one for one in came if one.ended == float("inf")]
    assert {id(one.listener) for one in crowd.bound.subscriptions} == set(map(id, staying))
    assert [one.priority for one in crowd.bound.subscriptions] == sorted(one.priority for one in staying)
    assert len(staying) == 4 + 2 * SUBSCRIBERS


def is_right(publish: Publish, permanent: list[Passing]) -> bool:
    """Return whether the listeners were called in order, once each, and none was cancelled before."""
    priorities = [listener.priority for listener in publish.called]
    return (
        priorities == sorted(priorities)
        and len(set(map(id, publish.called))) == len(publish.called)
        and all(listener.ended > publish.began for listener in publish.called)
        and [listener for listener in publish.called if listener.ended == float("inf") and listener.began == -1]
        == permanent
    )


def missed(published: list[Publish], came: list[Passing]) -> list[tuple[Publish, Passing]]:
    """Return each publish with a listener that was subscribed throughout and was not called."""
    begins = sorted(came, key=lambda one: one.began, reverse=True)
    listening: list[Passing] = []
    pairs = []
    for publish in sorted(published, key=lambda one: one.began):
        while begins and begins[-1].began < publish.began:
            listening.append(begins.pop())
        listening = [one for one in listening if one.ending > publish.began]
        called = set(map(id, publish.called))
        pairs += [
            (publish, listener)
            for listener in listening
            if listener.ending > publish.ended and id(listener) not in called
        ]
    return pairs
