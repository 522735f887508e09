"""The middlewares under real servers: what a client receives, and what happens when it disconnects."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import cheroot.wsgi
import flask
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from tests.doubles import LIMIT
from tests.injection.shop import Orders, Session, Shop
from tests.processes import until

from typedbus.injection import ScopedASGI, ScopedWSGI, injected

Serve = Callable[[Shop], AbstractContextManager[int]]


def fastapi_site() -> FastAPI:
    site = FastAPI()

    @site.get("/place/{name}")
    @injected(Shop.orders)
    async def place(orders: Orders, name: str) -> int:
        return orders.place(name)

    @site.get("/stream/{name}")
    @injected(Shop.orders)
    async def stream(orders: Orders, name: str) -> StreamingResponse:
        orders.place(name)

        async def chunks() -> AsyncIterator[bytes]:
            yield b"0"
            while name == "endless":
                await asyncio.sleep(0.001)
                yield b"more"

        return StreamingResponse(chunks())

    return site


def flask_site() -> Any:
    site = flask.Flask(__name__)

    @site.get("/place/<name>")
    @injected(Shop.orders)
    def place(orders: Orders, name: str) -> str:
        return str(orders.place(name))

    @site.get("/stream/<name>")
    @injected(Shop.session)
    def stream(session: Session, name: str) -> flask.Response:
        session.add(name)

        def chunks() -> Iterator[bytes]:
            yield b"0"
            while name == "endless":
                yield b"more" * 1000

        return flask.Response(chunks())

    return site.wsgi_app


@contextlib.contextmanager
def uvicorn_of(shop: Shop) -> Iterator[int]:
    """Serve the site of FastAPI; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(ScopedASGI(fastapi_site(), shop), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until(lambda: server.started, limit=LIMIT)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def cheroot_of(shop: Shop) -> Iterator[int]:
    """Serve the site of Flask; yield the port."""
    server: Any = cheroot.wsgi.Server(("127.0.0.1", 0), ScopedWSGI(flask_site(), shop), numthreads=2)
    server.error_log = lambda *args, **kwargs: None
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server.bind_addr[1]
    finally:
        server.stop()
        thread.join()
        del server
        gc.collect()


@pytest.fixture(params=[uvicorn_of, cheroot_of])
def port(request: pytest.FixtureRequest, shop: Shop) -> Iterator[int]:
    """The port of each server."""
    serve: Serve = request.param
    with serve(shop) as port:
        yield port


def ask(port: int, path: str) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.slow
def test_the_client_of_a_commit_that_fails_gets_a_500(port: int, notes: list[str]) -> None:
    """And the next request is answered."""
    assert ask(port, "/place/rejected")[0] == 500
    assert ask(port, "/place/tea") == (200, b"3")
    assert notes == ["begin", "add rejected", "no commit", "begin", "add tea", "commit"]


@pytest.mark.slow
def test_the_client_of_a_stream_whose_commit_fails_finds_it_incomplete(port: int, notes: list[str]) -> None:
    """The server closes the connection."""
    with pytest.raises(http.client.HTTPException):
        ask(port, "/stream/rejected")
    assert ask(port, "/stream/tea") == (200, b"0")
    assert notes == ["begin", "add rejected", "no commit", "begin", "add tea", "commit"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # cheroot flushes to the closed socket
def test_a_client_that_disconnects_from_a_stream_rolls_back(port: int, notes: list[str]) -> None:
    """The rest of the stream is not produced."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection:
        connection.sendall(b"GET /stream/endless HTTP/1.1\r\nHost: test\r\n\r\n")
        assert connection.recv(1000)
    until(lambda: len(notes) == 3, lambda: str(notes), limit=LIMIT)

    assert notes[:2] == ["begin", "add endless"]
    assert notes[2].startswith("rollback ")
