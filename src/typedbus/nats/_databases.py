"""
How a statement is executed on a database connection of the caller, for outbox and inbox.

A connection is recognised by the names of its classes, so no database library is imported that the program does not use.
Statements have named parameters, ``:name``, and are executed in the transaction of the connection.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, TypeVar, cast

import attrs

from typedbus.nats._table_errors import OutsideTransaction, TableNameError, UnsupportedConnection

if TYPE_CHECKING:
    import sqlite3

    import aiosqlite
    import psycopg
    import sqlalchemy
    from sqlalchemy.ext.asyncio import AsyncConnection as SQLAlchemyAsyncConnection
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

Value: TypeAlias = str | bytes | int | float | None
Dialect: TypeAlias = Literal["sqlite", "postgresql"]
AnyDatabase = TypeVar("AnyDatabase", "Database", "AsyncDatabase")

#: The supported classes by package and name: the public name, and whether their methods are async.
_SUPPORTED: Final[Mapping[tuple[str, str], tuple[str, bool]]] = {
    ("sqlite3", "Connection"): ("sqlite3.Connection", False),
    ("psycopg", "Connection"): ("psycopg.Connection", False),
    ("sqlalchemy", "Session"): ("sqlalchemy.orm.Session", False),
    ("sqlalchemy", "scoped_session"): ("sqlalchemy.orm.scoped_session", False),
    ("sqlalchemy", "Connection"): ("sqlalchemy.Connection", False),
    ("aiosqlite", "Connection"): ("aiosqlite.Connection", True),
    ("psycopg", "AsyncConnection"): ("psycopg.AsyncConnection", True),
    ("sqlalchemy", "AsyncSession"): ("sqlalchemy.ext.asyncio.AsyncSession", True),
    ("sqlalchemy", "async_scoped_session"): ("sqlalchemy.ext.asyncio.async_scoped_session", True),
    ("sqlalchemy", "AsyncConnection"): ("sqlalchemy.ext.asyncio.AsyncConnection", True),
}
#: `psycopg.pq.TransactionStatus.IDLE`
_IDLE: Final = 0
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?", re.ASCII)
_PARAMETER: Final = re.compile(r":(\w+)")


class SyncConnection(Protocol):
    """
    A connection or session with sync methods.

    `sqlite3.Connection`, `psycopg.Connection`, and `Session`, `scoped_session` and `Connection` of SQLAlchemy are
    supported. Other classes with these methods raise `UnsupportedConnection`.
    """

    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


class AsyncConnection(Protocol):
    """
    A connection or session with async methods.

    `psycopg.AsyncConnection`, `aiosqlite.Connection`, and `AsyncSession`, `async_scoped_session` and
    `AsyncConnection` of SQLAlchemy are supported. Other classes with these methods raise `UnsupportedConnection`.
    """

    def commit(self) -> Awaitable[None]: ...
    def rollback(self) -> Awaitable[None]: ...
    def close(self) -> Awaitable[None]: ...


@attrs.frozen
class Outcome:
    """The rows of a query, and the number of rows that a change has affected."""

    rows: Sequence[tuple[Any, ...]]  # the types of columns are known to the statement only
    count: int


@attrs.frozen
class Database:
    """
    A sync connection, and how to execute statements on it.

    Attributes:
        name: The name of its class.
        dialect: Its kind of SQL.
        has_transaction: Whether a statement belongs to a transaction, and is not committed at once.
        execute: Executes a statement with named parameters.
    """

    name: str
    dialect: Dialect
    has_transaction: bool
    execute: Callable[[str, Mapping[str, Value]], Outcome]


@attrs.frozen
class AsyncDatabase:
    """An async connection, with the attributes of a `Database`; *execute* is async."""

    name: str
    dialect: Dialect
    has_transaction: bool
    execute: Callable[[str, Mapping[str, Value]], Awaitable[Outcome]]


def in_transaction(database: AnyDatabase) -> AnyDatabase:
    """
    Return *database*.

    Raises:
        OutsideTransaction: Its statements would be committed at once.
    """
    if not database.has_transaction:
        raise OutsideTransaction(database.name)
    return database


def quoted(table: str) -> str:
    """
    Return the name of a table as it is written in a statement.

    Raises:
        TableNameError: It is not a plain identifier.
    """
    if not isinstance(table, str) or not _NAME.fullmatch(table):
        raise TableNameError(table)
    return ".".join(f'"{part}"' for part in table.split("."))


def is_async(connection: object) -> bool:
    """
    Return whether the methods of a connection are async.

    Raises:
        UnsupportedConnection: The class of the connection is not supported.
    """
    return _SUPPORTED[_key_of(connection)][1]


def database_of(connection: SyncConnection) -> Database:
    """
    Return how to execute statements on a sync connection, in its transaction.

    Raises:
        UnsupportedConnection: The connection is of another class, async, or of another database.
    """
    key = _expected(connection, is_async=False)
    name = _SUPPORTED[key][0]
    match key:
        case ("sqlite3", _):
            sqlite = cast("sqlite3.Connection", connection)
            has_transaction = sqlite.in_transaction or not _commits_each(sqlite)
            return Database(name, "sqlite", has_transaction, functools.partial(_on_sqlite, sqlite))
        case ("psycopg", _):
            postgres = cast("psycopg.Connection[object]", connection)
            has_transaction = postgres.info.transaction_status != _IDLE or not postgres.autocommit
            return Database(name, "postgresql", has_transaction, functools.partial(_on_psycopg, postgres))
        case (_, "Connection"):
            alchemy = cast("sqlalchemy.Connection", connection)
        case _:
            alchemy = cast("Session", connection).connection()
    dialect, has_transaction = _facts_of(name, alchemy)
    return Database(name, dialect, has_transaction, functools.partial(_on_sqlalchemy, alchemy))


async def async_database_of(connection: AsyncConnection) -> AsyncDatabase:
    """
    Return how to execute statements on an async connection, in its transaction.

    Raises:
        UnsupportedConnection: The connection is of another class, sync, or of another database.
    """
    key = _expected(connection, is_async=True)
    name = _SUPPORTED[key][0]
    match key:
        case ("aiosqlite", _):
            sqlite = cast("aiosqlite.Connection", connection)
            has_transaction = sqlite.in_transaction or sqlite.isolation_level is not None
            return AsyncDatabase(name, "sqlite", has_transaction, functools.partial(_on_aiosqlite, sqlite))
        case ("psycopg", _):
            postgres = cast("psycopg.AsyncConnection[object]", connection)
            has_transaction = postgres.info.transaction_status != _IDLE or not postgres.autocommit
            return AsyncDatabase(name, "postgresql", has_transaction, functools.partial(_on_async_psycopg, postgres))
        case (_, "AsyncConnection"):
            alchemy = cast("SQLAlchemyAsyncConnection", connection)
        case _:
            alchemy = await cast("AsyncSession", connection).connection()
    dialect, has_transaction = _facts_of(name, alchemy.sync_connection)
    return AsyncDatabase(name, dialect, has_transaction, functools.partial(_on_async_sqlalchemy, alchemy))


def _key_of(connection: object) -> tuple[str, str]:
    for cls in type(connection).__mro__:
        key = (cls.__module__.partition(".")[0], cls.__qualname__)
        if key in _SUPPORTED:
            return key
    names = ", ".join(name for name, _ in _SUPPORTED.values())
    given = type(connection)
    raise UnsupportedConnection(f"{given.__module__}.{given.__qualname__}", f"pass one of {names}")


def _expected(connection: object, *, is_async: bool) -> tuple[str, str]:
    key = _key_of(connection)
    name, has_async_methods = _SUPPORTED[key]
    if has_async_methods != is_async:
        remedy = (
            "its methods are async; use the method with the ending _async, and await it"
            if has_async_methods
            else "its methods are sync; use the method without the ending _async"
        )
        raise UnsupportedConnection(name, remedy)
    return key


def _commits_each(connection: sqlite3.Connection) -> bool:
    """Return whether each statement outside of a transaction is committed at once."""
    autocommit: object = getattr(connection, "autocommit", None)  # from Python 3.12 on; -1 leaves it to isolation_level
    return connection.isolation_level is None if autocommit in (None, -1) else bool(autocommit)


def _facts_of(name: str, connection: sqlalchemy.Connection | None) -> tuple[Dialect, bool]:
    """Return the dialect of a connection of SQLAlchemy, and whether its statements belong to a transaction."""
    if connection is None:
        raise UnsupportedConnection(name, "it is not connected; await it, or use it in an async with block")
    dialect = connection.dialect.name
    if dialect not in ("sqlite", "postgresql"):
        raise UnsupportedConnection(f"{name} to {dialect}", "use SQLite or PostgreSQL")
    if dialect == "sqlite":
        # The driver does not have the answer: in the recipe of SQLAlchemy for SAVEPOINT its mode is autocommit, and a
        # listener begins each transaction. The level of create_engine(...) is in no public attribute.
        level = connection.get_execution_options().get("isolation_level")
        level = level or getattr(connection.dialect, "_on_connect_isolation_level", None)
        return "sqlite", str(level).upper() != "AUTOCOMMIT"
    driver = connection.connection.dbapi_connection
    return "postgresql", not getattr(driver, "autocommit", False)


# A connection may make rows of another type, or have cursors of another class, so each function makes its own cursor.


def _on_sqlite(connection: sqlite3.Connection, text: str, values: Mapping[str, Value]) -> Outcome:
    cursor = connection.cursor()
    cursor.row_factory = None
    cursor.execute(text, values)
    return Outcome(cursor.fetchall(), cursor.rowcount)


async def _on_aiosqlite(connection: aiosqlite.Connection, text: str, values: Mapping[str, Value]) -> Outcome:
    async with await connection.cursor() as cursor:
        cursor.row_factory = None
        await cursor.execute(text, dict(values))
        return Outcome([tuple(row) for row in await cursor.fetchall()], cursor.rowcount)


def _on_psycopg(connection: psycopg.Connection[object], text: str, values: Mapping[str, Value]) -> Outcome:
    import psycopg
    from psycopg.rows import tuple_row

    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        cursor.execute(_for_psycopg(text), values)
        return Outcome(cursor.fetchall() if cursor.description else [], cursor.rowcount)


async def _on_async_psycopg(
    connection: psycopg.AsyncConnection[object], text: str, values: Mapping[str, Value]
) -> Outcome:
    import psycopg
    from psycopg.rows import tuple_row

    async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
        await cursor.execute(_for_psycopg(text), values)
        return Outcome(await cursor.fetchall() if cursor.description else [], cursor.rowcount)


def _on_sqlalchemy(connection: sqlalchemy.Connection, text: str, values: Mapping[str, Value]) -> Outcome:
    from sqlalchemy import text as statement

    result = connection.execute(statement(text), values)
    return Outcome([tuple(row) for row in result] if result.returns_rows else [], result.rowcount)


async def _on_async_sqlalchemy(
    connection: SQLAlchemyAsyncConnection, text: str, values: Mapping[str, Value]
) -> Outcome:
    from sqlalchemy import text as statement

    result = await connection.execute(statement(text), values)
    return Outcome([tuple(row) for row in result] if result.returns_rows else [], result.rowcount)


@functools.cache
def _for_psycopg(text: str) -> bytes:
    return _PARAMETER.sub(r"%(\1)s", text).encode()
