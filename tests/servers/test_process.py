"""Servers in processes of their own, under `run`: real signals, real clients, and the exit status that the shell sees."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import Begin, Program, programs

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")]

PRELUDE = """
import asyncio, os, signal, sys, threading, time
from typedbus import *
from typedbus.servers.serving import Server
from typedbus.servers.asgi import ASGIServer
from typedbus.servers.wsgi import WSGIServer

BODY = b"every byte of it" * 1000
counted = []
go_on = threading.Event()


def wsgi(environ, start_response):
    counted.append(None)
    if environ["PATH_INFO"] == "/slow":
        sys.stdout.write("slow begins\\n")
        sys.stdout.flush()
        go_on.wait()
    start_response("200 OK", [("Content-Length", str(len(BODY)))])
    return [BODY]


async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    counted.append(None)
    if scope["path"] == "/slow":
        sys.stdout.write("slow begins\\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(BODY))]})
    await send({"type": "http.response.body", "body": BODY})


class Again:
    def __init__(self, bus):
        signal.signal(signal.SIGUSR1, lambda *_: bus.restart())


class Database:
    def start(self): ...

    def stop(self):
        sys.stdout.write(f"database stops after {len(counted)}\\n")
        sys.stdout.flush()


"""


#: Servers in the source of a container, by kind; "shared" is one on the event loop of the bus.
SERVERS = {
    "wsgi": "WSGIServer, bus.provided, wsgi",
    "asgi": "ASGIServer, bus.provided, asgi",
    "shared": 'ASGIServer, bus.provided, asgi, loop="shared"',
}
#: One is enough for every change, where what is tested is the same for all.
ONE_AND_ALL = ["wsgi", *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in ("asgi", "shared"))]


def address_of(program: Program) -> str:
    """Return the address of the server of *program*, after the bus has STARTED."""
    address = program.reach("serving on ").rpartition(" ")[2]
    program.reach("STARTED")
    return address


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start programs that run the container of their source; they inherit these descriptors."""
    with programs(tmp_path, PRELUDE) as begin_program:

        def begin(source: str, *inherited: int) -> Program:
            source = textwrap.dedent(source) + "\n\nraise SystemExit(run(Site))\n"
            return begin_program(source, *inherited, pass_fds=inherited)

        yield begin


def site(kind: str, fields: str = 'bind="127.0.0.1:0"') -> str:
    """Return the source of a site with a server of this kind."""
    return f"""
        class Site(Container):
            bus = Component(Bus)
            database = Component(Database)
            server = Component({SERVERS[kind]}, {fields})
    """


def ask(address: str, answers: list[bytes], failures: list[str], going: threading.Semaphore) -> None:
    """Send requests until no server accepts, half of them over a connection that stays open."""
    for number in range(1_000_000):
        connection = http.client.HTTPConnection(address, timeout=30)
        try:
            connection.connect()
        except ConnectionRefusedError:
            return
        try:
            for _ in range(1 + number % 2 * 10):
                connection.request("GET", "/")
                response = connection.getresponse()
                answers.append(response.read())
                going.release()
                if response.getheader("connection", "").lower() == "close":
                    break
        except Exception as error:
            failures.append(repr(error))
        finally:
            connection.close()


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        pytest.param("wsgi", signal.SIGTERM, id="wsgi-SIGTERM"),
        pytest.param("asgi", signal.SIGTERM, id="asgi-SIGTERM"),
        pytest.param("shared", signal.SIGTERM, id="shared-SIGTERM"),
        pytest.param("wsgi", signal.SIGINT, id="wsgi-SIGINT", marks=pytest.mark.exhaustive),
        pytest.param("asgi", signal.SIGINT, id="asgi-SIGINT", marks=pytest.mark.exhaustive),
        pytest.param("shared", signal.SIGINT, id="shared-SIGINT", marks=pytest.mark.exhaustive),
    ],
)
def test_a_signal_under_load_loses_no_request(begin: Begin, kind: str, number: signal.Signals) -> None:
    """Each client that connected gets a whole response before anything else stops, and the status is 0."""
    program = begin(site(kind))
    address = address_of(program)
    answers: list[bytes] = []
    failures: list[str] = []
    going = threading.Semaphore(0)
    clients = [threading.Thread(target=ask, args=[address, answers, failures, going]) for _ in range(16)]
    for client in clients:
        client.start()
    for _ in range(300):
        assert going.acquire(timeout=30)

    program.send(number)
    status = program.end()
    for client in clients:
        client.join(60)

    assert (status, failures) == (0, []), program.output
    assert set(answers) == {b"every byte of it" * 1000}
    assert f"database stops after {len(answers)}" in program.lines
    assert "cut off" not in program.output
    assert "Traceback" not in program.output


@pytest.mark.parametrize("kind", ONE_AND_ALL)
def test_a_restart_under_load_loses_no_client_of_a_given_socket(begin: Begin, kind: str) -> None:
    """A client that connects between two processes is served by the second, and no client is refused."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1000)
        program = begin(
            "import socket\nGIVEN = socket.socket(fileno=os.dup(int(sys.argv[1])))\n"
            + textwrap.dedent(site(kind, "bind=GIVEN")).rstrip()
            + "\n    again = Component(Again, bus.provided)",
            listening.fileno(),
        )
        address = address_of(program)
        answers: list[bytes] = []
        failures: list[str] = []
        going = threading.Semaphore(0)
        clients = [threading.Thread(target=ask, args=[address, answers, failures, going]) for _ in range(4)]
        for client in clients:
            client.start()
        for _ in range(2):
            for _ in range(50):
                assert going.acquire(timeout=30)
            program.send(signal.SIGUSR1)
            assert address_of(program) == address
        assert failures == []
        program.send(signal.SIGTERM)
        status = program.end()
        # The last connections wait for another process, until no process has the socket open.
        listening.close()
    for client in clients:
        client.join(60)

    assert status == 0
    assert len(failures) <= len(clients)
    assert set(answers) == {b"every byte of it" * 1000}


@pytest.mark.parametrize("kind", ONE_AND_ALL)
def test_a_port_in_use_is_named(begin: Begin, kind: str) -> None:
    """The program ends with status 1 and names the port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        where = f"127.0.0.1:{other.getsockname()[1]}"
        program = begin(site(kind, f"bind={where!r}"))
        status = program.end()

    assert status == 1
    assert f"cannot listen on {where}: another process uses this port; stop it" in program.output
    assert "database stops after 0" in program.output


@pytest.mark.parametrize("kind", ["wsgi", "asgi", "shared"])
def test_a_request_that_exceeds_the_drain_does_not_keep_a_program(begin: Begin, kind: str) -> None:
    """It is cut off and counted; an ASGI request is cancelled, and a thread that hangs is named, with status 70."""
    program = begin(site(kind, 'bind="127.0.0.1:0", drain=0.2'))
    address = address_of(program)
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", "/slow")
    program.reach("slow begins")

    program.send(signal.SIGTERM)
    status = program.end()

    assert f"1 request(s) on {address} cut off after 0.2 s of draining" in program.output
    with pytest.raises((ConnectionError, http.client.BadStatusLine)):
        connection.getresponse()
    connection.close()
    assert status == (70 if kind == "wsgi" else 0)
    assert ("go_on.wait()" in program.output) == (kind == "wsgi")


def test_a_server_that_dies_ends_a_program_in_order(begin: Begin) -> None:
    """Everything stops, the error is reported with its traceback, and the status is 70."""
    program = begin("""
        class Dying:
            def __init__(self):
                self.may_end = threading.Event()

            def serve(self, listening, ready):
                ready()
                self.may_end.wait()
                raise OSError("no more memory")

            def drain(self, seconds):
                self.may_end.set()

            def main(self):
                self.may_end.set()

        class Site(Container):
            bus = Component(Bus)
            database = Component(Database)
            dying = Component(Dying)
            server = Component(Server, bus.provided, dying.provided, bind="127.0.0.1:0")
    """)
    address = address_of(program)

    assert program.end() == 70
    assert f"the server on {address} has died: OSError('no more memory')" in program.output
    assert "database stops after 0" in program.lines
    assert program.lines[-1] == "OSError: no more memory"


@pytest.mark.parametrize("kind", ONE_AND_ALL)
def test_the_socket_file_of_a_killed_program_is_replaced(begin: Begin, kind: str, tmp_path: Path) -> None:
    """The file of a program that runs is not."""
    path = tmp_path / "site.sock"
    source = site(kind, f'bind="unix:{path}"')
    program = begin(source)
    address_of(program)
    program.child.kill()
    program.child.wait(30)
    assert path.is_socket()

    second = begin(source)
    address_of(second)
    third = begin(source)
    assert third.end() == 1
    assert "another process serves on this path" in third.output
    second.send(signal.SIGTERM)

    assert second.end() == 0
    assert not path.exists()


@pytest.mark.parametrize("kind", ONE_AND_ALL)
def test_a_server_does_not_keep_a_process(begin: Begin, kind: str) -> None:
    """If the main thread ends with an error outside of `block`, the server ends as well."""
    program = begin(f"""
        bus = Bus()
        server = {SERVERS[kind].replace(", bus.provided", "(bus")}, bind="127.0.0.1:0")
        server.start()
        print("serving on", server.address, flush=True)
        raise SystemExit(5)
    """)

    assert program.end() == 5
    assert re.search(r"serving on 127.0.0.1:\d+", program.output)


@pytest.mark.parametrize("kind", ONE_AND_ALL)
def test_a_server_without_file_descriptors_continues(begin: Begin, kind: str) -> None:
    """Clients wait for a descriptor, and the server neither spins nor ends."""
    program = begin(
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n" + textwrap.dedent(site(kind))
    )
    address = address_of(program)
    host, port = address.split(":")
    held = [socket.create_connection((host, int(port))) for _ in range(60)]
    program.reach("cannot accept another connection")
    for client in held[:-1]:
        client.close()

    held[-1].settimeout(30)
    held[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = b"".join(iter(lambda: held[-1].recv(1 << 16), b""))
    held[-1].close()
    program.send(signal.SIGTERM)

    assert program.end() == 0
    assert answer.endswith(b"every byte of it")
    assert program.output.count("cannot accept another connection") < 20


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_is_left_to_a_loop_in_the_main_thread(tmp_path: Path, times: int) -> None:
    """
    The server drains, then the async component stops.

    The second Ctrl-C cancels the requests under way, and gives up the hook that runs, which may be the one of the component.
    """
    source = (
        PRELUDE
        + """
class Feed:
    def __init__(self, bus):
        self.bus = bus

    async def start(self):
        self.loop, self.is_stopping = asyncio.get_running_loop(), asyncio.Event()

    @on(MOVED)
    def moved(self, moved):
        if moved.after is State.STOPPING:
            print("stopping", flush=True)
            if sys.argv[1] == "1":
                self.loop.call_soon_threadsafe(self.is_stopping.set)

    async def stop(self):
        print("feed stops", flush=True)


class App:
    def __init__(self, feed):
        self.feed = feed

    async def __call__(self, scope, receive, send):
        assert scope["type"] == "http"
        print("slow begins", flush=True)
        await self.feed.is_stopping.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"news"})


class Site(Container):
    bus = Component(Bus)
    feed = Component(Feed, bus.provided)
    app = Component(App, feed.provided)
    server = Component(ASGIServer, bus.provided, app.provided, bind="127.0.0.1:0")


async def main():
    async with running(Site()) as site:
        print("serving on", site.server().address, flush=True)
        await asyncio.Event().wait()


try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    )
    with programs(tmp_path, "from typedbus.events import MOVED\n") as begin_program:
        program = begin_program(source, times)
        address = program.reach("serving on ").rpartition(" ")[2]
        connection = http.client.HTTPConnection(address, timeout=30)
        connection.request("GET", "/")
        program.reach("slow begins")

        program.send(signal.SIGINT)
        program.reach("stopping")
        if times == 1:
            assert connection.getresponse().status == 200
        else:
            program.send(signal.SIGINT)
            # asyncio.run cancels all tasks at once: the server may close the connection before the request fails.
            with contextlib.suppress(http.client.RemoteDisconnected):
                assert connection.getresponse().status == 500
        connection.close()
        status = program.end()

    assert status == 0, program.output
    assert program.lines[-1] == "interrupted"
    assert times == 2 or program.lines[-2] == "feed stops"
