"""Mounted applications and the event loop of the bus: which of them run on it, and the consequences for starts and stops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from tests.servers.test_shared_loop import LIMIT, Feed, answer, get

from typedbus import Bus, Component, Container, LoopError, TransitionFailures, on, running
from typedbus.servers.asgi import ASGIServer
from typedbus.servers.mounts import MOUNT, ASGIDispatcher, ASGIMount, Mount, WSGIDispatcher, WSGIMount
from typedbus.servers.wsgi import WSGIServer


class MountedNews:
    """Mounts an application that has a lifespan, and one in WSGI, which asks the feed in the thread of the request."""

    def __init__(self, bus: Bus, feed: Feed) -> None:
        self.bus = bus
        self.feed = feed
        self.loops: list[asyncio.AbstractEventLoop] = []

    @on(MOUNT)
    def mount_asgi(self) -> Mount:
        return ASGIMount("/asgi", self.asgi)

    @on(MOUNT)
    def mount_wsgi(self) -> Mount:
        return WSGIMount("/wsgi", self.wsgi)

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        self.loops.append(asyncio.get_running_loop())
        if scope["type"] == "http":
            self.feed.has_news.set()
            await answer(send, b"asgi")
            return
        for phase in ("startup", "shutdown"):
            await receive()
            self.feed.notes.append(phase)
            await send({"type": f"lifespan.{phase}.complete"})

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        assert self.bus.run_on_loop(self.feed.has_news.wait()).result(LIMIT)
        start_response("200 OK", [])
        return [b"wsgi"]


class ASGISite(Container):
    bus = Component(Bus)
    notes = Component(list[str])
    feed = Component(Feed, notes.provided)
    mounted = Component(MountedNews, bus.provided, feed.provided)
    front = Component(ASGIDispatcher, bus.provided, bus.provided[MOUNT])
    server = Component(ASGIServer, bus.provided, front.provided, bind="127.0.0.1:0")


class WSGISite(Container):
    bus = Component(Bus)
    notes = Component(list[str])
    feed = Component(Feed, notes.provided)
    mounted = Component(MountedNews, bus.provided, feed.provided)
    front = Component(WSGIDispatcher, bus.provided, bus.provided[MOUNT])
    server = Component(WSGIServer, bus.provided, front.provided, bind="127.0.0.1:0")


@pytest.mark.parametrize("site_class", [ASGISite, WSGISite])
def test_mounted_applications_of_both_kinds_use_an_async_component(site_class: Any) -> None:
    """ASGI applications on its loop, with their lifespans; WSGI applications from the threads of their requests."""
    with running(site_class()) as site:
        bodies = [get(site.server().address, path) for path in ("/asgi", "/wsgi")]
        loops, loop, notes = site.mounted().loops, site.feed().loop, site.notes()

    assert bodies == [b"asgi", b"wsgi"]
    assert loops == [loop, loop]
    assert notes == ["startup", "shutdown", "feed stopped"]
    assert not any(thread.name == "asgi under wsgi" for thread in threading.enumerate())


def test_a_cancelled_start_cancels_the_lifespans_on_the_shared_loop() -> None:
    """The lifespans that have started, and the lifespan that has not, before the async component stops."""

    has_begun = asyncio.Event()

    class Apps:
        def __init__(self, bus: Bus, feed: Feed) -> None:
            self.feed = feed
            for name in ("first", "second"):
                bus[MOUNT].subscribe(lambda name=name: ASGIMount(f"/{name}", self.app(name)))  # type: ignore[misc]

        def app(self, name: str) -> Any:
            async def app(scope: Any, receive: Any, send: Any) -> None:
                await receive()
                try:
                    if name == "first":
                        await send({"type": "lifespan.startup.complete"})
                    else:
                        has_begun.set()
                    await asyncio.Event().wait()
                finally:
                    self.feed.notes.append(f"{name} cancelled")

            return app

    class Site(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        feed = Component(Feed, notes.provided)
        apps = Component(Apps, bus.provided, feed.provided)
        front = Component(WSGIDispatcher, bus.provided, bus.provided[MOUNT])

    site = Site()

    async def main() -> None:
        start = asyncio.create_task(site.attach().start_async())
        await has_begun.wait()
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        await site.bus().exit_async()

    asyncio.run(main())

    assert site.notes() == ["second cancelled", "first cancelled", "feed stopped"]


def test_a_stop_after_the_end_of_the_loop_fails_at_once() -> None:
    """The applications under WSGI cannot be shut down any more; the rest stops."""
    site = WSGISite()
    bus = site.attach()

    async def main() -> None:
        await bus.start_async()

    asyncio.run(main())
    with pytest.raises(TransitionFailures) as failures:
        bus.exit()

    errors = failures.value.exceptions
    assert [type(error) for error in errors] == [LoopError, LoopError]
    assert str(errors[0]).startswith("asgi under wsgi was not called: ")


def test_calls_that_wait_for_applications_under_wsgi_are_refused_on_their_loop() -> None:
    """They would wait without end for themselves; the dispatcher is unchanged."""
    site = WSGISite()

    async def main() -> None:
        async with running(site):
            front, environ = site.front(), {"PATH_INFO": "/asgi", "REQUEST_METHOD": "GET"}
            with pytest.raises(LoopError, match="^a request: it would block the event loop of the bus"):
                list(front(environ, lambda *_: lambda _: None))
            with pytest.raises(LoopError, match=r"^dispatcher\.start\(\): "):
                front.start()
            with pytest.raises(LoopError, match=r"^dispatcher\.stop\(\): "):
                front.stop()
            assert await asyncio.to_thread(get, site.server().address, "/asgi") == b"asgi"

    asyncio.run(main())
