"""
The old names of the servers: an adapter that runs an object with ``start``, ``stop`` and ``ready`` in a thread.

Such a server only reports when it is ready, so the adapter probes the port before
and after, as the original does. `typedbus.servers` binds the socket itself and
needs no probes; use it for new servers.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
import warnings
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from typedbus._base.exports import export
from typedbus._bus.builtin import ERROR
from typedbus._bus.bus import parts_of
from typedbus.wspbus._flup import FlupCGIServer, FlupFCGIServer, FlupSCGIServer

if TYPE_CHECKING:
    from typedbus.wspbus._bus import Bus

__all__ = ["FlupCGIServer", "FlupFCGIServer", "FlupSCGIServer", "PortError", "ServerAdapter", "Timeouts", "portend"]

_POLL_INTERVAL: Final = 0.01  # seconds
_LONGEST_PAUSE: Final = 0.25  # seconds


class PortError(OSError):
    """
    Raised if a port does not become free, or is not bound, in time.

    Attributes:
        host: The requested host.
        port: The requested port.
        reason: ``not free`` or ``not bound``.
    """

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        self.reason = reason
        # Only the text: OSError treats several arguments as errno and message, and leaves the rest out of its repr.
        super().__init__(str(self))

    def __reduce__(self) -> tuple[type[PortError], tuple[str, int, str]]:
        return type(self), (self.host, self.port, self.reason)

    def __str__(self) -> str:
        if self.reason == "not free":
            remedy = "stop the program that listens on it, or use another port"
        else:
            remedy = "the server is ready, but does not listen there: check that it has the same address as the adapter"
        return f"Port {self.port} {self.reason} on {self.host}; {remedy}"


class Timeouts:
    """How long a port may take, in seconds."""

    occupied: float = 5
    free: float = 1


def _client_host(host: str) -> str:
    """Return the host at which a client reaches a server that listens on *host*."""
    if host == "0.0.0.0":  # noqa: S104  # compared
        return "127.0.0.1"
    return "::1" if host in ("::", "::0", "::0.0.0.0") else host


def _wait_for_port(host: str, port: int, timeout: float, *, is_bound: bool) -> None:
    deadline = time.monotonic() + timeout
    pause = _POLL_INTERVAL
    while True:
        try:
            socket.create_connection((_client_host(host), port), timeout=0.5 if is_bound else 0.1).close()
            accepts = True
        except OSError:
            accepts = False
        if accepts is is_bound:
            return
        if time.monotonic() > deadline:
            raise PortError(host, port, "not bound" if is_bound else "not free")
        # The system does not report when a port changes hands. Each probe is a connection,
        # which the server that has the port may log: so the pauses grow.
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


class portend:  # noqa: N801  # the original imports a package of this name, and code replaces its functions here
    """The functions with which a `ServerAdapter` probes a port."""

    Timeout: Final = PortError

    @staticmethod
    def client_host(host: str) -> str:
        """Return the host by which a client reaches a server that listens on *host*."""
        return _client_host(host)

    @staticmethod
    def free(host: str, port: int, timeout: float = math.inf) -> None:
        """
        Return when no server accepts connections on the port.

        Raises:
            PortError: A server still does after *timeout* seconds.
        """
        _wait_for_port(host, port, timeout, is_bound=False)

    @staticmethod
    def occupied(host: str, port: int, timeout: float = math.inf) -> None:
        """
        Return when a server accepts connections on the port.

        Raises:
            PortError: No server does after *timeout* seconds.
        """
        _wait_for_port(host, port, timeout, is_bound=True)


class ServerAdapter:
    """
    Starts and stops an HTTP server with the bus.

    Args:
        bus: The bus that starts and stops the server.
        httpserver: An object with ``start()``, which serves until ``stop()`` is called; ``stop()``, which returns
            when the server has ended; and ``ready``, which is true once it serves.
        bind_addr: Host and port, the path of a socket, or None.

    Attributes:
        interrupt: The exception that ended the server, if it was not stopped.
        running: Whether it has started.
    """

    def __init__(self, bus: Bus, httpserver: Any = None, bind_addr: Any = None) -> None:
        self.bus = bus
        self.httpserver: Any = httpserver
        self.bind_addr: Any = bind_addr
        self.interrupt: BaseException | None = None
        self.running: bool = False

    def subscribe(self) -> None:
        """Subscribe to the start and the stop of the bus."""
        self.bus.subscribe("start", self.start)
        self.bus.subscribe("stop", self.stop)

    def unsubscribe(self) -> None:
        """End these subscriptions."""
        self.bus.unsubscribe("start", self.start)
        self.bus.unsubscribe("stop", self.stop)

    def start(self) -> None:
        """
        Run the server in a thread, and return when it is ready.

        Raises:
            ValueError: There is no server.
            PortError: The port is not free, or is not bound.
            BaseException: The failure of the server.
        """
        if self.running:
            self.bus.log(f"Already serving on {self.description}")
            return
        self.interrupt = None
        if not self.httpserver:
            raise ValueError("No HTTP server has been created.")
        if not os.environ.get("LISTEN_PID") and isinstance(self.bind_addr, tuple):
            host, port = self.bind_addr
            portend.free(host, port, timeout=Timeouts.free)
        thread = threading.Thread(target=self._start_http_thread)
        thread.name = f"HTTPServer {thread.name}"
        thread.start()
        self.wait()
        self.running = True
        self.bus.log(f"Serving on {self.description}")

    start.priority = 75  # type: ignore[attr-defined]  # read when it is subscribed

    @property
    def description(self) -> str:
        """The address of the server, for messages."""
        if self.bind_addr is None:
            return "unknown interface (dynamic?)"
        if isinstance(self.bind_addr, tuple):
            return self._get_base()
        return f"socket file: {self.bind_addr}"

    def _get_base(self) -> str:
        if not self.httpserver:
            return ""
        host, port = self.bound_addr
        scheme, default_port = ("https", 443) if getattr(self.httpserver, "ssl_adapter", None) else ("http", 80)
        return f"{scheme}://{host}" if port == default_port else f"{scheme}://{host}:{port}"

    def _start_http_thread(self) -> None:
        """Serve; if the server ends without a stop, exit the bus."""
        try:
            self.httpserver.start()
        except KeyboardInterrupt as error:
            self.bus.log("<Ctrl-C> hit: shutting down HTTP server")
            self.interrupt = error
            self.bus.exit()
        except SystemExit as error:
            self.bus.log("SystemExit raised: shutting down HTTP server")
            self.interrupt = error
            self.bus.exit()
            raise
        except Exception as error:
            self.interrupt = error
            self.bus.log("Error in HTTP server: shutting down", traceback=True, level=ERROR)
            if not self.running:
                self.bus.exit()
                raise
            # block() raises the error when the bus has exited, so that the process does not end with success.
            self.bus.typed.request_exit(error)
            if parts_of(self.bus.typed).requests.wakeup.attendant is None:
                self.bus.exit()

    def wait(self) -> None:
        """
        Return when the server is ready.

        Raises:
            PortError: The server reports that it is ready, but its port is not bound.
            BaseException: The failure of the server.
        """
        while not getattr(self.httpserver, "ready", False):
            if self.interrupt is not None:
                raise self.interrupt
            # The server offers only an attribute, which must be polled.
            time.sleep(_POLL_INTERVAL)
        if isinstance(self.bind_addr, tuple) and not os.environ.get("LISTEN_PID"):
            host, port = self.bound_addr
            with _safe_wait(host, port):
                portend.occupied(host, port, timeout=Timeouts.occupied)

    @property
    def bound_addr(self) -> tuple[str, int]:
        """Host and port; the actual port if the system has chosen it."""
        host, port = self.bind_addr
        if port == 0 and self.httpserver.socket:
            port = self.httpserver.socket.getsockname()[1]
        return host, port

    def stop(self) -> None:
        """
        Stop the server, and return when its port is free.

        Raises:
            PortError: The port does not become free in time.
        """
        if not self.running:
            self.bus.log(f"HTTP Server {self.httpserver} already shut down")
            return
        # Read now: a closed socket has no port.
        address = self.bound_addr if isinstance(self.bind_addr, tuple) else None
        self.httpserver.stop()
        if address is not None:
            portend.free(*address, timeout=Timeouts.free)
        self.running = False
        self.bus.log(f"HTTP Server {self.httpserver} shut down")

    stop.priority = 25  # type: ignore[attr-defined]  # as above

    def restart(self) -> None:
        """Stop and start the server."""
        self.stop()
        self.start()


@contextlib.contextmanager
def _safe_wait(host: str, port: int) -> Generator[None]:
    """Only warn if a server on all interfaces cannot be reached: the system may have no loopback interface."""
    try:
        yield
    except OSError:
        if host == _client_host(host):
            raise
        warnings.warn(f"Unable to verify that the server is bound on {port!r}", stacklevel=3)


export(globals())
