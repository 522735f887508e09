"""The front for servers: the same answers over WSGI and over ASGI."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias
from wsgiref.types import StartResponse, WSGIEnvironment

from examples.shop.front import LONGEST, Front, Request
from typedbus.plugins.health import Health

if TYPE_CHECKING:
    from typedbus.prometheus import Metrics  # a shop without metrics does not need prometheus-client

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_PROBES = "/livez", "/readyz"


class WSGIFront:
    """The front as a WSGI application."""

    def __init__(self, front: Front, health: Health, metrics: "Metrics | None" = None) -> None:
        self._front = front
        self._health = health
        self._metrics = metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if path in _PROBES:
            return self._health.wsgi(environ, start_response)
        if path == "/metrics" and self._metrics is not None:
            return self._metrics.wsgi(environ, start_response)
        # A body without a length may be chunked.
        has_end = environ.get("wsgi.input_terminated", False)
        length = LONGEST + 1 if has_end else min(int(environ.get("CONTENT_LENGTH") or 0), LONGEST + 1)
        body = environ["wsgi.input"].read(length) if length else b""
        answer = self._front.answer(Request(method, path, environ.get("CONTENT_TYPE", ""), body))
        start_response(f"{answer.status.value} {answer.status.phrase}", answer.headers)
        return [b"" if method == "HEAD" else answer.body]


class ASGIFront:
    """The front as an ASGI application."""

    def __init__(self, front: Front, health: Health) -> None:
        self._front = front
        self._health = health

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer an HTTP request; other ASGI events are passed to `Health`."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._health.asgi(scope, receive, send)
            return
        body, is_whole = b"", False
        while not is_whole and len(body) <= LONGEST:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            is_whole = not message.get("more_body", False)
        content_type = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
        request = Request(scope["method"], scope["path"], content_type, body)
        # A locked database blocks the thread, and must not block the event loop.
        answer = await asyncio.to_thread(self._front.answer, request)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status.value, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})
