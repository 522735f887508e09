"""Injected handlers of Litestar, called by its test client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from litestar import Controller, Litestar, WebSocket, get, post, websocket
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Stream
from litestar.testing import TestClient
from tests.injection.shop import Orders, Session, Shop

from typedbus.injection import ScopedASGI, current_scope, injected


class NewOrder(msgspec.Struct):
    name: str
    count: int = 1


@post("/shops/{shop_id:int}/orders", status_code=201)
@injected(Shop.async_orders)
async def place(
    orders: Orders, shop_id: FromPath[int], data: JSONBody[NewOrder], note: FromQuery[str] = ""
) -> dict[str, int]:
    """Place an order."""
    if data.name == "gone":
        raise HTTPException(status_code=410)
    return {"length": orders.place(data.name) * data.count + shop_id}


@post("/shops/{shop_id:int}/orders", status_code=201)
async def place_by_hand(shop_id: FromPath[int], data: JSONBody[NewOrder], note: FromQuery[str] = "") -> dict[str, int]:
    """Place an order."""
    return {}


@get("/thread", sync_to_thread=True)
@injected(Shop.orders)
def place_in_a_thread(orders: Orders) -> int:
    return orders.place("tea")


@get("/stream")
@injected(Shop.session)
async def stream(session: Session) -> Stream:
    async def chunks() -> AsyncIterator[str]:
        for number in range(2):
            session.add(f"chunk {number}")
            yield str(number)

    return Stream(chunks())


class Placing(Controller):
    path = "/class"

    @get()
    async def place(self) -> None:
        current_scope()[Shop.orders].place("tea")
        raise ValueError


@websocket("/talk")
@injected(Shop.feed)
async def talk(feed: list[str], socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


def application(*handlers: Any, **options: Any) -> Litestar:
    return Litestar([*handlers], logging_config=None, **options)


def site() -> Litestar:
    return application(place, place_in_a_thread, stream, Placing, talk)


@pytest.fixture(params=["middleware", "own scopes"])
def client(request: pytest.FixtureRequest, shop: Shop) -> TestClient[Any]:
    """A client of the site: with a scope for each request, and without."""
    app: Any = ScopedASGI(site(), shop) if request.param == "middleware" else site()
    return TestClient(app, raise_server_exceptions=False)


def test_the_description_is_that_of_the_same_handler_without_components() -> None:
    """Body, parameters and statuses are documented alike."""
    injected_schema = application(place).openapi_schema.to_schema()
    plain_schema = application(place_by_hand).openapi_schema.to_schema()

    assert str(injected_schema) == str(plain_schema).replace("ByHand", "")


def test_a_handler_gets_its_components_before_its_parameters(client: TestClient[Any], notes: list[str]) -> None:
    """The body is decoded, the path is parsed."""
    answer = client.post("/shops/7/orders", json={"name": "tea", "count": 2})

    assert (answer.status_code, answer.json()) == (201, {"length": 13})
    assert client.post("/shops/7/orders", json={"count": "many"}).status_code == 400
    assert client.get("/thread").json() == 3
    assert notes == ["begin async", "add tea", "commit", "begin", "add tea", "commit"]


def test_a_handled_exception_rolls_back(client: TestClient[Any], notes: list[str]) -> None:
    """The framework answers."""
    assert client.post("/shops/7/orders", json={"name": "gone"}).status_code == 410
    assert notes == ["begin async", "rollback async HTTPException"]


def test_a_commit_that_fails_is_a_500(client: TestClient[Any], shop: Shop, notes: list[str]) -> None:
    """The client does not get the response of the handler."""
    assert client.post("/shops/7/orders", json={"name": "rejected"}).status_code == 500
    assert notes == ["begin async", "add rejected", "no commit"]


def test_the_scope_stays_open_while_a_response_is_streamed(shop: Shop, notes: list[str]) -> None:
    """It is closed before the end of the stream."""
    app: Any = ScopedASGI(site(), shop)
    assert TestClient(app).get("/stream").text == "01"
    assert notes == ["begin", "add chunk 0", "add chunk 1", "commit"]


def test_an_exception_of_a_controller_rolls_back(shop: Shop, notes: list[str]) -> None:
    """It uses the current scope, and the framework answers with 500."""
    app: Any = ScopedASGI(site(), shop)
    assert TestClient(app, raise_server_exceptions=False).get("/class").status_code == 500
    assert notes == ["begin", "add tea", "rollback FailedResponse"]


def test_a_websocket_has_objects_of_its_session(shop: Shop, notes: list[str]) -> None:
    """They are closed with the connection."""
    app: Any = ScopedASGI(site(), shop)
    with TestClient(app).websocket_connect("/talk") as socket:
        assert socket.receive_text() == "hello"
    assert notes == ["feed opened", "feed closed"]
