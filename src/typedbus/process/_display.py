"""
Lines on a terminal, with a status line below that changes.

rich styles the lines, and is imported here. The rest of this module keeps the
status line intact while other code writes to the same terminal.
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

from typedbus.plugins._log_streams import leads_to, stream_of

_ERASE: Final = b"\r\x1b[2K"
_HIDE: Final = b"\x1b[?25l"
_SHOW: Final = b"\x1b[?25h"


class Display:
    """
    Writes lines to the terminal *stream*, with a status line below.

    While the status line is shown, each write to the terminal through a Python stream
    erases it first and draws it again below. This covers `sys.stdout` and `sys.stderr`,
    the streams of log handlers, and other code that holds one of these streams or one
    of its methods. An incomplete line stays as it is. Code that bypasses the streams,
    such as a child process or `os.write`, breaks the status line: its text is appended
    to it.

    Any thread may write lines; only one thread at a time may call `show` and `end`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # Texts are written unchanged, even with brackets or if longer than a line.
        self._rich = Console(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=True)
        # Reentrant, since a signal handler may write during a write. It is acquired inside the lock of a stream,
        # so code that holds it must not write through a stream.
        self._lock = threading.RLock()
        #: Whether the status line is shown.
        self._is_active = False
        self._status_line = b""
        #: Whether other code has written an incomplete line, after which a line break was added.
        self._is_broken = False
        #: The raw streams whose writes redraw the status line, by identity.
        self._raw_streams: dict[int, Any] = {}

    @property
    def can_show(self) -> bool:
        """Whether the terminal supports a status line, and the environment does not forbid it."""
        return self._rich.is_interactive and not self._rich.legacy_windows

    @property
    def restoring(self) -> bytes:
        """The bytes that clear the status line and show the cursor, for a signal handler, which can only write."""
        return _ERASE + _SHOW if self._is_active else b""

    def line(self, word: str, style: str, rest: str, rest_style: str = "") -> None:
        """Write a line: *word* in *style*, and the *rest* in *rest_style*."""
        text = self._ansi(Text.assemble((word, style), (rest, rest_style)))
        if not self._is_active:
            self._stream.write(text)
            self._stream.flush()
            return
        with self._lock:
            self._is_broken = False
            self._write(_ERASE + self._bytes_of(text) + self._status_line)

    def show(self, text: str, style: str) -> None:
        """Show *text* in *style*, cut to the width of the terminal, as the status line."""
        line = Text(text, style)
        # Leave room for the ^C that a terminal echoes: a wrapped line would not be cleared completely.
        line.truncate(self._rich.width - len("^C"), overflow="ellipsis")
        status_line = self._bytes_of(self._ansi(line).rstrip("\n"))
        self._wrap_streams()
        with self._lock:
            begin = b""
            if not self._is_active:
                # Ends an incomplete line, and leaves an empty line as it is.
                begin = _HIDE + b" " * self._rich.width + b"\r"
                self._is_active = True
            self._status_line = status_line
            self._write(begin + _ERASE + status_line)

    def end(self) -> None:
        """Remove the status line, if there is one, and let other code write as before."""
        with self._lock:
            if not self._is_active:
                return
            self._is_active, self._is_broken, self._status_line = False, False, b""
            for raw in self._raw_streams.values():
                del raw.write
            self._raw_streams.clear()
            try:
                self._write(_ERASE + _SHOW)
            except (OSError, ValueError):
                # Errors of a closed terminal are ignored.
                return

    def _wrap_streams(self) -> None:
        """Make writes to the terminal erase the status line first, including streams new since the last call."""
        for stream in _streams():
            buffer: Any = getattr(stream, "buffer", None)
            raw = getattr(buffer, "raw", buffer)
            if not isinstance(raw, io.RawIOBase) or id(raw) in self._raw_streams or not leads_to(stream, self._stream):
                continue
            target: Any = raw
            target.write = self._wrapper_of(target.write)
            self._raw_streams[id(raw)] = raw

    def _wrapper_of(self, write: Callable[[Any], int | None]) -> Callable[[Any], int | None]:
        def write_above(data: Any, /) -> int | None:
            with self._lock:
                if not self._is_active:
                    return write(data)
                text = bytes(data)
                # Without the line break of an incomplete line, after which one was added.
                start = 1 if self._is_broken and text.startswith(b"\n") else 0
                self._is_broken = not text.endswith(b"\n")
                if start == len(text):
                    return start
                # A single write, so that the terminal always shows the text and the status line together.
                screen = _ERASE + text[start:] + (b"\n" if self._is_broken else b"") + self._status_line
                count = write(screen)
                if count is None or count == len(screen):
                    return None if count is None else len(text)
                return start + max(0, min(len(text) - start, count - len(_ERASE)))

        return write_above

    def _ansi(self, text: Text) -> str:
        """Return *text* with the escape sequences of its styles."""
        with self._rich.capture() as capture:
            self._rich.print(text)
        return capture.get()

    def _bytes_of(self, text: str) -> bytes:
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
