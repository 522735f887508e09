"""The site that every host of these tests serves; each process appends what happens to it to the file $LIFE."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from typedbus import Bus, Component, Container, Limits
from typedbus.hosting import asgi, wsgi


def note(text: str) -> None:
    """Append a line in one write, so that lines of several processes do not mix."""
    descriptor = os.open(os.environ["LIFE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, f"{os.getpid()} {text}\n".encode())
    os.close(descriptor)


class Database:
    is_open = False

    def start(self) -> None:
        if os.environ.get("FAILING") == "start":
            raise OSError("no database")
        self.is_open = True
        note("start")

    def stop(self) -> None:
        self.is_open = False
        note("stop")

    def exit(self) -> None:
        note("exit")

    def pid(self) -> bytes:
        """Return the number of this process, which is the body of each page."""
        assert self.is_open
        return b"%d" % os.getpid()


class Shop(Container):
    bus = Component(Bus)
    database = Component(Database)


shop = Shop()


def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    database = shop.database()
    if environ["PATH_INFO"] == "/slow":
        note("request")
        time.sleep(0.5)
    body = database.pid()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi_page(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    assert scope["type"] == "http"
    database = shop.database()
    if scope["path"] == "/slow":
        note("request")
        await asyncio.sleep(0.5)
    body = database.pid()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


application = wsgi.Hosted(page, shop, limits=Limits(stop=20, exit=20))
second = wsgi.Hosted(page, shop, limits=Limits(stop=20, exit=20))
asgi_application = asgi.Hosted(asgi_page, shop, limits=Limits(stop=20, exit=20))
