"""
Five type checkers on the examples, and on the lines that checkers must refuse.

`python -m tests.typing.checkers` runs ty, pyrefly and basedpyright on the Python blocks of README and tutorial and on the
shop; a line that ends in ``# type: ignore[...]`` must be refused, any other must not. It exits with 1 unless all is so.

`python -m tests.typing.checkers --table` counts which lines of `typing/` each checker refuses, and writes the table into
docs/explanation/type-checkers.md.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeAlias

from tests.docs import test_pages
from tests.typing import test_typing

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "explanation" / "type-checkers.md"
EXPECTED: Final = "# type: ignore["
_DEPRECATED: Final = "# pyright: ignore[reportDeprecated]"
BIN: Final = Path(sys.executable).parent
#: Of a third party's untyped code, as in pyproject.toml.
UNTYPED: Final = ("reportUnknownMemberType", "reportUnknownVariableType", "reportUnknownArgumentType")

Reports: TypeAlias = dict[tuple[str, int], str]


def output_of(folder: Path, *command: str) -> str:
    """Return what a checker prints in *folder*."""
    ended = subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=folder, capture_output=True, encoding="utf-8", check=False
    )
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    return ended.stdout


def reports_in(text: str, pattern: str) -> Reports:
    """Return the reports in *text*, by file and line, that *pattern* finds."""
    return {(found["file"], int(found["line"])): found["text"] for found in re.finditer(pattern, text, re.MULTILINE)}


def ty(folder: Path) -> Reports:
    """Return what ty reports, with its default rules and those that find a forgotten await and a deprecated channel."""
    text = output_of(folder, "ty", "check", "--error", "unused-awaitable", "--error", "deprecated", "--python", sys.executable, "--python-version", "3.11", "--output-format", "concise", ".")  # fmt: skip
    return reports_in(text, r"^(?P<file>[^:\n]+):(?P<line>\d+):\d+: error(?P<text>.*)$")


def pyrefly(folder: Path, preset: str = "default") -> Reports:
    """Return what pyrefly reports with a preset; a line that has an ignore for mypy is reported as well."""
    settings = {"preset": preset, "python-interpreter-path": sys.executable, "python-version": "3.11"}
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in settings.items()]
    lines += ["enabled-ignores = []\n", '[errors]\ndeprecated = "error"\n']
    (folder / "pyrefly.toml").write_text("".join(lines), encoding="utf-8")
    text = output_of(folder, "pyrefly", "check", "--output-format", "min-text")
    return reports_in(text, r"^ERROR (?P<file>[^:\n]+):(?P<line>\d+):[-\d:]+: (?P<text>.*)$")


def basedpyright(folder: Path) -> Reports:
    """Return what basedpyright reports in the mode strict."""
    settings = {"typeCheckingMode": "strict", "enableTypeIgnoreComments": False, **dict.fromkeys(UNTYPED, False)}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    told = json.loads(output_of(folder, "basedpyright", "--pythonpath", sys.executable, "--outputjson"))
    return {
        (str(Path(one["file"]).relative_to(folder.resolve())), one["range"]["start"]["line"] + 1): one["message"]
        for one in told["generalDiagnostics"]
        if one["severity"] == "error"
    }


NEWER: Final[dict[str, Callable[[Path], Reports]]] = {"ty": ty, "pyrefly": pyrefly, "basedpyright": basedpyright}
ALL: Final[dict[str, Callable[[Path], Reports]]] = {"mypy": test_typing.mypy, "pyright": test_typing.pyright, **NEWER}


def examples(folder: Path) -> None:
    """Write the Python blocks of README and tutorial, and the shop, into *folder*."""
    for page in (ROOT / "README.md", ROOT / "docs" / "tutorial.md"):
        test_pages.write_blocks(page, folder / page.stem.lower())
    shutil.copytree(ROOT / "examples", folder / "shop" / "examples", ignore=shutil.ignore_patterns("__pycache__"))


def check_examples() -> int:
    """Print each line that a checker refuses or accepts against its comment, and return the exit status."""
    count = 0
    with tempfile.TemporaryDirectory() as home:
        examples(Path(home).resolve())
        for folder in sorted(Path(home).resolve().iterdir()):
            expected = {
                (str(file.relative_to(folder)), number)
                for file in folder.rglob("*.py")
                for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
                if EXPECTED in line
            }
            for name, checker in NEWER.items():
                reports = checker(folder)
                wrong = [f"{file}:{line}: {reports[file, line]}" for file, line in sorted(reports.keys() - expected)]
                wrong += [f"{file}:{line}: is accepted" for file, line in sorted(expected - reports.keys())]
                print(f"{name} {version(name)}, {folder.name}: {len(wrong) or 'no'} differences")
                print("".join(f"  {line}\n" for line in wrong), end="")
                count += len(wrong)
    return 1 if count else 0


def table() -> str:
    """Return a table of how many of the marked lines each checker refuses, and of how many others."""
    wrong = test_typing.marked().keys()
    counted: dict[str, Reports] = {}
    for name, checker in ALL.items():
        with tempfile.TemporaryDirectory() as home:
            counted[name] = checker(test_typing.copied(Path(home).resolve()))
    rows = [["", "lines", *(f"{name} {version(name)}" for name in ALL)], ["---", *["---:"] * (len(ALL) + 1)]]
    for file in sorted({file for file, _ in wrong}):
        lines = {place for place in wrong if place[0] == file}
        subject = file.removesuffix("_bad.py")
        rows.append([subject, str(len(lines)), *(str(len(lines & counted[name].keys())) for name in ALL)])
    rows.append(["**wrong lines refused**", str(len(wrong)), *(str(len(wrong & counted[name].keys())) for name in ALL)])
    # An old spelling of a context manager is deprecated in typeshed, and shown on purpose.
    right = (
        test_typing.lines().keys() - wrong - {one for one, line in test_typing.lines().items() if _DEPRECATED in line}
    )
    rows.append(["**right lines refused**", "", *(str(len(counted[name].keys() & right)) for name in ALL)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> int:
    """Carry out the command line, and return the exit status."""
    if "--table" not in sys.argv[1:]:
        return check_examples()
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition("<!-- table -->\n")
    _, _, tail = rest.partition("<!-- end of the table -->\n")
    PAGE.write_text(f"{head}<!-- table -->\n{table()}<!-- end of the table -->\n{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
