"""An observation of channels on a bus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Self

from typedbus._channels.channel import AnyChannel
from typedbus._channels.observing.meter import Meter, Since
from typedbus._channels.observing.stats import ChannelStats
from typedbus._channels.observing.texts import Level


class Observation:
    """
    The figures of channels on a bus, from the begin of the observation to its end; created by `Bus.observe`.

    As a context manager it ends with the block. Every method may be called from any thread, and from inside a listener.

    Attributes:
        level: "count" for publishes, calls of listeners, and failures; "time" also for the durations of publishes, and
            "each" for those of the calls as well.
    """

    def __init__(self, level: Level, end: Callable[[Observation], None]) -> None:
        self.level: Final = level
        self._end = end
        self._since: dict[Meter, Since] = {}
        self._final: dict[AnyChannel, ChannelStats] | None = None

    def stats(self) -> Mapping[AnyChannel, ChannelStats]:
        """
        Return the figures of each channel since the observation began; once it is closed, those at its end.

        A publish counts when it has ended, in whatever thread, and no figure ever becomes smaller. In a process that was
        forked from that of the observation, the figures are those since the fork.
        """
        if self._final is not None:
            return self._final
        return {meter.bound.channel: meter.stats(since, self.level) for meter, since in list(self._since.items())}

    def close(self) -> None:
        """End the observation, any number of times; other observations of the same channels go on."""
        self._end(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._final is not None else f"level {self.level!r}"
        return f"<Observation of {len(self._since)} channel(s), {state}>"

    # Used by `Digests`.

    @property
    def meters(self) -> Mapping[Meter, Since]:
        """The meters of the channels, each with the begin of the observation; meters are only ever added."""
        return self._since

    # Called by `Observations`, under the lock of the bus.

    def add(self, meter: Meter) -> None:
        """Observe the channel of *meter* as well."""
        self._since[meter] = meter.begin(self, self.level)

    def finish(self) -> None:
        """Keep the present figures, and stop counting."""
        if self._final is None:
            self._final = dict(self.stats())
            for meter in self._since:
                meter.end(self)
