"""File names in messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from typedbus._base.shown_files import shown_file


def test_a_file_in_the_working_directory_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file elsewhere, and one that is relative already, stay as they are."""
    monkeypatch.chdir(tmp_path)

    assert shown_file(str(tmp_path / "app" / "site.py")) == "app/site.py"
    assert shown_file("/srv/app/site.py") == "/srv/app/site.py"
    assert shown_file("app/site.py") == "app/site.py"
    assert shown_file(str(tmp_path / "app" / "site.py"), tmp_path / "app") == "site.py"


@pytest.mark.skipif(os.name == "nt", reason="the working directory cannot be removed there")
def test_a_file_stays_as_it_is_if_the_working_directory_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message about a failure must not fail."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    assert shown_file("/srv/app/site.py") == "/srv/app/site.py"
