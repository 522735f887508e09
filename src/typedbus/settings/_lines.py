"""
The line numbers of the keys of a TOML document.

tomllib does not report line numbers. This module finds the keys of a document
that tomllib has already accepted, so it needs no error handling: it skips values,
and implements only as much of the grammar as that takes.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final, TypeAlias

Key: TypeAlias = tuple[str | int, ...]

_PART: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'""")
#: A multi-line string may end in up to five quotes, of which the last three are the delimiter.
_TEXT: Final = re.compile(r'''"""(?:[^\\]|\\.)*?"""(?!")|\'\'\'.*?\'\'\'(?!\')|"(?:[^"\\]|\\.)*"|'[^']*\'''', re.DOTALL)
_PLAIN: Final = re.compile(r"[^,\]}#\n]*")
_BLANK: Final = re.compile(r"[ \t]*")
#: Whitespace, commas and comments between lines, and between the members of an array.
_GAP: Final = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")


def lines_of(text: str) -> dict[Key, int]:
    """Return the line number, from 1, of each table, key and array member in *text*, which is valid TOML."""
    return _Document(text).lines


def dotted(key: Key) -> str:
    """Return *key* in dotted notation: ``shop.products[2].sku``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_bare(part)}" for part in key)
    return text.removeprefix(".")


def _bare(part: str) -> str:
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'.encode("unicode_escape").decode("ascii")


class _Document:
    """A document, and the position of the scan."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.lines: dict[Key, int] = {}
        #: The number of tables found so far in each array of tables.
        self.sizes: dict[Key, int] = {}
        table: Key = ()
        while self.step(_GAP) < len(text):
            if text.startswith("[[", self.position):
                table = self.header(2, is_member=True)
            elif text.startswith("[", self.position):
                table = self.header(1, is_member=False)
            else:
                self.pair(table)

    def step(self, pattern: re.Pattern[str]) -> int:
        """Skip the text that *pattern* matches, and return the position after it."""
        match = pattern.match(self.text, self.position)
        assert match is not None, f"{pattern.pattern} does not match at {self.position}"
        self.position = match.end()
        return self.position

    def line(self) -> int:
        return self.text.count("\n", 0, self.position) + 1

    def parts(self) -> list[str]:
        """Skip a dotted key, and return its parts."""
        parts: list[str] = []
        while True:
            start = self.step(_BLANK)
            part = self.text[start : self.step(_PART)]
            parts.append(part if part[0] not in "\"'" else tomllib.loads(f"part = {part}")["part"])
            if self.text[self.step(_BLANK)] != ".":
                return parts
            self.position += 1

    def header(self, brackets: int, *, is_member: bool) -> Key:
        line = self.line()
        self.position += brackets
        key: Key = ()
        *above, last = self.parts()
        self.position += brackets
        for part in above:
            key = (*key, part)
            self.lines.setdefault(key, line)
            if key in self.sizes:
                key = (*key, self.sizes[key] - 1)
        key = (*key, last)
        if is_member:
            self.lines.setdefault(key, line)
            self.sizes[key] = self.sizes.get(key, 0) + 1
            key = (*key, self.sizes[key] - 1)
        self.lines[key] = line
        return key

    def pair(self, table: Key) -> None:
        """Skip a key and its value."""
        line, key = self.line(), table
        for part in self.parts():
            key = (*key, part)
            self.lines.setdefault(key, line)
        self.position += 1  # the equals sign
        self.step(_BLANK)
        self.value(key)

    def value(self, key: Key) -> None:
        opening = self.text[self.position]
        if opening in "\"'":
            self.step(_TEXT)
        elif opening not in "[{":
            self.step(_PLAIN)
        else:
            self.position += 1
            member = 0
            while self.text[self.step(_GAP)] not in "]}":
                if opening == "{":
                    self.pair(key)
                else:
                    self.lines[(*key, member)] = self.line()
                    self.value((*key, member))
                    member += 1
            self.position += 1
