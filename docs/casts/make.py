"""
Record what commands show on a terminal: `make casts`.

Each command runs on a pseudo-terminal, in this folder or the one that it needs. Its
output becomes three files: NAME.cast, a recording for the player of asciinema
(version 2 of the format); NAME.txt, the text that the terminal shows in the end, with
what has scrolled off; and NAME.svg, a picture of the last screen, or for a component
that hangs of the screen before it is given up.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

import attrs
from rich.console import Console
from rich.text import Text

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
COLUMNS: Final = 110
ROWS: Final = 30
#: The folder of the project in the recordings.
_SHOWN_ROOT: Final = "/srv/typedbus"
#: Output that arrives within this time is one event, in seconds.
_MOMENT: Final = 0.02
#: A table that is drawn anew has no more frames than one in this time, in seconds.
_FRAME: Final = 1.0
_UP: Final = "\x1b[1A"
_SEQUENCE: Final = re.compile(r"\x1b\]8;[^\x1b]*\x1b\\|\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


@attrs.frozen
class Recorded:
    """
    A command to record.

    Attributes:
        name: The name of its files.
        command: As the reader types it.
        title: One line about what happens.
        folder: Where it runs.
        still: Text in the last line of the screen that is the picture; by default it is the last screen.
        is_redrawn: Whether the output is a table that is drawn anew in place, of which some frames are enough.
    """

    name: str
    command: str
    title: str
    folder: Path = HERE
    still: str = ""
    is_redrawn: bool = False


CASTS: Final = (
    Recorded("start", "typedbus run app.site:Site --exit-after-start", "A start of 40 components"),
    Recorded("failing", "typedbus run app.site:Failing", "One of 40 components fails"),
    Recorded("hanging", "typedbus run app.site:Hanging", "One of 40 components hangs", still="\x1b[1;33mstarting"),
    Recorded("check", "typedbus check app.shop:Broken", "A container with faults"),
    Recorded("channels", "typedbus channels app.shop:Shop", "The channels of a code base"),
    Recorded(
        "nats",
        "python -m examples.shop_nats --orders 200 --kills 2",
        "Processes and a server are killed; each order arrives once",
        folder=ROOT,
        is_redrawn=True,
    ),
)


def record(cast: Recorded) -> list[tuple[float, str]]:
    """Run the command of *cast* on a terminal, and return what it wrote, each piece with its time in seconds."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    forced = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES")
    environment = {name: value for name, value in os.environ.items() if name not in forced}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(cast.folder), "PYTHONDONTWRITEBYTECODE": "1"}
    program, *arguments = cast.command.split()
    command = [sys.executable, *(["-m", "typedbus"] if program == "typedbus" else []), *arguments]
    began = time.monotonic()
    written: list[tuple[float, bytes]] = []
    with subprocess.Popen(command, cwd=cast.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                # Linux reports the end of the last writer as an error.
                break
            if not piece:
                break
            now = time.monotonic() - began
            if written and now - written[-1][0] < _MOMENT:
                written[-1] = written[-1][0], written[-1][1] + piece
            else:
                written.append((now, piece))
    os.close(ours)
    return [(0.0, f"$ {cast.command}\r\n"), *_thinned(_cleaned(written), cast)]


def _cleaned(written: list[tuple[float, bytes]]) -> list[tuple[float, str]]:
    """Return *written* as text without the paths of this machine, and with whole lines or sequences in each piece."""
    pieces: list[tuple[float, str]] = []
    rest = b""
    for number, (at, piece) in enumerate(written, 1):
        whole = rest + piece
        end = len(whole) if number == len(written) else max(whole.rfind(b"\n") + 1, whole.rfind(b"m\x1b") + 1)
        end = len(whole) if whole.endswith((b"\x1b[0m", b"\r", b"\x1b[?25h")) else end
        whole, rest = whole[:end], whole[end:]
        text = whole.decode().replace(str(ROOT), _SHOWN_ROOT)
        text = re.sub(r"\x1b\]8;id=\d+;", "\x1b]8;id=1;", text)
        if text:
            pieces.append((at, text))
    return pieces


def _thinned(pieces: list[tuple[float, str]], cast: Recorded) -> list[tuple[float, str]]:
    if not cast.is_redrawn:
        return pieces
    drawn = [number for number, (_, text) in enumerate(pieces) if _UP in text]
    kept: list[tuple[float, str]] = []
    for number, (at, text) in enumerate(pieces):
        if number not in drawn[:-1] or at - kept[-1][0] >= _FRAME:
            kept.append((at, text))
    return kept


def lines_of(output: str) -> list[Text]:
    """Return the lines that a terminal of endless height shows after *output*, with their colours."""
    lines: list[list[tuple[str, str]]] = [[]]
    row = column = 0
    style = ""
    for numbers, command, line, text in _SEQUENCE.findall(output):
        match command or line or ("text" if text else ""):
            case "A":
                row -= int(numbers or 1)
            case "K":
                lines[row] = []
            case "m":
                style = "" if numbers in ("", "0") else f"{style}\x1b[{numbers}m"
            case "\n":
                row += 1
                lines.extend([] for _ in range(row - len(lines) + 1))
            case "\r":
                column = 0
            case "text":
                lines[row].extend((" ", "") for _ in range(column - len(lines[row])))
                lines[row][column : column + len(text)] = [(letter, style) for letter in text]
                column += len(text)
            case _:
                pass
    return [
        Text.from_ansi("".join(f"{look}{_joined(letters)}\x1b[0m" for look, letters in groupby(cells, itemgetter(1))))
        for cells in lines
    ]


def _joined(cells: Iterable[tuple[str, str]]) -> str:
    return "".join(letter for letter, _ in cells)


def text_of(pieces: list[tuple[float, str]]) -> str:
    """Return the text that a terminal shows after *pieces*, with what has scrolled off."""
    return "\n".join(line.plain.rstrip() for line in lines_of("".join(text for _, text in pieces))).rstrip() + "\n"


def _picture(pieces: list[tuple[float, str]], cast: Recorded) -> str:
    """Return the screen after the last piece with the text of the still, or after all, as SVG."""
    ends = [text.rpartition("\n")[2] for _, text in pieces]
    shown = [number for number, end in enumerate(ends) if cast.still and cast.still in end]
    output = "".join(text for _, text in pieces[: shown[-1] + 1 if shown else None])
    lines = lines_of(output)
    while lines and not lines[-1].plain.strip():
        lines.pop()
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in lines[-ROWS:]:
        console.print(line, overflow="fold")
    return console.export_svg(title=cast.title, unique_id=cast.name)


def save(cast: Recorded, pieces: list[tuple[float, str]], folder: Path) -> None:
    """Write the three files of *cast* into *folder*."""
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "idle_time_limit": 2, "title": cast.title}
    events = [[round(at, 3), "o", text] for at, text in pieces]
    (folder / f"{cast.name}.cast").write_text(
        "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in [header, *events]), encoding="utf-8"
    )
    (folder / f"{cast.name}.txt").write_text(text_of(pieces), encoding="utf-8")
    (folder / f"{cast.name}.svg").write_text(_picture(pieces, cast), encoding="utf-8")


def main(names: list[str]) -> None:
    """Record the commands with these *names*, or all."""
    for cast in CASTS:
        if not names or cast.name in names:
            save(cast, record(cast), HERE)
            print(f"{cast.name}: {(HERE / f'{cast.name}.cast').stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
