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
"""The number of scenarios in one table."""


def machine() -> dict[str, str]:
    """Return the facts about the machine that the figures depend on."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}, {_optimised()}",
        "processor": f"{_processor()}, {os.cpu_count()} CPUs",
        "system": f"{platform.system()} {platform.machine()}",
    }


def _optimised() -> str:
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    optimisations = [
        name for flag, name in (("--enable-optimizations", "PGO"), ("--with-lto", "LTO")) if flag in options
    ]
    return f"built with {' and '.join(optimisations)}" if optimisations else "built without PGO and LTO"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str = "---:") -> str:
    """Return a Markdown table; *align* is the alignment of all columns but the first."""
    lines = [head, ["---", *[align] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def markdown(run: dict[str, Any], contenders: Sequence[Contender], results: Sequence[Target], chart: str) -> str:
    """Return the whole page; *chart* is the file name of the chart."""
    about = run["machine"]
    parts = [
        f"# Benchmarks on {about['python'].partition(',')[0]}\n",
        f"{about['date']}; {about['python']}; {about['processor']}; {about['system']}. {run['pinned']}\n",
        f"![Ten listeners]({chart})\n",
        "## Targets\n",
        target_table(results),
        "## Differences between the libraries\n",
        _differences(contenders),
        *[f"Not installed: {message}.\n" for message in run["missing"]],
        *_publishing(run["scenarios"], [contender.name for contender in contenders]),
        *_costs(run["costs"]),
    ]
    return "\n".join(parts)


def target_table(results: Sequence[Target]) -> str:
    """Return a table of the targets and the measured figures."""
    rows = [
        [
            target.title,
            f"{target.allowed:g} {target.unit}",
            f"{target.measured:,.{target.digits}f} {target.unit}",
            "yes" if target.kept else "**no**",
        ]
        for target in results
    ]
    return table(["target", "allowed", "measured", "kept"], rows)


def _differences(contenders: Sequence[Contender]) -> str:
    rows = [
        [
            contender.name,
            version(contender),
            f"`{contender.publish['positional']}`",
            contender.order,
            "none" if contender.results is None else "in that order",
            contender.failing,
        ]
        for contender in contenders
    ]
    return table(["", "version", "ten listeners", "order", "results", "after a listener raised"], rows, "---")


def _publishing(scenarios: dict[str, Any], order: Sequence[str]) -> Iterator[str]:
    yield "## Publishing\n"
    yield (
        "Nanoseconds for one publish, and in brackets the ratio to the loop with a `try`. "
        "The first tables have the fastest round of each, the others the median round.\n"
    )
    for figure, ratio in (("least", "ratio"), ("median", "median_ratio")):
        yield f"### {figure.capitalize()}\n"
        keys = list(scenarios)
        for first in range(0, len(keys), COLUMNS):
            columns = keys[first : first + COLUMNS]
            names = [name for name in order if any(name in scenarios[key]["measured"] for key in columns)]
            rows = [
                [name, *[_cell(scenarios[key]["measured"].get(name), figure, ratio) for key in columns]]
                for name in names
            ]
            yield table(["", *[scenarios[key]["title"] for key in columns]], rows)


def _cell(measured: dict[str, float] | None, figure: str, ratio: str) -> str:
    return "-" if measured is None else f"{measured[figure]:,.0f} ({measured[ratio]:.2f})"


def _costs(costs: dict[str, Any]) -> Iterator[str]:
    yield "## Three ways to publish\n"
    yield table(["", "ns"], [[f"`{verb}`", f"{figures['least']:,.0f}"] for verb, figures in costs["verbs"].items()])
    yield "## 10,000 subscriptions, seconds\n"
    yield "Separate declarations are made beforehand; the last column has their time.\n"
    rows = [
        [name, *[f"{figures[key]:.3f}" for key in ("on_one", "on_each", "declare")]]
        for name, figures in costs["subscribing"].items()
    ]
    yield table(["", "on one channel", "on one channel each", "10,000 declarations"], rows)
    yield "## Memory, bytes\n"
    yield "1,000 channels with the same ten listeners. Hot: after 80 publishes, where that makes a difference.\n"
    rows = [
        [name, *[f"{figures[key]:,.0f}" for key in ("declaration", "channel", "cold", "hot")]]
        for name, figures in costs["memory"].items()
    ]
    yield table(["", "declaration", "channel", "cold subscription", "hot subscription"], rows)
    yield "## Import, milliseconds\n"
    yield "Processor time of a new process minus that of an empty program, with compiled bytecode; the least of fifteen.\n"
    yield table(["", "ms"], [[name, f"{milliseconds:.1f}"] for name, milliseconds in costs["imports"].items()])
    yield "## Waking up, microseconds\n"
    yield "From `Event.set()`, and from the end of the last listener of a start, until the waiting thread continues.\n"
    rows = [
        [name, *[f"{microseconds:.0f}" for microseconds in percentiles.values()]]
        for name, percentiles in costs["waking"].items()
    ]
    yield table(["", "median", "p90", "p99"], rows)
