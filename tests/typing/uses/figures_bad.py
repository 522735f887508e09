"""Wrong uses of observations."""

from typedbus import Bus, Channel
from typedbus.observe import ChannelStats, Durations, Level

order_placed = Channel[[str], int]("order_placed")


def observe(bus: Bus, stats: ChannelStats, durations: Durations) -> None:
    bus.observe("order_placed")  # E
    bus.observe([order_placed, "quoted"])  # E
    bus.observe(order_placed, "each")  # E
    bus.observe(level="all")  # E
    bus.observe(bus[order_placed])  # E
    with bus.observe(order_placed) as observation:
        observation.stats()["order_placed"]  # E
        observation.level = "each"  # E
    stats.durations.seconds  # E
    stats.publishes = 0  # E
    stats.listeners["Shop.stock.reserve"] = stats.listeners["Shop.mail.confirm"]  # E
    durations.buckets += (1,)  # E
    level: Level = "all"  # E
    print(level)
