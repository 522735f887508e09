"""The rows of channels."""

from __future__ import annotations

import itertools
import json
import linecache
import re
import sys
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from typedbus._base.static import is_a
from typedbus._bus.builtin import LIFECYCLE_CHANNELS, RUN
from typedbus._bus.bus import Bus, parts_of
from typedbus._channels.channel import AnyChannel
from typedbus._channels.subscriptions import AnyBoundChannel, Subscription
from typedbus.catalogue._declared import signature_text
from typedbus.inspector._figures import Current
from typedbus.observe import BUCKETS, Durations, ListenerStats

_SHARE: Final = 0.95


class Channels:
    """
    The rows of the channels of a bus, as JSON.

    What does not change of a channel is written once: a page asks for all channels each second.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._bound: Mapping[object, AnyBoundChannel] = parts_of(bus).registry.bound
        self._numbers = itertools.count(1)
        self._known: weakref.WeakKeyDictionary[AnyChannel, tuple[int, str]] = weakref.WeakKeyDictionary()

    def bound(self) -> list[AnyChannel]:
        """Return the channels of the bus, without those on which it publishes itself."""
        return [channel for channel in self._bus.channels if channel not in LIFECYCLE_CHANNELS and channel is not RUN]

    def rows(self, current: Current | None, unfolded: Collection[int] = ()) -> str:
        """Return a row for each channel, with figures if there are *current* ones, and with the *unfolded* listeners."""
        channels = self.bound()
        self._learn(channels)
        return f"[{','.join([self._row(channel, current, unfolded) for channel in channels])}]"

    def _row(self, channel: AnyChannel, current: Current | None, unfolded: Collection[int]) -> str:
        (number, known), bound = self._known[channel], self._bound[channel]
        stats = None if current is None else current.stats.get(channel)
        figures = _UNKNOWN
        if stats is not None and current is not None:
            durations = stats.durations
            has_any = durations is not None and durations.count > 0
            figures = (
                f'"publishes":{stats.publishes},"rate":{_text(current.rate(channel))},'
                f'"mean":{_text(durations.mean if durations is not None and has_any else None)},'
                f'"p95":{_text(None if durations is None else _at_share(durations))},'
                f'"failures":{stats.failures},"last":{_text(current.last(channel))}'
            )
        of = "null"
        if number in unfolded:
            by_name = {} if stats is None else stats.listeners
            of = json.dumps([_listener(one, by_name.get(one.name)) for one in bound.subscriptions])
        return f'{known},"listeners":{bound.listener_count},{figures},"of":{of}}}'

    def _learn(self, channels: Iterable[AnyChannel]) -> None:
        new = [channel for channel in channels if channel not in self._known]
        modules = _modules_of(new)
        for channel in new:
            number = next(self._numbers)
            known = {
                "id": number,
                "name": channel.name,
                "module": modules.get(channel, ""),
                "signature": signature_text(channel),
                "doc": channel.doc,
                "is_async": channel.is_async,
                "deprecated": channel.deprecated,
            }
            self._known[channel] = number, json.dumps(known)[:-1]


_UNKNOWN: Final = ",".join(f'"{key}":null' for key in ("publishes", "rate", "mean", "p95", "failures", "last"))


def _text(number: float | None) -> str:
    return "null" if number is None else repr(number)


def _listener(subscription: Subscription, stats: ListenerStats | None) -> dict[str, object]:
    durations = None if stats is None else stats.durations
    return {
        "name": subscription.name,
        "path": subscription.path,
        "place": subscription.place,
        "priority": subscription.priority,
        "calls": None if stats is None else stats.calls,
        "mean": durations.mean if durations is not None and durations.count else None,
        "failures": None if stats is None else sum(stats.failures.values()),
    }


def _at_share(durations: Durations) -> float | None:
    """Return the bound of the bucket that has the 95th of 100 durations; above all bounds, the next power."""
    count = durations.count
    if not count:
        return None
    seen = 0
    for bound, number in zip(BUCKETS, durations.buckets, strict=False):
        seen += number
        if seen >= _SHARE * count:
            return bound
    return BUCKETS[-1] * 4


def _modules_of(channels: Iterable[AnyChannel]) -> dict[AnyChannel, str]:
    """Return the module that declares each of *channels*, as far as it can be found among the imported ones."""
    found: dict[AnyChannel, str] = {}
    wanted: dict[AnyChannel, list[tuple[str, str]]] = {}
    for channel in channels:
        if channel.declaration is not None:
            found[channel] = channel.declaration.__module__
        else:
            wanted[channel] = []
    for name, variable, channel in _variables() if wanted else ():
        if channel in wanted:
            wanted[channel].append((name, variable))
    for channel, places in wanted.items():
        if places:
            declaring = (name for name, variable in places if len(places) == 1 or _assigns(name, variable))
            found[channel] = next(declaring, places[0][0])
    return found


def _variables() -> Iterator[tuple[str, str, AnyChannel]]:
    for name, module in list(sys.modules.items()):
        namespace = vars(module) if is_a(module, type(sys)) else {}
        for variable, value in list(namespace.items()):
            if is_a(value, AnyChannel):
                yield name, variable, value


def _assigns(module: str, variable: str) -> bool:
    """Whether a line of *module* assigns *variable*, and does not import it."""
    file: object = getattr(sys.modules.get(module), "__file__", None)
    lines = linecache.getlines(file) if isinstance(file, str) else []
    pattern = re.compile(rf"{re.escape(variable)}\s*(:[^=]*)?=")
    return any(pattern.match(line) for line in lines)
