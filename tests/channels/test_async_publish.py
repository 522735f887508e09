"""An awaited publish keeps the promises of the sync one, on each of its paths."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import sys
import types
import warnings
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final

import attrs
import pytest

from typedbus import (
    AsyncBoundChannel,
    AsyncChannel,
    Bus,
    ChannelFailures,
    ListenerCancelled,
)
from typedbus._channels.codegen import HEAT, UNROLLED
from typedbus.events import LISTENER_FAILED, ListenerFailed

HOT: Final = HEAT + 1
PLAIN: Final = -1
"""In place of a number of publishes: a channel whose signature only checkers know."""

Listener = Callable[[int], Awaitable[int] | int]


@attrs.frozen
class Path:
    """
    A bound channel on one of the paths of a publish.

    Attributes:
        count: The number of listeners.
        publishes: How many publishes there were before, or `PLAIN`.
        concurrent: Whether the channel is concurrent.
        is_async: Whether all listeners are async functions; otherwise every second one is a plain function.
    """

    count: int
    publishes: int
    concurrent: bool = False
    is_async: bool = False


def bound_on(path: Path) -> tuple[AsyncBoundChannel[[int], int], list[int]]:
    """Return a bound channel on *path*, whose listeners record their numbers."""
    calls: list[int] = []
    publishes = path.publishes

    def suspending(number: int) -> Listener:
        async def listen(sent: int, /) -> int:
            await asyncio.sleep(0)
            return act(number, sent)

        return listen

    def immediate(number: int) -> Listener:
        async def listen(sent: int, /) -> int:
            return act(number, sent)

        return listen

    def plain(number: int) -> Listener:
        return lambda sent: act(number, sent)

    def wrapped(number: int) -> Listener:
        inner = suspending(number)
        return lambda sent: inner(sent)

    def act(number: int, sent: int) -> int:
        calls.append(number)
        if sent == number:
            raise ValueError(sent)
        if sent == -number:
            raise SystemExit
        if sent == 1000 + number:
            raise asyncio.CancelledError
        return number

    untyped: AsyncChannel[[int], int] = AsyncChannel("numbers", concurrent=path.concurrent)
    typed = AsyncChannel[[int], int]("numbers", concurrent=path.concurrent)
    bound = Bus()[untyped if publishes == PLAIN else typed]
    kinds = (immediate, suspending) if path.is_async else (suspending, plain, immediate, wrapped)
    for number in range(1, path.count + 1):
        bound.subscribe(kinds[number % len(kinds)](number))

    async def warm() -> None:
        for _ in range(publishes):
            await bound.publish(0)

    asyncio.run(warm())
    calls.clear()
    return bound, calls


every_path = pytest.mark.parametrize(
    "path",
    [
        pytest.param(Path(1, 0), id="one"),
        pytest.param(Path(1, HOT), id="one, hot"),
        pytest.param(Path(1, HOT, is_async=True), id="one, hot, async"),
        pytest.param(Path(5, 0), id="loop"),
        pytest.param(Path(5, HOT), id="unrolled"),
        pytest.param(Path(5, HOT, is_async=True), id="unrolled, async"),
        pytest.param(Path(40, HOT), id="many"),
        pytest.param(Path(40, HOT, is_async=True), id="many, async"),
        pytest.param(Path(UNROLLED + 1, HOT), id="too many"),
        pytest.param(Path(5, PLAIN), id="plain"),
        pytest.param(Path(5, 0, concurrent=True), id="concurrent"),
        pytest.param(Path(5, 0, concurrent=True, is_async=True), id="concurrent, async"),
        pytest.param(Path(5, PLAIN, concurrent=True), id="concurrent, plain"),
    ],
)


@every_path
def test_the_results_are_in_running_order(path: Path) -> None:
    """A publish returns the result of each listener, whatever kind of function it is."""
    bound, _ = bound_on(path)

    assert asyncio.run(bound.publish(0)) == list(range(1, path.count + 1))


@every_path
def test_after_a_failure_the_other_listeners_run(path: Path) -> None:
    """Every listener is called once; the failure has its listener, and the results of the others."""
    for failing in {1, (path.count + 1) // 2, path.count}:
        bound, calls = bound_on(path)

        with pytest.raises(ChannelFailures) as caught:
            asyncio.run(bound.publish(failing))

        numbers = list(range(1, path.count + 1))
        assert sorted(calls) == numbers
        assert list(caught.value.results) == [number for number in numbers if number != failing]
        (failure,) = caught.value.failures
        assert failure.listener is bound.subscriptions[failing - 1].listener
        assert failure.error.args == (failing,)
        assert caught.value.__context__ is None


@every_path
def test_system_exit_propagates_at_once(path: Path) -> None:
    """No listener begins after it, and the status is unchanged."""
    bound, calls = bound_on(path)
    middle = (path.count + 1) // 2

    async def publish() -> BaseException | None:
        try:
            await bound.publish(-middle)
        except SystemExit as leaving:
            return leaving
        return None

    # Through a task that has suspended, SystemExit ends the loop as well.
    if path.concurrent:
        with pytest.raises(SystemExit) as caught:
            asyncio.run(publish())
        leaving: BaseException | None = caught.value
    else:
        leaving = asyncio.run(publish())
        assert calls == list(range(1, middle + 1))
    assert isinstance(leaving, SystemExit)
    assert leaving.code is None
    assert leaving.__cause__ is None


class Local:
    """A local of a listener."""


@every_path
@pytest.mark.parametrize("suspends", [False, True], ids=["at once", "later"])
def test_a_failure_is_freed_without_the_garbage_collector(path: Path, suspends: bool) -> None:
    """A caught failure leaves no cycle: the locals of the listener are freed at once."""
    bound, _ = bound_on(path)
    local: list[weakref.ref[Local]] = []

    @bound.subscribe
    async def fail(sent: int, /) -> int:
        value = Local()
        local.append(weakref.ref(value))
        if suspends:
            await asyncio.sleep(0)
        raise ValueError(sent)

    async def publish() -> None:
        try:
            await bound.publish(0)
        except ChannelFailures:
            pass

    async def main() -> list[Local | None]:
        for _ in range(max(path.publishes, 0) + 1):
            await publish()
        return [value() for value in local]

    gc.disable()
    try:
        assert set(asyncio.run(main())) == {None}
    finally:
        gc.enable()


@every_path
def test_the_cancelled_error_of_a_listener_is_its_failure(path: Path) -> None:
    """While the publisher is not cancelled, it counts as any other exception."""
    for failing in {1, (path.count + 1) // 2, path.count}:
        bound, calls = bound_on(path)

        with pytest.raises(ChannelFailures) as caught:
            asyncio.run(bound.publish(1000 + failing))

        (failure,) = caught.value.failures
        assert isinstance(failure.error, ListenerCancelled)
        assert isinstance(failure.error.__cause__, asyncio.CancelledError)
        assert failure.listener is bound.subscriptions[failing - 1].listener
        assert len(calls) == path.count


@pytest.mark.parametrize("publishes", [0, HOT, PLAIN], ids=["loop", "unrolled", "plain"])
@pytest.mark.parametrize("position", range(4))
def test_cancelling_the_publisher_ends_the_publish_at_that_listener(position: int, publishes: int) -> None:
    """The running listener is cancelled, no other one is called, and an earlier failure is the cause."""
    bound = Bus()[AsyncChannel[[int], None]("numbers") if publishes != PLAIN else untyped()]
    calls: list[str] = []
    reached = asyncio.Event()

    def listener(number: int) -> Callable[[int], Awaitable[None]]:
        async def listen(blocking: int) -> None:
            calls.append(f"begin {number}")
            if blocking == number:
                reached.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    calls.append(f"cancel {number}")
            if number == 0 and blocking >= 0:
                raise ValueError(number)

        return listen

    for number in range(4):
        bound.subscribe(listener(number))

    async def main() -> BaseException | None:
        for _ in range(publishes):
            await bound.publish(-1)
        calls.clear()
        task = asyncio.create_task(bound.publish(position))
        await reached.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            return error
        return None

    error = asyncio.run(main())

    assert isinstance(error, asyncio.CancelledError)
    assert calls == [*[f"begin {number}" for number in range(position + 1)], f"cancel {position}"]
    cause = error.__cause__
    if position:
        assert isinstance(cause, ChannelFailures)
        assert [type(one) for one in cause.exceptions] == [ValueError]
    else:
        assert cause is None


def untyped() -> AsyncChannel[[int], None]:
    channel: AsyncChannel[[int], None] = AsyncChannel("numbers")
    return channel


@pytest.mark.parametrize("concurrent", [False, True], ids=["sequential", "concurrent"])
def test_a_timeout_around_a_publish_ends_it(concurrent: bool) -> None:
    """The publisher gets its TimeoutError, and its task is not left cancelled."""
    bound = Bus()[AsyncChannel[[], None]("hangs", concurrent=concurrent)]

    @bound.subscribe
    async def hang() -> None:
        await asyncio.Event().wait()

    async def main() -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await bound.publish()
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(main()) == 0


@pytest.mark.parametrize("concurrent", [False, True], ids=["sequential", "concurrent"])
def test_a_timeout_inside_a_listener_is_that_listeners(concurrent: bool) -> None:
    """It cancels the listener and not the publisher, even where it begins before the first suspension."""
    bound = Bus()[AsyncChannel[[], str]("slow", concurrent=concurrent)]

    @bound.subscribe
    async def slow() -> str:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
        return "never"

    @bound.subscribe
    async def quick() -> str:
        return "quick"

    async def main() -> None:
        with pytest.raises(ChannelFailures) as caught:
            await bound.publish()
        assert caught.value.results == ("quick",)
        assert [type(one) for one in caught.value.exceptions] == [TimeoutError]

    asyncio.run(main())


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def assign() -> str:
    """Return the variable, and set it."""
    before = variable.get()
    variable.set("set")
    return before


async def assign_later() -> str:
    return assign()


def assign_and_return_awaitable() -> Awaitable[str]:
    before = assign()

    async def read() -> str:
        assert variable.get() == "set"
        return before

    return read()


@pytest.mark.parametrize("listener", [assign, assign_later, assign_and_return_awaitable])
@pytest.mark.parametrize(("concurrent", "seen"), [(False, "set"), (True, "unset")], ids=["sequential", "concurrent"])
def test_a_listener_runs_in_the_context_of_the_publisher_or_in_a_copy(
    listener: Callable[[], str | Awaitable[str]], concurrent: bool, seen: str
) -> None:
    """One after the other they share the publisher's context; concurrent listeners have a copy each."""
    bound = Bus()[AsyncChannel[[], str]("context", concurrent=concurrent)]
    bound.subscribe(listener)
    bound.subscribe(lambda: variable.get())

    async def main() -> tuple[list[str], str]:
        return await bound.publish(), variable.get()

    assert asyncio.run(main()) == (["unset", seen], seen)


@every_path
def test_a_publish_that_is_not_awaited_calls_no_listener_and_warns(path: Path) -> None:
    """It is a coroutine, as of any async function."""
    bound, calls = bound_on(path)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bound.publish(0)  # type: ignore[unused-coroutine]
        gc.collect()

    assert calls == []
    assert any("never awaited" in str(one.message) for one in caught)


@pytest.mark.parametrize("path", [Path(2, 0), Path(2, HOT), Path(2, HOT, is_async=True)], ids=["cold", "hot", "async"])
def test_a_suspended_publish_leads_to_its_listener(path: Path) -> None:
    """The chain of awaits from its coroutine ends where the listener waits."""
    bound, _ = bound_on(path)
    event = asyncio.Event()
    awaits: list[str] = []

    @bound.subscribe
    async def listen(sent: int, /) -> int:
        await event.wait()
        return sent

    async def main() -> None:
        event.set()
        for _ in range(path.publishes):
            await bound.publish(0)
        event.clear()
        publish: Any = bound.publish(0)
        task = asyncio.create_task(publish)
        while not (awaits and awaits[-1] == "wait"):
            await asyncio.sleep(0)
            awaited, awaits[:] = publish, []
            while inspect.iscoroutine(awaited):
                awaits.append(awaited.__name__)
                awaited = awaited.cr_await
        event.set()
        await task

    asyncio.run(main())

    assert awaits == ["publish", "listen", "wait"]


def events_of(code: types.CodeType, publish: Callable[[], Coroutine[Any, Any, object]]) -> list[tuple[str, str]]:
    """Return the events of *publish* that a debugger receives for *code*, with the type of their argument."""
    events: list[tuple[str, str]] = []

    def trace(frame: types.FrameType, event: str, argument: object) -> Any:
        if frame.f_code is not code:
            return None
        if event != "line":
            events.append((event, type(argument).__name__))
        return trace

    async def main() -> None:
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            await publish()
        finally:
            sys.settrace(before)

    asyncio.run(main())
    return events


def test_a_debugger_receives_the_events_of_an_async_function() -> None:
    """An unrolled publish awaits with `yield from`, which is not allowed in an async function."""
    bound, _ = bound_on(Path(2, HOT, is_async=True))
    first, second = (subscription.listener for subscription in bound.subscriptions)

    async def publish() -> list[int]:
        return [await first(0), await second(0)]

    coroutine: Any = bound.publish(0)
    coroutine.close()
    events = events_of(coroutine.cr_code, lambda: bound.publish(0))

    assert inspect.iscoroutine(coroutine)
    assert events == events_of(publish.__code__, publish)
    assert len(events) > 2


class Later:
    """An awaitable that is not a coroutine."""

    def __await__(self) -> Generator[Any, Any, int]:
        yield from asyncio.sleep(0).__await__()
        return 7


def later(sent: int, /) -> Later:
    """Is a plain function."""
    return Later()


class Marked:
    """Is async for `inspect.iscoroutinefunction`, as the functions of some compilers are."""

    def __init__(self) -> None:
        self._is_coroutine_marker = self

    def __call__(self, sent: int, /) -> Later:
        return later(sent)


class Part:
    """Has an async method."""

    async def method(self, added: int, sent: int, /) -> int:
        return added + sent


@pytest.mark.parametrize("publishes", [0, HOT], ids=["loop", "unrolled"])
@pytest.mark.parametrize(
    "listener",
    [Marked(), later, functools.partial(Part().method, 5), functools.partial(Part.method, Part(), 5)],
    ids=["marked", "plain", "method", "function"],
)
def test_any_awaitable_is_awaited(listener: Any, publishes: int) -> None:
    """Whatever the callable is, the publish has the result of its awaitable."""
    bound = Bus()[AsyncChannel[[int], int]("numbers")]
    bound.subscribe(listener)

    async def main() -> list[int]:
        for _ in range(publishes):
            await bound.publish(2)
        return await bound.publish(2)

    assert asyncio.run(main()) == [7]


def test_the_listeners_are_those_at_the_call() -> None:
    """A listener that is subscribed between the call and the await is not called."""
    for publishes in (0, HOT):
        bound, _ = bound_on(Path(2, publishes))

        async def main(bound: AsyncBoundChannel[[int], int] = bound) -> list[int]:
            publish = bound.publish(0)
            bound.subscribe(lambda sent: 99)
            return await publish

        assert asyncio.run(main()) == [1, 2]


def test_a_failure_is_reported_on_listener_failed() -> None:
    """As that of a sync publish is."""
    bus = Bus()
    channel = AsyncChannel[[], None]("fails")
    events: list[ListenerFailed] = []
    bus[LISTENER_FAILED].subscribe(events.append)

    @bus[channel].subscribe
    async def fail() -> None:
        raise ValueError

    with pytest.raises(ChannelFailures):
        asyncio.run(bus[channel].publish())

    assert [(event.channel, type(event.error)) for event in events] == [("fails", ValueError)]


def test_failures_of_a_task_group_are_handled_by_except_star() -> None:
    """The group of a listener nests in that of the publish."""
    bound = Bus()[AsyncChannel[[], None]("groups")]

    async def fail() -> None:
        raise ValueError

    @bound.subscribe
    async def listen() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    async def main() -> int:
        count = 0
        try:
            await bound.publish()
        except* ValueError as caught:
            assert isinstance(caught, ChannelFailures)
            count = len(caught.failures)
        return count

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize("publishes", [0, HOT], ids=["loop", "unrolled"])
def test_endless_recursion_ends_at_once(publishes: int) -> None:
    """RecursionError is not collected: two listeners that publish again would call themselves 2 ** depth times."""
    bound = Bus()[AsyncChannel[[bool], None]("again")]
    calls = 0

    for _ in range(2):

        @bound.subscribe
        async def again(on: bool, /) -> None:
            nonlocal calls
            calls += 1
            if on:
                await bound.publish(on)

    async def main() -> None:
        for _ in range(publishes):
            await bound.publish(False)
        await bound.publish(True)

    with pytest.raises(RecursionError):
        asyncio.run(main())
    assert calls < 5_000


def test_a_declared_channel_has_names_and_defaults() -> None:
    """Its publish has the parameters of the declaration, and is a coroutine function for `inspect`."""

    @AsyncChannel.declare
    async def stock_low(sku: str, /, *, left: int = 3) -> str:
        """Few are left."""
        raise NotImplementedError

    @AsyncChannel.declare(concurrent=True)
    def counted(*skus: str, **numbers: int) -> str:
        """Some were counted."""
        raise NotImplementedError

    bus = Bus()
    bus[stock_low].subscribe(lambda sku, *, left=3: f"{sku} {left}")
    bus[counted].subscribe(lambda *skus, **numbers: f"{skus} {numbers}")

    async def main() -> list[str]:
        return [*await bus.publish(stock_low, "tea"), *await bus[counted].publish("a", "b", c=1)]

    assert asyncio.run(main()) == ["tea 3", "('a', 'b') {'c': 1}"]
    signature = inspect.signature(bus[stock_low].publish, eval_str=True)
    assert str(signature) == "(sku: str, /, *, left: int = 3) -> list[str]"
    with pytest.raises(TypeError, match="stock_low"):
        bus[stock_low].publish()  # type: ignore[call-arg, unused-coroutine]
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(bus[stock_low].publish)
    else:
        assert asyncio.iscoroutinefunction(bus[stock_low].publish)
