"""A tracer decides for each publish, and receives its course."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest
from tests.observe.test_counts import (
    HOT,
    awaited,
    call,
    double,
    echo,
    everything,
    fail_on_odd,
    later,
    later_too,
    name_of,
    numbered,
    on_each_channel,
    together,
)

from typedbus import LOG, MAIN, RUN, START, Bus, ChannelFailures
from typedbus._bus.bus import parts_of
from typedbus._channels.observing.tracing import Decide, TracedListener, Tracing
from typedbus.observe import ObserveError
from typedbus.types import AnyChannel


async def fail_later(number: int, *_: int, **__: int) -> None:
    fail_on_odd(number)


class Recorder:
    """
    A tracer, and the trace of all its publishes.

    Attributes:
        notes: The calls that it has received, with their arguments.
        is_on: Whether a publish is traced.
        untraced: A channel that is never traced.
    """

    def __init__(self, *, is_on: bool = True, untraced: AnyChannel | None = None) -> None:
        self.notes: list[tuple[Any, ...]] = []
        self.is_on = is_on
        self.untraced = untraced

    def decider(self, channel: AnyChannel, /) -> Decide | None:
        def decide() -> Recorder | None:
            if self.is_on:
                self.notes.append(("begin", channel.name))
            return self if self.is_on else None

        return None if channel is self.untraced else decide

    def listener_began(self, listener: TracedListener, /) -> int:
        self.notes.append((listener.name, listener.priority))
        return len(self.notes)

    def listener_ended(self, listener: TracedListener, began: Any, error: BaseException | None, /) -> None:
        assert isinstance(began, int)
        self.notes.append((listener.name, type(error)))

    def ended(self, error: BaseException | None, /) -> None:
        self.notes.append(("end", type(error)))

    def taken(self) -> list[tuple[Any, ...]]:
        """Return the notes, and clear them."""
        notes, self.notes = self.notes, []
        return notes


def trace(bus: Bus, tracer: Recorder, channels: Any = None) -> Tracing:
    return parts_of(bus).registry.trace(tracer, channels)


NOTHING: Final = type(None)


@on_each_channel
@pytest.mark.parametrize("level", [None, "count", "time", "each"])
@pytest.mark.parametrize("warm_up", [0, HOT])
@pytest.mark.parametrize("are_async", [False, True], ids=["plain", "async"])
def test_a_trace_receives_each_call_of_a_publish(channel: Any, level: Any, warm_up: int, are_async: bool) -> None:
    """The tracer decides before the listeners are called; the loop and the unrolled function report the same calls."""
    if are_async and not channel.is_async:
        return
    bus, tracer = Bus(), Recorder(is_on=False)
    first, second, third = (later, later_too, fail_later) if are_async else (echo, double, fail_on_odd)
    for priority, listener in enumerate((first, second, third)):
        bus[channel].subscribe(listener, priority=priority)
    observation = bus.observe(channel, level=level) if level else None
    trace(bus, tracer, channel)
    for _ in range(warm_up):
        call(bus[channel].publish, 2)
    assert tracer.taken() == []
    tracer.is_on = True

    result = call(bus[channel].publish, 2)
    notes = tracer.taken()
    with pytest.raises(ChannelFailures) as caught:
        call(bus[channel].publish, 3)

    assert result[:1] == [2]
    assert notes == [
        ("begin", channel.name),
        (name_of(first), 0),
        (name_of(first), NOTHING),
        (name_of(second), 1),
        (name_of(second), NOTHING),
        (name_of(third), 2),
        (name_of(third), NOTHING),
        ("end", NOTHING),
    ]
    assert tracer.taken()[-3:] == [
        (name_of(third), 2),
        (name_of(third), ValueError),
        ("end", ChannelFailures),
    ]
    assert [one.name for one in caught.value.failures] == [name_of(third)]
    if observation is not None:
        stats = observation.stats()[channel]
        assert (stats.publishes, stats.failures) == (warm_up + 2, 1)
        assert {one.calls for one in stats.listeners.values()} == {warm_up + 2}


@on_each_channel
def test_the_other_verbs_are_traced(channel: Any) -> None:
    """Each call of a verb is one trace, with the listeners that it calls."""
    bus, tracer = Bus(), Recorder()
    bus[channel].subscribe(echo, priority=10)
    bus[channel].subscribe(double, priority=20)
    trace(bus, tracer)

    assert call(bus[channel].first, 2) == 2
    assert len(tracer.taken()) == 2 + 2
    assert call(bus[channel].fold, 2) == 4
    assert len(tracer.taken()) == 2 + 4
    attempt = call(bus[channel].attempt, 2)
    assert attempt.results == (2, 4)
    assert [one.listener for one in attempt] == [echo, double]
    assert [tracer.notes[0], tracer.notes[-1]] == [("begin", channel.name), ("end", NOTHING)]
    assert len(tracer.taken()) == 2 + 4


@on_each_channel
def test_watchers_are_part_of_the_trace(channel: Any) -> None:
    """Watchers run after the decision of the tracer."""
    bus, tracer = Bus(), Recorder()
    trace(bus, tracer, channel)
    bus[channel].watch(lambda *_, **__: tracer.notes.append(("watcher",)))
    bus[channel].subscribe(echo)

    call(bus[channel].publish, 2)

    assert tracer.taken()[:3] == [("begin", channel.name), ("watcher",), (name_of(echo), 50)]


@pytest.mark.parametrize("channel", [awaited, together], ids=lambda channel: channel.name)
def test_a_cancelled_publish_ends_its_trace(channel: Any) -> None:
    """The listener and the publish end with the cancellation; a listener that was not called is not in the trace."""
    bus, tracer = Bus(), Recorder()
    trace(bus, tracer, channel)

    async def main() -> None:
        reached = asyncio.Event()

        async def wait(_: int) -> None:
            reached.set()
            await asyncio.Event().wait()

        bus[channel].subscribe(wait)
        bus[channel].subscribe(echo, priority=60)
        publish = asyncio.ensure_future(bus[channel].publish(2))
        await reached.wait()
        publish.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publish

    asyncio.run(main())

    assert [note[1] for note in tracer.taken()] == [channel.name, 50, asyncio.CancelledError, asyncio.CancelledError]


def test_an_exit_ends_its_trace() -> None:
    """A `SystemExit` of a listener ends the trace before the next listener."""
    bus, tracer = Bus(), Recorder()
    trace(bus, tracer)

    @bus[numbered].subscribe()
    def leave(number: int) -> None:
        raise SystemExit

    bus[numbered].subscribe(echo, priority=60)
    with pytest.raises(SystemExit):
        bus[numbered].publish(2)

    assert [note[1] for note in tracer.taken()] == ["numbered", 50, SystemExit, SystemExit]


def test_a_channel_without_a_decider_is_not_touched() -> None:
    """It has no observer; a channel that is used later is traced."""
    bus, tracer = Bus(), Recorder(untraced=numbered)
    tracing = trace(bus, tracer)

    bus[numbered].publish(2)
    bus[everything].publish(2)

    assert bus[numbered]._observer is None
    assert tracer.taken() == [("begin", "everything"), ("end", NOTHING)]
    tracing.close()
    tracing.close()
    bus[everything].publish(2)
    assert tracer.taken() == []
    assert bus[everything]._observer is None


def test_a_channel_has_one_tracer() -> None:
    """A second tracer is refused until the first has ended, and changes no channel."""
    bus = Bus()
    with trace(bus, Recorder(), numbered):
        with pytest.raises(ObserveError, match="channel 'numbered': it is traced already"):
            trace(bus, Recorder(), [everything, numbered])
        assert bus[everything]._observer is None
    with trace(bus, Recorder()):
        with pytest.raises(ObserveError, match="'numbered': it is traced already"):
            trace(bus, Recorder(), numbered)
        with pytest.raises(ObserveError, match="all channels are traced already"):
            trace(bus, Recorder())
    trace(bus, Recorder())


@pytest.mark.parametrize("channel", [START, RUN, MAIN, LOG], ids=lambda channel: channel.name)
def test_the_bus_s_own_channels_are_not_traced(channel: AnyChannel) -> None:
    """Telemetry of transitions uses the life-cycle events instead."""
    bus, tracer = Bus(), Recorder()
    trace(bus, tracer)
    bus.log("not traced")
    assert tracer.taken() == []

    with pytest.raises(ObserveError, match=f"cannot observe channel '{channel.name}': .* only other channels"):
        trace(bus, tracer, channel)
