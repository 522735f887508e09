"""The inbox: a table that records which events a listener has handled."""

from __future__ import annotations

import time
from typing import Final

import attrs

from typedbus._base.numbers import is_number
from typedbus.nats._databases import (
    AsyncConnection,
    SyncConnection,
    Value,
    async_database_of,
    database_of,
    in_transaction,
    quoted,
)
from typedbus.nats._table_errors import InboxFault

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS {table} (
    name TEXT NOT NULL,
    message_id TEXT NOT NULL,
    seen_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name, message_id)
)
"""
_INSERT: Final = """
INSERT INTO {table} (name, message_id, seen_at) VALUES (:name, :message_id, :seen_at) ON CONFLICT DO NOTHING
"""
_DELETE: Final = "DELETE FROM {table} WHERE name = :name AND seen_at < :before"


@attrs.frozen
class Inbox:
    """
    Records the ids of events in the transaction of the listener, so that each event takes effect once.

    An event may be delivered again: its process may end after the commit and before the acknowledgement. The listener
    calls `seen` first in its transaction, and returns if that is True. If the transaction is rolled back, the
    record is undone as well, so the next delivery is handled again.

    It has no state besides the table, and may be used from any thread and any event loop. It never commits.

    Args:
        name: The listener that handles the events, such as ``"invoicing"``. Two listeners of one event with separate
            transactions need two names.
        table: The name of the table, in lower case, with a schema if needed.

    Raises:
        InboxFault: *name* is empty.
        TableNameError: *table* is not a plain identifier.
    """

    name: str
    table: str = attrs.field(default="typedbus_inbox", kw_only=True)
    _quoted: str = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        _check_text("name", self.name, "give the listener that handles the events, such as 'invoicing'")
        object.__setattr__(self, "_quoted", quoted(self.table))

    def create_table(self, connection: SyncConnection) -> None:
        """
        Create the table unless it exists, in the transaction of *connection*.

        Raises:
            UnsupportedConnection: *connection* is of another class or database.
        """
        database_of(connection).execute(_CREATE.format(table=self._quoted), {})

    async def create_table_async(self, connection: AsyncConnection) -> None:
        """Same as `create_table`, for async connections."""
        database = await async_database_of(connection)
        await database.execute(_CREATE.format(table=self._quoted), {})

    def seen(self, connection: SyncConnection, message_id: str) -> bool:
        """
        Record an event in the transaction of *connection*, and return whether it was recorded before.

        While another transaction that has recorded the same event is open, the call waits for its end, on SQLite at
        most for the timeout of the connection.

        Args:
            connection: The connection of the transaction in which the listener makes its changes.
            message_id: The id of the event, `Delivery.message_id`.

        Raises:
            InboxFault: *message_id* is empty.
            UnsupportedConnection: *connection* is of another class or database.
            OutsideTransaction: *connection* is in autocommit mode, and no transaction is open.
        """
        values = self._record(message_id)
        return in_transaction(database_of(connection)).execute(_INSERT.format(table=self._quoted), values).count == 0

    async def seen_async(self, connection: AsyncConnection, message_id: str) -> bool:
        """Same as `seen`, for async connections."""
        values = self._record(message_id)
        database = in_transaction(await async_database_of(connection))
        return (await database.execute(_INSERT.format(table=self._quoted), values)).count == 0

    def forget(self, connection: SyncConnection, *, older_than: float) -> int:
        """
        Delete the records of this name that are older than *older_than* seconds, and return their number.

        An event whose record is deleted takes effect again if it is delivered again. So keep records longer than the
        stream and the outbox keep events.

        Raises:
            InboxFault: *older_than* is no number of seconds from 0 up.
            UnsupportedConnection: *connection* is of another class or database.
        """
        return database_of(connection).execute(_DELETE.format(table=self._quoted), self._older(older_than)).count

    async def forget_async(self, connection: AsyncConnection, *, older_than: float) -> int:
        """Same as `forget`, for async connections."""
        values = self._older(older_than)
        database = await async_database_of(connection)
        return (await database.execute(_DELETE.format(table=self._quoted), values)).count

    def _record(self, message_id: str) -> dict[str, Value]:
        _check_text("message_id", message_id, "pass delivery().message_id")
        return {"name": self.name, "message_id": message_id, "seen_at": time.time()}

    def _older(self, older_than: float) -> dict[str, Value]:
        if not is_number(older_than) or older_than < 0:
            raise InboxFault("older_than", older_than, "pass a number of seconds, such as 7 * 86_400 for a week")
        return {"name": self.name, "before": time.time() - older_than}


def _check_text(name: str, given: object, remedy: str) -> None:
    if not isinstance(given, str) or not given:
        raise InboxFault(name, given, remedy)
