"""
Compares the cost of a scope: by hand, with typedbus, and with the containers of other libraries.

A scope has three objects on one engine, one of them from a generator. Each loop opens a scope, resolves the service in it
and closes it; after each round the bench checks that each generator was finished. The endpoint of a FastAPI site does
the same in each request. ``python bench/scopes.py`` prints the median figures of three processes, and with ``--write``
also writes them to docs/bench. ``--assert`` exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import itertools
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import scope_contenders
import scope_requests
from report import machine
from rounds import measure, pin
from scenarios import Timed
from scope_contenders import Contender
from scope_page import page, targets
from scope_parts import Engine
from scope_requests import Client, Site, started

Figures = dict[str, Any]
Run = Callable[[Any], Any]
"""Runs a coroutine to its end."""

_LOOP = """\
{define} timed(number):
    began = clock()
    for _ in repeat(None, number):
        {statement}
    return clock() - began
"""
_ONCE = """\
{define} timed():
    for _ in repeat(None, 1):
        {statement}
"""


def function(contender: Contender, text: str, body: str) -> Callable[..., Any]:
    """Return the function that *text* defines, with a scope of *contender* around *body*."""
    names = {**contender.names, "clock": time.thread_time, "repeat": itertools.repeat}
    statement = contender.scope.format(body=body).replace("\n", "\n        ")
    exec(text.format(define="async def" if contender.is_async else "def", statement=statement), names)
    timed: Callable[..., Any] = names["timed"]
    return timed


def loop_of(contender: Contender, run: Run, *, resolves: bool) -> Timed:
    """Return the loop of *contender*, which expects after each round that each session was committed."""
    timed = function(contender, _LOOP, contender.service if resolves else "pass")

    def seconds(number: int) -> float:
        taken: float = run(timed(number)) if contender.is_async else timed(number)
        contender.engine.expect(number if resolves else 0)
        return taken

    return Timed(contender.name, seconds)


def installed(makes: Sequence[Callable[[], Any]]) -> Iterator[tuple[Callable[[], Any], Any]]:
    """Yield those of *makes* whose library is installed, each with its result."""
    for make in makes:
        try:
            yield make, make()
        except ImportError as error:
            print(f"not measured: {error}", file=sys.stderr)


def ending(engine: Engine) -> str:
    """Return what has become of the only session of *engine*."""
    return "rolled back" if engine.rolled_back else "committed" if engine.committed else "left open"


def outcomes(make: Callable[[], Contender], run: Run) -> dict[str, str]:
    """Return what becomes of the session where the body raises, and of the exception where the commit does."""

    def raised_by(contender: Contender) -> Exception | None:
        timed = function(contender, _ONCE, f"({contender.service}).place()")
        try:
            run(timed()) if contender.is_async else timed()
        except Exception as error:
            return error
        return None

    contender = make()
    failure = contender.engine.failure = ValueError("no")
    raised = raised_by(contender)
    body = ending(contender.engine) + ("" if raised is failure else f", `{type(raised).__name__}` is raised")
    contender = make()
    failure = contender.engine.commit_failure = ValueError("no")
    raised = raised_by(contender)
    commit = (
        "not raised" if raised is None else "raised" if raised is failure else f"raised in `{type(raised).__name__}`"
    )
    return {"body": body, "commit": commit}


def scope_figures(run: Run, rounds: int, seconds: float, *, is_async: bool) -> Figures:
    """Return the least microseconds of a scope and of an empty scope, and what happens after failures."""
    contenders = list(installed(scope_contenders.makes(is_async=is_async)))
    least = {}
    for resolves in (True, False):
        loops = [loop_of(each, run, resolves=resolves) for _, each in contenders if resolves or each.opens_empty]
        measured = measure(loops, loops[0].name, rounds, seconds)
        least[resolves] = {name: figures.least / 1e3 for name, figures in measured.items()}
    return {
        "full": least[True],
        "empty": least[False],
        "code": {each.name: each.scope.format(body=each.service).replace("\n", " ") for _, each in contenders},
        "versions": {each.name: each.version for _, each in contenders},
        "outcomes": {each.name: outcomes(make, run) for make, each in contenders},
    }


async def request_outcomes(make: Callable[[], Site]) -> dict[str, str]:
    """Return when the session of a request is committed, and what happens after failures."""
    from fastapi import HTTPException

    async def client_after(failure: Exception | None, commit_failure: Exception | None = None) -> Client:
        client = Client(make())
        async with started(client.site.app):
            client.site.engine.failure, client.site.engine.commit_failure = failure, commit_failure
            try:
                await client.get()
            except Exception:
                # Where the response had not begun, the server answers.
                client.statuses = client.statuses or {500: 1}
        return client

    good = await client_after(None)
    handled = await client_after(HTTPException(418))
    unhandled = await client_after(ValueError("no"))
    broken = await client_after(None, ValueError("no"))
    return {
        "commit": f"{'before' if good.committed_first else 'after'} the response",
        "handled": ending(handled.site.engine),
        "unhandled": ending(unhandled.site.engine),
        "failed commit": ", ".join(map(str, broken.statuses)),
    }


async def start_all(sites: Sequence[Site], stack: contextlib.AsyncExitStack) -> None:
    """Start the lifespans of *sites*, which end with *stack*."""
    for site in sites:
        await stack.enter_async_context(started(site.app))


def request_figures(run: Run, rounds: int, seconds: float) -> Figures:
    """Return the least microseconds of a request to each site, and what happens to the session."""
    sites = list(installed(scope_requests.MAKES))
    stack = contextlib.AsyncExitStack()
    run(start_all([site for _, site in sites], stack))
    clients = [Client(site) for _, site in sites]
    loops = [Timed(each.site.name, lambda number, each=each: run(each.seconds_for(number))) for each in clients]
    measured = measure(loops, loops[0].name, rounds, seconds)
    run(stack.aclose())
    return {
        "fastapi": importlib.metadata.version("fastapi"),
        "least": {name: figures.least / 1e3 for name, figures in measured.items()},
        "outcomes": {site.name: run(request_outcomes(make)) for make, site in sites if site.sessions},
    }


def figures(rounds: int, seconds: float) -> Figures:
    """Return the figures of this process."""
    pin(to_one=True)
    logging.disable()  # a failed commit is only logged by svcs
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    measured = {
        "python": machine()["python"],
        # The first, since an injected function looks for its container among those that run.
        "requests": request_figures(run, rounds, seconds * 5),
        "sync": scope_figures(run, rounds, seconds, is_async=False),
        "async": scope_figures(run, rounds, seconds, is_async=True),
    }
    loop.close()
    return measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if `--assert` is given and a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", metavar="PATH", help="interpreter with typedbus; may be repeated")
    parser.add_argument("--runs", type=int, default=3, help="number of processes; the median of their figures counts")
    parser.add_argument("--rounds", type=int, default=60, help="number of rounds of a process; the fastest counts")
    parser.add_argument("--milliseconds", type=float, default=2.0, help="duration of one measurement")
    parser.add_argument("--write", action="store_true", help="write the page to docs/bench")
    parser.add_argument("--json", action="store_true", help="print the figures of this process as JSON instead")
    parser.add_argument("--assert", dest="strict", action="store_true", help="exit with 1 if a target is missed")
    options = parser.parse_args(arguments)
    if options.json:
        print(json.dumps(figures(options.rounds, options.milliseconds / 1e3)))
        return 0
    lengths = ["--rounds", str(options.rounds), "--milliseconds", str(options.milliseconds)]
    pythons: list[list[Figures]] = []
    for python in options.python or [sys.executable]:
        command = [python, __file__, "--json", *lengths]
        outputs = [subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout for _ in range(options.runs)]
        pythons.append([json.loads(output) for output in outputs])
    text = page(pythons, options.rounds)
    print(text)
    if options.write:
        out = Path(__file__).parent.parent / "docs" / "bench" / "scopes.md"
        out.write_text(text, encoding="utf-8")
    return int(options.strict and not all(target.kept for runs in pythons for target in targets(runs)))


if __name__ == "__main__":
    raise SystemExit(main())
