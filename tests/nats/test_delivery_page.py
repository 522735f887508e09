"""Each line of the table of failures in docs/explanation/delivery.md is a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_PAGE = (_HERE.parents[1] / "docs" / "explanation" / "delivery.md").read_text(encoding="utf-8")
_LINES = [line for line in _PAGE.partition("\n## Failures\n")[2].splitlines() if line.startswith("| ")][1:]
_FAILURES = [line for line in _LINES if not line.startswith("| **")]


@pytest.mark.parametrize("line", _FAILURES, ids=lambda line: line.split("|")[1].strip())
def test_a_line_is_a_test(line: str) -> None:
    name = re.search(r"<!-- (test_\w+\.py)::(test_\w+) --> \|$", line)
    assert name is not None, "the line does not name its test"
    source = (_HERE / name[1]).read_text(encoding="utf-8")
    assert f"\ndef {name[2]}(" in source, f"{name[1]} has no {name[2]}"


def test_each_line_has_a_test_of_its_own() -> None:
    names = re.findall(r"<!-- (.*?) -->", "\n".join(_FAILURES))
    assert len(names) == len({*names}) == len(_FAILURES) > 40
