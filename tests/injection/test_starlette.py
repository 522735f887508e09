"""Injected endpoints of Starlette, called by its test client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from tests.injection.shop import Orders, Session, Shop

from typedbus.injection import ScopedASGI, current_scope, injected


@injected(Shop.async_orders)
async def place(orders: Orders, request: Request) -> Response:
    name = request.path_params["name"]
    if name == "gone":
        raise HTTPException(410)
    return PlainTextResponse(str(orders.place(name)))


@injected(Shop.orders)
def place_in_a_thread(orders: Orders, request: Request) -> Response:
    return PlainTextResponse(str(orders.place("tea")))


@injected(Shop.session)
async def stream(session: Session, request: Request) -> Response:
    async def chunks() -> AsyncIterator[str]:
        for number in range(2):
            session.add(f"chunk {number}")
            yield str(number)

    return StreamingResponse(chunks())


@injected(Shop.orders)
async def ship(orders: Orders, name: str) -> None:
    orders.place(f"parcel of {name}")


@injected(Shop.orders)
async def order(orders: Orders, request: Request) -> Response:
    orders.place("tea")
    return PlainTextResponse("placed", background=BackgroundTask(ship, "tea"))


class Placing(HTTPEndpoint):
    def get(self, request: Request) -> Response:
        current_scope()[Shop.orders].place("tea")
        raise ValueError


@injected(Shop.feed)
async def talk(feed: list[str], socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


ROUTES = [
    Route("/place/{name}", place),
    Route("/thread", place_in_a_thread),
    Route("/stream", stream),
    Route("/order", order),
    Route("/class", Placing),
    WebSocketRoute("/talk", talk),
]


def without(shop: Shop) -> Any:
    return Starlette(routes=ROUTES)


def around(shop: Shop) -> Any:
    return ScopedASGI(Starlette(routes=ROUTES), shop)


def inside(shop: Shop) -> Any:
    return Starlette(routes=ROUTES, middleware=[Middleware(ScopedASGI, shop)])


@pytest.fixture(params=[without, around, inside])
def client(request: pytest.FixtureRequest, shop: Shop) -> TestClient:
    """A client of the application without scopes for requests, and with the middleware at either place."""
    application_of: Callable[[Shop], Any] = request.param
    return TestClient(application_of(shop), raise_server_exceptions=False)


def test_an_endpoint_gets_its_components_before_the_request(client: TestClient, notes: list[str]) -> None:
    """Async and plain endpoints alike."""
    assert client.get("/place/tea").text == "3"
    assert client.get("/thread").text == "3"
    assert notes == ["begin async", "add tea", "commit", "begin", "add tea", "commit"]


def test_a_handled_exception_rolls_back(client: TestClient, notes: list[str]) -> None:
    """The framework answers."""
    assert client.get("/place/gone").status_code == 410
    assert notes == ["begin async", "rollback async HTTPException"]


def test_a_commit_that_fails_is_a_500(client: TestClient, notes: list[str]) -> None:
    """The client does not get the response of the endpoint."""
    if isinstance(client.app, ScopedASGI):
        with pytest.raises(OSError, match="rejected"):  # the answer of a server
            TestClient(client.app).get("/place/rejected")
    else:
        assert client.get("/place/rejected").status_code == 500
    assert notes == ["begin async", "add rejected", "no commit"]


def test_with_the_middleware_the_scope_is_open_while_a_response_is_streamed(shop: Shop, notes: list[str]) -> None:
    """Without it, the endpoint has returned before."""
    assert TestClient(around(shop)).get("/stream").text == "01"
    assert notes == ["begin", "add chunk 0", "add chunk 1", "commit"]

    notes.clear()
    assert TestClient(without(shop)).get("/stream").text == "01"
    assert notes == ["begin", "commit", "add chunk 0", "add chunk 1"]


def test_a_background_task_has_a_scope_of_its_own(client: TestClient, notes: list[str]) -> None:
    """The first is closed when the response is sent."""
    assert client.get("/order").text == "placed"
    assert notes == ["begin", "add tea", "commit", "begin", "add parcel of tea", "commit"]


def test_an_exception_of_a_class_based_endpoint_rolls_back(shop: Shop, notes: list[str]) -> None:
    """It uses the current scope, and the framework answers with 500."""
    for application in (around(shop), inside(shop)):
        assert TestClient(application, raise_server_exceptions=False).get("/class").status_code == 500
        assert notes[:2] == ["begin", "add tea"]
        assert notes[2].startswith("rollback")
        notes.clear()


def test_a_websocket_has_objects_of_its_session(shop: Shop, notes: list[str]) -> None:
    """They are closed with the connection."""
    with TestClient(around(shop)).websocket_connect("/talk") as socket:
        assert socket.receive_text() == "hello"
    assert notes == ["feed opened", "feed closed"]
