"""Observations count each publish once, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import itertools
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import pytest
from tests.doubles import ThreadCall

from typedbus import (
    EXIT,
    GRACEFUL,
    LOG,
    MAIN,
    RUN,
    START,
    STOP,
    AsyncChannel,
    Bus,
    Channel,
    ChannelFailures,
    Component,
    Container,
    on,
    running,
)
from typedbus._channels.codegen import HEAT, UNROLLED
from typedbus._channels.observing.digests import Digests
from typedbus.events import LIFECYCLE, MOVED
from typedbus.observe import ChannelStats, Level, ObserveError

HOT: Final = HEAT + 1

numbered = Channel[[int], int | None]("numbered")
untyped: Channel[[int], int | None] = Channel("untyped")
awaited = AsyncChannel[[int], int | None]("awaited")
awaited_untyped: AsyncChannel[[int], int | None] = AsyncChannel("awaited_untyped")
together = AsyncChannel[[int], int | None]("together", concurrent=True)


@Channel.declare
def everything(a: int, /, b: int = 3, *rest: int, c: int = 5, **others: int) -> int | None:
    """A channel with every kind of parameter."""


@AsyncChannel.declare
async def everything_awaited(a: int, /, b: int = 3, *rest: int, c: int = 5, **others: int) -> int | None:
    """An async channel with every kind of parameter."""


CHANNELS: Final = (numbered, untyped, everything, awaited, awaited_untyped, everything_awaited, together)
LEVELS: Final[tuple[Level, ...]] = ("count", "time", "each")

on_each_channel = pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
at_each_level = pytest.mark.parametrize("level", LEVELS)


def call(function: Callable[..., Any], *args: Any) -> Any:
    """Call *function*, and await the result if it is a coroutine."""
    result = function(*args)
    if not inspect.iscoroutine(result):
        return result

    async def end() -> Any:
        return await result

    return asyncio.run(end())


def echo(number: int, *_: int, **__: int) -> int:
    return number


def double(number: int, *_: int, **__: int) -> int:
    return 2 * number


def triple(number: int, *_: int, **__: int) -> int:
    return 3 * number


async def later(number: int, *_: int, **__: int) -> int:
    await asyncio.sleep(0)
    return number


async def later_too(number: int, *_: int, **__: int) -> int:
    return number


#: The listeners of plain channels in place of async ones.
PLAIN: Final[dict[Callable[..., object], Callable[..., object]]] = {later: double, later_too: triple}


def fail_on_odd(number: int, *_: int, **__: int) -> None:
    if number % 2:
        raise ValueError(number)


def exit_on_three(number: int, *_: int, **__: int) -> None:
    if number == 3:
        raise SystemExit


def name_of(listener: Callable[..., object]) -> str:
    return f"{listener.__module__}.{listener.__qualname__}"


def only(stats: ChannelStats) -> tuple[int, dict[str, tuple[int, dict[str, int]]]]:
    """Return the publishes, and the calls and failures of each listener."""
    return stats.publishes, {name: (one.calls, dict(one.failures)) for name, one in stats.listeners.items()}


@on_each_channel
@at_each_level
@pytest.mark.parametrize("listeners", [(), (echo,), (later,), (later, later_too), (echo, later, fail_on_odd)], ids=len)
@pytest.mark.parametrize("publishes", [1, 2 * HEAT])
def test_each_publish_and_each_call_counts(
    channel: Any, level: Level, listeners: tuple[Callable[..., object], ...], publishes: int
) -> None:
    """Publishes count before and after the publish is unrolled, with plain and with async listeners."""
    bus = Bus()
    called = listeners if channel.is_async else [PLAIN.get(one, one) for one in listeners]
    for listener in called:
        bus[channel].subscribe(listener)
    observation = bus.observe(channel, level=level)

    for _ in range(publishes):
        call(bus[channel].publish, 2)

    stats = observation.stats()[channel]
    assert only(stats) == (publishes, {name_of(listener): (publishes, {}) for listener in called})
    assert stats.failures == 0
    assert (stats.durations is None) == (level == "count")
    assert stats.durations is None or stats.durations.count == publishes
    for one in stats.listeners.values():
        assert (one.durations is None) == (level != "each")
        assert one.durations is None or one.durations.count == publishes


@on_each_channel
@at_each_level
@pytest.mark.parametrize("publishes", [1, 2 * HEAT])
def test_failures_count_by_listener_and_error(channel: Any, level: Level, publishes: int) -> None:
    """Calls of the listeners after the failed one count; after an exit these listeners are not called."""
    bus = Bus()
    for priority, listener in enumerate((echo, fail_on_odd, exit_on_three, double)):
        bus[channel].subscribe(listener, priority=priority)
    observation = bus.observe([channel], level=level)

    for number in [2] * publishes + [1, 1, 3]:
        try:
            call(bus[channel].publish, number)
        except (ChannelFailures, SystemExit):
            pass

    stats = observation.stats()[channel]
    assert only(stats) == (
        publishes + 3,
        {
            name_of(echo): (publishes + 3, {}),
            name_of(fail_on_odd): (publishes + 3, {"ValueError": 3}),
            name_of(exit_on_three): (publishes + 3, {"SystemExit": 1}),
            name_of(double): (publishes + 2, {}),
        },
    )
    assert stats.failures == 4
    if level == "each":
        counts = [one.durations.count for one in stats.listeners.values() if one.durations is not None]
        assert counts == [publishes + 3] * 3 + [publishes + 2]


@on_each_channel
@at_each_level
def test_the_other_verbs_count_as_publishes(channel: Any, level: Level) -> None:
    """`first` calls no listener after the first answer, and so counts fewer calls."""
    bus = Bus()
    for priority, listener in enumerate((echo, double)):
        bus[channel].subscribe(listener, priority=priority)

    with bus.observe(channel, level=level) as observation:
        for _ in range(2 * HEAT):
            assert call(bus[channel].first, 2) == 2
            assert call(bus[channel].fold, 2) == 4
            assert call(bus[channel].attempt, 2).results == (2, 4)

    assert only(observation.stats()[channel]) == (
        6 * HEAT,
        {name_of(echo): (6 * HEAT, {}), name_of(double): (4 * HEAT, {})},
    )


@at_each_level
@pytest.mark.parametrize("channel", [numbered, untyped, everything], ids=lambda channel: channel.name)
def test_no_count_is_lost_in_threads(channel: Any, level: Level) -> None:
    """Threads publish, end and are replaced, while listeners are subscribed and cancelled and figures are read."""
    bus = Bus()
    bus[channel].subscribe(echo)
    publish = bus[channel].publish
    observation = bus.observe(channel, level=level)
    called = [0, 0, 0, 0]
    over = threading.Event()
    # Each is released for every tenth publish: a thread without pauses would take the lock from the publishing threads.
    may_change, may_read = threading.Semaphore(0), threading.Semaphore(0)

    def publish_often(number: int) -> None:
        for _ in range(10):

            def publish_some() -> None:
                for _ in range(20):
                    for _ in range(10):
                        publish(2)
                    may_change.release()
                    may_read.release()

            ThreadCall(publish_some).finished()
            called[number] += 200

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [ThreadCall(functools.partial(publish_often, number)) for number in range(4)]

        def change() -> int:
            changes = 0
            while may_change.acquire() and not over.is_set():
                bus[channel].subscribe(double).cancel()
                changes += 1
            return changes

        publishes: list[int] = []
        calls: list[int] = []
        digests, at_once = Digests(observation), list[int]()
        digest = digests.read()

        def read() -> None:
            while may_read.acquire() and not over.is_set():
                stats = observation.stats()[channel]
                publishes.append(stats.publishes)
                calls.append(stats.listeners[name_of(echo)].calls)
                digests.read()
                at_once.append(digest[0].publishes)

        changing, reading = ThreadCall(change), ThreadCall(read)
        for thread in threads:
            assert thread.finished().error is None
        over.set()
        may_change.release()
        may_read.release()
        changing.finished()
        reading.finished()
    finally:
        sys.setswitchinterval(interval)

    stats = observation.stats()[channel]
    assert stats.publishes == sum(called) == 8000
    assert stats.listeners[name_of(echo)].calls == 8000
    assert stats.durations is None or stats.durations.count == 8000
    assert changing.error is None
    assert changing.result
    assert reading.error is None
    assert publishes == sorted(publishes)
    assert calls == sorted(calls)
    assert at_once == sorted(at_once)
    digests.read()
    assert digest[0].publishes == 8000


@at_each_level
@pytest.mark.parametrize("warm_up", [0, HOT])
@pytest.mark.parametrize("channel", [awaited, together], ids=lambda channel: channel.name)
def test_cancellations_count(channel: Any, level: Level, warm_up: int) -> None:
    """A cancelled publisher ends the publish; a listener that alone is cancelled has failed."""
    bus = Bus()
    observation = bus.observe(channel, level=level)

    async def main() -> None:
        reached = asyncio.Event()

        async def wait(number: int) -> None:
            if number == 1:
                reached.set()
                await asyncio.Event().wait()
            if number == 3:
                raise asyncio.CancelledError

        wait.__qualname__ = "wait"
        bus[channel].subscribe(wait)
        bus[channel].subscribe(later_too, priority=60)
        for _ in range(warm_up):
            await bus[channel].publish(2)
        publish = asyncio.ensure_future(bus[channel].publish(1))
        await reached.wait()
        publish.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publish
        with pytest.raises(ChannelFailures):
            await bus[channel].publish(3)

    asyncio.run(main())

    errors = {"asyncio.exceptions.CancelledError": 1, "typedbus.ListenerCancelled": 1}
    assert only(observation.stats()[channel]) == (
        warm_up + 2,
        {f"{__name__}.wait": (warm_up + 2, errors), name_of(later_too): (warm_up + 1, {})},
    )


def test_a_listener_whose_task_is_cancelled_at_once_leaves_no_coroutine() -> None:
    """Its coroutine is not created before the task runs, so there is no warning that it was never awaited."""
    bus = Bus()
    bus[together].subscribe(later)
    bus[together].subscribe(exit_on_three)
    observation = bus.observe(together)

    with pytest.raises(SystemExit):
        call(bus[together].publish, 3)
    gc.collect()

    stats = observation.stats()[together]
    assert stats.listeners[name_of(exit_on_three)].calls == stats.publishes == 1
    # From Python 3.12 on a task runs up to its first suspension at once.
    assert stats.listeners[name_of(later)].calls == (sys.version_info >= (3, 12))


def test_a_publish_after_a_change_of_the_listeners_counts() -> None:
    """The first publish after the change counts as well."""
    bus = Bus()
    bus[numbered].subscribe(echo)
    observation = bus.observe(numbered)

    for _ in range(HOT):
        bus[numbered].publish(2)
    with bus[numbered].subscribe(double):
        bus[numbered].publish(2)
    bus[numbered].publish(2)

    assert only(observation.stats()[numbered]) == (HOT + 2, {name_of(echo): (HOT + 2, {}), name_of(double): (1, {})})


@at_each_level
def test_more_listeners_than_are_unrolled_count(level: Level) -> None:
    """Such a publish is never unrolled, and calls the listeners in a loop."""
    bus = Bus()
    for _ in range(UNROLLED + 1):
        bus[numbered].subscribe(lambda number: number)
    observation = bus.observe(numbered, level=level)

    for _ in range(HOT):
        bus[numbered].publish(2)

    stats = observation.stats()[numbered]
    assert stats.publishes == HOT
    assert [one.calls for one in stats.listeners.values()] == [HOT * (UNROLLED + 1)]


@at_each_level
def test_recursive_publishes_count(level: Level) -> None:
    """Each publish counts when it has ended."""
    bus = Bus()
    seen: list[int] = []

    @bus[numbered].subscribe()
    def descend(number: int) -> None:
        if number:
            bus[numbered].publish(number - 1)
        seen.append(observation.stats()[numbered].publishes)

    observation = bus.observe(numbered, level=level)
    for _ in range(HOT):
        bus[numbered].publish(3)

    assert seen == list(range(4 * HOT))
    assert only(observation.stats()[numbered]) == (4 * HOT, {name_of(descend): (4 * HOT, {})})


@at_each_level
@pytest.mark.parametrize("warm_up", [0, HOT])
def test_endless_recursion_counts(level: Level, warm_up: int) -> None:
    """The `RecursionError` is a failure of the listener in each publish that it leaves."""
    bus = Bus()
    calls = itertools.count()
    ended = itertools.count()

    @bus[numbered].subscribe()
    def descend(number: int) -> None:
        next(calls)
        if number:
            try:
                bus[numbered].publish(number)
            finally:
                next(ended)

    observation = bus.observe(numbered, level=level)
    for _ in range(warm_up):
        bus[numbered].publish(0)
    with pytest.raises(RecursionError):
        bus[numbered].publish(1)

    stats = observation.stats()[numbered]
    depth = stats.publishes - warm_up
    assert depth > 50
    assert abs(depth - (next(calls) - warm_up)) <= 1
    assert dict(stats.listeners[name_of(descend)].failures) == {"RecursionError": depth}


def test_listeners_have_the_names_of_their_failures() -> None:
    """A method of a component has the path of the component."""

    class Stock:
        @on(numbered)
        def reserve(self, number: int) -> None:
            raise KeyError(number)

    class Shop(Container):
        bus = Component(Bus)
        stock = Component(Stock)

    with running(Shop()) as shop, shop.bus().observe() as observation:
        with pytest.raises(ChannelFailures) as caught:
            shop.bus()[numbered].publish(2)
        stats = observation.stats()

    assert list(stats) == [numbered]
    assert [*stats[numbered].listeners] == ["Shop.stock.reserve"] == [one.name for one in caught.value.failures]
    assert dict(stats[numbered].listeners["Shop.stock.reserve"].failures) == {"KeyError": 1}


@pytest.mark.parametrize("channel", [START, STOP, EXIT, GRACEFUL, RUN], ids=lambda one: one.name)
def test_channels_that_the_bus_does_not_publish_on_are_refused(channel: Any) -> None:
    """The error names the remedy, and no channel is observed."""
    bus = Bus()
    with pytest.raises(ObserveError, match=f"^cannot observe channel '{channel.name}': .*; .*(Report|runs)"):
        bus.observe([numbered, channel])

    assert bus[numbered]._observer is None


@at_each_level
@pytest.mark.parametrize(
    ("channel", "arguments"),
    [(MAIN, ()), (LOG, ("ready", 20)), (MOVED, (None,)), (LIFECYCLE, (None,))],
    ids=lambda one: getattr(one, "name", ""),
)
def test_the_bus_s_own_channels_are_observed_by_name(
    channel: Any, arguments: tuple[Any, ...], level: Level, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure of a listener on such a channel is reported as without an observation."""
    bus = Bus()
    cls = type(bus[channel])

    def receive(*_: Any) -> None:
        if bus[channel]._observer is not None:
            raise ValueError("no")

    bus[channel].subscribe(receive)
    bus[numbered].publish(2)
    of_all, of_one = bus.observe(), bus.observe(channel, level=level)
    for _ in range(2):
        try:
            bus[channel].publish(*arguments)
        except ChannelFailures as failed:
            assert channel is MAIN
            assert [one.name for one in failed.failures] == [name_of(receive)]
    of_one.close()
    bus[channel].publish(*arguments)

    assert [*of_all.stats()] == [numbered]
    assert only(of_one.stats()[channel]) == (2, {name_of(receive): (2, {"ValueError": 2})})
    assert type(bus[channel]) is cls
    assert (name_of(receive) in capsys.readouterr().err) == (channel is not MAIN)


def test_an_unknown_level_is_refused() -> None:
    """The error lists the levels."""
    with pytest.raises(ObserveError, match="there is no level 'all'; use one of 'count', 'time', 'each'"):
        Bus().observe(level="all")  # type: ignore[arg-type]  # the error
