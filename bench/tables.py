"""Loops of one statement to measure, and tables of their figures."""

from __future__ import annotations

import asyncio
import itertools
import platform
import time
from collections.abc import Mapping
from typing import Any

from rounds import Measured
from scenarios import Timed

_TIMED = """\
{define} timed(number):
    began = clock()
    for _ in repeat(None, number):
        {statement}
    return clock() - began
"""


def timed(name: str, statement: str, names: Mapping[str, object], loop: asyncio.AbstractEventLoop) -> Timed:
    """Return a loop of *statement*, in which *names* are defined; one with ``await`` runs on *loop*."""
    is_async = statement.startswith("await")
    defined: dict[str, Any] = {**names, "clock": time.thread_time, "repeat": itertools.repeat}
    text = _TIMED.format(define="async def" if is_async else "def", statement=statement)
    exec(compile(text, f"<{name}>", "exec"), defined)
    run = defined["timed"]
    return Timed(name, (lambda number: loop.run_until_complete(run(number))) if is_async else run)


def print_interpreter(baseline: str) -> None:
    """Print the interpreter and the unit of the tables that follow, and *baseline*, to which their ratios refer."""
    print(f"{platform.python_implementation()} {platform.python_version()}, microseconds (ratio to {baseline})\n")


def print_table(heading: str, figures: Mapping[str, Mapping[str, Measured]]) -> None:
    """Print *figures*, by column and by row, as a table in Markdown with *heading* above the names of the rows."""
    print(f"| {heading} | {' | '.join(figures)} |")
    print(f"| --- |{' ---: |' * len(figures)}")
    for row in next(iter(figures.values())):
        cells = [f"{column[row].least / 1e3:.2f} ({column[row].ratio:.2f})" for column in figures.values()]
        print(f"| {row} | {' | '.join(cells)} |")
    print()
