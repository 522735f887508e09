"""The targets, and whether a run keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from costs import BASE, HELP, HELP_BASE

OURS = "typedbus"

#: The allowed time of a publish, relative to the hand-written loop.
RATIOS = {
    "n0": 1.00,
    "n1": 1.00,
    "n5": 0.80,
    "n10": 0.75,
    "n100": 0.75,
    "keyword": 0.70,
    "default": 1.00,
    "variadic": 1.00,
    "method": 0.80,
    "fail": 1.60,
    "rotation": 0.85,
    "cold": 1.35,
    "threads": 0.90,
}


@attrs.frozen
class Target:
    """A target: its title, the allowed figure and the measured figure."""

    title: str
    allowed: float
    measured: float
    unit: str = "x"

    @property
    def kept(self) -> bool:
        """Whether the measured figure, rounded as in the table, is allowed."""
        return round(self.measured, self.digits) <= self.allowed

    @property
    def digits(self) -> int:
        """The number of decimal places in the table."""
        return 0 if self.allowed >= 10 else 2


def targets(run: dict[str, Any]) -> list[Target]:
    """Return every target that *run* has a figure for."""
    return [*_of_publishing(run["scenarios"]), *_of_costs(run["costs"])]


def _of_publishing(scenarios: dict[str, Any]) -> Iterator[Target]:
    for key, allowed in RATIOS.items():
        if key in scenarios:
            yield Target(scenarios[key]["title"], allowed, scenarios[key]["measured"][OURS]["ratio"])
    if "subscribe" in scenarios:
        least = scenarios["subscribe"]["measured"][OURS]["least"]
        yield Target(scenarios["subscribe"]["title"], 0.65, least / 1e3, "µs")


def _of_costs(costs: dict[str, Any]) -> Iterator[Target]:
    if "verbs" in costs:
        held, indexed, verb = (measured["least"] for measured in costs["verbs"].values())
        yield Target("`bus.publish(channel, ...)` over `bus[channel].publish(...)`", 0.3, (verb - indexed) / 1e3, "µs")
        yield Target(
            "`bus.publish(channel, ...)` over `channel.publish(...)` of a bound channel", 0.3, (verb - held) / 1e3, "µs"
        )
    if "subscribing" in costs:
        ours = costs["subscribing"][OURS]
        yield Target("10,000 subscriptions on one channel", 0.2, ours["on_one"], "s")
        yield Target("one subscription on each of 10,000 channels", 0.2, ours["on_each"], "s")
    if "memory" in costs:
        ours = costs["memory"][OURS]
        yield Target("a channel", 300, ours["channel"], "bytes")
        yield Target("a cold subscription", 100, ours["cold"], "bytes")
        yield Target("a hot subscription", 300, ours["hot"], "bytes")
    if "imports" in costs:
        milliseconds = costs["imports"]
        yield Target(
            "`import typedbus` over attrs and typing-extensions",
            1.3,
            milliseconds[f"`import {OURS}`"] / milliseconds[f"`import {BASE}`"],
        )
        yield Target(
            "`typedbus --help` over a program with the same libraries",
            1.5,
            milliseconds[HELP] / milliseconds[HELP_BASE],
        )
    if "waking" in costs:
        _, event, bus = costs["waking"].values()
        # The 99th percentile depends on the operating system, and is only in the table of figures.
        for percentile in ("median", "p90"):
            yield Target(
                f"`wait` over a `threading.Event` that is set after the start, {percentile}",
                2.0,
                bus[percentile] / event[percentile],
            )
