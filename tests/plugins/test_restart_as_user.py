"""A site that is started by root and continues as another user, through reloads and restarts: real daemons and real ports."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("Linux alone keeps ports for root and names its processes in /proc", allow_module_level=True)

import typedbus

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to become another user"),
]

USER = 65534
SECONDS = 50.0

SITE = """\
import logging
import os
import threading
import time

from typedbus import Bus, Component, Container
from typedbus.servers.KIND import SERVER
from typedbus.servers.serving import Server

GENERATION = int(os.environ.get("GENERATION", "0")) + 1
os.environ["GENERATION"] = str(GENERATION)
BIND = open("bind", encoding="utf-8").read()
print("the program is imported", flush=True)
# The import waits as long as this file is there.
while os.path.exists("wait"):
    time.sleep(0.01)


def wsgi(environ, start_response):
    body = f"{os.getpid()} {os.geteuid()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    body = f"{os.getpid()} {os.geteuid()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Desk:
    def graceful(self) -> None:
        logging.getLogger("shop").info("still there")


class Hanging:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.over = threading.Event()

    def serve(self, listening, ready):
        self.bus.restart()
        self.over.wait()
        listening.close()
        return 0

    def drain(self, seconds):
        self.over.set()


class Shop(Container):
    bus = Component(Bus)
    desk = Component(Desk)
    if GENERATION == 2 and os.path.exists("hang"):
        hanging = Component(Hanging, bus.provided)
        server = Component(Server, bus.provided, hanging.provided, bind=BIND)
    elif BIND:
        server = Component(SERVER, bus.provided, KIND, bind=BIND)
"""


def is_reserved_for_root(port: int) -> bool:
    """Return whether only root can bind *port*; in containers this is often not so."""
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return not first.exists() or port < int(first.read_text())


def free_low_port() -> int:
    """Return a free port from 600 to 1023; parallel tests get different ports."""
    for port in random.sample(range(600, 1024), 424):
        if is_reserved_for_root(port):
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port
    pytest.skip("any user may bind every port here, or none is free")


def environment() -> Mapping[str, str]:
    """Return an environment in which other interpreters of this version find the packages of this interpreter."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "TYPEDBUS_CONFIG")}
    folders = [path for path in sys.path if Path(path).name == "site-packages"]
    packages = os.pathsep.join([str(Path(typedbus.__file__).parents[1]), *folders])
    return {**kept, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def python() -> str:
    """Return an interpreter that the user can run, and that can import the packages of a site."""
    probe = "import encodings.idna, typedbus.cli, typedbus.settings, typedbus.servers.wsgi, typedbus.servers.asgi"
    for candidate in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            done = subprocess.run(
                [candidate, "-c", probe],
                cwd="/",
                env=environment(),
                user=USER,
                group=USER,
                extra_groups=[],
                capture_output=True,
                check=False,
            )
            if done.returncode == 0:
                return candidate
    pytest.skip("no interpreter here can be run by another user together with the packages of this one")


def until(condition: Callable[[], object], what: str) -> None:
    """Return as soon as *condition* is true."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


class Site:
    """A daemon with its PID file and its log in folders that belong to root."""

    def __init__(self, folder: Path, python: str, kind: str, bind: str) -> None:
        self.folder = folder
        self.python = python
        self.pidfile = folder / "run" / "shop.pid"
        self.log = folder / "log" / "shop.log"
        for name in (self.pidfile, self.log):
            name.parent.mkdir()
        source = SITE.replace("SERVER", f"{kind.upper()}Server").replace("KIND", kind)
        (folder / "shop.py").write_text(source, encoding="utf-8")
        self.bind(bind)

    def bind(self, bind: str) -> None:
        """Set the address for the next start of the program; an empty address means no server."""
        (self.folder / "bind").write_text(bind, encoding="utf-8")

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a command."""
        return [self.python, "-m", "typedbus", *arguments, "--pidfile", str(self.pidfile)]

    def do(self, *arguments: str) -> str:
        """Run a command as root, which must succeed, and return its output."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output + self.output
        return output

    def run(self) -> None:
        """Start the daemon as in the guide to deployment."""
        account = ("--user", str(USER), "--group", str(USER))
        log = ("--log-file", str(self.log), "--output", str(self.folder / "shop.out"))
        self.do("run", "shop:Shop", "--daemon", *account, *log)

    @property
    def output(self) -> str:
        """The output of the daemon."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "shop.out").read_text(encoding="utf-8")
        return ""

    @property
    def pid(self) -> int:
        """The PID in the PID file."""
        return int(self.pidfile.read_text(encoding="utf-8"))

    @property
    def uids(self) -> list[str]:
        """The user IDs of the daemon."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith("Uid:")).split()[1:]

    def end(self) -> None:
        """Kill the daemon if it still runs."""
        with contextlib.suppress(OSError, ValueError):
            if str(self.folder).encode() in Path(f"/proc/{self.pid}/cmdline").read_bytes():
                os.kill(self.pid, signal.SIGKILL)


Make = Callable[[str, str], Site]


@pytest.fixture
def make(python: str) -> Iterator[Make]:
    """Return a function that creates a site at an address, in a folder that every user can read."""
    sites: list[Site] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)

        def make_site(kind: str, bind: str) -> Site:
            sites.append(Site(folder, python, kind, bind.format(folder=folder)))
            return sites[-1]

        yield make_site
        for site in sites:
            site.end()


def connected(place: int | Path) -> socket.socket:
    """Return a connection to a port or to the socket at a path."""
    if isinstance(place, int):
        return socket.create_connection(("127.0.0.1", place), SECONDS)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(SECONDS)
    try:
        client.connect(str(place))
    except OSError:
        client.close()
        raise
    return client


def answer(client: socket.socket) -> list[str]:
    """Return the PID and the user of the process that answers a request on *client*."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = client
    with contextlib.closing(connection):
        connection.request("GET", "/", headers={"Connection": "close"})
        return connection.getresponse().read().decode().split()


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_privileged_port_survives_restarts(make: Make, kind: str) -> None:
    """As do the log file, which may be rotated, and the PID file; the user stays the same."""
    port = free_low_port()
    site = make(kind, f"127.0.0.1:{port}")
    site.run()
    pid = site.pid
    expected = [str(pid), str(USER)]
    assert answer(connected(port)) == expected

    site.log.rename(site.log.with_suffix(".1"))
    site.log.touch(0o640)
    os.chown(site.log, USER, USER)
    site.do("reload")
    until(lambda: "still there" in site.log.read_text(encoding="utf-8"), "the new log file is used")

    for count in (1, 2):
        site.do("restart")

        assert site.pid == pid
        assert site.uids == [str(USER)] * 4
        assert answer(connected(port)) == expected
        log = site.log.read_text(encoding="utf-8")
        assert log.count(f"127.0.0.1:{port} stays open for the restarted program") == count
        assert log.count(f"runs as user {USER}, group {USER}, groups [{USER}] already") == count

    site.do("stop")
    with pytest.raises(ConnectionRefusedError):
        connected(port)


def test_a_socket_file_in_a_folder_of_root_survives_restarts(make: Make) -> None:
    """Clients connect to the same file at the same path."""
    site = make("wsgi", "unix:{folder}/run/shop.sock")
    path = site.folder / "run" / "shop.sock"
    site.run()
    # Any user may connect; the test does it as root.
    number = path.stat().st_ino

    for _ in range(2):
        site.do("restart")

        assert answer(connected(path)) == [str(site.pid), str(USER)]
        assert path.stat().st_ino == number

    site.do("stop")
    with pytest.raises(ConnectionRefusedError):
        connected(path)


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_clients_wait_for_the_restarted_program(make: Make, kind: str) -> None:
    """A client that connects while no server accepts is answered by the restarted program."""
    port = free_low_port()
    site = make(kind, f"127.0.0.1:{port}")
    site.run()
    (site.folder / "wait").touch()
    with subprocess.Popen(
        site.command("restart"),
        cwd=site.folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as restart:
        try:
            until(lambda: "the program is imported" in site.output, "the process has been replaced")
            client = connected(port)
            (site.folder / "wait").unlink()
            assert answer(client) == [str(site.pid), str(USER)]
            assert restart.wait(SECONDS) == 0
        finally:
            restart.kill()


def test_a_port_survives_a_restart_during_a_start(make: Make) -> None:
    """The server that uses it was not ready yet."""
    port = free_low_port()
    site = make("wsgi", f"127.0.0.1:{port}")
    (site.folder / "hang").touch()
    site.run()

    os.kill(site.pid, signal.SIGHUP)
    until(lambda: site.output.count("bus      STARTED") == 2, "the third program has started")

    assert answer(connected(port)) == [str(site.pid), str(USER)]
    assert site.log.read_text(encoding="utf-8").count("stays open for the restarted program") == 2


def test_a_port_that_no_server_claims_is_closed(make: Make) -> None:
    """The restarted program serves elsewhere; after its start, the port is free."""
    port = free_low_port()
    site = make("wsgi", f"127.0.0.1:{port}")
    site.run()
    site.bind("")

    site.do("restart")

    with pytest.raises(ConnectionRefusedError):
        connected(port)
    assert site.uids == [str(USER)] * 4


def test_a_port_is_free_after_a_failed_restart(make: Make) -> None:
    """The process ends, and another process can bind the port."""
    port = free_low_port()
    site = make("wsgi", f"127.0.0.1:{port}")
    site.run()
    with (site.folder / "shop.py").open("a", encoding="utf-8") as source:
        source.write("\nraise ValueError\n")

    done = subprocess.run(site.command("restart"), cwd=site.folder, env=environment(), capture_output=True, check=False)

    assert done.returncode == 1
    with socket.create_server(("127.0.0.1", port)):
        pass


STOPPED = """
import encodings.idna, os, socket, sys, threading
from typedbus import Bus
from typedbus.servers.serving import Server


class Serves:
    def __init__(self):
        self.over = threading.Event()

    def serve(self, listening, ready):
        ready()
        self.over.wait()
        listening.close()
        return 0

    def drain(self, seconds):
        self.over.set()


server = Server(Bus(), Serves(), bind=f"127.0.0.1:{sys.argv[1]}")
server.start()
os.setuid(65534)
server.stop()
with socket.socket() as client:
    print(client.connect_ex(("127.0.0.1", int(sys.argv[1]))))
"""


def test_a_stop_without_a_restart_closes_the_port() -> None:
    """No process would accept its clients."""
    port = free_low_port()

    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(port)], capture_output=True, text=True, timeout=SECONDS, check=False
    )

    assert (done.stdout, done.stderr) == (f"{errno.ECONNREFUSED}\n", "")
