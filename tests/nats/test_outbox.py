"""An outbox sends exactly the events of committed transactions, in order, on every supported connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from tests.nats.connections import ASYNC, SYNC, Places, skip_without_driver
from tests.nats.servers import NatsServer, raw
from tests.processes import until

from typedbus import LOG, Bus, Channel, Component, Container, RunFailed, running
from typedbus.nats import (
    LINK,
    Connect,
    EventRefused,
    Inbox,
    Link,
    LinkEvent,
    Outbox,
    OutboxFault,
    OutsideTransaction,
    Stream,
    TableNameError,
    event,
)
from typedbus.plugins.health import Health

placed = Channel[[int], None]("order_placed")
noted = Channel[[str], None]("noted")


def site(server: NatsServer, connect: Connect, **options: Any) -> Any:
    """Return a container with an outbox, and with ports on two streams."""

    class Site(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [server.url])
        placed = Component(event, link.provided, placed, stream=Stream("ORDERS"))
        noted = Component(event, link.provided, noted, stream=Stream("NOTES", max_messages=2))
        outbox = Component(Outbox, link.provided, connect, **{"every": 0.02, **options})
        health = Component(Health, bus.provided)

    return Site()


async def stream_of(server: NatsServer, stream: str) -> list[tuple[str, int | str]]:
    """Return the ids and the arguments of all events in a stream."""
    async with raw(server) as client:
        api = client.jetstream()
        state = (await api.stream_info(stream)).state
        messages = [await api.get_msg(stream, number) for number in range(state.first_seq or 1, state.last_seq + 1)]
        return [((one.headers or {})["Nats-Msg-Id"], json.loads(one.data or b"")["arg0"]) for one in messages]


def stored(server: NatsServer, stream: str = "ORDERS") -> list[tuple[str, int | str]]:
    return asyncio.run(stream_of(server, stream))


def count_of(file: Path) -> int:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM typedbus_outbox").fetchone()[0])


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A database of SQLite with the table of an outbox."""
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        link = Link(Bus(), ["nats://127.0.0.1:1"])
        Outbox(link, lambda: sqlite3.connect(path)).create_table(connection)
        connection.commit()
    yield path


@pytest.mark.parametrize("kind", SYNC)
def test_exactly_the_committed_events_are_sent_in_order(kind: str, places: Places, server: NatsServer) -> None:
    with SYNC[kind](places) as connect, running(site(server, connect)) as shop:
        outbox, port = shop.outbox(), shop.placed()
        connection = connect()
        outbox.create_table(connection)
        outbox.create_table(connection)
        connection.commit()
        ids = [outbox.add(connection, port, number) for number in (1, 2)]
        connection.commit()
        outbox.add(connection, port, 3)
        connection.rollback()
        ids += [outbox.add(connection, port, 4), outbox.add(connection, port.keyed("order-5"), 5)]
        assert outbox.failed(connection) == []
        connection.commit()

        until(lambda: len(stored(server)) == 4)
        assert stored(server) == [*zip(ids, (1, 2, 4, 5), strict=True)]
        assert ids[3] == "order-5"
        until(lambda: count_in(connection) == 0)
        connection.close()


def count_in(connection: Any) -> int:
    """Return how many rows the table has, in a new transaction; each library has rows of its own."""
    connection.rollback()
    count = "SELECT count(*) FROM typedbus_outbox"
    is_alchemy = type(connection).__module__.startswith("sqlalchemy")
    row = connection.execute(sqlalchemy.text(count) if is_alchemy else count).fetchone()
    (value,) = row.values() if isinstance(row, dict) else row
    return int(value[0] if isinstance(value, tuple) else value)


@pytest.mark.parametrize("kind", ASYNC)
def test_async_connections_add_and_relay_events(kind: str, places: Places, server: NatsServer) -> None:
    skip_without_driver(kind)

    async def main() -> None:
        async with ASYNC[kind](places) as connect, running(site(server, connect)) as shop:
            outbox, port = shop.outbox(), shop.placed()
            connection = await connect()
            await outbox.create_table_async(connection)
            await connection.commit()
            ids = [await outbox.add_async(connection, port, 1)]
            await connection.commit()
            await outbox.add_async(connection, port, 2)
            await connection.rollback()
            ids.append(await outbox.add_async(connection, port, 3))
            assert await outbox.failed_async(connection) == []
            await connection.commit()
            await connection.close()
            await asyncio.to_thread(until, lambda: len(stored(server)) == 2)
            assert await stream_of(server, "ORDERS") == [*zip(ids, (1, 3), strict=True)]

    asyncio.run(main())


def test_the_connection_of_an_async_engine_needs_no_function(file: Path, server: NatsServer) -> None:
    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
        async with running(site(server, engine.connect)) as shop:
            async with engine.begin() as connection:
                await shop.outbox().add_async(connection, shop.placed(), 1)
            await asyncio.to_thread(until, lambda: stored(server))
        await engine.dispose()

    asyncio.run(main())


def test_ids_are_ordered_by_time(file: Path) -> None:
    link = Link(Bus(), ["nats://127.0.0.1:1"])
    port = event(link, placed, stream="ORDERS")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        outbox = Outbox(link, lambda: sqlite3.connect(file))
        first = outbox.add(connection, port, 1)
        until(lambda: outbox.add(connection, port, 2)[:12] > first[:12])

    assert len(first) == 32 and first[12] == "7" and first[16] in "89ab"


def test_events_added_without_a_server_are_sent_when_there_is_one(file: Path, server: NatsServer) -> None:
    with running(site(server, lambda: sqlite3.connect(file))) as shop:
        server.kill9()
        until(lambda: not shop.link().is_connected)
        with contextlib.closing(sqlite3.connect(file)) as connection:
            for number in range(600):  # more than two batches
                shop.outbox().add(connection, shop.placed(), number)
            connection.commit()
        server.start()
        until(lambda: not count_of(file))

    assert [number for _, number in stored(server)] == [*range(600)]


def test_two_relays_keep_the_order_and_the_second_takes_over(file: Path, server: NatsServer) -> None:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(file)

    with running(site(server, connect)) as second:
        with running(site(server, connect)) as first:
            with contextlib.closing(connect()) as connection:
                for number in range(100):
                    first.outbox().add(connection, first.placed(), number)
                    connection.commit()
            until(lambda: not count_of(file))
        with contextlib.closing(connect()) as connection:
            second.outbox().add(connection, second.placed(), 100)
            connection.commit()
        until(lambda: not count_of(file))

    assert [number for _, number in stored(server)] == [*range(101)]


def refused_of(events: list[LinkEvent], message_id: str) -> list[int]:
    """Return the numbers of the attempts that were published for an event."""
    return [one.attempts for one in events if isinstance(one, EventRefused) and one.message_id == message_id]


def test_an_event_that_is_too_big_stays_and_holds_up_no_other(file: Path, server: NatsServer) -> None:
    events: list[LinkEvent] = []
    logged: list[str] = []
    shop = site(server, lambda: sqlite3.connect(file))
    shop.bus()[LINK].subscribe(events.append)
    shop.bus()[LOG].subscribe(lambda message, level: logged.append(message))
    with running(shop), contextlib.closing(sqlite3.connect(file)) as connection:
        big = shop.outbox().add(connection, shop.noted(), "x" * 2_000_000)
        small = shop.outbox().add(connection, shop.noted(), "small")
        connection.commit()

        until(lambda: stored(server, "NOTES") == [(small, "small")])
        until(lambda: refused_of(events, big)[:2] == [1, 2] and shop.outbox().failed(connection)[0].attempts >= 2)
        (failed,) = shop.outbox().failed(connection)
        assert (failed.message_id, failed.channel) == (big, "noted")
        assert failed.attempts >= 2
        assert failed.retry_at is not None
        assert failed.retry_at > failed.created_at  # its own pause, since the stream takes other events
        assert "2000" in failed.error and "1048576" in failed.error
        assert sum(big in message for message in logged) == 1
        assert not any(small in message for message in logged)
        # The next event is not held up, although the only other row of its stream is refused.
        shop.outbox().add(connection, shop.noted(), "next")
        connection.commit()
        until(lambda: [one for _, one in stored(server, "NOTES")] == ["small", "next"])
        connection.execute("DELETE FROM typedbus_outbox WHERE message_id = ?", [big])
        connection.commit()
        assert shop.outbox().failed(connection) == []


@pytest.mark.exhaustive
def test_events_wait_in_order_while_their_stream_is_full_and_others_are_sent(file: Path, server: NatsServer) -> None:
    async def empty() -> None:
        async with raw(server) as client:
            await client.jetstream().purge_stream("NOTES")

    shop = site(server, lambda: sqlite3.connect(file))
    with running(shop), contextlib.closing(sqlite3.connect(file)) as connection:
        for text in ("a", "b", "c", "d"):
            shop.outbox().add(connection, shop.noted(), text)
        connection.commit()
        until(lambda: [one.attempts > 0 for one in shop.outbox().failed(connection)] == [True, True])
        assert "maximum messages exceeded" in shop.outbox().failed(connection)[0].error
        # The stream is tried again after pauses of 0.5 s, 1 s and so on.
        began = time.monotonic()
        until(lambda: shop.outbox().failed(connection)[0].attempts >= 4)
        assert time.monotonic() - began > 1.0
        assert [one for _, one in stored(server, "NOTES")] == ["a", "b"]
        shop.outbox().add(connection, shop.noted(), "e")
        shop.outbox().add(connection, shop.placed(), 1)
        connection.commit()
        until(lambda: [one for _, one in stored(server)] == [1])

        asyncio.run(empty())
        until(lambda: [one for _, one in stored(server, "NOTES")] == ["c", "d"])
        asyncio.run(empty())
        until(lambda: [one for _, one in stored(server, "NOTES")] == ["e"])


def test_an_event_waits_for_a_stream_that_is_missing(file: Path, server: NatsServer) -> None:
    async def delete() -> None:
        async with raw(server) as client:
            await client.jetstream().delete_stream("NOTES")

    async def create() -> None:
        async with raw(server) as client:
            await client.jetstream().add_stream(name="NOTES", subjects=["NOTES.>"])

    shop = site(server, lambda: sqlite3.connect(file))
    with running(shop), contextlib.closing(sqlite3.connect(file)) as connection:
        asyncio.run(delete())
        shop.outbox().add(connection, shop.noted(), "a")
        connection.commit()
        until(lambda: shop.outbox().failed(connection))
        assert "the server has no such stream" in shop.outbox().failed(connection)[0].error

        asyncio.run(create())
        until(lambda: [one for _, one in stored(server, "NOTES")] == ["a"])


def test_the_relay_waits_for_its_table_and_reports_that_it_is_missing(tmp_path: Path, server: NatsServer) -> None:
    file = tmp_path / "new.db"
    logged: list[str] = []
    shop = site(server, lambda: sqlite3.connect(file))
    shop.bus()[LOG].subscribe(lambda message, level: logged.append(message))
    with running(shop), contextlib.closing(sqlite3.connect(file)) as connection:
        until(lambda: not shop.health().ready().is_ok)
        details = [check.detail for check in shop.health().ready().checks if not check.is_ok]
        assert len(details) == 1
        assert "no such table: typedbus_outbox" in details[0]
        shop.outbox().create_table(connection)
        shop.outbox().add(connection, shop.placed(), 1)
        connection.commit()

        until(lambda: [one for _, one in stored(server)] == [1])
        until(lambda: shop.health().ready().is_ok)
        assert sum("create_table(connection)" in message for message in logged) == 1
        assert "the outbox 'typedbus_outbox' works again" in logged


def test_a_file_of_sqlite_that_another_program_has_locked_is_no_loss(file: Path, server: NatsServer) -> None:
    shop = site(server, lambda: sqlite3.connect(file, timeout=0.01))
    with running(shop), contextlib.closing(sqlite3.connect(file)) as connection:
        shop.outbox().add(connection, shop.placed(), 1)
        connection.commit()
        connection.execute("BEGIN EXCLUSIVE")
        until(lambda: not shop.health().ready().is_ok)
        connection.rollback()
        until(lambda: not count_of(file))

    assert [one for _, one in stored(server)] == [1]


@pytest.mark.slow
def test_the_relay_survives_a_kill_of_postgresql(places: Places, server: NatsServer) -> None:
    database = places.database()
    shop = site(server, database.connect)
    with running(shop):
        with database.connect() as connection:
            shop.outbox().create_table(connection)
            shop.outbox().add(connection, shop.placed(), 1)
        until(lambda: [one for _, one in stored(server)] == [1])
        database.server.kill9()
        until(lambda: not shop.health().ready().is_ok)
        database.server.start()
        with database.connect() as connection:
            shop.outbox().add(connection, shop.placed(), 2)
        until(lambda: [one for _, one in stored(server)] == [1, 2])
        until(lambda: shop.health().ready().is_ok)


@pytest.mark.slow
def test_a_database_that_hangs_blocks_neither_the_loop_nor_the_stop(places: Places, server: NatsServer) -> None:
    database = places.database()
    shop = site(server, database.connect)
    logged: list[str] = []
    shop.bus()[LOG].subscribe(lambda message, level: logged.append(message))
    with database.connect() as connection:
        shop.outbox().create_table(connection)
    with database.connect() as blocking, running(shop):
        until(lambda: shop.link().is_connected)
        # The relay waits for this lock in its thread.
        blocking.execute("LOCK TABLE typedbus_outbox IN ACCESS EXCLUSIVE MODE")
        with psycopg.connect(database.address, autocommit=True) as observer:
            until(lambda: waiters(observer, blocking) == 1)
        shop.noted().publish_from_thread("the loop is free")
        started = time.monotonic()
        shop.bus().stop()
        assert time.monotonic() - started < 30.0
        assert "the database of the outbox 'typedbus_outbox' has not answered; its rows are sent later" in logged


PostgresConnection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


def waiters(observer: PostgresConnection, connection: PostgresConnection) -> int:
    """Return how many other connections wait for a lock of *connection*."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    row = observer.execute(waiting, [connection.info.backend_pid]).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("kind", ["sqlite3", "psycopg"])
def test_two_relays_send_nothing_twice(kind: str, places: Places, server: NatsServer) -> None:
    """A plain subscriber also receives what the stream would drop as a duplicate."""
    sent: list[bytes] = []

    def add(connect: Callable[[], Any]) -> None:
        connection = connect()
        shop = site(server, connect)
        shop.outbox().create_table(connection)
        connection.commit()
        with running(shop), running(site(server, connect)):
            for number in range(100):
                shop.outbox().add(connection, shop.placed(), number)
                connection.commit()
            until(lambda: len(stored(server)) >= 100)
        connection.close()

    async def main() -> None:
        async def receive(message: Any) -> None:
            sent.append(message.data)

        async with raw(server) as client:
            await client.subscribe("ORDERS.>", cb=receive)
            await client.flush()
            with SYNC[kind](places) as connect:
                await asyncio.to_thread(add, connect)
            await client.flush()
            await asyncio.to_thread(until, lambda: len(sent) >= 100)

    asyncio.run(main())
    assert sent == [b'{"arg0":%d}' % number for number in range(100)]
    assert [one for _, one in stored(server)] == [*range(100)]


def test_an_event_whose_stream_the_user_may_not_use_holds_up_no_other_stream(file: Path, tmp_path: Path) -> None:
    permissions = '{ publish: { deny: ["NOTES.noted"] } }'
    config = f"authorization {{ users: [{{ user: u, password: p, permissions: {permissions} }}] }}"
    with NatsServer(tmp_path / "denying", config=config) as server:
        shop = site(server, lambda: sqlite3.connect(file))
        shop.link.override(Link(shop.bus(), [server.url.replace("//", "//u:p@")]))
        with running(shop), contextlib.closing(sqlite3.connect(file)) as connection:
            shop.outbox().add(connection, shop.noted(), "denied")
            shop.outbox().add(connection, shop.placed(), 1)
            connection.commit()
            until(lambda: [one.channel for one in shop.outbox().failed(connection)] == ["noted"])
            assert (
                "denies this user to publish on the subject 'NOTES.noted'" in shop.outbox().failed(connection)[0].error
            )
            until(lambda: count_in(connection) == 1)


def test_an_event_is_not_sent_again_if_the_database_failed_after_its_acknowledgement(
    file: Path, server: NatsServer
) -> None:
    """Its id might be forgotten by the stream when the database works again. A plain subscriber sees what is sent."""
    sent: list[bytes] = []
    failures = [sqlite3.OperationalError("disk I/O error")]

    class Failing(sqlite3.Connection):
        def commit(self) -> None:
            if failures:
                raise failures.pop()
            super().commit()

    def add() -> None:
        with running(site(server, lambda: sqlite3.connect(file, factory=Failing))) as shop:
            with contextlib.closing(sqlite3.connect(file)) as connection:
                shop.outbox().add(connection, shop.placed(), 1)
                connection.commit()
            until(lambda: not count_of(file))

    async def main() -> None:
        async def receive(message: Any) -> None:
            sent.append(message.data)

        async with raw(server) as client:
            await client.subscribe("ORDERS.>", cb=receive)
            await client.flush()
            await asyncio.to_thread(add)
            await client.flush()

    asyncio.run(main())
    assert failures == []
    assert sent == [b'{"arg0":1}']


def test_the_statements_of_the_page_create_the_same_tables(places: Places) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "outbox-and-inbox.md"
    statements = page.read_text(encoding="utf-8").partition("```sql\n")[2].partition("```")[0]
    columns = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity "
        "FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, ordinal_position"
    )
    link = Link(Bus(), ["nats://127.0.0.1:1"])
    with places.database().connect() as connection:
        Outbox(link, places.database().connect).create_table(connection)
        Inbox("invoicing").create_table(connection)
        created = connection.execute(columns).fetchall()
        connection.rollback()
        connection.execute(statements.encode())
        assert connection.execute(columns).fetchall() == created

    assert len(created) == 13


def test_another_object_than_a_connection_ends_the_run(server: NatsServer) -> None:
    wrong: Any = dict
    with pytest.raises(RunFailed) as caught, running(site(server, wrong)) as shop:
        shop.bus().block()

    assert "a connection of builtins.dict is not supported" in str(caught.value.__cause__)


def test_a_relay_on_postgresql_needs_transactions(places: Places, server: NatsServer) -> None:
    address = places.database().address
    with pytest.raises(RunFailed) as caught:
        with running(site(server, lambda: psycopg.connect(address, autocommit=True))) as shop:
            shop.bus().block()

    assert isinstance(caught.value.__cause__, OutsideTransaction)


def test_add_needs_a_transaction(file: Path) -> None:
    link = Link(Bus(), ["nats://127.0.0.1:1"])
    outbox = Outbox(link, lambda: sqlite3.connect(file))
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        with pytest.raises(OutsideTransaction):
            outbox.add(connection, event(link, placed, stream="ORDERS"), 1)


@pytest.mark.parametrize(
    ("name", "given"),
    [("connect", "shop.db"), ("every", 0), ("every", True), ("every", float("inf")), ("batch", 0), ("batch", 1.5)],
)
def test_arguments_of_no_use_are_refused_with_a_remedy(name: str, given: Any) -> None:
    link = Link(Bus(), ["nats://127.0.0.1:1"])
    arguments = {"connect": lambda: sqlite3.connect(":memory:"), name: given}
    with pytest.raises(OutboxFault, match=f"{name}={given!r} cannot be used by an outbox: ") as caught:
        Outbox(link, **arguments)

    assert (caught.value.argument, caught.value.given) == (name, given)
    with pytest.raises(TableNameError):
        Outbox(link, lambda: sqlite3.connect(":memory:"), table="a b")
