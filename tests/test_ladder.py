"""The ladder of modules: each imports from the rungs below it alone."""

import subprocess
import sys
from pathlib import Path


def test_the_import_contracts_are_kept() -> None:
    """What pyproject.toml says of the modules is so, and a new module has its place there."""
    command = Path(sys.executable).with_name("lint-imports")

    ended = subprocess.run(
        [command, "--no-cache"], cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
