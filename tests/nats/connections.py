"""Every kind of database connection that outbox and inbox support, to real databases."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import aiosqlite
import attrs
import psycopg
import pytest
import sqlalchemy
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import scoped_session, sessionmaker
from tests.nats.postgres import Database

SyncConnect: TypeAlias = Callable[[], Any]
AsyncConnect: TypeAlias = Callable[[], Awaitable[Any]]


@attrs.frozen
class Places:
    """
    The databases of a test.

    Attributes:
        file: The file of an SQLite database.
        database: Returns an empty database of PostgreSQL; the test is skipped without a server.
    """

    file: Path
    database: Callable[[], Database]


# Rows of other types and isolation levels are set where the library offers them, since the caller's connection may have them.


def sqlite_connection(places: Places) -> sqlite3.Connection:
    connection = sqlite3.connect(places.file, check_same_thread=False)
    connection.row_factory = lambda _, row: {"row": row}
    return connection


@contextlib.contextmanager
def sqlite(places: Places) -> Iterator[SyncConnect]:
    yield lambda: sqlite_connection(places)


@contextlib.contextmanager
def psycopg_rows(places: Places) -> Iterator[SyncConnect]:
    address = places.database().address
    yield lambda: psycopg.connect(address, row_factory=dict_row, cursor_factory=psycopg.RawCursor)


def alchemy(make: Callable[[sqlalchemy.Engine], SyncConnect], *, on_sqlite: bool) -> Any:
    @contextlib.contextmanager
    def connections(places: Places) -> Iterator[SyncConnect]:
        url = f"sqlite:///{places.file}" if on_sqlite else places.database().url("psycopg")
        engine = sqlalchemy.create_engine(url)
        yield make(engine)
        engine.dispose()

    return connections


SYNC: dict[str, Callable[[Places], contextlib.AbstractContextManager[SyncConnect]]] = {
    "sqlite3": sqlite,
    "psycopg": psycopg_rows,
    "session-sqlite": alchemy(lambda engine: sessionmaker(engine), on_sqlite=True),
    "session-psycopg": alchemy(lambda engine: sessionmaker(engine), on_sqlite=False),
    "scoped-session-psycopg": alchemy(lambda engine: lambda: scoped_session(sessionmaker(engine)), on_sqlite=False),
    "connection-sqlite": alchemy(lambda engine: engine.connect, on_sqlite=True),
    "connection-psycopg": alchemy(lambda engine: engine.connect, on_sqlite=False),
}


@contextlib.asynccontextmanager
async def async_sqlite(places: Places) -> AsyncIterator[AsyncConnect]:
    async def connect() -> aiosqlite.Connection:
        connection = await aiosqlite.connect(places.file)
        connection.row_factory = aiosqlite.Row
        return connection

    yield connect


@contextlib.asynccontextmanager
async def async_psycopg(places: Places) -> AsyncIterator[AsyncConnect]:
    address = places.database().address
    yield lambda: psycopg.AsyncConnection.connect(address, row_factory=dict_row)


def async_alchemy(driver: str, *, session: bool) -> Any:
    @contextlib.asynccontextmanager
    async def connections(places: Places) -> AsyncIterator[AsyncConnect]:
        url = f"sqlite+aiosqlite:///{places.file}" if driver == "aiosqlite" else places.database().url(driver)
        engine = create_async_engine(url)

        async def connect() -> Any:
            return AsyncSession(engine) if session else await engine.connect()

        yield connect
        await engine.dispose()

    return connections


ASYNC: dict[str, Callable[[Places], contextlib.AbstractAsyncContextManager[AsyncConnect]]] = {
    "aiosqlite": async_sqlite,
    "async-psycopg": async_psycopg,
    "async-session-aiosqlite": async_alchemy("aiosqlite", session=True),
    "async-session-psycopg": async_alchemy("psycopg", session=True),
    "async-session-asyncpg": async_alchemy("asyncpg", session=True),
    "async-connection-aiosqlite": async_alchemy("aiosqlite", session=False),
    "async-connection-asyncpg": async_alchemy("asyncpg", session=False),
}


def skip_without_driver(name: str) -> None:
    """Skip the test of a connection whose driver is not installed, as asyncpg for a new Python."""
    if name.endswith("asyncpg"):
        pytest.importorskip("asyncpg")
