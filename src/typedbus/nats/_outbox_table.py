"""The table of an outbox: its statements, and a connection on which a relay reads and deletes its rows."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Collection, Mapping
from typing import Final

import attrs

from typedbus._os.file_locks import lock
from typedbus.nats._databases import Dialect, Outcome, Value
from typedbus.nats._relay_connection import RelayConnection

CREATE: Final[Mapping[Dialect, str]] = {
    "sqlite": """
CREATE TABLE IF NOT EXISTS {table} (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    stream TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    retry_at DOUBLE PRECISION NOT NULL DEFAULT 0
)
""",
    "postgresql": """
CREATE TABLE IF NOT EXISTS {table} (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    stream TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BYTEA NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    retry_at DOUBLE PRECISION NOT NULL DEFAULT 0
)
""",
}
INSERT: Final = """
INSERT INTO {table} (message_id, channel, stream, headers, body, created_at)
VALUES (:message_id, :channel, :stream, :headers, :body, :created_at)
"""
FAILED: Final = """
SELECT message_id, channel, attempts, error, created_at, retry_at FROM {table} WHERE attempts > 0 ORDER BY position
"""
_READ: Final[Mapping[Dialect, str]] = {
    "sqlite": """
SELECT position, message_id, channel, stream, headers, body, attempts, retry_at FROM {table}
WHERE retry_at <= :now AND stream NOT IN (SELECT value FROM json_each(:paused))
ORDER BY position LIMIT :batch
""",
    # A row that an operator changes at this moment is left for later.
    "postgresql": """
SELECT position, message_id, channel, stream, headers, body, attempts, retry_at FROM {table}
WHERE retry_at <= :now AND stream NOT IN (SELECT json_array_elements_text(CAST(:paused AS JSON)))
ORDER BY position LIMIT :batch FOR UPDATE SKIP LOCKED
""",
}
_DELETE: Final[Mapping[Dialect, str]] = {
    "sqlite": "DELETE FROM {table} WHERE position IN (SELECT value FROM json_each(:positions))",
    "postgresql": """
DELETE FROM {table} WHERE position IN
(SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:positions AS JSON)))
""",
}
_REFUSE: Final = """
UPDATE {table} SET attempts = attempts + 1, error = :error, retry_at = :retry_at WHERE position = :position
"""
#: The first key of the advisory lock, which no other program is likely to use; the second is the table.
_LOCK: Final = "SELECT pg_try_advisory_xact_lock(1416127048, CAST(CAST('{table}' AS regclass) AS integer))"


@attrs.frozen
class Row:
    """
    An event that waits in the table.

    Attributes:
        position: Its place in the order.
        attempts: How many times it was refused.
        has_lost_its_place: Whether its stream refused it and took later events.
    """

    position: int
    message_id: str
    channel: str
    stream: str
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)
    attempts: int
    has_lost_its_place: bool


@attrs.frozen
class Refusal:
    """An event that was not stored for the reason *error*, and is sent again after *delay* seconds; 0 keeps its place."""

    position: int
    error: str
    delay: float


@attrs.define(eq=False)
class Table:
    """
    The table on a connection of its own. All methods are called in one task, and raise the errors of the database.

    At most one relay at a time works on a table, so that the order is kept. On PostgreSQL it holds an advisory lock while
    its transaction is open, on SQLite a lock of a file beside the database while it is connected.
    The system releases both when the process ends.

    Args:
        name: The name of the table, quoted.
        connection: The connection, which the table closes.
    """

    _name: str
    _connection: RelayConnection
    _lock_file: int | None = attrs.field(init=False, default=None)
    _has_lock: bool = attrs.field(init=False, default=False)

    async def read(self, batch: int, paused: Collection[str]) -> list[Row] | None:
        """
        Return at most *batch* rows that are due, in order, without the rows of the streams *paused*.

        The result is None if another relay works on the table. On PostgreSQL the rows are locked until `settle`.
        """
        if not await self._is_mine():
            await self._connection.rollback()
            return None
        values: dict[str, Value] = {"now": time.time(), "batch": batch, "paused": json.dumps([*paused])}
        outcome = await self._execute(_READ[self._connection.dialect], values)
        if self._connection.dialect == "sqlite" or not outcome.rows:
            await self._connection.rollback()
        return [
            Row(position, message_id, channel, stream, json.loads(headers), bytes(body), attempts, retry_at > 0)
            for position, message_id, channel, stream, headers, body, attempts, retry_at in outcome.rows
        ]

    async def settle(self, stored: Collection[int], refused: Collection[Refusal]) -> None:
        """Delete the rows at the positions *stored*, record the refusals, and commit."""
        if stored:
            await self._execute(_DELETE[self._connection.dialect], {"positions": json.dumps([*stored])})
        for one in refused:
            values: dict[str, Value] = {
                "position": one.position,
                "error": one.error,
                "retry_at": time.time() + one.delay if one.delay else 0.0,
            }
            await self._execute(_REFUSE, values)
        await self._connection.commit()

    async def _execute(self, text: str, values: Mapping[str, Value]) -> Outcome:
        return await self._connection.execute(text.format(table=self._name), values)

    async def close(self) -> None:
        """Close the connection, and let other relays work on the table."""
        await self._connection.close()
        if self._lock_file is not None:
            os.close(self._lock_file)

    async def _is_mine(self) -> bool:
        if self._connection.dialect == "postgresql":
            return bool((await self._execute(_LOCK, {})).rows[0][0])
        if self._has_lock or sys.platform == "win32":
            return True
        if self._lock_file is None:
            outcome = await self._execute("PRAGMA database_list", {})
            file = next((row[2] for row in outcome.rows if row[1] == "main"), None)
            if not file:  # a database in memory
                return True
            # Not the file of the database: closing it would release the locks of SQLite in this process.
            name = self._name.replace('"', "")
            mode = os.stat(file).st_mode & 0o666  # noqa: PTH116  # blocks no longer than the next line
            self._lock_file = os.open(f"{file}-{name}.lock", os.O_RDWR | os.O_CREAT, mode)
        with contextlib.suppress(BlockingIOError):
            lock(self._lock_file)
            self._has_lock = True
        return self._has_lock
