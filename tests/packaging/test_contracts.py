"""The packages: each imports only from those below it."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_import_contracts_are_kept() -> None:
    """The contracts in pyproject.toml hold, and every module has a place in them."""
    command = Path(sys.executable).with_name("lint-imports")

    ended = subprocess.run(
        [command, "--no-cache"], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
