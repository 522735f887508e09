"""
The commands of the tour print what the page shows, and make its drawings.

A line ``^C`` of the output is a SIGINT, which is sent when the lines above it have come.
A ``typedbus run`` without one runs until the end of the test.
"""

import contextlib
import re
import shlex
import signal
import sys
from pathlib import Path

import attrs
import pytest
from tests.docs.shown import is_shown
from tests.docs.test_pages import ROOT, blocks_of, run_process, write_blocks
from tests.processes import Program, free_port

PAGE = ROOT / "docs" / "tour.md"
PORT = "4222"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@attrs.frozen
class Command:
    """A command of the page: its line, and the lines that it prints."""

    line: str
    shown: str

    @property
    def arguments(self) -> list[str]:
        """The arguments of the interpreter."""
        return ["-m", *shlex.split(self.line)]


def commands() -> list[Command]:
    """Return the commands of the page, except for the installation."""
    text = "".join(block.text for block in blocks_of(PAGE) if block.language == "console")
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)[1:]
    found = [Command(line, shown) for line, shown in zip(parts[::2], parts[1::2], strict=True)]
    return [command for command in found if not command.line.startswith("pip ")]


def comparable(text: str) -> str:
    """Return *text* without the port and the token of the live page; an ellipsis at its end may stand for no line."""
    return re.sub(r"\n\.\.\.$", "...", re.sub(r"http://127\.0\.0\.1:\d+/#\S+", "URL", text).rstrip("\n"))


def last_line(text: str) -> str:
    """Return the last line of *text* that is no ellipsis."""
    return [line for line in text.splitlines() if line != "..."][-1]


def labels_of(picture: Path) -> list[str]:
    """Return the texts of a drawing."""
    return sorted(re.findall(r"<text[^>]*>([^<]*)", picture.read_text(encoding="utf-8")))


def test_the_commands_of_the_tour_print_what_is_shown(tmp_path: Path) -> None:
    """A reader who follows the tour sees each of its outputs."""
    write_blocks(PAGE, tmp_path)
    port = str(free_port())
    for file in tmp_path.glob("*.py"):
        file.write_text(file.read_text(encoding="utf-8").replace(PORT, port), encoding="utf-8")
    with contextlib.ExitStack() as stack:
        for command in commands():
            if not command.line.startswith("typedbus run "):
                printed = run_process(*command.arguments, folder=tmp_path)
                assert is_shown(command.shown, printed.removesuffix("[exit status 1]\n")), printed
                continue
            program = Program(sys.executable, "-u", *command.arguments, cwd=tmp_path)
            stack.callback(program.kill)
            before, interrupt, after = command.shown.partition("^C\n")
            program.reach_all(last_line(before), before.splitlines().count(last_line(before)))
            if interrupt:
                program.end(signal.SIGINT)
                assert is_shown(comparable(before + after), comparable(program.output)), program.output


@pytest.mark.parametrize("name", ["shop", "stock", "front"])
def test_the_drawings_of_the_tour_are_those_of_its_commands(name: str, tmp_path: Path) -> None:
    """The pictures of the page show the containers of the page."""
    write_blocks(PAGE, tmp_path)
    (command,) = (command for command in commands() if command.line.endswith(f"--output {name}.svg"))

    assert run_process(*command.arguments, folder=tmp_path) == ""

    assert labels_of(tmp_path / f"{name}.svg") == labels_of(ROOT / "docs" / "pictures" / f"tour-{name}.svg")


def test_the_drawing_of_the_landing_page_is_that_of_the_first_program(tmp_path: Path) -> None:
    """The landing page shows the container of the first program of the README."""
    program = next(block for block in blocks_of(ROOT / "README.md") if block.language == "python")
    (tmp_path / "program.py").write_text(program.text, encoding="utf-8")
    drawing = tmp_path / "program.svg"

    command = ("-m", "typedbus", "graph", "program:Shop", "--direction", "down", "--output", drawing.name)
    assert run_process(*command, folder=tmp_path) == ""

    assert labels_of(drawing) == labels_of(ROOT / "docs" / "pictures" / "first-program.svg")
