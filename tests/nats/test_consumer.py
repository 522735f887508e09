"""Events of a stream call the listeners of the channel, in one process of each group."""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import threading
from typing import Any

import attrs
import pytest
from tests.nats.consuming import Seen, consumer_alone, consumer_site, placed, placed_async, position, received_by_group
from tests.nats.servers import NatsServer, raw
from tests.processes import until

from typedbus import Bus, Channel, TransitionFailures, running
from typedbus.nats import (
    Consumer,
    ConsumerFault,
    Link,
    NoDelivery,
    Redelivery,
    SchemaMismatch,
    Stream,
    delivery,
)
from typedbus.nats._delivery import received


def test_the_listeners_of_a_sync_channel_run_in_a_thread_of_the_consumer(server: NatsServer) -> None:
    seen = Seen()

    def listener(number: int) -> None:
        seen.put((number, threading.current_thread().name))

    with running(consumer_site(server, placed, listener)) as site:
        for number in range(10):
            site.port().publish_from_thread(number)
        assert seen.take(10) == [(number, "Site.consumer") for number in range(10)]


def test_the_listeners_of_an_async_channel_run_in_tasks_on_the_loop_of_the_bus(server: NatsServer) -> None:
    seen = Seen()

    async def listener(number: int) -> None:
        seen.put((number, threading.current_thread().name))

    with running(consumer_site(server, placed_async, listener)) as site:
        for number in range(10):
            site.port().publish_from_thread(number)
        assert seen.take(10) == [(number, "Site event loop") for number in range(10)]


@pytest.mark.parametrize("channel", [placed, placed_async], ids=["sync", "async"])
def test_as_many_events_are_handled_at_a_time_as_concurrency_allows(server: NatsServer, channel: Any) -> None:
    began, release = Seen(), threading.Event()

    def blocking(number: int) -> None:
        began.put(number)
        release.wait(60)

    async def waiting(number: int) -> None:
        await asyncio.to_thread(blocking, number)

    listener = waiting if channel is placed_async else blocking
    with running(consumer_site(server, channel, listener, concurrency=3)) as site:
        for number in range(5):
            site.port().publish_from_thread(number)
        assert sorted(began.take(3)) == [0, 1, 2]
        assert began.empty()
        release.set()
        assert sorted(began.take(2)) == [3, 4]


def test_each_group_receives_every_event_and_a_group_receives_it_once(server: NatsServer) -> None:
    invoicing, shipping = Seen(), Seen()
    with (
        running(consumer_site(server, placed, invoicing.put, group="invoicing")) as first,
        running(consumer_site(server, placed, invoicing.put, group="invoicing")),
        running(consumer_site(server, placed, shipping.put, group="shipping")),
    ):
        for number in range(100):
            first.port().publish_from_thread(number)
        assert sorted(invoicing.take(100)) == [*range(100)]
        assert sorted(shipping.take(100)) == [*range(100)]
        until(lambda: received_by_group(server, "invoicing") == 100)
    assert invoicing.empty()


def test_a_group_receives_the_events_that_were_stored_while_no_process_of_it_ran(server: NatsServer) -> None:
    seen = Seen()
    with running(consumer_site(server, placed, seen.put)) as site:
        site.port().publish_from_thread(1)
        assert seen.next() == 1
    with running(consumer_site(server, placed, group="other")) as other:
        other.port().publish_from_thread(2)
    with running(consumer_site(server, placed, seen.put)):
        assert seen.next() == 2
    assert seen.empty()


def test_an_event_is_acknowledged_when_all_listeners_have_returned(server: NatsServer) -> None:
    seen, release = Seen(), threading.Event()

    def second(number: int) -> None:
        seen.put(number)
        release.wait(60)

    with running(consumer_site(server, placed, seen.put, second)) as site:
        site.port().publish_from_thread(7)
        assert seen.take(2) == [7, 7]
        assert received_by_group(server, "invoicing") == 0
        release.set()
        until(lambda: received_by_group(server, "invoicing") == 1)


def test_the_listener_knows_the_delivery(server: NatsServer) -> None:
    seen = Seen()

    def listener(number: int) -> None:
        seen.put(delivery())

    with running(consumer_site(server, placed, listener)) as site:
        receipt = site.port().keyed("order-17").publish_from_thread(17)
        found = seen.next()
        assert (found.message_id, found.attempt, found.subject) == ("order-17", 1, "ORDERS.order_placed")
        assert (found.sequence, found.origin) == (receipt.sequence, site.link_().origin)

        async def time_of_event() -> Any:
            async with raw(server) as client:
                return (await client.jetstream().get_msg("ORDERS", receipt.sequence)).time

        assert found.published_at == asyncio.run(time_of_event())


def test_the_tasks_of_an_async_listener_know_the_delivery(server: NatsServer) -> None:
    seen = Seen()

    async def listener(number: int) -> None:
        first, second = await asyncio.gather(asyncio.to_thread(delivery), asyncio.create_task(id_of_delivery()))
        seen.put((first.message_id, second))

    async def id_of_delivery() -> str:
        return delivery().message_id

    with running(consumer_site(server, placed_async, listener)) as site:
        for number in range(3):
            site.port().keyed(f"order-{number}").publish_from_thread(number)
        assert seen.take(3) == [(f"order-{number}", f"order-{number}") for number in range(3)]


_SET: contextvars.ContextVar[int | None] = contextvars.ContextVar("set by a listener", default=None)


def test_a_context_variable_that_a_listener_sets_ends_with_the_event(server: NatsServer) -> None:
    seen = Seen()

    def listener(number: int) -> None:
        seen.put((number, _SET.get()))
        _SET.set(number)

    with running(consumer_site(server, placed, listener)) as site:
        for number in range(20):
            site.port().submit(number)
        assert seen.take(20) == [(number, None) for number in range(20)]


@attrs.frozen
class _Message:
    reply: str
    subject: str = "ORDERS.order_placed"
    data: bytes = b""
    headers: None = None


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.ORDERS.invoicing@order_placed.3.17.21.1700000000123456789.5",
        "$JS.ACK.hub.ACCOUNT.ORDERS.invoicing@order_placed.3.17.21.1700000000123456789.5",
        "$JS.ACK._.ACCOUNT.ORDERS.invoicing@order_placed.3.17.21.1700000000123456789.5.random",
    ],
    ids=["without a domain", "with a domain", "with a random end"],
)
def test_each_form_of_the_subject_of_acknowledgements_is_read(reply: str) -> None:
    event = received("order_placed", _Message(reply))
    assert event is not None
    found = event.delivery
    assert (found.message_id, found.attempt, found.sequence) == ("ORDERS/17", 3, 17)
    assert found.published_at == dt.datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=dt.UTC)


@pytest.mark.parametrize("reply", ["", "_INBOX.a.b", "$JS.FC.ORDERS.a.b", "$JS.ACK.a.b.c.d.e.f.g.h"])
def test_a_message_that_no_stream_has_sent_is_no_event(reply: str) -> None:
    assert received("order_placed", _Message(reply)) is None


def test_a_listener_that_no_consumer_has_called_has_no_delivery() -> None:
    with pytest.raises(
        NoDelivery, match=r"there is no delivery: call delivery\(\) in a listener that a Consumer calls"
    ):
        delivery()


def test_an_event_that_was_published_by_another_program_has_its_position_as_id(server: NatsServer) -> None:
    seen = Seen()

    def listener(number: int) -> None:
        found = delivery()
        seen.put((number, found.message_id, found.origin))

    async def publish() -> None:
        async with raw(server) as client:
            await client.jetstream().publish("ORDERS.order_placed", b'{"arg0": 5}')

    with running(consumer_site(server, placed, listener)):
        asyncio.run(publish())
        assert seen.next() == (5, "ORDERS/1", "")


def test_a_forwarded_event_does_not_return_to_the_stream(server: NatsServer) -> None:
    here, there = Seen(), Seen()
    with (
        running(consumer_site(server, placed, here.put, group="here")) as first,
        running(consumer_site(server, placed, group="there")) as second,
    ):
        bound = second.bus()[placed]

        def listener(number: int) -> None:
            there.put(number)
            if number == 1000:
                # Another event, which the listener publishes itself, is forwarded.
                bound.publish(2000)

        for site, one in ((first, here.put), (second, listener)):
            site.bus()[placed].subscribe(site.port().forward_from_thread)
            site.bus()[placed].subscribe(one)
        first.bus()[placed].publish(1000)
        assert [there.next(), there.next()] == [1000, 2000]
        assert there.next() == 2000  # from the stream
        until(lambda: received_by_group(server, "here") == received_by_group(server, "there") == 2)
        assert position(server, "here").num_pending == 0
    assert there.empty()
    assert sorted(here.take(here.qsize())) == [1000, 1000, 2000]


def test_the_first_event_of_a_process_with_another_schema_is_reported(server: NatsServer) -> None:

    seen, events = Seen(), Seen()

    async def publish() -> None:
        async with raw(server) as client:
            for _ in range(3):
                headers = {"Tb-Schema": "0" * 16, "Tb-Origin": "shop@a:1"}
                await client.jetstream().publish("ORDERS.order_placed", b'{"arg0": 5, "more": 1}', headers=headers)

    def keep(event: object) -> None:
        if isinstance(event, SchemaMismatch):
            events.put(event)

    with running(consumer_site(server, placed, seen.put, events=keep)):
        asyncio.run(publish())
        assert seen.take(3) == [5, 5, 5]
        found = events.next()
        assert (found.channel, found.origin, found.theirs) == ("order_placed", "shop@a:1", "0" * 16)
        assert events.empty()


def test_a_consumer_without_listeners_takes_no_events_and_is_not_ready(server: NatsServer) -> None:
    seen, lines = Seen(), Seen()

    def log(message: str, level: int) -> None:
        if "takes no events" in message:
            lines.put((message, level))

    with running(consumer_site(server, placed, log=log)) as site:
        assert lines.next() == (
            "Site.consumer takes no events: channel 'order_placed' has no listener: subscribe one, or remove the consumer",
            40,
        )
        site.port().publish_from_thread(3)
        check = site.consumer().check()
        assert not check.is_ok
        assert "has no listener" in check.detail
        site.bus()[placed].subscribe(seen.put)
        assert seen.next() == 3
        until(lambda: site.consumer().check().is_ok)
        assert lines.empty()


def test_a_bus_that_starts_again_continues_where_it_was(server: NatsServer) -> None:
    seen = Seen()
    with running(consumer_site(server, placed, seen.put)) as site:
        for number in range(5):
            site.port().publish_from_thread(number)
            assert seen.next() == number
            site.bus().stop()
            site.bus().start()
        until(lambda: received_by_group(server, "invoicing") == 5)
    assert seen.empty()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"group": "in voicing"}, "group='in voicing' cannot be used: use letters and digits of ASCII, '_' and '-'"),
        ({"group": "a" * 250}, "with the channel it is longer than 255 characters"),
        ({"prefetch": 0}, "prefetch=0 cannot be used: pass an int from 1 to 32768"),
        ({"concurrency": 1.5}, "concurrency=1.5 cannot be used"),
        ({"concurrency": True}, "concurrency=True cannot be used"),
        (
            {"concurrency": 2, "in_order": True},
            "concurrency=2 cannot be used: in_order=True handles one event at a time",
        ),
    ],
)
def test_arguments_that_a_consumer_cannot_use_are_refused(options: dict[str, Any], text: str) -> None:
    bus = Bus()
    with pytest.raises(ConsumerFault) as failed:
        Consumer(Link(bus, ["nats://127.0.0.1:1"]), bus[placed], **{"stream": "ORDERS", "group": "a", **options})
    assert text in str(failed.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"attempts": 0}, "attempts=0 cannot be used: pass an int of at least 1"),
        ({"attempts": True}, "attempts=True cannot be used"),
        ({"first": -1}, "first=-1 cannot be used: pass a number of seconds of at least 0"),
        ({"first": 5, "longest": 1}, "longest=1 cannot be used: pass a number of seconds of at least 5"),
        ({"ack_wait": 0.01}, "ack_wait=0.01 cannot be used: pass a number of seconds of at least 0.1"),
        ({"ack_wait": float("nan")}, "ack_wait=nan cannot be used"),
    ],
)
def test_arguments_that_a_redelivery_cannot_use_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConsumerFault) as failed:
        Redelivery(**options)
    assert text in str(failed.value)


def test_the_delay_doubles_up_to_the_longest() -> None:
    redelivery = Redelivery(first=0.5, longest=3.0)
    assert [redelivery.delay(attempt) for attempt in (1, 2, 3, 4, 5000)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@attrs.frozen
class _Refused:
    text: str
    stream: Any = "ORDERS"
    make: dict[str, Any] | None = None
    consumer: dict[str, Any] | None = None


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(_Refused("the server has no such stream: create it, or pass Stream(...)"), id="missing"),
        pytest.param(
            _Refused("it stores OTHER, and not 'ORDERS.order_placed'", make={"subjects": ["OTHER"]}), id="subject"
        ),
        pytest.param(
            _Refused(
                "it does not store 'ORDERS.$dead.invoicing.order_placed', the subject of dead letters",
                make={"subjects": ["ORDERS.order_placed"]},
            ),
            id="dead letters",
        ),
        pytest.param(
            _Refused(
                "its consumer 'invoicing@order_placed' cannot have the settings of this group",
                make={"subjects": ["ORDERS.>"]},
                consumer={"durable_name": "invoicing@order_placed", "ack_policy": "none", "deliver_subject": "a"},
            ),
            id="consumer",
        ),
    ],
)
def test_the_start_fails_with_a_stream_or_a_consumer_that_does_not_fit(server: NatsServer, case: _Refused) -> None:
    async def prepare() -> None:
        async with raw(server) as client:
            streams = client.jetstream()
            if case.make is not None:
                await streams.add_stream(name="ORDERS", **case.make)
            if case.consumer is not None:
                await streams.add_consumer("ORDERS", **case.consumer)

    asyncio.run(prepare())
    site = consumer_alone(server, placed, print, stream=case.stream)
    with pytest.raises(TransitionFailures) as failed, running(site):
        pass
    assert case.text in str(failed.value.exceptions[0])


def test_the_settings_of_a_consumer_are_those_of_the_last_start(server: NatsServer) -> None:
    async def settings() -> Any:
        async with raw(server) as client:
            return (await client.jetstream().consumer_info("ORDERS", "invoicing@order_placed")).config

    for prefetch, ack_wait in ((5, 1.0), (7, 2.0)):
        with running(consumer_site(server, placed, print, prefetch=prefetch, redelivery=Redelivery(ack_wait=ack_wait))):
            found = asyncio.run(settings())
            assert (found.max_ack_pending, found.ack_wait, found.max_deliver) == (prefetch, ack_wait, -1)


def test_channels_and_groups_have_consumers_of_their_own() -> None:
    bus = Bus()
    link = Link(bus, ["nats://127.0.0.1:1"])
    names = {
        Consumer(link, bus[Channel[[int], None](channel)], stream=Stream("ORDERS"), group=group).position.name
        for group in ("a", "a-b", "a_b")
        for channel in ("b", "b.c", "b,c", "b-c", "b_c", "b@c", "b=2Ec")
    }
    assert len(names) == 21


def test_the_run_is_ready_when_it_takes_events(server: NatsServer) -> None:
    lines = Seen()

    def log(text: str, _level: int) -> None:
        if text.endswith(("begins", "is ready")):
            lines.put(text)

    site = consumer_alone(server, placed, lambda _: None, log=log)()
    with running(site):
        assert lines.take(2) == ["run Site.consumer begins", "run Site.consumer is ready"]
    idle = consumer_alone(server, placed, log=log)()
    with running(idle):
        assert lines.next() == "run Site.consumer begins"
        until(lambda: idle.consumer().check().detail.endswith("remove the consumer"))
        assert lines.empty()
