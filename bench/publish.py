"""
Compares publishing with typedbus, with other libraries, and in a hand-written loop.

``python bench/publish.py`` writes a table, the figures and a chart to docs/bench,
and prints which targets are kept. The options are listed by ``--help``.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

import costs
from chart import chart
from checks import check
from contender import Contender
from contenders import baseline, installed, typedbus
from report import machine, markdown, target_table
from rounds import Measured, measure, pin
from scenarios import SCENARIOS, Scenario, timed
from targets import OURS, Target, targets

COSTS = ("verbs", "subscribing", "memory", "imports", "waking")
MOST_PASSES = 50
"""More rounds would make cold channels hot."""

Makes = Sequence[Callable[[], Contender]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if `--assert` is given and a target is missed."""
    options = _arguments(arguments)
    makes, missing = installed()
    contenders = [make() for make in makes]
    for message in missing:
        print(f"not measured: {message}", file=sys.stderr)
    for contender in contenders:
        check(contender)
    pinned = pin(to_one=True)
    scenarios: dict[str, Any] = {}
    for scenario in SCENARIOS:
        if not options.only or scenario.key in options.only:
            print(f"{scenario.key}: {scenario.title}", file=sys.stderr, flush=True)
            measured = _publishing(scenario, makes, options.rounds, options.milliseconds / 1e3)
            scenarios[scenario.key] = {"title": scenario.title, "measured": _plain(measured)}
    run: dict[str, Any] = {
        "machine": machine(),
        "pinned": "Pinned to one CPU, except for threads." if pinned else "Not pinned to one CPU.",
        "missing": missing,
        "rounds": options.rounds,
        "scenarios": scenarios,
        "costs": {},
    }
    for name in COSTS:
        if not options.only or name in options.only:
            print(name, file=sys.stderr, flush=True)
            run["costs"][name] = _cost(name, makes, options.rounds, options.milliseconds / 1e3)
    results = targets(run)
    run["targets"] = [{**attrs.asdict(target), "kept": target.kept} for target in results]
    if not options.only:
        _write(options.out, run, contenders, results)
    print(target_table(results))
    return int(options.strict and not all(target.kept for target in results))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    keys = [*[scenario.key for scenario in SCENARIOS], *COSTS]
    parser.add_argument("--only", nargs="*", choices=keys, default=[], help="measure only these, and write no files")
    parser.add_argument("--rounds", type=int, default=100, help="number of rounds")
    parser.add_argument("--milliseconds", type=float, default=2.0, help="duration of one measurement")
    out = Path(__file__).parent.parent / "docs" / "bench"
    parser.add_argument("--out", type=Path, default=out, help="directory for the files")
    parser.add_argument("--assert", dest="strict", action="store_true", help="exit with 1 if a target is missed")
    return parser.parse_args(arguments)


def _publishing(scenario: Scenario, makes: Makes, rounds: int, seconds: float) -> dict[str, Measured]:
    pin(to_one=scenario.threads == 1)
    # New contenders for each scenario, without listeners of the previous scenario.
    loops = [loop for make in makes if (loop := timed(make(), scenario)) is not None]
    if scenario.passes is not None:
        rounds = min(rounds, MOST_PASSES)
    if scenario.threads > 1:
        seconds *= scenario.threads
    return measure(loops, baseline().name, rounds, seconds, scenario.passes)


def _cost(name: str, makes: Makes, rounds: int, seconds: float) -> Any:
    pin(to_one=name != "waking")
    if name == "verbs":
        return _plain(costs.verbs(typedbus, rounds, seconds))
    if name == "subscribing":
        return costs.subscribing(makes, 10_000)
    if name == "memory":
        return {make().name: costs.memory(make) for make in makes}
    if name == "imports":
        packages = dict.fromkeys(contender.package for make in makes if (contender := make()).package is not None)
        return costs.imports([package[1] for package in packages if package is not None])
    return costs.waking(rounds * 3)


def _plain(measured: dict[str, Measured]) -> dict[str, dict[str, float]]:
    return {name: attrs.asdict(figures) for name, figures in measured.items()}


def _write(out: Path, run: dict[str, Any], contenders: Sequence[Contender], results: Sequence[Target]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    name = f"python{'.'.join(platform.python_version_tuple()[:2])}"
    (out / f"{name}.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(markdown(run, contenders, results, f"{name}.svg"), encoding="utf-8")
    measured = {key: Measured(**figures) for key, figures in run["scenarios"]["n10"]["measured"].items()}
    about = f"{run['machine']['python']}; {run['machine']['processor']}"
    note = f"Fastest of {run['rounds']} rounds; in brackets the ratio to the loop with a try. {about}."
    picture = chart("One publish to ten listeners (logarithmic)", note, measured, OURS)
    (out / f"{name}.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
