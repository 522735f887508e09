"""Runs that die at random in real processes, with stops, exits and restarts: each wanted run runs exactly once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.driver import Driver
from tests.processes import without_frameworks

if sys.platform == "win32":
    pytest.skip("a process is not replaced on this system", allow_module_level=True)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def fast_starts(tmp_path: Path) -> Iterator[None]:
    """Let processes start fast, because the tests start many."""
    with without_frameworks(tmp_path):
        yield


def test_runs_that_die_at_random_run_again_once() -> None:
    """20 deaths in a graph of 10 components; each outcome is compared with the policies."""
    driver = Driver(seed=1, size=10, deaths=20)

    driver.run()

    assert driver.ledger.deaths >= 20


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
def test_200_runs_that_die_at_random_run_again_once() -> None:
    """The graph has 30 components; processes are replaced, and exit with 0 and with 70."""
    driver = Driver(seed=2, size=30, deaths=200)

    driver.run()

    assert driver.ledger.deaths >= 200
    assert driver.replaced > 0
    assert set(driver.statuses) == {0, 70}
