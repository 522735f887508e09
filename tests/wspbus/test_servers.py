"""The server adapter of `typedbus.wspbus.servers`."""

from __future__ import annotations

import socket
import threading
from types import SimpleNamespace

import pytest
from tests.processes import free_port

from typedbus.wspbus import Bus, ChannelFailures, servers, states


class AcceptingServer:
    """A server that closes each connection, and raises *error*, if given, at its start or at a connection."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.ready = False
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.fails_later = threading.Event()

    def start(self) -> None:
        """Serve, or fail."""
        with self.socket:
            if self.error is not None and not self.fails_later.is_set():
                raise self.error
            self.ready = True
            while True:
                try:
                    connection, _ = self.socket.accept()
                except OSError:
                    return
                connection.close()
                if self.error is not None:
                    raise self.error

    def stop(self) -> None:
        """End."""
        self.ready = False
        if self.socket.fileno() >= 0:
            self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    def __repr__(self) -> str:
        return "<AcceptingServer>"


def test_a_server_serves_between_start_and_stop(bus: Bus, lines: list[str]) -> None:
    """Its address has the actual port if the system has chosen it."""
    server = AcceptingServer()
    port = server.socket.getsockname()[1]
    adapter = servers.ServerAdapter(bus, server, ("127.0.0.1", 0))
    adapter.subscribe()
    bus.start()
    adapter.start()
    assert adapter.bound_addr == ("127.0.0.1", port)
    bus.stop()
    adapter.stop()
    assert lines == [
        "20 Bus STARTING", f"20 Serving on http://127.0.0.1:{port}", "20 Bus STARTED",
        f"20 Already serving on http://127.0.0.1:{port}",
        "20 Bus STOPPING", "20 HTTP Server <AcceptingServer> shut down", "20 Bus STOPPED",
        "20 HTTP Server <AcceptingServer> already shut down",
    ]  # fmt: skip
    adapter.unsubscribe()


@pytest.mark.parametrize(
    ("port", "ssl_adapter", "description"),
    [
        (443, object(), "https://shop.test"),
        (80, object(), "https://shop.test:80"),
        (80, None, "http://shop.test"),
        (443, None, "http://shop.test:443"),
    ],
)
def test_the_description_omits_the_default_port_of_the_scheme(
    bus: Bus, port: int, ssl_adapter: object, description: str
) -> None:
    """443 is the default port of https, and 80 of http."""
    server = SimpleNamespace(socket=None, ssl_adapter=ssl_adapter)
    assert servers.ServerAdapter(bus, server, ("shop.test", port)).description == description


def test_start_and_stop_have_the_priorities_of_the_original() -> None:
    """Old code depends on them."""
    assert vars(servers.ServerAdapter.start)["priority"] == 75
    assert vars(servers.ServerAdapter.stop)["priority"] == 25


def test_a_server_that_cannot_start_fails_the_start(bus: Bus) -> None:
    """The failure has the error of the server."""
    servers.ServerAdapter(bus, AcceptingServer(PermissionError(13, "no"))).subscribe()
    before = threading.excepthook
    threading.excepthook = lambda details: None
    try:
        with pytest.raises(ChannelFailures, match="PermissionError"):
            bus.start()
        for thread in threading.enumerate():
            if thread.name.startswith("HTTPServer "):
                thread.join()
    finally:
        threading.excepthook = before
    assert bus.state is states.EXITING


def test_an_adapter_without_a_server_is_refused(bus: Bus) -> None:
    """At its start."""
    with pytest.raises(ValueError, match="No HTTP server has been created"):
        servers.ServerAdapter(bus).start()


def test_a_port_that_is_not_free_is_refused(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the number of the port."""
    monkeypatch.setattr(servers.Timeouts, "free", 0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        adapter = servers.ServerAdapter(bus, AcceptingServer(), ("127.0.0.1", port))
        with pytest.raises(
            servers.PortError, match=f"Port {port} not free on 127.0.0.1; stop the program that listens on it"
        ):
            adapter.start()
    adapter.httpserver.stop()


@pytest.mark.parametrize("blocks", [True, False])
def test_a_server_that_fails_while_it_serves_exits_the_bus_and_block_raises(bus: Bus, *, blocks: bool) -> None:
    """Also if block is called later, so that the process does not end with success."""
    server = AcceptingServer(ConnectionError("lost"))
    server.fails_later.set()
    servers.ServerAdapter(bus, server).subscribe()
    bus.start()

    def connect() -> None:
        bus.unsubscribe("main", connect)
        socket.create_connection(server.socket.getsockname()).close()

    if blocks:
        bus.subscribe("main", connect)
    else:
        connect()
        bus.wait(states.EXITING)
    with pytest.raises(ConnectionError, match="lost"):
        bus.block(0.001)
    assert bus.state is states.EXITING


def test_an_unreachable_port_on_all_interfaces_is_only_a_warning() -> None:
    """The system may have no loopback interface; on another host it is an error."""
    port = free_port()
    with pytest.warns(UserWarning, match=f"Unable to verify that the server is bound on {port}"):
        with servers._safe_wait("0.0.0.0", port):  # noqa: S104
            servers._wait_for_port("0.0.0.0", port, 0, is_bound=True)  # noqa: S104
    with (
        pytest.raises(servers.PortError, match="not bound on 127.0.0.1; the server is ready"),
        servers._safe_wait("127.0.0.1", port),
    ):
        servers._wait_for_port("127.0.0.1", port, 0, is_bound=True)


@pytest.mark.parametrize(
    ("address", "description"),
    [
        (None, "unknown interface (dynamic?)"),
        ("/run/site.sock", "socket file: /run/site.sock"),
        (("site", 80), "http://site"),
        (("site", 8080), "http://site:8080"),
    ],
)
def test_the_description_has_the_address(bus: Bus, address: object, description: str) -> None:
    """It is used in log messages."""
    assert servers.ServerAdapter(bus, object(), address).description == description


def test_a_restart_stops_and_starts_the_server(bus: Bus, lines: list[str]) -> None:
    """In the calling thread."""
    server = AcceptingServer()
    adapter = servers.ServerAdapter(bus, server)
    adapter.start()
    server.socket, before = server.socket.dup(), server.socket
    adapter.restart()
    before.close()
    adapter.stop()
    assert [line.split()[1] for line in lines] == ["Serving", "HTTP", "Serving", "HTTP"]


def test_servers_of_flup_are_imported_at_their_start() -> None:
    """flup may be missing before."""
    for kind in (servers.FlupCGIServer, servers.FlupFCGIServer, servers.FlupSCGIServer):
        server = kind(object(), bindAddress=None)
        assert not server.ready
        with pytest.raises(ModuleNotFoundError, match="flup"):
            server.start()


def test_the_functions_that_probe_a_port_can_be_replaced(bus: Bus) -> None:
    """Old code replaces them to skip the probes."""
    occupied = socket.create_server(("127.0.0.1", 0))
    free = servers.portend.free
    servers.portend.free = lambda host, port, timeout=0: None  # type: ignore[method-assign]  # what the test is about
    try:
        adapter = servers.ServerAdapter(bus, AcceptingServer(), occupied.getsockname())
        adapter.start()
        adapter.stop()
    finally:
        servers.portend.free = free  # type: ignore[method-assign]
        occupied.close()

    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.raises(servers.portend.Timeout, match="not free"):
        servers.portend.free("127.0.0.1", listening.getsockname()[1], timeout=0)
    assert servers.portend.client_host("0.0.0.0") == "127.0.0.1"


def test_an_occupied_port_is_probed_a_few_times_a_second(bus: Bus) -> None:
    """Each probe is a connection, which a TLS server logs."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listening:

        def accept() -> None:
            try:
                while True:
                    connections.append(listening.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        with pytest.raises(servers.PortError):
            servers.portend.free("127.0.0.1", listening.getsockname()[1], timeout=1)
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    for connection in connections:
        connection.close()

    assert 2 <= len(connections) <= 10
