"""
The counters behind an observation: a list of numbers for each thread, so that a publish counts without a lock.

Only its own thread writes to such a list, and each step is a single addition, so no count is lost, with or without a
global interpreter lock. A reader adds up the lists of all threads.
"""

from __future__ import annotations

import threading
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from typedbus._channels.observing.stats import BUCKETS, ChannelStats, Durations, ListenerStats

Numbers: TypeAlias = list[Any]
"""Numbers of one thread: counts, and sums of seconds."""

TallyState: TypeAlias = tuple[list[int], tuple[Numbers, ...]]
"""Sums of the numbers of threads, with durations in nanoseconds, and the numbers of other threads."""

HISTOGRAM: Final = len(BUCKETS) + 2
"""The numbers of a histogram: its buckets, one for longer durations, and the sum in seconds."""


@attrs.frozen
class Layout:
    """
    The places of the numbers that an unrolled function counts.

    For each listener there are two numbers: the publishes in which it raised, so that the function called no later
    listener, and its RecursionErrors. The attributes determine the other numbers.

    Attributes:
        count: The number of listeners.
        is_timed: Whether the function adds the publishes that succeed to a histogram; otherwise it counts them.
        is_each: Whether there is a histogram for each listener.
    """

    count: int
    is_timed: bool
    is_each: bool

    #: The place for the publishes that succeed, if they are not timed.
    SUCCEEDED: ClassVar[int] = 0
    #: The place for the publishes within the first bucket; if each listener is timed, all calls were within it as well.
    FAST: ClassVar[int] = 0
    #: The place for the other publishes that are not in the histogram.
    UNTIMED: ClassVar[int] = 1
    #: The place for the publishes in which the first listener raised.
    LEFT: ClassVar[int] = 2

    @property
    def recursions(self) -> int:
        """The place for the first listener's number of RecursionErrors."""
        return self.LEFT + self.count

    @property
    def histogram(self) -> int:
        """The place of the histogram of the publishes."""
        return self.LEFT + 2 * self.count

    def calls(self, number: int) -> int:
        """Return the place for the calls of a listener by an `ObservedListener`."""
        start = self.histogram + (HISTOGRAM if self.is_timed else 0)
        return start + number * (1 + HISTOGRAM if self.is_each else 1)

    def histogram_of(self, number: int) -> int:
        """Return the place of the histogram of a listener."""
        return self.calls(number) + 1

    @property
    def histograms(self) -> list[int]:
        """The places of all histograms."""
        places = [self.histogram] if self.is_timed else []
        return places + ([self.histogram_of(number) for number in range(self.count)] if self.is_each else [])

    def zeros(self) -> Numbers:
        """Return a list of zeros; its length is that of all lists of this layout."""
        numbers: Numbers = [0] * self.calls(self.count)
        for place in self.histograms:
            numbers[place + HISTOGRAM - 1] = 0.0
        return numbers

    def whole(self, numbers: Numbers) -> list[int]:
        """
        Return *numbers* with sums in nanoseconds.

        The sum of whole numbers does not depend on the order in which threads end, so no total becomes smaller by rounding.
        """
        whole = [*numbers]
        for place in self.histograms:
            whole[place + HISTOGRAM - 1] = int(whole[place + HISTOGRAM - 1] * 1e9)
        return whole


def add_duration(numbers: Numbers, histogram: int, seconds: float) -> None:
    """Add *seconds* to the histogram at the place *histogram* of *numbers*, which belong to the calling thread."""
    numbers[histogram + bisect_left(BUCKETS, seconds)] += 1
    numbers[histogram + HISTOGRAM - 1] += seconds


class Tally:
    """
    The numbers of all threads, for the same listeners and the same level.

    Attributes:
        layout: Their places.
        names: The name of each listener.
        state: The sums of lists that are no longer used, and the lists in use. As long as it is the same object, these
            lists have all further numbers.
    """

    __slots__ = ("_cells", "_finished", "_lock", "layout", "names", "state")

    def __init__(self, layout: Layout, names: Sequence[str], lock: threading.RLock) -> None:
        self.layout: Final = layout
        self.names: Final = tuple(names)
        self._lock = lock
        # Replaced together, so that a signal handler that reads the numbers in the middle of a change finds each list in
        # one of them.
        self.state: TallyState = layout.whole(layout.zeros()), ()
        # Lists of which the last reference outside has gone, for example because their thread has ended.
        self._finished: deque[Numbers] = deque()
        self._cells: weakref.ref[Cells] | None = None

    def cells(self) -> Cells:
        """Return the lists by thread; the tally does not keep them, so it knows when no publish uses them any longer."""
        cells = Cells(self)
        self._cells = weakref.ref(cells)
        return cells

    def new_numbers(self) -> Numbers:
        """Return a list of zeros for a thread."""
        numbers = self.layout.zeros()
        with self._lock:
            self._merge()
            while True:
                state = self.state
                if self._replace(state, (state[0], (*state[1], numbers))):
                    return numbers

    def finish(self, numbers: Numbers) -> None:
        """Take back *numbers*, to which no thread writes any longer; finalisers call it at any point of any thread."""
        self._finished.append(numbers)

    def merged(self) -> TallyState:
        """Return `state`, with the lists of threads that have ended among the sums."""
        with self._lock:
            self._merge()
            return self.state

    def sums(self) -> list[int]:
        """Return the sums over all threads."""
        with self._lock:
            self._merge()
            ended, lists = self.state
            return [sum(column) for column in zip(ended, *map(self.layout.whole, lists), strict=True)]

    def numbers(self) -> tuple[list[int], list[Numbers]]:
        """Return the numbers of which `sums` is the sum: those of ended threads, and copies of those of each other thread."""
        with self._lock:
            self._merge()
            ended, lists = self.state
            return ended, [[*numbers] for numbers in lists]

    @property
    def is_over(self) -> bool:
        """Whether the sums can no longer change."""
        with self._lock:
            self._merge()
            return (self._cells is None or self._cells() is None) and not self.state[1]

    def _merge(self) -> None:
        while self._finished:
            numbers = self._finished.popleft()
            while True:
                state = ended, lists = self.state
                sums = [one + other for one, other in zip(ended, self.layout.whole(numbers), strict=True)]
                if self._replace(state, (sums, tuple(each for each in lists if each is not numbers))):
                    break

    def _replace(self, state: TallyState, new: TallyState) -> bool:
        """Replace *state* by *new*, unless a signal handler or a finaliser has replaced it meanwhile."""
        if self.state is not state:
            return False
        self.state = new
        return True


class Cells(threading.local):
    """
    The numbers of a tally by thread.

    Attributes:
        numbers: Those of the calling thread.
    """

    numbers: Numbers

    # Called in each thread that uses the object.
    def __init__(self, tally: Tally) -> None:
        self.numbers = tally.new_numbers()
        self._use = _Use(tally, self.numbers)


class _Use:
    """Returns *numbers* to *tally* when their thread ends, or when the cells are no longer used."""

    __slots__ = ("_numbers", "_tally")

    def __init__(self, tally: Tally, numbers: Numbers) -> None:
        self._tally = tally
        self._numbers = numbers

    def __del__(self) -> None:
        self._tally.finish(self._numbers)


class Totals:
    """The sums of the tallies of a channel, with durations in nanoseconds."""

    __slots__ = ("failures", "histogram", "listeners", "publishes")

    def __init__(self) -> None:
        self.publishes: int = 0
        self.histogram: list[int] = [0] * HISTOGRAM
        #: For each listener its calls, and its histogram.
        self.listeners: dict[str, list[int]] = {}
        #: The number of failures by the names of listener and error.
        self.failures: dict[tuple[str, str], int] = {}

    def copy(self) -> Totals:
        """Return a copy."""
        copied = Totals()
        copied.publishes, copied.histogram = self.publishes, [*self.histogram]
        copied.listeners = {name: [*numbers] for name, numbers in self.listeners.items()}
        copied.failures = {**self.failures}
        return copied

    def add(self, tally: Tally) -> None:
        """Add the sums of *tally*."""
        layout, sums = tally.layout, tally.sums()
        if layout.is_timed:
            fast = sums[Layout.FAST]
            self.histogram[0] += fast
            self._add_histogram(self.histogram, sums, layout.histogram)
            called = fast + sum(sums[layout.histogram : layout.histogram + HISTOGRAM - 1])
        else:
            called = sums[Layout.SUCCEEDED]
        self.publishes += called + sums[Layout.UNTIMED]
        for number in reversed(range(layout.count)):
            called += sums[Layout.LEFT + number]
            name, calls = tally.names[number], sums[layout.calls(number)]
            numbers = self.listeners.setdefault(name, [0] * (1 + HISTOGRAM))
            numbers[0] += called + calls
            if layout.is_each:
                numbers[1] += sums[Layout.FAST]
                self._add_histogram(numbers, sums, layout.histogram_of(number), 1)
            recursions = sums[layout.recursions + number]
            if recursions:
                self.fail(name, RecursionError.__name__, recursions)

    @staticmethod
    def _add_histogram(numbers: list[int], sums: list[int], histogram: int, start: int = 0) -> None:
        for place in range(HISTOGRAM):
            numbers[start + place] += sums[histogram + place]

    def fail(self, name: str, error: str, count: int = 1) -> None:
        """Add *count* failures of the listener *name*."""
        self.failures[name, error] = self.failures.get((name, error), 0) + count

    def stats(self, earlier: Totals, present: Sequence[str], *, is_timed: bool, is_each: bool) -> ChannelStats:
        """Return the difference to *earlier*; the names *present* are those of the subscribed listeners."""
        failures: dict[str, dict[str, int]] = {}
        for (name, error), count in self.failures.items():
            difference = count - earlier.failures.get((name, error), 0)
            if difference:
                failures.setdefault(name, {})[error] = difference
        listeners: dict[str, ListenerStats] = {}
        nothing = [0] * (1 + HISTOGRAM)
        for name in dict.fromkeys((*present, *self.listeners)):
            numbers = _difference(self.listeners.get(name, nothing), earlier.listeners.get(name, nothing))
            if numbers[0] or name in failures or name in present:
                listeners[name] = ListenerStats(
                    numbers[0], failures.get(name, {}), _durations(numbers[1:]) if is_each else None
                )
        return ChannelStats(
            self.publishes - earlier.publishes,
            sum(sum(each.values()) for each in failures.values()),
            _durations(_difference(self.histogram, earlier.histogram)) if is_timed else None,
            listeners,
        )


def _difference(numbers: list[int], earlier: list[int]) -> list[int]:
    return [one - other for one, other in zip(numbers, earlier, strict=True)]


def _durations(histogram: list[int]) -> Durations:
    return Durations(tuple(histogram[:-1]), histogram[-1] / 1e9)
