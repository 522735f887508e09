"""The observer of one channel on a bus."""

from __future__ import annotations

import functools
import threading
import weakref
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from typedbus._base.channel_errors import ObserveError
from typedbus._channels.channel import R
from typedbus._channels.codegen import UNKNOWN, Shape
from typedbus._channels.entries import VERBS, EntryVerbs
from typedbus._channels.observing.classes import observe, release
from typedbus._channels.observing.counts import Clock, Counts
from typedbus._channels.observing.listeners import (
    Awaited,
    Observed,
    ObservedListener,
    observed_listener,
    traced,
    unrolled_failed,
)
from typedbus._channels.observing.stats import ChannelStats
from typedbus._channels.observing.tallies import Layout, Totals, add_duration
from typedbus._channels.observing.texts import LEVELS, NAMES, Level, entry, unrolled
from typedbus._channels.observing.tracing import Decide, PublishTrace
from typedbus._channels.subscriptions import AnyBoundChannel, Subscription
from typedbus._os.forks import after_fork, keeps_buses

if TYPE_CHECKING:
    from typedbus._channels.subscriptions import Entries, Watches

Listeners: TypeAlias = tuple[Callable[..., Any], ...]


class Meter:
    """
    Counts the publishes on a bound channel, for all observations of the channel, and passes them to their traces.

    Attributes:
        bound: The channel.
        counts: The counts of this process.
        entries: The functions that `publish` and the other verbs call after a change of the listeners.
    """

    def __init__(self, bound: AnyBoundChannel, clock: Clock) -> None:
        self.bound: Final = bound
        self.counts: Counts
        self.entries: Entries
        self._clock = clock
        self._levels: dict[object, Level] = {}
        self._level: Level | None = None
        self._decide: Decide | None = None
        #: The figures that were returned last, with what they were computed from.
        self._figures: tuple[Totals, Since, int, Level, ChannelStats] | None = None
        self._count_from_zero(bound._lock)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        _METERS.add(self)
        _count_anew_in_children()

    def begin(self, observation: object, level: Level) -> Since:
        """Count for *observation* as well, at least at *level*, and return the argument *since* of `stats`."""
        with self.bound._lock:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            self._levels[observation] = level
            self._adapt()
            return self.counts, self.counts.totals()

    def end(self, observation: object) -> None:
        """Stop counting for *observation*."""
        with self.bound._lock:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            self._levels.pop(observation, None)
            self._adapt()

    def trace(self, decide: Decide | None) -> None:
        """
        Pass later publishes to the traces that *decide* returns; None ends the tracing.

        Raises:
            ObserveError: The channel is traced already.
        """
        with self.bound._lock:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            if decide is not None and self._decide is not None:
                raise ObserveError(self.bound.channel.name, "it is traced already; close that tracing first")
            changes = self._decide is not decide
            self._decide = decide
            self._adapt(changes=changes)

    def stats(self, since: Since, level: Level) -> ChannelStats:
        """Return the figures since `begin` returned *since*."""
        changes = self.bound._changes  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        totals = self.counts.totals()
        # Of an idle channel the totals are the same object, and so are the figures, unless the listeners have changed.
        match self._figures:
            case (of_totals, of_since, of_changes, of_level, figures) if (
                of_totals is totals and of_since is since and (of_changes, of_level) == (changes, level)
            ):
                return figures
            case _:
                present = [subscription.name for subscription in self.bound.subscriptions]
        counts, earlier = since
        figures = totals.stats(
            earlier if counts is self.counts else Totals(),
            present,
            is_timed=level != "count",
            is_each=level == "each",
        )
        self._figures = totals, since, changes, level, figures
        return figures

    def _adapt(self, *, changes: bool = False) -> None:
        """Let publishes count at the highest level of all observations; the caller holds the lock of the bus."""
        level = max(self._levels.values(), key=LEVELS.index, default=None)
        if level == self._level and not changes:
            return
        self._level = level
        bound = self.bound
        is_hot = bound._unrolled is not bound._entries[0]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._attach(None if level is None and self._decide is None else self)
        if is_hot:
            bound._arrange()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            bound._unroll()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def _attach(self, observer: Meter | None) -> None:
        """Let later publishes on the channel call the functions of *observer*."""
        bound = self.bound
        if observer is None:
            release(bound)
        else:
            self.entries = self._new_entries()
            observe(bound)
        bound._set_entries(bound._watched, observer)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        bound._forget_arrangement()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def _new_entries(self) -> Entries:
        shape = self.bound._shape or UNKNOWN  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        is_async, is_traced = self.bound.channel.is_async, self._decide is not None
        names = self._names | {"_tb_decide": self._decide}
        publish, *verbs = (entry(shape, verb, is_async=is_async, is_traced=is_traced, names=names) for verb in VERBS)
        return publish, EntryVerbs(*verbs)

    def _count_from_zero(self, lock: threading.RLock) -> None:
        self.counts = Counts(self.bound, self._clock, lock)
        #: The globals of generated functions.
        self._names: dict[str, object] = NAMES | {
            "_tb_cells": self.counts.publishes,
            "_tb_clock": self._clock,
            "_tb_add_duration": add_duration,
            "_tb_bisect": bisect_left,
            "_tb_publish": self._publish,
            "_tb_ended": self.counts.publish_ended,
            "_tb_traced": self._trace_awaited if self.bound.channel.is_async else self._trace,
        }

    def count_anew(self) -> None:
        """Begin at zero in a forked child."""
        lock = self.bound._lock  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if lock.acquire(blocking=False):
            lock.release()
        else:  # a thread of the parent holds it
            lock = threading.RLock()
        self._count_from_zero(lock)
        if self.bound._observer is self:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            self._attach(self)

    def arranged(self, subscriptions: Sequence[Subscription], listeners: Listeners) -> Listeners:
        """Return observed listeners for *listeners*, which count in a tally of their own."""
        layout = Layout(len(listeners), self._level in ("time", "each"), self._level == "each")
        cells = self.counts.new_cells(layout, [subscription.name for subscription in subscriptions])
        observed = [
            ObservedListener(subscription, listener, self.counts, cells, layout, number=number)
            for number, (subscription, listener) in enumerate(zip(subscriptions, listeners, strict=True))
        ]
        return tuple(map(Awaited, observed)) if self.bound.channel.is_async else tuple(observed)

    def compile(self, shape: Shape, listeners: Listeners) -> Callable[..., Any]:
        """Return a function that publishes to exactly *listeners*, which `arranged` returned."""
        observed = [*map(observed_listener, cast("tuple[Observed, ...]", listeners))]
        failed = functools.partial(unrolled_failed, self.counts, observed, listeners)
        further: dict[str, object] = {"_tb_cells": observed[0].cells, "_tb_failed": failed}
        if observed[0].layout.is_timed:
            further["_tb_clock"] = self._clock
        if self._decide is not None:
            further |= {"_tb_decide": self._decide, "_tb_listeners": listeners}
        return unrolled(
            shape,
            observed[0].layout,
            tuple(listener.call for listener in observed),
            further,
            is_counted=self._level is not None,
            is_async=self.bound.channel.is_async,
            names=self._names,
        )

    def _trace(self, verb: str, trace: PublishTrace, listeners: Listeners, args: tuple[Any, ...]) -> object:
        """Call *verb* with *args* and *listeners*, and pass its course to *trace*."""
        publish, verbs = self.entries
        function: Any = publish if verb == "publish" else getattr(verbs, verb)
        error: BaseException | None = None
        try:
            return function(*args, _traced(listeners, trace))
        except BaseException as caught:
            error = caught
            raise
        finally:
            trace.ended(error)
            del error

    async def _trace_awaited(
        self, verb: str, trace: PublishTrace, listeners: Listeners, args: tuple[Any, ...]
    ) -> object:
        """Await a publish in the same way; an unrolled function is the only caller, and *verb* is always "publish"."""
        bound: Any = args[0]

        def publish(listeners: Listeners) -> Any:
            return bound._loop(*args[1:], listeners)  # noqa: SLF001  # as the generated code does

        return await self._publish(bound, (), repr, publish, listeners, trace)

    async def _publish(  # noqa: PLR0917  # generated code calls it
        self,
        bound: AnyBoundChannel,
        watches: Watches,
        call: Callable[[Callable[..., object]], object],
        publish: Callable[[Listeners], Awaitable[R]],
        listeners: Listeners,
        trace: PublishTrace | None = None,
    ) -> R:
        """Call the watchers of *watches* with *call*, then *publish* to *listeners*, and count and trace the publish."""
        decide = self._decide
        if trace is None and decide is not None:
            trace = decide()
        error: BaseException | None = None
        began = self._clock()
        try:
            bound._call_watchers(watches, call)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            return await publish(listeners if trace is None else _traced(listeners, trace))
        except BaseException as caught:
            error = caught
            raise
        finally:
            self.counts.publish_ended(began)
            if trace is not None:
                trace.ended(error)
            del error

    def count(self, publish: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Call *publish*, and count the publish."""
        began = self._clock()
        try:
            return publish(*args, **kwargs)
        finally:
            self.counts.publish_ended(began)

    async def run(self, run: Callable[[Any, Any], Awaitable[R]], plan: Any, call: Any) -> R:
        """Await *run* with *plan* and *call*, the listeners of a concurrent channel, and count and trace the publish."""
        watches, phases = plan

        def publish(listeners: Listeners) -> Awaitable[R]:
            rest = iter(listeners)
            return run((watches, tuple(tuple((next(rest), kind) for _, kind in phase) for phase in phases)), call)

        listeners = tuple(listener for phase in phases for listener, _ in phase)
        return await self._publish(self.bound, (), call, publish, listeners)


Since: TypeAlias = tuple[Counts, Totals]
"""The begin of an observation: the counts of the process, and their totals."""


def _traced(listeners: Listeners, trace: PublishTrace) -> Listeners:
    return tuple(traced(cast("Observed", listener), trace) for listener in listeners)


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
