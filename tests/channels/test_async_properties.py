"""Async channels against a model of an awaited publish."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import AsyncChannel, Bus, ChannelFailures, ListenerCancelled
from typedbus._channels.codegen import HEAT

LISTENERS: Final = 6


@attrs.frozen
class Behaviour:
    """
    What a listener does.

    Attributes:
        priority: Its priority.
        turns: How many turns of the loop it takes.
        is_plain: Whether it is a plain function, which takes none.
        outcome: "return", "raise" or "cancel".
    """

    priority: int
    turns: int
    is_plain: bool
    outcome: str


behaviours: Final = st.builds(
    Behaviour, st.integers(0, 2), st.integers(0, 3), st.booleans(), st.sampled_from(["return", "raise", "cancel"])
)


class Raised(Exception):
    """Raised by a listener that has to fail."""


def act(outcome: str, number: int) -> int:
    """Return *number*, or fail as *outcome* says."""
    if outcome == "raise":
        raise Raised(number)
    if outcome == "cancel":
        raise asyncio.CancelledError
    return number


def listener_of(
    behaviour: Behaviour, number: int, begun: list[int], ended: list[int]
) -> Callable[[], int | Awaitable[int]]:
    """Return a listener that records its begin and its end."""

    async def later() -> int:
        begun.append(number)
        try:
            for _ in range(behaviour.turns):
                await asyncio.sleep(0)
            return act(behaviour.outcome, number)
        finally:
            ended.append(number)

    def now() -> int:
        begun.append(number)
        ended.append(number)
        return act(behaviour.outcome, number)

    return now if behaviour.is_plain else later


@settings(max_examples=60, deadline=None)
@given(st.lists(behaviours, max_size=LISTENERS), st.booleans(), st.sampled_from([0, HEAT + 1]))
def test_an_awaited_publish_does_what_its_model_does(chosen: list[Behaviour], concurrent: bool, publishes: int) -> None:
    """Each listener runs once; results and failures are in running order; a priority ends before the next begins."""
    bound = Bus()[AsyncChannel[[], int]("numbers", concurrent=concurrent)]
    begun: list[int] = []
    ended: list[int] = []
    for number, behaviour in enumerate(chosen):
        bound.subscribe(listener_of(behaviour, number, begun, ended), priority=behaviour.priority)
    order = sorted(range(len(chosen)), key=lambda number: chosen[number].priority)

    async def publish() -> tuple[list[object], list[type[Exception]]]:
        try:
            return list(await bound.publish()), []
        except ChannelFailures as failures:
            return list(failures.results), [type(error) for error in failures.exceptions]

    async def main() -> tuple[list[object], list[type[Exception]]]:
        for _ in range(publishes):
            await publish()
        begun.clear()
        ended.clear()
        return await publish()

    results, errors = asyncio.run(main())

    kinds = {"raise": Raised, "cancel": ListenerCancelled}
    assert results == [number for number in order if chosen[number].outcome == "return"]
    assert errors == [kinds[chosen[number].outcome] for number in order if chosen[number].outcome != "return"]
    assert sorted(begun) == sorted(ended) == list(range(len(chosen)))
    for calls in (begun, ended):
        priorities = [chosen[number].priority for number in calls]
        assert priorities == sorted(priorities)
    if not concurrent:
        assert begun == ended == order


@settings(max_examples=60, deadline=None)
@given(st.lists(behaviours, min_size=1, max_size=LISTENERS), st.booleans(), st.integers(0, 20))
def test_a_cancelled_publish_leaves_no_listener_running(chosen: list[Behaviour], concurrent: bool, turns: int) -> None:
    """Whenever the cancellation comes, every listener that has begun has ended when the publisher ends."""
    bound = Bus()[AsyncChannel[[], int]("numbers", concurrent=concurrent)]
    begun: list[int] = []
    ended: list[int] = []
    for number, behaviour in enumerate(chosen):
        bound.subscribe(listener_of(behaviour, number, begun, ended), priority=behaviour.priority)

    async def main() -> None:
        publisher = asyncio.create_task(bound.publish())
        for _ in range(turns):
            await asyncio.sleep(0)
        was_running = publisher.cancel()
        await asyncio.wait([publisher])
        assert publisher.cancelled() == was_running or not was_running
        if not publisher.cancelled():
            publisher.exception()
        assert sorted(begun) == sorted(ended)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
