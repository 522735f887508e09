"""
The old names of the servers: an adapter that runs whatever has ``start``, ``stop`` and ``ready`` in a thread.

Such a server says when it is ready and nothing else, so the adapter has to ask
the port, before and after, as it always has. `typedbus.servers` binds the socket
itself and knows; servers that are new belong there.
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
from typedbus._bus.registry import ERROR
from typedbus.wspbus._flup import FlupCGIServer, FlupFCGIServer, FlupSCGIServer

if TYPE_CHECKING:
    from typedbus.wspbus._bus import Bus

__all__ = ["FlupCGIServer", "FlupFCGIServer", "FlupSCGIServer", "PortError", "ServerAdapter", "Timeouts", "portend"]

_LOOKING: Final = 0.01  # seconds
_LONGEST: Final = 0.25  # seconds


class PortError(OSError):
    """
    Raised where a port does not become free, or is not bound, in time.

    Attributes:
        host: The host that was asked for.
        port: The port that was asked for.
        reason: ``not free`` or ``not bound``.
    """

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        self.reason = reason
        # The text alone: OSError takes several arguments for an errno and its message, and drops the rest from its repr.
        super().__init__(str(self))

    def __reduce__(self) -> tuple[type[PortError], tuple[str, int, str]]:
        return type(self), (self.host, self.port, self.reason)

    def __str__(self) -> str:
        return f"Port {self.port} {self.reason} on {self.host}; see who has it, or give another one"


class Timeouts:
    """How long a port may take, in seconds."""

    occupied: float = 5
    free: float = 1


def _client_host(host: str) -> str:
    """Return where a client reaches what listens on *host*."""
    if host == "0.0.0.0":  # noqa: S104  # compared
        return "127.0.0.1"
    return "::1" if host in ("::", "::0", "::0.0.0.0") else host


def _wait_for_port(host: str, port: int, timeout: float, *, is_bound: bool) -> None:
    until = time.monotonic() + timeout
    pause = _LOOKING
    while True:
        try:
            socket.create_connection((_client_host(host), port), timeout=0.5 if is_bound else 0.1).close()
            found = True
        except OSError:
            found = False
        if found is is_bound:
            return
        if time.monotonic() > until:
            raise PortError(host, port, "not bound" if is_bound else "not free")
        # The system does not report when a port changes hands. Each probe is a connection,
        # which the server that has the port may log: so the pauses grow.
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)


class portend:  # noqa: N801  # the original imports a package of this name, and code replaces its functions here
    """The functions by which a `ServerAdapter` asks for a port."""

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
            PortError: One still does after *timeout* seconds.
        """
        _wait_for_port(host, port, timeout, is_bound=False)

    @staticmethod
    def occupied(host: str, port: int, timeout: float = math.inf) -> None:
        """
        Return when a server accepts connections on the port.

        Raises:
            PortError: None does after *timeout* seconds.
        """
        _wait_for_port(host, port, timeout, is_bound=True)


class ServerAdapter:
    """
    Starts and stops an HTTP server with the bus.

    Args:
        bus: Which it starts and stops with.
        httpserver: What has ``start()``, which serves until ``stop()``, which returns when it has ended, and
            ``ready``, which is true once it serves.
        bind_addr: Host and port, the path of a socket, or None.

    Attributes:
        interrupt: What ended the server, if it was not a stop.
        running: Whether it has started.
    """

    def __init__(self, bus: Bus, httpserver: Any = None, bind_addr: Any = None) -> None:
        self.bus = bus
        self.httpserver: Any = httpserver
        self.bind_addr: Any = bind_addr
        self.interrupt: BaseException | None = None
        self.running: bool = False

    def subscribe(self) -> None:
        """Start and stop with the bus."""
        self.bus.subscribe("start", self.start)
        self.bus.subscribe("stop", self.stop)

    def unsubscribe(self) -> None:
        """Do so no more."""
        self.bus.unsubscribe("start", self.start)
        self.bus.unsubscribe("stop", self.stop)

    def start(self) -> None:
        """
        Run the server in a thread, and return when it is ready.

        Raises:
            ValueError: There is no server.
            PortError: The port is not free, or is not bound.
            BaseException: What the server failed with.
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
        """Where it serves, for people."""
        if self.bind_addr is None:
            return "unknown interface (dynamic?)"
        if isinstance(self.bind_addr, tuple):
            return self._get_base()
        return f"socket file: {self.bind_addr}"

    def _get_base(self) -> str:
        if not self.httpserver:
            return ""
        host, port = self.bound_addr
        scheme, usual = ("https", 443) if getattr(self.httpserver, "ssl_adapter", None) else ("http", 80)
        return f"{scheme}://{host}" if port == usual else f"{scheme}://{host}:{port}"

    def _start_http_thread(self) -> None:
        """Serve; whatever ends that but a stop exits the bus."""
        try:
            self.httpserver.start()
        except KeyboardInterrupt as interrupt:
            self.bus.log("<Ctrl-C> hit: shutting down HTTP server")
            self.interrupt = interrupt
            self.bus.exit()
        except SystemExit as leaving:
            self.bus.log("SystemExit raised: shutting down HTTP server")
            self.interrupt = leaving
            self.bus.exit()
            raise
        except Exception as error:
            self.interrupt = error
            self.bus.log("Error in HTTP server: shutting down", traceback=True, level=ERROR)
            if not self.running:
                self.bus.exit()
                raise
            # block() raises it when the bus has exited, so that the process does not claim success.
            self.bus.typed.request_exit(error)
            if self.bus.typed._doorbell.attendant is None:
                self.bus.exit()

    def wait(self) -> None:
        """
        Return when the server is ready.

        Raises:
            PortError: It says so, and its port is not bound.
            BaseException: What it failed with.
        """
        while not getattr(self.httpserver, "ready", False):
            if self.interrupt is not None:
                raise self.interrupt
            # It has nothing but an attribute to look at.
            time.sleep(_LOOKING)
        if isinstance(self.bind_addr, tuple) and not os.environ.get("LISTEN_PID"):
            host, port = self.bound_addr
            with _safe_wait(host, port):
                portend.occupied(host, port, timeout=Timeouts.occupied)

    @property
    def bound_addr(self) -> tuple[str, int]:
        """Host and port; the real one where the system has chosen it."""
        host, port = self.bind_addr
        if port == 0 and self.httpserver.socket:
            port = self.httpserver.socket.getsockname()[1]
        return host, port

    def stop(self) -> None:
        """
        Stop the server, and return when its port is free.

        Raises:
            PortError: It is not.
        """
        if not self.running:
            self.bus.log(f"HTTP Server {self.httpserver} already shut down")
            return
        # Asked now: a socket that is closed has no port.
        address = self.bound_addr if isinstance(self.bind_addr, tuple) else None
        self.httpserver.stop()
        if address is not None:
            portend.free(*address, timeout=Timeouts.free)
        self.running = False
        self.bus.log(f"HTTP Server {self.httpserver} shut down")

    stop.priority = 25  # type: ignore[attr-defined]  # as above

    def restart(self) -> None:
        """Stop it and start it."""
        self.stop()
        self.start()


@contextlib.contextmanager
def _safe_wait(host: str, port: int) -> Generator[None]:
    """Only warn where a server on all interfaces cannot be reached: the system may have no loopback."""
    try:
        yield
    except OSError:
        if host == _client_host(host):
            raise
        warnings.warn(f"Unable to verify that the server is bound on {port!r}", stacklevel=3)


export(globals())
