"""The rows of channels."""

from __future__ import annotations

import json
import linecache
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from typedbus._base.static import is_a
from typedbus._bus.builtin import LIFECYCLE_CHANNELS, RUN
from typedbus._bus.bus import Bus, parts_of
from typedbus._channels.channel import AnyChannel
from typedbus._channels.subscriptions import AnyBoundChannel, Subscription
from typedbus.catalogue._declared import signature_text
from typedbus.inspector._figures import UNKNOWN, Row
from typedbus.observe import ListenerStats


class Channels:
    """
    The rows of the channels of a bus, as JSON.

    A row is written again only if it has changed: a page asks for all channels each second.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._bound: Mapping[object, AnyBoundChannel] = parts_of(bus).registry.bound
        #: How many channels the bus had at the last look, and the known ones; replaced together.
        self._known: tuple[int, tuple[_Known, ...]] = 0, ()

    def bound(self) -> list[AnyChannel]:
        """Return the channels of the bus, without those on which it publishes itself."""
        return [channel for channel in self._bus.channels if channel not in LIFECYCLE_CHANNELS and channel is not RUN]

    def rows(self, figures: Mapping[AnyChannel, Row], unfolded: Collection[int] = ()) -> str:
        """Return a row for each channel, with *figures* if there are any, and with the *unfolded* listeners."""
        count, known = self._known
        if count != len(self._bound):
            known = self._learn(known)
        texts: list[str] = []
        for channel in known:
            row = figures.get(channel.channel)
            text = UNKNOWN if row is None else row.text
            listeners = channel.bound.listener_count
            before = channel.written
            if before[0] is not text or before[1] != listeners:
                before = text, listeners, f'{channel.text},"listeners":{listeners},{text},"of":{_FOLDED}'
                channel.written = before
            texts.append(before[2])
        for number in unfolded:
            if 0 < number <= len(known):
                row = figures.get(known[number - 1].channel)
                by_name = {} if row is None else row.stats().listeners
                subscriptions = known[number - 1].bound.subscriptions
                of = json.dumps([_listener(one, by_name.get(one.name)) for one in subscriptions])
                texts[number - 1] = f"{texts[number - 1].removesuffix(_FOLDED)}{of}}}"
        return f"[{','.join(texts)}]"

    def _learn(self, known: tuple[_Known, ...]) -> tuple[_Known, ...]:
        """Return *known* with the channels that the bus has since; a channel keeps its number."""
        count = len(self._bound)
        earlier = {one.channel for one in known}
        new = [channel for channel in self.bound() if channel not in earlier]
        modules = _modules_of(new)
        numbered = enumerate(new, len(known) + 1)
        known += tuple(
            _Known(channel, self._bound[channel], number, modules.get(channel, "")) for number, channel in numbered
        )
        self._known = count, known
        return known


class _Known:
    """A channel with the constant part of its row, and with the row as it was written last."""

    __slots__ = ("bound", "channel", "text", "written")

    def __init__(self, channel: AnyChannel, bound: AnyBoundChannel, number: int, module: str) -> None:
        self.channel: Final = channel
        self.bound: Final = bound
        known = {
            "id": number,
            "name": channel.name,
            "module": module,
            "signature": signature_text(channel),
            "doc": channel.doc,
            "is_async": channel.is_async,
            "deprecated": channel.deprecated,
        }
        self.text: Final = json.dumps(known)[:-1]
        #: The text of the figures, the number of listeners, and the row; replaced together.
        self.written: tuple[str, int, str] = "", 0, ""


_FOLDED: Final = "null}"


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
