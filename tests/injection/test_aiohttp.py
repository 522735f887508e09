"""Injected handlers of aiohttp, served by its own server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientTimeout, web
from aiohttp.test_utils import TestClient, TestServer
from tests.injection.shop import Orders, Session, Shop

from typedbus import running
from typedbus.injection import current_scope, injected

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@injected(Shop.async_orders)
async def place(orders: Orders, request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name == "gone":
        raise web.HTTPGone
    return web.Response(text=str(orders.place(name)))


@injected(Shop.async_session)
async def stream(session: Session, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(2):
        session.add(f"chunk {number}")
        await response.write(b"%d" % number)
    return response


@injected(Shop.async_session)
async def wait(session: Session, request: web.Request) -> web.Response:
    session.add("wait")
    await asyncio.Event().wait()
    raise AssertionError


class Placing(web.View):
    async def get(self) -> web.Response:
        orders = await current_scope().get(Shop.async_orders)
        return web.Response(text=str(orders.place("tea")))


@web.middleware
@injected(Shop.async_session)
async def in_a_transaction(session: Session, request: web.Request, handler: Handler) -> web.StreamResponse:
    """A middleware of aiohttp whose scope is that of the request."""
    return await handler(request)


@asynccontextmanager
async def client_of(*middlewares: Any) -> AsyncIterator[tuple[Any, list[str]]]:
    """Serve the application, and yield a client and the notes of the sessions."""
    app = web.Application(middlewares=middlewares)
    routes = [web.get("/place/{name}", place), web.get("/stream", stream), web.get("/wait", wait)]
    app.add_routes([*routes, web.view("/class", Placing)])
    async with running(Shop) as shop, TestServer(app) as server:
        await server.start_server(handler_cancellation=True)
        client: Any
        async with TestClient(server) as client:
            yield client, shop.notes()


def on_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Return *test* as a plain function."""

    def run() -> None:
        asyncio.run(test())

    run.__doc__ = test.__doc__
    return run


async def text_of(client: Any, path: str) -> tuple[int, str]:
    async with client.get(path) as answer:
        return answer.status, await answer.text()


@on_a_loop
async def test_a_handler_gets_its_components_before_the_request() -> None:
    """The scope is closed before the response is sent."""
    async with client_of() as (client, notes):
        assert await text_of(client, "/place/tea") == (200, "3")
        assert notes == ["begin async", "add tea", "commit"]


@on_a_loop
async def test_an_exception_that_is_a_response_rolls_back() -> None:
    """The framework catches it outside of the handler."""
    async with client_of() as (client, notes):
        assert (await text_of(client, "/place/gone"))[0] == 410
        assert notes == ["begin async", "rollback async HTTPGone"]


@on_a_loop
async def test_a_commit_that_fails_is_a_500() -> None:
    """The client does not get the response of the handler."""
    async with client_of() as (client, notes):
        assert (await text_of(client, "/place/rejected"))[0] == 500
        assert notes == ["begin async", "add rejected", "no commit"]


@on_a_loop
async def test_a_handler_that_streams_has_its_scope_until_it_returns() -> None:
    """It writes the response itself."""
    async with client_of() as (client, notes):
        assert await text_of(client, "/stream") == (200, "01")
        assert notes == ["begin async", "add chunk 0", "add chunk 1", "commit"]


@on_a_loop
async def test_a_handler_that_is_cancelled_rolls_back() -> None:
    """As when the client disconnects."""
    async with client_of() as (client, notes):
        with pytest.raises((asyncio.TimeoutError, ClientConnectionError)):
            await client.get("/wait", timeout=ClientTimeout(0.05))
        deadline = time.monotonic() + 10
        while len(notes) < 3:
            assert time.monotonic() < deadline, notes
            await asyncio.sleep(0.001)
        assert notes == ["begin async", "add wait", "rollback async CancelledError"]


@on_a_loop
async def test_an_injected_middleware_gives_the_request_one_scope() -> None:
    """Handlers, and views that are classes, share it."""
    async with client_of(in_a_transaction) as (client, notes):
        assert await text_of(client, "/class") == (200, "3")
        assert await text_of(client, "/place/mug") == (200, "3")
        assert (await text_of(client, "/place/gone"))[0] == 410
        placed = [note for name in ("tea", "mug") for note in ("begin async", f"add {name}", "commit")]
        assert notes == [*placed, "begin async", "rollback async HTTPGone"]
