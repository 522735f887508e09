"""
Programs that use the old names, run with CherryPy's own bus and with typedbus.wspbus.

Each program runs in processes of its own, with both copies that tests/cherrypy/copies.py
makes; its output, its log and its status must be the same. Where typedbus differs on purpose,
the docstring of the test names the defect by its number in docs/wspbus/index.md, and the test
has all differing lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.wspbus.parity.comparison import Comparison, RunBoth, copy_originals_and_ours

# Signals, daemons and privileges are those of Unix.
collect_ignore_glob = ["test_*.py"] if sys.platform == "win32" else []


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return CherryPy's process package, unchanged and replaced by typedbus.wspbus."""
    return copy_originals_and_ours(tmp_path_factory.mktemp("cherrypy"))


@pytest.fixture
def run_both(copies: tuple[Path, Path], tmp_path: Path) -> Iterator[RunBoth]:
    """Run a program with the original and with ours, and return the output of each."""
    comparison = Comparison(copies, tmp_path)
    yield comparison
    comparison.close()
