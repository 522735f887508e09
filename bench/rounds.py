"""
Measuring side by side.

What else the machine does comes and goes. So no contender is measured to the
end before the next one begins: there are rounds, and in each round every
contender has its turn for a short while. Of each the fastest round counts,
which is the one that was disturbed least; the median is told beside it.
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
    What one contender takes in one scenario.

    Attributes:
        least: Nanoseconds for one publish in its fastest round.
        median: The same in its median round.
        ratio: `least` by that of the limit.
        median_ratio: `median` by that of the limit.
    """

    least: float
    median: float
    ratio: float
    median_ratio: float


def number_for(contender: Timed, seconds: float) -> int:
    """Return how often its loop runs in *seconds*; on the way everything gets warm that ever does."""
    number = 1
    while (took := contender.run(number)) < seconds / 2 or number * contender.each < 200:
        number = max(number * 2, min(number * 100, int(number * seconds / max(took, 1e-7))))
    return max(1, int(number * seconds / took))


def measure(
    contenders: Sequence[Timed], limit: str, rounds: int, seconds: float, passes: int | None = None
) -> dict[str, Measured]:
    """
    Measure *contenders* in turns.

    Args:
        contenders: Who.
        limit: The name of the one that the others are divided by.
        rounds: How many.
        seconds: What a contender has of each round.
        passes: How often each loop runs in a round, in place of *seconds*.
    """
    gc.collect()
    # What was made so far is not looked at again by each collection. The
    # collector stays on: who leaves circles behind pays for them.
    gc.freeze()
    numbers = [passes or number_for(one, seconds) for one in contenders]
    taken: dict[str, list[float]] = {one.name: [] for one in contenders}
    for turn in range(rounds):
        for place in range(len(contenders)):
            # Nobody comes always after the same one, nor always first.
            index = (place + turn) % len(contenders)
            one = contenders[index]
            taken[one.name].append(one.run(numbers[index]) / numbers[index] / one.each * 1e9)
    gc.unfreeze()
    least = {name: min(rounds_of) for name, rounds_of in taken.items()}
    median = {name: statistics.median(rounds_of) for name, rounds_of in taken.items()}
    return {
        name: Measured(least[name], median[name], least[name] / least[limit], median[name] / median[limit])
        for name in taken
    }


def pin(*, to_one: bool) -> bool:
    """Let the process run on one CPU alone, or on all again; tell whether that could be done."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    try:
        os.sched_setaffinity(0, {max(_CPUS)} if to_one else _CPUS)
    except OSError:
        return False
    return True


_CPUS = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
