"""The report of a run: progress, refused lines, and a table at the end."""

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TextIO

import attrs

from examples.shop.channels import lines_read, order_refused, order_taken, stock_low
from examples.shop.invoicing import money
from examples.shop.orders import Order, Receipt, Refused
from typedbus import on

_STEPS = 20


@attrs.define
class _Figures:
    """The counts of one run."""

    lines: int = 0
    share: float = 0.0
    step: int = 0
    taken: int = 0
    total: int = 0
    refused: Counter[str] = attrs.field(factory=Counter)
    low: set[str] = attrs.field(factory=set)


class Report:
    """Prints progress and results on stdout, and writes each refused line to a file."""

    _file: TextIO
    _run: _Figures

    def __init__(self, path: Path) -> None:
        self._path = path

    def start(self) -> None:
        """Reset the counts, since each run reads every line, and open the file."""
        self._file = self._path.open("w", encoding="utf-8")
        self._run = _Figures()

    def stop(self) -> None:
        """Close the file and print the table, unless nothing was read."""
        self._file.close()
        if self._run.share:
            print(self._table(), flush=True)

    @on(order_taken)
    def taken(self, order: Order, receipt: Receipt, /) -> None:
        """Count *order*."""
        self._run.taken += 1
        self._run.total += receipt.total

    @on(order_refused)
    def refused(self, line: int, why: Refused, /) -> None:
        """Write the refusal of *line* to the file."""
        self._run.refused[why.kind] += 1
        self._file.write(f"line {line}: {why}\n")
        self._file.flush()

    @on(stock_low)
    def low(self, sku: str, left: int, /) -> None:
        """Add *sku* to the products that ran low."""
        self._run.low.add(sku)

    @on(lines_read)
    def read(self, lines: int, /, *, share: float) -> None:
        """Print a line of progress for each step."""
        run = self._run
        run.lines, run.share, step = lines, share, int(share * _STEPS)
        if step == run.step:
            return
        run.step = step
        full, empty = ("█", "░") if _is_terminal() else ("#", ".")
        bar = full * step + empty * (_STEPS - step)
        refused = run.refused.total()
        print(f"{share:5.0%}  {bar} {lines:7,} lines {run.taken:7,} taken {refused:5,} refused", flush=True)

    def _table(self) -> str:
        run = self._run
        refused = run.refused.total()
        rule = ("─" if _is_terminal() else "-") * 60
        rows = [
            ("lines read", run.lines, ""),
            ("orders taken", run.taken, money(run.total)),
            ("taken in earlier runs", run.lines - run.taken - refused, ""),
            ("lines refused", refused, ""),
            *((f"  {kind}", count, "") for kind, count in sorted(run.refused.items())),
            ("products that ran low", len(run.low), ", ".join(sorted(run.low))),
        ]
        body = [f"{name:<24}{count:>9,}  {more}".rstrip() for name, count, more in rows]
        ending = ["The orders file was read to its end." if run.share >= 1 else "Stopped before the end; run it again."]
        if refused:
            ending.append(f"Every refused line stands in {self._path}.")
        return "\n".join(["", _bold("The shop's day"), rule, *body, rule, *ending, ""])


def _is_terminal() -> bool:
    return sys.stdout.isatty() and (sys.stdout.encoding or "").lower().startswith("utf")


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text
