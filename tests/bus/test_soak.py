"""A few seconds of the soak; `make soak` takes ten minutes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_random_use_from_threads_and_tasks_leaks_nothing() -> None:
    """Starts, publishes, cancellations and stops leave no task, thread, open file, component or memory behind."""
    command = [sys.executable, "-W", "error", "-m", "tests.soak", "--seconds", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
