"""The figures of an observation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Final

import attrs

from typedbus._base.record import Record

BUCKETS: Final[tuple[float, ...]] = tuple(1e-6 * 4**exponent for exponent in range(12))
"""The upper bounds of the buckets of `Durations`, in seconds: 1 µs, 4 µs, 16 µs … 4.2 s."""


@attrs.frozen(eq=False, repr=False)
class Durations(Record):
    """
    A histogram of durations.

    Attributes:
        buckets: How many durations were at most a bound of `BUCKETS` and above the bound before it; the last number
            counts those above all bounds.
        seconds: Their sum.
    """

    buckets: tuple[int, ...]
    seconds: float

    @property
    def count(self) -> int:
        """The number of durations."""
        return sum(self.buckets)

    @property
    def mean(self) -> float:
        """The mean in seconds; 0 if there are no durations."""
        return self.seconds / self.count if self.count else 0.0

    @property
    def cumulative(self) -> tuple[tuple[float, int], ...]:
        """Each bound, the last of which is infinite, with the number of durations that are not above it."""
        return tuple(zip((*BUCKETS, math.inf), itertools.accumulate(self.buckets), strict=True))


@attrs.frozen(eq=False, repr=False)
class ListenerStats(Record):
    """
    The calls of a listener.

    Attributes:
        calls: Calls that have ended, or had begun in a publish that has ended.
        failures: How many exceptions it raised, by the name of their class.
        durations: How long the calls took, except calls that raised `RecursionError`; None below level "each".
    """

    calls: int
    failures: Mapping[str, int]
    durations: Durations | None


@attrs.frozen(eq=False, repr=False)
class ChannelStats(Record):
    """
    The publishes on a channel.

    Attributes:
        publishes: How many have ended, by whatever method they began, and with whatever outcome.
        failures: How many exceptions its listeners raised.
        durations: How long the publishes took, except some that raised `RecursionError`; None at level "count".
        listeners: The listeners by name: first the subscribed ones, in running order, then earlier ones. Listeners of
            the same name are counted together.
    """

    publishes: int
    failures: int
    durations: Durations | None
    listeners: Mapping[str, ListenerStats]
