"""
Measures containers of thousands of components, with one or several Pythons.

``python bench/scale.py`` prints the time of each step in the life of a container, the
memory, whether chains of 20,000 components complete, the time of mypy, and which targets
are kept. Each container has its own process; the times are processor times. The options
are listed by ``--help``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from report import machine, table, target_table
from targets import Target

SIZES = (2_000, 5_000, 20_000)
CHAIN = 20_000
MEGABYTE = 1 << 20

#: The ways to run a chain: the kind for `lives.py`, and the stack of its thread in kilobytes, 0 for the main thread.
CHAINS = {
    "in the main thread": ("chain", 0),
    "each declared before its dependency": ("backwards", 0),
    "in a thread with 4 MB of stack": ("chain", 4096),
    "in a thread with 256 KB of stack": ("chain", 256),
    "left started until the interpreter exits": ("leave", 0),
}

START_STEPS = ("make", "validate", "assemble", "start")
"""The steps from an instance to a bus that is STARTED."""
STEPS = ("declare", *START_STEPS, "stop", "exit", "again", "drop")


@attrs.frozen
class Life:
    """
    The output of a process, and how it ended.

    Attributes:
        figures: The printed figures by name, in order.
        status: The exit status; a negative number is the signal that killed the process.
        stderr: The end of its stderr.
    """

    figures: dict[str, Any]
    status: int
    stderr: str

    @property
    def completed(self) -> bool:
        """Whether the program reached its end, and the interpreter exited with 0."""
        return self.status == 0 and "end" in self.figures


def live(python: str, kind: str, size: int, stack: int = 0) -> Life:
    """Run `lives.py` in a process."""
    script = Path(__file__).with_name("lives.py")
    command = [python, str(script), kind, str(size), "--stack", str(stack)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    figures: dict[str, Any] = {}
    for line in run.stdout.splitlines():
        figures.update(json.loads(line))
    return Life(figures, run.returncode, run.stderr[-2000:])


def least(python: str, kind: str, size: int, rounds: int) -> dict[str, Any]:
    """Return the least of each figure of *rounds* processes."""
    lives = [live(python, kind, size) for _ in range(rounds)]
    for life in lives:
        if not life.completed:
            raise SystemExit(f"{kind} of {size} on {python} ended with {life.status}:\n{life.stderr}")
    return {name: min(life.figures[name] for life in lives) for name in lives[0].figures}


def measure(python: str, rounds: int) -> dict[str, Any]:
    """Return all figures of *python*."""
    _log(f"{python}: containers")
    graphs = {str(size): least(python, "graph", size, rounds) for size in SIZES}
    _log(f"{python}: chains")
    chains = {}
    for title, (kind, stack) in CHAINS.items():
        life = live(python, kind, CHAIN, stack)
        chains[title] = {"figures": life.figures, "status": life.status, "completed": life.completed}
        if not life.completed:
            _log(f"a chain {title} ended with {life.status}: {life.stderr}")
            chains[title]["plain"] = live(python, "plain", CHAIN, stack).completed
    _log(f"{python}: types and profile")
    types = least(python, "types", SIZES[1], 1)
    profile = least(python, "profile", SIZES[1], 1)
    return {"python": types["python"], "graphs": graphs, "chains": chains, "types": types, "profile": profile}


def start_seconds(figures: dict[str, float]) -> float:
    """Return the seconds from an instance to a bus that is STARTED."""
    return sum(figures[name] for name in START_STEPS)


def targets(run: dict[str, Any]) -> Iterator[Target]:
    """Yield the targets, with the figures of *run*."""
    small, middle, large = (run["graphs"][str(size)] for size in SIZES)
    each = [
        (start_seconds(figures) + figures["stop"]) / size
        for figures, size in zip((small, large), (SIZES[0], SIZES[2]), strict=True)
    ]
    yield Target("5,000 components, from an instance to STARTED", 2.0, start_seconds(middle), "s")
    yield Target("5,000 components, stop", 1.0, middle["stop"], "s")
    yield Target("5,000 components, peak memory of the process", 200.0, middle["peak"] / MEGABYTE, "MB")
    yield Target("one component among 20,000, relative to one among 2,000", 1.3, each[1] / each[0])
    if "types" in run["types"]:
        yield Target("mypy --strict on 5,000 components, without a cache", 10.0, run["types"]["types"], "s")
        title = "mypy --strict on 5,000 components with a channel and a mark each, without a cache"
        yield Target(title, 10.0, run["types"]["marks"], "s")


def missed(run: dict[str, Any]) -> list[str]:
    """Return the targets that *run* missed, and the chains that did not complete."""
    titles = [target.title for target in targets(run) if not target.kept]
    # Where a chain of plain objects fails as well, the limit is the interpreter's.
    chains = [f"a chain {title}" for title, chain in run["chains"].items() if not chain["completed"] and chain["plain"]]
    return [f"{run['python'].partition(',')[0]}: {title}" for title in titles + chains]


def page(runs: Sequence[dict[str, Any]], about: dict[str, str], rounds: int) -> str:
    """Return the figures of all Pythons as Markdown."""
    head = (
        f"# Containers of thousands\n\n{about['date']}; {about['processor']}; {about['system']}. "
        f"Times are processor times. Each figure of a graph is the least of {rounds} processes; "
        "each chain, mypy and the profile ran in one process.\n\n"
        "Each component has a start and a stop hook and needs up to three of the fifty components before it; "
        "every fifth is in a nested container. "
        "`validate` looks for faults, `assemble` orders, builds and subscribes, `start` and `stop` call the hooks, "
        "`again` is a start after an exit, which builds all components again, "
        "and `drop` deallocates the container and its class.\n"
    )
    parts = [head]
    for run in runs:
        python, _, libraries = run["python"].partition(", ")
        parts += [
            f"## {python}\n\nWith {libraries}.\n",
            target_table(list(targets(run))),
            _steps(run),
            _chains(run),
            _profile(run),
        ]
    return "\n".join(parts)


def _steps(run: dict[str, Any]) -> str:
    head = ["", *[f"{step} s" for step in STEPS], "to STARTED, µs each", "held MB", "peak MB"]
    lives = {f"graph of {int(size):,}": (figures, int(size)) for size, figures in run["graphs"].items()}
    chain = next(iter(run["chains"].values()))
    if chain["completed"]:
        lives[f"chain of {CHAIN:,}"] = (chain["figures"], CHAIN)
    rows = [
        [
            title,
            *[f"{figures[step]:.2f}" for step in STEPS],
            f"{start_seconds(figures) / size * 1e6:.0f}",
            *[f"{figures[name] / MEGABYTE:.0f}" for name in ("held", "peak")],
        ]
        for title, (figures, size) in lives.items()
    ]
    return table(head, rows)


def _chains(run: dict[str, Any]) -> str:
    rows = [[title, _outcome(chain)] for title, chain in run["chains"].items()]
    return table([f"a chain of {CHAIN:,}", "completes"], rows, "---")


def _outcome(chain: dict[str, Any]) -> str:
    if chain["completed"]:
        return "yes"
    steps = [name for name in chain["figures"] if name in STEPS]
    after = f" after `{steps[-1]}`" if steps else ""
    plain = "" if chain["plain"] else "; there, this Python cannot deallocate a chain of plain objects either"
    return f"**no**: the process ended with {chain['status']}{after}{plain}"


def _profile(run: dict[str, Any]) -> str:
    profile = run["profile"]
    seconds = start_seconds(run["graphs"][str(SIZES[1])])

    def shares(name: str, floor: float) -> str:
        largest = sorted(profile[name].items(), key=lambda item: -item[1])
        return ", ".join(f"{place} {share:.0%}" for place, share in largest if share >= floor)

    mypy = "" if "types" in run["types"] else "mypy is not installed in this Python, and was not measured.\n\n"
    return (
        f"{mypy}A profile of 5,000 components, from an instance to STARTED; "
        f"cProfile makes calls slower, so that it takes {profile['total']:.1f} s instead of {seconds:.1f} s. "
        "Own time by module, in which C code of dependency-injector counts for the calling module: "
        f"{shares('own', 0.03)}. Cumulative time by function, in which callers include the functions that they call: "
        f"{shares('below', 0.1)}.\n"
    )


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if `--assert` is given and a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", metavar="PATH", help="interpreter with typedbus; may be repeated")
    parser.add_argument(
        "--rounds", type=int, default=3, help="number of processes for each size; the least figure counts"
    )
    parser.add_argument("--write", action="store_true", help="write the page and the figures to docs/bench")
    parser.add_argument("--assert", dest="strict", action="store_true", help="exit with 1 if a target is missed")
    options = parser.parse_args(arguments)
    runs = [measure(python, options.rounds) for python in options.python or [sys.executable]]
    about = {name: value for name, value in machine().items() if name != "python"}
    text = page(runs, about, options.rounds)
    print(text)
    if options.write:
        out = Path(__file__).parent.parent / "docs" / "bench"
        out.mkdir(parents=True, exist_ok=True)
        (out / "scale.md").write_text(text, encoding="utf-8")
        figures = {"machine": about, "rounds": options.rounds, "pythons": runs}
        (out / "scale.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    misses = [title for run in runs for title in missed(run)]
    for title in misses:
        _log(f"missed: {title}")
    return int(options.strict and bool(misses))


if __name__ == "__main__":
    raise SystemExit(main())
