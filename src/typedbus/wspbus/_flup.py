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
        # The bus handles signals, and only the main thread may set handlers.
        self.fcgiserver._installSignalHandlers = lambda: None
        self.fcgiserver._oldSIGs = []
        self.ready = True
        self.fcgiserver.run()

    def stop(self) -> None:
        """End."""
        self.ready = False
        self.fcgiserver._keepGoing = False
        # Keep no idle threads.
        self.fcgiserver._threadPool.maxSpare = self.fcgiserver._threadPool._idleCount


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
        self.scgiserver._installSignalHandlers = lambda: None
        self.scgiserver._oldSIGs = []
        self.ready = True
        self.scgiserver.run()

    def stop(self) -> None:
        """End."""
        self.ready = False
        self.scgiserver._keepGoing = False
        self.scgiserver._threadPool.maxSpare = 0
