"""
Lines on a terminal, and a last one that changes.

rich styles them, and is imported here. The rest keeps the last line apart from
what other code writes to the same terminal.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TextIO

from rich.console import Console
from rich.text import Text

from typedbus.plugins._handlers import leads_to, stream_of

_ERASE: Final = b"\r\x1b[2K"
_HIDE: Final = b"\x1b[?25l"
_SHOW: Final = b"\x1b[?25h"


class Display:
    """
    Writes lines to the terminal *stream*, and below them a line that changes.

    While that line is shown, a write to the terminal by way of a Python stream erases
    it first and draws it again below: a write of `sys.stdout` and `sys.stderr`, of the
    streams of log handlers, and of other code that holds one of these streams or a
    method of it. Half a line stays as it is. Code that writes past them, such as a
    child process or `os.write`, breaks the line: its text stays joined to it.

    Any thread may write lines; one at a time may show and end.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Texts are written as they are, though they have brackets or are longer than a line.
        self._rich = Console(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=True)
        # Reentrant, since a signal handler may write in the middle of a write. It is taken inside the lock of a
        # stream, so that with it held nothing is written by way of a stream.
        self._lock = threading.RLock()
        self._is_begun = False
        #: The text of the last line.
        self._shown = b""
        #: Whether other code has written half a line, after which the line was broken.
        self._is_broken = False
        #: The raw streams whose writes are guarded, by identity.
        self._guarded: dict[int, Any] = {}

    @property
    def can_show(self) -> bool:
        """Whether the terminal is able to, and the environment does not forbid it."""
        return self._rich.is_interactive and not self._rich.legacy_windows

    @property
    def restoring(self) -> bytes:
        """What clears the last line and shows the cursor, for a signal handler, which may only write."""
        return _ERASE + _SHOW if self._is_begun else b""

    def line(self, word: str, style: str, said: str) -> None:
        """Write a line, of which *word* has a *style*."""
        text = self._rendered(Text.assemble((word, style), said))
        if not self._is_begun:
            self._stream.write(text)
            self._stream.flush()
            return
        with self._lock:
            self._is_broken = False
            self._write(_ERASE + self._encoded(text) + self._shown)

    def show(self, text: str) -> None:
        """Let *text*, cut to the width of the terminal, be the last line."""
        shown = Text(text, "bold")
        # There is room for the ^C that a terminal adds: a line that breaks is not cleared as a whole.
        shown.truncate(self._rich.width - len("^C"), overflow="ellipsis")
        rendered = self._encoded(self._rendered(shown).rstrip("\n"))
        self._guard()
        with self._lock:
            begin = b""
            if not self._is_begun:
                # Breaks half a line that is there, and leaves an empty line as it is.
                begin = _HIDE + b" " * self._rich.width + b"\r"
                self._is_begun = True
            self._shown = rendered
            self._write(begin + _ERASE + rendered)

    def end(self) -> None:
        """Take the last line away, if there is one, and let other code write as before."""
        with self._lock:
            if not self._is_begun:
                return
            self._is_begun, self._is_broken, self._shown = False, False, b""
            for raw in self._guarded.values():
                del raw.write
            self._guarded.clear()
            try:
                self._write(_ERASE + _SHOW)
            except (OSError, ValueError):
                # A terminal that is gone is no reason for a traceback on it.
                return

    def _guard(self) -> None:
        """Let writes to the terminal erase the last line first, also by way of streams that are new since the last call."""
        for stream in _streams():
            buffer: Any = getattr(stream, "buffer", None)
            raw = getattr(buffer, "raw", buffer)
            if not isinstance(raw, io.RawIOBase) or id(raw) in self._guarded or not leads_to(stream, self._stream):
                continue
            guarded: Any = raw
            guarded.write = self._guarding(guarded.write)
            self._guarded[id(raw)] = raw

    def _guarding(self, write: Callable[[Any], int | None]) -> Callable[[Any], int | None]:
        def guarded(data: Any, /) -> int | None:
            with self._lock:
                if not self._is_begun:
                    return write(data)
                text = bytes(data)
                # The line break of half a line that was broken already.
                ended = 1 if self._is_broken and text.startswith(b"\n") else 0
                self._is_broken = not text.endswith(b"\n")
                if ended == len(text):
                    return ended
                # In one piece, so that the terminal never shows one without the other.
                whole = _ERASE + text[ended:] + (b"\n" if self._is_broken else b"") + self._shown
                written = write(whole)
                if written is None or written == len(whole):
                    return None if written is None else len(text)
                return ended + max(0, min(len(text) - ended, written - len(_ERASE)))

        return guarded

    def _rendered(self, text: Text) -> str:
        with self._rich.capture() as captured:
            self._rich.print(text)
        return captured.get()

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._stream.encoding or "utf-8", "replace")

    def _write(self, data: bytes) -> None:
        descriptor = self._stream.fileno()
        while data:
            data = data[os.write(descriptor, data) :]


def _streams() -> Iterator[object]:
    """Yield the streams that code writes to: the standard ones, and those of log handlers."""
    yield from (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    root = logging.getLogger()
    for logger in (root, *list(root.manager.loggerDict.values())):
        if isinstance(logger, logging.Logger):
            yield from map(stream_of, logger.handlers)
