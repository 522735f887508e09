"""Which async functions a sync channel refuses as listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import pytest

from typedbus import Bus, Channel, ListenerError, in_thread


class Part:
    """Has async methods."""

    async def method(self, number: int, /) -> int:
        return number

    async def __call__(self, number: int, /) -> int:
        return number


@pytest.mark.parametrize(
    "listener",
    [Part().method, Part(), partial(Part().method), in_thread(abs), AsyncMock()],
    ids=["method", "callable", "partial", "in a thread", "mock"],
)
@pytest.mark.parametrize("result", [object, int, None])
def test_a_sync_channel_refuses_an_async_listener(listener: Any, result: Any) -> None:
    """Nothing would await its result; the error names the class of channels that does."""
    bound: Any = Bus()[Channel[[int], result]("numbers")]

    with pytest.raises(ListenerError, match="AsyncChannel"):
        bound.subscribe(listener)
    assert bound.subscriptions == ()


def test_a_sync_channel_of_awaitables_takes_an_async_listener() -> None:
    """Where the declaration promises awaitables, the publisher awaits them."""
    bound = Bus()[Channel[[int], Awaitable[int]]("later")]
    bound.subscribe(Part().method)

    (result,) = bound.publish(3)

    assert asyncio.run(_await(result)) == 3


async def _await(result: Awaitable[int]) -> int:
    return await result


@pytest.mark.parametrize(
    "listener",
    [Part, partial(Part), abs, [].append],
    ids=["class", "partial of a class", "built-in", "method of a built-in"],
)
def test_a_callable_that_is_not_async_is_a_listener_of_a_sync_channel(listener: Any) -> None:
    """Classes are called to make an instance, even if the instances are async."""
    bound: Any = Bus()[Channel[[], object]("numbers")]

    assert bound.subscribe(listener).listener is listener


def test_a_declared_result_that_cannot_be_evaluated_is_not_an_awaitable() -> None:
    """The listener is refused as for any other result."""

    @Channel.declare
    def numbered(number: int, /) -> Missing:  # type: ignore[name-defined]  # noqa: F821
        raise NotImplementedError

    bound: Any = Bus()[numbered]

    with pytest.raises(ListenerError, match="AsyncChannel"):
        bound.subscribe(Part().method)
