"""
Tell of threads that somebody else makes: those of a server, as each comes and goes.

Whatever a listener keeps for each thread, as a connection to a database, it makes
and closes in that thread. So both channels are published in the thread that they
tell of: there is no other place to say it from than what the thread itself calls,
`acquire` and `release`.

A thread that ends without a word cannot say so any more. It is told of by the next
that is seen for the first time, or by the stop, in the thread of that one: late
and elsewhere, but once, and with the number that it had. For this a thread is
known by itself, weakly, and not by its ident, which the system gives to the next
one as soon as it is free.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Iterable, Iterator

import attrs

from typedbus._base.failures import ChannelFailures
from typedbus._base.sync import new_lock
from typedbus._bus.bus import Bus
from typedbus._channels.channel import Channel

__all__ = ("THREAD_ENDED", "THREAD_STARTED", "Threads")

THREAD_STARTED = Channel[[int], None]("thread_started")
"""Published in a thread when it is first seen, with its number."""

THREAD_ENDED = Channel[[int], None]("thread_ended")
"""Published once for each number: in the thread when it is released, else in another's when it is found ended."""


@attrs.define(eq=False)
class Threads:
    """
    Numbers the threads that call `acquire`, and tells of them on `THREAD_STARTED` and `THREAD_ENDED`.

    Numbers go up from 1 and are never given again. Every method may be called
    from any thread; no listener is called under a lock. A thread that Python did
    not make, and that ends without `release`, is found ended only at the stop.

    Args:
        bus: Where it is told.
    """

    bus: Bus
    _numbers: Iterator[int] = attrs.field(init=False, repr=False, factory=lambda: itertools.count(1))
    _known: dict[weakref.ref[threading.Thread], int] = attrs.field(init=False, repr=False, factory=dict)
    _lock: threading.Lock = attrs.field(init=False, repr=False, factory=new_lock)

    def acquire(self) -> int:
        """
        Return the number of the calling thread; if it is seen for the first time, tell of it before.

        Raises:
            ChannelFailures: A listener raised. The thread has its number all the same.
        """
        own = weakref.ref(threading.current_thread())
        number = self._known.get(own)
        if number is not None:
            return number
        with self._lock:
            ended = [ref for ref in self._known if (thread := ref()) is None or not thread.is_alive()]
            gone = [self._known.pop(ref) for ref in ended]
            number = self._known[own] = next(self._numbers)
        # Its own listeners first: they are what this thread came for.
        try:
            self.bus[THREAD_STARTED].publish(number)
        finally:
            self._tell_ended(gone)
        return number

    def release(self) -> None:
        """
        Tell that the calling thread needs its number no more; nothing happens if it has none.

        Raises:
            ChannelFailures: A listener raised. The thread has no number any more all the same.
        """
        with self._lock:
            number = self._known.pop(weakref.ref(threading.current_thread()), None)
        if number is not None:
            self.bus[THREAD_ENDED].publish(number)

    def stop(self) -> None:
        """
        Tell of all that are left as ended, in the thread that stops.

        A server stops before, so that these are threads that have ended, or that
        wait in somebody's pool. One that calls `acquire` later gets a new number.

        Raises:
            ChannelFailures: A listener raised.
            ExceptionGroup: Several of these, for several threads.
        """
        with self._lock:
            left = list(self._known.values())
            self._known.clear()
        self._tell_ended(left)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the threads that are known at present, in the order in which they were seen."""
        with self._lock:
            return tuple(self._known.values())

    def _tell_ended(self, numbers: Iterable[int]) -> None:
        failures: list[ChannelFailures] = []
        for number in numbers:
            try:
                self.bus[THREAD_ENDED].publish(number)
            except ChannelFailures as failed:
                failures.append(failed)
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise ExceptionGroup("listeners failed for several threads that had ended", failures)
