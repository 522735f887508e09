"""The results as Markdown."""

from __future__ import annotations

import datetime as dt
import os
import platform
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from contender import Contender
from contenders import version
from targets import Target

COLUMNS = 6
"""So many scenarios stand beside each other in one table."""


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}, {_optimised()}",
        "processor": f"{_processor()}, {os.cpu_count()} CPUs",
        "system": f"{platform.system()} {platform.machine()}",
    }


def _optimised() -> str:
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    ways = [name for flag, name in (("--enable-optimizations", "PGO"), ("--with-lto", "LTO")) if flag in options]
    return f"built with {' and '.join(ways)}" if ways else "built without PGO and LTO"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str = "---:") -> str:
    """Return a Markdown table, its columns but the first aligned as *align* says: to the right."""
    lines = [head, ["---", *[align] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def markdown(run: dict[str, Any], contenders: Sequence[Contender], kept: Sequence[Target], chart: str) -> str:
    """Return the whole page; *chart* is the name of the file with the picture."""
    about = run["machine"]
    parts = [
        f"# Benchmarks on {about['python'].partition(',')[0]}\n",
        f"{about['date']}; {about['python']}; {about['processor']}; {about['system']}. {run['pinned']}\n",
        f"![Ten listeners]({chart})\n",
        "## Targets\n",
        target_table(kept),
        "## Who does what\n",
        _who(contenders),
        *[f"Not installed: {word}.\n" for word in run["missing"]],
        *_publishing(run["scenarios"], [one.name for one in contenders]),
        *_costs(run["costs"]),
    ]
    return "\n".join(parts)


def target_table(kept: Sequence[Target]) -> str:
    """Return what was promised beside what was measured."""
    rows = [
        [
            target.title,
            f"{target.allowed:g} {target.unit}",
            f"{target.measured:,.{target.digits}f} {target.unit}",
            "yes" if target.kept else "**no**",
        ]
        for target in kept
    ]
    return table(["target", "allowed", "measured", "kept"], rows)


def _who(contenders: Sequence[Contender]) -> str:
    rows = [
        [
            one.name,
            version(one),
            f"`{one.publish['positional']}`",
            one.order,
            "none" if one.results is None else "in that order",
            one.failing,
        ]
        for one in contenders
    ]
    return table(["", "version", "ten listeners", "order", "results", "after a listener raised"], rows, "---")


def _publishing(scenarios: dict[str, Any], order: Sequence[str]) -> Iterator[str]:
    yield "## Publishing\n"
    yield (
        "Nanoseconds for one publish, and in brackets how many times the loop with a `try` that is. "
        "Above the fastest round, below the median round of each.\n"
    )
    for figure, ratio in (("least", "ratio"), ("median", "median_ratio")):
        yield f"### {figure.capitalize()}\n"
        keys = list(scenarios)
        for first in range(0, len(keys), COLUMNS):
            chosen = keys[first : first + COLUMNS]
            names = [name for name in order if any(name in scenarios[key]["measured"] for key in chosen)]
            rows = [
                [name, *[_cell(scenarios[key]["measured"].get(name), figure, ratio) for key in chosen]]
                for name in names
            ]
            yield table(["", *[scenarios[key]["title"] for key in chosen]], rows)


def _cell(measured: dict[str, float] | None, figure: str, ratio: str) -> str:
    return "-" if measured is None else f"{measured[figure]:,.0f} ({measured[ratio]:.2f})"


def _costs(costs: dict[str, Any]) -> Iterator[str]:
    yield "## Three ways to publish\n"
    yield table(["", "ns"], [[f"`{verb}`", f"{one['least']:,.0f}"] for verb, one in costs["verbs"].items()])
    yield "## 10,000 subscriptions, seconds\n"
    yield "What has a declaration of its own is declared before; what that takes stands in the last column.\n"
    rows = [
        [name, *[f"{one[key]:.3f}" for key in ("on_one", "on_each", "declare")]]
        for name, one in costs["subscribing"].items()
    ]
    yield table(["", "on one channel", "on one channel each", "10,000 declarations"], rows)
    yield "## Memory, bytes\n"
    yield "1,000 channels with the same ten listeners. Hot: published on 80 times, where that makes a difference.\n"
    rows = [
        [name, *[f"{one[key]:,.0f}" for key in ("declaration", "channel", "cold", "hot")]]
        for name, one in costs["memory"].items()
    ]
    yield table(["", "declaration", "channel", "cold subscription", "hot subscription"], rows)
    yield "## Import, milliseconds\n"
    yield "Processor time of a new process, less that of one which does nothing, with its bytecode in place; the least of fifteen.\n"
    yield table(["", "ms"], [[name, f"{taken:.1f}"] for name, taken in costs["imports"].items()])
    yield "## Waking up, microseconds\n"
    yield "From `Event.set()`, and from the end of the last listener of a start, until the waiting thread goes on.\n"
    rows = [[name, *[f"{taken:.0f}" for taken in one.values()]] for name, one in costs["waking"].items()]
    yield table(["", "median", "p90", "p99"], rows)
