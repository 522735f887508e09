"""
Announce the start and the end of threads that other code creates, such as those of a server.

A listener creates and closes a resource of a thread, for example a database
connection, in that thread. So both channels are published in the thread that they
announce, which itself must call `acquire` and `release`.

A thread that ends without calling `release` can no longer publish its end. That is
done when the next new thread calls `acquire`, or by the stop, in the thread of that
call: late and in another thread, but once, and with the same number. For this a
thread is identified by a weak reference, and not by its ident, which the system
reuses as soon as it is free.
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
"""Published in a thread at its first `acquire`, with its number."""

THREAD_ENDED = Channel[[int], None]("thread_ended")
"""Published once for each number: in the thread at its `release`, else in another when it is found to have ended."""


@attrs.define(eq=False)
class Threads:
    """
    Numbers the threads that call `acquire`, and announces them on `THREAD_STARTED` and `THREAD_ENDED`.

    Numbers increase from 1 and are never reused. Every method may be called from
    any thread; no listener is called under a lock. If a thread that Python did not
    create ends without `release`, this is noticed only at the stop.

    Args:
        bus: The bus on which the channels are published.
    """

    bus: Bus
    _counter: Iterator[int] = attrs.field(init=False, repr=False, factory=lambda: itertools.count(1))
    _numbers: dict[weakref.ref[threading.Thread], int] = attrs.field(init=False, repr=False, factory=dict)
    _lock: threading.Lock = attrs.field(init=False, repr=False, factory=new_lock)

    def acquire(self) -> int:
        """
        Return the number of the calling thread; at its first call, publish `THREAD_STARTED` before.

        Raises:
            ChannelFailures: A listener raised. The thread has its number nevertheless.
        """
        own = weakref.ref(threading.current_thread())
        number = self._numbers.get(own)
        if number is not None:
            return number
        with self._lock:
            ended = [ref for ref in self._numbers if (thread := ref()) is None or not thread.is_alive()]
            ended_numbers = [self._numbers.pop(ref) for ref in ended]
            number = self._numbers[own] = next(self._counter)
        # Its own start first: the thread needs the resources that these listeners create.
        try:
            self.bus[THREAD_STARTED].publish(number)
        finally:
            self._publish_ends(ended_numbers)
        return number

    def release(self) -> None:
        """
        Drop the number of the calling thread, and publish `THREAD_ENDED`; does nothing if it has no number.

        Raises:
            ChannelFailures: A listener raised. The number is dropped nevertheless.
        """
        with self._lock:
            number = self._numbers.pop(weakref.ref(threading.current_thread()), None)
        if number is not None:
            self.bus[THREAD_ENDED].publish(number)

    def stop(self) -> None:
        """
        Publish `THREAD_ENDED` for all remaining threads, in the calling thread.

        A server stops before, so these threads have ended or are idle in a pool. A
        thread that calls `acquire` later gets a new number.

        Raises:
            ChannelFailures: A listener raised.
            ExceptionGroup: Several `ChannelFailures`, for several threads.
        """
        with self._lock:
            numbers = list(self._numbers.values())
            self._numbers.clear()
        self._publish_ends(numbers)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the threads that have one at present, in the order of their first `acquire`."""
        with self._lock:
            return tuple(self._numbers.values())

    @property
    def by_thread(self) -> dict[threading.Thread, int]:
        """The numbers of these threads by their thread object, without threads whose object no longer exists."""
        with self._lock:
            numbers = list(self._numbers.items())
        return {thread: number for reference, number in numbers if (thread := reference()) is not None}

    def _publish_ends(self, numbers: Iterable[int]) -> None:
        failures: list[ChannelFailures] = []
        for number in numbers:
            try:
                self.bus[THREAD_ENDED].publish(number)
            except ChannelFailures as error:
                failures.append(error)
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise ExceptionGroup("listeners failed for several threads that had ended", failures)
