"""What a server does for its component, whichever it is."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final, Protocol

#: How long a stop lets a client that has just connected send its request, in seconds from when it connected.
FIRST: Final = 1.0
#: How long a stop lets a client with an open connection send its next one, in seconds.
NEXT: Final = 0.1
#: What accept(2) says when there is no room for another connection at present, and after how many seconds to ask again.
FULL: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE: Final = 1.0


class Serves(Protocol):
    """What a server has to do to be a component by way of `Server`."""

    def serve(self, listening: socket.socket, ready: Callable[[], None], /) -> int:
        """
        Serve who connects to *listening*, until `drain` is called; then accept who waits there, close it, and finish.

        Called in a thread of its own, again at each start of the bus.

        Args:
            listening: It is bound, listens, and does not block.
            ready: To be called when the server is about to accept; the start of the bus goes on then.

        Returns:
            How many requests had to be cut off in the middle.
        """
        ...

    def drain(self, seconds: float, /) -> None:
        """
        Let `serve` finish and return, and do not wait for that.

        Called in another thread than `serve`, perhaps before *ready* was, or after `serve` has ended.

        Args:
            seconds: How long requests that have begun may take; who is not answered by then is cut off.
        """
        ...


class NoServer(ImportError):
    """Raised by the import of a server whose library is not installed."""

    def __init__(self, module: str, library: str, extra: str) -> None:
        super().__init__(module, library, extra)
        self.module = module
        self.library = library
        self.extra = extra

    def __str__(self) -> str:
        return f'{self.module} serves with {self.library}, which is not installed: pip install "typedbus[{self.extra}]"'


# Tracebacks and pickles name the place from which users import.
NoServer.__module__ = Serves.__module__ = "typedbus.servers.serving"
