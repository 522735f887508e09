"""
The figures of many channels for a reader that reads them again and again, with little work for those that are idle.

The numbers that threads count are compared with copies from the last read, all in one pass and without a lock. The
tallies of a channel are looked up again only if there is another list of numbers, of a new thread or new listeners.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from operator import add, attrgetter, is_not, ne, sub
from typing import Final, TypeAlias

from typedbus._channels.channel import AnyChannel
from typedbus._channels.observing.counts import CountsState
from typedbus._channels.observing.meter import Meter, Since
from typedbus._channels.observing.observation import Observation
from typedbus._channels.observing.stats import ChannelStats
from typedbus._channels.observing.tallies import HISTOGRAM, Layout, Numbers, Tally, TallyState, Totals
from typedbus._channels.observing.texts import Level

_Figures: TypeAlias = tuple[int, int, int, list[int]]
"""Publishes that were not timed, failures, and of the timed publishes the nanoseconds and the buckets."""

_NOTHING: Final[_Figures] = 0, 0, 0, [0] * (HISTOGRAM - 1)
_STATE: Final = attrgetter("state")
_STATE_OF_COUNTS: Final = attrgetter("counts.state")


class Digests:
    """
    Reads the figures of the channels of *observation*, without those of each listener, until it is closed.

    Only one thread at a time may call `read`. It takes the lock of the bus only for channels with another list of numbers.

    Args:
        observation: An observation that is not closed.
    """

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self._digests: dict[Meter, Digest] = {}
        # Pairs of sequences that are equal as long as no channel has another list of numbers ...
        self._states: list[CountsState | None] = []
        self._tallies: list[Tally] = []
        self._tally_states: list[TallyState] = []
        self._owners: list[Digest] = []
        # ... and as long as nothing was counted.
        self._sources: list[_Source] = []
        self._live: list[object] = []
        self._copies: list[object] = []

    def read(self) -> list[Digest]:
        """
        Return the digests with figures that may have changed since the last call, at first all, in any order.

        A digest is the same object in all calls, which update it.
        """
        meters = self._observation.meters
        if len(meters) != len(self._digests):
            for meter, since in list(meters.items()):
                if meter not in self._digests:
                    self._digests[meter] = Digest(meter, since, self._observation.level)
                    self._states.append(None)
        is_other = map(is_not, map(_STATE_OF_COUNTS, self._digests), self._states)
        has_other_lists = map(is_not, map(_STATE, self._tallies), self._tally_states)
        changed = dict.fromkeys(itertools.compress(self._digests.values(), is_other))
        changed.update(dict.fromkeys(itertools.compress(self._owners, has_other_lists)))
        if changed:
            for digest in changed:
                digest.look_up()
            self._line_up()
        numbered = enumerate(self._sources)
        for place, source in itertools.compress(numbered, map(ne, self._live, self._copies)):
            self._copies[place] = source.read()
            changed[source.digest] = None
        for digest in changed:
            digest.add_up()
        return [*changed]

    def _line_up(self) -> None:
        digests = self._digests.values()
        self._states = [digest.state for digest in digests]
        self._owners = [digest for digest in digests for _ in digest.tallies]
        self._tallies = [tally for digest in digests for tally, _ in digest.tallies]
        self._tally_states = [state for digest in digests for _, state in digest.tallies]
        self._sources = [source for digest in digests for source in digest.sources]
        self._live = [source.live for source in self._sources]
        self._copies = [source.copy for source in self._sources]


class Digest:
    """
    The figures of a channel since its observation began.

    Attributes:
        channel: The channel.
        publishes: The number of publishes.
        failures: The number of failures.
        timed: The number of publishes with a duration.
        buckets: The histogram of the durations, as in `Durations`.
        nanoseconds: Their sum.
    """

    __slots__ = (
        "_level",
        "_meter",
        "_since",
        "buckets",
        "channel",
        "failures",
        "nanoseconds",
        "parts",
        "publishes",
        "sources",
        "state",
        "tallies",
        "timed",
    )

    def __init__(self, meter: Meter, since: Since, level: Level) -> None:
        self.channel: Final[AnyChannel] = meter.bound.channel
        self.publishes = self.failures = self.timed = self.nanoseconds = 0
        self.buckets: list[int] = []
        self._level: Final = level
        self._meter = meter
        self._since = since
        # For `Digests`: the states of the counts and of their tallies when they were looked up, and the objects that
        # receive later numbers. The figures are the sum of the parts.
        self.state: CountsState | None = None
        self.tallies: list[tuple[Tally, TallyState]] = []
        self.sources: list[_Source] = []
        self.parts: dict[_Source | None, _Figures] = {}

    def stats(self) -> ChannelStats:
        """Return the present figures with those of each listener; any thread may call it."""
        return self._meter.stats(self._since, self._level)

    def look_up(self) -> None:
        """Look up the counts of the channel; all `sources` are to be read before `add_up`."""
        counts = self._meter.counts
        self.state, self.tallies = counts.parts()
        since, earlier = self._since
        fixed = _NOTHING
        if since is counts:
            fixed = _combined(sub, fixed, _of_totals(earlier))
        fixed = _combined(add, fixed, _of_totals(self.state[0]))
        for tally, (ended, _) in self.tallies:
            fixed = _combined(add, fixed, _of_numbers(_places(tally.layout), ended, 1))
        self.parts = {} if fixed == _NOTHING else {None: fixed}
        lists = [_List(self, tally.layout, numbers) for tally, (_, lists) in self.tallies for numbers in lists]
        self.sources = [_Failures(self, counts.failures), *lists]

    def add_up(self) -> None:
        """Compute the figures."""
        figures, *others = self.parts.values() or [_NOTHING]
        untimed, failures, nanoseconds, buckets = figures
        for other in others:
            untimed += other[0]
            failures += other[1]
            nanoseconds += other[2]
            buckets = [*map(add, buckets, other[3])]
        self.failures, self.nanoseconds, self.buckets = failures, nanoseconds, buckets
        self.timed = timed = sum(buckets)
        self.publishes = untimed + timed


class _List:
    """The numbers of one thread in a tally, which are a part of *digest*."""

    __slots__ = ("_places", "copy", "digest", "live")

    def __init__(self, digest: Digest, layout: Layout, numbers: Numbers) -> None:
        self.digest: Final = digest
        self._places: Final = _places(layout)
        self.live: Final = numbers
        self.copy: Numbers = layout.zeros()

    def read(self) -> object:
        """Return a copy of the numbers, which the digest has from now on."""
        self.copy = numbers = [*self.live]
        self.digest.parts[self] = _of_numbers(self._places, numbers, 1e9)
        return numbers


class _Failures:
    """The failures of listeners, which are a part of *digest*."""

    __slots__ = ("copy", "digest", "live")

    def __init__(self, digest: Digest, failures: dict[tuple[str, str], int]) -> None:
        self.digest: Final = digest
        self.live: Final = failures
        self.copy: dict[tuple[str, str], int] = {}

    def read(self) -> object:
        """Return a copy of the numbers, which the digest has from now on."""
        self.copy = failures = self.live.copy()
        self.digest.parts[self] = 0, sum(failures.values()), 0, _NOTHING[-1]
        return failures


_Source: TypeAlias = _List | _Failures


_Places: TypeAlias = tuple[slice, slice, int]


def _places(layout: Layout) -> _Places:
    """Return the places of the RecursionErrors, and of the buckets and the sum of the histogram; 0 for no histogram."""
    start, end = layout.histogram, layout.histogram + HISTOGRAM - 1
    return slice(layout.recursions, start), slice(start, end), end if layout.is_timed else 0


def _of_numbers(places: _Places, numbers: Numbers, unit: float) -> _Figures:
    """Return the figures of *numbers*, in which *unit* nanoseconds are 1."""
    recursions, histogram, end = places
    failures = sum(numbers[recursions])
    if not end:
        return numbers[Layout.SUCCEEDED] + numbers[Layout.UNTIMED], failures, 0, _NOTHING[-1]
    buckets = numbers[histogram]
    buckets[0] += numbers[Layout.FAST]
    return numbers[Layout.UNTIMED], failures, int(numbers[end] * unit), buckets


def _of_totals(totals: Totals) -> _Figures:
    *buckets, nanoseconds = totals.histogram
    return totals.publishes - sum(buckets), sum(totals.failures.values()), nanoseconds, buckets


def _combined(operation: Callable[[int, int], int], one: _Figures, other: _Figures) -> _Figures:
    return (
        operation(one[0], other[0]),
        operation(one[1], other[1]),
        operation(one[2], other[2]),
        [*map(operation, one[3], other[3])],
    )
