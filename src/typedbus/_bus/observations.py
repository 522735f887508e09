"""The observations of the channels of a bus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from typedbus._base.channel_errors import ObserveError
from typedbus._base.clock import Clock, SystemClock
from typedbus._bus.builtin import EXIT, GRACEFUL, LIFECYCLE_CHANNELS, START, STOP
from typedbus._channels.channel import AnyChannel
from typedbus._channels.observing.meter import meter_of
from typedbus._channels.observing.observation import Observation
from typedbus._channels.observing.texts import LEVELS, Channels, Level
from typedbus._channels.run_channel import RUN
from typedbus._channels.subscriptions import AnyBoundChannel

if TYPE_CHECKING:
    from typedbus._bus.registry import Registry


class Observations:
    """
    The observations of one bus that are not closed.

    Args:
        registry: The channels of the bus.
        clock: The source of time.
    """

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        # That of the system is read without a detour, and is finer.
        self._clock = time.perf_counter if type(clock) is SystemClock else clock.now
        # Those of all channels.
        self._of_all: dict[Observation, None] = {}

    def observe(self, channels: Channels, level: Level) -> Observation:
        """Begin an observation; see `Bus.observe`."""
        if level not in LEVELS:
            raise ObserveError("", f"there is no level {level!r}; use one of {', '.join(map(repr, LEVELS))}")
        observation = Observation(level, self._end)
        named: list[Any] = [] if channels is None else [channels] if isinstance(channels, AnyChannel) else [*channels]
        with self._registry.lock:
            chosen = [self._registry.look_up(channel) for channel in dict.fromkeys(named)]
            for bound in chosen:
                refusal = _refusal(bound)
                if refusal:
                    raise ObserveError(bound.channel.name, refusal)
            if channels is None:
                self._of_all[observation] = None
                chosen = [bound for bound in list(self._registry.bound.values()) if _is_one_of_all(bound)]
            for bound in chosen:
                observation.add(meter_of(bound, self._clock))
        return observation

    def admit(self, bound: AnyBoundChannel) -> None:
        """Let the observations of all channels observe *bound*, which is about to be used for the first time."""
        if _is_one_of_all(bound):
            for observation in list(self._of_all):
                observation.add(meter_of(bound, self._clock))

    def _end(self, observation: Observation) -> None:
        with self._registry.lock:
            self._of_all.pop(observation, None)
            observation.finish()


def observe(registry: Registry, clock: Clock, channels: Channels, level: Level) -> Observation:
    """Begin an observation of channels in *registry*; see `Bus.observe`."""
    with registry.lock:
        observations = registry.observations
        if observations is None:
            observations = registry.observations = Observations(registry, clock)
    return observations.observe(channels, level)


def _is_one_of_all(bound: AnyBoundChannel) -> bool:
    return bound.channel not in LIFECYCLE_CHANNELS and bound.channel is not RUN


def _refusal(bound: AnyBoundChannel) -> str:
    """Return why *bound* cannot be observed, and what to do instead; "" if it can be observed."""
    if bound.channel is RUN:
        return "the bus calls its listeners itself; `Bus.runs` has the state of each"
    if bound.channel not in (START, STOP, EXIT, GRACEFUL):
        return ""
    return "the bus calls its listeners itself; `typedbus.report.Report` records the durations and failures of a start"
