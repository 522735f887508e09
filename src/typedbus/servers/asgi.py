"""
An ASGI application as a component, on uvicorn.

`_uvicorn` has the server; this module has the component, and validates its arguments.
"""

from __future__ import annotations

from typing import Literal

import attrs

from typedbus._bus.bus import parts_of
from typedbus.servers._arguments import SettingError
from typedbus.servers._asgi_run import ASGIRun
from typedbus.servers._contract import Serves
from typedbus.servers._lifespan import ASGIApp, LifespanError
from typedbus.servers._shared_loop import loop_to_share, refuse_on_loop
from typedbus.servers._uvicorn import Config
from typedbus.servers.serving import Serving

__all__ = ("ASGIApp", "ASGIServer", "LifespanError")


def _check_app(instance: object, attribute: attrs.Attribute[ASGIApp | Config], app: object) -> None:
    if not callable(app) and not isinstance(app, Config):
        raise SettingError("app", app, "an ASGI application, or a uvicorn.Config with one")


def _check_loop(
    instance: ASGIServer, attribute: attrs.Attribute[Literal["shared", "own"] | None], loop: object
) -> None:
    if loop not in ("shared", "own", None):
        raise SettingError("loop", loop, "'shared' for the event loop of the bus, 'own' for another one, or None")
    if loop == "shared":
        _refuse_loop_of(instance.app, loop)


def _refuse_loop_of(app: ASGIApp | Config, loop: object) -> None:
    if isinstance(app, Config) and app.loop not in ("auto", "none"):
        raise SettingError(
            "loop",
            loop,
            f"'own', or remove loop={app.loop!r} from the uvicorn.Config: the server would run on the event loop of "
            "the bus, which bus.loop_factory creates",
        )


@attrs.define(eq=False)
class ASGIServer(Serving):
    """
    Serves an ASGI application over HTTP/1.1, and WebSockets where a library for them is installed.

    If the bus was started with `Bus.start_async`, or has async listeners when the
    server starts, the server shares the event loop of the bus, so that the application
    may use async components; otherwise it runs a loop of its own in a thread of its own.

    The application's lifespan is a part of the start and of the stop, which
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
        loop: ``"shared"`` for the event loop of the bus, ``"own"`` for another one; None decides as above.

    Raises:
        SettingError: One of the arguments could never work. The start raises it if the server would share the
            loop of the bus, and the `uvicorn.Config` chooses another one.
    """

    app: ASGIApp | Config = attrs.field(validator=_check_app)
    loop: Literal["shared", "own"] | None = attrs.field(default=None, validator=_check_loop, kw_only=True)

    def server(self) -> Serves:
        """
        Return a server for the event loop that it will run on.

        Raises:
            LoopError: The caller runs on the loop of the bus, which it would block.
        """
        if self.loop is None:
            shared = loop_to_share(self.bus)
        else:
            shared = parts_of(self.bus).event_loop if self.loop == "shared" else None
        if shared is not None:
            _refuse_loop_of(self.app, self.loop)
            refuse_on_loop(self.bus, "server.start()", "write await bus.start_async()")
        # Otherwise uvicorn guesses the ASGI version, and takes a bound method for version 2.
        config = self.app if isinstance(self.app, Config) else Config(self.app, interface="asgi3", log_config=None)
        return ASGIRun(config, shared)

    def stop(self) -> None:
        """
        Same as `Serving.stop`.

        Raises:
            LoopError: The caller runs on the event loop of the server, which it would block.
        """
        run = self._run
        if run is not None and isinstance(run.server, ASGIRun) and run.server.shared is not None:
            refuse_on_loop(self.bus, "server.stop()", "write await bus.stop_async()")
        super().stop()
