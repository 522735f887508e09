"""The count of the signals that a port or a receiver has lost, and its reports."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Final

import attrs

from typedbus._base.sync import new_lock
from typedbus.nats._events import SignalsDropped
from typedbus.nats._session import Session

#: Seconds between two reports.
_INTERVAL: Final = 1.0


@attrs.define(eq=False)
class Losses:
    """
    Counts lost signals, and publishes `SignalsDropped` on `LINK`, at most once a second.

    Args:
        channel: The name of the channel.

    Attributes:
        total: How many signals were lost.
    """

    channel: str
    total: int = attrs.field(init=False, default=0)
    _session: Session | None = attrs.field(init=False, default=None)
    _lock: threading.Lock = attrs.field(init=False, factory=new_lock)
    #: The signals that are not reported yet, counted by reason.
    _counts: dict[str, int] = attrs.field(init=False, factory=dict)
    _timer: asyncio.TimerHandle | None = attrs.field(init=False, default=None)
    #: When the next report may be made, on the clock of the loop.
    _next: float = attrs.field(init=False, default=0.0)

    def open(self, session: Session) -> None:
        """Report on the bus of *session*; called on the event loop."""
        self._session = session

    def close(self) -> None:
        """Report the rest; called on the event loop."""
        if self._timer is not None:
            self._timer.cancel()
        self._report()
        self._session = None

    def add(self, count: int, reason: str) -> None:
        """Count lost signals; may be called in any thread."""
        session = self._session
        with self._lock:
            self.total += count
            is_first = not self._counts
            self._counts[reason] = self._counts.get(reason, 0) + count
        if is_first and session is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and `close` has reported
                session.handover.call(self._schedule, session)

    def _schedule(self, session: Session) -> None:
        if self._session is session and self._timer is None:
            self._timer = session.loop.call_at(self._next, self._report)

    def _report(self) -> None:
        self._timer = None
        with self._lock:
            counts, self._counts = self._counts, {}
        session = self._session
        if counts and session is not None:
            self._next = session.loop.time() + _INTERVAL
            session.report(SignalsDropped(self.channel, sum(counts.values()), "; ".join(counts)))
