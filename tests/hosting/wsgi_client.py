"""A WSGI application to host, and a client that calls the hosted application as a server does."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

from typedbus.hosting import wsgi


def page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The application that is hosted."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"mugs"]


class BufferedErrors(io.StringIO):
    """The stream of errors of a server that loses what is not flushed."""

    flushed = ""

    def flush(self) -> None:
        self.flushed = self.getvalue()


class Reply:
    """
    The reply of an application to a request that is sent at the construction.

    Attributes:
        status: Its status line.
        headers: Its headers.
        body: Its body.
        errors: The text that was written to the errors of the server.
    """

    def __init__(self, app: wsgi.Hosted) -> None:
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        errors = environ["wsgi.errors"] = BufferedErrors()
        self.status, self.headers = "", [("", "")]

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], object]:
            self.status, self.headers = status, headers
            return io.BytesIO().write

        self.body = b"".join(app(environ, start_response))
        self.errors = errors.flushed
