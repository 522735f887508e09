"""Events whose listeners fail are delivered again, and become dead letters; none is lost."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import Any

import pytest
from tests.nats.consuming import Seen, consumer_alone, consumer_site, placed, placed_async, position, received_by_group
from tests.nats.servers import NatsServer, raw
from tests.processes import until

from typedbus import running
from typedbus.nats import DeadLettered, Redelivery, Retried, Stream, delivery

FAST = Redelivery(attempts=3, first=0.05, longest=0.2)


def dead_letters(server: NatsServer, group: str = "invoicing", channel: str = "order_placed") -> list[Any]:
    """Return the dead letters of a group."""

    async def read() -> list[Any]:
        async with raw(server) as client:
            streams = client.jetstream()
            subject = f"ORDERS.$dead.{group}.{channel}"
            state = (await streams.stream_info("ORDERS", subjects_filter=subject)).state
            found = []
            sequence = 1
            for _ in range((state.subjects or {}).get(subject, 0)):
                message = await streams.get_msg("ORDERS", sequence, subject=subject, next=True)
                found.append(message)
                assert message.seq is not None
                sequence = message.seq + 1
            return found

    return asyncio.run(read())


def publish(server: NatsServer, *bodies: bytes, **headers: str) -> None:
    """Store messages on the subject of the channel, as another program does."""

    async def send() -> None:
        async with raw(server) as client:
            for body in bodies:
                await client.jetstream().publish("ORDERS.order_placed", body, headers=headers or None)

    asyncio.run(send())


@pytest.mark.parametrize("channel", [placed, placed_async], ids=["sync", "async"])
def test_a_failing_event_is_delivered_as_often_and_as_late_as_the_redelivery_demands(
    server: NatsServer, channel: Any
) -> None:
    calls, events = Seen(), Seen()

    def fail(number: int) -> None:
        calls.put((time.monotonic(), delivery().attempt))
        raise ValueError("out of stock\nand \N{SNOWMAN}")

    async def fail_async(number: int) -> None:
        fail(number)

    listener = fail if channel is placed else fail_async
    redelivery = Redelivery(attempts=4, first=0.2, longest=0.4)
    with running(consumer_site(server, channel, listener, events=events.put, redelivery=redelivery)) as site:
        events.next()  # Connected
        receipt = site.port().publish_from_thread(17)
        times, attempts = zip(*calls.take(4), strict=True)
        assert attempts == (1, 2, 3, 4)
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        for pause, expected in zip(pauses, (0.2, 0.4, 0.4), strict=True):
            assert expected <= pause < expected + 10
        found = events.take(4)
        reason = found[0].reason
        assert "ValueError('out of stock\\nand \N{SNOWMAN}')" in reason
        assert found == [
            *(
                Retried("order_placed", receipt.message_id, attempt, delay, reason)
                for attempt, delay in ((1, 0.2), (2, 0.4), (3, 0.4))
            ),
            DeadLettered("order_placed", receipt.message_id, 4, "ORDERS.$dead.invoicing.order_placed", reason),
        ]
        until(lambda: position(server).num_ack_pending == 0)
        (letter,) = dead_letters(server)
        assert letter.data == b'{"arg0":17}'
        assert letter.headers["Tb-Dead-Channel"] == "order_placed"
        assert letter.headers["Tb-Dead-Group"] == "invoicing"
        assert letter.headers["Tb-Dead-Kind"] == "ValueError"
        assert "out of stock\\nand \\u2603" in letter.headers["Tb-Dead-Reason"]
        assert letter.headers["Tb-Dead-Message-Id"] == receipt.message_id
        assert letter.headers["Tb-Dead-Sequence"] == str(receipt.sequence)
        assert letter.headers["Tb-Dead-Attempts"] == "4"
        assert letter.headers["Tb-Origin"] == site.link_().origin
        assert len(letter.headers["Tb-Schema"]) == 16
        assert letter.headers["Tb-Dead-Published"] <= letter.headers["Tb-Dead-At"]
    assert calls.empty()


def test_the_reason_has_the_failures_of_all_listeners(server: NatsServer) -> None:
    events, seen = Seen(), Seen()

    def first(number: int) -> None:
        raise ValueError("first")

    def second(number: int) -> None:
        raise KeyError("second")

    redelivery = Redelivery(attempts=1)
    with running(
        consumer_site(server, placed, first, seen.put, second, events=events.put, redelivery=redelivery)
    ) as site:
        events.next()
        site.port().publish_from_thread(17)
        found = events.next()
        assert isinstance(found, DeadLettered)
        assert "first: ValueError('first'); " in found.reason
        assert found.reason.endswith("second: KeyError('second')")
        assert seen.next() == 17
        (letter,) = dead_letters(server)
        assert letter.headers["Tb-Dead-Kind"] == "ValueError, KeyError"


def test_an_event_that_fails_once_is_handled_at_the_next_delivery(server: NatsServer) -> None:
    seen = Seen()

    def listener(number: int) -> None:
        attempt = delivery().attempt
        seen.put((number, attempt))
        if attempt == 1:
            raise ValueError(number)

    with running(consumer_site(server, placed, listener, redelivery=FAST)) as site:
        for number in (1, 2):
            site.port().publish_from_thread(number)
        assert sorted(seen.take(4)) == [(1, 1), (1, 2), (2, 1), (2, 2)]
        until(lambda: received_by_group(server) == 2)
        assert dead_letters(server) == []


def test_in_order_holds_while_an_event_fails(server: NatsServer) -> None:
    seen = Seen()

    def listener(number: int) -> None:
        seen.put(number)
        if number == 3 and delivery().attempt < 3:
            raise ValueError(number)

    options: dict[str, Any] = {"redelivery": FAST, "in_order": True}
    with (
        running(consumer_site(server, placed, listener, **options)) as site,
        running(consumer_site(server, placed, listener, **options)),
    ):
        for number in range(20):
            site.port().publish_from_thread(number)
        assert seen.take(22) == [0, 1, 2, 3, 3, *range(3, 20)]


def test_in_order_continues_after_a_dead_letter(server: NatsServer) -> None:
    seen = Seen()

    def listener(number: int) -> None:
        seen.put(number)
        if number == 1:
            raise ValueError(number)

    with running(consumer_site(server, placed, listener, redelivery=FAST, in_order=True)) as site:
        for number in range(4):
            site.port().publish_from_thread(number)
        assert seen.take(6) == [0, 1, 1, 1, 2, 3]
        assert len(dead_letters(server)) == 1


POISON = {
    "garbage": b"\x00\x01 no JSON",
    "nested": b"{" * 5000,
    "nested argument": b'{"arg0":' * 5000,
    "no UTF-8": b'{"arg0": "\xff"}',
    "wrong type": b'{"arg0": "1"}',
    "missing argument": b"{}",
    "empty": b"",
}


@pytest.mark.parametrize("channel", [placed, placed_async], ids=["sync", "async"])
def test_an_event_that_cannot_be_decoded_is_a_dead_letter_at_once(server: NatsServer, channel: Any) -> None:
    seen, events = Seen(), Seen()
    with running(consumer_site(server, channel, seen.put, events=events.put)):
        events.next()
        publish(server, *POISON.values(), b'{"arg0": 1}')
        assert seen.next() == 1
        found = events.take(len(POISON))
        assert {type(event) for event in found} == {DeadLettered}
        assert {event.attempts for event in found} == {1}
        until(lambda: position(server).num_ack_pending == 0)
        letters = dead_letters(server)
        assert {letter.data or b"" for letter in letters} == set(POISON.values())
        assert {letter.headers["Tb-Dead-Kind"] for letter in letters} == {"DecodeFailed"}
        reasons = [letter.headers["Tb-Dead-Reason"] for letter in letters]
        assert any("missing required field `arg0`" in reason for reason in reasons)
    assert seen.empty()


@pytest.mark.slow
def test_one_bad_event_in_a_thousand_does_not_hold_up_the_others(server: NatsServer) -> None:
    seen = Seen()
    with running(consumer_site(server, placed, seen.put)) as site:
        port = site.port()
        futures = []
        for number in range(1000):
            if number == 500:
                publish(server, b"\xff")
            else:
                futures.append(port.submit(number))
        for future in futures:
            future.result(60)
        assert sorted(seen.take(999)) == [number for number in range(1000) if number != 500]
        until(lambda: position(server).num_ack_pending == 0)
        assert [letter.data for letter in dead_letters(server)] == [b"\xff"]


def test_an_event_that_no_process_has_acknowledged_is_a_dead_letter_without_a_call(server: NatsServer) -> None:
    seen, events = Seen(), Seen()
    redelivery = Redelivery(attempts=3, ack_wait=0.5)

    async def receive_and_die() -> None:
        async with raw(server) as client:
            group = position_config.deliver_group
            subscription = await client.subscribe(position_config.deliver_subject, queue=group)
            for _ in range(3):
                message = await subscription.next_msg(timeout=10)
                await message.nak()
            await client.flush()

    with running(consumer_site(server, placed, seen.put, redelivery=redelivery)):
        position_config = position(server).config
    publish(server, b'{"arg0": 1}')
    asyncio.run(receive_and_die())
    with running(consumer_site(server, placed, seen.put, events=events.put, redelivery=redelivery)):
        events.next()
        found = events.next()
        assert isinstance(found, DeadLettered)
        # One more may have reached the client while it left.
        assert found.reason[0] in "34"
        assert found.reason[1:] == " deliveries ended without an acknowledgement: the process died, or a listener hangs"
        (letter,) = dead_letters(server)
        assert (letter.data, letter.headers["Tb-Dead-Kind"]) == (b'{"arg0": 1}', "NotAcknowledged")
    assert seen.empty()


def test_an_event_whose_dead_letter_cannot_be_stored_is_not_lost(server: NatsServer) -> None:
    lines, events = Seen(), Seen()

    def log(message: str, level: int) -> None:
        if "was not stored" in message:
            lines.put((message, level))

    def fail(number: int) -> None:
        raise ValueError(number)

    stream = Stream("ORDERS", max_messages=2)
    site_ = consumer_alone(server, placed, fail, stream=stream, redelivery=FAST, log=log, events=events.put)
    with running(site_):
        events.next()
        publish(server, b'{"arg0": 1}', b'{"arg0": 2}')
        message, level = lines.next()
        assert "maximum messages exceeded" in message
        assert level == 40
        lines.next()
        lines.next()  # tried again
        assert position(server).num_ack_pending == 2

        async def make_room() -> None:
            async with raw(server) as client:
                streams = client.jetstream()
                config = (await streams.stream_info("ORDERS")).config
                await streams.update_stream(config.evolve(max_msgs=10))

        asyncio.run(make_room())
        until(lambda: position(server).num_ack_pending == 0)
        assert len(dead_letters(server)) == 2


def test_the_dead_letter_of_the_largest_event_has_no_body(server: NatsServer) -> None:
    events = Seen()
    body = b'{"arg0": "' + b"x" * (1024 * 1024 - 12) + b'"}'
    with running(consumer_site(server, placed, print, events=events.put)):
        events.next()
        publish(server, body)
        assert isinstance(events.next(), DeadLettered)
        (letter,) = dead_letters(server)
        assert letter.headers["Tb-Dead-Body"] == f"{len(body)} bytes left out"
        assert letter.headers["Tb-Dead-Sequence"] == "1"


def test_a_listener_that_runs_longer_than_ack_wait_is_called_once(server: NatsServer) -> None:
    seen, over = Seen(), Seen()

    def listener(number: int) -> None:
        seen.put(number)
        threading.Event().wait(3.0)
        over.put(number)

    with running(consumer_site(server, placed, listener, redelivery=Redelivery(ack_wait=1.5))) as site:
        # The second waits for the first, and is not delivered again either.
        for number in (1, 2):
            site.port().publish_from_thread(number)
        assert over.take(2) == [1, 2]
        until(lambda: position(server).num_ack_pending == 0)
        assert position(server).num_redelivered == 0
        assert position(server).delivered.consumer_seq == 2
    assert seen.take(2) == [1, 2]
    assert seen.empty()


@pytest.mark.parametrize("channel", [placed, placed_async], ids=["sync", "async"])
def test_an_event_whose_listener_hangs_is_handled_by_another_process(server: NatsServer, channel: Any) -> None:
    hanging, handled, lines = Seen(), Seen(), Seen()
    release = threading.Event()

    def hang(number: int) -> None:
        hanging.put(number)
        release.wait(60)

    async def hang_async(number: int) -> None:
        await asyncio.to_thread(hang, number)

    def log(message: str, level: int) -> None:
        if "have not returned" in message or "takes no events" in message:
            lines.put((message, level))

    redelivery = Redelivery(attempts=4, ack_wait=0.5)
    listener = hang if channel is placed else hang_async
    with running(consumer_site(server, channel, listener, redelivery=redelivery, log=log)) as site:
        for number in (1, 2):
            site.port().keyed(f"order-{number}").publish_from_thread(number)
        assert hanging.next() == 1
        with running(consumer_alone(server, channel, handled.put, redelivery=redelivery)):
            message, level = lines.next()
            assert level == 40
            assert "have not returned from the event order-1 for 2 s; the server will deliver it again" in message
            assert "release.wait(60)" in message or "await asyncio.to_thread" in message
            assert lines.next() == (
                "Site.consumer takes no events: the listeners of channel 'order_placed' hang",
                40,
            )
            assert not site.consumer().check().is_ok
            # The event that waited behind the hanging one comes as well.
            assert sorted(handled.take(2)) == [1, 2]
            release.set()
            until(lambda: site.consumer().check().is_ok)
    assert hanging.empty()


def test_an_event_that_hangs_in_the_only_process_becomes_a_dead_letter(server: NatsServer) -> None:
    hanging, events = Seen(), Seen()
    release = threading.Event()

    def hang(number: int) -> None:
        hanging.put(number)
        release.wait(60)

    redelivery = Redelivery(attempts=2, first=0.05, longest=0.1, ack_wait=0.3)
    with running(consumer_site(server, placed, hang, redelivery=redelivery, events=events.put, concurrency=2)) as site:
        events.next()
        site.port().publish_from_thread(1)
        found = events.next()
        assert isinstance(found, DeadLettered)
        assert "or a listener hangs" in found.reason
        release.set()
    assert hanging.next() == 1
    assert hanging.empty()


@pytest.mark.parametrize("channel", [placed, placed_async], ids=["sync", "async"])
@pytest.mark.parametrize("interrupt", [SystemExit(3), KeyboardInterrupt()], ids=["SystemExit", "KeyboardInterrupt"])
def test_a_listener_that_raises_system_exit_exits_the_bus_and_its_event_is_delivered_again(
    server: NatsServer, channel: Any, interrupt: BaseException
) -> None:
    seen = Seen()

    def leave(number: int) -> None:
        raise interrupt

    async def leave_async(number: int) -> None:
        raise interrupt

    site_ = consumer_site(server, channel, leave if channel is placed else leave_async, redelivery=FAST)
    with pytest.raises(type(interrupt)), running(site_) as site:
        site.port().publish_from_thread(1)
        site.bus().block()

    def listener(number: int) -> None:
        seen.put((number, delivery().attempt))

    with running(consumer_site(server, channel, listener, redelivery=FAST)):
        assert seen.next() == (1, 2)
