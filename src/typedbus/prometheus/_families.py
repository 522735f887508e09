"""The metric families of a bus, from its state, its component starts and its health checks."""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Self

import attrs
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from typedbus._base.run_records import RunRecord, RunState
from typedbus._base.states import State
from typedbus._telemetry import START_BOUNDS, passed_checks
from typedbus.plugins.health import Probe
from typedbus.prometheus._buckets import named_buckets

BUS_STATE: Final = functools.partial(
    GaugeMetricFamily,
    "typedbus_bus_state",
    "1 for the state that the bus is in, 0 for the others.",
    labels=("state",),
)
COMPONENT_START_DURATION: Final = functools.partial(
    HistogramMetricFamily,
    "typedbus_component_start_duration_seconds",
    "How long the start hooks of a component took.",
    labels=("component", "outcome"),
)
HEALTH_CHECK: Final = functools.partial(
    GaugeMetricFamily,
    "typedbus_health_check",
    "1 if the check passed in the last probe, 0 if it failed.",
    labels=("channel", "check"),
)
RUN_RESTARTS: Final = functools.partial(
    CounterMetricFamily,
    "typedbus_run_restarts",
    "How often a run that had failed was called again.",
    labels=("component",),
)
RUN_STATE: Final = functools.partial(
    GaugeMetricFamily,
    "typedbus_run_state",
    "1 for the state that the run is in, 0 for the others.",
    labels=("component", "state"),
)
BUS_FAMILIES: Final[Sequence[Callable[[], Metric]]] = (
    BUS_STATE,
    COMPONENT_START_DURATION,
    HEALTH_CHECK,
    RUN_RESTARTS,
    RUN_STATE,
)


@attrs.frozen
class StartDurations:
    """The durations of the start hooks of one component: how many lie in each bucket, and their sum in seconds."""

    counts: tuple[int, ...] = (0,) * (len(START_BOUNDS) + 1)
    seconds: float = 0.0

    def with_one(self, seconds: float) -> Self:
        """Return a copy with one more duration, of *seconds*."""
        place = bisect.bisect_left(START_BOUNDS, seconds)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return attrs.evolve(self, counts=counts, seconds=self.seconds + seconds)

    @property
    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each upper bound in seconds, the last of which is infinite, and how many durations it includes."""
        return zip((*START_BOUNDS, math.inf), itertools.accumulate(self.counts), strict=True)


def bus_families(
    state: State,
    starts: Mapping[tuple[str, str], StartDurations],
    probes: Iterable[tuple[str, Probe]],
    runs: Iterable[RunRecord],
) -> Iterator[Metric]:
    """
    Yield the families that need no observation.

    Args:
        state: The state of the bus.
        starts: The start durations by component and outcome.
        probes: The last probe of each channel of `Health`, with the name of the channel.
        runs: The records of the runs; each has a different path.
    """
    states = BUS_STATE()
    for bus_state in State:
        states.add_metric((bus_state.name,), bus_state is state)
    yield states
    durations = COMPONENT_START_DURATION()
    for labels, start in starts.items():
        durations.add_metric(labels, named_buckets(start.cumulative), start.seconds)
    yield durations
    checks = HEALTH_CHECK()
    for labels, is_ok in passed_checks(probes).items():
        checks.add_metric(labels, is_ok)
    yield checks
    restarts, run_states = RUN_RESTARTS(), RUN_STATE()
    for run in runs:
        restarts.add_metric((run.path,), run.restarts)
        for run_state in RunState:
            run_states.add_metric((run.path, run_state.name), run_state is run.state)
    yield restarts
    yield run_states
