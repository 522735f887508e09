"""The contract that all servers share: their address, their start and their end, tested with a small server."""

from __future__ import annotations

import errno
import pickle
import selectors
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from typedbus import Bus, Component, Container, Limits, State, TransitionFailures
from typedbus._bus.builtin import EXIT, LOG, MOVED, START, STOP
from typedbus._bus.bus import parts_of
from typedbus.servers._arguments import parse_bind
from typedbus.servers._binding import listen
from typedbus.servers.serving import (
    BindError,
    NotServing,
    NotStopped,
    Server,
    ServerEnded,
    Serves,
    Serving,
    SettingError,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sockets of the file system are bound as well")


class Echo:
    """A server that fulfils the contract, and sends the first data of each client back, in order of connection."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ready_now = threading.Event()
        self.ready_now.set()
        self.started = threading.Event()
        self.drained = threading.Event()
        self.error: BaseException | None = None
        self.fails_at = ""
        self.ends = threading.Event()
        self.cut_off = 0
        self.woken, self.waker = socket.socketpair()

    def fail(self, place: str) -> None:
        if self.fails_at == place and self.error is not None:
            raise self.error

    def serve(self, listening: socket.socket, ready: Callable[[], None]) -> int:
        self.calls.append("serve")
        began = len(self.calls)
        self.started.set()
        self.fail("start")
        self.ready_now.wait()
        if "drain" in self.calls[began:]:
            return 0
        if self.fails_at == "return":
            return 0
        ready()
        with selectors.DefaultSelector() as selector:
            selector.register(listening, selectors.EVENT_READ)
            selector.register(self.woken, selectors.EVENT_READ)
            while self.woken not in (ready_now := [key.fileobj for key, _ in selector.select()]):
                if listening in ready_now:
                    self.answer(listening)
            self.woken.recv(1)
        self.fail("serve")
        while self.answer(listening):
            pass
        listening.close()
        self.fail("stop")
        return self.cut_off

    def answer(self, listening: socket.socket) -> bool:
        try:
            client, _ = listening.accept()
        except BlockingIOError:
            return False
        with client:
            client.settimeout(20)
            client.sendall(client.recv(100))
        return True

    def drain(self, seconds: float) -> None:
        self.calls.append("drain")
        self.drained.set()
        self.ready_now.set()
        self.waker.send(b"x")

    def close(self) -> None:
        self.woken.close()
        self.waker.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A server that is closed at the end."""
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def bus(echo: Echo) -> Iterator[Bus]:
    """A bus that exits at the end, before the server is closed."""
    bus = Bus()
    yield bus
    bus.exit()


def attach(bus: Bus, server: Serving) -> None:
    """Let *server* listen to *bus*, as a container does."""
    bus.subscribe(START, server.start, priority=75)
    bus.subscribe(STOP, server.stop, priority=75)
    bus.subscribe(EXIT, server.exit, priority=75)
    bus.subscribe(MOVED, server.give_up)


def serving(bus: Bus, echo: Echo, **fields: Any) -> Server:
    """Return a server on a port that is free, attached to *bus*."""
    server = Server(bus, echo, **({"bind": "127.0.0.1:0"} | fields))
    attach(bus, server)
    return server


def client_of(address: str) -> socket.socket:
    """Connect to *address*."""
    if address.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(address.removeprefix("unix:"))
        except OSError:
            client.close()
            raise
    else:
        host, _, port = address.rpartition(":")
        client = socket.create_connection((host.strip("[]"), int(port)), timeout=0.2)
    client.settimeout(20)
    return client


def echo_of(client: socket.socket) -> bytes:
    """Send data over *client*, and return the data that comes back."""
    with client:
        client.sendall(b"hello")
        return client.recv(100)


def cause_of(failures: BaseException) -> BaseException:
    """Return the one failure in *failures*."""
    assert isinstance(failures, BaseExceptionGroup)
    assert len(failures.exceptions) == 1
    return failures.exceptions[0]


@pytest.mark.parametrize(
    ("bind", "place"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("localhost:0", ("localhost", 0)),
        (":8080", ("", 8080)),
        ("[::1]:65535", ("::1", 65535)),
        ("unix:/run/site.sock", "/run/site.sock"),
        ("unix:site.sock", "site.sock"),
    ],
)
def test_bind_is_a_host_and_a_port_or_a_path(bind: str, place: object) -> None:
    """Every documented form is parsed."""
    assert parse_bind(bind) == place


@pytest.mark.parametrize(
    "bind",
    ["", "8080", "localhost", "host:", "host:x", "host:-1", "host:65536", "host:\u0663", "::1:80", "[::1]", "[::1]80"]
    + ["[localhost]:80", "http://host:80", "a b:80", "[a]b]:80", "unix:", "unix:a\0b", "a\0b:80", ":+80", "host:8 0"],
)
def test_an_invalid_bind_is_refused_where_the_server_is_declared(bus: Bus, echo: Echo, bind: str) -> None:
    """The error names the field, the value and the valid forms."""
    with pytest.raises(SettingError) as raised:
        Server(bus, echo, bind=bind)

    assert str(raised.value).startswith(f"bind={bind!r} is not valid; give ")
    assert "'[::1]:port'" in str(raised.value)
    assert (raised.value.name, raised.value.given) == ("bind", bind)


@pytest.mark.parametrize(
    ("field", "value"),
    [("drain", -1), ("drain", float("nan")), ("drain", float("inf")), ("drain", "1"), ("drain", True), ("drain", None)]
    + [("mode", -1), ("mode", 0o1777), ("mode", "0660"), ("mode", True), ("bind", 8080), ("bind", None)],
)
def test_an_invalid_field_is_refused_where_the_server_is_declared(
    bus: Bus, echo: Echo, field: str, value: object
) -> None:
    """The error names the field."""
    with pytest.raises(SettingError, match=f"^{field}={value!r} is not valid; give "):
        serving(bus, echo, **{field: value})


def test_a_datagram_socket_is_refused_where_the_server_is_declared(bus: Bus, echo: Echo) -> None:
    """It cannot accept connections."""
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, pytest.raises(SettingError, match="a stream socket"):
        Server(bus, echo, bind=datagrams)


def test_a_client_may_connect_right_after_a_start(bus: Bus, echo: Echo) -> None:
    """A start returns when the server accepts, and the address has the actual port."""
    server = serving(bus, echo)

    bus.start()

    assert not server.address.endswith(":0")
    assert echo_of(client_of(server.address)) == b"hello"


def test_the_address_is_logged(bus: Bus, echo: Echo) -> None:
    """The message is published on LOG."""
    log: list[tuple[str, int]] = []
    bus.subscribe(LOG, lambda message, level: log.append((message, level)))
    server = serving(bus, echo)

    bus.start()

    assert log == [(f"serving on {server.address}", 20)]


def test_the_address_exists_only_between_start_and_stop(bus: Bus, echo: Echo) -> None:
    """Outside, reading it is an error whose text has the reason."""
    server = serving(bus, echo)

    with pytest.raises(NotServing, match="between the start and the stop of its bus"):
        server.address  # noqa: B018
    bus.start()
    assert server.address
    bus.stop()
    with pytest.raises(NotServing):
        server.address  # noqa: B018


def test_a_start_waits_until_the_server_is_ready(bus: Bus, echo: Echo) -> None:
    """Later components start only when the server accepts."""
    echo.ready_now.clear()
    serving(bus, echo)
    starter = threading.Thread(target=bus.start)
    starter.start()
    echo.started.wait(20)

    states = [bus.state]
    echo.ready_now.set()
    starter.join(20)

    assert [*states, bus.state] == [State.STARTING, State.STARTED]


def test_a_start_while_it_serves_changes_nothing(bus: Bus, echo: Echo) -> None:
    """The address stays the same, and `serve` is not called again."""
    server = serving(bus, echo)
    bus.start()
    before = server.address

    server.start()

    assert server.address == before
    assert echo.calls == ["serve"]


def test_a_port_in_use_is_named(bus: Bus, echo: Echo) -> None:
    """The start fails in the calling thread, before `serve` is called."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        where = f"127.0.0.1:{other.getsockname()[1]}"
        serving(bus, echo, bind=where)

        with pytest.raises(TransitionFailures) as failures:
            bus.start()

    error = cause_of(failures.value)
    assert str(error) == (
        f"cannot listen on {where}: another process uses this port; stop it, or give another port as bind="
    )
    assert isinstance(error, BindError)
    assert error.errno == errno.EADDRINUSE
    assert echo.calls == []
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def is_privileged(port: int) -> bool:
    """Whether this system keeps *port* for root; containers often do not."""
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return not first.exists() or port < int(first.read_text())


@pytest.mark.slow
@pytest.mark.skipif(not is_privileged(1), reason="everybody may bind every port here")
def test_a_port_below_1024_is_refused_with_the_remedy() -> None:
    """The text names the privileges that would allow it."""
    source = """
        import encodings.idna  # which names of hosts need, and others may not be allowed to read
        import os
        from typedbus.servers._binding import listen

        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            listen("127.0.0.1:1")
        except OSError as error:
            print(error)
    """

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, check=False)

    assert done.stdout == (
        "cannot listen on 127.0.0.1:1: Permission denied; a port below 1024 requires root or CAP_NET_BIND_SERVICE: "
        "give a port from 1024 up as bind=, or a socket that systemd has bound\n"
    )


@pytest.mark.parametrize(
    ("error", "bind", "text"),
    [
        (errno.EACCES, "127.0.0.1:80", "a port below 1024 requires root or CAP_NET_BIND_SERVICE"),
        (errno.EACCES, "unix:/run/x", "the process needs write access to the directory"),
        (errno.EADDRINUSE, "unix:/run/x", "another process serves on this path"),
        (errno.ENOBUFS, "127.0.0.1:80", "as the system says"),
        (None, "127.0.0.1:80", "as the system says"),
    ],
)
def test_a_refusal_of_the_system_has_a_remedy(error: int, bind: str, text: str) -> None:
    """Common errors have texts of their own; the others have the text of the system."""
    assert text in str(BindError(error, "as the system says", bind))


@pytest.mark.parametrize(
    ("bind", "text"),
    [
        ("no-such-host.invalid:8080", "cannot listen on no-such-host.invalid:8080: "),
        ("192.0.2.1:8080", "cannot listen on 192.0.2.1:8080: no interface of this machine has this address"),
        ("unix:/no/such/directory/x", "the directory does not exist"),
        ("unix:/tmp/" + "x" * 200, "path too long"),
    ],
)
def test_an_address_that_does_not_exist_is_an_error(bind: str, text: str) -> None:
    """This includes unknown hosts, addresses of other machines, and invalid paths."""
    with pytest.raises(BindError) as raised:
        listen(bind)

    assert text in str(raised.value)
    assert raised.value.filename == bind


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")
def test_ipv6_is_bound_in_brackets(bus: Bus, echo: Echo) -> None:
    """The address has the form of *bind*."""
    try:
        listen("[::1]:0").close()
    except BindError:
        pytest.skip("there is no IPv6 on the loopback interface")
    server = serving(bus, echo, bind="[::1]:0")

    bus.start()

    assert server.address.startswith("[::1]:")
    assert echo_of(client_of(server.address)) == b"hello"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 beside IPv4")
@pytest.mark.parametrize(
    ("bind", "hosts"),
    [(":0", {"127.0.0.1", "::1"}), ("0.0.0.0:0", {"127.0.0.1"}), ("[::]:0", {"::1"}), ("127.0.0.1:0", {"127.0.0.1"})],
)
def test_no_host_is_both_families_and_each_wildcard_its_own(bind: str, hosts: set[str]) -> None:
    """An IPv6 address accepts IPv4 only for every interface."""
    listening = listen(bind)
    port = listening.socket.getsockname()[1]
    reached = set()
    for host in ("127.0.0.1", "::1"):
        try:
            socket.create_connection((host, port)).close()
        except OSError:
            continue
        reached.add(host)
    listening.close()

    if "::1" in hosts - reached:
        pytest.skip("there is no IPv6 on the loopback interface")
    assert reached == hosts


def test_a_port_may_be_bound_again_immediately() -> None:
    """Old connections that the kernel still remembers do not prevent that."""
    first = listen("127.0.0.1:0")
    client = client_of(first.where)
    accepted, _ = first.socket.accept()
    accepted.close()  # the end that closes first is the one that is remembered
    client.close()
    first.close()

    listen(first.where).close()


def test_a_unix_socket_is_served_and_removed(bus: Bus, echo: Echo, tmp_path: Path) -> None:
    """The file exists while the server runs."""
    path = tmp_path / "site.sock"
    server = serving(bus, echo, bind=f"unix:{path}", mode=0o620)

    bus.start()
    mode = stat.S_IMODE(path.stat().st_mode)
    answer = echo_of(client_of(server.address))
    bus.stop()

    assert (server.bind, mode, answer) == (f"unix:{path}", 0o620, b"hello")
    assert not path.exists()


def test_a_relative_path_is_resolved_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that changes its directory later still finds the file."""
    monkeypatch.chdir(tmp_path)
    listening = listen("unix:site.sock")
    monkeypatch.chdir("/")

    assert listening.where == f"unix:{tmp_path / 'site.sock'}"
    listening.close()

    assert not (tmp_path / "site.sock").exists()


def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    """The file of a killed process does not prevent a start."""
    path = tmp_path / "site.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
        killed.listen()

    listening = listen(f"unix:{path}")
    client = client_of(listening.where)
    client.close()
    listening.close()

    assert not path.exists()


def test_the_file_of_a_running_server_is_refused(tmp_path: Path) -> None:
    """Two servers on one path would hide each other; the running server keeps it."""
    path = tmp_path / "site.sock"
    first = listen(f"unix:{path}")

    with pytest.raises(BindError, match="another process serves on this path; stop it"):
        listen(f"unix:{path}")

    client_of(first.where).close()
    first.close()


def test_the_file_of_a_server_with_a_full_backlog_is_refused(tmp_path: Path) -> None:
    """Such a server is running."""
    path = tmp_path / "site.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))

        with pytest.raises(BindError, match="another process serves on this path"):
            listen(f"unix:{path}")


def test_a_file_that_is_not_a_socket_is_not_replaced(tmp_path: Path) -> None:
    """A mistake in a path deletes no data."""
    path = tmp_path / "notes.txt"
    path.write_text("mine")

    with pytest.raises(BindError, match="the path is a file that is not a socket"):
        listen(f"unix:{path}")

    assert path.read_text() == "mine"


def test_the_file_of_another_server_is_not_removed(tmp_path: Path) -> None:
    """A file that has replaced the own file is kept."""
    path = tmp_path / "site.sock"
    first = listen(f"unix:{path}")
    path.unlink()
    second = listen(f"unix:{path}")

    first.close()

    client_of(second.where).close()
    second.close()


def test_a_file_that_was_removed_is_not_an_error(tmp_path: Path) -> None:
    """A second close does nothing, and other code may have removed the file."""
    path = tmp_path / "site.sock"
    listening = listen(f"unix:{path}")
    path.unlink()

    listening.close()
    listening.close()

    assert not path.exists()


def test_a_given_socket_stays_open(bus: Bus, echo: Echo) -> None:
    """A client that connects after the stop waits for the next server: no client is lost over a restart."""
    with socket.socket() as socket_of_test:
        socket_of_test.bind(("127.0.0.1", 0))
        server = serving(bus, echo, bind=socket_of_test)
        bus.start()
        address = server.address
        assert echo_of(client_of(address)) == b"hello"
        bus.stop()

        client = client_of(address)
        bus.start()

        assert echo_of(client) == b"hello"
        assert server.address == address
        bus.stop()


def test_a_closed_socket_is_refused(bus: Bus, echo: Echo) -> None:
    """The start of its server fails."""
    with socket.socket() as socket_of_test:
        socket_of_test.bind(("127.0.0.1", 0))
        serving(bus, echo, bind=socket_of_test)

    with pytest.raises(TransitionFailures) as failures:
        bus.start()

    assert "cannot listen on the socket <socket.socket [closed]" in str(cause_of(failures.value))


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix"])
def test_a_stop_loses_no_client_that_has_connected(bus: Bus, echo: Echo, bind: str, tmp_path: Path) -> None:
    """Clients in the backlog are answered, and later clients are refused."""
    server = serving(bus, echo, bind=f"unix:{tmp_path / 'x'}" if bind == "unix" else bind)
    bus.start()
    address = server.address
    holding = client_of(address)  # the server is busy with it, while the others wait to be accepted
    waiting = [client_of(address) for _ in range(5)]
    stopper = threading.Thread(target=bus.stop)
    stopper.start()
    assert echo.drained.wait(20)
    with pytest.raises(OSError, match="refused|No such file|timed out"):
        client_of(address)

    answers = [echo_of(client) for client in [holding, *waiting]]
    stopper.join(20)

    assert answers == [b"hello"] * 6
    with pytest.raises(OSError, match="refused|No such file"):
        client_of(address)


@pytest.mark.skipif(sys.platform != "linux", reason="another system takes connections up to the end")
@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0", "unix"])
def test_no_client_can_connect_after_a_refusal(bind: str, tmp_path: Path) -> None:
    """Clients that had connected can be accepted; no later client connects, so no connection is reset at the end."""
    try:
        listening = listen(f"unix:{tmp_path / 'x'}" if bind == "unix" else bind)
    except BindError:
        pytest.skip("there is no IPv6")
    before = client_of(listening.where)

    listening.refuse()

    late = socket.socket(listening.socket.family)
    late.settimeout(0.0)
    answer = late.connect_ex(listening.socket.getsockname() if bind != "unix" else str(tmp_path / "x"))
    assert answer in {errno.EINPROGRESS, errno.ENOENT}
    accepted, _ = listening.socket.accept()
    before.sendall(b"hello")
    assert accepted.recv(100) == b"hello"
    with pytest.raises(BlockingIOError):
        listening.socket.accept()
    for connection in (late, before, accepted, listening.socket):
        connection.close()


def test_a_refusal_of_a_given_socket_changes_nothing() -> None:
    """Other processes may accept from it."""
    with socket.socket() as socket_of_test:
        socket_of_test.bind(("127.0.0.1", 0))
        listening = listen(socket_of_test)

        listening.refuse()
        client_of(listening.where).close()
        listening.close()


def test_a_stop_is_idempotent(bus: Bus, echo: Echo) -> None:
    """A second stop, and the stop of an exit, do nothing."""
    server = serving(bus, echo)
    bus.start()
    bus.stop()

    server.stop()
    bus.exit()

    assert echo.calls == ["serve", "drain"]


def test_a_bus_may_start_a_server_again(bus: Bus, echo: Echo) -> None:
    """Each start has a new thread and a new socket."""
    server = serving(bus, echo)

    for _ in range(3):
        bus.start()
        assert echo_of(client_of(server.address)) == b"hello"
        bus.stop()

    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("server ")] == []


def test_requests_that_were_cut_off_are_logged(bus: Bus, echo: Echo) -> None:
    """The message has their number and the length of the drain."""
    log: list[tuple[str, int]] = []
    bus.subscribe(LOG, lambda message, level: log.append((message, level)))
    server = serving(bus, echo, drain=0.25)
    bus.start()
    address, echo.cut_off = server.address, 3

    bus.stop()

    assert log[1:] == [(f"3 request(s) on {address} cut off after 0.25 s of draining", 30)]


def test_an_error_before_the_server_is_ready_fails_the_start(bus: Bus, echo: Echo) -> None:
    """The start of the bus raises it, and no socket is left."""
    echo.fails_at, echo.error = "start", OSError("no certificate")
    server = serving(bus, echo)

    with pytest.raises(TransitionFailures) as failures:
        bus.start()

    assert cause_of(failures.value) is echo.error
    with pytest.raises(NotServing):
        server.address  # noqa: B018
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("server ")] == []


def test_a_server_that_returns_before_it_is_ready_has_not_started(bus: Bus, echo: Echo) -> None:
    """The start fails, since no stop was requested."""
    echo.fails_at = "return"
    serving(bus, echo)

    with pytest.raises(TransitionFailures) as failures:
        bus.start()

    assert isinstance(cause_of(failures.value), ServerEnded)


def test_a_failing_server_exits_the_bus_in_order(bus: Bus, echo: Echo) -> None:
    """Its error is the cause that `block` raises; it is logged at once, and with its traceback at the exit."""
    log: list[tuple[str, int]] = []
    bus.subscribe(LOG, lambda message, level: log.append((message, level)))
    stopped: list[str] = []
    bus.subscribe(STOP, lambda: stopped.append("in order"))
    echo.fails_at, echo.error = "serve", OSError("no more memory")
    server = serving(bus, echo)
    bus.start()
    address = server.address

    echo.waker.send(b"x")
    with pytest.raises(OSError, match="no more memory") as raised:
        bus.block()

    assert raised.value is echo.error
    assert stopped == ["in order"]
    died, cause = log[1:]
    assert died == (f"the server on {address} has died: OSError('no more memory')", 40)
    assert cause[0].startswith("the bus exits because of an error:\nTraceback")


def test_a_server_that_returns_without_a_stop_exits_the_bus(bus: Bus, echo: Echo) -> None:
    """It counts as a failure."""
    server = serving(bus, echo)
    bus.start()
    address = server.address

    echo.waker.send(b"x")
    with pytest.raises(ServerEnded) as raised:
        bus.block()

    assert (
        str(raised.value)
        == f"the server on {address} has ended by itself; its serve() must not return before drain() is called"
    )


def test_an_error_during_the_drain_fails_the_stop(bus: Bus, echo: Echo) -> None:
    """The bus stops nevertheless."""
    echo.fails_at, echo.error = "stop", OSError("cannot say goodbye")
    serving(bus, echo)
    bus.start()

    with pytest.raises(TransitionFailures) as failures:
        bus.stop()

    assert cause_of(failures.value) is echo.error
    assert bus.state is State.STOPPED


@pytest.mark.slow
def test_a_start_that_is_given_up_leaves_nothing_behind(echo: Echo) -> None:
    """A bus that no longer waits for the start of a server stops it, although that start has not returned."""
    bus = Bus(limits=Limits(hook=0.5))
    echo.ready_now.clear()
    server = serving(bus, echo)

    with pytest.raises(TransitionFailures):
        bus.start()

    # The thread of the start continues, and no other thread waits for it.
    assert echo.drained.wait(20)
    for thread in threading.enumerate():
        if thread.name.startswith("server "):
            thread.join(20)
            assert not thread.is_alive()
    bus.exit()
    with pytest.raises(NotServing):
        server.address  # noqa: B018


def test_a_stop_during_a_start_ends_it(bus: Bus, echo: Echo) -> None:
    """The thread that starts a server does not wait after another thread has stopped it."""
    echo.ready_now.clear()
    server = Server(bus, echo, bind="127.0.0.1:0")
    raised: list[BaseException] = []

    def start() -> None:
        try:
            server.start()
        except NotServing as error:
            raised.append(error)

    starter = threading.Thread(target=start)
    starter.start()
    assert echo.started.wait(20)
    server.stop()
    starter.join(20)

    assert len(raised) == 1
    assert not starter.is_alive()


def test_a_server_that_does_not_end_is_named(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop raises after the drain and the time for cutting off."""
    going = threading.Event()

    class Deaf:
        def serve(self, listening: socket.socket, ready: Callable[[], None]) -> int:
            ready()
            going.wait()
            return 0

        def drain(self, seconds: float) -> None: ...

    server = Server(bus, Deaf(), bind="127.0.0.1:0", drain=0.0)
    monkeypatch.setattr("typedbus.servers.serving.CUTTING", 0.01)
    server.start()
    address = server.address

    with pytest.raises(NotStopped) as raised:
        server.stop()
    going.set()

    assert f"the server on {address} has not ended 0.01 s after it was stopped" in str(raised.value)


def test_the_bus_owns_the_thread(bus: Bus, echo: Echo) -> None:
    """`block` waits for it, and it does not keep the process alive."""
    server = serving(bus, echo)
    bus.start()

    (thread,) = [thread for thread in parts_of(bus).main_loop.threads if thread.name == f"server {server.address}"]

    assert thread.is_alive()
    assert thread.daemon


class Order:
    """Records when it starts and stops."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    def start(self) -> None:
        self.notes.append(f"{self.name} starts")

    def stop(self) -> None:
        self.notes.append(f"{self.name} stops")


class RecordingEcho(Echo):
    """Records when it serves and when it drains."""

    def __init__(self, notes: list[str]) -> None:
        super().__init__()
        self.notes = notes

    def serve(self, listening: socket.socket, ready: Callable[[], None]) -> int:
        self.notes.append("serves")
        return super().serve(listening, ready)

    def drain(self, seconds: float) -> None:
        self.notes.append("drains")
        super().drain(seconds)


def test_a_server_starts_after_the_others_and_stops_before_them() -> None:
    """This holds wherever the container declares it."""
    notes: list[str] = []

    class Site(Container):
        bus = Component(Bus)
        echo = Component(RecordingEcho, notes)
        server = Component(Server, bus.provided, echo.provided, bind="127.0.0.1:0")
        other = Component(Order, "other", notes)

    site = Site()
    site.bus().start()
    site.bus().exit()
    site.echo().close()

    assert notes == ["other starts", "serves", "drains", "other stops"]


def test_an_exit_stops_a_server_that_was_started_by_hand(bus: Bus, echo: Echo) -> None:
    """The bus had not started it, so its stop does not stop it."""
    server = serving(bus, echo)
    server.start()

    bus.exit()

    with pytest.raises(NotServing):
        server.address  # noqa: B018
    assert echo.calls == ["serve", "drain"]


def test_a_server_that_cannot_be_created_releases_its_socket(bus: Bus, tmp_path: Path) -> None:
    """The start fails with its error, and the address is free."""

    class Broken(Serving):
        def server(self) -> Serves:
            raise LookupError("no application")

    path = tmp_path / "site.sock"
    broken = Broken(bus, bind=f"unix:{path}")

    with pytest.raises(LookupError, match="no application"):
        broken.start()

    assert not path.exists()


def test_a_file_that_cannot_be_removed_is_logged(bus: Bus, echo: Echo, tmp_path: Path) -> None:
    """The stop continues."""
    log: list[tuple[str, int]] = []
    bus.subscribe(LOG, lambda message, level: log.append((message, level)))
    folder = tmp_path / "run"
    folder.mkdir()
    serving(bus, echo, bind=f"unix:{folder / 'site.sock'}")
    bus.start()
    folder.rename(tmp_path / "was")
    folder.write_text("in its place")

    bus.stop()

    ((message, level),) = log[1:]
    assert message.startswith(f"cannot remove the socket file of unix:{folder}/site.sock: [Errno 20] Not a directory")
    assert level == 30
