"""What the import of the package needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: The import system without one library, as if it were not installed.
PROGRAM = """
import sys

class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hiding())
import typedbus.nats
"""


@pytest.mark.slow
@pytest.mark.parametrize("library", ["nats", "msgspec"])
def test_the_import_without_a_library_names_the_extra_to_install(library: str) -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, library], capture_output=True, text=True, check=False)

    assert ended.stderr.endswith(
        f'ImportError: typedbus.nats needs nats-py and msgspec: pip install "typedbus[nats]" ({library} is missing)\n'
    )
