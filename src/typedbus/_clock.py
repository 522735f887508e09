"""Where a bus takes the time from."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Protocol


class Clock(Protocol):
    """Where a bus takes the time from; a test may hand in another."""

    def now(self) -> float:
        """Return the seconds since some fixed moment."""
        ...

    def wait(self, inbox: SimpleQueue[None], seconds: float) -> None:
        """Return when something was put into *inbox*, which is taken, or *seconds* have passed."""


class SystemClock:
    """The time of the machine, which is never set back."""

    def now(self) -> float:
        """Return `time.monotonic()`."""
        return time.monotonic()

    def wait(self, inbox: SimpleQueue[None], seconds: float) -> None:
        """Wait on *inbox* for *seconds* at the most."""
        try:
            inbox.get(timeout=min(seconds, threading.TIMEOUT_MAX))
        except Empty:
            return
