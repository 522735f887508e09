"""
How containers of thousands of components do.

``python bench/scale.py`` prints a table: what it takes to declare, make,
validate, assemble, start and stop a container, and how much memory. Each size
has a process of its own; seconds are those that it worked, whatever else the
machine did. With ``--assert`` it exits with 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from typedbus import START, Bus, Component, Container

SIZES = (2_000, 5_000, 20_000)
CHAIN = 20_000
FAN_IN = 3
NESTED = 5  # every fifth component lives in a part

MEGABYTE = 1 << 20


class Part:
    """A component that starts and stops, with any number of dependencies."""

    __slots__ = ("needs",)

    def __init__(self, *needs: object) -> None:
        self.needs = needs

    def start(self) -> None:
        """Start at once."""

    def stop(self) -> None:
        """Stop at once."""


@attrs.define
class Laps:
    """Seconds that the process worked from one call to the next."""

    began: float = attrs.field(factory=time.process_time)
    taken: dict[str, float] = attrs.field(factory=dict)

    def lap(self, name: str) -> None:
        """Say that what ends here was *name*."""
        now = time.process_time()
        self.taken[name] = now - self.began
        self.began = time.process_time()


def declaration(size: int) -> type[Container]:
    """Return a container of *size* components, each with up to three dependencies among the last fifty."""
    chosen = random.Random(size)
    parts: dict[str, Any] = {}
    for number in range(size // NESTED):
        _declare(parts, number, chosen, [])
    part_class = type("Infra", (Container,), parts)
    infra: Any = part_class()
    members: dict[str, Any] = {"bus": Component(Bus), "infra": infra}
    for number in range(size - size // NESTED):
        inside = [getattr(infra, f"c{chosen.randrange(len(parts))}")] if number % NESTED == 0 else []
        _declare(members, number, chosen, inside)
    return type("Shop", (Container,), members)


def _declare(members: dict[str, Any], number: int, chosen: random.Random, needs: list[Component[Part]]) -> None:
    last = [members[f"c{other}"] for other in range(max(0, number - 50), number)]
    needs = needs + chosen.sample(last, min(len(last), FAN_IN - len(needs)))
    members[f"c{number}"] = Component(Part, *[one.provided for one in needs])


def chain(size: int) -> type[Container]:
    """Return a container of *size* components, each of which needs the one before."""
    members: dict[str, Any] = {"bus": Component(Bus), "c0": Component(Part)}
    for number in range(1, size):
        members[f"c{number}"] = Component(Part, members[f"c{number - 1}"].provided)
    return type("Chain", (Container,), members)


def live(declare: Callable[[int], type[Container]], size: int) -> dict[str, float]:
    """Return the seconds of each part of a container's life, and the bytes that it holds while it runs."""
    before = _resident()
    laps = Laps()
    declared = declare(size)
    laps.lap("declare")
    shop: Any = declared()
    laps.lap("make")
    shop.validate()
    laps.lap("validate")
    bus = shop.bus()
    # The first listener of the start: by then everything is built and subscribed.
    bus[START].subscribe(lambda: laps.lap("assemble"), priority=-1)
    bus.start()
    laps.lap("start")
    held = _resident() - before
    laps.began = time.process_time()
    bus.stop()
    laps.lap("stop")
    # Nothing of it may be too deep to be taken apart.
    del shop, bus, declared
    gc.collect()
    laps.lap("drop")
    return {"size": size, **laps.taken, "bytes": held, "peak": _peak()}


def _resident() -> int:
    """Return the bytes of this process that are in memory now; where nobody tells, the most there ever were."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return _peak()
    return int(pages) * resource.getpagesize()


def _peak() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


KINDS: dict[str, Callable[[int], type[Container]]] = {"graph": declaration, "chain": chain}


def in_own_process(kind: str, size: int, rounds: int) -> dict[str, float]:
    """Return the least of *rounds* processes, each figure for itself."""
    found = []
    for _ in range(rounds):
        command = [sys.executable, __file__, "--one", kind, str(size)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise SystemExit(f"{kind} of {size} ended with {run.returncode}:\n{run.stderr[-2000:]}")
        found.append(json.loads(run.stdout))
    return {name: min(one[name] for one in found) for name in found[0]}


def start_side(one: dict[str, float]) -> float:
    """Return the seconds from the declarations to a bus that is STARTED."""
    return one["make"] + one["validate"] + one["assemble"] + one["start"]


def faults(measured: dict[int, dict[str, float]]) -> list[str]:
    """Return which bounds are missed."""
    small, middle, large = (measured[size] for size in SIZES)
    each = [(start_side(one) + one["stop"]) / one["size"] * 1e6 for one in (small, large)]
    bounds = (
        ("5,000: seconds to start", start_side(middle), 2.0),
        ("5,000: seconds to stop", middle["stop"], 1.0),
        ("5,000: megabytes in all", middle["peak"] / MEGABYTE, 200.0),
        ("cost of a component at 20,000 by that at 2,000", each[1] / each[0], 1.3),
    )
    for title, taken, allowed in bounds:
        print(f"{title}: {taken:.2f}, allowed {allowed:g}")
    return [title for title, taken, allowed in bounds if taken > allowed]


COLUMNS = ("declare", "make", "validate", "assemble", "start", "stop", "drop")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return 1 if `--assert` is given and a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("KIND", "SIZE"), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3, help="processes for each size; the least counts")
    parser.add_argument("--assert", dest="strict", action="store_true", help="exit with 1 if a bound is missed")
    asked = parser.parse_args(arguments)
    if asked.one:
        kind, size = asked.one
        print(json.dumps(live(KINDS[kind], int(size))))
        return 0
    print("| | " + " | ".join(f"{name} s" for name in COLUMNS) + " | start side µs each | held MB | peak MB |")
    print("| --- " + "| ---: " * (len(COLUMNS) + 3) + "|")
    measured = {}
    for kind, size in (*(("graph", size) for size in SIZES), ("chain", CHAIN)):
        one = in_own_process(kind, size, asked.rounds)
        measured[size, kind] = one
        figures = [f"{one[name]:.2f}" for name in COLUMNS]
        figures += [
            f"{start_side(one) / size * 1e6:.0f}",
            *(f"{one[name] / MEGABYTE:.0f}" for name in ("bytes", "peak")),
        ]
        print(f"| {kind} of {size:,} | {' | '.join(figures)} |", flush=True)
    missed = faults({size: measured[size, "graph"] for size in SIZES})
    for title in missed:
        print(f"missed: {title}", file=sys.stderr)
    return int(asked.strict and bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
