"""The figures of publishes, which are counted only while a client asks for them."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Mapping
from typing import Final

from typedbus._base.clock import Inbox
from typedbus._base.sync import new_lock, simple_queue
from typedbus._bus.bus import Bus
from typedbus._channels.channel import AnyChannel
from typedbus._channels.observing.digests import Digest, Digests
from typedbus._os.exhausted import start_thread
from typedbus.observe import BUCKETS, ChannelStats, Observation

#: Seconds without a request after which nothing is observed any more.
LEASE: Final = 15.0
#: Rates are means over at least this time, in seconds, whatever the number of clients.
_WINDOW: Final = 0.9
_SHARE: Final = 0.95
#: As JSON, the bound of each bucket; for durations above all bounds the next power.
_BOUNDS: Final = tuple(repr(bound) for bound in (*BUCKETS, BUCKETS[-1] * 4))

#: The text of a channel that is not counted.
UNKNOWN: Final = ",".join(f'"{key}":null' for key in ("publishes", "rate", "mean", "p95", "failures", "last"))


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
        self._digests: Digests | None = None
        self._rows: dict[AnyChannel, Row] = {}
        #: The times of two samples: the latest, and at least `_WINDOW` before it if there was one.
        self._samples: deque[float] = deque(maxlen=2)
        self._has_rates = False
        #: The rows whose text has another rate than 0.
        self._moving: dict[Row, None] = {}

    def renew(self, at: str) -> Mapping[AnyChannel, Row]:
        """
        Observe for `LEASE` seconds from now on, and return the figures of each channel since the observation began.

        Args:
            at: The present time as text, for publishes that this call is the first to see.

        Raises:
            OutOfThreads: The system cannot start another thread.
        """
        now = self._bus.clock.now()
        with self._lock:
            self._until = now + LEASE
            if self._digests is None:
                self._inbox = simple_queue()
                thread = threading.Thread(target=self._wait, args=[self._inbox], name="inspector lease", daemon=True)
                start_thread(thread)
                self._thread = thread
                self._bus.own(thread)
                self._observation = self._bus.observe(level="each")
                self._digests = Digests(self._observation)
            self._update(self._digests.read(), now, f'"{at}"')
            return self._rows

    def _update(self, changed: list[Digest], now: float, at: str) -> None:
        """Write the rows that changed. The row of an idle channel stays as it is, since its rate remains 0."""
        rows, moving, samples = self._rows, self._moving, self._samples
        for digest in changed:
            row = rows.get(digest.channel)
            if row is None:
                row = rows[digest.channel] = Row(digest)
            if digest.publishes != row.publishes:
                row.publishes = digest.publishes
                row.last = at
            moving[row] = None
        seconds = now - samples[0] if samples else 0.0
        has_rates = seconds > 0
        for row in moving if has_rates == self._has_rates else rows.values():
            row.write(seconds)
        self._has_rates = has_rates
        # A row with a rate other than 0 is written again, also if nothing more is published.
        self._moving = {row: None for row in moving if row.earlier != row.publishes}
        if not samples:
            for row in rows.values():
                row.earlier = row.sampled = row.publishes
            samples.append(now)
        elif now - samples[-1] >= _WINDOW:
            for row in moving:
                if len(samples) == samples.maxlen:
                    row.earlier = row.sampled
                row.sampled = row.publishes
            samples.append(now)

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
        # An answer may have the rows at present.
        self._digests, self._rows, self._moving = None, {}, {}
        self._samples.clear()
        self._has_rates = False
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


class Row:
    """
    The figures of a channel as JSON.

    Attributes:
        digest: The figures.
        text: The text.
        publishes: The publishes at the latest request.
        earlier: Those at the first of two samples.
        sampled: Those at the latest sample.
        last: When a request first saw the latest of them.
    """

    __slots__ = ("digest", "earlier", "last", "publishes", "sampled", "text")

    def __init__(self, digest: Digest) -> None:
        self.digest: Final = digest
        self.text = UNKNOWN
        self.publishes = self.earlier = self.sampled = 0
        self.last = "null"

    def write(self, seconds: float) -> None:
        """Write the text, *seconds* after the first sample; without samples there is no rate."""
        digest = self.digest
        since = self.publishes - self.earlier
        rate = "null" if seconds <= 0 else f"{since / seconds:.3f}" if since else "0.0"
        mean = bound = "null"
        if timed := digest.timed:
            mean = f"{digest.nanoseconds // timed}e-9"
            bound = _BOUNDS[0] if digest.buckets[0] >= _SHARE * timed else _bound_at_share(digest.buckets, timed)
        self.text = (
            f'"publishes":{self.publishes},"rate":{rate},"mean":{mean},"p95":{bound},'
            f'"failures":{digest.failures},"last":{self.last}'
        )

    def stats(self) -> ChannelStats:
        """Return the present figures with those of each listener."""
        return self.digest.stats()


def _bound_at_share(buckets: list[int], count: int) -> str:
    """Return the bound of the bucket that has the 95th of 100 durations, of which there are *count*."""
    seen = itertools.accumulate(buckets)
    return next(bound for bound, number in zip(_BOUNDS, seen, strict=True) if number >= _SHARE * count)
