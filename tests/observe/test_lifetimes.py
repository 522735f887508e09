"""What an observation keeps alive, and what remains after its end."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import sys
import threading
import types
import weakref
from typing import Any

import pytest
from tests.doubles import LOCKING, ThreadCall
from tests.observe.test_counts import (
    HOT,
    at_each_level,
    awaited,
    call,
    double,
    echo,
    name_of,
    numbered,
    on_each_channel,
    only,
)
from tests.processes import in_child

from typedbus import LOG, AsyncChannel, Bus, ChannelError, ChannelFailures
from typedbus._channels.observing.digests import Digests
from typedbus._channels.observing.tallies import Totals
from typedbus.observe import BUCKETS, Durations, Level
from typedbus.testing import FakeClock


@on_each_channel
@at_each_level
@pytest.mark.parametrize("warm_up", [0, HOT], ids=["cold", "hot"])
@pytest.mark.parametrize("is_watched", [False, True], ids=["", "watched"])
def test_a_channel_is_as_before(channel: Any, level: Level, warm_up: int, is_watched: bool) -> None:
    """Its class and the functions that a publish calls are restored, including an unrolled function."""
    bus = Bus()
    bound: Any = bus[channel]
    bound.subscribe(echo)
    bound.subscribe(double)
    if is_watched:
        bound.watch(lambda *_, **__: None)
    for _ in range(warm_up):
        call(bound.publish, 2)
    cls, unrolled, entries = type(bound), bound._unrolled, bound._entries

    with bus.observe(level=level):
        with bus.observe(channel):
            call(bound.publish, 2)
        call(bound.publish, 2)

    assert type(bound) is cls
    assert bound._entries is entries
    assert (bound._unrolled is None) == (unrolled is None)
    assert unrolled is None or bound._unrolled.__code__.co_code == unrolled.__code__.co_code
    assert call(bound.publish, 2) == [2, 4]


@at_each_level
def test_a_closed_observation_keeps_its_figures(level: Level) -> None:
    """Another observation of the channel continues; each counts from its own beginning."""
    bus = Bus()
    bus[numbered].subscribe(echo)
    first = bus.observe(numbered, level=level)
    bus[numbered].publish(2)
    second = bus.observe(level="each")
    bus[numbered].publish(2)

    first.close()
    bus[numbered].publish(2)
    first.close()

    assert only(first.stats()[numbered]) == (2, {name_of(echo): (2, {})})
    assert first.stats() is first.stats()
    assert only(second.stats()[numbered]) == (2, {name_of(echo): (2, {})})
    assert repr(first) == "<Observation of 1 channel(s), closed>"
    assert repr(second) == "<Observation of 1 channel(s), level 'each'>"
    durations = second.stats()[numbered].durations
    assert durations is not None
    assert durations.count == 2


def test_figures_of_earlier_listeners_remain() -> None:
    """They come after the listeners that are subscribed; an observation that begins later does not have them."""
    bus = Bus()
    observation = bus.observe(numbered)
    with bus[numbered].subscribe(double):
        bus[numbered].publish(2)
    bus[numbered].subscribe(echo)
    later = bus.observe(numbered)

    assert [*observation.stats()[numbered].listeners] == [name_of(echo), name_of(double)]
    assert [*later.stats()[numbered].listeners] == [name_of(echo)]


@pytest.mark.parametrize("publishes", [1, HOT])
def test_an_observation_keeps_no_listener(publishes: int) -> None:
    """A listener is freed when it is unsubscribed, before the next publish."""

    class Stock:
        def reserve(self, number: int) -> None: ...

    bus, stock = Bus(), Stock()
    observation = bus.observe(numbered, level="each")
    subscription = bus[numbered].subscribe(stock.reserve)
    for _ in range(publishes):
        bus[numbered].publish(2)
    reference = weakref.ref(stock)
    subscription.cancel()
    del stock, subscription
    gc.collect()

    assert reference() is None
    assert observation.stats()[numbered].publishes == publishes


@at_each_level
def test_a_bus_is_freed_with_its_observations(level: Level) -> None:
    """Neither a thread nor an open observation refers to the bus from outside."""

    def observed() -> weakref.ref[Bus]:
        bus = Bus()
        bus[numbered].subscribe(lambda number: len(bus.channels) + number)
        bus.observe(level=level)
        for _ in range(HOT):
            bus[numbered].publish(2)
        return weakref.ref(bus)

    reference = observed()
    gc.collect()

    assert reference() is None


def test_threads_and_subscriptions_that_have_ended_leave_totals_only() -> None:
    """The lists of ended threads are merged, and so are the tallies of earlier listeners."""
    bus = Bus()
    bus[numbered].subscribe(echo)
    observation = bus.observe(numbered, level="each")

    for _ in range(20):
        with bus[numbered].subscribe(double):
            for _ in range(3):
                ThreadCall(lambda: bus[numbered].publish(2)).finished()

    stats = observation.stats()[numbered]
    tallies = bus[numbered]._observer.counts.state[1]  # type: ignore[union-attr]
    assert stats.publishes == 60
    assert len(tallies) <= 2
    assert max(len(tally.state[1]) for tally in tallies) <= 2


def test_an_observation_of_no_channel_has_no_figures() -> None:
    """Neither at once nor later."""
    bus = Bus()
    with bus.observe(()) as observation:
        digests = Digests(observation)
        assert (digests.read(), digests.read(), observation.stats()) == ([], [], {})


@at_each_level
@pytest.mark.parametrize("publishes", [1, 2 * HOT])
def test_publishes_of_a_thread_that_is_new_since_the_last_read_are_read(publishes: int, level: Level) -> None:
    """The listeners are the same, and the thread brings numbers of its own; those of an ended thread remain."""
    bus = Bus()
    bus[numbered].subscribe(echo)
    digests = Digests(bus.observe(numbered, level=level))
    (digest,) = digests.read()
    for _ in range(publishes):
        bus[numbered].publish(2)
    digests.read()

    for count in 1, 2, 3:
        ThreadCall(lambda: bus[numbered].publish(2)).finished()
        assert digests.read() == [digest]
        assert digest.publishes == publishes + count
    assert digests.read() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.parametrize("channel", [numbered, awaited], ids=lambda channel: channel.name)
def test_a_child_counts_its_own_publishes(channel: Any) -> None:
    """It counts from the fork on, also if it is forked in a publish and while threads of the parent publish."""
    bus = Bus()
    bus[channel].subscribe(echo)
    before = bus.observe(channel, level="each")
    for _ in range(HOT):
        call(bus[channel].publish, 2)
    during = bus.observe(level="time")
    digests = Digests(before)
    (digest,) = digests.read()
    over = threading.Event()

    def publish_in_parent() -> None:
        while not over.is_set():
            call(bus[channel].publish, 2)

    def check() -> None:
        assert [one.stats()[channel].publishes for one in (before, during)] == [0, 0]
        for _ in range(3):
            call(bus[channel].publish, 2)
        for one in before, during:
            assert only(one.stats()[channel]) == (3, {name_of(echo): (3, {})})
        assert digests.read() == [digest]
        assert digest.publishes == 3
        before.close()
        assert only(before.stats()[channel]) == (3, {name_of(echo): (3, {})})

    thread = ThreadCall(publish_in_parent)
    try:
        in_child(check)
    finally:
        over.set()
        thread.finished()
    assert before.stats()[channel].publishes > HOT


@at_each_level
def test_the_figures_of_an_idle_channel_are_computed_once(level: Level) -> None:
    """Until a publish, a failure in another thread, or a change of the listeners; each observation has its own."""
    bus = Bus()
    bound = bus[numbered]
    bound.subscribe(echo)
    first = bus.observe(numbered, level=level)
    bound.publish(2)
    second = bus.observe(numbered, level=level)
    figures = first.stats()[numbered]
    assert first.stats()[numbered] is figures
    assert [one.stats()[numbered].publishes for one in (first, second, first)] == [1, 0, 1]

    def refuse(number: int) -> int:
        raise ValueError(number)

    with bound.subscribe(refuse):
        assert list(first.stats()[numbered].listeners) == [name_of(echo), name_of(refuse)]
        assert isinstance(ThreadCall(lambda: bound.publish(2)).finished().error, ExceptionGroup)
        assert (first.stats()[numbered].publishes, first.stats()[numbered].failures) == (2, 1)
        assert (second.stats()[numbered].publishes, second.stats()[numbered].failures) == (1, 1)
    bound.publish(2)
    assert (first.stats()[numbered].publishes, second.stats()[numbered].publishes) == (3, 2)


def test_an_observation_may_end_while_its_thread_reads_figures() -> None:
    """A finaliser or a signal handler may close it at any point, also while another thread begins one."""
    bus = Bus()
    bus[numbered].subscribe(echo)
    bus[numbered].publish(2)
    observation, closed = bus.observe(numbered), bus.observe(numbered)
    bus[numbered].publish(2)  # of an idle channel there is nothing to add up
    beginning: list[ThreadCall] = []

    def close(frame: types.FrameType, event: str, _: object) -> None:
        if not beginning and event == "call" and frame.f_code is Totals.copy.__code__:
            beginning.append(ThreadCall(lambda: bus.observe(numbered)).waiting(LOCKING))
            closed.close()

    def read() -> None:
        sys.setprofile(close)
        try:
            observation.stats()
        finally:
            sys.setprofile(None)

    reading = ThreadCall(read).finished()

    assert reading.error is None
    assert beginning[0].finished().error is None


@at_each_level
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
def test_publishes_of_signal_handlers_count(level: Level) -> None:
    """A handler may interrupt a publish of the same thread at any point."""
    bus = Bus()
    bus[numbered].subscribe(echo)
    observation = bus.observe(numbered, level=level)
    handled = 0
    read: list[int] = []

    def handle(*_: object) -> None:
        nonlocal handled
        bus[numbered].publish(2)
        handled += 1
        if handled % 10 == 0:
            read.append(observation.stats()[numbered].publishes)
            bus[numbered].subscribe(double).cancel()

    publishes = 0
    at_once: list[int] = []
    digests = Digests(observation)
    (digest,) = digests.read()
    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 2e-4, 2e-4)
    try:
        while handled < 300:
            bus[numbered].publish(2)
            publishes += 1
            digests.read()
            at_once.append(digest.publishes)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    stats = observation.stats()[numbered]
    assert stats.publishes == publishes + handled
    assert stats.listeners[name_of(echo)].calls == publishes + handled
    assert read == sorted(read)
    digests.read()
    assert at_once == sorted(at_once)
    assert digest.publishes == stats.publishes


@pytest.mark.parametrize("publishes", [1, HOT])
def test_durations_are_those_of_the_clock_of_the_bus(publishes: int) -> None:
    """Each duration is in the bucket of the lowest bound that it does not exceed."""
    clock = FakeClock()
    bus = Bus(clock=clock)
    bus[numbered].subscribe(lambda number: clock.advance(number, sleepers=0))
    observation = bus.observe(numbered, level="each")

    for _ in range(publishes):
        bus[numbered].publish(1)

    stats = observation.stats()[numbered]
    (listener,) = stats.listeners.values()
    assert stats.durations == listener.durations
    durations = stats.durations
    assert durations == Durations((*[0] * 10, publishes, 0, 0), float(publishes))
    assert BUCKETS[9] < durations.mean == 1.0 < BUCKETS[10]
    assert durations.cumulative[9:] == (
        (BUCKETS[9], 0),
        (BUCKETS[10], publishes),
        (BUCKETS[11], publishes),
        (math.inf, publishes),
    )


def test_there_is_a_bucket_for_the_longest_durations() -> None:
    """The mean without durations is 0."""
    clock = FakeClock()
    bus = Bus(clock=clock)
    bus[numbered].subscribe(lambda number: clock.advance(number, sleepers=0))
    with bus.observe(numbered, level="time") as observation:
        nothing = observation.stats()[numbered].durations
        bus[numbered].publish(5)
        durations = observation.stats()[numbered].durations

    assert nothing == Durations((0,) * 13, 0.0)
    assert nothing.mean == 0.0
    assert durations == Durations((*[0] * 12, 1), 5.0)


def test_listeners_are_timed_in_the_debug_mode_of_the_loop_as_well() -> None:
    """The report of asyncio has the name of the listener, and every publish counts."""
    bus = Bus()
    later = AsyncChannel[[int], int]("later")
    lines: list[str] = []
    bus[LOG].subscribe(lambda text, level: lines.append(text))
    bus[later].subscribe(echo)
    observation = bus.observe(later, level="each")

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.0
        await bus.start_async()
        for _ in range(HOT):
            await bus[later].publish(2)
        await bus.exit_async()

    asyncio.run(main(), debug=True)

    assert [line for line in lines if "blocked the event loop" in line][0].startswith(f"{name_of(echo)} on channel")
    assert only(observation.stats()[later]) == (HOT, {name_of(echo): (HOT, {})})


@on_each_channel
@at_each_level
@pytest.mark.parametrize("warm_up", [0, HOT], ids=["cold", "hot"])
def test_a_listener_that_does_not_accept_the_arguments_gets_the_note(channel: Any, level: Level, warm_up: int) -> None:
    """The note is the same as without an observation."""

    def listen() -> None: ...

    bus = Bus()
    bus[channel].subscribe(listen)
    observation = bus.observe(channel, level=level)
    for _ in range(warm_up):
        with pytest.raises(ChannelFailures):
            call(bus[channel].publish, 2)
    with pytest.raises(ChannelFailures) as caught:
        call(bus[channel].publish, 2)

    notes = caught.value.exceptions[0].__notes__
    assert [note for note in notes if f"does not accept the arguments of channel {channel.name!r}" in note]
    assert dict(observation.stats()[channel].listeners[name_of(listen)].failures) == {"TypeError": warm_up + 1}


def test_an_observation_may_begin_and_end_in_a_listener() -> None:
    """A publish that begins before the observation, or ends after it, does not count."""
    bus = Bus()
    stats: list[Any] = []

    @bus[numbered].subscribe()
    def observe(number: int) -> None:
        if number:
            with bus.observe(numbered) as observation:
                bus[numbered].publish(0)
            stats.append(observation.stats()[numbered].publishes)

    for _ in range(HOT):
        bus[numbered].publish(1)

    assert stats == [1] * HOT


@pytest.mark.parametrize("given", ["numbered", 3, ["numbered"], Bus()[numbered]], ids=str)
def test_only_channels_are_observed(given: Any) -> None:
    """The error shows the given object."""
    with pytest.raises(ChannelError, match="is not a channel"):
        Bus().observe(given)


def test_errors_have_qualified_names() -> None:
    """Names of built-in errors have no module."""

    class OutOfStock(Exception):
        pass

    bus = Bus()

    @bus[numbered].subscribe()
    def fail(number: int) -> None:
        raise (OutOfStock if number else ConnectionError)

    with bus.observe(numbered) as observation:
        for number in 0, 1:
            with pytest.raises(ChannelFailures):
                bus[numbered].publish(number)

    failures = observation.stats()[numbered].listeners[name_of(fail)].failures
    assert dict(failures) == {"ConnectionError": 1, f"{__name__}.{OutOfStock.__qualname__}": 1}


def test_records_are_compared_by_their_values() -> None:
    """Equal figures are equal records."""
    bus = Bus()
    first, second = bus.observe(numbered), bus.observe(numbered)
    bus[numbered].publish(2)

    assert first.stats() == second.stats() == first.stats()
    assert repr(first.stats()[numbered]) == "ChannelStats(publishes=1, failures=0, durations=None, listeners={})"
