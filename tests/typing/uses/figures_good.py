"""Right uses of observations."""

from collections.abc import Mapping

from typedbus import AsyncChannel, Bus, Channel
from typedbus.observe import BUCKETS, ChannelStats, Durations, Level, ListenerStats, Observation, ObserveError
from typedbus.types import AnyChannel

order_placed = Channel[[str], int]("order_placed")
quoted = AsyncChannel[[str], float]("quoted")


def observe(bus: Bus, level: Level) -> float:
    bus.observe()
    bus.observe(None, level="time")
    bus.observe(quoted, level=level)
    bus.observe(channel for channel in (order_placed, quoted))
    with bus.observe([order_placed, quoted], level="each") as observation:
        opened: Observation = observation
        known: Level = opened.level
        bus.observe(level=known).close()
    stats: Mapping[AnyChannel, ChannelStats] = observation.stats()
    one: ChannelStats = stats[order_placed]
    listener: ListenerStats = one.listeners["Shop.stock.reserve"]
    failures: Mapping[str, int] = listener.failures
    durations: Durations | None = one.durations
    if durations is None:
        return one.publishes + one.failures + listener.calls + sum(failures.values())
    bound, count = durations.cumulative[0]
    first: int = durations.buckets[0]
    return durations.count + durations.seconds + durations.mean + bound + count + first + BUCKETS[0]


def explain(error: ObserveError) -> str:
    return error.channel + error.reason
