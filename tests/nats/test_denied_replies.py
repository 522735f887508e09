"""A user who may not subscribe to the subjects of replies: a start or a call that needs them names the permission."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.nats.links import holds, linked, opened, placed, run
from tests.nats.questions import answering, quote_wanted
from tests.nats.recorded_link import recorded_link
from tests.nats.servers import NatsServer, raw
from tests.processes import LIMIT, until

from typedbus import Bus, Channel, Component, Container, running
from typedbus.nats import Consumer, DeadLetters, Denied, Link, Outbox, Stream, ask, event, gather, signal

MAY = 'subscribe: ">"'
MAY_NOT = 'subscribe: { allow: ">", deny: "_INBOX.>" }'
LINE = "NATS: the server denies this user to subscribe to the subject '_INBOX.>', so events and questions fail; "

quotes = Channel[[str], int]("quotes")


def users(subscribe: str) -> str:
    """Return the configuration of a server with a user who may do everything, and "shop"."""
    shop = f"{{ user: shop, password: secret, permissions: {{ publish: '>', {subscribe} }} }}"
    return f"authorization {{ users: [{{ user: all, password: all }}, {shop}] }}"


def url(server: NatsServer) -> str:
    return server.url.replace("//", "//shop:secret@")


def check_denied(error: object, channel: str) -> None:
    assert isinstance(error, Denied)
    assert (error.channel, error.subject, error.action) == (channel, "_INBOX.>", "subscribe to")
    assert "denies this user to subscribe to the subject '_INBOX.>'; allow it in the permissions of the user" in str(
        error
    )


def test_what_needs_replies_fails_at_its_start_and_signals_are_sent(tmp_path: Path) -> None:
    async def check(server: NatsServer) -> None:
        async with recorded_link(url(server)) as made, raw(server, user="all", password="all") as client:
            link = made.link
            starts: list[tuple[str, Callable[[], Awaitable[object]]]] = [
                ("order_placed", event(link, placed, stream=Stream("ORDERS")).start),
                ("quotes", ask(link, quotes, timeout=LIMIT).start),
                ("quotes", gather(link, quotes, timeout=LIMIT).start),
                ("order_placed", Consumer(link, link.bus[placed], stream=Stream("ORDERS"), group="g").start),
                ("ORDERS", DeadLetters(link, "ORDERS").read),
            ]
            for channel, start in starts:
                with pytest.raises(Denied) as raised:
                    await start()
                check_denied(raised.value, channel)
            assert made.lines.count(f"{LINE}allow it in the permissions of the user") == 1

            arrived = await client.subscribe("typedbus.signal.order_placed")
            await client.flush()
            port = signal(link, placed)
            await port.start()
            port.publish(1)
            assert (await arrived.next_msg(LIMIT)).data == b'{"arg0":1}'
            await port.stop()

    with NatsServer(tmp_path, config=users(MAY_NOT)) as server:
        run(check(server))


def test_calls_end_when_the_first_connection_has_no_permission(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, config=users(MAY_NOT))

    async def check() -> None:
        async with linked(server, "shop:secret", connect_within=0.01, require_at_start=False) as link:
            asking = ask(link, quotes, timeout=LIMIT)
            await asking.start()
            async with opened(link, deadline=LIMIT) as port:
                before = port.submit(1)
                await asyncio.to_thread(server.start)
                with pytest.raises(Denied) as raised:
                    await asyncio.wrap_future(before)
                check_denied(raised.value, "order_placed")
                with pytest.raises(Denied):
                    await port.publish(2)
                check_denied(await asking.ask("tea"), "quotes")
                check_denied(await asyncio.to_thread(asking.ask_from_thread, "tea"), "quotes")
            await asking.stop()

    try:
        run(check())
    finally:
        server.__exit__()


def test_calls_that_wait_end_when_the_permission_is_withdrawn_and_work_when_it_is_back(tmp_path: Path) -> None:
    async def check(server: NatsServer) -> None:
        async with (
            linked(server, "shop:secret") as link,
            opened(link, deadline=LIMIT) as port,
            raw(server, user="all", password="all") as client,
        ):
            asking = ask(link, quotes, timeout=LIMIT)
            await asking.start()
            asked = await client.subscribe("typedbus.ask.quotes")
            await client.flush()
            waiting = asyncio.create_task(asking.ask("tea"))
            await asked.next_msg(LIMIT)  # and there is no answer

            server.config = users(MAY_NOT)
            await asyncio.to_thread(server.reload)
            check_denied(await waiting, "quotes")
            with pytest.raises(Denied):
                await port.publish(1)

            server.config = users(MAY)
            await asyncio.to_thread(server.stop)
            await holds(lambda: not link.is_connected)
            await asyncio.to_thread(server.start)
            await port.publish(2)
            await asking.stop()

    with NatsServer(tmp_path, config=users(MAY)) as server:
        run(check(server))


def test_a_responder_does_not_take_it_for_an_answer_that_is_denied(tmp_path: Path) -> None:
    async def check(server: NatsServer) -> None:
        async with answering(server, quote_wanted, len, user="shop:secret") as site:
            server.config = users(MAY_NOT)
            await asyncio.to_thread(server.reload)
            await holds(lambda: any(LINE in line for line in site.log))
            assert not [line for line in site.log if "add allow_responses" in line]

    with NatsServer(tmp_path, config=users(MAY)) as server:
        asyncio.run(check(server))


def test_an_outbox_keeps_its_events_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with NatsServer(tmp_path / "nats", config=users(MAY_NOT)) as server:

        class Shop(Container):
            bus = Component(Bus)
            link = Component(Link, bus.provided, [url(server)])
            outbox = Component(Outbox, link.provided, lambda: sqlite3.connect(file), every=0.02)

        shop = Shop()
        outbox, port = shop.outbox(), event(shop.link(), placed, stream="ORDERS")
        with contextlib.closing(sqlite3.connect(file)) as connection:
            outbox.create_table(connection)
            outbox.add(connection, port, 1)
            connection.commit()
            with running(shop):
                until(lambda: outbox.failed(connection))
                (failed,) = outbox.failed(connection)
                assert "denies this user to subscribe to the subject '_INBOX.>'" in failed.error
