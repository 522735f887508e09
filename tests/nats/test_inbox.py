"""An inbox records an event once, in the transaction of the listener, on every supported connection."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import psycopg
import pytest
from tests.nats.connections import ASYNC, SYNC, Places, skip_without_driver
from tests.nats.postgres import Database
from tests.processes import LIMIT, until

from typedbus.nats import Inbox, InboxFault, OutsideTransaction, TableNameError

INVOICING = Inbox("invoicing")


@pytest.mark.parametrize("kind", SYNC)
def test_an_event_is_recorded_with_the_commit_and_not_without(kind: str, places: Places) -> None:
    with SYNC[kind](places) as connect:
        connection = connect()
        INVOICING.create_table(connection)
        INVOICING.create_table(connection)  # the second call changes nothing
        connection.commit()
        first = [INVOICING.seen(connection, "1"), INVOICING.seen(connection, "1")]
        connection.rollback()
        after_rollback = INVOICING.seen(connection, "1")
        connection.commit()
        connection.close()
        other = connect()
        after_commit = [INVOICING.seen(other, "1"), INVOICING.seen(other, "2"), Inbox("shipping").seen(other, "1")]
        other.close()

    assert first == [False, True]
    assert after_rollback is False
    assert after_commit == [True, False, False]


@pytest.mark.parametrize("kind", ASYNC)
def test_an_async_connection_records_an_event_with_the_commit_and_not_without(kind: str, places: Places) -> None:
    skip_without_driver(kind)

    async def main() -> None:
        async with ASYNC[kind](places) as connect:
            connection = await connect()
            await INVOICING.create_table_async(connection)
            await INVOICING.create_table_async(connection)
            await connection.commit()
            first = [await INVOICING.seen_async(connection, "1"), await INVOICING.seen_async(connection, "1")]
            await connection.rollback()
            after_rollback = await INVOICING.seen_async(connection, "1")
            await connection.commit()
            await connection.close()
            other = await connect()
            after_commit = [await INVOICING.seen_async(other, name) for name in ("1", "2")]
            forgotten = await INVOICING.forget_async(other, older_than=0)
            await other.close()

        assert first == [False, True]
        assert after_rollback is False
        assert after_commit == [True, False]
        assert forgotten == 2

    asyncio.run(main())


@pytest.mark.parametrize("commits", [True, False])
def test_a_second_transaction_with_the_same_event_waits_for_the_first(commits: bool, database: Database) -> None:
    with database.connect() as first, database.connect() as second:
        INVOICING.create_table(first)
        first.commit()
        assert not INVOICING.seen(first, "1")
        seen: list[bool] = []
        waiting = threading.Thread(target=lambda: seen.append(INVOICING.seen(second, "1")))
        waiting.start()

        with database.connect() as observer:
            until(lambda: waits_for_a_lock(observer, second.info.backend_pid))
        assert not seen
        if commits:
            first.commit()
        else:
            first.rollback()
        waiting.join(LIMIT)

    assert seen == [commits]


def waits_for_a_lock(observer: psycopg.Connection[tuple[object, ...]], backend: int) -> bool:
    row = observer.execute("SELECT cardinality(pg_blocking_pids(%s))", [backend]).fetchone()
    return row is not None and row[0] == 1


def test_records_that_are_old_enough_are_forgotten_and_those_of_other_names_stay(places: Places) -> None:
    shipping = Inbox("shipping")
    with SYNC["sqlite3"](places) as connect:
        connection = connect()
        INVOICING.create_table(connection)
        for inbox in (INVOICING, shipping):
            for message_id in ("1", "2"):
                assert not inbox.seen(connection, message_id)
        connection.execute("UPDATE typedbus_inbox SET seen_at = seen_at - 7200 WHERE message_id = '1'")

        assert INVOICING.forget(connection, older_than=3 * 3600) == 0
        assert INVOICING.forget(connection, older_than=3600) == 1
        assert [INVOICING.seen(connection, name) for name in ("1", "2")] == [False, True]
        assert shipping.seen(connection, "1")
        connection.close()


def test_an_inbox_in_a_schema_of_its_own(database: Database) -> None:
    inbox = Inbox("invoicing", table="shop.handled")
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA shop")
        inbox.create_table(connection)
        inbox.seen(connection, "1")

        assert connection.execute("SELECT name, message_id FROM shop.handled").fetchall() == [("invoicing", "1")]


def test_a_connection_in_autocommit_mode_needs_a_transaction(places: Places) -> None:
    connection = sqlite3.connect(places.file, isolation_level=None)
    INVOICING.create_table(connection)
    with pytest.raises(OutsideTransaction, match=r"sqlite3\.Connection is in autocommit mode .* begin a transaction"):
        INVOICING.seen(connection, "1")
    connection.execute("BEGIN")
    assert not INVOICING.seen(connection, "1")
    connection.close()


@pytest.mark.parametrize("table", ["", "in box", 'x"; DROP TABLE y; --', "a.b.c", "Größe", "x" * 64, "Inbox", "a\n"])
def test_the_name_of_a_table_is_a_plain_identifier(table: str) -> None:
    with pytest.raises(TableNameError) as caught:
        Inbox("invoicing", table=table)

    assert caught.value.given == table
    assert repr(table) in str(caught.value)


def test_empty_names_and_negative_ages_are_refused(places: Places) -> None:
    connection = sqlite3.connect(places.file)
    with pytest.raises(InboxFault, match="name='' cannot be used"):
        Inbox("")
    with pytest.raises(InboxFault, match="message_id=''.*delivery"):
        INVOICING.seen(connection, "")
    with pytest.raises(InboxFault, match="older_than=-1 cannot be used by an inbox: pass a number of seconds"):
        INVOICING.forget(connection, older_than=-1)
    connection.close()
