"""
Compares a publish by name with CherryPy's bus and magicbus.

``python bench/wspbus.py`` prints the figures, and with ``--write`` also writes them to
docs/bench. ``--assert`` exits with 1 if a publish by name is less than three times as
fast as CherryPy's, with 1, 10 or 100 listeners. Scenarios and rounds are those of
``bench/publish.py``. The figures of a typed channel show the cost of the name.
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
REQUIRED = 3.0
"""A publish by name must be at least so many times as fast as CherryPy's."""
REQUIRED_IN = ("n1", "n10", "n100")
"""The scenarios in which it must be."""

_numbers = itertools.count()


def by_name() -> Contender:
    """Return the bus of the old names: channels are strings without a declaration."""
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
    """Return the same bus with names that are declared as typed channels."""
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
    """Measure all contenders in *scenario*; the ratios refer to a publish by name."""
    loops = [loop for make in MAKES if (loop := timed(make(), scenario)) is not None]
    return measure(loops, OURS, rounds, seconds)


def page(measured: dict[str, dict[str, Measured]], rounds: int, *, pinned: bool) -> str:
    """Return the figures as Markdown."""
    about = machine()
    titles = {scenario.key: scenario.title for scenario in SCENARIOS}
    names = list(next(iter(measured.values())))
    versions = ", ".join(f"{peer.name} {contenders.version(peer)}" for peer in (make() for make in MAKES[3:]))
    speeds = [
        [
            titles[key],
            f"{REQUIRED:g} x",
            f"{measured[key][ORIGINAL].ratio:.2f} x",
            f"{measured[key][ORIGINAL].median_ratio:.2f} x",
            "yes" if measured[key][ORIGINAL].ratio >= REQUIRED else "**no**",
        ]
        for key in REQUIRED_IN
    ]
    where = f"{about['date']}; {about['python']}; {about['processor']}; {about['system']}"
    cpus = "Pinned to one CPU" if pinned else "Not pinned to one CPU"
    parts = [
        "# A publish by name\n",
        f"{where}. {cpus}. {versions}.\n",
        f"Each bus runs for some milliseconds in each of {rounds} rounds. The figures are the fastest and the median round.\n",
        "## Speed relative to CherryPy's bus\n",
        table(["", "required", "fastest", "median", "kept"], speeds),
    ]
    for figure, ratio in (("least", "ratio"), ("median", "median_ratio")):
        rows = [
            [
                name,
                *[
                    f"{getattr(figures[name], figure):,.0f} ({getattr(figures[name], ratio):.2f})"
                    if name in figures
                    else "-"
                    for figures in measured.values()
                ],
            ]
            for name in names
        ]
        parts += [
            f"## {'Fastest' if figure == 'least' else 'Median'} round\n",
            f"Nanoseconds for one publish, and in brackets the ratio to `{OURS}`.\n",
            table(["", *[titles[key] for key in measured]], rows),
        ]
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if `--assert` is given and a publish by name is too slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="number of rounds")
    parser.add_argument("--milliseconds", type=float, default=2.0, help="duration of one measurement")
    parser.add_argument("--write", action="store_true", help="write the page to docs/bench")
    parser.add_argument(
        "--assert", dest="strict", action="store_true", help="exit with 1 if a publish by name is too slow"
    )
    options = parser.parse_args(arguments)
    for make in MAKES:
        check(make())
    pinned = pin(to_one=True)
    scenarios = [scenario for scenario in SCENARIOS if scenario.key in ("n0", *REQUIRED_IN, "fail")]
    measured = {scenario.key: in_turns(scenario, options.rounds, options.milliseconds / 1e3) for scenario in scenarios}
    text = page(measured, options.rounds, pinned=pinned)
    print(text)
    if options.write:
        out = Path(__file__).parent.parent / "docs" / "bench" / "wspbus.md"
        out.write_text(text, encoding="utf-8")
    slow = [key for key in REQUIRED_IN if measured[key][ORIGINAL].ratio < REQUIRED]
    for key in slow:
        print(f"missed: {key}: {measured[key][ORIGINAL].ratio:.2f} x instead of {REQUIRED:g} x", file=sys.stderr)
    return int(options.strict and bool(slow))


if __name__ == "__main__":
    raise SystemExit(main())
