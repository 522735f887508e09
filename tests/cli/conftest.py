"""Programs that start quickly, for all tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.processes import without_frameworks


@pytest.fixture(scope="module", autouse=True)
def _quick_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide web frameworks from the programs of these tests, which use none."""
    with without_frameworks(tmp_path_factory.mktemp("hidden")):
        yield
