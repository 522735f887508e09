"""Pseudo-terminals for tests, and what they display; where the system has them."""

from __future__ import annotations

import os
import re
import threading

import pytest

termios = pytest.importorskip("termios", reason="there are no pseudo-terminals here")
CONTROLS = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Screen:
    """The part of a terminal that is needed to determine what it displays."""

    def __init__(self, written: str, lines: int, columns: int) -> None:
        self.rows = [""] * lines
        self.scrolled_off: list[str] = []
        self.has_cursor = True
        self.row = self.column = 0
        for numbers, command, line, text in CONTROLS.findall(written):
            match command or line or "text":
                case "A":
                    self.row -= int(numbers)
                case "K":
                    self.rows[self.row] = ""
                case "h" | "l":
                    self.has_cursor = command == "h"
                case "\n":
                    self.feed()
                case "\r":
                    self.column = 0
                case "text":
                    for character in text:
                        # A full line wraps at the next character.
                        if self.column == columns:
                            self.feed()
                            self.column = 0
                        row = self.rows[self.row].ljust(self.column)
                        self.rows[self.row] = row[: self.column] + character + row[self.column + 1 :]
                        self.column += 1
                case "m":
                    continue
                case unknown:
                    raise AssertionError(unknown)

    def feed(self) -> None:
        """Move down by one line."""
        if self.row == len(self.rows) - 1:
            self.scrolled_off.append(self.rows.pop(0))
            self.rows.append("")
        else:
            self.row += 1

    @property
    def text_lines(self) -> list[str]:
        """Every line from the first on, without durations."""
        lines = "\n".join([*self.scrolled_off, *self.rows]).rstrip().split("\n")
        return [re.sub(r" \(\d+\.\d ms\)| in [\d.]+ m?s(?=: )", "", line).rstrip() for line in lines]


class Terminal:
    """A pseudo-terminal, and a thread that reads its output."""

    def __init__(self, lines: int = 12, columns: int = 80) -> None:
        self.size = (lines, columns)
        self.master, self.slave = os.openpty()
        self.resize(lines, columns)
        self.stream = open(self.slave, "w", encoding="utf-8", closefd=False)
        self.written = ""
        self._changed = threading.Condition()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def resize(self, lines: int, columns: int) -> None:
        """Change the size."""
        termios.tcsetwinsize(self.slave, (lines, columns))

    def _read(self) -> None:
        while True:
            try:
                more = os.read(self.master, 4096)
            except OSError:
                # The other end is closed: reading raises on some systems, and returns nothing on others.
                return
            if not more:
                return
            with self._changed:
                self.written += more.decode()
                self._changed.notify_all()

    def reach(self, text: str, times: int = 1) -> None:
        """Return when *text* has been written so many *times*."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.written.count(text) >= times, 20), self.written

    def write(self, text: str) -> None:
        """Write to the terminal as a child process would."""
        os.write(self.slave, text.encode())

    def screen(self) -> Screen:
        """Return the current screen."""
        return Screen(self.written, *self.size)

    def close(self) -> None:
        """Read the remaining output, and hang up."""
        self.stream.close()
        os.close(self.slave)
        self._reading.join()
        os.close(self.master)
