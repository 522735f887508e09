"""
Servers of flup for a `ServerAdapter`: CGI, FastCGI, SCGI.

flup is imported when a server is started. Each server is created in the start, after
a daemon has forked, since the constructors of flup's servers start threads.
"""

from __future__ import annotations

import importlib
import socket
from typing import Any


class FlupCGIServer:
    """Runs flup's server for CGI, for a `ServerAdapter`; it is created in the start, since it may start threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs
        self.ready: bool = False

    def start(self) -> None:
        """Serve."""
        server = importlib.import_module("flup.server.cgi").WSGIServer

        self.cgiserver: Any = server(*self.args, **self.kwargs)
        self.ready = True
        self.cgiserver.run()

    def stop(self) -> None:
        """End; a CGI server has ended by itself."""
        self.ready = False


class FlupFCGIServer:
    """
    Runs flup's server for FastCGI, for a `ServerAdapter`; it is created in the start, since it starts threads.

    Raises:
        ValueError: No ``bindAddress`` is given, on a system that cannot pass on sockets.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("bindAddress") is None and not hasattr(socket, "fromfd"):
            raise ValueError(
                "Dynamic FCGI server not available on this platform. "
                "You must use a static or external one by providing a legal bindAddress."
            )
        self.args = args
        self.kwargs = kwargs
        self.ready: bool = False

    def start(self) -> None:
        """Serve."""
        server = importlib.import_module("flup.server.fcgi").WSGIServer

        self.fcgiserver: Any = server(*self.args, **self.kwargs)
        _disable_signal_handlers(self.fcgiserver)
        self.ready = True
        self.fcgiserver.run()

    def stop(self) -> None:
        """End."""
        self.ready = False
        self.fcgiserver._keepGoing = False  # noqa: SLF001  # flup's servers have no method for this
        # Keep no idle threads.
        pool = self.fcgiserver._threadPool  # noqa: SLF001
        pool.maxSpare = pool._idleCount  # noqa: SLF001


class FlupSCGIServer:
    """Runs flup's server for SCGI, for a `ServerAdapter`; it is created in the start, since it starts threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs
        self.ready: bool = False

    def start(self) -> None:
        """Serve."""
        server = importlib.import_module("flup.server.scgi").WSGIServer

        self.scgiserver: Any = server(*self.args, **self.kwargs)
        _disable_signal_handlers(self.scgiserver)
        self.ready = True
        self.scgiserver.run()

    def stop(self) -> None:
        """End."""
        self.ready = False
        self.scgiserver._keepGoing = False  # noqa: SLF001  # as above
        self.scgiserver._threadPool.maxSpare = 0  # noqa: SLF001


def _disable_signal_handlers(server: Any) -> None:
    """Keep *server* from setting signal handlers: the bus has them, and only the main thread may set them."""
    server._installSignalHandlers = lambda: None  # noqa: SLF001  # flup's servers have no option for this
    server._oldSIGs = []  # noqa: SLF001
