"""
An ASGI application as a component, on uvicorn.

`_uvicorn` has the server; this module has the component, and validates its arguments.
"""

from __future__ import annotations

import attrs

from typedbus.servers._arguments import SettingError
from typedbus.servers._contract import Serves
from typedbus.servers._lifespan import ASGIApp, LifespanError
from typedbus.servers._uvicorn import Config, Loop
from typedbus.servers.serving import Serving

__all__ = ("ASGIApp", "ASGIServer", "LifespanError")


def _check_app(instance: object, attribute: attrs.Attribute[ASGIApp | Config], app: object) -> None:
    if not callable(app) and not isinstance(app, Config):
        raise SettingError("app", app, "an ASGI application, or a uvicorn.Config with one")


@attrs.define(eq=False)
class ASGIServer(Serving):
    """
    Serves an ASGI application over HTTP/1.1, and WebSockets where a library for them is installed.

    It runs its own event loop in the server's thread; the bus does not wait in that
    loop. The application's lifespan is a part of the start and of the stop, which
    raise its failures. An application that raises instead of taking part in the
    lifespan has no lifespan, as the specification allows. If the application raises
    during a request, the response is a 500, and the traceback goes to the logger
    ``uvicorn.error``. While the server drains, every response that begins has the
    header ``Connection: close``. When a request is cut off after the drain, its
    task receives an `asyncio.CancelledError`.

    Args:
        bus: See `Serving`, as for *bind*, *drain* and *mode*.
        app: The application; or a `uvicorn.Config`, for further options such as TLS, a root path,
            trusted proxies. Its host, port, workers and timeouts of stopping are ignored.

    Raises:
        SettingError: One of the arguments could never work.
    """

    app: ASGIApp | Config = attrs.field(validator=_check_app)

    def server(self) -> Serves:
        """Return a server with a new event loop."""
        # Otherwise uvicorn guesses the ASGI version, and takes a bound method for version 2.
        return Loop(self.app if isinstance(self.app, Config) else Config(self.app, interface="asgi3", log_config=None))
