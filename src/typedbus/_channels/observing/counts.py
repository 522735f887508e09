"""The counts of a channel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from typedbus._base.static import annotated_name
from typedbus._channels.observing.tallies import Cells, Layout, Tally, TallyState, Totals, add_duration

if TYPE_CHECKING:
    from typedbus._channels.subscriptions import AnyBoundChannel

Clock = Callable[[], float]
"""Returns a number of seconds."""

CountsState: TypeAlias = tuple[Totals, tuple[Tally, ...]]
"""Totals, and tallies that count."""

PUBLISHES: Final = Layout(0, is_timed=True, is_each=False)
"""The numbers of the publishes that no unrolled function counts."""


class Counts:
    """
    The numbers of one channel on a bus, which begin at zero.

    Attributes:
        clock: The source of time.
        publishes: The numbers of the publishes that no unrolled function counts, by thread.
        failures: The number of failures, other than RecursionErrors, by the names of listener and error.
        state: The totals of tallies that can no longer change, and the other tallies. As long as it is the same object,
            these tallies and `failures` have all further numbers.
    """

    def __init__(self, bound: AnyBoundChannel, clock: Clock, lock: threading.RLock) -> None:
        self.clock: Final = clock
        self._bound = bound
        # That of the bus. A finaliser or a signal handler may observe the bus while its thread holds this lock: with a lock
        # of their own here, two threads could wait for each other.
        self._lock = lock
        # Replaced together, as in `Tally`.
        self.state: CountsState = Totals(), ()
        self.failures: Final[dict[tuple[str, str], int]] = {}
        #: All numbers at some moment, and their totals: most channels are idle between two reads.
        self._read: tuple[object, Totals] = None, Totals()
        self.publishes: Final = self.new_cells(PUBLISHES, ())

    def new_cells(self, layout: Layout, names: Sequence[str]) -> Cells:
        """Return the numbers of a new tally, which counts as long as a publish may use them."""
        tally = Tally(layout, names, self._lock)
        cells = tally.cells()
        with self._lock:
            while True:
                state = ended, tallies = self._fold()
                if state is self.state:
                    self.state = ended, (*tallies, tally)
                    return cells

    def totals(self) -> Totals:
        """Return the present totals, which must not be changed."""
        with self._lock:
            ended, tallies = self._fold()
            # Numbers only grow. So if all are the same as before an earlier sum, that sum is still right.
            numbers = ended, tallies, [tally.numbers() for tally in tallies], [*self.failures.values()]
            earlier, totals = self._read
            if numbers == earlier:
                return totals
            totals = ended.copy()
            for tally in tallies:
                totals.add(tally)
            for (name, error), count in list(self.failures.items()):
                totals.fail(name, error, count)
            self._read = numbers, totals
        return totals

    def parts(self) -> tuple[CountsState, list[tuple[Tally, TallyState]]]:
        """Return `state` and the state of each of its tallies, so that a reader can add up the later numbers itself."""
        with self._lock:
            state = self._fold()
            return state, [(tally, tally.merged()) for tally in state[1]]

    def _fold(self) -> CountsState:
        """Add the tallies that can no longer change to the totals of earlier ones; the caller holds the lock."""
        while True:
            state = ended, tallies = self.state
            over = [tally for tally in tallies if tally.is_over]
            if not over:
                return state
            totals = ended.copy()
            for tally in over:
                totals.add(tally)
            new = totals, tuple(tally for tally in tallies if tally not in over)
            # A signal handler may have replaced them meanwhile.
            if state is self.state:
                self.state = new

    def publish_ended(self, began: float | None = None) -> None:
        """Count a publish that no unrolled function counts; without *began* it has no duration."""
        numbers = self.publishes.numbers
        try:
            if began is not None:
                add_duration(numbers, PUBLISHES.histogram, self.clock() - began)
                return
        except RecursionError:  # the clock cannot be read: hardly any stack is left
            pass
        numbers[Layout.UNTIMED] += 1

    def listener_failed(self, name: str, error: BaseException) -> None:
        """Count a failure of the listener *name*."""
        if not isinstance(error, Exception):
            error = self._bound._own_cancellation(error) or error  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        key = name, annotated_name(type(error))
        with self._lock:
            self.failures[key] = self.failures.get(key, 0) + 1
