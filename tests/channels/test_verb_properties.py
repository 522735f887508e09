"""`first`, `fold` and `attempt` behave like a simple model, whatever the listeners do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import AsyncChannel, Bus, Channel, ChannelFailures, Subscription
from typedbus._channels.codegen import HEAT

numbered = Channel[[tuple[int, ...]], tuple[int, ...] | None]("numbered")
awaited = AsyncChannel[[tuple[int, ...]], tuple[int, ...] | None]("awaited")
Value = tuple[int, ...]
VERBS: Final = ("first", "fold", "attempt")


class Refused(Exception):
    """Raised by a listener."""


@attrs.frozen
class Behaviour:
    """
    What a listener does.

    Attributes:
        kind: "answer", "silent", "refuse" or "exit".
        priority: Its priority.
    """

    kind: str
    priority: int


@attrs.frozen
class Outcome:
    """
    What a verb did.

    Attributes:
        called: The listeners that were called, with the value that each received.
        result: The result, or the results of an attempt; None if it raised.
        refused: The listeners that failed, in running order.
        results: The results that came with the failures.
        left: Whether `SystemExit` propagated.
    """

    called: list[tuple[int, Value]]
    result: object = None
    refused: list[int] = attrs.Factory(list)
    results: tuple[Value | None, ...] = ()
    left: bool = False


def expected(verb: str, behaviours: Iterable[tuple[int, Behaviour]], value: Value) -> Outcome:
    """Return the outcome of *verb* for listeners in running order, as a loop has it."""
    called: list[tuple[int, Value]] = []
    refused: list[int] = []
    results: list[Value | None] = []
    for number, behaviour in behaviours:
        called.append((number, value))
        if behaviour.kind == "exit":
            return Outcome(called, refused=refused, results=tuple(results) if refused else (), left=True)
        if behaviour.kind == "refuse":
            refused.append(number)
            continue
        answer = (*value, number) if behaviour.kind == "answer" else None
        results.append(answer)
        if verb == "fold" and answer is not None:
            value = answer
        if verb == "first" and answer is not None:
            break
    if verb == "attempt":
        return Outcome(called, tuple(results), refused, tuple(results))
    if refused:
        return Outcome(called, None, refused, tuple(results))
    return Outcome(called, value if verb == "fold" else results[-1] if results else None)


class Listeners:
    """Listeners on a bound channel, and the record of their calls."""

    def __init__(self, bound: Any, *, is_async: bool) -> None:
        self.bound = bound
        self.is_async = is_async
        self.called: list[tuple[int, Value]] = []
        self.subscriptions: dict[int, tuple[Behaviour, Subscription]] = {}

    def subscribe(self, behaviour: Behaviour) -> None:
        """Subscribe a listener; every second one on an async channel is async."""
        number = len(self.subscriptions)

        def listen(value: Value, /) -> Value | None:
            self.called.append((number, value))
            if behaviour.kind == "exit":
                raise SystemExit
            if behaviour.kind == "refuse":
                raise Refused(number)
            return (*value, number) if behaviour.kind == "answer" else None

        async def listen_later(value: Value, /) -> Value | None:
            await asyncio.sleep(0)
            return listen(value)

        listener: Callable[..., Any] = listen_later if self.is_async and number % 2 else listen
        self.subscriptions[number] = behaviour, self.bound.subscribe(listener, priority=behaviour.priority)

    def in_order(self) -> list[tuple[int, Behaviour]]:
        """Return the behaviours of the listeners, in running order."""
        behaviours = [(number, behaviour) for number, (behaviour, _) in self.subscriptions.items()]
        return sorted(behaviours, key=lambda pair: pair[1].priority)

    def number_of(self, listener: object) -> int:
        """Return the number of *listener*."""
        (number,) = [key for key, (_, one) in self.subscriptions.items() if one.listener is listener]
        return number

    def outcome(self, call: Callable[[], Any]) -> Outcome:
        """Return the outcome of *call*."""
        self.called.clear()
        failed: BaseException | None = None
        try:
            result = call()
        except ChannelFailures as error:
            result, failed = None, error
        except SystemExit as error:
            cause = error.__cause__
            assert cause is None or isinstance(cause, ChannelFailures)
            refused = [] if cause is None else [self.number_of(failure.listener) for failure in cause.failures]
            return Outcome([*self.called], refused=refused, results=() if cause is None else cause.results, left=True)
        if isinstance(failed, ChannelFailures):
            refused = [self.number_of(failure.listener) for failure in failed.failures]
            return Outcome([*self.called], None, refused, failed.results)
        if hasattr(result, "failures"):
            self.check(result)
            refused = [self.number_of(failure.listener) for failure in result.failures]
            return Outcome([*self.called], result.results, refused, result.results)
        return Outcome([*self.called], result)

    def check(self, attempt: Any) -> None:
        """Compare the records of *attempt* with the listeners."""
        assert [self.number_of(answer.listener) for answer in attempt] == [number for number, _ in self.in_order()]
        assert [answer.error is None for answer in attempt] == [one.kind != "refuse" for _, one in self.in_order()]
        assert tuple(answer.result for answer in attempt if answer.error is None) == attempt.results
        assert len(attempt) == len(self.subscriptions)


behaviours = st.lists(
    st.builds(
        Behaviour,
        st.sampled_from(["answer", "silent", "refuse", "silent", "answer", "silent", "exit"]),
        st.sampled_from([50, 10, 90]),
    ),
    max_size=8,
)
warm_ups = st.sampled_from([0, HEAT + 2])


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    before=behaviours,
    later=behaviours,
    verbs=st.lists(st.sampled_from(VERBS), min_size=1, max_size=4),
    warm_up=warm_ups,
)
def test_a_verb_behaves_like_its_model(
    before: list[Behaviour], later: list[Behaviour], verbs: list[str], warm_up: int
) -> None:
    """Before and after a change of the listeners, in a loop and unrolled."""
    listeners = Listeners(Bus()[numbered], is_async=False)
    for added in (before, later):
        for behaviour in added:
            listeners.subscribe(behaviour)
        for verb in verbs * (1 + warm_up):
            outcome = listeners.outcome(partial(getattr(listeners.bound, verb), (0,)))
            assert outcome == expected(verb, listeners.in_order(), (0,))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    before=behaviours,
    later=behaviours,
    verbs=st.lists(st.sampled_from(VERBS), min_size=1, max_size=4),
    warm_up=warm_ups,
)
def test_an_awaited_verb_behaves_like_its_model(
    before: list[Behaviour], later: list[Behaviour], verbs: list[str], warm_up: int
) -> None:
    """With plain and async listeners."""
    listeners = Listeners(Bus()[awaited], is_async=True)

    def drive(verb: str) -> Any:
        coroutine = getattr(listeners.bound, verb)((0,))
        # The listeners suspend only for a turn of the loop, so no loop is needed.
        try:
            while True:
                coroutine.send(None)
        except StopIteration as stop:
            return stop.value

    for added in (before, later):
        for behaviour in added:
            listeners.subscribe(behaviour)
        for verb in verbs * (1 + warm_up):
            outcome = listeners.outcome(partial(drive, verb))
            assert outcome == expected(verb, listeners.in_order(), (0,))
