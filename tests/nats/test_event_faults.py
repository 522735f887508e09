"""Events under faults: every publish ends by its deadline with the right outcome, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import functools
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest
from nats.js.api import StreamConfig
from tests.nats.links import LATE, body, holds, linked, noted, opened, placed, run, stored, within
from tests.nats.questions import asking, gathering, quote_wanted
from tests.nats.servers import NatsServer, raw
from tests.processes import LIMIT, until

from typedbus import LOG, Channel
from typedbus.nats import (
    Denied,
    LinkClosed,
    NotStored,
    OutcomeUnknown,
    Receipt,
    Stream,
    StreamFault,
    TooLarge,
    Unresolved,
    WindowFull,
    event,
)
from typedbus.nats._durable import Durable

noted_text = Channel[[str], None]("noted")


def pump_through_kills(server: NatsServer, count: int, kills: int) -> None:
    """Submit *count* events while the server is killed *kills* times; each must be stored once."""

    async def check() -> None:
        async with linked(server) as link, opened(link, deadline=LIMIT) as port:
            futures: list[Future[Receipt]] = []

            def submit() -> None:
                futures.extend(port.submit(number) for number in range(count))

            def has(number: int) -> bool:
                return len(futures) >= number

            pumping = threading.Thread(target=submit)
            pumping.start()
            for kill in range(1, kills + 1):
                await asyncio.to_thread(until, functools.partial(has, count * kill // (kills + 1)))
                await asyncio.to_thread(server.kill9)
                await asyncio.to_thread(server.start)
            await asyncio.to_thread(pumping.join)
            receipts = await asyncio.gather(*map(asyncio.wrap_future, futures))
            bodies = await stored(server)
            assert sorted(bodies) == sorted(map(body, range(count)))
            assert all(bodies[one.sequence - 1] == body(number) for number, one in enumerate(receipts))

    run(check())


def test_each_event_is_stored_once_while_the_server_is_killed(server: NatsServer) -> None:
    pump_through_kills(server, 2000, 2)


@pytest.mark.exhaustive
def test_each_of_30000_events_is_stored_once_while_the_server_is_killed(server: NatsServer) -> None:
    pump_through_kills(server, 30_000, 3)


def test_a_frozen_server_leaves_the_outcome_unknown_at_the_deadline(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link, deadline=1.5) as port:
            server.freeze()
            with within(1.5 + LATE), pytest.raises(OutcomeUnknown) as caught:
                await port.publish(1)
            with within(1.5 + LATE), pytest.raises(OutcomeUnknown):
                await asyncio.to_thread(port.publish_from_thread, 2)
            server.thaw()
            again = await port.keyed(caught.value.message_id).publish(1)
            assert again.is_duplicate
            assert await stored(server) == [body(1), body(2)]

    run(check())


@pytest.mark.exhaustive
def test_calls_end_300_ms_after_their_deadline_at_the_latest(server: NatsServer) -> None:
    """The other tests leave a busy machine more time."""

    async def check() -> None:
        async with (
            linked(server) as link,
            opened(link, deadline=0.5) as port,
            asking(link, quote_wanted, 0.5) as asked,
            gathering(link, quote_wanted, 0.5) as gathered,
        ):
            server.freeze()
            for call in (
                port.publish(1),
                asyncio.to_thread(port.publish_from_thread, 2),
                asked.ask("mug"),
                asyncio.to_thread(asked.ask_from_thread, "mug"),
                gathered.gather("mug"),
            ):
                with within(0.5 + 0.3):
                    await asyncio.gather(call, return_exceptions=True)
            server.thaw()

    run(check())


def test_a_connection_that_blocks_delays_no_deadline_and_no_stop(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link:
            port = event(link, noted_text, stream=Stream("ORDERS"), deadline=1.0)
            await port.start()
            server.freeze()
            with within(20.0):  # 100 MB are encoded meanwhile
                outcomes = await asyncio.gather(
                    *(port.publish("x" * 900_000) for _ in range(100)), return_exceptions=True
                )
            assert {type(one) for one in outcomes} == {OutcomeUnknown}
            with within(1.0 + LATE):
                await port.stop()
            with within(10.0):
                await link.stop()
        server.thaw()

    run(check())


def test_an_event_that_was_never_sent_is_not_stored(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link, deadline=0.5) as port:
            server.kill9()
            await asyncio.to_thread(until, lambda: not link.is_connected)
            with within(0.5 + LATE), pytest.raises(NotStored, match="there was no connection"):
                await port.publish(1)

    run(check())


def test_a_user_without_permission_is_denied(tmp_path: Path) -> None:
    users = 'authorization { users: [{ user: shop, password: secret, permissions: { publish: ["$JS.API.>"], subscribe: ">" } }] }'

    async def check(server: NatsServer) -> None:
        async with linked(server, user="shop:secret") as link, opened(link) as port:
            with within(LATE), pytest.raises(Denied, match="'ORDERS.order_placed'"):
                await port.publish(1)

    with NatsServer(tmp_path, config=users) as server:
        run(check(server))


def test_a_stream_that_was_deleted_stores_nothing(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client:
            await client.jetstream().add_stream(StreamConfig(name="ORDERS", subjects=["ORDERS.>"]))
            async with linked(server) as link, opened(link, stream="ORDERS") as port:
                await port.publish(1)
                await client.jetstream().delete_stream("ORDERS")
                messages: list[object] = []
                link.bus[LOG].subscribe(lambda message, _: messages.append(message))
                for number in range(2, 5):
                    with within(LATE), pytest.raises(NotStored, match="no such stream"):
                        await port.publish(number)
                (message,) = messages
                assert str(message).startswith("events on 'order_placed' cannot be stored: stream 'ORDERS': the server")

    run(check())


def test_a_declared_stream_that_was_deleted_is_created_again(server: NatsServer) -> None:
    async def check() -> None:
        async with raw(server) as client, linked(server) as link, opened(link) as port:
            await port.publish(1)
            await client.jetstream().delete_stream("ORDERS")
            assert (await port.publish(2)).sequence == 1
            assert await stored(server) == [body(2)]

    run(check())


@pytest.mark.parametrize(
    "stream, reason",
    [
        (Stream("ORDERS", max_messages=2), "maximum messages exceeded"),
        (Stream("ORDERS", max_bytes=400), "maximum bytes exceeded"),
    ],
)
def test_a_full_stream_refuses_events_at_once(server: NatsServer, stream: Stream, reason: str) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link, stream=stream) as port:
            await port.publish(1)
            await port.publish(2)
            with within(LATE), pytest.raises(NotStored, match=reason):
                await port.publish(3)
            assert await stored(server) == [body(1), body(2)]

    run(check())


def test_the_largest_message_is_stored_and_a_larger_one_refused(tmp_path: Path) -> None:
    async def check(server: NatsServer) -> None:
        async with linked(server) as link:
            events = noted(link)
            port = event(link, noted_text, stream=Stream("ORDERS")).keyed("k")
            await port.start()
            with pytest.raises(TooLarge) as caught:
                await port.publish("x" * 4096)
            assert caught.value.limit == 4096
            overhead = caught.value.size - 4096
            with pytest.raises(TooLarge, match="has 4097 bytes, and the server allows 4096"):
                await port.publish("x" * (4097 - overhead))
            receipt = await port.publish("x" * (4096 - overhead))
            assert receipt.sequence == 1
            await port.stop()
            assert events == []

    with NatsServer(tmp_path, config="max_payload: 4096") as server:
        run(check(server))


def test_a_full_window_blocks_threads_until_the_deadline_and_the_loop_not_at_all(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link, deadline=1.5, window=1) as port:
            server.freeze()
            first = port.submit(0)
            with within(1.2), pytest.raises(WindowFull, match="1 events on 'order_placed'"):
                port.submit(1)
            with within(1.5 + LATE):
                outcomes = await asyncio.gather(
                    *(asyncio.to_thread(port.publish_from_thread, number) for number in range(2, 6)),
                    *(port.publish(number) for number in range(6, 10)),
                    return_exceptions=True,
                )
            # A slot is free when the first event ends, about when the turns of the others end.
            assert {type(one) for one in outcomes} <= {WindowFull, OutcomeUnknown}
            assert sum(isinstance(one, WindowFull) for one in outcomes) >= 6
            with pytest.raises(OutcomeUnknown):
                await asyncio.wrap_future(first)
            server.thaw()
            assert not (await port.publish(10)).is_duplicate

    run(check())


def test_events_that_wait_for_the_window_are_stored_in_the_order_of_the_calls(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link, window=2, deadline=LIMIT) as port:
            server.freeze()
            publishes = [asyncio.create_task(port.publish(number)) for number in range(20)]
            await asyncio.sleep(0)
            server.thaw()
            await asyncio.gather(*publishes)
            assert await stored(server) == [*map(body, range(20))]

    run(check())


def test_a_cancelled_publish_gives_its_slot_back(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link, window=1, deadline=LIMIT) as port:
            server.freeze()
            sent, waits = asyncio.create_task(port.publish(1)), asyncio.create_task(port.publish(2))
            await asyncio.sleep(0)
            for task in (sent, waits):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            server.thaw()
            await port.publish(3)
            # The first was on its way, the second was not.
            assert await stored(server) == [body(1), body(3)]

    run(check())


def test_a_stop_waits_for_the_events_in_flight(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link) as port:
            futures = await asyncio.to_thread(lambda: [port.submit(number) for number in range(500)])
            await port.stop()
            assert all(future.done() and future.result() for future in futures)
            assert len(await stored(server)) == 500

    run(check())


def test_a_stop_reports_the_events_without_an_outcome(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link, deadline=1.0, window=2) as port:
            events = noted(link)
            server.freeze()
            ids = ["a", "b"]
            futures = [port.keyed(one).submit(1) for one in ids]
            turn = asyncio.create_task(port.publish(2))
            await asyncio.sleep(0)
            with within(1.0 + LATE):
                await port.stop()
            assert [type(future.exception()) for future in futures] == [OutcomeUnknown, OutcomeUnknown]
            assert events == [Unresolved("order_placed", ("a", "b"))]
            with pytest.raises(LinkClosed):
                await turn
            server.thaw()

    run(check())


def test_a_stop_that_is_cut_off_reports_the_events_as_well(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link, deadline=LIMIT) as port:
            events = noted(link)
            server.freeze()
            future = port.keyed("a").submit(1)
            with within(0.1 + LATE), pytest.raises(TimeoutError):
                await asyncio.wait_for(port.stop(), 0.1)
            assert isinstance(future.exception(0), OutcomeUnknown)
            assert events == [Unresolved("order_placed", ("a",))]
            server.thaw()

    run(check())


def test_a_slot_that_is_never_given_back_does_not_hold_up_a_stop(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link:
            durable = Durable(link.session("order_placed"), "order_placed", Stream("ORDERS"), 0.5, 2)
            await durable.open(LIMIT)
            assert durable.window.take()  # as a thread that is interrupted before it hands its event over
            with within(0.5 + LATE):
                await durable.close()

    run(check())


def test_five_restarts_of_the_server_leave_nothing_behind(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server) as link, opened(link, deadline=LIMIT) as port:
            await port.publish(0)
            tasks, threads = len(asyncio.all_tasks()), threading.active_count()
            for number in range(1, 6):
                server.kill9()
                waiting = asyncio.create_task(port.publish(number))
                await asyncio.to_thread(server.start)
                with within(LIMIT):
                    await waiting
            session = link.session("test")
            assert session.replies.handlers == {}
            # `to_thread` has made one more, and only one since each call has ended.
            assert threading.active_count() <= threads + 1
            assert len(asyncio.all_tasks()) <= tasks
            assert len(await stored(server)) == 6

    run(check())


def test_events_wait_for_a_server_that_comes_late(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)

    async def check() -> None:
        async with (
            linked(server, require_at_start=False, connect_within=0.1) as link,
            opened(link, deadline=LIMIT) as port,
        ):
            future = port.submit(1)
            publish = asyncio.create_task(port.publish(2))
            await asyncio.sleep(0)
            with server:
                assert (await asyncio.wrap_future(future)).sequence == 1
                assert (await publish).sequence == 2

    run(check())


def test_a_late_server_without_the_stream_is_logged(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)

    async def check() -> None:
        async with linked(server, require_at_start=False, connect_within=0.1) as link:
            messages: list[object] = []
            link.bus[LOG].subscribe(lambda message, level: messages.append(message))
            async with opened(link, stream="ORDERS", deadline=LIMIT) as port:
                publish = asyncio.create_task(port.publish(2))
                await asyncio.sleep(0)
                with server:
                    with pytest.raises(NotStored, match="no such stream"):
                        await publish
            assert any("events on 'order_placed' cannot be stored: stream 'ORDERS'" in str(one) for one in messages)

    run(check())


def test_a_port_that_has_stopped_checks_no_stream(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)

    async def check() -> None:
        async with linked(server, require_at_start=False, connect_within=0.1) as link:
            messages: list[object] = []
            link.bus[LOG].subscribe(lambda message, _: messages.append(message))
            async with opened(link, stream="ORDERS"):
                pass
            with server:
                await holds(lambda: link.is_connected)
                with pytest.raises(StreamFault, match="no such stream"):
                    await event(link, placed, stream="ORDERS").start()
                assert not [one for one in messages if "cannot be stored" in str(one)]

    run(check())


def test_a_stream_that_does_not_fit_fails_the_start(server: NatsServer) -> None:
    async def check() -> None:
        async with linked(server, connect_within=1.0) as link:
            with pytest.raises(StreamFault, match="no such stream"):
                await event(link, placed, stream="ORDERS").start()
            await event(link, placed, stream=Stream("ORDERS", duplicate_window=9.0), deadline=4.0).start()
            port = event(link, placed, stream="ORDERS", deadline=5.0)
            with pytest.raises(StreamFault, match=r"remembers the ids of events for 9 s.*again for 10 s"):
                await port.start()
            with pytest.raises(LinkClosed):
                await port.publish(1)

    run(check())
