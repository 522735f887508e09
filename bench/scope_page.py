"""The page of the scopes, and whether the runs keep the targets."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from report import machine, table, target_table
from scope_contenders import BY_HAND
from scope_requests import YIELD_DEPENDENCY
from targets import OURS, Target

MODES = ("sync", "async")
EMPTY = 1.5
"""The allowed microseconds of a scope in which nothing is resolved."""

_ABOUT = """\
A scope has three objects on one engine: a session from a generator, a repository that needs the session, and a service that
needs the repository. Each figure is the processor time in microseconds for opening a scope, resolving the service and closing
the scope; in parentheses is its ratio to a `with` statement written by hand. In an empty scope nothing is resolved.

The rows were measured in turns. The fastest of {rounds} rounds of a run counts, and the table shows the median of {runs} runs, each
in a process of its own. After each round, every generator must have been finished with a commit.

Two columns are observed: what happens to the session if the body of the scope raises an exception, and what happens
to the exception of a failed commit, which the generator raises after its `yield`.
"""
_DIFFERENCES = """\
With that-depends and dependency-injector, the session belongs to the current context, and factories make the repository and the service.
"""
_REQUESTS = """\
In the tables of requests, the endpoint of a FastAPI site needs the service; with the `yield` dependency it receives the session
and makes the service itself. The application is called in the process, without a socket. Each figure is the processor time of
one request in microseconds; in parentheses is its ratio to the `yield` dependency. typedbus is `Hosted(site, Shop, scopes=True)`
and `@injected(Shop.service)`; the row below has no `scopes=True`. wireup has its own route class, without which a request takes
more than twice as long.

The other columns are observed: when the session is committed, what happens to it if the endpoint raises an `HTTPException`,
which FastAPI turns into a response, or a `ValueError`, and the status that a client receives if the commit fails.
"""


def targets(runs: Sequence[dict[str, Any]]) -> Iterator[Target]:
    """Yield the targets, each with the largest figure of *runs*; none without typedbus."""
    for mode in MODES:
        full = [run[mode]["full"] for run in runs]
        libraries = [name for name, version in runs[0][mode]["versions"].items() if version != "-" and name != OURS]
        if OURS in full[0] and libraries:
            ratio = max(each[OURS] / min(each[name] for name in libraries) for each in full)
            yield Target(f"{mode}, relative to the fastest other library in the same run", 1.0, ratio)
            yield Target(f"{mode}, an empty scope", EMPTY, max(run[mode]["empty"][OURS] for run in runs), "µs")
    requests = [run["requests"]["least"] for run in runs]
    for name in requests[0]:
        if name.startswith(OURS):
            ratio = max(each[name] / each[YIELD_DEPENDENCY] for each in requests)
            yield Target(f"a request, {name}, relative to the `yield` dependency", 1.0, ratio)


def page(pythons: Sequence[Sequence[dict[str, Any]]], rounds: int) -> str:
    """Return the figures of all Pythons, each with the same number of runs, as Markdown."""
    about = machine()
    first = pythons[0][0]
    versions = {**first["sync"]["versions"], **first["async"]["versions"]}
    listed = ", ".join(f"{name} {version}" for name, version in versions.items() if version != "-")
    where = f"{about['date']}; {about['processor']}; {about['system']}"
    code = [[name, *[f"`{first[mode]['code'][name]}`" for mode in MODES]] for name in versions]
    parts = [
        "# Scopes\n",
        f"{where}; `python bench/scopes.py`. {listed}; FastAPI {first['requests']['fastapi']}.\n",
        _ABOUT.format(rounds=rounds, runs=len(pythons[0])),
        _DIFFERENCES,
        _REQUESTS,
    ]
    for runs in pythons:
        python, _, built = runs[0]["python"].partition(", ")
        parts += [
            f"## {python}\n",
            f"{built[0].upper()}{built[1:]}.\n",
            _costs(runs, versions),
            _requests(runs),
            *_targets(runs),
        ]
    return "\n".join([*parts, "## The code of each row\n", table(["", *MODES], code, "---")])


def _costs(runs: Sequence[dict[str, Any]], names: Iterable[str]) -> str:
    rows = [
        [
            name,
            *[_median([run[mode]["full"] for run in runs], name, BY_HAND) for mode in MODES],
            *[_median([run[mode]["empty"] for run in runs], name) for mode in MODES],
            *[_outcome(runs[0], name, event) for event in ("body", "commit")],
        ]
        for name in names
    ]
    return table(["a scope", *MODES, "empty, sync", "empty, async", "the body raises", "the commit raises"], rows)


def _requests(runs: Sequence[dict[str, Any]]) -> str:
    requests = runs[0]["requests"]
    nothing = dict.fromkeys(("commit", "handled", "unhandled", "failed commit"), "-")
    rows = [
        [
            name,
            _median([run["requests"]["least"] for run in runs], name, YIELD_DEPENDENCY),
            *requests["outcomes"].get(name, nothing).values(),
        ]
        for name in requests["least"]
    ]
    return table(["a request", "microseconds", "commit", "`HTTPException`", "`ValueError`", "failed commit"], rows)


def _targets(runs: Sequence[dict[str, Any]]) -> list[str]:
    results = list(targets(runs))
    if not results:
        return []
    return [f"The targets, each with the largest figure of the {len(runs)} runs:\n", target_table(results)]


def _median(figures: Sequence[dict[str, float]], name: str, baseline: str | None = None) -> str:
    """Return the median of *name* in the runs, and that of its ratio to *baseline* in the same run."""
    if name not in figures[0]:
        return "-"
    median = f"{statistics.median(each[name] for each in figures):.2f}"
    if baseline is None:
        return median
    return f"{median} ({statistics.median(each[name] / each[baseline] for each in figures):.2f})"


def _outcome(run: dict[str, Any], name: str, event: str) -> str:
    """Return what *event* leads to, once if it is the same in both modes."""
    return ", ".join(dict.fromkeys(run[mode]["outcomes"][name][event] for mode in MODES))
