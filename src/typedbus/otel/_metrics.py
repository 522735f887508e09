"""
The metrics of the buses of a process, in seconds.

The buses count, and observable instruments read the counts at a collection. OpenTelemetry has no observable histogram,
so each duration is recorded when it ends; this takes microseconds, so only a sample of publishes is recorded. An
instrument cannot be removed from its meter, so each meter provider has one set of instruments, which reads all buses
that record to this provider.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol, TypeAlias

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider

from typedbus._base.failures import label_of
from typedbus._base.run_records import RunState
from typedbus._base.states import State
from typedbus._channels.channel import AnyChannel
from typedbus._channels.observing.stats import BUCKETS, ChannelStats
from typedbus._os.forks import after_fork, keeps_buses
from typedbus._telemetry import START_BOUNDS, passed_checks
from typedbus.otel._settings import Settings
from typedbus.plugins.health import Probe

Attributes: TypeAlias = tuple[tuple[str, str], ...]


class Source(Protocol):
    """The figures of one bus, which the instruments read."""

    @property
    def state(self) -> State | None:
        """The state of the bus; None if the bus no longer exists."""
        ...

    def stats(self) -> Mapping[AnyChannel, ChannelStats]:
        """Return the figures of its channels."""
        ...

    def runs(self) -> Iterable[tuple[str, RunState]]:
        """Return the path and the state of each run."""
        ...

    def probes(self) -> Iterable[tuple[str, Probe]]:
        """Return the last probe of each channel of `Health`, with the name of the channel; no check is called."""
        ...


class Instruments:
    """
    The instruments of one meter provider.

    Attributes:
        publish_duration: The durations of publishes.
        listener_duration: The durations of listeners.
        start_duration: The durations of start hooks.
        run_restarts: The restarts of runs.
    """

    def __init__(self, settings: Settings) -> None:
        self._sources: weakref.WeakSet[Source] = weakref.WeakSet()
        # Reentrant: the garbage collector may call `retire` for a bus at any point, also while the lock is held.
        self._lock = threading.RLock()
        self._retirements = 0
        #: The figures of retired sources: a counter must not decrease.
        self._publishes: Counter[Attributes] = Counter()
        self._failures: Counter[Attributes] = Counter()
        meter = settings.meter()
        self.publish_duration = meter.create_histogram(
            "typedbus.publish.duration",
            "s",
            "How long publishes took, for a sample of publishes.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self.listener_duration = meter.create_histogram(
            "typedbus.listener.duration",
            "s",
            "How long calls of a listener took, for a sample of publishes.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self.start_duration = meter.create_histogram(
            "typedbus.component.start.duration",
            "s",
            "How long the start hooks of a component took.",
            explicit_bucket_boundaries_advisory=START_BOUNDS,
        )
        self.run_restarts = meter.create_counter("typedbus.run.restarts", "{restart}", "Calls of runs after a failure.")
        meter.create_observable_counter(
            "typedbus.publish.count", [self._count_publishes], "{publish}", "Publishes that have ended."
        )
        meter.create_observable_counter(
            "typedbus.publish.failures", [self._count_failures], "{failure}", "Exceptions of listeners."
        )
        meter.create_observable_up_down_counter(
            "typedbus.bus.state", [self._count_states], "{bus}", "Buses in each state."
        )
        meter.create_observable_up_down_counter(
            "typedbus.run.state", [self._count_run_states], "{run}", "Runs in each state."
        )
        meter.create_observable_gauge(
            "typedbus.health.check", [self._read_checks], "1", "1 if the check passed in the last probe, else 0."
        )
        _ALL.add(self)

    def add(self, source: Source) -> None:
        """Read *source* at each collection."""
        with self._lock:
            self._sources.add(source)

    def retire(self, source: Source, stats: Mapping[AnyChannel, ChannelStats]) -> None:
        """Stop reading *source*, and keep *stats*, its last figures."""
        with self._lock:
            self._retirements += 1
            self._sources.discard(source)
            self._publishes.update(_publishes_in(stats))
            self._failures.update(_failures_in(stats))

    def forget(self) -> None:
        """Drop the figures of retired sources, in a forked child process."""
        self._lock = threading.RLock()
        self._publishes.clear()
        self._failures.clear()

    def _count_publishes(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._total(self._publishes, _publishes_in)

    def _count_failures(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._total(self._failures, _failures_in)

    def _total(
        self, retired: Counter[Attributes], count: Callable[[Mapping[AnyChannel, ChannelStats]], Counter[Attributes]]
    ) -> Iterable[Observation]:
        with self._lock:
            while True:
                retirements = self._retirements
                total, sources = Counter(retired), list(self._sources)
                # The garbage collector may have retired a source between the two copies.
                if retirements == self._retirements:
                    break
        # A source has a lock of its own, and the thread that holds it may be about to retire another one.
        for source in sources:
            total.update(count(source.stats()))
        return _observations(total)

    def _present(self) -> list[Source]:
        with self._lock:
            return list(self._sources)

    def _count_states(self, _: CallbackOptions) -> Iterable[Observation]:
        states = Counter(source.state for source in self._present())
        return [Observation(states[state], {"typedbus.state": state.name}) for state in State]

    def _count_run_states(self, _: CallbackOptions) -> Iterable[Observation]:
        states = Counter(run for source in self._present() for run in source.runs())
        return [
            Observation(states[path, state], {"typedbus.component": path, "typedbus.state": state.name})
            for path in {path: None for path, _ in states}
            for state in RunState
        ]

    def _read_checks(self, _: CallbackOptions) -> Iterable[Observation]:
        probes = [probe for source in self._present() for probe in source.probes()]
        return [
            Observation(int(is_ok), {"typedbus.channel": channel, "typedbus.check": check})
            for (channel, check), is_ok in passed_checks(probes).items()
        ]


def _publishes_in(stats: Mapping[AnyChannel, ChannelStats]) -> Counter[Attributes]:
    publishes: Counter[Attributes] = Counter()
    for channel, each in stats.items():
        publishes[("typedbus.channel", channel.name),] += each.publishes
    return publishes


def _failures_in(stats: Mapping[AnyChannel, ChannelStats]) -> Counter[Attributes]:
    failures: Counter[Attributes] = Counter()
    for channel, each in stats.items():
        for name, listener in each.listeners.items():
            for kind, number in listener.failures.items():
                key = (("typedbus.channel", channel.name), ("typedbus.listener", label_of(name)), ("error.type", kind))
                failures[key] += number
    return failures


def _observations(values: Mapping[Attributes, int]) -> list[Observation]:
    return [Observation(value, dict(attributes)) for attributes, value in values.items()]


_ALL: Final[weakref.WeakSet[Instruments]] = weakref.WeakSet()
_OF_PROVIDER: Final[weakref.WeakKeyDictionary[MeterProvider, Instruments]] = weakref.WeakKeyDictionary()
_of_process: Instruments | None = None
_LOCK: Final = threading.Lock()


def instruments_of(settings: Settings) -> Instruments:
    """Return the instruments of the provider in *settings*; the same object each time."""
    global _of_process  # noqa: PLW0603  # a process has one provider
    provider = settings.meter_provider
    with _LOCK:
        if provider is None or provider is get_meter_provider():
            _of_process = _of_process or Instruments(settings)
            return _of_process
        if provider not in _OF_PROVIDER:
            _OF_PROVIDER[provider] = Instruments(settings)
        return _OF_PROVIDER[provider]


def _forget_all() -> None:
    if not keeps_buses():
        for instruments in list(_ALL):
            instruments.forget()


after_fork(_forget_all)
