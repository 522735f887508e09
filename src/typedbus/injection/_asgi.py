"""The ASGI middleware that opens a scope for each request and for each WebSocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias

from typedbus._container.container import Container
from typedbus._container.scoped import SESSION, GivenValue
from typedbus.injection._current import CURRENT, Current, running_container
from typedbus.injection._errors import FailedResponse
from typedbus.injection._responses import EMPTY, check_status
from typedbus.servers._lifespan import ASGIApp

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

#: The messages that carry a body; the last of them has no `more_body`.
_BODIES: Final = frozenset({"http.response.body", "http.response.pathsend", "http.response.zerocopysend"})


class ScopedASGI:
    """
    An ASGI application that opens a scope of *container* for each request, and a SESSION scope for each WebSocket.

    `current_scope` returns it, and `injected` uses it. The scope of a request is closed
    before the response ends. A response of known length whose body is one message begins only
    after that, so that a commit that fails becomes an error of the server (status 500). Of a
    body in several messages, or a stream, the last message waits for it: after a commit that
    fails the client finds the response incomplete. Background
    tasks of a framework run after that; an injected function gets a scope of its own there.

    The scope fails, and the objects that it has opened receive an exception, if

    - the application raises, or the server cancels the request;
    - an exception leaves an injected function, even if the framework turns it into a response;
    - the status of the response is 500 or above, or the response ends before it is complete,
      as by a client that disconnects from a stream: a `FailedResponse`.

    The scope of a WebSocket is closed when the application returns. Within it, a call of an
    injected function that needs an object of a request has a scope of its own, as for one
    message; see `injected`.

    Frameworks call plain functions in threads, and the scope is closed on the event loop. An
    object whose end blocks, or that belongs to its thread, needs an async form, or no
    middleware: then each call has a scope of its own, in its thread.

    The lifespan is passed on. The container must run: in a `Hosted`, by `running` or by `run`.

    Args:
        app: The application that answers the requests.
        container: The container, or its class, of which one instance must run at each request.
        given: Called with the ASGI scope of each connection; returns the values of `Given` declarations:
            ``given=lambda connection: [Shop.client.given(connection["client"])]``. Those of WebSockets must be
            declared with ``.at(SESSION)``.
    """

    def __init__(
        self,
        app: ASGIApp,
        container: Container | type[Container],
        given: Callable[[Message], Iterable[GivenValue]] | None = None,
    ) -> None:
        self._app = app
        self._container = container
        self._given = given

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http":
            await self._handle_request(scope, receive, send)
        elif scope["type"] == "websocket":
            container = running_container(self._container, type(self).__name__)
            async with container.scope(*self._values(scope), level=SESSION) as session:
                token = CURRENT.set(Current(session, container, CURRENT.get()))
                try:
                    await self._app(scope, receive, send)
                finally:
                    CURRENT.reset(token)
        else:
            await self._app(scope, receive, send)

    async def _handle_request(self, scope: Message, receive: Receive, send: Send) -> None:
        container = running_container(self._container, type(self).__name__)
        request = container.scope(*self._values(scope))
        status: int | None = None
        #: How many bytes of the body are still to come; None if the length is not known.
        bytes_left: int | None = None
        #: The messages that wait for the first bytes of the body, or for the end of the scope.
        queue: list[Message] = []

        async def send_in_time(message: Message) -> None:
            nonlocal status, bytes_left
            if message["type"] == "http.response.start":
                status, bytes_left = message["status"], _length_after(message)
                if bytes_left is not None:
                    queue.append(message)
                    return
            elif message["type"] in _BODIES and request.is_open:
                body = message.get("body", b"")
                if bytes_left is not None:
                    bytes_left -= len(body)
                # A middleware of a framework may send the body first, and then, by an empty message, its end.
                if not message.get("more_body") or (body and bytes_left is not None and bytes_left <= 0):
                    check_status(request, status)
                    await request.__aexit__(None, None, None)
                elif queue and not body:
                    queue.append(message)
                    return
            while queue:
                await send(queue.pop(0))
            await send(message)

        await request.__aenter__()
        token = CURRENT.set(Current(request, container, CURRENT.get()))
        try:
            await self._app(scope, receive, send_in_time)
        except BaseException as error:
            if request.is_open:
                await request.__aexit__(type(error), error, error.__traceback__)
            raise
        finally:
            CURRENT.reset(token)
        if request.is_open:
            request.failed_with(FailedResponse(status, is_complete=False))
            await request.__aexit__(None, None, None)

    def _values(self, connection: Message) -> Iterable[GivenValue]:
        return () if self._given is None else self._given(connection)


def _length_after(start: Message) -> int | None:
    """Return the length of the body that follows *start*; None for a stream, whose length is not known."""
    headers: Iterable[tuple[bytes, bytes]] = start.get("headers", ())
    lengths = [int(value) for name, value in headers if name.lower() == b"content-length"]
    return lengths[0] if lengths else 0 if start["status"] in EMPTY else None
