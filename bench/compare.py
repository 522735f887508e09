"""
Compares the same program in five containers: an engine, a session for each request, a service and a route of FastAPI.

The programs are in ``bench/comparison``; each is written as the documentation of its package recommends. This script runs
them, sends requests that succeed and fail, makes mistakes in them, and runs mypy and pyright on each. It prints what it
observes as Markdown, and with ``--write`` writes the page docs/bench/containers.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from comparison.mistakes import MISTAKES, VARIANTS, Change, Mistake
from comparison.page import page

PROGRAMS = Path(__file__).parent / "comparison"
PAGE = Path(__file__).parents[1] / "docs" / "bench" / "containers.md"
CACHE = str(Path(tempfile.gettempdir()) / "typedbus-comparison-mypy")
PACKAGES = ("typedbus", "wireup", "dishka", "svcs", "that-depends")
PACKAGES_NAMED = (*PACKAGES, "fastapi", "mypy", "pyright")


class Copy:
    """A copy of the program and the test of *package*, with *changes* in one of them."""

    def __init__(self, folder: Path, package: str, changes: Iterable[Change] = (), *, in_test: bool = False) -> None:
        name = package.replace("-", "_")
        self.program, self.test = f"{name}_shop", f"{name}_test"
        self.folder = folder
        files = [f"{self.program}.py", f"{self.test}.py"]
        for file in ("parts.py", "observe.py", *files):
            shutil.copy(PROGRAMS / file, folder)
        changed = folder / files[in_test]
        text = changed.read_text(encoding="utf-8")
        for old, new in changes:
            if text.count(old) != 1:
                raise AssertionError(f"{changed.name}: {old!r} occurs {text.count(old)} times")
            text = text.replace(old, new)
        changed.write_text(text, encoding="utf-8")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the folder."""
        environment = {**os.environ, "MYPYPATH": str(self.folder)}
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def observed(self) -> dict[str, Any]:
        """Return what `observe` has printed."""
        ended = self.run("observe.py", self.program)
        result: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
        return result

    def rejected_by(self) -> list[str]:
        """Return the type checkers that report an error."""
        files = [f"{self.program}.py", f"{self.test}.py"]
        checkers = {
            "mypy": ("mypy", "--strict", "--cache-dir", CACHE, *files),
            "pyright": ("pyright", "--pythonpath", sys.executable, *files),
        }
        return [name for name, command in checkers.items() if self.run("-m", *command).returncode]

    def passes(self) -> bool:
        """Whether the test passes."""
        run = f"import {self.test}; {self.test}.test_an_order_is_placed()"
        return not self.run("-W", "ignore", "-c", run).returncode

    def lines(self) -> tuple[int, int]:
        """Return the numbers of lines of the program and of the test, without empty ones."""
        program, test = (
            sum(1 for line in (self.folder / f"{name}.py").read_text(encoding="utf-8").splitlines() if line.strip())
            for name in (self.program, self.test)
        )
        return program, test


def outcome(mistake: Mistake, package: str) -> str:
    """Return what reports *mistake* in the program of *package*."""
    if package not in mistake.changes:
        return "-"
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder), package, mistake.changes[package], in_test=mistake.in_test)
        reports = copy.rejected_by()
        if mistake.in_test:
            reports += ["the test"] * (not copy.passes())
        else:
            observed = copy.observed()
            if "failure" in observed:
                reports.append("the start")
            elif observed["requests"]["tea"]["status"] != 200:
                reports.append("a request")
    return ", ".join(reports) or "**nothing**"


def figures() -> dict[str, Any]:
    """Return everything that the page shows."""
    lines: dict[str, tuple[int, int]] = {}
    observed: dict[str, Any] = {}
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            copy = Copy(Path(folder), package)
            lines[package] = copy.lines()
            observed[package] = copy.observed()
            if copy.rejected_by() or not copy.passes():
                raise AssertionError(f"the program of {package} does not pass")
        if package in VARIANTS:
            name, changes = VARIANTS[package]
            with tempfile.TemporaryDirectory() as folder:
                observed[name] = Copy(Path(folder), package, changes).observed()
    return {
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES_NAMED},
        "python": sys.version.partition(" ")[0],
        "lines": lines,
        "observed": observed,
        "mistakes": {each.name: {package: outcome(each, package) for package in PACKAGES} for each in MISTAKES},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/bench/containers.md")
    write = parser.parse_args(arguments).write
    text = page(figures())
    if write:
        PAGE.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
