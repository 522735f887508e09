"""
Compares a parallel start and stop with the critical path of the graph.

``python bench/parallel.py`` starts and stops 300 components, of which one in ten
takes a second and the others 20 ms. It prints the wall time beside the computed
times of a start one by one, layer by layer, and along the critical path: the longest
path through the graph, the minimum for any number of workers. ``--scale`` multiplies
all durations; with ``--assert`` it exits with 1 if a start or a stop takes more than
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
    """A component that takes *seconds* to start and to stop."""

    def __init__(self, seconds: float, *needs: object) -> None:
        self.seconds = seconds

    def start(self) -> None:
        """Sleep."""
        time.sleep(self.seconds)

    def stop(self) -> None:
        """Sleep."""
        time.sleep(self.seconds)


@attrs.frozen
class Graph:
    """The duration and the dependencies of each component, by number."""

    seconds: tuple[float, ...]
    needs: tuple[tuple[int, ...], ...]

    @classmethod
    def generate(cls, count: int, scale: float) -> Graph:
        """Return a random graph, the same in every run."""
        generator = random.Random(count)
        slow = set(generator.sample(range(count), count // 10))
        needs = []
        for number in range(count):
            near = range(max(0, number - NEAR), number)
            needs.append(tuple(sorted(generator.sample(near, min(len(near), generator.randrange(FAN_IN + 1))))))
        return cls(tuple((LONG if number in slow else SHORT) * scale for number in range(count)), tuple(needs))

    def one_by_one(self) -> float:
        """Return the seconds if the components start one after the other."""
        return sum(self.seconds)

    def by_layers(self) -> float:
        """Return the seconds if each layer waits for all components of the previous layer."""
        layers: list[int] = []
        longest: dict[int, float] = {}
        for seconds, needs in zip(self.seconds, self.needs, strict=True):
            layer = 1 + max((layers[need] for need in needs), default=0)
            layers.append(layer)
            longest[layer] = max(longest.get(layer, 0.0), seconds)
        return sum(longest.values())

    def critical_path(self) -> float:
        """Return the seconds of the longest path."""
        ends: list[float] = []
        for seconds, needs in zip(self.seconds, self.needs, strict=True):
            ends.append(seconds + max((ends[need] for need in needs), default=0.0))
        return max(ends)

    def container(self) -> Any:
        """Return a container with these components."""
        members: dict[str, Any] = {"bus": Component(Bus)}
        for number, (seconds, needs) in enumerate(zip(self.seconds, self.needs, strict=True)):
            members[f"c{number}"] = Component(Part, seconds, *(members[f"c{need}"].provided for need in needs))
        container_class: Any = type("Shop", (Container,), members)
        return container_class()


def wall_times(graph: Graph, workers: int) -> tuple[float, float]:
    """Return the wall seconds of a start and of a stop."""
    shop = graph.container()
    bus = shop.attach()
    shop.validate()
    with running(shop, workers=workers):
        bus.stop()
        # All components are built now, so that only their hooks are measured.
        began = time.perf_counter()
        bus.start()
        started = time.perf_counter()
        bus.stop()
        stopped = time.perf_counter()
    return started - began, stopped - started


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if `--assert` is given and a start or a stop took too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="the factor of all durations")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds; the median counts")
    parser.add_argument(
        "--assert", dest="strict", action="store_true", help="exit with 1 if a start or a stop takes too long"
    )
    options = parser.parse_args(arguments)
    graph = Graph.generate(COUNT, options.scale)
    critical = graph.critical_path()
    rounds = [wall_times(graph, options.workers) for _ in range(options.rounds)]
    start, stop = (sorted(each)[len(rounds) // 2] for each in zip(*rounds, strict=True))
    print("| | seconds | times the critical path |")
    print("| --- | ---: | ---: |")
    for name, seconds in (
        ("one by one, computed", graph.one_by_one()),
        ("layer by layer, computed", graph.by_layers()),
        ("critical path, computed", critical),
        (f"start, {options.workers} workers", start),
        (f"stop, {options.workers} workers", stop),
    ):
        print(f"| {name} | {seconds:.3f} | {seconds / critical:.2f} |")
    missed = max(start, stop) > ALLOWED * critical
    if missed:
        print(f"missed: more than {ALLOWED} times the critical path", file=sys.stderr)
    return int(options.strict and missed)


if __name__ == "__main__":
    raise SystemExit(main())
