"""
How long a start and a stop take side by side, against what the graph allows at best.

``python bench/parallel.py`` starts and stops 300 components, each of which takes
20 ms or, one in ten, a second, and prints the wall time beside that of one by
one, of layer by layer, and of the critical path: the longest way through the
graph, which no number of workers gets below. ``--scale`` makes everything
shorter; with ``--assert`` it exits with 1 if a start or a stop takes more than
1.15 times the critical path.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import attrs

from typedbus import Bus, Component, Container, running

COUNT = 300
FAN_IN = 3
NEAR = 50
SHORT, LONG = 0.02, 1.0
ALLOWED = 1.15


class Part:
    """Takes its time to start and to stop."""

    def __init__(self, seconds: float, *needs: object) -> None:
        self.seconds = seconds

    def start(self) -> None:
        """Take it."""
        time.sleep(self.seconds)

    def stop(self) -> None:
        """Take it."""
        time.sleep(self.seconds)


@attrs.frozen
class Graph:
    """How long each takes, and whom it needs, by number."""

    seconds: tuple[float, ...]
    needs: tuple[tuple[int, ...], ...]

    @classmethod
    def drawn(cls, count: int, scale: float) -> Graph:
        """Draw one; always the same."""
        chosen = random.Random(count)
        slow = set(chosen.sample(range(count), count // 10))
        needs = []
        for number in range(count):
            near = range(max(0, number - NEAR), number)
            needs.append(tuple(sorted(chosen.sample(near, min(len(near), chosen.randrange(FAN_IN + 1))))))
        return cls(tuple((LONG if number in slow else SHORT) * scale for number in range(count)), tuple(needs))

    def one_by_one(self) -> float:
        """Return the seconds of all of them."""
        return sum(self.seconds)

    def by_layers(self) -> float:
        """Return the seconds if each layer waits for the whole of the one before it."""
        layers: list[int] = []
        longest: dict[int, float] = {}
        for seconds, needs in zip(self.seconds, self.needs, strict=True):
            layer = 1 + max((layers[need] for need in needs), default=0)
            layers.append(layer)
            longest[layer] = max(longest.get(layer, 0.0), seconds)
        return sum(longest.values())

    def critical_path(self) -> float:
        """Return the seconds of the longest way."""
        ends: list[float] = []
        for seconds, needs in zip(self.seconds, self.needs, strict=True):
            ends.append(seconds + max((ends[need] for need in needs), default=0.0))
        return max(ends)

    def container(self) -> Any:
        """Return a container of it."""
        members: dict[str, Any] = {"bus": Component(Bus)}
        for number, (seconds, needs) in enumerate(zip(self.seconds, self.needs, strict=True)):
            members[f"c{number}"] = Component(Part, seconds, *(members[f"c{need}"].provided for need in needs))
        made: Any = type("Shop", (Container,), members)
        return made()


def measured(graph: Graph, workers: int) -> tuple[float, float]:
    """Return the wall seconds of a start and of a stop."""
    shop = graph.container()
    bus = shop.attach()
    shop.validate()
    with running(shop, workers=workers):
        bus.stop()
        # Everything is built now: what is measured is starting alone.
        began = time.perf_counter()
        bus.start()
        started = time.perf_counter()
        bus.stop()
        stopped = time.perf_counter()
    return started - began, stopped - started


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return 1 if `--assert` is given and it took too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="what to multiply all durations with")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="the median counts")
    parser.add_argument("--assert", dest="strict", action="store_true", help="exit with 1 if it took too long")
    asked = parser.parse_args(arguments)
    graph = Graph.drawn(COUNT, asked.scale)
    critical = graph.critical_path()
    rounds = [measured(graph, asked.workers) for _ in range(asked.rounds)]
    start, stop = (sorted(each)[len(rounds) // 2] for each in zip(*rounds, strict=True))
    print("| | seconds | by the critical path |")
    print("| --- | ---: | ---: |")
    for name, seconds in (
        ("one by one, computed", graph.one_by_one()),
        ("layer by layer, computed", graph.by_layers()),
        ("critical path, computed", critical),
        (f"start, {asked.workers} workers", start),
        (f"stop, {asked.workers} workers", stop),
    ):
        print(f"| {name} | {seconds:.3f} | {seconds / critical:.2f} |")
    missed = max(start, stop) > ALLOWED * critical
    if missed:
        print(f"missed: more than {ALLOWED} times the critical path", file=sys.stderr)
    return int(asked.strict and missed)


if __name__ == "__main__":
    raise SystemExit(main())
