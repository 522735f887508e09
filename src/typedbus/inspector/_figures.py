"""The figures of publishes, which are counted only while a client asks for them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Final

from typedbus._base.clock import Inbox
from typedbus._base.sync import new_lock, simple_queue
from typedbus._bus.bus import Bus
from typedbus._channels.channel import AnyChannel
from typedbus._os.exhausted import start_thread
from typedbus.observe import ChannelStats, Observation

#: Seconds without a request after which nothing is observed any more.
LEASE: Final = 15.0
#: Rates are means over at least this time, in seconds, whatever the number of clients.
_WINDOW: Final = 0.9


class Figures:
    """
    An observation of all channels that ends by itself `LEASE` seconds after the last call of `renew`.

    A thread waits for that end on the clock of the bus; there is none while nothing is observed.
    Every method may be called from any thread.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._lock = new_lock()
        self._observation: Observation | None = None
        self._until = 0.0
        self._thread: threading.Thread | None = None
        self._inbox: Inbox = simple_queue()
        #: The publishes of each channel at two times: the latest, and at least `_WINDOW` before it if there was one.
        self._samples: deque[tuple[float, dict[AnyChannel, int]]] = deque(maxlen=2)
        #: When each channel was first seen with its present number of publishes.
        self._changed: dict[AnyChannel, float] = {}

    @property
    def is_observing(self) -> bool:
        """Whether publishes are counted at present."""
        return self._observation is not None

    def renew(self) -> Current:
        """
        Observe for `LEASE` seconds from now on, and return the figures since the observation began.

        Raises:
            OutOfThreads: The system cannot start another thread.
        """
        now = self._bus.clock.now()
        with self._lock:
            self._until = now + LEASE
            if self._observation is None:
                self._inbox = simple_queue()
                thread = threading.Thread(target=self._wait, args=[self._inbox], name="inspector lease", daemon=True)
                start_thread(thread)
                self._thread = thread
                self._bus.own(thread)
                self._observation = self._bus.observe(level="each")
            stats = self._observation.stats()
            counts = {channel: one.publishes for channel, one in stats.items()}
            previous = self._samples[-1][1] if self._samples else {}
            for channel, count in counts.items():
                if count != previous.get(channel, 0):
                    self._changed[channel] = now
            current = Current(stats, now, self._samples[0] if self._samples else None, self._changed)
            if not self._samples or now - self._samples[-1][0] >= _WINDOW:
                self._samples.append((now, counts))
            return current

    def end(self) -> None:
        """End the observation now, if there is one, and wait for its thread."""
        with self._lock:
            self._close()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def forget(self) -> None:
        """Reset in a forked child, which has none of the threads of its parent."""
        self._lock = new_lock()
        self._close()

    def _close(self) -> None:
        observation, self._observation = self._observation, None
        self._samples.clear()
        self._changed.clear()
        if observation is not None:
            observation.close()
            self._inbox.put(None)

    def _wait(self, inbox: Inbox) -> None:
        while True:
            with self._lock:
                if inbox is not self._inbox or self._observation is None:
                    return
                left = self._until - self._bus.clock.now()
                if left <= 0:
                    self._close()
                    return
            self._bus.clock.wait(inbox, left)


class Current:
    """The figures at one moment, with rates since an earlier one."""

    def __init__(
        self,
        stats: Mapping[AnyChannel, ChannelStats],
        now: float,
        earlier: tuple[float, dict[AnyChannel, int]] | None,
        changed: Mapping[AnyChannel, float],
    ) -> None:
        self.stats: Final = stats
        self._now = now
        self._earlier = earlier
        self._changed = changed

    def rate(self, channel: AnyChannel) -> float | None:
        """Return the publishes in a second; None before the second sample."""
        if self._earlier is None or (seconds := self._now - self._earlier[0]) <= 0:
            return None
        return (self.stats[channel].publishes - self._earlier[1].get(channel, 0)) / seconds

    def last(self, channel: AnyChannel) -> float | None:
        """Return the seconds since a publish was first seen by a request; None if there was none."""
        changed = self._changed.get(channel)
        return None if changed is None else self._now - changed
