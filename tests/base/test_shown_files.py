"""File names in messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from typedbus._base.shown_files import shown_file, shown_places


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
    assert shown_places("correct /srv/app/site.py:7") == "correct /srv/app/site.py:7"


def test_places_in_the_working_directory_are_relative_in_a_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of the directory may have any characters; directories whose names merely contain it stay as they are."""
    here = tmp_path / "shop (v1.0)"
    here.mkdir()
    monkeypatch.chdir(here)
    site = here / "site.py"

    assert shown_places(f"correct the method ({site}:7), or {site}") == "correct the method (site.py:7), or site.py"
    assert shown_places(f"{here}2{os.sep}site.py") == f"{here}2{os.sep}site.py"
    assert shown_places(f"/mnt{site}") == f"/mnt{site}"


def test_a_text_stays_as_it_is_in_the_root_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address or an operator has slashes as well."""
    root = Path.cwd().anchor
    monkeypatch.chdir(root)

    assert shown_places(f"{root}srv/site.py serves /metrics") == f"{root}srv/site.py serves /metrics"
