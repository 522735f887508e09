"""The report of listeners that block an event loop in debug mode."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from typedbus import LOG, AsyncChannel, Bus, Channel, ChannelFailures, Component, Container, on

numbers = Channel[[int], int]("numbers")
later = AsyncChannel[[int], int]("later")
together = AsyncChannel[[int], int]("together", concurrent=True)

WARNING = 30


def double(number: int, /) -> int:
    """Return twice the argument; it fails for a negative number."""
    if number < 0:
        raise ValueError(number)
    return 2 * number


async def double_later(number: int, /) -> int:
    """Is async."""
    return 2 * number


def lines_of(bus: Bus) -> list[tuple[str, int]]:
    """Return a list that receives each message of *bus* and its level."""
    lines: list[tuple[str, int]] = []
    bus[LOG].subscribe(lambda text, level: lines.append((text, level)))
    return lines


def publish_on_loop(
    bus: Bus, publish: Callable[[], Awaitable[object]], *, debug: bool = True, slow: float = 0.0
) -> None:
    """Call *publish* on a loop that runs the hooks of *bus*, and on which a callback is slow after *slow* seconds."""

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = slow
        await bus.start_async()
        await publish()
        await bus.exit_async()

    asyncio.run(main(), debug=debug)


def test_a_listener_that_blocks_the_loop_is_reported_once_with_the_way_out() -> None:
    """By its name, its channel and the time that it took."""
    bus = Bus()
    lines = lines_of(bus)
    bus[numbers].subscribe(double)

    async def publish() -> None:
        assert [bus[numbers].publish(number) for number in (1, 2)] == [[2], [4]]

    publish_on_loop(bus, publish)

    [(text, level)] = lines
    assert level == WARNING
    assert text.replace("0.00 s", "... s") == (
        f"{__name__}.double on channel 'numbers' blocked the event loop for ... s; "
        "publish with await publish_in_thread(...)"
    )


@pytest.mark.parametrize("channel", [later, together], ids=["sequential", "concurrent"])
def test_a_plain_listener_of_an_async_channel_is_reported(channel: AsyncChannel[[int], int]) -> None:
    """An async listener is not."""
    bus = Bus()
    lines = lines_of(bus)
    bus[channel].subscribe(double)
    bus[channel].subscribe(double_later)

    async def publish() -> None:
        assert await bus[channel].publish(1) == [2, 2]

    publish_on_loop(bus, publish)

    [(text, _)] = lines
    assert text.startswith(f"{__name__}.double on channel {channel.name!r} blocked the event loop for ")
    assert text.endswith("; subscribe in_thread(listener)")


def test_a_listener_that_is_subscribed_later_is_reported() -> None:
    """Also on a channel that is used for the first time after the start."""
    bus = Bus()
    lines = lines_of(bus)

    async def publish() -> None:
        bus[numbers].subscribe(double)
        bus[numbers].publish(1)

    publish_on_loop(bus, publish)

    assert len(lines) == 1


def test_the_report_names_the_component() -> None:
    """By its path in the container."""

    class Doubler:
        @on(numbers)
        def double(self, number: int, /) -> int:
            return 2 * number

    class Shop(Container):
        bus = Component(Bus)
        doubler = Component(Doubler)

    shop = Shop()
    bus = shop.attach()
    lines = lines_of(bus)

    async def publish() -> None:
        bus[numbers].publish(1)

    publish_on_loop(bus, publish)

    [(text, _)] = lines
    assert text.startswith("Shop.doubler.double on channel 'numbers' blocked")


@pytest.mark.parametrize(("debug", "slow"), [(True, 3600.0), (False, 0.0)], ids=["quick", "no debug mode"])
def test_other_listeners_are_not_reported(*, debug: bool, slow: float) -> None:
    """Listeners that are quick enough, and all listeners on a loop that is not in debug mode."""
    bus = Bus()
    lines = lines_of(bus)
    bus[numbers].subscribe(double)

    async def publish() -> None:
        bus[numbers].publish(1)

    publish_on_loop(bus, publish, debug=debug, slow=slow)

    assert lines == []


def test_a_publish_in_a_thread_is_not_reported() -> None:
    """It does not block the loop."""
    bus = Bus()
    lines = lines_of(bus)
    bus[numbers].subscribe(double)

    async def publish() -> None:
        assert await bus[numbers].publish_in_thread(1) == [2]

    publish_on_loop(bus, publish)

    assert lines == []


@pytest.mark.parametrize("channel", [numbers, later, together], ids=["sync", "sequential", "concurrent"])
def test_a_failure_of_a_timed_listener_is_that_of_the_listener(
    channel: Channel[[int], int] | AsyncChannel[[int], int],
) -> None:
    """The failure has the listener and its name, and not what measures the time."""
    bus = Bus()
    bound: Any = bus[channel]
    bound.subscribe(double)
    failures: list[ChannelFailures] = []

    async def publish() -> None:
        with pytest.raises(ChannelFailures) as raised:
            results = bound.publish(-1)
            await results
        failures.append(raised.value)

    publish_on_loop(bus, publish)

    [failure] = failures[0].failures
    assert (failure.listener, failure.name) == (double, f"{__name__}.double")


def test_listeners_are_called_directly_without_the_debug_mode_and_after_the_exit() -> None:
    """So a publish costs nothing more."""
    callers: list[str] = []

    def note(number: int, /) -> int:
        callers.append(inspect.stack()[1].filename)
        return number

    bus = Bus()
    bus[numbers].subscribe(note)

    async def publish() -> None:
        bus[numbers].publish(1)

    publish_on_loop(bus, publish, debug=False)
    publish_on_loop(bus, publish, debug=True)
    bus[numbers].publish(1)

    assert [caller.startswith("<typedbus: publish(") for caller in callers] == [True, False, True]


def test_the_bus_s_own_loop_reports_as_well() -> None:
    """It is in debug mode if its factory says so."""
    bus = Bus()
    lines = lines_of(bus)
    bus[later].subscribe(double)

    def debugging() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 0.0
        return loop

    bus.loop_factory = debugging
    assert bus[later].publish_from_thread(1) == [2]
    bus.exit()

    assert len(lines) == 1


def test_an_attempt_in_debug_mode_has_the_listeners_themselves() -> None:
    """Answers and failures name the listener, not the object that measures its time."""
    bus = Bus()
    lines = lines_of(bus)

    def refuse(number: int, /) -> int:
        raise ValueError(number)

    bus[numbers].subscribe(double)
    bus[numbers].subscribe(refuse)
    listeners: list[object] = []

    async def publish() -> None:
        listeners.extend(answer.listener for answer in bus[numbers].attempt(1))

    publish_on_loop(bus, publish)

    assert listeners == [double, refuse]
    assert len([text for text, _ in lines if "blocked the event loop" in text]) == 2


def test_a_listener_that_does_not_accept_the_arguments_gets_the_note_with_the_remedy() -> None:
    """The note is the same as without the debug mode."""
    bus = Bus()
    bus[numbers].subscribe(lambda: 3)  # type: ignore[misc, arg-type]  # the error

    async def publish() -> None:
        with pytest.raises(ChannelFailures) as caught:
            bus[numbers].publish(2)
        assert "does not accept the arguments of channel 'numbers'" in caught.value.exceptions[0].__notes__[1]

    publish_on_loop(bus, publish)
