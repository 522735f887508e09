"""The HTTP servers: their start, their drain and their end, as seen by clients, threads and applications."""

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
from tests.processes import shortest
from tests.servers.lifespans import failing_cleanup

from typedbus import Bus, StartCancelled, TransitionFailures
from typedbus._bus.builtin import EXIT, LOG, MOVED, START, STOP
from typedbus._bus.bus import parts_of
from typedbus.servers.asgi import ASGIServer, LifespanError
from typedbus.servers.serving import NoServer, Serving, SettingError
from typedbus.servers.wsgi import WSGIServer

Kind: TypeAlias = Literal["wsgi", "asgi", "asgi on the loop of the bus"]
ASGI_KINDS: list[Kind] = ["asgi", "asgi on the loop of the bus"]
KINDS: list[Kind] = ["wsgi", *ASGI_KINDS]
LOOPS: list[Literal["own", "shared"]] = ["own", "shared"]

BODY = b"every byte of it" * 1000


@attrs.define(eq=False)
class Site:
    """An application in WSGI and in ASGI: it answers `/`, hangs in `/slow` until `release`, and fails in `/fail`."""

    arrived: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    is_released: threading.Event = attrs.field(factory=threading.Event)
    has_ended: threading.Event = attrs.field(factory=threading.Event)
    answer_count: int = 0
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    wake_ups: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = attrs.field(factory=list)

    def release(self) -> None:
        """Let the requests to `/slow` continue."""
        self.is_released.set()
        for loop, wake_up in self.wake_ups:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(wake_up.set)

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self.lock:
            self.answer_count += 1
        if environ["PATH_INFO"] == "/slow":
            self.arrived.release()
            self.is_released.wait()
            self.has_ended.set()
        if environ["PATH_INFO"] == "/fail":
            raise LookupError("no such order")
        if environ["PATH_INFO"] == "/leave":
            sys.exit(3)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
        return [BODY]

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        self.answer_count += 1
        if scope["path"] == "/slow":
            self.arrived.release()
            try:
                while not self.is_released.is_set():
                    wake_up = asyncio.Event()
                    self.wake_ups.append((asyncio.get_running_loop(), wake_up))
                    await wake_up.wait()
            finally:
                self.has_ended.set()
        if scope["path"] == "/fail":
            raise LookupError("no such order")
        headers = [(b"content-length", str(len(BODY)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})


@attrs.define(eq=False)
class Served:
    """A server of one kind on a bus, and the log of the bus."""

    site: Site
    bus: Bus
    server: Serving
    log: list[tuple[str, int]]

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.server.address, timeout=30)
        connection.connect()
        return connection


Serve: TypeAlias = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers; all of them are stopped at the end."""
    services: list[Served] = []

    def serve_site(kind: Kind, **fields: Any) -> Served:
        site, bus, log = Site(), Bus(), []
        fields = {"bind": "127.0.0.1:0"} | fields
        server: Serving
        if kind == "wsgi":
            server = WSGIServer(bus, site.wsgi, **fields)
        else:
            server = ASGIServer(bus, site.asgi, loop="own" if kind == "asgi" else "shared", **fields)
        bus.subscribe(START, server.start, priority=75)
        bus.subscribe(STOP, server.stop, priority=75)
        bus.subscribe(EXIT, server.exit, priority=75)
        bus.subscribe(MOVED, server.give_up)
        bus.subscribe(LOG, lambda message, level: log.append((message, level)))
        services.append(Served(site, bus, server, log))
        bus.start()
        return services[-1]

    yield serve_site
    for service in services:
        service.site.release()
        service.bus.exit()
        service.bus.block()


def get(connection: http.client.HTTPConnection, path: str = "/") -> tuple[int, bytes, bool]:
    """Return status and body of *path*, and whether the connection ends with it."""
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read(), response.getheader("connection", "").lower() == "close"


class Load:
    """Clients that send one request after the other until no server accepts them, and the outcomes."""

    def __init__(self, address: str, clients: int, *, stays_open: bool) -> None:
        self.address = address
        self.stays_open = stays_open
        self.answer_count = 0
        self.failures: list[str] = []
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
            send_times: list[float] = []
            try:
                while True:
                    send_times.append(time.monotonic())
                    status, body, closes = get(connection)
                    assert (status, body) == (200, BODY)
                    with self.lock:
                        self.answer_count += 1
                    self.going.release()
                    if closes or not self.stays_open or self.over.is_set():
                        break
            except Exception as error:
                # A server that drains waits 0.1 s for the next request, and this machine may pause for longer.
                is_late = len(send_times) > 1 and time.monotonic() - send_times[-2] >= 0.1
                if not (is_late and isinstance(error, ConnectionError)):
                    self.failures.append(repr(error))
            finally:
                connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_right_after_the_start_is_answered(serve: Serve, kind: Kind) -> None:
    """A server is ready when it accepts."""
    served = serve(kind)
    connection = served.connect()

    assert get(connection) == (200, BODY, False)
    assert get(connection) == (200, BODY, False)
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_http_is_served_over_a_unix_socket(serve: Serve, kind: Kind, tmp_path: Path) -> None:
    """A proxy on the same machine connects to it."""
    path = tmp_path / "site.sock"
    serve(kind, bind=f"unix:{path}")
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))

    assert get(connection) == (200, BODY, False)
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_http_is_served_on_a_given_socket(serve: Serve, kind: Kind) -> None:
    """Its backlog outlives a stop."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        served = serve(kind, bind=listening)
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
    """A stop does not poll, and waits for nothing if no request is under way."""
    served = serve(kind)

    def stop_time() -> float:
        began = time.monotonic()
        served.bus.stop()
        took = time.monotonic() - began
        served.bus.start()
        return took

    # It takes some milliseconds; half a second is what cheroot and uvicorn wait by themselves at the least.
    assert shortest(stop_time, 0.5) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stays_open", [False, True], ids=["closing", "keeping"])
def test_a_stop_under_load_loses_no_request(serve: Serve, kind: Kind, stays_open: bool) -> None:
    """Each client that connected gets a whole response, and so does each request that the application began."""
    served = serve(kind)
    load = Load(served.server.address, 16, stays_open=stays_open)
    load.wait_for(200)

    served.bus.stop()
    load.end()

    assert load.failures == []
    assert load.answer_count == served.site.answer_count
    assert [message for message, _ in served.log[1:]] == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stays_open", [False, True], ids=["closing", "keeping"])
@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0"])
def test_repeated_stops_under_load_lose_no_request(serve: Serve, kind: Kind, stays_open: bool, bind: str) -> None:
    """A request can be lost only within microseconds, so one stop proves little."""
    served = serve(kind, bind=bind)
    for _ in range(25):
        before = served.site.answer_count
        load = Load(served.server.address, 16, stays_open=stays_open)
        load.wait_for(50)
        served.bus.stop()
        load.end()
        assert load.failures == []
        assert load.answer_count == served.site.answer_count - before
        served.bus.start()


@pytest.mark.parametrize("kind", KINDS)
def test_a_graceful_restart_under_load_loses_no_request(serve: Serve, kind: Kind) -> None:
    """The server continues to serve, also over connections that stay open."""
    served = serve(kind)
    load = Load(served.server.address, 4, stays_open=True)

    for _ in range(5):
        load.wait_for(10)
        served.bus.graceful()
    load.wait_for(10)
    load.end()

    assert load.failures == []
    assert load.answer_count == served.site.answer_count


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_under_way_is_finished(serve: Serve, kind: Kind) -> None:
    """A stop waits for it, and its response announces the end of the connection."""
    served = serve(kind)
    probe, connection = served.connect(), served.connect()
    connection.request("GET", "/slow")
    served.site.arrived.acquire(timeout=30)
    address = served.server.address
    stopper = threading.Thread(target=served.bus.stop)
    stopper.start()
    refused_by(address)
    until_draining(probe)

    served.site.release()
    response = connection.getresponse()
    body = response.read()
    stopper.join(30)

    assert (response.status, body, response.getheader("connection")) == (200, BODY, "close")
    assert [message for message, _ in served.log[1:]] == []
    probe.close()
    connection.close()


def refused_by(address: str) -> None:
    """Return when no client can connect to *address*: it gets no answer, or is refused."""
    while True:
        try:
            socket.create_connection(address.rsplit(":", 1), timeout=0.05).close()  # type: ignore[arg-type]
        except (ConnectionRefusedError, TimeoutError):
            return


def until_draining(probe: http.client.HTTPConnection) -> None:
    """Return when responses announce the end of their connections, shortly after the server refuses new ones."""
    # On a busy machine, the time for the next request of *probe* may have passed.
    with contextlib.suppress(ConnectionError):
        while not get(probe)[2]:
            pass


@pytest.mark.parametrize("kind", KINDS)
def test_requests_that_exceed_the_drain_are_cut_off_and_counted(serve: Serve, kind: Kind) -> None:
    """The connection of the client ends, and the log has the number."""
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
    assert served.log[1:] == [(f"2 request(s) on {address} cut off after 0.05 s of draining", logging.WARNING)]


@pytest.mark.parametrize("kind", ASGI_KINDS)
def test_an_asgi_request_that_is_cut_off_is_cancelled(serve: Serve, kind: Kind) -> None:
    """It can undo the work that it has begun."""
    served = serve(kind, drain=0.0)
    connection = served.connect()
    connection.request("GET", "/slow")
    served.site.arrived.acquire(timeout=30)

    stopper = threading.Thread(target=served.bus.stop)
    stopper.start()

    assert served.site.has_ended.wait(30)
    served.site.release()
    stopper.join(30)
    connection.close()


def test_a_wsgi_thread_that_is_cut_off_is_owned_by_the_bus(serve: Serve) -> None:
    """It ends when the application returns; until then `block` reports it."""
    served = serve("wsgi", drain=0.0)
    connection = served.connect()
    connection.request("GET", "/slow")
    served.site.arrived.acquire(timeout=30)
    served.bus.stop()

    running = [thread for thread in parts_of(served.bus).main_loop.threads if thread.is_alive()]
    served.site.release()
    for thread in running:
        thread.join(30)

    assert "wsgi" in {thread.name[:4] for thread in running}
    assert not any(thread.is_alive() for thread in running)
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_has_just_connected_may_send_its_request(serve: Serve, kind: Kind) -> None:
    """It gets a response, and no further client can connect."""
    served = serve(kind)
    probe, connection = served.connect(), served.connect()
    address = served.server.address
    stopper = threading.Thread(target=served.bus.stop)
    stopper.start()
    refused_by(address)

    until_draining(probe)
    answer = get(connection)
    stopper.join(30)

    assert answer == (200, BODY, True)
    probe.close()
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_ends_idle_connections_soon(serve: Serve, kind: Kind) -> None:
    """It does not wait for the time that an idle connection may stay open."""
    served = serve(kind)
    connection = served.connect()
    get(connection)
    began = time.monotonic()

    served.bus.stop()

    assert time.monotonic() - began < 8
    assert connection.sock.recv(1) == b""
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_sends_no_request_is_disconnected(serve: Serve, kind: Kind) -> None:
    """A stop gives it a second from when it connected, not the whole drain."""
    served = serve(kind, drain=60.0)
    connection = served.connect()

    served.bus.stop()

    assert connection.sock.recv(1) == b""
    connection.close()


def test_a_silent_wsgi_client_costs_no_thread(serve: Serve) -> None:
    """The only thread serves other clients, and a client that is silent for too long is disconnected."""
    served = serve("wsgi", threads=1, timeout=0.1)
    silent = [served.connect() for _ in range(3)]
    connection = served.connect()

    assert get(connection) == (200, BODY, False)
    assert [client.sock.recv(1) for client in silent] == [b""] * 3
    for client in [connection, *silent]:
        client.close()


def test_wsgi_requests_wait_for_a_thread(serve: Serve) -> None:
    """As many requests as there are threads are answered concurrently, and one more later."""
    served = serve("wsgi", threads=2)
    connections = [served.connect() for _ in range(3)]
    for connection in connections:
        connection.request("GET", "/slow")
    served.site.arrived.acquire(timeout=30)
    served.site.arrived.acquire(timeout=30)
    third = served.site.arrived.acquire(blocking=False)
    served.site.release()

    assert not third
    assert [connection.getresponse().read() for connection in connections] == [BODY] * 3
    for connection in connections:
        connection.close()


def test_pipelined_requests_are_answered_one_by_one(serve: Serve) -> None:
    """The data that a thread has read beyond a request is the next request."""
    served = serve("wsgi")
    with socket.create_connection(served.server.address.rsplit(":", 1)) as client:  # type: ignore[arg-type]
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: client.recv(1 << 16), b""))

    assert answers.count(b"HTTP/1.1 200 OK") == 2


def test_a_response_arrives_although_the_request_was_not_read(serve: Serve) -> None:
    """The unread rest of a request does not reset the connection before the response has arrived."""
    served = serve("wsgi")
    with socket.create_connection(served.server.address.rsplit(":", 1)) as client:  # type: ignore[arg-type]
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n")
        client.sendall(b"x" * 1_000_000)
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))

    assert answer.endswith(BODY)


def test_an_exception_of_a_wsgi_application_is_a_500_and_is_logged(serve: Serve) -> None:
    """The traceback is on LOG, and the server continues."""
    served = serve("wsgi")
    connection = served.connect()

    assert get(connection, "/fail")[0] == 500
    connection.close()
    connection = served.connect()
    assert get(connection) == (200, BODY, False)
    connection.close()
    ((message, level),) = served.log[1:]
    assert level == logging.ERROR
    assert message.startswith("LookupError('no such order')\nTraceback")
    assert "in wsgi" in message


@pytest.mark.parametrize("kind", ASGI_KINDS)
def test_an_exception_of_an_asgi_application_is_a_500_and_is_logged(
    serve: Serve, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """The traceback goes to the logger of uvicorn, and the server continues."""
    served = serve(kind)
    connection = served.connect()

    assert get(connection, "/fail")[0] == 500
    connection.close()
    connection = served.connect()
    assert get(connection) == (200, BODY, False)
    connection.close()
    assert "no such order" in caplog.text


@pytest.mark.slow
def test_sys_exit_in_a_wsgi_application_exits_the_bus(serve: Serve) -> None:
    """It is the cause of the exit, with its status."""
    served = serve("wsgi")
    connection = served.connect()

    connection.request("GET", "/leave")
    with pytest.raises(SystemExit) as exiting:
        served.bus.block()

    assert exiting.value.code == 3
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_whose_socket_breaks_exits_the_bus(serve: Serve, kind: Kind) -> None:
    """The bus exits in order, with the error of the server as the cause."""
    served = serve(kind)
    run = served.server._run
    assert run is not None

    run.listening.socket.shutdown(socket.SHUT_RDWR)
    with pytest.raises(OSError, match="Invalid argument"):
        served.bus.block()


@pytest.mark.parametrize("field", ["threads", "timeout"])
@pytest.mark.parametrize("value", [-1, "1", None, True])
def test_invalid_fields_of_a_wsgi_server_are_refused(field: str, value: object) -> None:
    """The error is raised where the server is declared."""
    with pytest.raises(SettingError, match=f"^{field}={value!r} is not valid; give a"):
        WSGIServer(Bus(), Site().wsgi, **{field: value})  # type: ignore[arg-type]


def test_a_wsgi_server_has_at_least_one_thread() -> None:
    """Fewer are refused where the server is declared."""
    with pytest.raises(SettingError, match="whole number from 1 up"):
        WSGIServer(Bus(), Site().wsgi, threads=0)


@pytest.mark.parametrize("server", [WSGIServer, ASGIServer])
def test_an_application_must_be_callable(server: Any) -> None:
    """The name of an application, for example, is refused."""
    with pytest.raises(SettingError, match="app='site:app' is not valid; give an? [AW]SGI application"):
        server(Bus(), "site:app")


Lifespan: TypeAlias = Callable[[Any, Callable[[Any], Awaitable[None]]], Awaitable[None]]


def spanning(
    lifespan: Lifespan, loop: Literal["own", "shared"], mode: Literal["auto", "on"] = "auto"
) -> tuple[Bus, ASGIServer, threading.Event]:
    """Return a server of an application with this lifespan, its bus, and an event that its first request sets."""
    is_requested = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        is_requested.set()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    bus = Bus()
    config = uvicorn.Config(app, log_config=None, lifespan=mode)
    server = ASGIServer(bus, config, loop=loop, bind="127.0.0.1:0")
    bus.subscribe(START, server.start, priority=75)
    bus.subscribe(STOP, server.stop, priority=75)
    bus.subscribe(MOVED, server.give_up)
    return bus, server, is_requested


def raised_by(transition: Callable[[], None]) -> BaseException:
    """Return the one failure of *transition*."""
    with pytest.raises(TransitionFailures) as failures:
        transition()
    (failure,) = failures.value.exceptions
    return failure


@pytest.mark.parametrize("loop", LOOPS)
def test_a_lifespan_is_a_part_of_start_and_stop(loop: Literal["own", "shared"]) -> None:
    """It has started up when the start returns, and has shut down when the stop returns, each time."""
    phases: list[str] = []

    async def lifespan(receive: Any, send: Any) -> None:
        for phase in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{phase}"
            phases.append(phase)
            await send({"type": f"lifespan.{phase}.complete"})

    bus, _, _ = spanning(lifespan, loop)
    for _ in range(2):
        bus.start()
        assert phases.pop() == "startup"
        bus.stop()
        assert phases.pop() == "shutdown"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_lifespan_that_fails_is_a_failure_of_the_start(loop: Literal["own", "shared"]) -> None:
    """The error has the message of the application, and no socket listens afterwards."""

    async def lifespan(receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    bus, server, _ = spanning(lifespan, loop)
    failure = raised_by(bus.start)

    assert isinstance(failure, LifespanError)
    assert str(failure) == "the application failed in its lifespan startup: no database"
    assert server._run is None


@pytest.mark.parametrize("loop", LOOPS)
def test_an_application_that_raises_in_the_lifespan_has_no_lifespan(loop: Literal["own", "shared"]) -> None:
    """The specification allows that; if the lifespan is required, it is a failure of the start with its cause."""

    async def lifespan(receive: Any, send: Any) -> None:
        raise OSError("no database")

    bus, server, is_requested = spanning(lifespan, loop)
    bus.start()
    connection = http.client.HTTPConnection(server.address, timeout=30)
    assert get(connection)[0] == 204
    connection.close()
    bus.stop()
    assert is_requested.is_set()

    bus, _, _ = spanning(lifespan, loop, "on")
    failure = raised_by(bus.start)
    assert str(failure) == "the application failed in its lifespan startup: OSError('no database')"
    assert isinstance(failure.__cause__, OSError)


@pytest.mark.parametrize("raises", [True, False], ids=["raises", "says so"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_lifespan_that_fails_at_the_end_is_a_failure_of_the_stop(
    raises: bool, loop: Literal["own", "shared"]
) -> None:
    """It is not only logged."""

    async def lifespan(receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if raises:
            raise OSError("not saved")
        await send({"type": "lifespan.shutdown.failed", "message": "not saved"})

    bus, _, _ = spanning(lifespan, loop)
    bus.start()
    failure = raised_by(bus.stop)

    assert str(failure).startswith("the application failed in its lifespan shutdown: ")
    assert "not saved" in str(failure)


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_the_error_of_a_lifespan_that_is_cancelled_is_the_cause_of_the_failure(loop: Literal["own", "shared"]) -> None:
    """The application does not end in time, and its cleanup fails."""
    bus, server, _ = spanning(failing_cleanup, loop)
    server.drain = 0.0
    bus.start()
    failure = raised_by(bus.stop)

    assert isinstance(failure, LifespanError)
    assert "it did not end within" in str(failure)
    assert repr(failure.__cause__) == "OSError('not saved')"


@pytest.mark.parametrize("loop", LOOPS)
def test_the_error_of_a_lifespan_that_is_cancelled_in_its_startup_is_logged(loop: Literal["own", "shared"]) -> None:
    """The start itself was cancelled."""
    starting = threading.Event()
    lines: list[str] = []

    async def lifespan(receive: Any, send: Any) -> None:
        starting.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("not saved")

    bus, _, _ = spanning(lifespan, loop)
    bus[LOG].subscribe(lambda message, level: lines.append(message))
    failures: list[BaseException] = []

    def start() -> None:
        try:
            bus.start()
        except StartCancelled as error:
            failures.append(error)

    starter = threading.Thread(target=start)
    starter.start()
    assert starting.wait(30)
    bus.request_exit()
    starter.join(30)

    assert len(failures) == 1
    (line,) = [line for line in lines if "failed after its start was given up:\nTraceback" in line]
    assert "OSError: not saved" in line
    bus.block()


@pytest.mark.parametrize("loop", LOOPS)
def test_an_interrupted_start_cancels_the_lifespan(loop: Literal["own", "shared"]) -> None:
    """Neither a task nor a thread is left."""
    starting, cancelled = threading.Event(), threading.Event()

    async def lifespan(receive: Any, send: Any) -> None:
        starting.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    bus, server, _ = spanning(lifespan, loop)
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
def test_a_missing_library_is_an_error_that_names_the_extra(
    module: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import of the module raises it."""
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    for name in (f"typedbus.servers.{module}", f"typedbus.servers._{library}", "typedbus.servers._http"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    with pytest.raises(NoServer) as raised:
        importlib.import_module(f"typedbus.servers.{module}")

    assert str(raised.value) == (
        f'typedbus.servers.{module} needs {library}, which is not installed: pip install "typedbus[{extra}]"'
    )


def test_an_oserror_of_the_application_is_logged(serve: Serve) -> None:
    """A database that closes its connection is not mistaken for a client that disconnects."""
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
    assert ["the database has gone" in message for message, level in served.log if level == logging.ERROR] == [True]


def test_a_client_that_disconnects_is_not_logged(serve: Serve) -> None:
    """Clients may disconnect at any time, also in the middle of a request."""
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

    assert [message for message, level in served.log if level == logging.ERROR] == []


def test_a_wsgi_application_gets_the_addresses_of_server_and_client(serve: Serve, tmp_path: Path) -> None:
    """They have ports over the network, and none over a Unix socket."""
    served = serve("wsgi")
    environs: list[WSGIEnvironment] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environs.append(environ)
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
    assert served.server.address == "127.0.0.1:" + environs[0]["SERVER_PORT"]
    assert (environs[0]["REMOTE_ADDR"], environs[0]["REMOTE_PORT"]) == ("127.0.0.1", str(port))

    served.bus.stop()
    served.server.bind = f"unix:{tmp_path / 'x'}"
    served.bus.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "x"))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 204")
    assert (environs[1]["SERVER_PORT"], environs[1]["REMOTE_ADDR"]) == ("", "")


@pytest.mark.slow
def test_a_client_that_does_not_end_its_connection_is_disconnected(serve: Serve) -> None:
    """The server ends its side at once, and waits a second for the client, not the whole drain."""
    served = serve("wsgi", drain=60.0)
    with contextlib.ExitStack() as clients:

        def end_time() -> float:
            address = served.server.address.rsplit(":", 1)
            client = clients.enter_context(socket.create_connection(address, timeout=30))  # type: ignore[arg-type]
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            began = time.monotonic()
            while client.recv(1 << 16):
                pass
            return time.monotonic() - began

        assert shortest(end_time, 0.9) < 0.9
        began = time.monotonic()
        served.bus.stop()

    assert time.monotonic() - began < 20


def test_a_client_that_sends_half_a_request_is_disconnected(serve: Serve) -> None:
    """A thread waits for the rest no longer than *timeout*."""
    served = serve("wsgi", threads=1, timeout=0.1)
    with socket.create_connection(served.server.address.rsplit(":", 1), timeout=30) as client:  # type: ignore[arg-type]
        client.sendall(b"GET / HT")
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))

    assert answer.startswith(b"HTTP/1.1 408 ")
