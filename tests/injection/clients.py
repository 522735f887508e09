"""Clients that call an application as a server does, and keep every message."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Iterable
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults


class ASGIRequest:
    """
    One request to an ASGI application.

    Attributes:
        messages: What the application has sent.
    """

    def __init__(self, notes: list[str] | None = None, kind: str = "http", path: str = "/") -> None:
        self.messages: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self._notes = [] if notes is None else notes
        self._scope = {
            "type": kind,
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [],
            "http_version": "1.1",
            "server": ("test", 80),
            "client": ("test", 1),
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "extensions": {},
        }

    async def receive(self) -> dict[str, Any]:
        if self.received:
            return self.received.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        kind = message["type"].rpartition(".")[2]
        self._notes.append(f"sent {kind}" + " more" * bool(message.get("more_body")))

    async def call(self, app: Any) -> None:
        """Send the request to *app*."""
        await app(self._scope, self.receive, self.send)

    def run(self, app: Any) -> None:
        """Send the request to *app* on a new event loop."""
        asyncio.run(self.call(app))

    @property
    def status(self) -> int | None:
        """The status of the response."""
        return next((message["status"] for message in self.messages if message["type"] == "http.response.start"), None)


class WSGIRequest:
    """
    One request to a WSGI application.

    Attributes:
        status: The status line of the response.
        body: The object that the application has returned.
    """

    def __init__(self, app: Any, notes: list[str], path: str = "/", query: str = "") -> None:
        environ: dict[str, Any] = {
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.errors": sys.stderr,
        }
        setup_testing_defaults(environ)
        self._notes = notes
        self.status = ""
        self.exc_info: Any = None
        self.body: Iterable[bytes] = app(environ, self._start_response)

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self.status, self.exc_info = status, exc_info
        return io.BytesIO().write

    def read(self) -> bytes:
        """Iterate over the body, and close it, as a server does."""
        try:
            chunks = []
            for chunk in self.body:
                self._notes.append(f"chunk {chunk.decode()}")
                chunks.append(chunk)
            return b"".join(chunks)
        finally:
            close = getattr(self.body, "close", None)
            if close is not None:
                close()
