"""
Compare typedbus.nats with nats-py and FastStream, on a server of this machine.

``python bench/nats_compare.py`` starts a server, and for each contender a publisher and a listener, all of them processes.
In every round each contender runs each scenario once. Rates and latencies are medians of the rounds. A ratio is the median
of the ratios to nats-py in the same round. The script prints the page, and with ``--write`` writes it to docs/bench;
``--assert`` exits with 1 if a ratio misses its target.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from nats_page import Figures, missed, page
from nats_processes import Contender, Team, server, teams

ALL = ("one_way", "submit", "end_to_end", "ask_many", "stored", "ask", "gather")
CONTENDERS = (
    Contender("nats-py", "nats_raw.py", "RAW", ALL),
    Contender("typedbus", "nats_typedbus.py", "TYPEDBUS", ALL, ("loop",)),
    Contender("typedbus, threads", "nats_typedbus.py", "THREADS", (*ALL, "one_thread", "eight_threads"), ("threads",)),
    Contender("FastStream", "nats_faststream.py", "FASTSTREAM", tuple(key for key in ALL if key != "gather")),
)


@attrs.frozen
class Scenario:
    """
    A scenario.

    Attributes:
        key: The method of the publisher.
        count: The number of messages in one round.
        is_received: Whether the listener must receive them all.
        latency: Whether each call is timed, instead of all together.
    """

    key: str
    count: int
    is_received: bool = False
    latency: bool = False


SCENARIOS = (
    Scenario("one_way", 50_000, is_received=True),
    Scenario("submit", 20_000),
    Scenario("end_to_end", 20_000, is_received=True),
    Scenario("ask_many", 10_000),
    Scenario("stored", 1_000, latency=True),
    Scenario("ask", 1_000, latency=True),
    Scenario("gather", 500, latency=True),
    Scenario("one_thread", 2_000),
    Scenario("eight_threads", 8_000),
)


async def measure(team: Team, scenario: Scenario, scale: float) -> dict[str, float]:
    """Return the figures of one round: messages per second or microseconds of a call, and microseconds of processor time."""
    count = max(64, int(scenario.count * scale))
    call = team.receive if scenario.is_received else team.publish
    before = await team.cpu()
    result = await call(scenario.key, count)
    await team.clear()
    cpu = {f"{scenario.key}_cpu": (await team.cpu() - before) / count * 1e6}
    if not scenario.latency:
        return {scenario.key: count / (result["ended"] - result["began"]) * 1e9, **cpu}
    cuts = statistics.quantiles(result["took"], n=100)
    return {f"{scenario.key}_p50": cuts[49] / 1e3, f"{scenario.key}_p99": cuts[98] / 1e3, **cpu}


async def compare(contenders: tuple[Contender, ...], keys: Sequence[str], rounds: int, scale: float) -> Figures:
    """Return the figures of each contender in each round, after a round that is not counted."""
    figures: Figures = {contender.name: {} for contender in contenders}
    with tempfile.TemporaryDirectory() as folder:
        async with server(Path(folder)) as url, teams(url, contenders) as running:
            for number in range(rounds + 1):
                order = running[number % len(running) :] + running[: number % len(running)]
                for scenario in SCENARIOS:
                    for team in order:
                        if scenario.key not in team.contender.scenarios or scenario.key not in keys:
                            continue
                        measured = await measure(team, scenario, scale if number else scale / 5)
                        for key, value in measured.items():
                            if number:
                                figures[team.contender.name].setdefault(key, []).append(value)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if `--assert` is given and a ratio misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="number of rounds")
    parser.add_argument("--scale", type=float, default=1.0, help="the factor of the numbers of messages")
    parser.add_argument("--contender", action="append", help="measure only this contender besides nats-py")
    parser.add_argument("--scenario", action="append", help="measure only this scenario")
    parser.add_argument("--write", action="store_true", help="write the page to docs/bench")
    parser.add_argument("--assert", dest="strict", action="store_true", help="exit with 1 if a ratio misses its target")
    options = parser.parse_args(arguments)
    contenders = tuple(
        each for each in CONTENDERS if not options.contender or each.name in ("nats-py", *options.contender)
    )
    keys = options.scenario or [scenario.key for scenario in SCENARIOS]
    figures = asyncio.run(compare(contenders, keys, options.rounds, options.scale))
    text = page(figures, options.rounds)
    print(text)
    if options.write:
        out = Path(__file__).parent.parent / "docs" / "bench" / "nats.md"
        out.write_text(text, encoding="utf-8")
    failures = missed(figures)
    for failure in failures:
        print(f"missed: {failure}", file=sys.stderr)
    return int(options.strict and bool(failures))


if __name__ == "__main__":
    raise SystemExit(main())
