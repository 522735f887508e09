"""The recordings in the documentation: valid files, and the text that the commands print today."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("pty", reason="there are no pseudo-terminals here")

FOLDER = Path(__file__).parents[2] / "docs" / "casts"
#: Kills processes for some twenty seconds.
LONG = ("nats",)


def loaded() -> ModuleType:
    """Return the script that makes the recordings."""
    spec = importlib.util.spec_from_file_location("casts", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASTS = loaded()
NAMES = [cast.name for cast in CASTS.CASTS]


def comparable(text: str) -> list[str]:
    """
    Return the lines of *text* without what differs from run to run, sorted.

    These are times, the order in which components start and stop side by side, the places of lines in the package, and
    the marks below lines of code, which depend on the version of Python.
    """
    text = re.sub(r"\d+(?:\.\d+)? m?s\b", "N s", text)
    text = re.sub(r'(/src/typedbus/.*", line) \d+', r"\1 N", text)
    return sorted(line for line in text.splitlines() if not re.fullmatch(r"[ |]*[~^]+", line))


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_a_small_file_of_json_lines(name: str) -> None:
    """Its text and its picture are beside it, and have no paths of the machine on which it was made."""
    source = (FOLDER / f"{name}.cast").read_text(encoding="utf-8")
    header, *events = map(json.loads, source.splitlines())
    picture = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")

    assert (header["version"], header["width"], header["height"]) == (2, CASTS.COLUMNS, CASTS.ROWS)
    assert all(kind == "o" and isinstance(text, str) for _, kind, text in events)
    assert [at for at, _, _ in events] == sorted(at for at, _, _ in events)
    assert CASTS.text_of([(at, text) for at, _, text in events]) == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert ET.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
    for text in (source, picture):
        assert len(text) < 50_000
        assert str(FOLDER.parents[1]) not in text
        assert not re.search(r"/(?:home|root|Users|tmp)/", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in LONG])
def test_a_command_prints_what_its_recording_shows(name: str) -> None:
    """`make casts` records the commands again."""
    [cast] = [cast for cast in CASTS.CASTS if cast.name == name]

    assert comparable(CASTS.text_of(CASTS.record(cast))) == comparable(
        (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        ("one\r\ntwo\r\n", ["one", "two", ""]),
        ("wrong\r\x1b[2Kright", ["right"]),
        ("one\r\ntwo\r\n\x1b[2A\x1b[2Kthree", ["three", "two", ""]),
        ("\x1b[1;31mred\x1b[0m and not", ["red and not"]),
        ("\x1b]8;id=1;file:///a\x1b\\link\x1b]8;;\x1b\\", ["link"]),
        ("12345\rab", ["ab345"]),
    ],
)
def test_the_text_of_a_recording_is_what_a_terminal_shows(output: str, lines: list[str]) -> None:
    """After all movements of the cursor."""
    assert [line.plain for line in CASTS.lines_of(output)] == lines


def test_the_text_of_a_recording_has_its_colours() -> None:
    """A picture needs them."""
    [line] = CASTS.lines_of("\x1b[1;31mred\x1b[0m and not")

    assert [(span.start, span.end, str(span.style)) for span in line.spans] == [(0, 3, "bold color(1)")]
