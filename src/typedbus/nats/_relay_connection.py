"""The connection of a relay to its database, which may be sync or async."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Mapping
from queue import SimpleQueue
from typing import Final, TypeAlias, TypeVar, cast

import attrs

from typedbus._base.sync import simple_queue
from typedbus.nats._databases import (
    AsyncConnection,
    Dialect,
    Outcome,
    SyncConnection,
    Value,
    async_database_of,
    database_of,
    in_transaction,
    is_async,
)

T = TypeVar("T")

Connect: TypeAlias = Callable[[], SyncConnection | AsyncConnection | Awaitable[AsyncConnection]]

#: How long a connection may take to close, in seconds.
_PATIENCE: Final = 1.0


@attrs.define(eq=False)
class _Worker:
    """
    A thread in which a connection is opened, used and closed, since a sync connection may belong to one thread.

    A call that hangs is left behind; calls that were queued after it are made when it returns.
    """

    connection: object = attrs.field(init=False, default=None)
    _calls: SimpleQueue[Callable[[], object]] = attrs.field(init=False, factory=simple_queue)
    _is_ended: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        # The interpreter does not wait for daemon threads: a database that hangs must not keep the process alive.
        threading.Thread(target=self._run, name="typedbus.nats outbox", daemon=True).start()

    async def open(self, connect: Connect) -> SyncConnection | AsyncConnection | Awaitable[AsyncConnection]:
        """Connect, and return the result."""

        def opened() -> SyncConnection | AsyncConnection | Awaitable[AsyncConnection]:
            self.connection = connection = connect()
            return connection

        return await self.call(opened)

    async def call(self, function: Callable[[], T]) -> T:
        """Call *function* in the thread, and return its result or raise its exception."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.done():  # the caller was cancelled
                return
            if error is None:
                future.set_result(cast("T", result))
            else:
                future.set_exception(error)

        def call() -> None:
            result, caught = None, None
            try:
                result = function()
            except BaseException as error:
                caught = error
            # The loop may be closed when a call that was left behind returns.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, result, caught)

        self._calls.put(call)
        return await future

    async def end(self) -> None:
        """Close a sync connection, and end the thread."""

        def end() -> None:
            self._is_ended = True
            with contextlib.suppress(Exception):
                if not is_async(self.connection):
                    cast("SyncConnection", self.connection).close()

        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.call(end), _PATIENCE)

    def _run(self) -> None:
        while not self._is_ended:
            self._calls.get()()


@attrs.define(eq=False)
class RelayConnection:
    """A connection. Its methods are called in one task, and raise the errors of the database."""

    _connection: SyncConnection | AsyncConnection
    #: Of a sync connection.
    _worker: _Worker | None
    dialect: Dialect = attrs.field(init=False)

    @classmethod
    async def open(cls, connect: Connect) -> RelayConnection:
        """
        Connect.

        Raises:
            UnsupportedConnection: The connection is of another class or database.
            OutsideTransaction: It is to PostgreSQL and in autocommit mode.
            Exception: Any error of *connect*.
        """
        worker = _Worker()
        try:
            connection = await worker.open(connect)
            if isinstance(connection, Awaitable):
                connection = await connection
            is_sync = not is_async(connection)
        except BaseException:
            await worker.end()
            raise
        opened = cls(connection, worker if is_sync else None)
        if not is_sync:
            await worker.end()
        try:
            await opened._check()
        except BaseException:
            await opened.close()
            raise
        return opened

    async def _check(self) -> None:
        if self._worker is None:
            has = await async_database_of(cast("AsyncConnection", self._connection))
            self.dialect = has.dialect
            if has.dialect == "postgresql":
                in_transaction(has)
        else:
            connection = cast("SyncConnection", self._connection)
            database = await self._worker.call(lambda: database_of(connection))
            self.dialect = database.dialect
            if database.dialect == "postgresql":
                in_transaction(database)

    async def execute(self, text: str, values: Mapping[str, Value]) -> Outcome:
        """Execute a statement in the transaction of the connection."""
        # A session may have another connection in each transaction.
        if self._worker is None:
            return await (await async_database_of(cast("AsyncConnection", self._connection))).execute(text, values)
        connection = cast("SyncConnection", self._connection)
        return await self._worker.call(lambda: database_of(connection).execute(text, values))

    async def commit(self) -> None:
        """Commit the transaction."""
        if self._worker is None:
            await cast("AsyncConnection", self._connection).commit()
        else:
            await self._worker.call(cast("SyncConnection", self._connection).commit)

    async def rollback(self) -> None:
        """Undo the transaction."""
        if self._worker is None:
            await cast("AsyncConnection", self._connection).rollback()
        else:
            await self._worker.call(cast("SyncConnection", self._connection).rollback)

    async def close(self) -> None:
        """Close the connection; one that does not close in time is left behind."""
        if self._worker is not None:
            await self._worker.end()
            return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_PATIENCE):
                await cast("AsyncConnection", self._connection).close()
