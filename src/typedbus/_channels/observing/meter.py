"""The observer of one channel on a bus."""

from __future__ import annotations

import functools
import threading
import weakref
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from typedbus._channels.channel import R
from typedbus._channels.codegen import UNKNOWN, Shape
from typedbus._channels.observing.classes import observe, release
from typedbus._channels.observing.listeners import AwaitedListener, ObservedListener
from typedbus._channels.observing.stats import ChannelStats
from typedbus._channels.observing.tallies import Cells, Layout, Tally, Totals, add_duration
from typedbus._channels.observing.texts import LEVELS, NAMES, PUBLISHES, Level, entry, unrolled
from typedbus._channels.subscriptions import AnyBoundChannel, Subscription
from typedbus._os.forks import after_fork, keeps_buses

if TYPE_CHECKING:
    from typedbus._channels.subscriptions import Entries, Watches

Clock = Callable[[], float]
"""Returns a number of seconds."""


@attrs.frozen
class ObservedVerbs:
    """The functions that `first`, `fold` and `attempt` of an observed channel call; see `verbs.Unrolled`."""

    first: Callable[..., Any]
    fold: Callable[..., Any]
    attempt: Callable[..., Any]


class Meter:
    """
    Counts the publishes on a bound channel, for all observations of the channel.

    Attributes:
        bound: The channel.
        clock: The source of time.
        entries: The functions that `publish` and the other verbs call after a change of the listeners.
        generation: The number of forks after which this process is a child that has begun to count anew.
    """

    def __init__(self, bound: AnyBoundChannel, clock: Clock) -> None:
        self.bound: Final = bound
        self.clock: Final = clock
        self.generation: int = 0
        self._shape = bound._shape or UNKNOWN  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._levels: dict[object, Level] = {}
        self._level: Level | None = None
        # The totals of tallies that can no longer change, and the other tallies; replaced together, as in `Tally`.
        self._state: tuple[Totals, tuple[Tally, ...]]
        self._begin_counting()
        self.entries: Entries
        _METERS.add(self)
        _count_anew_in_children()

    def begin(self, observation: object, level: Level) -> tuple[int, Totals]:
        """Count for *observation* as well, at least at *level*, and return what to pass to `stats`."""
        with self.bound._lock:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            self._levels[observation] = level
            self._adapt()
            return self.generation, self.totals()

    def end(self, observation: object) -> None:
        """Count no longer for *observation*."""
        with self.bound._lock:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            self._levels.pop(observation, None)
            self._adapt()

    def _adapt(self) -> None:
        """Let publishes count at the highest level that is wanted; the caller holds the lock of the bus."""
        level = max(self._levels.values(), key=LEVELS.index, default=None)
        if level == self._level:
            return
        self._level = level
        bound = self.bound
        is_hot = bound._unrolled is not bound._entries[0]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._attach()
        if is_hot:
            bound._arrange()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            bound._unroll()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def _attach(self) -> None:
        """Let later publishes on the channel use the functions of this meter, or, without a level, those without it."""
        bound, observer = self.bound, None if self._level is None else self
        bound._set_entries(bound._watched, observer)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if observer is None:
            release(bound)
        else:
            observe(bound)
        bound._forget_arrangement()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def stats(self, since: tuple[int, Totals], level: Level) -> ChannelStats:
        """Return what has been counted since `begin` returned *since*."""
        present = [subscription.name for subscription in self.bound.subscriptions]
        generation, earlier = since
        return self.totals().stats(
            earlier if generation == self.generation else Totals(),
            present,
            is_timed=level != "count",
            is_each=level == "each",
        )

    def totals(self) -> Totals:
        """Return the present totals."""
        with self._lock:
            ended, tallies = self._fold()
            totals = ended.copy()
            for tally in tallies:
                totals.add(tally)
            for (name, error), count in list(self._failures.items()):
                totals.fail(name, error, count)
        return totals

    def _fold(self) -> tuple[Totals, tuple[Tally, ...]]:
        """Add the tallies that can no longer change to the totals of earlier ones; the caller holds the lock."""
        while True:
            state = ended, tallies = self._state
            over = [tally for tally in tallies if tally.is_over]
            if not over:
                return state
            totals = ended.copy()
            for tally in over:
                totals.add(tally)
            new = totals, tuple(tally for tally in tallies if tally not in over)
            # As in `Tally`, a signal handler may have replaced them meanwhile.
            if state is self._state:
                self._state = new

    def listener_failed(self, name: str, error: BaseException) -> None:
        """Count a failure of the listener *name*."""
        if not isinstance(error, Exception):
            error = self.bound._own_cancellation(error) or error  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        kind = type(error)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        key = name, module + kind.__qualname__
        with self._lock:
            self._failures[key] = self._failures.get(key, 0) + 1

    def arranged(
        self, subscriptions: Sequence[Subscription], listeners: tuple[Callable[..., Any], ...]
    ) -> tuple[Callable[..., Any], ...]:
        """Return observed listeners for *listeners*, which count in a tally of their own."""
        layout = Layout(len(listeners), self._level != "count", self._level == "each")
        names = [subscription.name for subscription in subscriptions]
        cells = self._new_cells(layout, names)
        kind = AwaitedListener if self.bound.channel.is_async else ObservedListener
        return tuple(
            kind(subscription, listener, self, cells=cells, layout=layout, number=number, name=names[number])
            for number, (subscription, listener) in enumerate(zip(subscriptions, listeners, strict=True))
        )

    def _new_cells(self, layout: Layout, names: Sequence[str]) -> Cells:
        """Return the numbers of a new tally, which counts as long as a publish may use them."""
        tally = Tally(layout, names, self._lock)
        cells = tally.cells()
        with self._lock:
            while True:
                state = ended, tallies = self._fold()
                if state is self._state:
                    self._state = ended, (*tallies, tally)
                    return cells

    def compile(self, shape: Shape, listeners: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
        """Return a function that publishes to exactly *listeners*, which `arranged` returned."""
        observed = cast("tuple[ObservedListener, ...]", listeners)
        return unrolled(
            shape,
            observed[0].layout,
            tuple(listener.call for listener in observed),
            observed[0].cells,
            self.clock,
            functools.partial(self._unrolled_failed, observed),
            is_async=self.bound.channel.is_async,
            names=self._names,
        )

    def _unrolled_failed(
        self,
        listeners: tuple[ObservedListener, ...],
        error: BaseException,
        first: int,
        called: Sequence[Callable[..., Any]],
        readings: Sequence[float],
    ) -> list[Callable[..., Any]]:
        """
        Count a publish in which one of *listeners* has raised *error* in the unrolled function.

        Args:
            listeners: All listeners.
            error: Its line is that of the listener.
            first: The line of the first listener.
            called: The listeners that have not been called, in the places after those that have.
            readings: The readings of the clock at the begin and after each listener that returned.

        Returns:
            *called*, with observed listeners for those that are called next.
        """
        trace = error.__traceback__
        number = -1 if trace is None else trace.tb_lineno - first
        if number < 0:  # no listener was called
            return [*called]
        layout, numbers = listeners[0].layout, listeners[0].cells.numbers
        numbers[layout.LEFT + number] += 1
        if layout.is_each:
            ends = (*readings[1 : 1 + number], self.clock())
            for place, (began, ended) in enumerate(zip(readings, ends, strict=False)):
                add_duration(numbers, layout.histogram_of(place), ended - began)
        self.listener_failed(listeners[number].name, error)
        return [*called[: number + 1], *listeners[number + 1 :]]

    def _begin_counting(self) -> None:
        """Begin with zeros."""
        self._lock = threading.RLock()
        self._state = Totals(), ()
        #: The number of failures by the names of listener and error.
        self._failures: dict[tuple[str, str], int] = {}
        self._cells = self._new_cells(PUBLISHES, ())
        self._names: dict[str, object] = NAMES | {
            "_tb_cells": self._cells,
            "_tb_clock": self.clock,
            "_tb_add_duration": add_duration,
            "_tb_bisect": bisect_left,
            "_tb_observed": self._publish,
            "_tb_ended": self._ended,
        }
        is_async = self.bound.channel.is_async
        publish, *verbs = (
            entry(self._shape, verb, is_async=is_async, names=self._names)
            for verb in ("publish", "first", "fold", "attempt")
        )
        self.entries = publish, ObservedVerbs(*verbs)

    def count_anew(self) -> None:
        """Forget what has been counted; called in a forked child, where a thread of the parent may hold the locks."""
        self.generation += 1
        self._begin_counting()
        self._attach()

    async def _publish(
        self,
        bound: AnyBoundChannel,
        watches: Watches,
        call: Callable[[Callable[..., object]], object],
        publish: Callable[[tuple[Callable[..., Any], ...]], Awaitable[object]],
        listeners: tuple[Callable[..., Any], ...],
    ) -> object:
        """Call the watchers of *watches* with *call*, then *publish* to *listeners*, and count the publish."""
        began = self.clock()
        try:
            bound._call_watchers(watches, call)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            return await publish(listeners)
        finally:
            self._ended(began)

    def count(self, publish: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Call *publish*, and count the publish."""
        began = self.clock()
        try:
            return publish(*args, **kwargs)
        finally:
            self._ended(began)

    async def count_awaited(self, publish: Callable[..., Awaitable[R]], *args: Any) -> R:
        """Await *publish* with *args*, and count the publish."""
        began = self.clock()
        try:
            return await publish(*args)
        finally:
            self._ended(began)

    def _ended(self, began: float | None = None) -> None:
        """Count a publish that has ended; without *began* only at level "count"."""
        numbers = self._cells.numbers
        try:
            if began is not None:
                add_duration(numbers, PUBLISHES.histogram, self.clock() - began)
                return
        except RecursionError:
            pass
        numbers[Layout.UNTIMED] += 1


_METERS: Final[weakref.WeakSet[Meter]] = weakref.WeakSet()


@functools.cache
def _count_anew_in_children() -> None:
    """From here on, let each process that is forked from this one count its own publishes only."""
    after_fork(_count_anew)


def _count_anew() -> None:
    if not keeps_buses():
        for meter in list(_METERS):
            meter.count_anew()


def meter_of(bound: AnyBoundChannel, clock: Clock) -> Meter:
    """Return the meter of *bound*, a new one unless it is observed already; the caller holds the lock of the bus."""
    observer = bound._observer  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return observer if isinstance(observer, Meter) else Meter(bound, clock)
