"""
Lines on a terminal, and a last one that changes.

Both are rich's, which is imported here; what is here is how others who write to
the same terminal get along with it.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Final, TextIO

from rich.console import Console
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

_RESTORING: Final = str(
    Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), ControlType.SHOW_CURSOR)
).encode()


class Display:
    """
    Writes lines to the terminal *stream*, and below them what changes.

    While something is shown there, what is written to sys.stdout and sys.stderr, as
    far as they are terminals, goes through rich, which puts it above, line by line;
    so does what the handlers of the root logger write to them. Who writes past them,
    such as a child process or a handler of another logger, breaks the last line: a
    line that is written stays joined to what was shown, half a line goes away with it.

    Any thread may write lines; one at a time may show and end.
    """

    def __init__(self, stream: TextIO) -> None:
        # What is written is written as it is, though it has brackets or is longer than a line.
        self._rich = Console(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=True)
        self._live: Live | None = None

    @property
    def can_show(self) -> bool:
        """Whether the terminal is able to, and the environment does not forbid it."""
        return self._rich.is_interactive and not self._rich.legacy_windows

    @property
    def restoring(self) -> bytes:
        """What clears the last line and shows the cursor, for a signal handler, which may only write."""
        return _RESTORING if self._live is not None else b""

    def line(self, word: str, style: str, said: str) -> None:
        """Write a line, of which *word* has a *style*."""
        self._rich.print(Text.assemble((word, style), said))

    def show(self, text: str) -> None:
        """Let *text*, cut to the width of the terminal, be the last line."""
        live = self._live or self._begin()
        shown = Text(text, "bold")
        # There is room for the ^C that a terminal adds: a line that breaks is not cleared as a whole.
        shown.truncate(self._rich.width - len("^C"), overflow="ellipsis")
        live.update(shown, refresh=True)

    def _begin(self) -> Live:
        # Half a line that somebody has left is to stay: this breaks it, and leaves an empty line as it is.
        self._rich.out(" " * self._rich.width, end="\r")
        # A stream that leads into a file goes on doing so; one may be None, or somebody's own.
        redirect_stdout, redirect_stderr = (getattr(one, "isatty", bool)() for one in (sys.stdout, sys.stderr))
        # Who shows refreshes, so that rich needs no thread.
        self._live = live = Live(
            console=self._rich,
            auto_refresh=False,
            transient=True,
            redirect_stdout=redirect_stdout,
            redirect_stderr=redirect_stderr,
        )
        live.start()
        for proxy in (sys.stdout, sys.stderr):
            for handler in logging.getLogger().handlers:
                if (
                    isinstance(proxy, FileProxy)
                    and isinstance(handler, logging.StreamHandler)
                    and handler.stream is proxy.rich_proxied_file
                ):
                    handler.setStream(proxy)
        return live

    def end(self) -> None:
        """Take the last line away, if there is one, and let everybody write as before."""
        if self._live is None:
            return
        proxies = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, FileProxy)]
        try:
            self._live.stop()
            for proxy in proxies:
                proxy.flush()
        except (OSError, ValueError):
            # A terminal that is gone is no reason for a traceback on it, nor is what
            # the proxies still keep for it, and would write when they are forgotten.
            self._rich.file = io.StringIO()
        self._live = None
        # Those that were made meanwhile as well; `setStream` would flush first, and fail where a terminal is gone.
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and isinstance(handler.stream, FileProxy):
                handler.stream = handler.stream.rich_proxied_file
