"""The metric families of publishes and listeners, from the counts of an observation."""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from typedbus._base.failures import label_of
from typedbus._channels.channel import AnyChannel
from typedbus.observe import ChannelStats, Durations
from typedbus.prometheus._buckets import named_buckets

Labels: TypeAlias = tuple[str, ...]

PUBLISH: Final = functools.partial(
    CounterMetricFamily,
    "typedbus_publish",
    "Publishes that have ended.",
    labels=("channel",),
)
PUBLISH_FAILURES: Final = functools.partial(
    CounterMetricFamily,
    "typedbus_publish_failures",
    "Exceptions that listeners raised in publishes.",
    labels=("channel", "listener", "error_type"),
)
PUBLISH_DURATION: Final = functools.partial(
    HistogramMetricFamily,
    "typedbus_publish_duration_seconds",
    "How long publishes took.",
    labels=("channel",),
)
LISTENER_DURATION: Final = functools.partial(
    HistogramMetricFamily,
    "typedbus_listener_duration_seconds",
    "How long calls of a listener in publishes took.",
    labels=("channel", "listener"),
)
PUBLISH_FAMILIES: Final[Sequence[Callable[[], Metric]]] = (
    PUBLISH,
    PUBLISH_FAILURES,
    PUBLISH_DURATION,
    LISTENER_DURATION,
)


def publish_families(stats: Mapping[AnyChannel, ChannelStats]) -> Iterator[Metric]:
    """
    Yield the families of publishes and listeners.

    Channels of one name are counted together, and so are listeners of one name on a
    channel: a series may occur only once in a scrape.
    """
    publishes, failures = Counter[Labels](), Counter[Labels]()
    publish_durations, listener_durations = dict[Labels, Durations](), dict[Labels, Durations]()
    for channel, counts in stats.items():
        publishes[channel.name,] += counts.publishes
        _add(publish_durations, (channel.name,), counts.durations)
        for name, listener in counts.listeners.items():
            labels = channel.name, label_of(name)
            failures.update({(*labels, kind): count for kind, count in listener.failures.items()})
            _add(listener_durations, labels, listener.durations)
    yield _counted(PUBLISH(), publishes)
    yield _counted(PUBLISH_FAILURES(), failures)
    yield _measured(PUBLISH_DURATION(), publish_durations)
    yield _measured(LISTENER_DURATION(), listener_durations)


def _counted(family: CounterMetricFamily, counts: Mapping[Labels, int]) -> Metric:
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family


def _measured(family: HistogramMetricFamily, durations: Mapping[Labels, Durations]) -> Metric:
    for labels, each in durations.items():
        family.add_metric(labels, named_buckets(each.cumulative), each.seconds)
    return family


def _add(sums: dict[Labels, Durations], labels: Labels, durations: Durations | None) -> None:
    if durations is None:
        return
    known = sums.get(labels)
    if known is not None:
        buckets = tuple(map(operator.add, known.buckets, durations.buckets))
        durations = Durations(buckets, known.seconds + durations.seconds)
    sums[labels] = durations
