"""Hosted applications in real servers: uvicorn and gunicorn, with their workers, signals and ends."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.processes import LIMIT, Program

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")]

SITE = """
import os, sys, threading, time
from typedbus import *
from typedbus.hosting import asgi, wsgi

LIFE = os.environ["LIFE"]


def note(what):
    # One write, which no other process comes into.
    end = os.open(LIFE, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(end, f"{os.getpid()} {what}\\n".encode())
    os.close(end)


class Database:
    def start(self):
        if os.environ.get("FAILING") == "start":
            raise OSError("no database")
        self.is_open = True
        note("database starts")

    def stop(self):
        self.is_open = False
        note("database stops")

    def exit(self):
        note("database exits")


class Orders:
    def __init__(self, bus: Bus, database: Database) -> None:
        self.bus = bus
        self.database = database

    def start(self):
        note("orders start")

    def stop(self):
        note("orders stop")
        if os.environ.get("FAILING") == "stop":
            raise OSError("not saved")

    def fail(self):
        self.bus.request_exit(OSError("the disk is full"))

    def answer(self):
        assert self.database.is_open
        return str(os.getpid()).encode()


class Shop(Container):
    bus = Component(Bus)
    database = Component(Database)
    orders = Component(Orders, bus.provided, database.provided)


shop = Shop()
go_on = threading.Event()


def page(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        print("slow begins", file=sys.stderr, flush=True)
        go_on.wait(0.3)
    if path == "/fail":
        shop.orders().fail()
        shop.bus().wait(State.EXITED)
        body = b"failed"
    else:
        body = shop.orders().answer()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi_page(scope, receive, send):
    import asyncio

    assert scope["type"] == "http"
    path = scope["path"]
    if path == "/slow":
        print("slow begins", file=sys.stderr, flush=True)
        await asyncio.sleep(0.3)
    if path == "/fail":
        shop.orders().fail()
        await asyncio.to_thread(shop.bus().wait, State.EXITED)
        body = b"failed"
    else:
        body = shop.orders().answer()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def end_worker():
    os.kill(os.getpid(), 15)


ended = end_worker if "ENDS" in os.environ else None
application = wsgi.Hosted(page, shop, ended=ended, limits=Limits(stop=20, exit=20))
asgi_application = asgi.Hosted(asgi_page, shop, ended=ended, limits=Limits(stop=20, exit=20))
if os.environ.get("EAGER") == "import":
    application.start()
"""

CONF = "from typedbus.hosting.gunicorn import post_worker_init, worker_exit\n"
LIFETIME = ["database starts", "orders start", "orders stop", "database stops", "database exits"]


class Host(Program):
    """A server in a process of its own, and the hooks that its workers recorded."""

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        (folder / "site_of_test.py").write_text(SITE, encoding="utf-8")
        self.life_file = folder / "life.txt"
        self.life_file.touch()
        # It listens before there is a server: a client need not wait for one.
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        number = self.listening.fileno()
        super().__init__(
            sys.executable,
            "-m",
            *(part.format(fd=number) for part in command),
            cwd=folder,
            env={**os.environ, "LIFE": str(self.life_file), **environment},
            pass_fds=[number],
        )

    def get(self, path: str = "/") -> tuple[int, str]:
        """Return status and body of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def kill(self) -> None:
        """Kill the server and its workers, and close the listening socket."""
        self.listening.close()
        super().kill()

    @property
    def lives(self) -> dict[int, list[str]]:
        """The hooks that each process recorded."""
        lives: dict[int, list[str]] = {}
        for line in self.life_file.read_text(encoding="utf-8").splitlines():
            pid, _, hook = line.partition(" ")
            lives.setdefault(int(pid), []).append(hook)
        return lives


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Start servers, and kill them and their workers at the end."""
    hosts: list[Host] = []

    def begin_host(*command: str, **environment: str) -> Host:
        hosts.append(Host(tmp_path, *command, **environment))
        return hosts[-1]

    yield begin_host
    for host in hosts:
        host.kill()


def gunicorn_of(folder: Path, *options: str, conf: str = CONF) -> list[str]:
    """Return the command of a gunicorn."""
    (folder / "gunicorn.conf.py").write_text(conf, encoding="utf-8")
    return ["gunicorn", "--bind", "fd://{fd}", "--no-control-socket", *options, "site_of_test:application"]


def uvicorn_of(*options: str) -> list[str]:
    """Return the command of a uvicorn."""
    return ["uvicorn", "--fd", "{fd}", *options, "site_of_test:asgi_application"]


class Load:
    """Clients that send one request after the other, and the responses."""

    def __init__(self, host: Host, clients: int = 3) -> None:
        self.host = host
        self.over = threading.Event()
        self.responses: list[tuple[int, str]] = []
        self.failed: list[str] = []
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=self.ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def ask(self) -> None:
        while not self.over.is_set():
            try:
                answer = self.host.get("/")
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                continue
            with self.changed:
                self.responses.append(answer)
                self.changed.notify_all()

    def reach(self, condition: Callable[[set[str]], bool]) -> None:
        """Return when *condition* holds for the processes that have answered."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition({body for _, body in self.responses}), 60), self.host.output

    def end(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert {status for status, _ in self.responses} == {200}


needs_gevent = pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")
GUNICORNS = [
    pytest.param(kind, preload, id=f"{'-'.join(kind) or 'sync'}{'-preload' if preload else ''}", marks=marks)
    for kind, preload, marks in [
        ((), False, []),
        ((), True, [pytest.mark.exhaustive]),
        (("--threads", "4"), False, [pytest.mark.exhaustive]),
        (("--threads", "4"), True, []),
        (("--worker-class", "gevent"), False, [needs_gevent]),
        (("--worker-class", "gevent"), True, [needs_gevent, pytest.mark.exhaustive]),
    ]
]


@pytest.mark.parametrize(("kind", "preload"), GUNICORNS)
def test_each_worker_of_gunicorn_has_its_own_bus(
    begin: Callable[..., Host], tmp_path: Path, kind: tuple[str, ...], preload: bool
) -> None:
    """A reload starts new workers and ends the old workers in order, no request is lost, and no process is left at the end."""
    preloading = ["--preload"] if preload else []
    host = begin(*gunicorn_of(tmp_path, "--workers", "2", *kind, *preloading))
    host.reach_all("Booting worker", 2)
    load = Load(host)
    load.reach(lambda pids: len(pids) == 2)

    host.send(signal.SIGHUP)
    load.reach(lambda pids: len(pids) == 4)
    host.reach_all("Worker exiting", 2)
    load.end()
    status = host.end(signal.SIGTERM)

    assert status == 0
    assert load.failed == []
    assert list(host.lives.values()) == [LIFETIME] * 4
    assert host.child.pid not in host.lives
    assert "Traceback" not in host.output


@pytest.mark.exhaustive
def test_an_asgi_worker_of_gunicorn_starts_the_bus_in_the_lifespan(begin: Callable[..., Host], tmp_path: Path) -> None:
    """The hooks of gunicorn are installed, and do nothing."""
    command = gunicorn_of(tmp_path, "--workers", "2", "--worker-class", "asgi", "--asgi-lifespan", "on")
    host = begin(*command[:-1], "site_of_test:asgi_application")
    host.reach_all("ASGI server listening", 2)
    load = Load(host)
    load.reach(lambda pids: len(pids) == 2)
    load.end()

    assert host.end(signal.SIGTERM) == 0
    assert load.failed == []
    assert list(host.lives.values()) == [LIFETIME] * 2


@pytest.mark.parametrize(
    "options",
    [(), ("--threads", "4"), pytest.param(("--worker-class", "gevent"), marks=needs_gevent)],
    ids=["sync", "gthread", "gevent"],
)
def test_without_hooks_the_first_request_starts_the_bus_and_the_interpreter_ends_it(
    begin: Callable[..., Host], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """A request that has begun is answered before the exit."""
    host = begin(*gunicorn_of(tmp_path, "--workers", "1", *options, conf=""))
    host.reach_all("Booting worker")
    assert host.lives == {}
    answers: list[tuple[int, str]] = []
    client = threading.Thread(target=lambda: answers.append(host.get("/slow")))
    client.start()
    host.reach_all("slow begins")

    status = host.end(signal.SIGTERM)
    client.join()

    assert status == 0
    assert [status for status, _ in answers] == [200]
    assert list(host.lives.values()) == [LIFETIME]


def test_the_successor_of_a_killed_worker_has_its_own_bus(begin: Callable[..., Host], tmp_path: Path) -> None:
    """The killed worker released nothing; its successor starts normally."""
    host = begin(*gunicorn_of(tmp_path, "--workers", "1"))
    host.reach_all("Booting worker")
    _, first = host.get()

    os.kill(int(first), signal.SIGKILL)
    host.reach_all("Booting worker", 2)
    _, second = host.get()
    host.end(signal.SIGTERM)

    assert host.lives == {int(first): LIFETIME[:2], int(second): LIFETIME}


@pytest.mark.exhaustive
def test_workers_that_have_reached_max_requests_end_in_order(begin: Callable[..., Host], tmp_path: Path) -> None:
    """They exit their buses as after a signal."""
    host = begin(*gunicorn_of(tmp_path, "--workers", "1", "--max-requests", "3"))
    host.reach_all("Booting worker")

    answers = [host.get()[0] for _ in range(6)]
    host.end(signal.SIGTERM)

    assert answers == [200] * 6
    assert all(life == LIFETIME for life in host.lives.values())
    assert len(host.lives) >= 2


def test_gunicorn_ends_if_a_worker_cannot_start(begin: Callable[..., Host], tmp_path: Path) -> None:
    """It reports the reason, and ends with its own status."""
    host = begin(*gunicorn_of(tmp_path, "--workers", "1"), FAILING="start")

    assert host.end() == 3
    assert "OSError: no database" in host.output
    assert "Worker failed to boot" in host.output


def test_gunicorn_without_hooks_answers_503_if_a_worker_cannot_start(
    begin: Callable[..., Host], tmp_path: Path
) -> None:
    """Each request tries the start again, and the response has no reason."""
    host = begin(*gunicorn_of(tmp_path, "--workers", "1", conf=""), FAILING="start")
    host.reach_all("Booting worker")

    assert [host.get(), host.get()] == [(503, "Service Unavailable\n")] * 2
    assert host.end(signal.SIGTERM) == 0
    assert host.output.count("OSError: no database") == 2


@pytest.mark.parametrize("conf", [CONF, ""], ids=["hooks", "atexit"])
def test_a_failed_exit_is_reported_under_gunicorn(begin: Callable[..., Host], tmp_path: Path, conf: str) -> None:
    """It is reported on stderr, and the rest of the exit is carried out."""
    host = begin(*gunicorn_of(tmp_path, "--workers", "1", conf=conf), FAILING="stop")
    host.reach_all("Booting worker")
    host.get()

    host.end(signal.SIGTERM)

    assert list(host.lives.values()) == [LIFETIME]
    assert "OSError: not saved" in host.output


def test_a_bus_that_was_started_before_the_fork_stays_with_the_master(
    begin: Callable[..., Host], tmp_path: Path
) -> None:
    """The application is preloaded and starts at its import: the master and each worker have a bus of their own."""
    host = begin(*gunicorn_of(tmp_path, "--workers", "2", "--preload"), EAGER="import")
    host.reach_all("Booting worker", 2)
    load = Load(host)
    load.reach(lambda pids: len(pids) == 2)
    load.end()

    assert host.end(signal.SIGTERM) == 0
    assert list(host.lives.values()) == [LIFETIME] * 3
    assert host.child.pid in host.lives


@pytest.mark.parametrize("preload", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_a_failed_bus_ends_its_worker_if_ended_does_so(
    begin: Callable[..., Host], tmp_path: Path, preload: bool
) -> None:
    """gunicorn starts another worker, which serves."""
    preloading = ["--preload"] if preload else []
    host = begin(*gunicorn_of(tmp_path, "--workers", "1", *preloading), ENDS="1")
    host.reach_all("Booting worker")

    assert host.get("/fail") == (200, "failed")
    host.reach_all("Booting worker", 2)
    assert host.get()[0] == 200
    assert host.end(signal.SIGTERM) == 0

    assert list(host.lives.values()) == [LIFETIME] * 2
    assert "OSError: the disk is full" in host.output


@pytest.mark.parametrize("workers", [1, 2])
def test_each_worker_of_uvicorn_has_its_own_bus(begin: Callable[..., Host], workers: int) -> None:
    """Accepted requests are answered at the end, and no process is left."""
    host = begin(*uvicorn_of("--workers", str(workers)))
    host.reach_all("Application startup complete", workers)
    load = Load(host)
    load.reach(lambda pids: len(pids) == workers)
    load.end()
    answers: list[tuple[int, str]] = []
    client = threading.Thread(target=lambda: answers.append(host.get("/slow")))
    client.start()
    host.reach_all("slow begins")

    status = host.end(signal.SIGTERM)
    client.join()

    assert status in (0, -signal.SIGTERM)
    assert [status for status, _ in answers] == [200]
    assert load.failed == []
    assert list(host.lives.values()) == [LIFETIME] * workers
    assert "Traceback" not in host.output


def test_uvicorn_ends_if_the_bus_does_not_start(begin: Callable[..., Host]) -> None:
    """It reports the reason, and ends with its own status."""
    host = begin(*uvicorn_of(), FAILING="start")

    assert host.end() == 3
    assert "OSError: no database" in host.output
    assert "Application startup failed" in host.output


def test_a_failed_exit_is_reported_under_uvicorn(begin: Callable[..., Host]) -> None:
    """It is a failure of the lifespan."""
    host = begin(*uvicorn_of(), FAILING="stop")
    host.reach_all("Application startup complete")

    host.end(signal.SIGTERM)

    assert "OSError: not saved" in host.output
    assert "Application shutdown failed" in host.output
    assert list(host.lives.values()) == [LIFETIME]


def test_a_failed_bus_under_uvicorn_answers_503(begin: Callable[..., Host]) -> None:
    """The process continues, since no *ended* ends it."""
    host = begin(*uvicorn_of())
    host.reach_all("Application startup complete")

    assert host.get("/fail") == (200, "failed")
    host.reach_all("the bus has exited by itself")
    assert host.get() == (503, "Service Unavailable\n")
    host.end(signal.SIGTERM)

    assert list(host.lives.values()) == [LIFETIME]
    assert "OSError: the disk is full" in host.output


def test_a_server_without_a_lifespan_gets_an_error_with_the_remedy(begin: Callable[..., Host]) -> None:
    """The client gets 500, and the log has the remedy."""
    host = begin(*uvicorn_of("--lifespan", "off"))
    host.reach_all("Started server process")

    assert host.get()[0] == 500
    host.end(signal.SIGTERM)

    assert "NotHosted: a request arrived before Shop was started" in host.output
    assert host.lives == {}


def test_the_interpreter_exits_the_bus_of_a_uvicorn_that_is_forced_to_end(begin: Callable[..., Host]) -> None:
    """uvicorn does not end the lifespan then."""
    host = begin(*uvicorn_of())
    host.reach_all("Application startup complete")
    client = threading.Thread(target=_get_anyway, args=[host])
    client.start()
    host.reach_all("slow begins")

    host.send(signal.SIGINT)
    host.reach_all("Waiting for")
    host.end(signal.SIGINT)
    client.join()

    assert list(host.lives.values()) == [LIFETIME]


def _get_anyway(host: Host) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        host.get("/slow")
