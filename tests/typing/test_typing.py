"""
What mypy and pyright say of the files in `typing/`: an error on each line that ends in `# E`, and on no other.

Both are run as a user runs them: over a copy that is no part of the project,
with neither its settings nor its stubs.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

FILES = Path(__file__).parent / "uses"
ADOPTING = Path(__file__).parents[1] / "adopting"
MARK = "  # E"

Line: TypeAlias = tuple[str, int]


def lines() -> dict[Line, str]:
    """Return every line of the files, by file and number."""
    texts = {file.name: file.read_text(encoding="utf-8") for file in FILES.glob("*.py")}
    return {(name, number): line for name, text in texts.items() for number, line in enumerate(text.splitlines(), 1)}


def marked() -> dict[Line, str]:
    """Return the lines that are to be refused."""
    return {place: line for place, line in lines().items() if line.endswith(MARK)}


def differences(told: dict[Line, str]) -> list[str]:
    """Return where the marks and what a checker *told* part, each to be read."""
    wrong = marked()
    parted = {place: f"is refused: {told[place]}" for place in told.keys() - wrong.keys()}
    parted |= {place: f"is accepted: {wrong[place].strip()}" for place in wrong.keys() - told.keys()}
    return [f"{name}:{number} {parted[name, number]}" for name, number in sorted(parted)]


def copied(folder: Path) -> Path:
    """Return a copy of the files in *folder*, with the events of other programs as a package beside them."""
    uses = shutil.copytree(FILES, folder / "uses", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ADOPTING, uses / "adopting", ignore=shutil.ignore_patterns("__pycache__", "facts.py", "test_*"))
    (uses / "adopting" / "__init__.py").touch()
    return uses


def python(folder: Path, *arguments: str) -> str:
    """Run a module of this very environment in *folder*, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    # Where packages are, pyright asks the Python of the path.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    command = [sys.executable, "-m", *arguments]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    return ended.stdout


def mypy(folder: Path) -> dict[Line, str]:
    """Return what mypy has against the files in *folder*."""
    (folder / "mypy.ini").write_text("[mypy]\nenable_error_code = deprecated\n", encoding="utf-8")
    told = python(folder, "mypy", "--strict", "--config-file", "mypy.ini", "--output", "json", ".")
    errors = [one for one in map(json.loads, told.splitlines()) if one["severity"] == "error"]
    return {(Path(one["file"]).name, one["line"]): one["message"] for one in errors}


def pyright(folder: Path) -> dict[Line, str]:
    """Return what pyright has against the files in *folder*."""
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}', encoding="utf-8")
    told = json.loads(python(folder, "pyright", "--pythonpath", sys.executable, "--outputjson"))
    errors = told["generalDiagnostics"]
    return {(Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"] for one in errors}


def test_every_subject_has_right_uses_and_wrong_ones() -> None:
    """Marks stand in the files of wrong uses alone, and each of these has a twin of right ones."""
    subjects = {file.name.removesuffix("_good.py") for file in FILES.glob("*_good.py")}

    assert {name for name, _ in marked()} == {f"{subject}_bad.py" for subject in subjects}
    assert len(marked()) >= 90


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_wrong_uses_are_errors_and_right_ones_are_none(
    checker: Callable[[Path], dict[Line, str]], tmp_path: Path
) -> None:
    """Each checker refuses the lines that are marked, and no other."""
    parted = differences(checker(copied(tmp_path)))

    assert not parted, "\n".join(parted)


def test_declarations_of_other_libraries_that_checkers_accept_have_no_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """`validate()` sees the same types at run time."""
    for library in ("aiohttp", "httpx2", "sqlalchemy"):
        pytest.importorskip(library)
    monkeypatch.syspath_prepend(str(FILES))

    importlib.import_module("libraries_good").Site().validate()


def test_listeners_of_other_programs_that_checkers_accept_have_no_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`validate()` compares them with the same declarations."""
    monkeypatch.syspath_prepend(str(copied(tmp_path)))

    importlib.import_module("adopting_good").Programs().validate()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_type_of_every_public_name_is_known(tmp_path: Path) -> None:
    """No checker has to guess a type, and none is unknown."""
    told = json.loads(python(tmp_path, "pyright", "--verifytypes", "typedbus", "--ignoreexternal", "--outputjson"))

    unknown = [one for one in told["typeCompleteness"]["symbols"] if not one["isTypeKnown"]]
    guessed = [f"{one['name']}: {why['message']}" for one in unknown for why in one["diagnostics"]]
    assert not guessed, "\n".join(guessed)
    assert told["typeCompleteness"]["completenessScore"] == 1
