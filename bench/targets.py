"""What we promise, and whether this run has kept it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from costs import BASE, HELP, HELP_BASE

OURS = "typedbus"

#: What a publish may cost, as a part of what the loop costs that one would write by hand.
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
    """One promise: what it is about, how much it allows, and what was measured."""

    title: str
    allowed: float
    measured: float
    unit: str = "x"

    @property
    def kept(self) -> bool:
        """Whether the run has kept it, as exactly as it is written."""
        return round(self.measured, self.digits) <= self.allowed

    @property
    def digits(self) -> int:
        """How many digits after the point are worth telling."""
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
        yield Target("`bus.publish(channel, ...)` over a bound channel that is held", 0.3, (verb - held) / 1e3, "µs")
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
        taken = costs["imports"]
        yield Target(
            "`import typedbus` over attrs and typing-extensions",
            1.3,
            taken[f"`import {OURS}`"] / taken[f"`import {BASE}`"],
        )
        yield Target("`typedbus --help` over its libraries'", 1.5, taken[HELP] / taken[HELP_BASE])
    if "waking" in costs:
        _, event, bus = costs["waking"].values()
        # The last hundredth is the operating system's; it stands in the table alone.
        for which in ("median", "p90"):
            yield Target(
                f"`wait` over a `threading.Event` that is set after the start, {which}", 2.0, bus[which] / event[which]
            )
