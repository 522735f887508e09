"""Signals arrive at most once: signals that are lost in this process are counted and reported, and nothing blocks a sender."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.nats.links import Addressed, holds, linked, noted, run, within
from tests.nats.servers import NatsServer, raw

from typedbus import LOG, AsyncChannel, Bus, Channel, Component, Container, LoopError, Stopping, running
from typedbus.nats import (
    LINK,
    Denied,
    EncodeFailed,
    Link,
    LinkClosed,
    LinkEvent,
    PortFault,
    Receiver,
    SchemaMismatch,
    SignalPort,
    SignalsDropped,
    TooLarge,
    signal,
)

moved = Channel[[int], None]("moved")
moved_async = AsyncChannel[[int], None]("moved")
texted = Channel[[str], None]("texted")


@contextlib.asynccontextmanager
async def sending(link: Link) -> AsyncIterator[SignalPort[[int]]]:
    """Give a started port for `moved`, and stop it."""
    port = signal(link, moved)
    await port.start()
    try:
        yield port
    finally:
        await port.stop()


def send(port: SignalPort[[int]], count: int) -> None:
    """Send *count* signals from a thread."""
    for number in range(count):
        port.publish_from_thread(number)


#: Any, since its type parameter is that of a channel of any kind here.
_RECEIVER: Any = Receiver


class Received:
    """What a process with a receiver has received, logged and reported."""

    def __init__(self, bus: Bus, receiver: Receiver[[int]]) -> None:
        self.receiver = receiver
        self.numbers: list[int] = []
        self.threads: set[str] = set()
        self.logged: list[str] = []
        self.events: list[LinkEvent] = []
        bus[LOG].subscribe(lambda message, _: self.logged.append(str(message)))
        bus[LINK].subscribe(self.events.append)

    def note(self, number: int) -> None:
        self.threads.add(threading.current_thread().name)
        self.numbers.append(number)

    async def note_async(self, number: int) -> None:
        await asyncio.sleep(0)
        self.note(number)

    @property
    def losses(self) -> int:
        return sum(event.count for event in self.events if isinstance(event, SignalsDropped))


@contextlib.asynccontextmanager
async def receiving(
    server: Addressed,
    channel: Channel[[int], None] | AsyncChannel[[int], None] = moved,
    listener: Callable[[int], object] | None = None,
    *,
    group: str | None = None,
    most: int = 1024,
) -> AsyncIterator[Received]:
    """Run a process with a receiver; its listener is *listener*, or notes the numbers."""

    class Site(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [server.url], name="receiver")
        receiver = Component(_RECEIVER, link.provided, bus.provided[channel], group=group, most=most)

    site = Site()
    bus: Bus = site.bus()
    received = Received(bus, site.receiver())
    bound: Any = bus[channel]
    bound.subscribe(listener or (received.note if isinstance(channel, Channel) else received.note_async))
    async with running(site):
        await holds(lambda: bus.runs["Site.receiver"].beat_at is not None)
        yield received


@pytest.mark.parametrize("channel", [moved, moved_async])
def test_signals_arrive_in_order(server: NatsServer, channel: Channel[[int], None] | AsyncChannel[[int], None]) -> None:
    async def check() -> None:
        async with receiving(server, channel) as received, linked(server) as link, sending(link) as port:
            for number in range(500):
                port.publish(number)
            await holds(lambda: len(received.numbers) == 500)
            assert received.numbers == [*range(500)]
            own = "MainThread" if isinstance(channel, AsyncChannel) else "Site.receiver"
            assert received.threads == {own}
            assert (port.dropped, received.receiver.dropped) == (0, 0)

    run(check())


def test_each_process_receives_a_signal_and_one_process_of_a_group(server: NatsServer) -> None:
    async def check() -> None:
        async with (
            receiving(server) as alone,
            receiving(server, group="a") as first,
            receiving(server, group="a") as second,
            linked(server) as link,
            sending(link) as port,
        ):
            for number in range(200):
                port.publish(number)
            await holds(lambda: len(alone.numbers) == 200 == len(first.numbers) + len(second.numbers))
            assert {*first.numbers} | {*second.numbers} == {*range(200)}
            assert first.numbers
            assert second.numbers

    run(check())


def test_threads_send_in_their_order(server: NatsServer) -> None:
    async def check() -> None:
        async with receiving(server, most=10_000) as received, linked(server) as link, sending(link) as port:

            def work(first: int) -> None:
                for number in range(first, first + 200):
                    port.publish_from_thread(number)

            await asyncio.gather(*(asyncio.to_thread(work, 1000 * number) for number in range(8)))
            await holds(lambda: len(received.numbers) == 1600)
            by_thread = defaultdict(list)
            for number in received.numbers:
                by_thread[number // 1000].append(number % 1000)
            assert {**by_thread} == {number: [*range(200)] for number in range(8)}

    run(check())


def test_signals_without_a_connection_are_dropped_counted_and_reported(server: NatsServer) -> None:
    async def check() -> None:
        async with receiving(server) as received, linked(server) as link, sending(link) as port:
            events = noted(link)
            server.kill9()
            await holds(lambda: not link.is_connected)
            for number in range(500):
                port.publish(number)
            await asyncio.to_thread(send, port, 500)
            await holds(lambda: port.dropped == 1000)
            await asyncio.to_thread(server.start)

            def arrives() -> bool:
                port.publish_from_thread(7)
                return bool(received.numbers)

            await holds(arrives)
            await port.stop()
            dropped = [event for event in events if isinstance(event, SignalsDropped)]
            assert sum(event.count for event in dropped) == port.dropped >= 1000
            assert {event.channel for event in dropped} == {"moved"}
            assert dropped[0].reason.startswith("there was no connection: nats://127.0.0.1:")
            assert {*received.numbers} == {7}

    run(check())


def test_drops_are_reported_once_a_second(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, sending(link) as port:
            server.kill9()
            await holds(lambda: not link.is_connected)
            times: list[float] = []
            counts: list[int] = []

            def note(event: LinkEvent) -> None:
                if isinstance(event, SignalsDropped):
                    times.append(time.monotonic())
                    counts.append(event.count)

            link.bus[LINK].subscribe(note)

            def pump() -> bool:
                port.publish_from_thread(1)
                return len(times) == 3

            await holds(pump)
            assert all(later - earlier > 0.95 for earlier, later in zip(times, times[1:], strict=False))
            await port.stop()
            assert sum(counts) == port.dropped > 3

    run(check())


def test_a_frozen_server_blocks_no_sender(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link:
            events = noted(link)
            port = signal(link, texted)
            await port.start()
            server.freeze()
            text = "x" * 10_000
            with within(20.0):  # 120 MB are encoded meanwhile
                for _ in range(12_000):
                    port.publish(text)
            assert port.dropped >= 12_000 - 8192
            await port.stop()
            assert sum(event.count for event in events if isinstance(event, SignalsDropped)) == port.dropped
            assert [event.reason for event in events if isinstance(event, SignalsDropped)] == [
                "more than 8192 messages waited for the connection"
            ]
        server.thaw()

    run(check())


def test_a_blocked_loop_blocks_no_thread(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, sending(link) as port:
            thread = threading.Thread(target=send, args=[port, 10_000])
            thread.start()
            thread.join()  # blocks the loop
            await port.stop()
            assert port.dropped == 10_000 - 8192

    run(check())


def test_calls_that_send_nothing_raise(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link:
            port = signal(link, texted)
            for _ in range(2):
                with pytest.raises(LinkClosed, match="'texted'"):
                    port.publish("a")
                with pytest.raises(LinkClosed):
                    port.publish_from_thread("a")
                await port.start()
                port.publish("a")
                await port.stop()
            await port.start()
            with pytest.raises(EncodeFailed):
                port.publish(1)  # type: ignore[arg-type]
            with pytest.raises(TooLarge, match=r"1048\d\d\d bytes, and the server allows 1048576"):
                port.publish("x" * (1 << 20))
            with pytest.raises(TooLarge):
                port.publish_from_thread("x" * (1 << 20))
            with pytest.raises(LoopError, match="use publish_from_thread"):
                await asyncio.to_thread(port.publish, "a")
            await port.stop()
            assert port.dropped == 0

    run(check())


def test_signals_that_a_slow_listener_cannot_take_are_counted(server: NatsServer) -> None:
    has_begun, may_go_on = threading.Event(), threading.Event()

    def listener(_: int) -> None:
        has_begun.set()
        may_go_on.wait()

    async def check() -> None:
        async with (
            receiving(server, listener=listener, most=5) as received,
            linked(server) as link,
            sending(link) as port,
        ):
            port.publish(0)
            await asyncio.to_thread(has_begun.wait)
            for number in range(1, 100):
                port.publish(number)
            # One is with the listener, and five wait.
            await holds(lambda: received.receiver.dropped == 94)
            await holds(lambda: received.losses == 94)
            # A busy machine delivers them over more than a second, and so in several reports.
            reports = [one for one in received.events if isinstance(one, SignalsDropped)]
            may_go_on.set()
        assert {(one.channel, one.reason) for one in reports} == {
            ("moved", "more than 5 signals waited for the listeners")
        }

    run(check())


def test_a_listener_that_fails_does_not_affect_the_next_signal(server: NatsServer) -> None:
    numbers: list[int] = []

    def listener(number: int) -> None:
        if number == 0:
            raise ValueError("no such place")
        numbers.append(number)

    async def check() -> None:
        async with receiving(server, listener=listener) as received, linked(server, name="front") as link:
            async with sending(link) as port:
                for number in range(3):
                    port.publish(number)
                await holds(lambda: numbers == [1, 2])
            (text,) = (one for one in received.logged if "failed" in one)
            assert text.startswith(f"a listener of 'moved' failed on a signal of {link.origin}\n")
            assert "ValueError: no such place" in text
            assert received.receiver.dropped == 0

    run(check())


def test_a_signal_that_cannot_be_decoded_is_counted_and_logged_once(server: NatsServer) -> None:
    async def check() -> None:
        async with receiving(server) as received, raw(server) as client:
            headers = {"Tb-Origin": "elsewhere", "Tb-Schema": "0123456789abcdef"}
            for data in (b"", b"\xff", b'{"arg0":"x"}', b'{"arg0":1}'):
                await client.publish("typedbus.signal.moved", data, headers=headers)
            await holds(lambda: received.numbers == [1])
            await holds(lambda: received.losses == 3)
            (text,) = (one for one in received.logged if "dropped" in one)
            assert text.startswith("a signal of elsewhere was dropped: a message on 'moved' cannot be decoded")
            mismatches = [event for event in received.events if isinstance(event, SchemaMismatch)]
            assert [(one.origin, one.theirs) for one in mismatches] == [("elsewhere", "0123456789abcdef")]

    run(check())


def test_signals_that_wait_at_the_stop_are_counted(server: NatsServer) -> None:
    has_begun, may_go_on = threading.Event(), threading.Event()

    def listener(_: int) -> None:
        has_begun.set()
        may_go_on.wait()

    async def check() -> None:
        async with linked(server) as link, sending(link) as port:
            async with receiving(server, listener=listener) as received:
                for number in range(10):
                    port.publish(number)
                await asyncio.to_thread(has_begun.wait)
                for one in (link, received.receiver.link):
                    await one.session("test").connection.flush(5.0)
                # The listener returns when the others have been dropped.
                releasing = asyncio.create_task(holds(lambda: received.receiver.dropped == 9))
                releasing.add_done_callback(lambda _: may_go_on.set())
            await releasing
            assert received.losses == 9

    run(check())


def test_a_user_without_permission_is_reported(tmp_path: Path) -> None:
    users = (
        "authorization { users: [{ user: shop, password: secret, "
        'permissions: { publish: ["_INBOX.>"], subscribe: ["_INBOX.>"] } }] }'
    )

    async def check(server: NatsServer) -> None:
        async with linked(server, user="shop:secret") as link, sending(link) as port:
            events = noted(link)
            port.publish(1)
            await holds(lambda: events)
            assert events == [
                SignalsDropped(
                    "moved", 1, "the server denies this user to publish on the subject 'typedbus.signal.moved'"
                )
            ]
            receiver = Receiver(link, link.bus[moved])
            with pytest.raises(Denied, match=r"to subscribe to the subject 'typedbus\.signal\.moved'"):
                await receiver.receive(Stopping())

    with NatsServer(tmp_path, config=users) as server:
        run(check(server))


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("most", 0, "pass a whole number from 1 up"),
        ("most", True, "pass a whole number from 1 up"),
        ("most", 1.5, "pass a whole number from 1 up"),
        # It is a part of a line of the protocol.
        ("group", "a 1\r\nPUB b 0\r\n", "pass printable ASCII characters without spaces, or None"),
        ("group", "", "pass printable ASCII characters without spaces, or None"),
        ("group", 7, "pass printable ASCII characters without spaces, or None"),
    ],
)
def test_an_option_that_a_receiver_cannot_use_is_refused(option: str, value: Any, remedy: str) -> None:
    bus = Bus()
    options: dict[str, Any] = {option: value}
    with pytest.raises(PortFault) as fault:
        Receiver(Link(bus, ["nats://127.0.0.1:1"]), bus[moved], **options)
    assert str(fault.value) == f"channel {moved.name!r}: {option}={value!r} cannot be used: {remedy}"


def test_a_receiver_receives_again_after_five_restarts_of_the_server(server: NatsServer) -> None:
    async def check() -> None:
        async with receiving(server) as received, linked(server) as link, sending(link) as port:
            threads = threading.active_count()
            for number in range(1, 6):
                server.kill9()
                await asyncio.to_thread(server.start)

                def arrives(number: int = number) -> bool:
                    port.publish_from_thread(number)
                    return number in received.numbers

                await holds(arrives)
            assert threading.active_count() <= threads + 1

    run(check())
