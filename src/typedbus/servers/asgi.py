"""
An ASGI application as a component, on uvicorn.

`_uvicorn` has the server; here are what one declares, and what of that could never work.
"""

from __future__ import annotations

import attrs

from typedbus.servers._binding import SettingError
from typedbus.servers._contract import Serves
from typedbus.servers._lifespan import ASGIApp, LifespanError
from typedbus.servers._uvicorn import Config, Loop
from typedbus.servers.serving import Serving

__all__ = ("ASGIApp", "ASGIServer", "LifespanError")


def _check_app(instance: object, attribute: attrs.Attribute[ASGIApp | Config], app: object) -> None:
    if not callable(app) and not isinstance(app, Config):
        raise SettingError("app", app, "an ASGI application, or the uvicorn.Config of one")


@attrs.define(eq=False)
class ASGIServer(Serving):
    """
    Serves an ASGI application over HTTP/1.1, and WebSockets where a library for them is installed.

    It runs an event loop of its own in the server's thread; the bus does not wait
    in it. The application's lifespan is a part of the start and of the stop: what
    it fails with is raised there. One that raises instead of taking part in the
    lifespan has none, as the specification says. An application that raises is
    answered for with 500, and its traceback goes to the logger ``uvicorn.error``.
    While the server drains, every response that begins says
    ``Connection: close``. A request that is cut off after the drain gets a
    `asyncio.CancelledError` where it waits.

    Args:
        bus: See `Serving`, as for *bind*, *drain* and *mode*.
        app: The application; or a `uvicorn.Config`, to say more than that: TLS, a root path,
            trusted proxies. Its host, port, workers and timeouts of stopping are not looked at.

    Raises:
        SettingError: One of these could never work.
    """

    app: ASGIApp | Config = attrs.field(validator=_check_app)

    def server(self) -> Serves:
        """Return a server with a new event loop."""
        # Which ASGI it is uvicorn would guess, and take a bound method for one of version 2.
        return Loop(self.app if isinstance(self.app, Config) else Config(self.app, interface="asgi3", log_config=None))
