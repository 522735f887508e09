"""The outbox: a table of events that a transaction has committed, and the run that stores them in their streams."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import time
from collections.abc import Sequence
from typing import Any, Final

import attrs
from typing_extensions import ParamSpec

from typedbus._base.failures import error_text
from typedbus._base.numbers import is_seconds
from typedbus._base.record import Record
from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import ERROR, RUN, WARNING
from typedbus._channels.marks import on
from typedbus.nats._arguments import is_count
from typedbus.nats._databases import (
    AsyncConnection,
    SyncConnection,
    Value,
    async_database_of,
    database_of,
    in_transaction,
    quoted,
)
from typedbus.nats._event import EventPort
from typedbus.nats._link import Link
from typedbus.nats._outbox_relay import Relay
from typedbus.nats._outbox_table import CREATE, FAILED, INSERT, Table
from typedbus.nats._relay_connection import Connect, RelayConnection
from typedbus.nats._table_errors import OutboxFault, OutsideTransaction, UnsupportedConnection
from typedbus.plugins.health import READY, Check

P = ParamSpec("P")

#: How long a stop waits for the database, in seconds; less than the time that a run has to end.
_PATIENCE: Final = 2.5
#: The longest pause after an error of the database, in seconds.
_LONGEST_PAUSE: Final = 10.0


@attrs.frozen(eq=False, repr=False)
class FailedEvent(Record):
    """
    An event in the table of an outbox that its stream has refused.

    Attributes:
        message_id: Its id.
        channel: The name of its channel.
        attempts: How many times it was refused.
        error: The last reason.
        created_at: When it was added, in UTC.
        retry_at: When it is sent again, in UTC; None if it is sent with the next batch.
    """

    message_id: str
    channel: str
    attempts: int
    error: str
    created_at: dt.datetime
    retry_at: dt.datetime | None


@attrs.define(eq=False)
class Outbox:
    """
    Sends events that belong to a transaction: all of them if it is committed, and none if it is rolled back.

    `add` inserts an event into a table, in the transaction of the caller. The outbox is also a run of the bus, the
    *relay*: while the bus is STARTED, it reads committed rows, stores each in the stream of its port with the id of the
    row as the id of the event, and deletes the row after the acknowledgement.

    Order: rows are sent in the order of their insertion. A transaction that is committed later than one with later rows
    is sent later; so is an event that its stream refused, if the stream takes other events meanwhile.
    Several processes may have an outbox with the same table. One relay at a time works on it, and the next one takes over
    when it ends.

    Failure: each event is stored at least once. A relay that is killed between the acknowledgement and the deletion
    leaves the row, which is sent again with the same id. The stream drops it within its duplicate window. An event that
    its stream refuses stays in the table, is sent again after pauses of 1 s to 5 min, is logged as an error, and is
    published on `LINK` as `EventRefused` each time. While the database fails, the relay connects again after pauses of
    *every* to 10 s, logs the first error of a series, and its check on `READY` fails.

    Threads: `add` and the other methods may be called in any thread and on any event loop. The relay runs on the event
    loop of the bus. A sync connection of it is used in a thread of its own.

    Args:
        link: The connection to the servers of the streams.
        connect: Opens a connection to the database for the relay, which closes it: a function that returns a supported
            connection or session, or an awaitable of an async one, such as ``lambda: sqlite3.connect("shop.db")`` or
            the method ``connect`` of an engine of SQLAlchemy. It is called in another thread.
        table: The name of the table, in lower case, with a schema if needed.
        every: How long the relay waits before it looks for new rows, in seconds.
        batch: How many rows it reads at once; their bodies are in memory together.

    Raises:
        TableNameError: *table* is not a plain identifier.
        OutboxFault: *connect* is not callable, *every* not above 0, or *batch* not a whole number from 1 up.
    """

    link: Link
    connect: Connect = attrs.field(repr=False)
    table: str = attrs.field(default="typedbus_outbox", kw_only=True)
    every: float = attrs.field(default=0.2, kw_only=True)
    batch: int = attrs.field(default=256, kw_only=True)
    _quoted: str = attrs.field(init=False, repr=False)
    #: The reason why the relay cannot work, for the check.
    _trouble: str | None = attrs.field(init=False, repr=False, default=None)
    _stored: set[tuple[int, str]] = attrs.field(init=False, repr=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self._quoted = quoted(self.table)
        connect: object = self.connect
        if not callable(connect):
            remedy = 'pass a function that opens a connection, such as lambda: sqlite3.connect("shop.db")'
            raise OutboxFault("connect", connect, remedy)
        if not is_seconds(self.every):
            raise OutboxFault("every", self.every, "give a number of seconds above 0")
        if not is_count(self.batch):
            raise OutboxFault("batch", self.batch, "give a whole number from 1 up")

    def add(self, connection: SyncConnection, port: EventPort[P], /, *_args: P.args, **_kwargs: P.kwargs) -> str:
        """
        Insert an event into the table, in the transaction of *connection*, and return its id.

        It does not commit, and needs no connection to a server. The port need not be started in this process.

        Args:
            connection: The connection of the transaction to which the event belongs.
            port: The port of the event; ``port.keyed(key)`` sets the id.

        Raises:
            TypeError: The channel does not take these arguments.
            UnsupportedConnection: *connection* is of another class or database.
            OutsideTransaction: *connection* is in autocommit mode, and no transaction is open.
        """
        row = _row(port, *_args, **_kwargs)
        in_transaction(database_of(connection)).execute(INSERT.format(table=self._quoted), row)
        return str(row["message_id"])

    async def add_async(
        self, connection: AsyncConnection, port: EventPort[P], /, *_args: P.args, **_kwargs: P.kwargs
    ) -> str:
        """Same as `add`, for async connections."""
        row = _row(port, *_args, **_kwargs)
        database = in_transaction(await async_database_of(connection))
        await database.execute(INSERT.format(table=self._quoted), row)
        return str(row["message_id"])

    def create_table(self, connection: SyncConnection) -> None:
        """
        Create the table unless it exists, in the transaction of *connection*.

        Raises:
            UnsupportedConnection: *connection* is of another class or database.
        """
        database = database_of(connection)
        database.execute(CREATE[database.dialect].format(table=self._quoted), {})

    async def create_table_async(self, connection: AsyncConnection) -> None:
        """Same as `create_table`, for async connections."""
        database = await async_database_of(connection)
        await database.execute(CREATE[database.dialect].format(table=self._quoted), {})

    def failed(self, connection: SyncConnection) -> list[FailedEvent]:
        """
        Return the events that their streams have refused and that are still in the table, in order.

        Raises:
            UnsupportedConnection: *connection* is of another class or database.
        """
        return _failed(database_of(connection).execute(FAILED.format(table=self._quoted), {}).rows)

    async def failed_async(self, connection: AsyncConnection) -> list[FailedEvent]:
        """Same as `failed`, for async connections."""
        database = await async_database_of(connection)
        return _failed((await database.execute(FAILED.format(table=self._quoted), {})).rows)

    @on(RUN)
    async def relay(self, stopping: Stopping) -> None:
        """
        Store the committed rows in their streams until the bus stops.

        Raises:
            UnsupportedConnection: `connect` has returned another object.
            OutsideTransaction: `connect` has returned a connection to PostgreSQL in autocommit mode.
        """
        limit = asyncio.timeout(None)

        async def shorten() -> None:
            await stopping.until_set()
            limit.reschedule(asyncio.get_running_loop().time() + _PATIENCE)

        try:
            async with limit:
                # The database may hang when the bus stops.
                shortening = asyncio.create_task(shorten())
                try:
                    await self._relay(stopping)
                finally:
                    shortening.cancel()
        except TimeoutError:
            if not limit.expired():
                raise
            self.link.bus.log(
                f"the database of the outbox {self.table!r} has not answered; its rows are sent later", WARNING
            )

    async def _relay(self, stopping: Stopping) -> None:
        pause = self.every
        while not stopping.is_set():
            stopping.beat()
            try:
                table = Table(self._quoted, await RelayConnection.open(self.connect))
                relay = Relay(self.link, table, self.batch, self._stored)
                try:
                    while not stopping.is_set():
                        stopping.beat()
                        has_more = await relay.work(stopping)
                        self._works()
                        pause = self.every
                        if not has_more:
                            await _wait(stopping, self.every)
                finally:
                    await relay.close()
            except (UnsupportedConnection, OutsideTransaction):
                raise
            except Exception as error:
                self._fails(error)
                await _wait(stopping, pause)
                pause = min(pause * 2, max(_LONGEST_PAUSE, self.every))

    @on(READY)
    def check(self) -> Check:
        """Fail while the relay cannot use the database."""
        trouble = self._trouble
        return Check(is_ok=trouble is None, detail=trouble or "")

    def _works(self) -> None:
        if self._trouble is not None:
            self._trouble = None
            self.link.bus.log(f"the outbox {self.table!r} works again")

    def _fails(self, error: Exception) -> None:
        if self._trouble is None:
            remedy = "check the database, and create the table with create_table(connection) if it is missing"
            self.link.bus.log(
                f"the outbox {self.table!r} sends no events until its database works: {error_text(error)}; {remedy}",
                ERROR,
            )
        self._trouble = f"the outbox {self.table!r} cannot use its database: {error_text(error)}"


def _row(port: EventPort[P], /, *args: P.args, **kwargs: P.kwargs) -> dict[str, Value]:
    event = port.encoded(*args, **kwargs)
    return {
        "message_id": event.message_id,
        "channel": port.channel,
        "stream": port.stream,
        "headers": json.dumps(event.headers),
        "body": event.data,
        "created_at": time.time(),
    }


def _failed(rows: Sequence[tuple[Any, ...]]) -> list[FailedEvent]:
    return [
        FailedEvent(
            message_id,
            channel,
            attempts,
            error,
            dt.datetime.fromtimestamp(created_at, dt.UTC),
            dt.datetime.fromtimestamp(retry_at, dt.UTC) if retry_at else None,
        )
        for message_id, channel, attempts, error, created_at, retry_at in rows
    ]


async def _wait(stopping: Stopping, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.until_set(), seconds)
