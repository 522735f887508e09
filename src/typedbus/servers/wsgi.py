"""
A WSGI application as a component, on cheroot.

`_cheroot` has the server; this module has the component, and validates its arguments.
"""

from __future__ import annotations

from wsgiref.types import WSGIApplication

import attrs

from typedbus.servers._arguments import SettingError, check_seconds, check_threads
from typedbus.servers._cheroot import Loop
from typedbus.servers._contract import Serves
from typedbus.servers.serving import Serving

__all__ = ("WSGIServer",)


def _check_app(instance: object, attribute: attrs.Attribute[WSGIApplication], app: object) -> None:
    if not callable(app):
        raise SettingError("app", app, "a WSGI application, which is called with environ and start_response")


@attrs.define(eq=False)
class WSGIServer(Serving):
    """
    Serves a WSGI application over HTTP/1.1, without TLS.

    A request occupies one of *threads* from its first byte to the end of its
    response. While the server drains, every response has the header
    ``Connection: close``. If the application raises, the response is a 500, and the
    traceback is reported on `LOG`; an application that calls `sys.exit` exits the bus.
    A thread that still runs the application after the drain cannot be ended: its
    connection is closed, and the bus, which owns the thread, reports it with its stack.

    Args:
        bus: See `Serving`, as for *bind*, *drain* and *mode*.
        app: The application.
        threads: How many requests are answered concurrently.
        timeout: After how many seconds without data from the client its connection is closed.

    Raises:
        SettingError: One of the arguments could never work.
    """

    app: WSGIApplication = attrs.field(validator=_check_app)
    threads: int = attrs.field(default=10, validator=check_threads, kw_only=True)
    timeout: float = attrs.field(default=10.0, validator=check_seconds, kw_only=True)

    def server(self) -> Serves:
        """Return a server with new threads."""
        return Loop(self.bus, self.app, self.threads, self.timeout)
