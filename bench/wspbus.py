"""
Measure a publish by name beside the buses that the names come from.

``python bench/wspbus.py`` prints the figures, with ``--write`` also to docs/bench;
``--assert`` exits with 1 if a publish by name is less than three times as fast as
CherryPy's, with 1, 10 or 100 listeners. What is published, and how the turns go
round, is that of ``bench/publish.py``. The plain typed channel stands beside it,
for what the name itself costs.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

import contenders
import peers
from checks import check
from contender import POSITIONAL, Contender, statements
from report import machine, table
from rounds import Measured, measure, pin
from scenarios import SCENARIOS, Scenario, timed
from typedbus import Channel
from typedbus.wspbus import Bus

OURS = "typedbus.wspbus"
ORIGINAL = "CherryPy wspbus"
TIMES = 3.0
"""How many times as fast as the original's a publish by name is to be, at least."""
HELD = ("n1", "n10", "n100")
"""The scenarios for which that is promised."""

_numbers = itertools.count()


def by_name() -> Contender:
    """Return the old names: channels are strings that nobody has declared."""
    return Contender(
        name=OURS,
        publish=statements("bus.publish(channel, {})", POSITIONAL),
        subscribe="bus.subscribe(channel, listener)",
        unsubscribe="bus.unsubscribe(channel, listener)",
        declare=lambda form: f"placed_{next(_numbers)}",
        bus=Bus(),
        package=("typedbus", "typedbus"),
        heat=80,
    )


def by_name_of_typed() -> Contender:
    """Return the same names after somebody has declared them as typed channels."""
    bus = Bus()

    def declare(form: str) -> str:
        name = f"placed_{next(_numbers)}"
        bus[Channel[[int, str], int](name)]
        return name

    return attrs.evolve(
        by_name(),
        name=f"{OURS}, name of a typed channel",
        publish={"positional": "bus.publish(channel, 1, 'two')"},
        declare=declare,
        bus=bus,
    )


MAKES: tuple[Callable[[], Contender], ...] = (
    by_name,
    by_name_of_typed,
    contenders.typedbus,
    peers.wspbus,
    peers.magicbus,
)


def in_turns(scenario: Scenario, rounds: int, seconds: float) -> dict[str, Measured]:
    """Measure everybody in *scenario*; the ratios are to the old names."""
    found = [one for make in MAKES if (one := timed(make(), scenario)) is not None]
    return measure(found, OURS, rounds, seconds)


def page(measured: dict[str, dict[str, Measured]], rounds: int, *, pinned: bool) -> str:
    """Return the figures as Markdown."""
    about = machine()
    titles = {scenario.key: scenario.title for scenario in SCENARIOS}
    names = list(next(iter(measured.values())))
    versions = ", ".join(f"{one.name} {contenders.version(one)}" for one in (make() for make in MAKES[3:]))
    held = [
        [
            titles[key],
            f"{TIMES:g} x",
            f"{measured[key][ORIGINAL].ratio:.2f} x",
            f"{measured[key][ORIGINAL].median_ratio:.2f} x",
            "yes" if measured[key][ORIGINAL].ratio >= TIMES else "**no**",
        ]
        for key in HELD
    ]
    where = f"{about['date']}; {about['python']}; {about['processor']}; {about['system']}"
    cpus = "One CPU alone" if pinned else "Not pinned to one CPU"
    counts = "of each the fastest round counts, and the median stands beside it"
    parts = [
        "# A publish by name\n",
        f"{where}. {cpus}. {versions}.\n",
        f"In each of {rounds} rounds each bus runs for some milliseconds; {counts}.\n",
        "## As many times as fast as the original\n",
        table(["", "promised", "fastest", "median", "kept"], held),
    ]
    for figure, ratio in (("least", "ratio"), ("median", "median_ratio")):
        rows = [
            [
                name,
                *[
                    f"{getattr(one[name], figure):,.0f} ({getattr(one[name], ratio):.2f})" if name in one else "-"
                    for one in measured.values()
                ],
            ]
            for name in names
        ]
        parts += [
            f"## {'Fastest' if figure == 'least' else 'Median'} round\n",
            f"Nanoseconds for one publish, and in brackets how many times that of `{OURS}` it is.\n",
            table(["", *[titles[key] for key in measured]], rows),
        ]
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return 1 if `--assert` is given and the promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="how often each has its turn")
    parser.add_argument("--milliseconds", type=float, default=2.0, help="how long a turn is")
    parser.add_argument("--write", action="store_true", help="write the page to docs/bench")
    parser.add_argument("--assert", dest="strict", action="store_true", help="exit with 1 if the promise is not kept")
    asked = parser.parse_args(arguments)
    for make in MAKES:
        check(make())
    pinned = pin(to_one=True)
    chosen = [scenario for scenario in SCENARIOS if scenario.key in ("n0", *HELD, "fail")]
    measured = {one.key: in_turns(one, asked.rounds, asked.milliseconds / 1e3) for one in chosen}
    text = page(measured, asked.rounds, pinned=pinned)
    print(text)
    if asked.write:
        out = Path(__file__).parent.parent / "docs" / "bench" / "wspbus.md"
        out.write_text(text, encoding="utf-8")
    slow = [key for key in HELD if measured[key][ORIGINAL].ratio < TIMES]
    for key in slow:
        print(f"missed: {key}: {measured[key][ORIGINAL].ratio:.2f} x, not {TIMES:g} x", file=sys.stderr)
    return int(asked.strict and bool(slow))


if __name__ == "__main__":
    raise SystemExit(main())
