"""Which connections outbox and inbox accept, and what the error for any other says."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
import sqlalchemy
import sqlalchemy.orm
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from tests.nats.connections import Places, skip_without_driver
from tests.nats.postgres import Database

from typedbus.nats import Inbox, OutsideTransaction, UnsupportedConnection

INBOX = Inbox("invoicing")


class Other:
    """A connection of another library."""

    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


def test_the_error_for_another_class_names_it_and_what_is_supported() -> None:
    with pytest.raises(UnsupportedConnection) as caught:
        INBOX.seen(Other(), "1")

    assert caught.value.given == f"{__name__}.Other"
    for name in ("sqlite3.Connection", "psycopg.AsyncConnection", "sqlalchemy.ext.asyncio.AsyncSession"):
        assert name in str(caught.value)


def test_a_subclass_of_a_supported_class_is_accepted() -> None:
    class Mine(sqlite3.Connection):
        pass

    connection = sqlite3.connect(":memory:", factory=Mine)
    INBOX.create_table(connection)

    assert not INBOX.seen(connection, "1")
    connection.close()


def test_sync_and_async_connections_need_their_own_methods() -> None:
    wrong: Any = AsyncSession(create_async_engine("sqlite+aiosqlite://"))
    with pytest.raises(UnsupportedConnection, match="AsyncSession is not supported: its methods are async; use the me"):
        INBOX.seen(wrong, "1")
    connection: Any = sqlite3.connect(":memory:")
    with pytest.raises(UnsupportedConnection, match=r"sqlite3.Connection is not supported: its methods are sync"):
        asyncio.run(INBOX.seen_async(connection, "1"))
    connection.close()


def test_an_async_connection_that_is_not_awaited_is_refused() -> None:
    async def main() -> None:
        engine = create_async_engine("sqlite+aiosqlite://")
        with pytest.raises(UnsupportedConnection, match="not connected; await it"):
            await INBOX.seen_async(engine.connect(), "1")
        await engine.dispose()

    asyncio.run(main())


def test_another_database_of_sqlalchemy_is_refused_by_name() -> None:
    @attrs.frozen
    class Dialect:
        name: str

    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.dialect = Dialect("mysql")  # type: ignore[assignment]  # its driver is not installed
        with pytest.raises(UnsupportedConnection, match="Connection to mysql is not supported: use SQLite or Postgr"):
            INBOX.seen(connection, "1")
    engine.dispose()


def test_autocommit_is_refused_on_each_library(database: Database, tmp_path: Path) -> None:
    with psycopg.connect(database.address, autocommit=True) as connection:
        INBOX.create_table(connection)
        with pytest.raises(OutsideTransaction, match=r"psycopg\.Connection"):
            INBOX.seen(connection, "1")
        with connection.transaction():
            assert not INBOX.seen(connection, "1")

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(database.address, autocommit=True) as connection:
            with pytest.raises(OutsideTransaction, match=r"psycopg\.AsyncConnection"):
                await INBOX.seen_async(connection, "2")
            async with connection.transaction():
                assert not await INBOX.seen_async(connection, "2")

    asyncio.run(main())


@pytest.mark.parametrize("driver", ["pysqlite", "psycopg"])
def test_each_way_to_autocommit_of_sqlalchemy_is_refused(places: Places, driver: str) -> None:
    url = f"sqlite:///{places.file}" if driver == "pysqlite" else places.database().url(driver)
    plain, autocommit = sqlalchemy.create_engine(url), sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with sqlalchemy.orm.Session(plain) as session:
        INBOX.create_table(session)
        session.commit()

    for engine in (autocommit, plain.execution_options(isolation_level="AUTOCOMMIT")):
        with engine.connect() as connection, pytest.raises(OutsideTransaction, match=r"sqlalchemy\.Connection"):
            INBOX.seen(connection, "1")
        with sqlalchemy.orm.Session(engine) as session, pytest.raises(OutsideTransaction, match=r"orm\.Session"):
            INBOX.seen(session, "1")
    with plain.connect().execution_options(isolation_level="autocommit") as connection:
        with pytest.raises(OutsideTransaction):
            INBOX.seen(connection, "1")
    # A connection whose own level is another one has a transaction, and the next one of the pool has none again.
    with autocommit.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
        assert not INBOX.seen(connection, "1")
        connection.rollback()
        assert not INBOX.seen(connection, "1")
    with autocommit.connect() as connection, pytest.raises(OutsideTransaction):
        INBOX.seen(connection, "1")
    for engine in (plain, autocommit):
        engine.dispose()


@pytest.mark.parametrize("driver", ["aiosqlite", "psycopg", "asyncpg"])
def test_each_way_to_autocommit_of_an_async_engine_is_refused(places: Places, driver: str) -> None:
    skip_without_driver(driver)
    url = f"sqlite+aiosqlite:///{places.file}" if driver == "aiosqlite" else places.database().url(driver)

    async def main() -> None:
        plain, autocommit = create_async_engine(url), create_async_engine(url, isolation_level="AUTOCOMMIT")
        for engine in (autocommit, plain.execution_options(isolation_level="AUTOCOMMIT")):
            async with engine.connect() as connection:
                with pytest.raises(OutsideTransaction, match=r"AsyncConnection"):
                    await INBOX.seen_async(connection, "1")
            async with AsyncSession(engine) as session:
                with pytest.raises(OutsideTransaction, match=r"AsyncSession"):
                    await INBOX.seen_async(session, "1")
        async with AsyncSession(plain) as session:
            await INBOX.create_table_async(session)
            assert not await INBOX.seen_async(session, "1")
        for engine in (plain, autocommit):
            await engine.dispose()

    asyncio.run(main())


def test_autocommit_in_the_arguments_of_the_driver_is_refused(database: Database) -> None:
    engine = sqlalchemy.create_engine(database.url("psycopg"), connect_args={"autocommit": True})
    with engine.connect() as connection, pytest.raises(OutsideTransaction):
        INBOX.seen(connection, "1")
    engine.dispose()


def test_the_recipe_of_sqlalchemy_for_savepoints_in_sqlite_has_a_transaction(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")

    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    def begun(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)

    with engine.begin() as connection:
        INBOX.create_table(connection)
    for _ in range(2):
        with engine.connect() as connection:
            assert not INBOX.seen(connection, "1")
            connection.rollback()
    engine.dispose()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has the attribute autocommit from Python 3.12 on")
def test_the_autocommit_attribute_of_sqlite3_is_respected() -> None:
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    connection = connect(":memory:", autocommit=True)
    INBOX.create_table(connection)
    with pytest.raises(OutsideTransaction):
        INBOX.seen(connection, "1")
    connection.close()
    connection = connect(":memory:", autocommit=False, isolation_level=None)
    INBOX.create_table(connection)
    assert not INBOX.seen(connection, "1")
    connection.close()


def test_no_database_library_is_imported_for_a_connection_of_another() -> None:
    program = """
import sqlite3, sys
from typedbus.nats import Inbox
connection = sqlite3.connect(":memory:")
Inbox("x").create_table(connection)
assert not Inbox("x").seen(connection, "1")
print(sorted({"psycopg", "sqlalchemy", "aiosqlite"} & sys.modules.keys()))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout == "[]\n"
