"""
A container under an ASGI server: uvicorn, hypercorn, granian, or gunicorn with workers of these.

Such a server announces its start and its shutdown through the ASGI lifespan
protocol. The bus encloses the lifespan of the application: it starts before, and
exits after. Both run in a thread, since they may take long, and must not block the
event loop. That loop runs the async hooks, so requests may use the resources that the
hooks have opened. A failed start is reported to the server, which ends with its own status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from typedbus._base.limits import Limits
from typedbus._container.container import Container
from typedbus.hosting._errors import NotHosted, NotShared
from typedbus.hosting._host import Host
from typedbus.hosting._process_owners import HostFault
from typedbus.hosting._report import text_of
from typedbus.hosting._server_loop import AsyncHookFault, ServerLoop, running_loop
from typedbus.injection._asgi import ScopedASGI
from typedbus.servers._lifespan import ASGIApp, LifespanError

__all__ = ("AsyncHookFault", "HostFault", "Hosted", "NotHosted", "NotShared")

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_BODY = b"Service Unavailable\n"
_TRY_AGAIN_LATER = 1013


class Hosted:
    """
    An ASGI application whose container's bus runs as long as the server's lifespan.

    The application's own lifespan, if it has one, begins when the bus has STARTED
    and ends before it stops; requests find what it puts into the state of the
    lifespan. If the bus does not start, the server gets the reason and the
    application is not called. If the bus exits before the server ends because a
    component requested it, the reason goes to stderr, and every later request is
    answered with 503. `Bus.restart` is a `RestartError`. No signal is touched.

    Async hooks run on the event loop of the server, from the start to the exit. If
    the server cancels the lifespan, the bus exits; the cancellation is raised when
    the async hooks have been called, and a failure of the start or the exit goes to
    stderr. If the server ends without the end of the lifespan, the bus exits at the
    end of the interpreter. If the event loop has ended by then, the sync hooks are
    called and the async hooks are reported on stderr. On trio a container with
    async hooks is refused with an `AsyncHookFault`.

    If other code has started the bus of the containers, another `Hosted`,
    `running`, `run` or `Bus.start`, this one shares the bus: it answers while the
    bus is STARTED, also without a lifespan, and never stops or exits it.
    *workers*, *limits* and *ended* have no effect then, and components that
    belong to the owner of a process are not refused.

    Args:
        app: The application that answers the requests.
        container: The container that declares the bus, or its class, of which each `Hosted` creates its own instance.
        others: Containers that share this bus, or their classes.
        workers: How many components may start, or stop, concurrently; by default the setting of the bus.
        limits: How long hooks, a start and a stop may take; by default the setting of the bus.
        ended: Called in a separate thread when the bus that this `Hosted` started has exited by itself.
        scopes: Whether each request has a scope, which all these containers share, as in `ScopedASGI`.
    """

    def __init__(
        self,
        app: ASGIApp,
        container: Container | type[Container],
        /,
        *others: Container | type[Container],
        workers: int | None = None,
        limits: Limits | None = None,
        ended: Callable[[], object] | None = None,
        scopes: bool = False,
    ) -> None:
        self._host = Host((container, *others), workers, limits, ended)
        self._app = ScopedASGI(app, self._host.containers[0]) if scopes else app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """
        Handle the lifespan of the server, or one connection.

        Raises:
            NotHosted: There was no lifespan, and no other code has started the bus.
            NotShared: Other code has started it without one of the containers.
            Exception: The failure of the lifespan, after the server has received its text.
            LifespanError: The same, raised from it, for a failure that would end the event loop, such as `SystemExit`.
        """
        host = self._host
        if scope["type"] == "lifespan":
            loop = running_loop()
            lifespan = _Lifespan(loop, host, await receive(), receive, send)
            try:
                await self._run_lifespan(loop, lifespan, scope)
            except Exception:
                raise
            except BaseException as error:
                for failure in lifespan.failures:
                    host.report_unreceived(failure)
                if isinstance(error, asyncio.CancelledError) and host.has_async_exit:
                    # The server may end the event loop when this ends.
                    await loop.call(host.end, host.abandon)
                raise
            else:
                lifespan.raise_failure()
            finally:
                # For a server that has cancelled this; otherwise the bus has already exited.
                host.leave()
        elif host.is_serving or host.share(running_loop()):
            await self._app(scope, receive, send)
        elif host.bus is None:
            raise NotHosted(host.name)
        elif scope["type"] == "http":
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_BODY))]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": _BODY})
        else:
            await receive()
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})

    async def _run_lifespan(self, loop: ServerLoop, lifespan: _Lifespan, scope: Message) -> None:
        """Start the bus, run the lifespan of the application, and exit the bus after it."""

        def start() -> None:
            self._host.start(loop)

        error = await loop.call(start, self._host.abandon)
        if error is not None:
            await lifespan.end("startup", error)
            return
        app_error: Exception | None = None
        try:
            await self._app(scope, lifespan.receive, lifespan.send)
        except Exception as error:
            if lifespan.is_over:
                raise
            # An application without lifespan support raises before it receives a message.
            app_error = error if lifespan.has_received else None
        if lifespan.is_over:
            return
        if not lifespan.is_up:
            if app_error is not None:
                await lifespan.end("startup", app_error)
                return
            await lifespan.send({"type": "lifespan.startup.complete"})
        elif app_error is not None and not lifespan.is_ending:
            # The application may still answer requests; the server gets the error at the end.
            self._host.report_unreceived(app_error)
        await lifespan.until_shutdown()
        await lifespan.end("shutdown", app_error)


class _Lifespan:
    """Passes lifespan messages between server and application, and exits the bus before the last message."""

    def __init__(self, loop: ServerLoop, host: Host, startup: Message, receive: Receive, send: Send) -> None:
        self._loop = loop
        self._host = host
        self._receive = receive
        self._send = send
        #: The startup message of the server, until the application receives it.
        self._startup: Message | None = startup
        #: Whether the application has called *receive*.
        self.has_received = False
        self.is_up = False
        self.is_ending = False
        self.is_over = False
        #: The failures that the last message to the server names.
        self.failures: list[BaseException] = []

    async def receive(self) -> Message:
        """Return the next message of the server; the first time, the startup message again."""
        self.has_received = True
        startup, self._startup = self._startup, None
        if startup is not None:
            return startup
        message = await self._receive()
        self.is_ending = True
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the application to the server; before its last message, exit the bus."""
        if message["type"] == "lifespan.startup.complete":
            self.is_up = True
        else:
            self.is_over = True
            error = await self._loop.call(self._host.exit, self._host.abandon)
            if error is not None:
                self.failures.append(error)
                kind = message["type"].replace("complete", "failed")
                reasons = filter(None, [message.get("message", ""), text_of(error)])
                message = {"type": kind, "message": "\n".join(reasons)}
        await self._send(message)

    async def until_shutdown(self) -> None:
        """Wait until the server has requested the shutdown."""
        if not self.is_ending:
            await self._receive()

    async def end(self, phase: str, error: BaseException | None) -> None:
        """Send the last message in place of the application."""
        if error is None:
            await self.send({"type": f"lifespan.{phase}.complete"})
        else:
            self.failures.append(error)
            await self.send({"type": f"lifespan.{phase}.failed", "message": text_of(error)})

    def raise_failure(self) -> None:
        """Raise the failure that the server has received as text: the test client of Starlette waits for it."""
        if not self.failures:
            return
        failure = self.failures[0]
        if isinstance(failure, Exception):
            raise failure
        raise LifespanError("shutdown" if self.is_up else "startup", repr(failure)) from failure


# Tracebacks and pickles show the module from which users import.
AsyncHookFault.__module__ = NotHosted.__module__ = "typedbus.hosting.asgi"
