"""Where a bus takes the time from."""

from __future__ import annotations

import threading
import time
from queue import Empty
from typing import Protocol


class Inbox(Protocol):
    """What a thread sleeps on until somebody puts something into it, as a `queue.SimpleQueue` is."""

    def put(self, item: None, /) -> None:
        """Wake whoever sleeps on it, or the next one who does; safe from a signal handler."""

    def get(self, *, timeout: float | None = ...) -> None:
        """Return when something was put in, which is taken, or raise `queue.Empty` after *timeout* seconds."""


class Waking:
    """
    How threads that sleep are woken: each by an inbox of its own, and the main thread by signals as well.

    A signal that comes as a thread goes to sleep on a queue is noticed only when
    something else wakes that thread. Who handles signals has an inbox that they
    wake, and lends it as long as it does.
    """

    __slots__ = ("signalled",)

    def __init__(self) -> None:
        self.signalled: Inbox | None = None

    def inbox(self, own: Inbox) -> Inbox:
        """Return what the calling thread is to sleep on: *own*, unless it is to be woken by signals."""
        is_main = threading.current_thread() is threading.main_thread()
        return self.signalled if is_main and self.signalled is not None else own

    def wake(self, own: Inbox) -> None:
        """Wake whoever sleeps on what `inbox` gave for *own*."""
        own.put(None)
        if self.signalled is not None:
            self.signalled.put(None)


class Clock(Protocol):
    """Where a bus takes the time from; a test may hand in another."""

    def now(self) -> float:
        """Return the seconds since some fixed moment."""
        ...

    def wait(self, inbox: Inbox, seconds: float) -> None:
        """Return when something was put into *inbox*, which is taken, or *seconds* have passed."""


class SystemClock:
    """The time of the machine, which is never set back."""

    def now(self) -> float:
        """Return `time.monotonic()`."""
        return time.monotonic()

    def wait(self, inbox: Inbox, seconds: float) -> None:
        """Wait on *inbox* for *seconds* at the most."""
        try:
            inbox.get(timeout=min(seconds, threading.TIMEOUT_MAX))
        except Empty:
            return
