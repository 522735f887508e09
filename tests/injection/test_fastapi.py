"""Injected routes of FastAPI, called by its test client."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pydantic
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Query, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import JSONResponse
from tests.injection.clients import ASGIRequest
from tests.injection.shop import Catalogue, Orders, Session, Shop

from typedbus.hosting.asgi import Hosted
from typedbus.injection import ScopedASGI, current_scope, injected


class NewOrder(pydantic.BaseModel):
    name: str
    count: int = pydantic.Field(default=1, ge=1)


class Placed(pydantic.BaseModel):
    length: int


site = FastAPI()
plain = FastAPI()


@site.post("/shops/{shop_id}/orders", status_code=201, response_model=Placed)
@injected(Shop.async_orders)
async def place(
    orders: Orders,
    shop_id: int,
    order: NewOrder,
    agent: Annotated[str, Header()],
    tags: Annotated[list[str], Query()],
    note: str | None = None,
) -> Any:
    """Place an order."""
    return {"length": orders.place(order.name) * order.count + shop_id}


@plain.post("/shops/{shop_id}/orders", status_code=201, response_model=Placed)
async def place_by_hand(
    shop_id: int,
    order: NewOrder,
    agent: Annotated[str, Header()],
    tags: Annotated[list[str], Query()],
    note: str | None = None,
) -> Any:
    """Place an order."""


@site.get("/names")
@injected(Shop.catalogue, Shop.session)
def names(catalogue: Catalogue, session: Session, limit: int = 10) -> list[str]:
    session.add("names")
    return list(catalogue.names[:limit])


@plain.get("/names")
def names_by_hand(limit: int = 10) -> list[str]:
    return []


def authenticated(token: str = "") -> str:
    if token != "secret":
        raise HTTPException(401)
    return "ada"


@injected(Shop.session)
def user_of(session: Session, name: Annotated[str, Depends(authenticated)]) -> str:
    session.add(f"user {name}")
    return name


@site.get("/me")
@injected(Shop.orders)
def me(orders: Orders, user: Annotated[str, Depends(user_of)]) -> str:
    orders.place(f"order of {user}")
    return user


@plain.get("/me")
def me_by_hand(user: Annotated[str, Depends(authenticated)]) -> str:
    return user


@injected(Shop.session)
def transaction(session: Session) -> Iterator[Session]:
    yield session


@injected(Shop.async_session)
async def async_transaction(session: Session) -> AsyncIterator[Session]:
    yield session


@site.get("/transaction")
async def in_transaction(
    session: Annotated[Session, Depends(transaction)],
    async_session: Annotated[Session, Depends(async_transaction)],
    fails: bool = False,
) -> None:
    session.add("tea")
    if fails:
        raise HTTPException(418)


@plain.get("/transaction")
async def in_transaction_by_hand(fails: bool = False) -> None: ...


def application(**routes: Callable[..., Any]) -> FastAPI:
    """Return an application with the *routes* at paths of the same names."""
    app = FastAPI()
    for name, route in routes.items():
        app.get(f"/{name}")(route)
    return app


@pytest.fixture(params=["middleware", "own scopes"])
def client(request: pytest.FixtureRequest, shop: Shop) -> TestClient:
    """A client of the site: with a scope for each request, and without."""
    return TestClient(ScopedASGI(site, shop) if request.param == "middleware" else site)


def test_the_description_is_that_of_the_same_routes_without_components() -> None:
    """Body models, parameters, headers, statuses and responses are documented alike."""

    def described(app: FastAPI) -> str:
        return str(app.openapi()).replace("_by_hand", "").replace(" By Hand", "")

    assert described(site) == described(plain)


def test_a_route_gets_its_components_before_its_parameters(client: TestClient, notes: list[str]) -> None:
    """The body is a model, the others come from path, query and headers."""
    answer = client.post("/shops/7/orders?tags=a&tags=b", json={"name": "tea", "count": 2}, headers={"agent": "x"})

    assert (answer.status_code, answer.json()) == (201, {"length": 13})
    assert notes == ["begin async", "add tea", "commit"]


def test_a_wrong_request_is_answered_with_422(client: TestClient, notes: list[str]) -> None:
    """The route is not called, so its components are not built."""
    answer = client.post("/shops/x/orders", json={"count": 0})

    assert answer.status_code == 422
    places = {tuple(error["loc"]) for error in answer.json()["detail"]}
    assert places == {
        ("path", "shop_id"),
        ("query", "tags"),
        ("header", "agent"),
        ("body", "name"),
        ("body", "count"),
    }
    assert notes == []


def test_a_plain_route_runs_in_a_thread(client: TestClient, notes: list[str]) -> None:
    """The current scope reaches it there."""
    assert client.get("/names?limit=1").json() == ["tea"]
    assert notes == ["begin", "add names", "commit"]


def test_a_dependency_shares_the_scope_of_the_request(shop: Shop, notes: list[str]) -> None:
    """Without the middleware each has its own."""
    assert TestClient(ScopedASGI(site, shop)).get("/me?token=secret").json() == "ada"
    assert notes == ["begin", "add user ada", "add order of ada", "commit"]

    notes.clear()
    assert TestClient(site).get("/me?token=secret").json() == "ada"
    assert notes == ["begin", "add user ada", "commit", "begin", "add order of ada", "commit"]


def test_an_injected_generator_is_a_dependency_with_yield(shop: Shop, notes: list[str]) -> None:
    """The framework throws the exception of the route into it."""
    client = TestClient(ScopedASGI(site, shop))

    assert client.get("/transaction").status_code == 200
    assert notes == ["begin", "begin async", "add tea", "commit", "commit"]
    notes.clear()
    assert client.get("/transaction?fails=true").status_code == 418
    assert sorted(notes[-2:]) == ["rollback HTTPException", "rollback async HTTPException"]
    notes.clear()
    assert TestClient(site).get("/transaction?fails=true").status_code == 418
    assert sorted(notes[-2:]) == ["rollback HTTPException", "rollback async HTTPException"]


@pytest.mark.parametrize("scoped", [True, False])
def test_a_handled_exception_rolls_back(shop: Shop, notes: list[str], scoped: bool) -> None:
    """Also one that a handler turns into a 418, which the middleware never sees."""

    class SoldOut(Exception):
        pass

    @injected(Shop.session)
    async def refuse(session: Session) -> None:
        raise HTTPException(404)

    @injected(Shop.session)
    def sell(session: Session) -> None:
        raise SoldOut

    app = application(refuse=refuse, sell=sell)

    @app.exception_handler(SoldOut)
    def answer(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse("sold out", 418)

    client = TestClient(ScopedASGI(app, shop) if scoped else app)
    assert client.get("/refuse").status_code == 404
    assert client.get("/sell").status_code == 418
    assert notes == ["begin", "rollback HTTPException", "begin", "rollback SoldOut"]


@pytest.mark.parametrize("scoped", [True, False])
def test_a_commit_that_fails_is_a_500(shop: Shop, notes: list[str], scoped: bool) -> None:
    """The response of the route is not sent."""

    @injected(Shop.orders)
    async def reject(orders: Orders) -> int:
        return orders.place("rejected")

    app: Any = application(reject=reject)
    client = TestClient(ScopedASGI(app, shop) if scoped else app)
    with pytest.raises(OSError, match="rejected"):
        client.get("/reject")

    assert notes == ["begin", "add rejected", "no commit"]


def test_a_commit_that_fails_is_seen_behind_a_middleware_of_the_framework(shop: Shop) -> None:
    """It streams the response, also one of known length; the server gets the exception and none of it."""

    @injected(Shop.orders)
    async def reject(orders: Orders) -> int:
        return orders.place("rejected")

    app = application(reject=reject)

    @app.middleware("http")
    async def around(request: Request, call_next: Callable[[Request], Any]) -> Any:
        return await call_next(request)

    request = ASGIRequest(path="/reject")
    request.received.append({"type": "http.request"})
    with pytest.raises(OSError, match="rejected"):
        request.run(ScopedASGI(app, shop))

    assert request.messages == []


def test_without_the_middleware_a_handler_answers_for_a_commit_that_fails(shop: Shop) -> None:
    """The scope is closed within the route."""

    @injected(Shop.orders)
    async def reject(orders: Orders) -> int:
        return orders.place("rejected")

    app = application(reject=reject)

    @app.exception_handler(OSError)
    def answer(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(str(error), 409)

    assert TestClient(app).get("/reject").status_code == 409


def test_the_scope_stays_open_while_a_response_is_streamed(shop: Shop, notes: list[str]) -> None:
    """It is closed before the end of the stream."""

    @injected(Shop.session)
    async def stream(session: Session) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            for number in range(2):
                session.add(f"chunk {number}")
                yield b"%d" % number

        return StreamingResponse(chunks())

    assert TestClient(ScopedASGI(application(stream=stream), shop)).get("/stream").text == "01"
    assert notes == ["begin", "add chunk 0", "add chunk 1", "commit"]


def test_a_background_task_has_a_scope_of_its_own(shop: Shop, notes: list[str]) -> None:
    """It runs after the response, when the scope of the request is closed."""

    @injected(Shop.orders)
    def ship(orders: Orders, name: str) -> None:
        orders.place(f"parcel of {name}")

    @injected(Shop.orders)
    async def order(orders: Orders, background: BackgroundTasks) -> None:
        orders.place("tea")
        background.add_task(ship, "tea")

    assert TestClient(ScopedASGI(application(order=order), shop)).get("/order").status_code == 200
    assert notes == ["begin", "add tea", "commit", "begin", "add parcel of tea", "commit"]


def test_each_message_of_a_websocket_has_a_scope(shop: Shop, notes: list[str]) -> None:
    """In that of the connection."""
    app = FastAPI()

    @injected(Shop.async_orders)
    async def answer(orders: Orders, name: str) -> int:
        return orders.place(name)

    @app.websocket("/")
    @injected(Shop.feed)
    async def talk(feed: list[str], socket: WebSocket) -> None:
        await socket.accept()
        async for name in socket.iter_text():
            with contextlib.suppress(OSError):
                await socket.send_text(str(await answer(name)))

    with TestClient(ScopedASGI(app, shop)).websocket_connect("/") as socket:
        socket.send_text("tea")
        assert socket.receive_text() == "3"
        socket.send_text("rejected")
        socket.send_text("mugs")
        assert socket.receive_text() == "4"

    accepted = [note for name in ("tea", "mugs") for note in ("begin async", f"add {name}", "commit")]
    rejected = ["begin async", "add rejected", "no commit"]
    assert notes == ["feed opened", *accepted[:3], *rejected, *accepted[3:], "feed closed"]


class Placing:
    def __call__(self, name: str) -> int:
        return current_scope()[Shop.orders].place(name)


PLACING = Placing()


def test_a_class_based_view_uses_the_current_scope(shop: Shop, notes: list[str]) -> None:
    """FastAPI calls an instance as a dependency."""

    async def order(length: Annotated[int, Depends(PLACING)]) -> int:
        return length

    app = application(order=order)
    assert TestClient(ScopedASGI(app, shop)).get("/order?name=tea").json() == 3
    assert notes == ["begin", "add tea", "commit"]


def test_the_middleware_may_be_added_to_the_application(shop: Shop, notes: list[str]) -> None:
    """As any other ASGI middleware."""
    app = application(names=names)
    app.add_middleware(ScopedASGI, shop)

    @app.middleware("http")
    async def around(request: Request, call_next: Callable[[Request], Any]) -> Any:
        return await call_next(request)

    with TestClient(app) as client:
        assert client.get("/names").json() == ["tea", "mugs"]
    assert notes == ["begin", "add names", "commit"]


def test_a_hosted_application_starts_its_container_and_opens_scopes() -> None:
    """The class of the container is enough, and overrides take effect."""
    shop, notes = Shop(), list[str]()

    with shop.override(Shop.notes).by(notes), TestClient(Hosted(site, shop, scopes=True)) as client:
        assert client.get("/me?token=secret").json() == "ada"
    assert notes == ["begin", "add user ada", "add order of ada", "commit"]

    with TestClient(Hosted(site, Shop, scopes=True)) as client:
        assert client.get("/names").json() == ["tea", "mugs"]
