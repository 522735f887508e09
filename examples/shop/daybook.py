"""The daybook: the orders and log lines of this process, for the page."""

import threading
from collections import deque
from datetime import datetime
from logging import INFO

from examples.shop.channels import order_refused, order_taken
from examples.shop.orders import Order, Receipt, Refused
from typedbus import LOG, on
from typedbus.events import MOVED, Moved

_LINES = 12


class Daybook:
    """Counts orders, and keeps the last lines of the log, from its construction on."""

    def __init__(self) -> None:
        self.since = datetime.now().astimezone()
        self.taken = 0
        self.refused = 0
        self._lines: deque[str] = deque(maxlen=_LINES)
        # Reentrant, since a signal may be logged in the middle of anything.
        self._lock = threading.RLock()

    @property
    def lines(self) -> list[str]:
        """The last lines of the log, the newest first."""
        with self._lock:
            return [*reversed(self._lines)]

    @on(order_taken)
    def take(self, order: Order, receipt: Receipt, /) -> None:
        """Count *order*."""
        with self._lock:
            self.taken += 1

    @on(order_refused)
    def refuse(self, line: int, reason: Refused, /) -> None:
        """Count a refused order."""
        with self._lock:
            self.refused += 1

    @on(LOG)
    def note(self, message: str, level: int) -> None:
        """Keep *message*."""
        with self._lock:
            self._lines.append(f"{datetime.now().astimezone():%H:%M:%S}  {message}")

    @on(MOVED)
    def move(self, event: Moved, /) -> None:
        """Keep the new state of the bus."""
        self.note(f"the bus is {event.after.name}", INFO)
