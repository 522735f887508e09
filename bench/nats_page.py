"""The page of the comparison on NATS."""

from __future__ import annotations

import importlib.metadata
import statistics
import subprocess
from typing import TypeAlias

import attrs

from nats_processes import SERVER
from report import machine, table

#: The figures of each round, by contender and by key.
Figures: TypeAlias = dict[str, dict[str, list[float]]]

BASELINE = "nats-py"
THREADED = "typedbus, threads"
OURS = ("typedbus", THREADED)

RATES = {
    "one_way": "signals, publish to listener",
    "submit": "events stored, 1000 in flight",
    "end_to_end": "events stored, consumed and acknowledged",
    "ask_many": "requests, 64 in flight",
}
LATENCIES = {
    "stored": "event stored",
    "ask": "request",
    "gather": "request to three processes",
}


@attrs.frozen
class Target:
    """
    A target: the ratio of ours to the baseline that is required, at least for a rate, at most for a latency.

    Attributes:
        key: The key of the figures.
        title: What is measured.
        required: The ratio.
        at_least: Whether the ratio must not be lower; otherwise it must not be higher.
    """

    key: str
    title: str
    required: float
    at_least: bool

    def is_kept(self, ratio: float) -> bool:
        """Whether *ratio*, rounded as in the table, is allowed."""
        rounded = round(ratio, 2)
        return rounded >= self.required if self.at_least else rounded <= self.required


TARGETS = (
    Target("one_way", "signals per second", 0.70, at_least=True),
    Target("submit", "events stored per second, 1000 in flight", 0.60, at_least=True),
    Target("end_to_end", "events consumed and acknowledged per second", 0.60, at_least=True),
    Target("ask_many", "requests per second, 64 in flight", 0.75, at_least=True),
    Target("stored_p50", "event stored, median", 1.9, at_least=False),
    Target("stored_p99", "event stored, p99", 3.0, at_least=False),
    Target("ask_p50", "request, median", 1.8, at_least=False),
    Target("ask_p99", "request, p99", 3.0, at_least=False),
    Target("gather_p50", "request to three processes, median", 2.2, at_least=False),
    Target("gather_p99", "request to three processes, p99", 3.0, at_least=False),
)
THREADS = Target("threads", "events stored per second, eight threads to one", 1.8, at_least=True)


def ratio(figures: Figures, name: str, key: str, baseline: str = BASELINE, of: str = "") -> float:
    """Return the median of the ratios of *key* of *name* to *of*, by default *key*, of *baseline* in the same round."""
    pairs = zip(figures[name][key], figures[baseline][of or key], strict=True)
    return statistics.median(ours / theirs for ours, theirs in pairs)


def results(figures: Figures) -> list[tuple[Target, dict[str, float]]]:
    """Return every target that was measured, with the ratios of our contenders."""
    measured = []
    for target in TARGETS:
        ratios = {name: ratio(figures, name, target.key) for name in OURS if target.key in figures.get(name, {})}
        measured.append((target, ratios))
    rates = figures.get(THREADED, {})
    if "one_thread" in rates and "eight_threads" in rates:
        measured.append((THREADS, {THREADED: ratio(figures, THREADED, "eight_threads", THREADED, "one_thread")}))
    return [(target, ratios) for target, ratios in measured if ratios]


def missed(figures: Figures) -> list[str]:
    """Return a text for each target that is missed."""
    return [
        f"{name}: {target.title}: {measured:.2f} x instead of {target.required:g} x"
        for target, ratios in results(figures)
        for name, measured in ratios.items()
        if not target.is_kept(measured)
    ]


def _cell(figures: Figures, name: str, key: str) -> str:
    if key not in figures[name]:
        return "-"
    return f"{statistics.median(figures[name][key]):,.0f} ({ratio(figures, name, key):.2f})"


def _kept(target: Target, measured: float | None) -> str:
    if measured is None:
        return "-"
    return f"{measured:.2f}" if target.is_kept(measured) else f"**{measured:.2f}**"


def _versions() -> str:
    packages = ("nats-py", "faststream", "msgspec")
    server = subprocess.run([str(SERVER), "--version"], capture_output=True, text=True, check=True).stdout
    return ", ".join(
        [server.strip().replace(":", ""), *(f"{name} {importlib.metadata.version(name)}" for name in packages)]
    )


def page(figures: Figures, rounds: int) -> str:
    """Return the page as Markdown."""
    about = machine()
    rates = [key for key in RATES if key in figures[BASELINE]]
    latencies = [key for key in LATENCIES if f"{key}_p50" in figures[BASELINE]]
    parts = [
        "# Channels across processes\n",
        (
            f"{about['date']}; {about['python']}; {about['processor']}; {about['system']}; `python bench/nats_compare.py`. "
            f"{_versions()}.\n"
        ),
        (
            "The server, the publisher and the listener are processes of one machine. "
            "The message is an order of about 450 bytes; every contender encodes and decodes it with msgspec. "
            "The server keeps streams in files, with its default interval of fsync.\n"
        ),
        (
            "typedbus publishes on the event loop, and its listeners are async, as those of nats-py and FastStream are. "
            "With threads, it publishes from threads, and its listeners are sync; 64 requests in flight are those of 64 threads, "
            "each of which changes threads twice.\n"
        ),
        (
            f"In each of {rounds} rounds every contender ran every scenario once. The figures are the medians of the rounds; "
            "in brackets is the median of the ratios to nats-py in the same round.\n"
        ),
    ]
    if kept := results(figures):
        rows = [
            [
                target.title,
                f"{'≥' if target.at_least else '≤'} {target.required:.2f}",
                *[_kept(target, ratios.get(name)) for name in OURS],
            ]
            for target, ratios in kept
        ]
        parts += ["## Targets\n", "Ratios to nats-py, but for the last one.\n", table(["", "required", *OURS], rows)]
    if rates:
        rows = [[name, *[_cell(figures, name, key) for key in rates]] for name in figures]
        parts += ["## Messages per second\n", table(["", *[RATES[key] for key in rates]], rows)]
    keys = [key for key in (*RATES, *LATENCIES) if f"{key}_cpu" in figures[BASELINE]]
    rows = [[name, *[_cell(figures, name, f"{key}_cpu") for key in keys]] for name in figures]
    parts += [
        "## Processor time of a message, microseconds\n",
        "The sum over the processes of a contender, without the server.\n",
        table(["", *[(RATES | LATENCIES)[key] for key in keys]], rows),
    ]
    for percentile, heading in (("p50", "Median"), ("p99", "p99")):
        if latencies:
            rows = [[name, *[_cell(figures, name, f"{key}_{percentile}") for key in latencies]] for name in figures]
            parts += [
                f"## {heading} of a call, microseconds\n",
                table(["", *[LATENCIES[key] for key in latencies]], rows),
            ]
    return "\n".join(parts)
