"""
Interleaved measurements.

Other processes disturb a measurement at irregular times. Therefore the contenders
are measured in rounds: each of them runs for a short time in every round. The fastest
round of each counts, which was disturbed least; the median is reported beside it.
"""

from __future__ import annotations

import gc
import os
import statistics
from collections.abc import Sequence

import attrs

from scenarios import Timed


@attrs.frozen
class Measured:
    """
    The figures of one contender in one scenario.

    Attributes:
        least: Nanoseconds for one publish in its fastest round.
        median: The same in its median round.
        ratio: `least` divided by that of the baseline.
        median_ratio: `median` divided by that of the baseline.
    """

    least: float
    median: float
    ratio: float
    median_ratio: float


def number_for(contender: Timed, seconds: float) -> int:
    """Return how many passes of the loop take *seconds*; this also warms up all caches."""
    number = 1
    while (took := contender.run(number)) < seconds / 2 or number * contender.each < 200:
        number = max(number * 2, min(number * 100, int(number * seconds / max(took, 1e-7))))
    return max(1, int(number * seconds / took))


def measure(
    contenders: Sequence[Timed], baseline: str, rounds: int, seconds: float, passes: int | None = None
) -> dict[str, Measured]:
    """
    Measure *contenders* in turns.

    Args:
        contenders: The loops to measure.
        baseline: The name of the contender that the ratios refer to.
        rounds: The number of rounds.
        seconds: The duration of one contender in each round.
        passes: The number of passes of each loop in a round, in place of *seconds*.
    """
    gc.collect()
    # Existing objects are excluded from each collection. The collector stays
    # on, so that a library that leaves cycles behind pays for them.
    gc.freeze()
    numbers = [passes or number_for(contender, seconds) for contender in contenders]
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(rounds):
        for place in range(len(contenders)):
            # Each round begins with another contender.
            index = (place + turn) % len(contenders)
            contender = contenders[index]
            times[contender.name].append(contender.run(numbers[index]) / numbers[index] / contender.each * 1e9)
    gc.unfreeze()
    least = {name: min(nanoseconds) for name, nanoseconds in times.items()}
    median = {name: statistics.median(nanoseconds) for name, nanoseconds in times.items()}
    return {
        name: Measured(least[name], median[name], least[name] / least[baseline], median[name] / median[baseline])
        for name in times
    }


def pin(*, to_one: bool) -> bool:
    """Restrict the process to one CPU, or allow all again; return whether that was possible."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    try:
        os.sched_setaffinity(0, {max(_CPUS)} if to_one else _CPUS)
    except OSError:
        return False
    return True


_CPUS = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
