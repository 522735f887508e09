"""Names that a public module imports on first use."""

from __future__ import annotations

from pathlib import Path

import pytest

from typedbus._base.exports import later


def test_an_attribute_error_of_a_late_import_is_reported_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise Python would report only that the public module has no such name."""
    (tmp_path / "broken_part.py").write_text("import sys\nsys.no_such_function()\n")
    monkeypatch.syspath_prepend(tmp_path)
    get = later({"__name__": "public"}, {"Container": "broken_part"})

    with pytest.raises(ImportError, match="cannot import broken_part: module 'sys' has no attribute") as raised:
        get("Container")

    assert isinstance(raised.value.__cause__, AttributeError)
