"""The page on deployment: its commands run in order in a folder with its files, and print what the page shows."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.shown import is_shown

if sys.platform != "linux":
    pytest.skip("the page is about what Linux has", allow_module_level=True)

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "deploy-a-site.md"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with the files of the page; processes that still run are killed afterwards."""
    for text in re.findall(r"^```(?:python|toml)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        name, _, _ = text.removeprefix("# ").partition("\n")
        (tmp_path / name).write_text(text, encoding="utf-8")
    yield tmp_path
    with contextlib.suppress(OSError, ValueError):
        pid = int((tmp_path / "shop.pid").read_text())
        if Path(f"/proc/{pid}/cwd").readlink() == tmp_path.resolve():
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_the_commands_of_the_page_print_what_it_shows(folder: Path) -> None:
    """Output on the page is compared; a status is shown unless it is 0."""
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    bin_first = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    commands = 0
    for block in blocks:
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            if command.startswith("pip "):
                continue
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=folder,
                env={**os.environ, "PATH": bin_first},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
                check=False,
            )
            commands += 1
            output = done.stdout + (f"[exit status {done.returncode}]\n" if done.returncode else "")
            assert is_shown(shown, output), f"{command}\n{output}"
    assert commands == 16
