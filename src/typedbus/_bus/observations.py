"""The observations of the channels of a bus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from typedbus._base.channel_errors import ObserveError
from typedbus._base.clock import SystemClock
from typedbus._bus.builtin import EXIT, GRACEFUL, LIFECYCLE_CHANNELS, START, STOP
from typedbus._channels.observing.meter import Meter, meter_of
from typedbus._channels.observing.observation import Observation
from typedbus._channels.observing.texts import LEVELS, Channels, Level
from typedbus._channels.observing.tracing import Tracer, Tracing
from typedbus._channels.run_channel import RUN
from typedbus._channels.subscriptions import AnyBoundChannel

if TYPE_CHECKING:
    from typedbus._bus.registry import Registry


class Observations:
    """
    The observations and the tracings of one bus that are not closed.

    Args:
        registry: The channels of the bus.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        clock = registry.clock
        # The system clock is read directly, and by its finest counter.
        self._clock = time.perf_counter if type(clock) is SystemClock else clock.now
        # The observations, and the tracings, of all channels; channels that are used later are added to them.
        self._of_all: dict[Observation, None] = {}
        self._tracings_of_all: dict[Tracing, None] = {}
        # The channels of each tracing.
        self._traced: dict[Tracing, list[Meter]] = {}

    def observe(self, channels: Channels, level: Level) -> Observation:
        """Begin an observation; see `Bus.observe`."""
        if level not in LEVELS:
            raise ObserveError("", f"there is no level {level!r}; use one of {', '.join(map(repr, LEVELS))}")
        observation = Observation(level, self._end)
        with self._registry.lock:
            chosen = self._choose(channels, _refusal)
            if channels is None:
                self._of_all[observation] = None
            for bound in chosen:
                observation.add(meter_of(bound, self._clock))
        return observation

    def trace(self, tracer: Tracer, channels: Channels) -> Tracing:
        """Begin a tracing; see `Registry.trace`."""
        tracing = Tracing(tracer, self._end_tracing)
        with self._registry.lock:
            if channels is None and self._tracings_of_all:
                raise ObserveError("", "all channels are traced already; close that tracing first")
            chosen = self._choose(channels, _refusal_of_tracing)
            self._traced[tracing] = []
            if channels is None:
                self._tracings_of_all[tracing] = None
            try:
                for bound in chosen:
                    self._add(tracing, bound)
            except ObserveError:
                self._end_tracing(tracing)
                raise
        return tracing

    def _choose(self, channels: Channels, refusal_of: Callable[[AnyBoundChannel], str]) -> list[AnyBoundChannel]:
        """Return the bound channels of *channels*; for None all except the bus's own."""
        if channels is None:
            return [bound for bound in list(self._registry.bound.values()) if _is_included_in_all(bound)]
        given: Any = channels
        are_several = isinstance(given, Iterable) and not isinstance(given, str)
        named: list[Any] = [*given] if are_several else [given]
        chosen: list[AnyBoundChannel] = [self._registry.look_up(channel) for channel in dict.fromkeys(named)]
        for bound in chosen:
            refusal = refusal_of(bound)
            if refusal:
                raise ObserveError(bound.channel.name, refusal)
        return chosen

    def admit(self, bound: AnyBoundChannel) -> None:
        """Add *bound* to the observations and the tracings of all channels; called before its first use."""
        if _is_included_in_all(bound):
            for observation in list(self._of_all):
                observation.add(meter_of(bound, self._clock))
            for tracing in list(self._tracings_of_all):
                self._add(tracing, bound)

    def _add(self, tracing: Tracing, bound: AnyBoundChannel) -> None:
        decide = tracing.tracer.decider(bound.channel)
        if decide is not None:
            meter = meter_of(bound, self._clock)
            meter.trace(decide)
            self._traced[tracing].append(meter)

    def _end(self, observation: Observation) -> None:
        with self._registry.lock:
            self._of_all.pop(observation, None)
            observation.finish()

    def _end_tracing(self, tracing: Tracing) -> None:
        with self._registry.lock:
            self._tracings_of_all.pop(tracing, None)
            for meter in self._traced.pop(tracing, ()):
                meter.trace(None)


def observations_of(registry: Registry) -> Observations:
    """Return the observations of the bus of *registry*."""
    with registry.lock:
        if registry.observations is None:
            registry.observations = Observations(registry)
    return registry.observations


def _is_included_in_all(bound: AnyBoundChannel) -> bool:
    return bound.channel not in LIFECYCLE_CHANNELS and bound.channel is not RUN


def _refusal(bound: AnyBoundChannel) -> str:
    """Return why *bound* cannot be observed, and what to do instead; "" if it can be observed."""
    if bound.channel is RUN:
        return "the bus calls its listeners itself; `Bus.runs` has the state of each"
    if bound.channel not in (START, STOP, EXIT, GRACEFUL):
        return ""
    return "the bus calls its listeners itself; `typedbus.report.Report` records the durations and failures of a start"


def _refusal_of_tracing(bound: AnyBoundChannel) -> str:
    if bound.channel in LIFECYCLE_CHANNELS or bound.channel is RUN:
        return "the bus publishes on it itself; only other channels can be traced"
    return ""
