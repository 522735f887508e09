"""The wheel, installed into its own environment, without the sources."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TYPING = Path(__file__).parents[1] / "typing"
ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def python(interpreter: Path | str, folder: Path, *arguments: str) -> None:
    """Run *interpreter* in *folder*, and fail unless its status is 0."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [interpreter, *arguments]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    python(sys.executable, folder, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", ".", str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel with its extras, and the checkers, and return the interpreter that has them."""
    folder = tmp_path_factory.mktemp("installed")
    python(sys.executable, folder, "-m", "venv", "--without-pip", "venv")
    interpreter = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = [
        f"{wheel}[asgi,autoreload,cli,graph,mounts,nats,otel,prometheus,settings,wsgi]",
        "mypy",
        "opentelemetry-sdk",
        "pyright[nodejs]",
        "pytest",
        "pytest-timeout",
    ]
    # The pip of this environment need not be installed there, and most of the modules are never imported.
    pip = ["-m", "pip", "--python", str(interpreter), "install", "--quiet", "--no-compile"]
    python(sys.executable, folder, *pip, *wanted)
    return interpreter


def test_the_wheel_has_the_marker_of_typed_packages(wheel: Path) -> None:
    """Without the marker, a type checker treats everything as Any."""
    assert "typedbus/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_the_wheel_has_the_page_of_the_inspector_and_its_schema(wheel: Path) -> None:
    """They are data of the package."""
    folder = ROOT / "src" / "typedbus" / "inspector"
    files = {f"typedbus/inspector/page/{file.name}" for file in (folder / "page").iterdir()}

    assert "typedbus/inspector/page/index.html" in files
    assert files | {"typedbus/inspector/schema.json"} <= set(zipfile.ZipFile(wheel).namelist())


def test_the_links_of_the_readme_work_on_the_package_index(wheel: Path) -> None:
    """They lead to the repository there, and everything else is as in README.md."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        description = archive.read(name).decode().partition("\n\n")[2]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    relative = [link for link in re.findall(r"\]\(([^)\s]+)\)", readme) if (ROOT / link.partition("#")[0]).exists()]

    assert len(relative) > 10
    for link in relative:
        assert f"](https://github.com/typedbus/typedbus/blob/main/{link})" in description
    assert description.replace("https://github.com/typedbus/typedbus/blob/main/", "").strip() == readme.strip()


@pytest.mark.exhaustive
def test_the_checkers_report_the_same_for_the_installed_wheel(installed: Path, tmp_path: Path) -> None:
    """The typing tests pass on the installed package, except for those that need other libraries."""
    shutil.copytree(
        TYPING, tmp_path / "checked", ignore=shutil.ignore_patterns("libraries_*", "outbox_*", "checkers.py")
    )
    shutil.copytree(TYPING.parent / "adopting", tmp_path / "adopting", ignore=shutil.ignore_patterns("test_*"))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n", encoding="utf-8")

    python(installed, tmp_path, "-m", "pytest", "--quiet", "--strict-markers", "--import-mode=importlib", "checked")


def test_the_first_program_of_the_readme_runs(installed: Path, tmp_path: Path) -> None:
    """It ends by itself, with status 0."""
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    program = next(block for block in blocks if "run(" in block)
    (tmp_path / "program.py").write_text(program, encoding="utf-8")

    python(installed, tmp_path, "program.py")
