"""
How containers of thousands of components do, on each Python that is asked for.

``python bench/scale.py`` prints what each step of a container's life takes, how
much memory, whether chains of 20,000 survive it, what mypy takes, and which
bounds are kept. Each life has a process of its own; seconds are those that it
worked, whatever else the machine did. What it can be asked for: ``--help``.
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

#: How a chain lives: what `lives.py` is asked for, and the kilobytes of stack of its thread, 0 for the main thread.
CHAINS = {
    "in the main thread": ("chain", 0),
    "each declared before what it needs": ("backwards", 0),
    "in a thread with 4 MB of stack": ("chain", 4096),
    "in a thread with 256 KB of stack": ("chain", 256),
    "left to the interpreter's end": ("leave", 0),
}

START_SIDE = ("make", "validate", "assemble", "start")
"""From the declarations to a bus that is STARTED: looking for faults, ordering, building, subscribing, calling."""
STEPS = ("declare", *START_SIDE, "stop", "exit", "again", "drop")


@attrs.frozen
class Life:
    """
    What a process told: its figures by name, and how it ended.

    Attributes:
        told: Each figure by its name, in order.
        status: That of the process; below 0 it is the signal that ended it.
        words: The last of what it wrote to stderr.
    """

    told: dict[str, Any]
    status: int
    words: str

    @property
    def lasted(self) -> bool:
        """Whether it came to its end, and the interpreter to its own."""
        return self.status == 0 and "end" in self.told


def live(python: str, kind: str, size: int, stack: int = 0) -> Life:
    """Let `lives.py` go through a life."""
    script = Path(__file__).with_name("lives.py")
    command = [python, str(script), kind, str(size), "--stack", str(stack)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    told: dict[str, Any] = {}
    for line in run.stdout.splitlines():
        told.update(json.loads(line))
    return Life(told, run.returncode, run.stderr[-2000:])


def least(python: str, kind: str, size: int, rounds: int) -> dict[str, Any]:
    """Return the least of *rounds* processes, each figure for itself."""
    lives = [live(python, kind, size) for _ in range(rounds)]
    for one in lives:
        if not one.lasted:
            raise SystemExit(f"{kind} of {size} on {python} ended with {one.status}:\n{one.words}")
    return {name: min(one.told[name] for one in lives) for name in lives[0].told}


def measure(python: str, rounds: int) -> dict[str, Any]:
    """Return all that there is to know of *python*."""
    _say(f"{python}: containers")
    graphs = {str(size): least(python, "graph", size, rounds) for size in SIZES}
    _say(f"{python}: chains")
    chains = {}
    for title, (kind, stack) in CHAINS.items():
        life = live(python, kind, CHAIN, stack)
        chains[title] = {"told": life.told, "status": life.status, "lasted": life.lasted}
        if not life.lasted:
            _say(f"a chain {title} ended with {life.status}: {life.words}")
            chains[title]["plain"] = live(python, "plain", CHAIN, stack).lasted
    _say(f"{python}: types and profile")
    types = least(python, "types", SIZES[1], 1)
    profile = least(python, "profile", SIZES[1], 1)
    return {"python": types["python"], "graphs": graphs, "chains": chains, "types": types, "profile": profile}


def start_side(one: dict[str, float]) -> float:
    """Return the seconds from the declarations to a bus that is STARTED."""
    return sum(one[name] for name in START_SIDE)


def bounds(run: dict[str, Any]) -> Iterator[Target]:
    """Give what we promise, and how the Python of *run* kept it."""
    small, middle, large = (run["graphs"][str(size)] for size in SIZES)
    each = [
        (start_side(one) + one["stop"]) / size for one, size in zip((small, large), (SIZES[0], SIZES[2]), strict=True)
    ]
    yield Target("5,000 components, from an instance to STARTED", 2.0, start_side(middle), "s")
    yield Target("5,000 components, stop", 1.0, middle["stop"], "s")
    yield Target("5,000 components, the process at its largest", 200.0, middle["peak"] / MEGABYTE, "MB")
    yield Target("a component among 20,000 over one among 2,000", 1.3, each[1] / each[0])
    if "types" in run["types"]:
        yield Target("mypy --strict on 5,000 components, nothing cached", 10.0, run["types"]["types"], "s")
        title = "mypy --strict on 5,000 components with a channel and a mark each, nothing cached"
        yield Target(title, 10.0, run["types"]["marks"], "s")


def missed(run: dict[str, Any]) -> list[str]:
    """Return what the Python of *run* did not keep."""
    late = [one.title for one in bounds(run) if not one.kept]
    # What plain objects do not survive is the interpreter's own limit.
    lost = [f"a chain {title}" for title, one in run["chains"].items() if not one["lasted"] and one["plain"]]
    return [f"{run['python'].partition(',')[0]}: {what}" for what in late + lost]


def page(runs: Sequence[dict[str, Any]], about: dict[str, str], rounds: int) -> str:
    """Return the figures of all Pythons as Markdown."""
    head = (
        f"# Containers of thousands\n\n{about['date']}; {about['processor']}; {about['system']}. "
        f"Seconds that a process worked, the least of {rounds} processes for each container, each figure for itself; "
        "one process for a chain, for mypy and for the profile.\n\n"
        "Each component starts and stops, needs up to three of the fifty before it, and every fifth lives in a part. "
        "`validate` looks for faults, `assemble` orders, builds and subscribes, `start` and `stop` call the hooks, "
        "`again` is a start after an exit, which builds everything anew, "
        "and `drop` gives the container and its class back.\n"
    )
    parts = [head]
    for run in runs:
        python, _, beside = run["python"].partition(", ")
        parts += [
            f"## {python}\n\nWith {beside}.\n",
            target_table(list(bounds(run))),
            _steps(run),
            _chains(run),
            _words(run),
        ]
    return "\n".join(parts)


def _steps(run: dict[str, Any]) -> str:
    head = ["", *[f"{step} s" for step in STEPS], "to STARTED, µs each", "held MB", "peak MB"]
    lives = {f"graph of {int(size):,}": (one, int(size)) for size, one in run["graphs"].items()}
    straight = next(iter(run["chains"].values()))
    if straight["lasted"]:
        lives[f"chain of {CHAIN:,}"] = (straight["told"], CHAIN)
    rows = [
        [
            title,
            *[f"{one[step]:.2f}" for step in STEPS],
            f"{start_side(one) / size * 1e6:.0f}",
            *[f"{one[name] / MEGABYTE:.0f}" for name in ("held", "peak")],
        ]
        for title, (one, size) in lives.items()
    ]
    return table(head, rows)


def _chains(run: dict[str, Any]) -> str:
    rows = [[f"{title}", _fate(one)] for title, one in run["chains"].items()]
    return table([f"a chain of {CHAIN:,}", "lives to its end"], rows, "---")


def _fate(one: dict[str, Any]) -> str:
    if one["lasted"]:
        return "yes"
    came = [name for name in one["told"] if name in STEPS]
    after = f" after `{came[-1]}`" if came else ""
    plain = "" if one["plain"] else "; nor does a chain of plain objects there, which this Python cannot drop"
    return f"**no**: it ended with {one['status']}{after}{plain}"


def _words(run: dict[str, Any]) -> str:
    found = run["profile"]
    plain = start_side(run["graphs"][str(SIZES[1])])

    def shares(name: str, floor: float) -> str:
        largest = sorted(found[name].items(), key=lambda one: -one[1])
        return ", ".join(f"{place} {share:.0%}" for place, share in largest if share >= floor)

    mypy = "" if "types" in run["types"] else "mypy is not installed there: its time was skipped.\n\n"
    return (
        f"{mypy}Where the time goes, at 5,000, from an instance to STARTED: under cProfile, which makes calls dearer, "
        f"it is {found['total']:.1f} s instead of {plain:.1f} s. By the module whose own lines run, with what "
        "the container library does in C told with who called it: "
        f"{shares('own', 0.03)}. By function, with what it calls, so that they overlap: {shares('below', 0.1)}.\n"
    )


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return 1 if `--assert` is given and a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", metavar="PATH", help="one that has typedbus; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each size; the least counts")
    parser.add_argument("--write", action="store_true", help="write the page and the figures to docs/bench")
    parser.add_argument("--assert", dest="strict", action="store_true", help="exit with 1 if a bound is missed")
    asked = parser.parse_args(arguments)
    runs = [measure(python, asked.rounds) for python in asked.python or [sys.executable]]
    about = {name: value for name, value in machine().items() if name != "python"}
    text = page(runs, about, asked.rounds)
    print(text)
    if asked.write:
        out = Path(__file__).parent.parent / "docs" / "bench"
        out.mkdir(parents=True, exist_ok=True)
        (out / "scale.md").write_text(text, encoding="utf-8")
        figures = {"machine": about, "rounds": asked.rounds, "pythons": runs}
        (out / "scale.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    losses = [loss for run in runs for loss in missed(run)]
    for loss in losses:
        _say(f"missed: {loss}")
    return int(asked.strict and bool(losses))


if __name__ == "__main__":
    raise SystemExit(main())
