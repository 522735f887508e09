"""The contract between a server and its component."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final, Protocol

from typedbus._base.structured import StructuredError

#: How long a stop lets a client that has just connected send its request, in seconds from when it connected.
FIRST_REQUEST: Final = 1.0
#: How long a stop lets a client with an open connection send its next one, in seconds.
NEXT_REQUEST: Final = 0.1
#: Errors of accept(2) that mean that resources are exhausted at present, and the seconds until the next attempt.
EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
ACCEPT_RETRY: Final = 1.0


class Serves(Protocol):
    """The methods that `Server` requires to make a server a component."""

    def serve(self, listening: socket.socket, ready: Callable[[], None], /) -> int:
        """
        Serve clients of *listening* until `drain` is called; then accept the waiting clients, close it, and finish.

        Called in a separate thread at each start of the bus.

        Args:
            listening: The socket; it is bound, listens, and does not block.
            ready: Must be called when the server is about to accept; then the start of the bus continues.

        Returns:
            How many requests had to be cut off in the middle.
        """
        ...

    def drain(self, seconds: float, /) -> None:
        """
        Let `serve` finish and return, without waiting for that.

        Called in another thread than `serve`, perhaps before *ready* was called, or after `serve` has ended.

        Args:
            seconds: How long requests that have begun may take; requests that take longer are cut off.
        """
        ...


class NoServer(StructuredError, ImportError):
    """Raised by the import of a server whose library is not installed."""

    module: str
    library: str
    extra: str

    def __str__(self) -> str:
        return f'{self.module} needs {self.library}, which is not installed: pip install "typedbus[{self.extra}]"'


# Tracebacks and pickles name the module from which users import.
NoServer.__module__ = Serves.__module__ = "typedbus.servers.serving"
