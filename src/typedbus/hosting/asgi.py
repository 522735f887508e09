"""
A container under an ASGI server: uvicorn, hypercorn, or gunicorn with workers of these.

Such a server says when it begins and when it ends, in what ASGI calls the
lifespan. The bus goes around that of the application: it starts before, and
exits after. Both happen in a thread, since they may take as long as they like,
and the event loop has others to serve. A start that fails is what the server is
told, and it ends with a status of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent import futures
from typing import Any, TypeAlias

from typedbus._base.limits import Limits
from typedbus._container.container import Container
from typedbus._os.exhausted import start_thread
from typedbus.hosting._host import Host, HostFault, NotHosted, NotShared, reason, tell
from typedbus.servers._lifespan import ASGIApp

__all__ = ("HostFault", "Hosted", "NotHosted", "NotShared")

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
    application is not called. If the bus exits before the server ends, because a
    component requested it, the reason goes to stderr, and every later request is
    answered with 503. `Bus.restart` is a `RestartError`. No signal is touched.
    If a server ends without the end of the lifespan, the bus exits at the end of
    the interpreter.

    If other code has started the bus of the containers, another `Hosted`,
    `running`, `run` or `Bus.start`, this one shares the bus: it answers while the
    bus is STARTED, also without a lifespan, and never stops or exits it.
    *workers*, *limits* and *ended* have no effect then, and components that
    belong to the owner of a process are not refused.

    Args:
        app: What answers the requests.
        container: The one that declares the bus, or its class; of a class each `Hosted` makes an instance of its own.
        others: Containers that listen and publish on it as well.
        workers: How many components may start, or stop, side by side; unless given, what the bus says.
        limits: How long hooks, a start and a stop may take; unless given, what the bus says.
        ended: Called in a thread of its own when the bus that this `Hosted` started has exited by itself.
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
    ) -> None:
        self._app = app
        self._host = Host((container, *others), workers, limits, ended)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """
        Go through the lifespan of the server, or answer one connection.

        Raises:
            NotHosted: There was no lifespan, and no other code has started the bus.
            NotShared: Other code has started it without one of the containers.
        """
        host = self._host
        if scope["type"] == "lifespan":
            lifespan = _Lifespan(host.exit, await receive(), receive, send)
            try:
                await self._live(lifespan, scope)
            finally:
                # If the server has given up in between; otherwise there is nothing left to exit.
                host.leave()
        elif host.is_serving or host.share():
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

    async def _live(self, lifespan: _Lifespan, scope: Message) -> None:
        """Start the bus, let the application have its lifespan, and exit the bus after it."""
        try:
            await _in_thread(self._host.start)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            await lifespan.end("startup", error)
            return
        raised: Exception | None = None
        try:
            await self._app(scope, lifespan.receive, lifespan.send)
        except Exception as error:
            if lifespan.is_over:
                raise
            # One that does not know what a lifespan is raises before it has asked what the server wants.
            raised = error if lifespan.is_asked_for else None
        if lifespan.is_over:
            return
        if not lifespan.is_up:
            if raised is not None:
                await lifespan.end("startup", raised)
                return
            await lifespan.send({"type": "lifespan.startup.complete"})
        elif raised is not None and not lifespan.is_ending:
            # Its requests may still be answered; the server is told at the end.
            tell(raised)
        await lifespan.until_shutdown()
        await lifespan.end("shutdown", raised)


class _Lifespan:
    """What the server and the application tell each other, with the exit of the bus before the last word."""

    def __init__(self, exiting: Callable[[], None], first: Message, receive: Receive, send: Send) -> None:
        self._exit = exiting
        self._receive = receive
        self._send = send
        #: The startup that the server has asked for, until the application asks what it wants.
        self._first: Message | None = first
        self.is_asked_for = False
        self.is_up = False
        self.is_ending = False
        self.is_over = False

    async def receive(self) -> Message:
        """Return what the server asks for; the startup again the first time."""
        self.is_asked_for = True
        first, self._first = self._first, None
        if first is not None:
            return first
        message = await self._receive()
        self.is_ending = True
        return message

    async def send(self, message: Message) -> None:
        """Tell the server what the application says; but first, if that is its last word, exit the bus."""
        if message["type"] == "lifespan.startup.complete":
            self.is_up = True
        else:
            self.is_over = True
            try:
                await _in_thread(self._exit)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                kind = message["type"].replace("complete", "failed")
                said = filter(None, [message.get("message", ""), reason(error)])
                message = {"type": kind, "message": "\n".join(said)}
        await self._send(message)

    async def until_shutdown(self) -> None:
        """Return when the server has asked for the shutdown."""
        if not self.is_ending:
            await self._receive()

    async def end(self, phase: str, raised: BaseException | None) -> None:
        """Say the last word in the application's place."""
        if raised is None:
            await self.send({"type": f"lifespan.{phase}.complete"})
        else:
            await self.send({"type": f"lifespan.{phase}.failed", "message": reason(raised)})


async def _in_thread(call: Callable[[], None]) -> None:
    """Let *call* run in a thread that keeps neither the loop nor the interpreter from ending."""
    done: futures.Future[None] = futures.Future()
    # What runs cannot be cancelled, not even by a server that no longer waits for it.
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            call()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    start_thread(threading.Thread(target=run, name=f"lifespan {call.__name__}", daemon=True))
    await asyncio.wrap_future(done)


# Tracebacks and pickles name the place from which users import.
NotHosted.__module__ = "typedbus.hosting.asgi"
