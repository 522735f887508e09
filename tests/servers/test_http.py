"""The servers of HTTP: what clients, threads and applications see of their start, their drain and their end."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib
import logging
import socket
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias
from wsgiref.types import StartResponse, WSGIEnvironment

import attrs
import pytest
import uvicorn

from typedbus import Bus, TransitionFailures
from typedbus._bus.builtin import EXIT, LOG, MOVED, START, STOP
from typedbus._bus.bus import parts_of
from typedbus.servers.asgi import ASGIServer, LifespanError
from typedbus.servers.serving import NoServer, Serving, SettingError
from typedbus.servers.wsgi import WSGIServer

Kind: TypeAlias = Literal["wsgi", "asgi"]
KINDS: list[Kind] = ["wsgi", "asgi"]

BODY = b"every byte of it" * 1000


@attrs.define(eq=False)
class Site:
    """One application in both languages: it answers `/`, hangs in `/slow` until let go, and fails in `/fail`."""

    arrived: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    go_on: threading.Event = attrs.field(factory=threading.Event)
    ended: threading.Event = attrs.field(factory=threading.Event)
    answered: int = 0
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    turns: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = attrs.field(factory=list)

    def let_go(self) -> None:
        """Let what is slow go on."""
        self.go_on.set()
        for loop, turned in self.turns:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(turned.set)

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self.lock:
            self.answered += 1
        if environ["PATH_INFO"] == "/slow":
            self.arrived.release()
            self.go_on.wait()
            self.ended.set()
        if environ["PATH_INFO"] == "/fail":
            raise LookupError("no such order")
        if environ["PATH_INFO"] == "/leave":
            sys.exit(3)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
        return [BODY]

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        self.answered += 1
        if scope["path"] == "/slow":
            self.arrived.release()
            try:
                while not self.go_on.is_set():
                    turned = asyncio.Event()
                    self.turns.append((asyncio.get_running_loop(), turned))
                    await turned.wait()
            finally:
                self.ended.set()
        if scope["path"] == "/fail":
            raise LookupError("no such order")
        headers = [(b"content-length", str(len(BODY)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})


@attrs.define(eq=False)
class Served:
    """A server of one kind on a bus, and what it told."""

    site: Site
    bus: Bus
    server: Serving
    told: list[tuple[str, int]]

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.server.address, timeout=30)
        connection.connect()
        return connection


Serve: TypeAlias = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers; all of them are stopped at the end."""
    made: list[Served] = []

    def serve_site(kind: Kind, **fields: Any) -> Served:
        site, bus, told = Site(), Bus(), []
        fields = {"bind": "127.0.0.1:0"} | fields
        server: Serving = (
            WSGIServer(bus, site.wsgi, **fields) if kind == "wsgi" else ASGIServer(bus, site.asgi, **fields)
        )
        bus.subscribe(START, server.start, priority=75)
        bus.subscribe(STOP, server.stop, priority=75)
        bus.subscribe(EXIT, server.exit, priority=75)
        bus.subscribe(MOVED, server.give_up)
        bus.subscribe(LOG, lambda message, level: told.append((message, level)))
        made.append(Served(site, bus, server, told))
        bus.start()
        return made[-1]

    yield serve_site
    for one in made:
        one.site.let_go()
        one.bus.exit()
        one.bus.block()


def get(connection: http.client.HTTPConnection, path: str = "/") -> tuple[int, bytes, bool]:
    """Return status and body of *path*, and whether the connection ends with it."""
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read(), response.getheader("connection", "").lower() == "close"


class Load:
    """Clients that ask again and again until nobody lets them connect, and what became of each request."""

    def __init__(self, address: str, clients: int, *, stays_open: bool) -> None:
        self.address = address
        self.stays_open = stays_open
        self.answered = 0
        self.lost: list[str] = []
        self.lock = threading.Lock()
        #: Released with each answer.
        self.going = threading.Semaphore(0)
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def wait_for(self, answers: int) -> None:
        for _ in range(answers):
            assert self.going.acquire(timeout=30)

    def end(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def ask(self) -> None:
        while not self.over.is_set():
            connection = http.client.HTTPConnection(self.address, timeout=30)
            try:
                connection.connect()
            except ConnectionRefusedError:
                return
            try:
                while True:
                    status, body, closes = get(connection)
                    assert (status, body) == (200, BODY)
                    with self.lock:
                        self.answered += 1
                    self.going.release()
                    if closes or not self.stays_open or self.over.is_set():
                        break
            except Exception as error:
                self.lost.append(repr(error))
            finally:
                connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_at_once_after_the_start_is_answered(serve: Serve, kind: Kind) -> None:
    """Ready means accepting."""
    served = serve(kind)
    connection = served.connect()

    assert get(connection) == (200, BODY, False)
    assert get(connection) == (200, BODY, False)
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_http_is_served_over_the_file_system(serve: Serve, kind: Kind, tmp_path: Path) -> None:
    """As a proxy on the same machine asks for it."""
    path = tmp_path / "site.sock"
    serve(kind, bind=f"unix:{path}")
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))

    assert get(connection) == (200, BODY, False)
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_http_is_served_on_a_socket_that_is_given(serve: Serve, kind: Kind) -> None:
    """Its backlog outlives a stop."""
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        served = serve(kind, bind=given)
        address = served.server.address
        served.bus.stop()
        connection = http.client.HTTPConnection(address, timeout=30)
        connection.connect()

        served.bus.start()

        assert get(connection) == (200, BODY, False)
        connection.close()
        served.bus.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_an_idle_server_stops_at_once(serve: Serve, kind: Kind) -> None:
    """Nothing is waited for where nothing is under way; nobody polls."""
    served = serve(kind)
    began = time.monotonic()

    served.bus.stop()

    # It takes some milliseconds; half a second is what cheroot and uvicorn wait by themselves at the least.
    assert time.monotonic() - began < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stays_open", [False, True], ids=["closing", "keeping"])
def test_a_stop_under_load_loses_nothing(serve: Serve, kind: Kind, stays_open: bool) -> None:
    """Each client that connected is answered in full, and each request that the application began has its answer."""
    served = serve(kind)
    load = Load(served.server.address, 16, stays_open=stays_open)
    load.wait_for(200)

    served.bus.stop()
    load.end()

    assert load.lost == []
    assert load.answered == served.site.answered
    assert [message for message, _ in served.told[1:]] == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stays_open", [False, True], ids=["closing", "keeping"])
@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0"])
def test_no_stop_under_load_loses_anything(serve: Serve, kind: Kind, stays_open: bool, bind: str) -> None:
    """Again and again, since what is lost is lost within microseconds."""
    served = serve(kind, bind=bind)
    for _ in range(25):
        before = served.site.answered
        load = Load(served.server.address, 16, stays_open=stays_open)
        load.wait_for(50)
        served.bus.stop()
        load.end()
        assert load.lost == []
        assert load.answered == served.site.answered - before
        served.bus.start()


@pytest.mark.parametrize("kind", KINDS)
def test_graceful_under_load_loses_nothing(serve: Serve, kind: Kind) -> None:
    """A server serves on, over connections that stay open as well."""
    served = serve(kind)
    load = Load(served.server.address, 4, stays_open=True)

    for _ in range(5):
        load.wait_for(10)
        served.bus.graceful()
    load.wait_for(10)
    load.end()

    assert load.lost == []
    assert load.answered == served.site.answered


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_under_way_is_finished(serve: Serve, kind: Kind) -> None:
    """A stop waits for it, and its response says that the connection ends."""
    served = serve(kind)
    connection = served.connect()
    connection.request("GET", "/slow")
    served.site.arrived.acquire(timeout=30)
    address = served.server.address
    stopper = threading.Thread(target=served.bus.stop)
    stopper.start()
    # When nobody can connect any more, the drain has begun.
    refused_by(address)

    served.site.let_go()
    response = connection.getresponse()
    body = response.read()
    stopper.join(30)

    assert (response.status, body, response.getheader("connection")) == (200, BODY, "close")
    assert [message for message, _ in served.told[1:]] == []
    connection.close()


def refused_by(address: str) -> None:
    """Return when nobody can connect to *address* any more: they hear nothing, or that nobody listens."""
    while True:
        try:
            socket.create_connection(address.rsplit(":", 1), timeout=0.05).close()  # type: ignore[arg-type]
        except (ConnectionRefusedError, TimeoutError):
            return


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_over_the_time_to_drain_is_cut_off_and_told(serve: Serve, kind: Kind) -> None:
    """The client sees its connection end, and the bus says how many there were."""
    served = serve(kind, drain=0.05)
    connections = [served.connect() for _ in range(2)]
    for connection in connections:
        connection.request("GET", "/slow")
    for _ in connections:
        served.site.arrived.acquire(timeout=30)
    address = served.server.address

    served.bus.stop()

    for connection in connections:
        with pytest.raises((ConnectionError, http.client.BadStatusLine)):
            connection.getresponse()
        connection.close()
    assert served.told[1:] == [(f"2 request(s) on {address} cut off after 0.05 s of draining", logging.WARNING)]


def test_an_asgi_request_that_is_cut_off_is_cancelled(serve: Serve) -> None:
    """It can undo what it had begun."""
    served = serve("asgi", drain=0.0)
    connection = served.connect()
    connection.request("GET", "/slow")
    served.site.arrived.acquire(timeout=30)

    stopper = threading.Thread(target=served.bus.stop)
    stopper.start()

    assert served.site.ended.wait(30)
    served.site.let_go()
    stopper.join(30)
    connection.close()


def test_a_wsgi_thread_that_is_cut_off_is_owned_by_the_bus(serve: Serve) -> None:
    """It ends when the application returns; until then `block` names it."""
    served = serve("wsgi", drain=0.0)
    connection = served.connect()
    connection.request("GET", "/slow")
    served.site.arrived.acquire(timeout=30)
    served.bus.stop()

    running = [thread for thread in parts_of(served.bus).loop.threads if thread.is_alive()]
    served.site.let_go()
    for thread in running:
        thread.join(30)

    assert "wsgi" in {thread.name[:4] for thread in running}
    assert not any(thread.is_alive() for thread in running)
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_has_just_connected_may_still_ask(serve: Serve, kind: Kind) -> None:
    """To it the connection is there, so it gets an answer; nobody else is let in."""
    served = serve(kind)
    connection = served.connect()
    address = served.server.address
    stopper = threading.Thread(target=served.bus.stop)
    stopper.start()
    refused_by(address)

    answer = get(connection)
    stopper.join(30)

    assert answer == (200, BODY, True)
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_is_kept_open_ends_soon(serve: Serve, kind: Kind) -> None:
    """A stop does not wait for the time that an idle connection may stay open."""
    served = serve(kind)
    connection = served.connect()
    get(connection)
    began = time.monotonic()

    served.bus.stop()

    assert time.monotonic() - began < 4
    assert connection.sock.recv(1) == b""
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_never_asks_is_let_go(serve: Serve, kind: Kind) -> None:
    """A stop gives it a second from when it connected, not the whole time to drain."""
    served = serve(kind, drain=60.0)
    connection = served.connect()

    served.bus.stop()

    assert connection.sock.recv(1) == b""
    connection.close()


def test_a_silent_wsgi_client_costs_no_thread(serve: Serve) -> None:
    """Others are served by the only one, and who is silent for too long is let go."""
    served = serve("wsgi", threads=1, timeout=0.1)
    silent = [served.connect() for _ in range(3)]
    connection = served.connect()

    assert get(connection) == (200, BODY, False)
    assert [one.sock.recv(1) for one in silent] == [b""] * 3
    for one in [connection, *silent]:
        one.close()


def test_wsgi_requests_wait_for_a_thread(serve: Serve) -> None:
    """As many as there are threads are answered side by side, and one more later."""
    served = serve("wsgi", threads=2)
    connections = [served.connect() for _ in range(3)]
    for connection in connections:
        connection.request("GET", "/slow")
    served.site.arrived.acquire(timeout=30)
    served.site.arrived.acquire(timeout=30)
    third = served.site.arrived.acquire(blocking=False)
    served.site.let_go()

    assert not third
    assert [connection.getresponse().read() for connection in connections] == [BODY] * 3
    for connection in connections:
        connection.close()


def test_requests_that_are_sent_at_once_are_answered_one_by_one(serve: Serve) -> None:
    """What a thread has read beyond its request is the next one."""
    served = serve("wsgi")
    with socket.create_connection(served.server.address.rsplit(":", 1)) as client:  # type: ignore[arg-type]
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: client.recv(1 << 16), b""))

    assert answers.count(b"HTTP/1.1 200 OK") == 2


def test_a_response_arrives_although_the_request_was_not_read(serve: Serve) -> None:
    """What is left of a request does not reset the connection under its response."""
    served = serve("wsgi")
    with socket.create_connection(served.server.address.rsplit(":", 1)) as client:  # type: ignore[arg-type]
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n")
        client.sendall(b"x" * 1_000_000)
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))

    assert answer.endswith(BODY)


def test_a_wsgi_application_that_raises_is_answered_for_and_told(serve: Serve) -> None:
    """The client gets 500, the bus the traceback, and the server serves on."""
    served = serve("wsgi")
    connection = served.connect()

    assert get(connection, "/fail")[0] == 500
    connection.close()
    connection = served.connect()
    assert get(connection) == (200, BODY, False)
    connection.close()
    ((message, level),) = served.told[1:]
    assert level == logging.ERROR
    assert message.startswith("LookupError('no such order')\nTraceback")
    assert "in wsgi" in message


def test_an_asgi_application_that_raises_is_answered_for_and_told(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets 500, uvicorn's logger the traceback, and the server serves on."""
    served = serve("asgi")
    connection = served.connect()

    assert get(connection, "/fail")[0] == 500
    connection.close()
    connection = served.connect()
    assert get(connection) == (200, BODY, False)
    connection.close()
    assert "no such order" in caplog.text


@pytest.mark.slow
def test_a_wsgi_application_that_leaves_exits_the_bus(serve: Serve) -> None:
    """sys.exit in a request is the cause of an exit, with its status."""
    served = serve("wsgi")
    connection = served.connect()

    connection.request("GET", "/leave")
    with pytest.raises(SystemExit) as left:
        served.bus.block()

    assert left.value.code == 3
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_whose_socket_breaks_takes_the_bus_down(serve: Serve, kind: Kind) -> None:
    """As a thread that dies: in order, and with its error."""
    served = serve(kind)
    run = served.server._run
    assert run is not None

    run.listening.socket.shutdown(socket.SHUT_RDWR)
    with pytest.raises(OSError, match="Invalid argument"):
        served.bus.block()


@pytest.mark.parametrize("field", ["threads", "timeout"])
@pytest.mark.parametrize("value", [-1, "1", None, True])
def test_wsgi_fields_of_another_kind_are_told(field: str, value: object) -> None:
    """When the server is declared."""
    with pytest.raises(SettingError, match=f"^{field}={value!r} is not valid; give a"):
        WSGIServer(Bus(), Site().wsgi, **{field: value})  # type: ignore[arg-type]


def test_no_threads_serve_nothing() -> None:
    """There is at least one."""
    with pytest.raises(SettingError, match="whole number from 1 up"):
        WSGIServer(Bus(), Site().wsgi, threads=0)


@pytest.mark.parametrize("server", [WSGIServer, ASGIServer])
def test_an_application_can_be_called(server: Any) -> None:
    """Its name, for instance, cannot."""
    with pytest.raises(SettingError, match="app='site:app' is not valid; give an? [AW]SGI application"):
        server(Bus(), "site:app")


Lifespan: TypeAlias = Callable[[Any, Callable[[Any], Awaitable[None]]], Awaitable[None]]


def spanning(lifespan: Lifespan, mode: Literal["auto", "on"] = "auto") -> tuple[Bus, ASGIServer, threading.Event]:
    """Return a server of an application with this lifespan, its bus, and what is set by the first request."""
    asked = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        asked.set()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    bus = Bus()
    config = uvicorn.Config(app, log_config=None, lifespan=mode)
    server = ASGIServer(bus, config, bind="127.0.0.1:0")
    bus.subscribe(START, server.start, priority=75)
    bus.subscribe(STOP, server.stop, priority=75)
    bus.subscribe(MOVED, server.give_up)
    return bus, server, asked


def raised_by(transition: Callable[[], None]) -> BaseException:
    """Return the one failure of *transition*."""
    with pytest.raises(TransitionFailures) as failures:
        transition()
    (failure,) = failures.value.exceptions
    return failure


def test_a_lifespan_is_a_part_of_start_and_stop() -> None:
    """It is up before the start returns, and down when the stop does, at each of them."""
    said: list[str] = []

    async def lifespan(receive: Any, send: Any) -> None:
        for phase in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{phase}"
            said.append(phase)
            await send({"type": f"lifespan.{phase}.complete"})

    bus, _, _ = spanning(lifespan)
    for _ in range(2):
        bus.start()
        assert said.pop() == "startup"
        bus.stop()
        assert said.pop() == "shutdown"


def test_a_lifespan_that_fails_is_a_failure_of_the_start() -> None:
    """With what the application says, and nothing listens afterwards."""

    async def lifespan(receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    bus, server, _ = spanning(lifespan)
    failure = raised_by(bus.start)

    assert isinstance(failure, LifespanError)
    assert str(failure) == "the application failed in its lifespan startup: no database"
    assert server._run is None


def test_a_lifespan_that_raises_is_no_lifespan() -> None:
    """So the specification says; where one is required, it is a failure of the start with its cause."""

    async def lifespan(receive: Any, send: Any) -> None:
        raise OSError("no database")

    bus, server, asked = spanning(lifespan)
    bus.start()
    connection = http.client.HTTPConnection(server.address, timeout=30)
    assert get(connection)[0] == 204
    connection.close()
    bus.stop()
    assert asked.is_set()

    bus, _, _ = spanning(lifespan, "on")
    failure = raised_by(bus.start)
    assert str(failure) == "the application failed in its lifespan startup: OSError('no database')"
    assert isinstance(failure.__cause__, OSError)


@pytest.mark.parametrize("raises", [True, False], ids=["raises", "says so"])
def test_a_lifespan_that_fails_at_the_end_is_a_failure_of_the_stop(raises: bool) -> None:
    """It is not only logged."""

    async def lifespan(receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if raises:
            raise OSError("not saved")
        await send({"type": "lifespan.shutdown.failed", "message": "not saved"})

    bus, _, _ = spanning(lifespan)
    bus.start()
    failure = raised_by(bus.stop)

    assert str(failure).startswith("the application failed in its lifespan shutdown: ")
    assert "not saved" in str(failure)


def test_a_start_of_asgi_that_is_interrupted_leaves_nothing_behind() -> None:
    """An application that is still starting is cancelled."""
    starting, cancelled = threading.Event(), threading.Event()

    async def lifespan(receive: Any, send: Any) -> None:
        starting.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    bus, server, _ = spanning(lifespan)
    starter = threading.Thread(target=lambda: failures.append(raised_by(bus.start)))
    failures: list[BaseException] = []
    starter.start()
    assert starting.wait(30)
    run = server._run
    assert run is not None

    run.outcome.put(OSError("given up"))
    starter.join(30)

    assert str(failures[0]) == "given up"
    assert cancelled.is_set()


@pytest.mark.parametrize(("module", "library", "extra"), [("wsgi", "cheroot", "wsgi"), ("asgi", "uvicorn", "asgi")])
def test_a_server_whose_library_is_missing_says_what_to_install(
    module: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import fails with the name of the extra."""
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    for name in (f"typedbus.servers.{module}", f"typedbus.servers._{library}", "typedbus.servers._http"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    with pytest.raises(NoServer) as told:
        importlib.import_module(f"typedbus.servers.{module}")

    assert str(told.value) == (
        f'typedbus.servers.{module} needs {library}, which is not installed: pip install "typedbus[{extra}]"'
    )


def test_an_error_of_what_an_application_works_with_is_told(serve: Serve) -> None:
    """A database that hangs up is not taken for a client that does."""
    served = serve("wsgi")
    closed: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            raise ConnectionResetError("the database has gone")

        def close(self) -> None:
            closed.append("closed")

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Body()

    served.bus.stop()
    assert isinstance(served.server, WSGIServer)
    served.server.app = app
    served.bus.start()
    connection = served.connect()
    assert get(connection)[0] == 500
    connection.close()

    assert closed == ["closed"]
    assert ["the database has gone" in message for message, level in served.told if level == logging.ERROR] == [True]


def test_a_client_that_leaves_is_not_told(serve: Serve) -> None:
    """Clients leave as they like, also in the middle of what they send."""
    served = serve("wsgi")
    read = threading.Event()

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            start_response("200 OK", [])
            return [environ["wsgi.input"].read(10)]
        finally:
            read.set()

    served.bus.stop()
    assert isinstance(served.server, WSGIServer)
    served.server.app = app
    served.bus.start()
    with socket.create_connection(served.server.address.rsplit(":", 1)) as client:  # type: ignore[arg-type]
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
    assert read.wait(30)
    served.bus.stop()

    assert [message for message, level in served.told if level == logging.ERROR] == []


def test_a_wsgi_application_hears_where_it_is_and_who_asks(serve: Serve, tmp_path: Path) -> None:
    """Over the network with ports, and without over the file system."""
    served = serve("wsgi")
    heard: list[WSGIEnvironment] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        heard.append(environ)
        start_response("204 No Content", [])
        return []

    assert isinstance(served.server, WSGIServer)
    served.server.app = app
    served.bus.stop()
    served.bus.start()
    connection = served.connect()
    get(connection)
    port = connection.sock.getsockname()[1]
    connection.close()
    assert served.server.address == "127.0.0.1:" + heard[0]["SERVER_PORT"]
    assert (heard[0]["REMOTE_ADDR"], heard[0]["REMOTE_PORT"]) == ("127.0.0.1", str(port))

    served.bus.stop()
    served.server.bind = f"unix:{tmp_path / 'x'}"
    served.bus.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "x"))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 204")
    assert (heard[1]["SERVER_PORT"], heard[1]["REMOTE_ADDR"]) == ("", "")


@pytest.mark.slow
def test_a_client_that_does_not_end_its_connection_is_let_go(serve: Serve) -> None:
    """The end of the connection is said at once, and its own is waited for a second, not the whole time to drain."""
    served = serve("wsgi", drain=60.0)
    with socket.create_connection(served.server.address.rsplit(":", 1), timeout=30) as client:  # type: ignore[arg-type]
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        began = time.monotonic()
        while client.recv(1 << 16):
            pass
        heard = time.monotonic()
        served.bus.stop()

    assert heard - began < 0.9
    assert time.monotonic() - heard < 20


def test_a_client_that_stops_in_the_middle_is_let_go(serve: Serve) -> None:
    """A thread waits for the rest of a request no longer than *timeout*."""
    served = serve("wsgi", threads=1, timeout=0.1)
    with socket.create_connection(served.server.address.rsplit(":", 1), timeout=30) as client:  # type: ignore[arg-type]
        client.sendall(b"GET / HT")
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))

    assert answer.startswith(b"HTTP/1.1 408 ")
