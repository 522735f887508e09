"""How an ASGI application for HTTP requests answers scopes of other types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

Scope: TypeAlias = Mapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, object]]]
Send: TypeAlias = Callable[[dict[str, object]], Awaitable[None]]


async def end_other(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a *scope* of another type than "http": accept a lifespan until its shutdown, or close a WebSocket."""
    while scope["type"] == "lifespan":
        stage = (await receive())["type"]
        await send({"type": f"{stage}.complete"})
        if stage == "lifespan.shutdown":
            return
    await send({"type": "websocket.close", "code": 1000})
