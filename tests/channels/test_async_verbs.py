"""`first`, `fold` and `attempt` on async channels, on each of their paths."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import weakref
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from typedbus import (
    Answer,
    AsyncBoundChannel,
    AsyncChannel,
    AsyncPublishes,
    Bus,
    ChannelFailures,
    Failure,
    ListenerCancelled,
)
from typedbus._channels.codegen import HEAT, UNROLLED

HOT: Final = HEAT + 1
UNTYPED: Final = -1
"""In place of a number of calls: a channel whose signature only checkers know."""

Step = Callable[[str, int], "Awaitable[str | None] | str | None"]


async def bound_with(
    calls: int, *listeners: Step, concurrent: bool = False
) -> AsyncBoundChannel[[str, int], str | None]:
    """Return a bound channel with *listeners*, on which each verb was called so often."""
    untyped: AsyncChannel[[str, int], str | None] = AsyncChannel("page_read", concurrent=concurrent)
    typed = AsyncChannel[[str, int], str | None]("page_read", concurrent=concurrent)
    bound = Bus()[untyped if calls == UNTYPED else typed]
    for listener in listeners:
        bound.subscribe(listener)
    for _ in range(HOT if calls == UNTYPED else calls):
        await bound.attempt("", 0)
        await bound.first("", 0)
        await bound.fold("", 0)
    return bound


def adding(letter: str) -> Step:
    """Return an async listener that adds *letter*, or does nothing for an empty text."""

    async def add(text: str, _number: int, /) -> str | None:
        await asyncio.sleep(0)
        return text + letter if text else None

    return add


def adding_now(letter: str) -> Step:
    """Return a plain listener that adds *letter*, or does nothing for an empty text."""
    return lambda text, _number, /: text + letter if text else None


async def silent(_text: str, _number: int, /) -> None:
    """Return no answer."""


async def refusing(text: str, number: int, /) -> str | None:
    """Raise unless the text is empty."""
    if text:
        raise ValueError(text, number)
    return None


async def cancelled(text: str, _number: int, /) -> str | None:
    """End with a `CancelledError` that the publisher has not caused, unless the text is empty."""
    if text:
        raise asyncio.CancelledError
    return None


async def leaving(text: str, _number: int, /) -> str | None:
    """Exhaust the stack, unless the text is empty."""
    if text:
        raise RecursionError
    return None


on_every_path = pytest.mark.parametrize("calls", [0, HOT, UNTYPED], ids=["loop", "unrolled", "untyped"])
with_every_verb = pytest.mark.parametrize("verb", ["first", "fold", "attempt"])
of_every_kind = pytest.mark.parametrize("add", [adding, adding_now])
on_every_channel = pytest.mark.parametrize("concurrent", [False, True], ids=["sequential", "concurrent"])


@on_every_path
@of_every_kind
@on_every_channel
def test_the_first_result_that_is_not_none_is_the_answer(
    calls: int, add: Callable[[str], Step], concurrent: bool
) -> None:
    """Later listeners are not called; without an answer the result is None."""
    called: list[str] = []

    async def late(text: str, _number: int, /) -> str | None:
        called.append(text)
        return None

    async def main() -> None:
        bound = await bound_with(calls, silent, add("a"), late, concurrent=concurrent)
        called.clear()
        assert await bound.first("x", 1) == "xa"
        assert await (await bound_with(calls, silent, concurrent=concurrent)).first("x", 1) is None

    asyncio.run(main())
    assert called == []


@on_every_path
@of_every_kind
@on_every_channel
@pytest.mark.parametrize("count", [0, 1, 3, 40, UNROLLED + 1])
def test_fold_passes_the_value_through_all_listeners(
    calls: int, add: Callable[[str], Step], concurrent: bool, count: int
) -> None:
    """Each receives the result of the previous one; None leaves the value."""
    letters = [chr(ord("a") + number % 26) for number in range(count)]

    async def main() -> None:
        bound = await bound_with(calls, silent, *map(add, letters), silent, concurrent=concurrent)
        assert await bound.fold("x", 1) == "x" + "".join(letters)

    asyncio.run(main())


@on_every_path
@of_every_kind
@on_every_channel
@pytest.mark.parametrize("refuses", [refusing, cancelled])
def test_failures_of_first_and_fold_are_raised_after_the_last_call(
    calls: int, add: Callable[[str], Step], concurrent: bool, refuses: Step
) -> None:
    """With the results of the others; a listener that ends with `CancelledError` on its own has failed."""

    async def main() -> None:
        bound = await bound_with(calls, silent, refuses, add("a"), add("b"), concurrent=concurrent)
        with pytest.raises(ChannelFailures) as first:
            await bound.first("x", 1)
        with pytest.raises(ChannelFailures) as fold:
            await bound.fold("x", 1)
        assert (first.value.results, fold.value.results) == ((None, "xa"), (None, "xa", "xab"))
        for caught in (first, fold):
            (failure,) = caught.value.failures
            assert failure.listener is refuses
            assert type(failure.error) is (ValueError if refuses is refusing else ListenerCancelled)
            assert caught.value.__context__ is None

    asyncio.run(main())


@on_every_path
@of_every_kind
@on_every_channel
def test_attempt_returns_failures_in_their_places(calls: int, add: Callable[[str], Step], concurrent: bool) -> None:
    """Every listener is called, and no exception is raised."""

    async def main() -> None:
        listeners = [refusing, add("a"), cancelled, silent]
        bound = await bound_with(calls, *listeners, concurrent=concurrent)
        attempt = await bound.attempt("x", 1)
        assert [type(answer) for answer in attempt] == [Failure, Answer, Failure, Answer]
        assert [answer.listener for answer in attempt] == listeners
        assert attempt.results == ("xa", None)
        assert [type(failure.error) for failure in attempt.failures] == [ValueError, ListenerCancelled]
        bound.unsubscribe(refusing)
        bound.unsubscribe(cancelled)
        assert (await bound.attempt("x", 1)).failures == ()

    asyncio.run(main())


@on_every_path
@with_every_verb
@on_every_channel
def test_cancelling_the_publisher_cancels_the_listener(calls: int, verb: str, concurrent: bool) -> None:
    """No later listener is called, and the failures before it are the cause."""
    called: list[str] = []

    async def main() -> None:
        reached = asyncio.Event()

        async def waiting(text: str, _number: int, /) -> None:
            if text:
                reached.set()
                await asyncio.Event().wait()

        async def late(text: str, _number: int, /) -> None:
            called.append(text)

        bound = await bound_with(calls, refusing, waiting, concurrent=concurrent)
        bound.subscribe(late, priority=60)
        called.clear()
        task = asyncio.ensure_future(getattr(bound, verb)("x", 1))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert isinstance(caught.value.__cause__, ChannelFailures)
        assert caught.value.__cause__.find(ValueError)

    asyncio.run(main())
    assert called == []


@on_every_path
@with_every_verb
@on_every_channel
def test_a_recursion_error_propagates_at_once(calls: int, verb: str, concurrent: bool) -> None:
    """The failures before it are its cause."""

    async def main() -> None:
        bound = await bound_with(calls, refusing, leaving, concurrent=concurrent)
        with pytest.raises(RecursionError) as caught:
            await getattr(bound, verb)("x", 1)
        assert isinstance(caught.value.__cause__, ChannelFailures)

    asyncio.run(main())


@pytest.mark.parametrize("calls", [0, 1, HOT], ids=["first call", "loop", "unrolled"])
@with_every_verb
def test_the_listeners_are_those_at_the_time_of_the_call(calls: int, verb: str) -> None:
    """As for a publish, and not those at the time of the await."""
    called: list[str] = []

    async def recording(text: str, _number: int, /) -> None:
        called.append(f"early {text}")

    async def late(text: str, _number: int, /) -> None:
        called.append(f"late {text}")

    async def main() -> None:
        bound = await bound_with(calls, recording)
        called.clear()
        coroutine = getattr(bound, verb)("x", 1)
        bound.subscribe(late)
        await coroutine

    asyncio.run(main())
    assert called == ["early x"]


@pytest.mark.parametrize("calls", [0, HOT], ids=["before the first call", "later"])
@with_every_verb
@on_every_channel
def test_a_verb_is_a_coroutine_function(calls: int, verb: str, concurrent: bool) -> None:
    """For `inspect`, on Python 3.11 for asyncio."""

    async def main() -> None:
        method = getattr(await bound_with(calls, silent, concurrent=concurrent), verb)
        assert inspect.iscoroutinefunction(method) or asyncio.iscoroutinefunction(method)

    asyncio.run(main())


@pytest.mark.parametrize("calls", [0, HOT], ids=["loop", "unrolled"])
def test_verbs_pass_every_kind_of_argument(calls: int) -> None:
    """Arguments that are left out take the defaults of the declaration."""
    received: list[object] = []

    @AsyncChannel.declare
    async def page_read(text: str, /, number: int = 7, *rest: int, strict: bool = False, **options: int) -> str | None:
        return None

    async def listen(text: str, /, number: int = 0, *rest: int, strict: bool = True, **options: int) -> str | None:
        received.append((text, number, rest, strict, options))
        return text.upper() if strict else None

    async def main() -> None:
        bound = Bus()[page_read]
        bound.subscribe(listen)
        bound.subscribe(lambda text, *_, **__: f"{text}!")
        for _ in range(calls):
            await bound.first("")
            await bound.fold("")
            await bound.attempt("")
        received.clear()
        assert await bound.first("x") == "x!"
        assert await bound.fold("x", 1, 2, strict=True, extra=4) == "X!"
        assert (await bound.attempt("x", number=3)).results == (None, "x!")

    asyncio.run(main())
    assert received == [
        ("x", 7, (), False, {}),
        ("x", 1, (2,), True, {"extra": 4}),
        ("x", 3, (), False, {}),
    ]


@with_every_verb
def test_listeners_run_in_the_context_of_the_publisher(verb: str) -> None:
    """A context variable that a listener sets is set for the publisher."""
    mark = contextvars.ContextVar[str]("mark")

    async def listen(text: str, _number: int, /) -> None:
        mark.set(text)

    async def main() -> None:
        await getattr(await bound_with(0, listen), verb)("x", 1)
        assert mark.get() == "x"

    asyncio.run(main())


@on_every_channel
def test_an_attempt_on_a_concurrent_channel_runs_its_listeners_concurrently(concurrent: bool) -> None:
    """Each of two listeners waits until the other one runs; on another channel the first waits for nothing."""

    async def main() -> None:
        barrier = asyncio.Barrier(2)

        async def meet(text: str, _number: int, /) -> str:
            if concurrent:
                await barrier.wait()
            return text

        async def meet_too(text: str, number: int, /) -> str:
            return await meet(text, number)

        bound = await bound_with(0, meet, meet_too, concurrent=concurrent)
        assert (await bound.attempt("x", 1)).results == ("x", "x")

    asyncio.run(main())


@with_every_verb
@pytest.mark.parametrize("calls", [0, HOT], ids=["loop", "unrolled"])
@on_every_channel
def test_a_failure_in_a_verb_leaves_no_cycle(verb: str, calls: int, concurrent: bool) -> None:
    """The exception is freed with its last reference, without the garbage collector."""

    class Refused(Exception):
        pass

    async def refuse(text: str, _number: int, /) -> str | None:
        if text:
            raise Refused
        return None

    async def main() -> None:
        bound = await bound_with(calls, refuse, adding("a"), concurrent=concurrent)
        gc.collect()
        gc.disable()
        try:
            try:
                failures = (await getattr(bound, verb)("x", 1)).failures
            except ChannelFailures as caught:
                failures = caught.failures
            error = weakref.ref(failures[0].error)
            del failures
            await asyncio.sleep(0)
            assert error() is None
        finally:
            gc.enable()

    asyncio.run(main())


def test_an_injected_publisher_has_the_verbs() -> None:
    """It is given the bound channel itself."""

    async def main() -> None:
        bound: AsyncPublishes[Callable[[str, int], Awaitable[str | None]]] = await bound_with(
            0, adding("a"), adding("b")
        )
        assert await bound.first("x", 1) == "xa"
        assert await bound.fold("x", 1) == "xab"
        assert (await bound.attempt("x", 1)).results == ("xa", "xb")

    asyncio.run(main())


def test_a_verb_runs_on_the_loop_of_the_bus_for_another_thread() -> None:
    """As docs/explanation/async.md shows."""
    bus = Bus()
    bound = bus[AsyncChannel[[str, int], str | None]("page_read")]
    bound.subscribe(adding("a"))

    assert bus.run_on_loop(bound.fold("x", 1)).result() == "xa"
    bus.exit()
