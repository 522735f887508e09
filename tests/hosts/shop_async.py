"""A site with an async component, which its requests use; each process appends its events to the file $LIFE."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from shop_site import note

from typedbus import Bus, Component, Container, Limits
from typedbus.hosting import asgi, wsgi


class Database:
    """A component with sync hooks."""

    def start(self) -> None:
        note("start")

    def stop(self) -> None:
        note("stop")

    def exit(self) -> None:
        note("exit")


class Feed:
    """A component with async hooks, which notes whether they run on the loop of `start`."""

    loop: asyncio.AbstractEventLoop
    questions: asyncio.Queue[asyncio.Future[str]]
    task: asyncio.Task[None]

    def __init__(self, bus: Bus, database: Database) -> None:
        self.bus = bus

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        if os.environ.get("FAILING") == "async start":
            raise OSError("no feed")
        self.questions = asyncio.Queue()
        self.task = asyncio.create_task(self.answer())
        note("async start")
        if os.environ.get("SLOW") == "async start":
            await asyncio.sleep(60)

    async def stop(self) -> None:
        if os.environ.get("SLOW") == "async stop":
            note("slow async stop")
            await asyncio.sleep(60)
        self.task.cancel()
        await asyncio.wait([self.task])
        self.note("async stop")

    async def exit(self) -> None:
        self.note("async exit")

    async def graceful(self) -> None:
        await asyncio.sleep(0)
        self.note("async graceful")

    def note(self, text: str) -> None:
        note(text if asyncio.get_running_loop() is self.loop else f"{text} on another loop")

    async def answer(self) -> None:
        """Answer each question with the kind of the loop."""
        while True:
            (await self.questions.get()).set_result(type(self.loop).__module__.partition(".")[0])

    async def ask(self) -> bytes:
        """Return the body of each page: the process and the kind of its loop."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self.questions.put(answer)
        return f"{os.getpid()} {await answer}".encode()


class Shop(Container):
    bus = Component(Bus)
    database = Component(Database)
    feed = Component(Feed, bus.provided, database.provided)


shop = Shop()


async def asgi_page(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    assert scope["type"] == "http"
    if scope["path"] == "/slow":
        note("request")
        await asyncio.sleep(float(os.environ.get("SECONDS", "0.5")))
    if scope["path"] == "/reload":
        await shop.bus().graceful_async()
    body = await shop.feed().ask()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/reload":
        shop.bus().graceful()
    body = shop.bus().run_on_loop(shop.feed().ask()).result()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


application = wsgi.Hosted(page, shop, limits=Limits(stop=20, exit=20))
asgi_application = asgi.Hosted(asgi_page, shop, limits=Limits(stop=20, exit=20))
if os.environ.get("EAGER") == "import":
    application.start()
