"""The site of three frameworks in `examples/site` with its servers: one stock behind Flask, Django and FastAPI."""

from __future__ import annotations

import http.client
import importlib
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIEnvironment
from wsgiref.util import setup_testing_defaults

import pytest
from examples.site.container import Site, WSGISite
from tests.processes import Program

from typedbus import Component, running
from typedbus.servers.wsgi import WSGIServer
from typedbus.settings import Sources, load

ROOT = Path(__file__).parents[2]
SITE_TOML = ROOT / "examples" / "site" / "site.toml"


def ask(address: str, method: str, path: str) -> tuple[int, str | None, str]:
    """Return status, ``Location`` and body of the answer to one request."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.getheader("Location"), response.read().decode()
    finally:
        connection.close()


def check_sales(address: str) -> None:
    """Sell with two frameworks, and check the stock with the third."""
    assert "tea: 3 left" in ask(address, "GET", "/")[2]
    assert ask(address, "POST", "/buy/tea")[:2] == (303, "/")
    assert ask(address, "POST", "/api/goods/tea/sales") == (200, None, '{"left":1}')
    status, _, body = ask(address, "GET", "/backoffice/")
    assert (status, json.loads(body)) == (
        200,
        {"path": "/backoffice/", "sold": {"tea": 2}, "left": {"tea": 1, "mugs": 2}},
    )
    assert "tea: 1 left" in ask(address, "GET", "/")[2]
    assert [ask(address, "POST", "/buy/tea")[0] for _ in range(2)] == [303, 409]
    assert ask(address, "POST", "/api/goods/tea/sales")[0] == 409


class WSGISiteWithServer(WSGISite):
    """The site with its own WSGI server."""

    server = Component(
        WSGIServer, WSGISite.infra.bus.provided, WSGISite.front.provided, bind=WSGISite.infra.settings.provided.bind
    )


@pytest.mark.slow
@pytest.mark.parametrize("cls", [Site, WSGISiteWithServer])
def test_the_frameworks_share_one_stock_under_both_kinds_of_servers(cls: Any) -> None:
    """Started twice in one process, although Django takes its settings only once."""
    for _ in range(2):
        site = cls()
        load(site, sources=Sources(files=(str(SITE_TOML),), options={"site.bind": "127.0.0.1:0"}))
        with running(site):
            check_sales(site.server().address)


@pytest.mark.slow
@pytest.mark.parametrize("cls", [Site, WSGISiteWithServer])
def test_the_settings_define_the_paths_of_the_applications(cls: Any) -> None:
    """Links, redirects and the API description contain these paths."""
    site = cls()
    paths = {"pages.path": "/shop", "api.path": "/shop/v1", "backoffice.path": "/"}
    load(site, sources=Sources(files=(str(SITE_TOML),), options={"site.bind": "127.0.0.1:0", **paths}))

    with running(site):
        address = site.server().address
        assert 'action="/shop/buy/tea"' in ask(address, "GET", "/shop/")[2]
        assert ask(address, "POST", "/shop/buy/tea")[:2] == (303, "/shop/")
        assert json.loads(ask(address, "GET", "/")[2])["path"] == "/"
        assert ask(address, "GET", "/shop")[:2] == (308, f"http://{address}/shop/")
        assert "'/shop/v1/openapi.json'" in ask(address, "GET", "/shop/v1/docs")[2]
        assert json.loads(ask(address, "GET", "/shop/v1/openapi.json")[2])["servers"] == [{"url": "/shop/v1"}]
        assert ask(address, "GET", "/shop/v1/goods")[0] == 200
        assert ask(address, "GET", "/api/goods")[0] == 404


def test_a_hosted_site_can_be_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an exit, as in two tests of one process, requests reach the new components."""
    monkeypatch.setenv("TYPEDBUS_CONFIG", str(SITE_TOML))
    wsgi = importlib.import_module("examples.site.wsgi")
    answers = []

    for _ in range(2):
        wsgi.application.start()
        environ: WSGIEnvironment = {"PATH_INFO": "/api/goods/mugs/sales", "REQUEST_METHOD": "POST"}
        setup_testing_defaults(environ)
        answers.append(b"".join(wsgi.application(environ, lambda *arguments: lambda body: None)))
        wsgi.application.exit()

    assert answers == [b'{"left":1}'] * 2


Served = Callable[..., tuple[Program, str]]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            ["typedbus", "run", "examples.site.container:Site", "--config", str(SITE_TOML)]
            + ["--set", "site.bind=127.0.0.1:{port}"],
            id="typedbus",
        ),
        pytest.param(["uvicorn", "examples.site.asgi:application", "--port", "{port}"], id="uvicorn"),
        pytest.param(
            ["gunicorn", "-c", "python:typedbus.hosting.gunicorn", "--no-control-socket", "--threads", "4"]
            + ["--bind", "127.0.0.1:{port}", "examples.site.wsgi:application"],
            id="gunicorn",
        ),
    ],
)
def test_the_site_runs_by_itself_and_under_servers(served: Served, command: list[str]) -> None:
    """All servers give the same answers, and end in order at SIGTERM."""
    server, address = served(*command)
    check_sales(address)

    status = server.end(signal.SIGTERM)

    output = server.output
    assert status in (0, -signal.SIGTERM), output  # uvicorn ends by the signal that it was sent
    assert "Traceback" not in output
    if command[0] == "typedbus":
        assert "the API is up" in output
        assert "the API is down" in output
