"""The relay of an outbox: it sends the rows of the table, and deletes the rows that the stream has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import attrs

from typedbus._base.failures import error_text
from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import ERROR
from typedbus.nats._durable import Durable
from typedbus.nats._errors import Denied, NotStored, StreamFault, TooLarge
from typedbus.nats._events import EventRefused
from typedbus.nats._headers import ID_HEADER
from typedbus.nats._link import Link
from typedbus.nats._outbox_table import Refusal, Row, Table
from typedbus.nats._pending import Pending, Receipt

#: How long an event may take, in seconds.
_DEADLINE: Final = 5.0
#: How long a stop waits for the acknowledgements of the events that are on their way, in seconds.
_PATIENCE: Final = 1.0
#: Seconds between two looks at the stop while acknowledgements are awaited.
_TICK: Final = 0.5
#: Seconds until an event is sent again that the stream refuses, doubled each time.
_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 300.0
#: Seconds until a stream is tried again that takes no event, doubled each time. New events may wait so long.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0


@attrs.define
class _Pause:
    """A stream that takes no events: when it is tried again, on the clock of the loop, and the seconds of the pause."""

    until: float
    seconds: float


@attrs.define(eq=False)
class Relay:
    """
    Sends the rows of one connection to the database, on the event loop of the link.

    Args:
        link: The link of the streams.
        table: The table.
        batch: How many rows are read at once.
        stored: The positions and ids of rows that a stream has, and that are not deleted yet: the database failed
            meanwhile. They are not sent again, since the stream may have forgotten their ids by then.
    """

    link: Link
    table: Table
    batch: int
    stored: set[tuple[int, str]]
    _lanes: dict[tuple[str, str], Durable] = attrs.field(init=False, factory=dict)
    _pauses: dict[str, _Pause] = attrs.field(init=False, factory=dict)

    async def work(self, stopping: Stopping) -> bool:
        """
        Send one batch, and return whether there may be more rows that can be sent at once.

        Raises:
            Exception: An error of the database.
        """
        if not self.link.is_connected:
            return False
        now = asyncio.get_running_loop().time()
        rows = await self.table.read(
            self.batch, [stream for stream, pause in self._pauses.items() if pause.until > now]
        )
        if not rows:
            return False
        outcomes = await self._send(
            [row for row in rows if (row.position, row.message_id) not in self.stored], stopping
        )
        for row, error in outcomes:
            if error is None:
                self.stored.add((row.position, row.message_id))
        refusals = self._refusals(outcomes)
        done = {row.position for row in rows if (row.position, row.message_id) in self.stored}
        await self.table.settle(done, refusals)
        self.stored.difference_update((row.position, row.message_id) for row in rows)
        return len(rows) == self.batch and bool(done or refusals)

    async def close(self) -> None:
        """Give up the events that are on their way, and close the connection to the database."""
        for lane in self._lanes.values():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lane.close(), _TICK)
        await self.table.close()

    async def _send(self, rows: Sequence[Row], stopping: Stopping) -> list[tuple[Row, Exception | None]]:
        """Send *rows*, and return the outcome of each; None for one that is stored."""
        loop = asyncio.get_running_loop()
        sent: list[tuple[Row, asyncio.Future[Receipt]]] = []
        faults: dict[tuple[str, str], StreamFault | Denied] = {}
        try:
            for row in rows:
                future: asyncio.Future[Receipt] = loop.create_future()
                sent.append((row, future))
                key = (row.stream, row.channel)
                if key not in self._lanes and key not in faults:
                    try:
                        self._lanes[key] = await self._opened(*key)
                    except (StreamFault, Denied) as fault:
                        faults[key] = fault
                if key in faults:
                    future.set_exception(NotStored(row.channel, row.message_id, str(faults[key])))
                elif self._lanes[key].window.take():
                    headers = {ID_HEADER: row.message_id, **row.headers}
                    self._lanes[key].enter(Pending(row.message_id, row.body, headers, loop.time() + _DEADLINE, future))
            # The deadlines of the events limit the wait.
            futures = {future for _, future in sent}
            while not stopping.is_set() and any(not future.done() for future in futures):
                stopping.beat()
                await asyncio.wait(futures, timeout=_TICK)
            if any(not future.done() for future in futures):
                await asyncio.wait(futures, timeout=_PATIENCE)
            return [(row, _error_of(future)) for row, future in sent if future.done()]
        finally:
            for _, future in sent:
                future.cancel()

    async def _opened(self, stream: str, channel: str) -> Durable:
        lane = Durable(self.link.session(channel), channel, stream, _DEADLINE, self.batch)
        await lane.open(_DEADLINE)
        return lane

    def _refusals(self, outcomes: Sequence[tuple[Row, Exception | None]]) -> list[Refusal]:
        """Return the rows that were refused, and pause the streams that took none after them."""
        last_taken = {row.stream: row.position for row, error in outcomes if error is None}
        refusals: list[Refusal] = []
        refusing: set[str] = set()
        for row, error in outcomes:
            if not isinstance(error, (NotStored, Denied, TooLarge)) or not self.link.is_connected:
                continue  # it is sent again with the next batch
            delay = 0.0
            if row.has_lost_its_place or row.position < last_taken.get(row.stream, 0):
                # The stream takes other events, so this one must not hold them up.
                delay = min(_FIRST_DELAY * 2.0 ** min(row.attempts, 16), _LONGEST_DELAY)
            else:
                refusing.add(row.stream)
            refusals.append(Refusal(row.position, error_text(error), delay))
            self._report(row, error)
        for stream in last_taken:
            self._pauses.pop(stream, None)
        now = asyncio.get_running_loop().time()
        for stream in refusing:
            before = self._pauses.get(stream)
            seconds = _FIRST_PAUSE if before is None else min(before.seconds * 2, _LONGEST_PAUSE)
            self._pauses[stream] = _Pause(now + seconds, seconds)
        return refusals

    def _report(self, row: Row, error: NotStored | Denied | TooLarge) -> None:
        reason = error_text(error)
        if not row.attempts:
            self.link.bus.log(
                f"the event {row.message_id} on {row.channel!r} stays in the outbox, since the stream "
                f"{row.stream!r} refuses it: {reason}",
                ERROR,
            )
        self.link.session(row.channel).report(EventRefused(row.channel, row.message_id, row.attempts + 1, reason))


def _error_of(future: asyncio.Future[Receipt]) -> Exception | None:
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error
