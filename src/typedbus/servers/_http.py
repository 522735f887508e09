"""The part of the WSGI server that uses cheroot: requests, responses, and the server attributes that these need."""

from __future__ import annotations

import contextlib
import functools
import logging
import socket
import traceback
from collections.abc import Callable, Generator, Iterator
from traceback import format_exc
from typing import Any, Final, Protocol
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from typedbus.servers._contract import NoServer

try:
    import cheroot.makefile
    import cheroot.wsgi
except ModuleNotFoundError as missing:
    raise NoServer("typedbus.servers.wsgi", "cheroot", "wsgi") from missing

_LARGEST_HEADER: Final = 1 << 16


class Connection(Protocol):
    """The used part of `cheroot.server.HTTPConnection`, which is untyped."""

    socket: socket.socket
    rfile: Any
    wfile: Any
    remote_addr: str | None
    remote_port: int | None

    def communicate(self) -> bool: ...

    def close(self) -> None: ...


class HTTP(cheroot.wsgi.Server):
    """The server object that cheroot's connections refer to."""

    def __init__(self, app: WSGIApplication, log: Callable[[str, int], None], timeout: float) -> None:
        super().__init__(("0.0.0.0", 0), functools.partial(_Response, app))  # noqa: S104  # not bound; `serve` sets the real address
        self.timeout = int(timeout)  # for headers alone; sockets have their own
        self.software = self.version
        self.max_request_header_size = _LARGEST_HEADER
        self.log = log
        self.is_stopping = False

    @property
    def can_add_keepalive_connection(self) -> bool:
        """Whether a response may leave its connection open."""
        return not self.is_stopping

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:  # noqa: FBT002  # cheroot's
        self.log(f"{msg}\n{format_exc().rstrip()}" if traceback else msg, level)

    def clear_stats(self) -> None:
        # cheroot's method would keep a reference to this server for ever, in a table that it adds to `logging`.
        self.stats = {"Enabled": False, "Worker Threads": {}}

    def connection(self, accepted: socket.socket, peer: object) -> Connection:
        """Return a connection over *accepted*, with the address of its *peer*."""
        connection: Connection = self.ConnectionClass(self, accepted, cheroot.makefile.MakeFile)
        if isinstance(peer, tuple):
            connection.remote_addr, connection.remote_port = peer[:2]
        return connection


class AppFailed(Exception):
    """Raised for an `OSError` of the application, which cheroot would mistake for a client that has disconnected."""


class _Response:
    """
    The response of an application, begun up to its first piece.

    Most failures occur by then, and cheroot can answer with 500 only as long as it
    has not received a response.
    """

    def __init__(self, app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        with _app_errors():
            self._response = app(environ, start_response)
        try:
            with _app_errors():
                self._rest = iter(self._response)
                self._first = next(self._rest, b"")
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        with _app_errors():
            yield from self._rest

    def close(self) -> None:
        """Call `close` of the application's response, if it has one (PEP 3333)."""
        close = getattr(self._response, "close", None)
        if close is not None:
            close()


@contextlib.contextmanager
def _app_errors() -> Generator[None, None, None]:
    """Distinguish an application's own errors, for example of its database, from errors of the client's connection."""
    try:
        yield
    except OSError as error:
        frames = traceback.walk_tb(error.__traceback__)
        if any(str(frame.f_globals.get("__name__")).startswith("cheroot.") for frame, _ in frames):
            raise
        raise AppFailed(error) from error
