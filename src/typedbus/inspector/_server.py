"""
The inspector's own server: a thread that accepts, and one short thread for each connection.

It has to serve while the bus starts and stops, so it depends on no component of the site, and pauses for a daemon that forks. A connection is closed
after its answer, and the oldest ones are closed if there are too many: so idle clients do not delay others.
"""

from __future__ import annotations

import contextlib
import http.server
import selectors
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from typedbus._base.sync import new_lock
from typedbus._bus.bus import Bus
from typedbus._os.exhausted import start_thread
from typedbus._os.forks import BACKGROUND_THREADS
from typedbus.inspector._answers import Request, Response, refusal
from typedbus.servers._binding import Listening
from typedbus.servers._contract import ACCEPT_RETRY, EXHAUSTED

_CONNECTIONS: Final = 32
#: Seconds that a client may take for each part of its request, and that an answer may take at the stop.
_PATIENCE: Final = 10.0
_DRAIN: Final = 1.0
#: The most bytes of a body that are read, and the most digits of its length.
_DISCARDED: Final = 1 << 16
_DIGITS: Final = 9


class PageServer:
    """
    Answers HTTP requests on a socket, from `start` to `stop`.

    Args:
        bus: Owns the thread.
        listening: The socket.
        answer: Returns the answer to a request; called in any thread.
        paused: Called when there are no more requests; it ends other threads.
    """

    def __init__(
        self,
        bus: Bus,
        listening: Listening,
        answer: Callable[[Request], Response],
        paused: Callable[[], object],
    ) -> None:
        self.listening: Final = listening
        self.answer: Final = answer
        address = listening.socket.getsockname()
        self.port: Final[int | None] = address[1] if isinstance(address, tuple) else None
        self._bus = bus
        self._paused = paused
        self._lock = new_lock()
        #: The connections that have no answer yet, oldest first, with their threads.
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._wake, self._woken = socket.socketpair()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """
        Begin to accept.

        Raises:
            OutOfThreads: The system cannot start another thread; the socket is closed.
        """
        try:
            self.resume()
        except BaseException:
            self._close()
            raise
        BACKGROUND_THREADS.append(self)

    def stop(self) -> None:
        """Let answers that have begun take one more second, and close the socket."""
        BACKGROUND_THREADS.remove(self)
        self.pause()
        self._close()

    def pause(self) -> None:
        """Accept no connections, and end all threads; clients that connect wait."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._wake.send(b"x")
        thread.join()
        self._woken.recv(1)
        with self._lock:
            connections = dict(self._connections)
        for answering in connections.values():
            answering.join(_DRAIN / len(connections))
        for connection in connections:
            _shut(connection)
        for answering in connections.values():
            answering.join(_PATIENCE)
        self._paused()

    def resume(self) -> None:
        """Accept connections again, in this process or in the daemon that it becomes."""
        thread = threading.Thread(target=self._serve, name=f"inspector {self.listening.where}", daemon=True)
        start_thread(thread)
        self._thread = thread
        self._bus.own(thread)

    def abandon(self) -> None:
        """Close the sockets in a forked child, without removing the file of a Unix socket, which is the parent's."""
        self.listening.file = None
        for connection in [*self._connections]:
            connection.close()
        self._connections.clear()
        self._close()

    def _close(self) -> None:
        if self in BACKGROUND_THREADS:  # in a forked child
            BACKGROUND_THREADS.remove(self)
        with contextlib.suppress(OSError):
            self.listening.close()
        self._wake.close()
        self._woken.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            selector.register(self.listening.socket, selectors.EVENT_READ)
            while True:
                if any(key.fileobj is self._woken for key, _ in selector.select()):
                    return
                try:
                    connection, _ = self.listening.socket.accept()
                except OSError as error:
                    if error.errno in EXHAUSTED:
                        with selectors.DefaultSelector() as pause:
                            pause.register(self._woken, selectors.EVENT_READ)
                            pause.select(ACCEPT_RETRY)
                    continue
                self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        thread = threading.Thread(target=self._handle, args=[connection], name="inspector request", daemon=True)
        with self._lock:
            self._connections[connection] = thread
            oldest = next(iter(self._connections)) if len(self._connections) > _CONNECTIONS else None
        if oldest is not None:
            _shut(oldest)
        try:
            thread.start()
        except RuntimeError:  # there are no more threads; the client may try again
            self._forget(connection)

    def _handle(self, connection: socket.socket) -> None:
        try:
            _Handler(connection, self)
        except OSError:  # the client has gone, or took too long
            return
        finally:
            self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.pop(connection, None)
        connection.close()


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    """One request on a connection; the constructor handles it."""

    # HTTP/1.0: each connection is closed after the answer.
    protocol_version = "HTTP/1.0"

    def __init__(self, connection: socket.socket, page_server: PageServer) -> None:
        self._page_server = page_server
        server: Any = page_server  # the base class only stores it
        super().__init__(connection, None, server)

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            return
        if len(self.raw_requestline) > 65536:  # noqa: PLR2004  # as the base class
            self.requestline, self.request_version, self.command = "", "", ""
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            return
        if not self.parse_request():
            return
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            name = name.lower()  # noqa: PLW2901
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path, _, query = self.path.partition("?")
        request = Request(method=self.command, path=path, headers=headers, query=query, port=self._page_server.port)
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit():
            # Unread bytes would reset the connection, perhaps before the client has the answer.
            self.rfile.read(min(int(length[:_DIGITS]), _DISCARDED))
        self._respond(self._page_server.answer(request))

    def _respond(self, response: Response) -> None:
        self.request_version = self.protocol_version  # of a request that is no HTTP it is 0.9, which has no headers
        self.send_response_only(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(response.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is no HTTP, with the headers of every answer."""
        status = 431 if code == HTTPStatus.REQUEST_URI_TOO_LONG else code
        self._respond(refusal(status, message or HTTPStatus(status).phrase))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's
        """Log nothing: a page polls each second."""
