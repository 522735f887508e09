"""A site for trio: its page answers with the name of the process and of the async library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio.lowlevel
import sniffio
from shop_site import shop

from typedbus.hosting import asgi


async def page(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    assert scope["type"] == "http"
    await anyio.lowlevel.checkpoint()
    body = shop.database().pid() + b" " + sniffio.current_async_library().encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


application = asgi.Hosted(page, shop)
