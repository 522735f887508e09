"""The open connections of uvicorn, and which of them are busy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Connections(set[Any]):
    """
    The open connections, with the time at which each was opened; sets an event when a connection ends.

    They are instances of uvicorn's protocol classes. All have a `transport` and
    `shutdown`; those of HTTP also have a `cycle`, the current or the last request.
    """

    def __init__(self, ended: asyncio.Event, now: Callable[[], float]) -> None:
        super().__init__()
        self.since: dict[object, float] = {}
        self._ended = ended
        self._now = now

    def add(self, connection: object, /) -> None:
        super().add(connection)
        self.since[connection] = self._now()

    def discard(self, connection: object, /) -> None:
        super().discard(connection)
        self.since.pop(connection, None)
        self._ended.set()


def is_busy(connection: Any) -> bool:
    """Whether a request on *connection* is not completely answered, or data is not completely sent."""
    if not hasattr(connection, "cycle"):
        return True
    cycle = connection.cycle
    return cycle is not None and bool(not cycle.response_complete or connection.transport.get_write_buffer_size())
