"""The source of time of a bus, and the queues on which its threads sleep."""

from __future__ import annotations

import threading
import time
from queue import Empty
from typing import Protocol


class Inbox(Protocol):
    """A queue on which a thread sleeps until an item is put into it; `queue.SimpleQueue` is one."""

    def put(self, item: None, /) -> None:
        """Wake the thread that sleeps in `get`, or make the next `get` return at once; safe from a signal handler."""

    def get(self, *, timeout: float | None = ...) -> None:
        """Wait for an item and remove it, or raise `queue.Empty` after *timeout* seconds."""


class Waking:
    """
    How sleeping threads are woken: each by an inbox of its own, and the main thread by signals as well.

    A signal that arrives just as a thread goes to sleep on a queue is noticed only when
    something else wakes that thread. A component that handles signals lends an inbox
    that signals wake, for as long as it is active.
    """

    __slots__ = ("signalled",)

    def __init__(self) -> None:
        self.signalled: Inbox | None = None

    def inbox(self, own: Inbox) -> Inbox:
        """Return the inbox on which the calling thread must sleep: *own*, unless signals must wake it."""
        is_main = threading.current_thread() is threading.main_thread()
        return self.signalled if is_main and self.signalled is not None else own

    def wake(self, own: Inbox) -> None:
        """Wake the thread that sleeps on the inbox that `inbox` returned for *own*."""
        own.put(None)
        if self.signalled is not None:
            self.signalled.put(None)


class Clock(Protocol):
    """The source of time of a bus; a test may pass its own."""

    def now(self) -> float:
        """Return the seconds since some fixed moment."""
        ...

    def wait(self, inbox: Inbox, seconds: float) -> None:
        """Wait for an item in *inbox* and remove it; return after *seconds* at the latest."""


class SystemClock:
    """The monotonic clock of the system, which is never set back."""

    def now(self) -> float:
        """Return `time.monotonic()`."""
        return time.monotonic()

    def wait(self, inbox: Inbox, seconds: float) -> None:
        """Wait on *inbox* for at most *seconds*."""
        try:
            inbox.get(timeout=min(seconds, threading.TIMEOUT_MAX))
        except Empty:
            return
