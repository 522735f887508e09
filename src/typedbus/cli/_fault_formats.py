"""The output formats for faults: for people, for programs, and for GitHub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from typedbus._base.shown_files import shown_file, shown_places
from typedbus._container.faults import Fault

# Characters that are special in a message of GitHub's workflow commands, and those special in a property.
_IN_MESSAGE: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTY: Final = {**_IN_MESSAGE, **str.maketrans({":": "%3A", ",": "%2C"})}


def _place(fault: Fault) -> tuple[str | None, int | None]:
    """Return file and line of *fault*, each None if unknown."""
    file, _, line = fault.place.rpartition(":")
    return (file, int(line)) if file and line.isdigit() else (None, None)


def _location(fault: Fault) -> str:
    file, line = _place(fault)
    return fault.place if file is None else f"{shown_file(file)}:{line}"


def lines(fault: Fault) -> str:
    """Return *fault* in the format of compiler messages, from which editors can open the place."""
    return f"{_location(fault)}: {fault.path}: {shown_places(fault.problem)}\n    {shown_places(fault.remedy)}\n"


def record(fault: Fault) -> dict[str, str | int | None]:
    """Return *fault* for JSON; docs/command-line.md has the schema."""
    file, line = _place(fault)
    return {
        "path": fault.path,
        "file": file,
        "line": line,
        "kind": type(fault).__name__,
        "problem": fault.problem,
        "remedy": fault.remedy,
    }


def annotation(fault: Fault) -> str:
    """Return *fault* as a workflow command of GitHub."""
    file, line = _place(fault)
    text = f"{fault.path}: {fault.problem}; {fault.remedy}"
    return github_annotation("error", type(fault).__name__, text, file or "", line or 0)


def github_annotation(level: str, title: str, text: str, file: str, line: int) -> str:
    """Return a workflow command of GitHub that shows *text* at *line* of *file*, or without a place if *file* is empty."""
    # Paths in annotations are relative to the root of the repository, wherever the job runs.
    root = os.environ.get("GITHUB_WORKSPACE")
    properties = {"title": title}
    if file:
        properties = {
            "file": shown_file(str(Path(file).absolute()), Path(root) if root else None),
            "line": str(line),
            **properties,
        }
    fields = ",".join(f"{name}={value.translate(_IN_PROPERTY)}" for name, value in properties.items())
    return f"::{level} {fields}::{text.translate(_IN_MESSAGE)}\n"


def show(verdict: str, faults: Sequence[Fault], notes: Sequence[str] = ()) -> None:
    """Write *verdict* to the terminal, each of *faults* with a link to its place, and the lines *notes*."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.style import Style
    from rich.text import Text

    # Texts are not searched for markup: a path may have brackets.
    console = Console(highlight=False)
    console.print(Text(verdict, "bold red" if faults else "bold green"))
    for fault in faults:
        file, _ = _place(fault)
        link = Style(color="cyan", link=None if file is None else Path(file).absolute().as_uri())
        console.print()
        # A place that is wrapped at the end of a line cannot be clicked.
        console.print(Text.assemble((_location(fault), link), "  ", (fault.path, "bold")), soft_wrap=True)
        console.print(Padding(Text(shown_places(fault.problem)), (0, 0, 0, 4)))
        console.print(Padding(Text(shown_places(fault.remedy), "green"), (0, 0, 0, 4)))
    for note in notes:
        console.print(Text(note))
