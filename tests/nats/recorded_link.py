"""Links whose events and lines of the log are recorded."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from typedbus import LOG, Bus
from typedbus.nats import LINK, Link, LinkEvent


class RecordedLink:
    """A bus with its link, which records the events and the lines of the log."""

    def __init__(self, *servers: str, **options: Any) -> None:
        self.bus = Bus()
        self.events: list[LinkEvent] = []
        self.lines: list[str] = []
        self.bus[LINK].subscribe(self.events.append)
        self.bus[LOG].subscribe(lambda text, _level: self.lines.append(text))
        self.link = Link(self.bus, servers, **options)


@contextlib.asynccontextmanager
async def recorded_link(*servers: str, **options: Any) -> AsyncIterator[RecordedLink]:
    """Give a started link, and stop it."""
    made = RecordedLink(*servers, **options)
    await made.link.start()
    try:
        yield made
    finally:
        await made.link.stop()
