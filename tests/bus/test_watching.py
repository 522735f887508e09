"""Watchers of all channels of a bus, and channels by name."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.doubles import ThreadCall

from typedbus import (
    EXIT,
    GRACEFUL,
    LOG,
    MAIN,
    START,
    STOP,
    AsyncChannel,
    Bus,
    Channel,
    ChannelError,
    ChannelNameError,
    Component,
    Container,
    Published,
    State,
    WatcherError,
    on,
)
from typedbus._channels.codegen import HEAT
from typedbus.events import LIFECYCLE, MOVED
from typedbus.wspbus import Bus as OldBus

order_placed = Channel[[str], str]("order_placed")
shipped = AsyncChannel[[str], str]("shipped")
packed = AsyncChannel[[str], str]("packed", concurrent=True)
untyped: Channel[[str], None] = Channel("untyped")


@Channel.declare
def stock_low(sku: str, /, *, left: int = 0) -> None:
    """Fewer than the reorder level are left of `sku`."""


def test_an_audit_log_of_all_channels_adds_nothing_to_the_results() -> None:
    """A listener on each channel would add its None to the results."""
    bus = Bus()
    log: list[Published] = []
    bus.watch(log.append)

    @bus[order_placed].subscribe()
    def reserve(sku: str, /) -> str:
        return f"reserved {sku}"

    assert [answer.upper() for answer in bus[order_placed].publish("tea")] == ["RESERVED TEA"]
    assert bus[order_placed].first("milk") == "reserved milk"
    assert len(bus[order_placed].attempt("oil")) == 1
    assert log == [Published(order_placed, (sku,), {}) for sku in ("tea", "milk", "oil")]


def test_a_watcher_receives_the_publishes_on_every_channel() -> None:
    """It receives publishes on sync and async channels, which were used before the watch or are first used later."""
    bus = Bus()
    log: list[Published] = []
    bus[order_placed].subscribe(str.upper)
    bus[packed].subscribe(str.upper)

    bus.watch(log.append)
    bus[order_placed].publish("tea")
    bus[stock_low].publish("tea")
    bus.publish(stock_low, "tea", left=2)
    bus[untyped].publish("tea")
    asyncio.run(bus[packed].publish("tea"))
    asyncio.run(bus[shipped].publish("tea"))

    assert log == [
        Published(order_placed, ("tea",), {}),
        Published(stock_low, ("tea",), {"left": 0}),
        Published(stock_low, ("tea",), {"left": 2}),
        Published(untyped, ("tea",), {}),
        Published(packed, ("tea",), {}),
        Published(shipped, ("tea",), {}),
    ]


def test_a_published_cannot_be_changed() -> None:
    """A `Published` is frozen, so each watcher receives it unchanged."""
    published = Published(order_placed, ("tea",), {})

    with pytest.raises(AttributeError):
        published.args = ("milk",)  # type: ignore[misc]


def test_watchers_of_a_channel_and_of_the_bus_run_in_the_order_of_their_watches() -> None:
    """A watch of the bus comes before each watch of a channel that is first used later."""
    bus = Bus()
    calls: list[str] = []
    bus[order_placed].watch(lambda _: calls.append("channel"))
    bus.watch(lambda _: calls.append("bus"))
    bus.watch(lambda _: calls.append("bus again"))
    bus[order_placed].watch(lambda _: calls.append("channel again"))
    bus[stock_low].watch(lambda *_, **__: calls.append("later channel"))

    bus[order_placed].publish("tea")
    bus[stock_low].publish("tea")

    assert calls == ["channel", "bus", "bus again", "channel again", "bus", "bus again", "later channel"]


def test_after_the_end_of_a_watch_no_channel_calls_the_watcher() -> None:
    """This holds for channels that were used before and for channels that are first used later; other watches stay."""
    bus = Bus()
    log: list[Published] = []
    others: list[Published] = []
    bus.watch(others.append)

    with bus.watch(log.append) as watch:
        bus[order_placed].publish("tea")
    watch.cancel()
    bus[order_placed].publish("milk")
    bus[stock_low].publish("milk")

    assert [published.args for published in log] == [("tea",)]
    assert [published.args for published in others] == [("tea",), ("milk",), ("milk",)]
    assert watch.channel is None


def test_a_channel_without_watches_has_no_listeners_after_the_last_watch() -> None:
    """The truth of a bound channel follows from its listeners and watchers."""
    bus = Bus()
    with bus.watch(print):
        assert bus[order_placed]
    assert not bus[order_placed]
    assert not bus[stock_low]


def test_channels_of_the_bus_itself_are_not_watched() -> None:
    """The life cycle of a bus, its log and its events are not publishes of the program."""
    bus = Bus()
    log: list[Published] = []
    bus.watch(log.append)
    bus[MAIN].subscribe(bus.request_exit)

    bus.start()
    bus.graceful()
    bus.log("a line")
    bus.block(interval=0.001)

    assert log == []
    assert not any(bus[channel] for channel in (START, STOP, EXIT, GRACEFUL, LOG, LIFECYCLE, MOVED))


def test_a_watch_survives_a_restart_of_the_bus() -> None:
    """A watch lasts over an exit and a start, as a plain subscription does."""
    bus = Bus()
    log: list[Published] = []
    bus.watch(log.append)

    for _ in range(2):
        bus.start()
        bus[order_placed].publish("tea")
        bus.exit()

    assert len(log) == 2


def test_the_publishes_of_components_are_watched() -> None:
    """A component that keeps the `publish` of a bound channel is watched as well."""

    class Shop(Container):
        bus = Component(Bus)
        seller = Component(Seller, bus.provided[order_placed].publish)
        store = Component(Store)

    shop = Shop()
    log: list[Published] = []
    seller = shop.seller()
    with shop.bus().watch(log.append):
        shop.bus().start()
        assert seller.sell("tea") == ["TEA"]
        shop.bus().exit()

    assert log == [Published(order_placed, ("tea",), {})]


class Seller:
    def __init__(self, place: Callable[[str], list[str]]) -> None:
        self.sell = place


class Store:
    @on(order_placed)
    def reserve(self, sku: str, /) -> str:
        return sku.upper()


def test_a_failing_watcher_of_all_channels_is_logged_with_its_channel() -> None:
    """The log line names the channel of the publish."""
    bus = Bus()
    lines: list[tuple[str, int]] = []
    bus[LOG].subscribe(lambda text, level: lines.append((text, level)))

    def broken(published: Published) -> None:
        raise ValueError(published.args)

    bus.watch(broken)
    bus[order_placed].subscribe(str.upper)

    assert bus[order_placed].publish("tea") == ["TEA"]
    [(text, level)] = lines
    assert f"{broken.__qualname__} ({__file__}:" in text
    assert "'order_placed'" in text
    assert text.endswith("ValueError: ('tea',)")
    assert level == 40


async def never_awaited(_: Published) -> None:
    """Return a coroutine that no publish would await."""


@pytest.mark.parametrize("watcher", [never_awaited, "audit", None])
def test_a_watcher_that_would_not_run_is_refused(watcher: Any) -> None:
    """After the refusal no channel is watched."""
    bus = Bus()

    with pytest.raises(WatcherError, match="cannot watch a bus with .*; pass"):
        bus.watch(watcher)

    assert not bus[order_placed]


def test_watches_work_on_the_debug_mode_of_the_loop() -> None:
    """The listeners are timed, and the watcher receives each publish."""
    bus = Bus()
    log: list[Published] = []
    bus.watch(log.append)
    bus[order_placed].subscribe(str.upper)
    bus[packed].subscribe(str.upper)

    async def main() -> list[list[str]]:
        await bus.start_async()
        results = [bus[order_placed].publish("tea"), await bus[packed].publish("tea"), await bus[shipped].publish("x")]
        await bus.exit_async()
        return results

    assert asyncio.run(main(), debug=True) == [["TEA"], ["TEA"], []]
    assert [published.channel for published in log] == [order_placed, packed, shipped]


def test_publishes_of_old_code_are_watched() -> None:
    """Old code publishes by a name that no typed code has declared, or by the name of a typed channel."""
    bus = OldBus()
    log: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    bus.typed.watch(lambda published: log.append((published.channel.name, published.args, dict(published.kwargs))))

    bus.subscribe("order_placed", str.upper)
    bus.publish("order_placed", "tea")
    bus.typed[order_placed].publish("milk")
    bus.publish("order_placed", "oil")

    assert log == [("order_placed", ("tea",), {}), ("order_placed", ("milk",), {}), ("order_placed", ("oil",), {})]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_watcher_is_called_in_a_forked_process_as_listeners_are() -> None:
    """The child inherits the watches, even if another thread held the lock at the fork."""
    bus = Bus()
    reading, writing = os.pipe()
    bus.watch(lambda published: os.write(writing, f"{published.args[0]}\n".encode()))
    bus[order_placed].publish("parent")
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with bus._parts.registry.lock:
            is_held.set()
            is_over.wait(10)

    thread = ThreadCall(hold)
    is_held.wait(10)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            bus.detach()
            bus[order_placed].publish("child")
            bus[stock_low].publish("later")
            status = 0
        finally:
            os._exit(status)
    is_over.set()
    thread.finished()
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as lines:
            assert lines.read().split() == ["parent", "child", "later"]
    finally:
        assert bus.state is State.STOPPED


def test_channels_that_are_first_used_in_threads_are_watched_from_their_first_publish() -> None:
    """This holds while watches begin and end in another thread, one for each publish."""
    bus = Bus()
    received: list[str] = []
    bus.watch(lambda published: received.append(published.channel.name))
    threads, publishes = 3, 50
    published = threading.Semaphore(0)

    def change() -> None:
        for _ in range(threads * publishes):
            published.acquire()
            bus.watch(lambda _: None).cancel()

    def publish(thread: int) -> None:
        for number in range(publishes):
            bus[Channel[[], None](f"{thread}.{number}")].publish()
            published.release()

    changing = ThreadCall(change)
    for thread in [ThreadCall(functools.partial(publish, number)) for number in range(threads)]:
        thread.finished()
    changing.finished()

    assert sorted(received) == sorted(f"{thread}.{number}" for thread in range(threads) for number in range(publishes))


def test_a_publish_that_many_watch_is_as_before_after_the_watches() -> None:
    """The functions that were compiled for the listeners are compiled again."""
    bus = Bus()
    bus[order_placed].subscribe(str.upper)
    watches = [bus.watch(lambda _: None) for _ in range(10)]
    for _ in range(HEAT + 1):
        bus[order_placed].publish("tea")
    for watch in watches:
        watch.cancel()

    assert [bus[order_placed].publish("tea") for _ in range(HEAT + 2)] == [["TEA"]] * (HEAT + 2)


def test_a_channel_is_found_by_its_name() -> None:
    """`bus.channel` finds built-in channels and channels that the bus has used."""
    bus = Bus()
    bus[order_placed].subscribe(str.upper)
    bus[shipped].subscribe(str.upper)

    assert bus.channel("order_placed") is order_placed
    assert bus.channel("shipped") is shipped
    assert [bus.channel(channel.name) for channel in (START, LOG, MAIN, MOVED)] == [START, LOG, MAIN, MOVED]


def test_the_error_for_an_unknown_name_has_the_channels_of_similar_names() -> None:
    """The error is a `ChannelError` and a `LookupError`."""
    bus = Bus()
    bus[order_placed].subscribe(str.upper)
    bus[stock_low].subscribe(lambda *_, **__: None)

    with pytest.raises(ChannelNameError, match="'stock_lwo' is not the name .* 'stock_low'") as caught:
        bus.channel("stock_lwo")
    assert isinstance(caught.value, ChannelError)
    assert isinstance(caught.value, LookupError)
    assert (caught.value.given, caught.value.similar) == ("stock_lwo", ("stock_low",))
    with pytest.raises(ChannelNameError) as caught:
        bus.channel("START")  # as the constant is named
    assert caught.value.similar[0] == "start"
    with pytest.raises(ChannelNameError) as caught:
        bus.channel("xylophone")
    assert caught.value.similar == ()
    assert "similar" not in str(caught.value)


def test_the_error_for_a_name_of_several_channels_has_their_places() -> None:
    """The place of a channel is known if a function declares it."""
    twin = Channel[[str], None]("stock_low")
    bus = Bus()
    bus[stock_low].publish("tea")
    bus[twin].publish("tea")

    with pytest.raises(ChannelNameError, match="'stock_low' is the name of 2 channels") as caught:
        bus.channel("stock_low")

    declared: Any = stock_low.declaration
    assert caught.value.places == (f"{__file__}:{declared.__code__.co_firstlineno}", "unknown place")
    assert caught.value.places[0] in str(caught.value)


def test_the_error_for_channels_of_unknown_places_has_none() -> None:
    """No function declares either of the two channels."""
    bus = Bus()
    for channel in (Channel[[str], None]("tea_left"), Channel[[str], None]("tea_left")):
        bus[channel].publish("tea")

    with pytest.raises(ChannelNameError, match=r"'tea_left' is the name of 2 channels of this bus; give") as caught:
        bus.channel("tea_left")
    assert caught.value.places == ("unknown place", "unknown place")


def test_an_object_that_is_not_a_string_is_not_looked_up_by_name() -> None:
    """The error shows how to call `bus.channel`."""
    channel: Any = order_placed

    with pytest.raises(ChannelError, match=r"is not the name of a channel: pass a string, as in bus\.channel"):
        Bus().channel(channel)
