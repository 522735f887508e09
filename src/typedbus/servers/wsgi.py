"""
A WSGI application as a component, on cheroot.

`_cheroot` has the server; here are what one declares, and what of that could never work.
"""

from __future__ import annotations

from wsgiref.types import WSGIApplication

import attrs

from typedbus.servers._binding import SettingError, check_threads
from typedbus.servers._cheroot import Loop
from typedbus.servers._contract import Serves
from typedbus.servers.serving import Serving, _check_seconds

__all__ = ("WSGIServer",)


def _check_app(instance: object, attribute: attrs.Attribute[WSGIApplication], app: object) -> None:
    if not callable(app):
        raise SettingError("app", app, "a WSGI application, which is called with an environment and start_response")


@attrs.define(eq=False)
class WSGIServer(Serving):
    """
    Serves a WSGI application over HTTP/1.1, without TLS.

    A request has one of *threads* to itself from its first byte to the end of
    its response. While the server drains, every response says
    ``Connection: close``. An application that raises is answered for with 500,
    and its traceback is told on `LOG`; one that calls `sys.exit` exits the bus.
    A thread that is still in the application after the drain cannot be ended:
    its connection is closed, and the bus, which owns it, names it with its stack.

    Args:
        bus: See `Serving`, as for *bind*, *drain* and *mode*.
        app: The application.
        threads: How many requests are answered side by side.
        timeout: After how many seconds a client that sends nothing is let go.

    Raises:
        SettingError: One of these could never work.
    """

    app: WSGIApplication = attrs.field(validator=_check_app)
    threads: int = attrs.field(default=10, validator=check_threads, kw_only=True)
    timeout: float = attrs.field(default=10.0, validator=_check_seconds, kw_only=True)

    def server(self) -> Serves:
        """Return a server with new threads."""
        return Loop(self.bus, self.app, self.threads, self.timeout)
