"""An inspector in the application of a site, over WSGI and ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import setup_testing_defaults

import pytest
from tests.inspector.clients import TOKEN, Client, check_schema

from typedbus import Bus, Component, Container, running
from typedbus.inspector import Inspector, TokenNeeded
from typedbus.plugins._asgi_scopes import Receive, Scope, Send
from typedbus.plugins.health import READY, Check, Health
from typedbus.servers.asgi import ASGIServer
from typedbus.servers.wsgi import WSGIServer

HOSTS = ("shop.example",)


def call_wsgi(
    app: Any, path: str, *, mount: str = "", method: str = "GET", **environ: str
) -> tuple[int, dict[str, str], bytes]:
    found: list[Any] = []
    full: WSGIEnvironment = {"REQUEST_METHOD": method, "SCRIPT_NAME": mount, "HTTP_HOST": "shop.example", **environ}
    setup_testing_defaults(full)
    full["PATH_INFO"], _, full["QUERY_STRING"] = path.partition("?")
    body = b"".join(app(full, lambda status, headers: found.append((status, headers))))
    status, headers = found[0]
    return int(status.partition(" ")[0]), {name.lower(): value for name, value in headers}, body


def call_asgi(
    app: Any, path: str, *, mount: str = "", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    path, _, query = path.partition("?")
    raw = [(b"host", b"shop.example")] if "host" not in headers else []
    raw += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": method,
        "path": mount + path,
        "root_path": mount,
        "query_string": query.encode(),
        "headers": raw,
    }
    asyncio.run(app(scope, receive, send))
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, sent[1]["body"]


def test_a_mounted_inspector_needs_a_token_of_its_own() -> None:
    """The random one would be in the log for an address that no client opens."""
    inspector = Inspector(Bus(), bind=None)

    with pytest.raises(TokenNeeded, match="a mounted inspector"):
        inspector.wsgi  # noqa: B018
    with pytest.raises(TokenNeeded):
        inspector.asgi  # noqa: B018


def test_without_an_address_it_does_not_serve() -> None:
    """It still records from its construction on."""
    bus = Bus()
    inspector = Inspector(bus, bind=None, token=TOKEN, hosts=HOSTS)
    inspector.start()
    bus.log("hello")

    status, _, body = call_wsgi(inspector.wsgi, "/api/v1/snapshot?open=log", HTTP_X_TYPEDBUS_TOKEN=TOKEN)
    inspector.close()

    assert (status, inspector.url) == (200, None)
    assert [line["text"] for line in check_schema("/api/v1/snapshot", status, body)["log"]] == ["hello"]


CASES = [
    ("/api/v1/health", {}, 401),
    ("/api/v1/health", {"token": TOKEN}, 200),
    ("/api/v1/health", {"token": TOKEN + ","}, 401),
    ("/api/v1/health", {"token": TOKEN, "host": "evil.example"}, 421),
    ("/api/v1/health", {"token": TOKEN, "host": "shop.example:8443"}, 200),
    ("/api/v1/health", {"token": TOKEN, "host": "localhost:1234"}, 200),
    ("/api/v1/nothing", {"token": TOKEN}, 404),
    ("/api/v1/probe", {"token": TOKEN}, 405),
    ("", {}, 308),
]


@pytest.mark.parametrize(("path", "headers", "status"), CASES)
@pytest.mark.parametrize("mount", ["", "/internal/inspector"])
def test_both_interfaces_have_the_same_answers(path: str, headers: dict[str, str], status: int, mount: str) -> None:
    """And every answer has the headers."""
    inspector = Inspector(Bus(), bind=None, token=TOKEN, hosts=HOSTS)
    wsgi_names = {"token": "HTTP_X_TYPEDBUS_TOKEN", "host": "HTTP_HOST"}
    asgi_names = {"token": "x_typedbus_token", "host": "host"}

    by_wsgi = call_wsgi(inspector.wsgi, path, mount=mount, **{wsgi_names[key]: text for key, text in headers.items()})
    by_asgi = call_asgi(inspector.asgi, path, mount=mount, **{asgi_names[key]: text for key, text in headers.items()})

    assert by_wsgi == by_asgi
    assert by_wsgi[0] == status
    assert "default-src 'none'" in by_wsgi[1]["content-security-policy"]


def test_a_mount_point_without_a_slash_leads_to_the_page() -> None:
    """By an address relative to it, whatever is in front of the site."""
    inspector = Inspector(Bus(), bind=None, token=TOKEN, hosts=HOSTS)

    status, headers, _ = call_wsgi(inspector.wsgi, "", mount="/a/b:c")

    assert (status, headers["location"]) == (308, "b%3Ac/")


def test_a_probe_over_asgi_may_call_async_checks_of_the_same_loop() -> None:
    """The answer is computed in another thread, for which the loop is free."""
    bus = Bus()

    async def check() -> Check:
        await asyncio.sleep(0)
        return Check(is_ok=True, detail="connected")

    bus[READY].subscribe(check)

    async def probe() -> tuple[int, bytes]:
        await bus.start_async()
        sent: list[Any] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"x-typedbus-token", TOKEN.encode())]
        scope = {"type": "http", "method": "POST", "path": "/api/v1/probe", "headers": headers}
        await inspector.asgi(scope, send, send)  # type: ignore[arg-type]
        await bus.exit_async()
        return sent[0]["status"], sent[1]["body"]

    inspector = Inspector(bus, bind=None, token=TOKEN)
    status, body = asyncio.run(probe())

    data = check_schema("/api/v1/probe", status, body)
    assert [(one["ok"], one["detail"]) for one in data["ready"]["checks"]] == [(True, "connected")]


class Page:
    """An application with the inspector below /inspector."""

    def __init__(self, inspector: Inspector) -> None:
        self.inspector = inspector

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        assert environ["PATH_INFO"].startswith("/inspector")
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/inspector")
        environ["SCRIPT_NAME"] = "/inspector"
        return self.inspector.wsgi(environ, start_response)

    @property
    def asgi(self) -> Callable[[Scope, Receive, Send], Coroutine[object, object, None]]:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self.inspector.asgi({**scope, "root_path": "/inspector"}, receive, send)

        return app


class WSGISite(Container):
    bus = Component(Bus)
    health = Component(Health, bus.provided)
    inspector = Component(Inspector, bus.provided, bind=None, token=TOKEN, health=health.lazy)
    page = Component(Page, inspector.provided)
    server = Component(WSGIServer, bus.provided, page.provided.wsgi, bind="127.0.0.1:0")


class ASGISite(Container):
    bus = Component(Bus)
    health = Component(Health, bus.provided)
    inspector = Component(Inspector, bus.provided, bind=None, token=TOKEN, health=health.lazy)
    page = Component(Page, inspector.provided)
    server = Component(ASGIServer, bus.provided, page.provided.asgi, bind="127.0.0.1:0")


@pytest.mark.parametrize("site_class", [WSGISite, ASGISite])
def test_servers_of_a_site_serve_it(site_class: type[WSGISite | ASGISite]) -> None:
    """The probes are those of the health component of the site."""
    with running(site_class()) as site:
        client = Client(int(site.server().address.rpartition(":")[2]))
        status, _, body = client.request("/inspector/api/v1/probe", method="POST", body=b"")
        probed = check_schema("/api/v1/probe", status, body)
        assert probed["ready"]["ok"]
        assert site.health().last_ready is not None
        status, _, body = client.request("/inspector/api/v1/health")
        assert check_schema("/api/v1/health", status, body) == probed
        assert client.request("/inspector")[1]["location"] == "inspector/"
