"""Injected views of Flask, called by its test client."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask.views import MethodView
from tests.injection.shop import Orders, Session, Shop

from typedbus.hosting.wsgi import Hosted
from typedbus.injection import ScopedWSGI, current_scope, injected


class SoldOut(Exception):
    pass


class Placing(MethodView):
    def get(self) -> str:
        current_scope()[Shop.orders].place("tea")
        raise ValueError


def site() -> flask.Flask:
    """Return an application, whose WSGI part the tests wrap."""
    web = flask.Flask(__name__)

    @web.get("/place/<int:user>/<name>")
    @injected(Shop.orders, Shop.session)
    def place(orders: Orders, session: Session, user: int, name: str) -> str:
        assert orders.session is session
        if name == "sold":
            raise SoldOut
        if name == "gone":
            flask.abort(410)
        return str(orders.place(name) + user)

    @web.errorhandler(SoldOut)
    def sold_out(error: SoldOut) -> tuple[str, int]:
        return "sold out", 418

    @web.get("/async")
    @injected(Shop.async_orders)
    async def place_async(orders: Orders) -> str:
        return str(orders.place("tea"))

    @web.get("/stream")
    @injected(Shop.session)
    def stream(session: Session) -> Iterator[str]:
        for number in range(2):
            session.add(f"chunk {number} of {flask.request.path}" if flask.has_request_context() else f"chunk {number}")
            yield str(number)

    @web.get("/response")
    @injected(Shop.session)
    def response(session: Session) -> flask.Response:
        def chunks() -> Iterator[str]:
            for number in range(2):
                session.add(f"chunk {number}")
                yield str(number)

        return flask.Response(flask.stream_with_context(chunks()))

    @web.get("/file")
    @injected(Shop.session)
    def file(session: Session) -> flask.Response:
        session.add("file")
        return flask.send_file(io.BytesIO(b"file"), mimetype="text/plain")

    web.add_url_rule("/class", view_func=Placing.as_view("class"))
    return web


@pytest.fixture
def scoped(shop: Shop) -> Any:
    """A client of the application with a scope for each request."""
    web = site()
    web.wsgi_app = ScopedWSGI(web.wsgi_app, shop)  # type: ignore[method-assign]
    return web.test_client()


@pytest.fixture
def unscoped(shop: Shop) -> Any:
    """A client of the application without the middleware."""
    return site().test_client()


@pytest.fixture(params=["scoped", "unscoped"])
def client(request: pytest.FixtureRequest) -> Any:
    """Each of both."""
    return request.getfixturevalue(request.param)


def test_a_view_gets_its_components_before_its_parameters(client: Any, notes: list[str]) -> None:
    """The framework passes those of the path by name."""
    assert client.get("/place/7/tea").text == "10"
    assert notes == ["begin", "add tea", "commit"]


@pytest.mark.parametrize(("name", "status", "error"), [("sold", 418, "SoldOut"), ("gone", 410, "Gone")])
def test_a_handled_exception_rolls_back(client: Any, notes: list[str], name: str, status: int, error: str) -> None:
    """The framework turns it into a response."""
    assert client.get(f"/place/7/{name}").status_code == status
    assert notes == ["begin", f"rollback {error}"]


def test_a_commit_that_fails_is_a_500(unscoped: Any, scoped: Any, notes: list[str]) -> None:
    """By the framework, or by the server, which gets the exception from the middleware."""
    assert unscoped.get("/place/7/rejected").status_code == 500
    with pytest.raises(OSError, match="rejected"):
        scoped.get("/place/7/rejected")
    assert notes == ["begin", "add rejected", "no commit"] * 2


def test_an_async_view_without_the_middleware_gets_async_components(unscoped: Any, notes: list[str]) -> None:
    """The framework runs it on a loop of its own."""
    assert unscoped.get("/async").text == "3"
    assert notes == ["begin async", "add tea", "commit"]


def test_the_scope_stays_open_while_a_response_is_streamed(scoped: Any, notes: list[str]) -> None:
    """It is closed at the end."""
    assert scoped.get("/response").text == "01"
    assert notes == ["begin", "add chunk 0", "add chunk 1", "commit"]


def test_a_view_that_is_a_generator_has_its_scope_until_it_ends(client: Any, notes: list[str]) -> None:
    """The scope is closed within the iteration."""
    assert client.get("/stream").text == "01"
    assert notes == ["begin", "add chunk 0", "add chunk 1", "commit"]


def test_a_file_is_sent(client: Any, notes: list[str]) -> None:
    """The scope is closed before."""
    answer = client.get("/file")
    assert answer.data == b"file"
    assert notes == ["begin", "add file", "commit"]
    answer.close()


def test_an_exception_of_a_class_based_view_rolls_back(scoped: Any, notes: list[str]) -> None:
    """It uses the current scope, and the framework answers with 500."""
    assert scoped.get("/class").status_code == 500
    assert notes == ["begin", "add tea", "rollback FailedResponse"]


def test_the_test_client_may_keep_the_request(scoped: Any) -> None:
    """Its context variables are those of the caller."""
    with scoped:
        scoped.get("/place/7/tea?a=1")
        assert flask.request.args["a"] == "1"


def test_a_hosted_application_opens_scopes(notes: list[str], shop: Shop) -> None:
    """Within the container that it starts, or shares."""
    web = site()
    web.wsgi_app = Hosted(web.wsgi_app, shop, scopes=True)  # type: ignore[method-assign]

    assert web.test_client().get("/response").text == "01"
    assert notes == ["begin", "add chunk 0", "add chunk 1", "commit"]
