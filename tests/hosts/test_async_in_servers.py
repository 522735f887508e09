"""Servers that host async components: the loop of the hooks, the ends of the servers, and trio."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from host_process import FULL_LIFE, Host, hosts_in, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")]

HOOKS = "from typedbus.hosting.gunicorn import post_worker_init, worker_exit\n"
LIFE = ["start", "async start", "async stop", "stop", "async exit", "exit"]
RELOADED = [*LIFE[:2], "async graceful", *LIFE[2:]]


@attrs.frozen
class Kind:
    """
    A server, its options and its event loop.

    Args:
        name: The name in the tests.
        command: With the port as ``{port}``.
        loop: The package of its event loop.
        stop: The signal for an end in order.
        status: The exit status after that.
        pause: What it prints after the first SIGINT, when it waits for a request.
    """

    name: str
    command: str
    loop: str = "asyncio"
    stop: signal.Signals = signal.SIGTERM
    status: int = 0
    pause: str = ""


UVICORN = "uvicorn --port {port} shop_async:asgi_application --loop"
HYPERCORN = "hypercorn --bind 127.0.0.1:{port} --graceful-timeout 10 shop_async:asgi_application --worker-class"
GRANIAN = "granian --port {port} --interface asgi shop_async:asgi_application --loop"
GUNICORN = "gunicorn --bind 127.0.0.1:{port} --no-control-socket"
WAITING = "Waiting for connections"

LOOPS = [
    Kind("uvicorn", f"{UVICORN} asyncio", status=-signal.SIGTERM, pause=WAITING),
    Kind("uvicorn-uvloop", f"{UVICORN} uvloop", "uvloop", status=-signal.SIGTERM, pause=WAITING),
    Kind("hypercorn", f"{HYPERCORN} asyncio"),
    Kind("granian", f"{GRANIAN} asyncio", pause="Shutting down"),
]
ASGI = [
    *LOOPS,
    Kind("hypercorn-uvloop", f"{HYPERCORN} uvloop", "uvloop"),
    Kind("granian-uvloop", f"{GRANIAN} uvloop", "uvloop"),
    Kind(
        "gunicorn-asgi",
        f"{GUNICORN} --worker-class asgi --asgi-lifespan on --asgi-loop asyncio shop_async:asgi_application",
    ),
    Kind(
        "gunicorn-uvicorn",
        f"{GUNICORN} --worker-class uvicorn_worker.UvicornWorker shop_async:asgi_application",
        "uvloop",
    ),
]
WSGI = [
    Kind("gunicorn-sync", f"{GUNICORN} shop_async:application"),
    Kind("gunicorn-preload", f"{GUNICORN} --preload shop_async:application"),
    Kind("gunicorn-gthread", f"{GUNICORN} --threads 4 shop_async:application"),
    Kind("gunicorn-gevent", f"{GUNICORN} --worker-class gevent shop_async:application"),
    Kind(
        "uwsgi",
        f"uwsgi --http-socket 127.0.0.1:{{port}} --module shop_async:application --virtualenv {sys.prefix} --master "
        "--need-app --enable-threads --hook-master-start 'unix_signal:15 gracefully_kill_them_all'",
    ),
    Kind("granian-wsgi", "granian --port {port} --interface wsgi shop_async:application"),
    Kind("waitress", "waitress-serve --listen 127.0.0.1:{port} shop_async:application", stop=signal.SIGINT),
]
RELOADS = {
    "uvicorn": "uvicorn --port {port} --workers 2 --timeout-worker-healthcheck 60 shop_async:asgi_application",
    "hypercorn": f"{HYPERCORN} asyncio",
    "granian": "granian --port {port} --interface asgi --workers 2 shop_async:asgi_application",
    "gunicorn-asgi": f"{GUNICORN} --workers 2 --worker-class asgi --asgi-lifespan on shop_async:asgi_application",
    "gunicorn-preload": f"{GUNICORN} --workers 2 --preload shop_async:application",
}


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Begin a server; none of its processes outlives the test."""
    with hosts_in(tmp_path) as begin_in:

        def begin_host(command: str, **environment: str) -> Host:
            return begin_in(command, {"gunicorn.conf.py": HOOKS}, environment)

        yield begin_host


def named_by(kind: Kind) -> str:
    return kind.name


@pytest.mark.parametrize("kind", ASGI, ids=named_by)
def test_requests_use_an_async_component_on_the_loop_of_the_server(kind: Kind, begin: Callable[..., Host]) -> None:
    """So do a reload and a request under way at the end, after which the async hooks stop it on that loop."""
    host = begin(kind.command)
    pid, loop = host.serve().split()
    assert (host.get("/reload"), loop) == ((200, f"{pid} {loop}"), kind.loop), host.described()
    answer = host.slow()

    host.send(signal.SIGTERM)

    assert answer.get() == (200, f"{pid} {loop}"), host.described()
    assert host.end(None) == kind.status, host.described()
    assert host.lives == {int(pid): RELOADED}, host.described()


@pytest.mark.parametrize("kind", LOOPS, ids=named_by)
def test_ctrl_c_ends_async_components_in_order(kind: Kind, begin: Callable[..., Host]) -> None:
    """As SIGTERM does."""
    host = begin(kind.command)
    pid, _ = host.serve().split()

    assert host.end(signal.SIGINT) in (0, -signal.SIGINT), host.described()
    assert host.lives == {int(pid): LIFE}, host.described()


# hypercorn's handler takes a lock, and a second signal that interrupts it there waits for the same lock without end.
@pytest.mark.parametrize("kind", [kind for kind in LOOPS if kind.name != "hypercorn"], ids=named_by)
def test_a_second_ctrl_c_leaves_no_async_hook_out(kind: Kind, begin: Callable[..., Host]) -> None:
    """uvicorn then breaks the request off and leaves the end of the lifespan out, but cancels its task."""
    host = begin(kind.command, SECONDS="3")
    pid, _ = host.serve().split()
    answer = host.slow()

    host.send(signal.SIGINT)
    wait_for(lambda: kind.pause in host.output, host.described)
    host.end(signal.SIGINT)

    answer.get()
    assert host.lives == {int(pid): LIFE}, host.described()


@pytest.mark.parametrize("kind", LOOPS[:2], ids=named_by)
def test_a_third_ctrl_c_gives_up_the_async_hooks(kind: Kind, begin: Callable[..., Host]) -> None:
    """It ends the event loop in the async stop: the sync hooks are called, and each async hook is reported once."""
    host = begin(kind.command, SECONDS="20", SLOW="async stop")
    pid, _ = host.serve().split()
    host.slow()

    host.send(signal.SIGINT)
    wait_for(lambda: kind.pause in host.output, host.described)
    host.send(signal.SIGINT)
    wait_for(lambda: "slow async stop" in host.lives[int(pid)], host.described)
    host.end(signal.SIGINT)

    assert host.lives == {int(pid): ["start", "async start", "slow async stop", "stop", "exit"]}, host.described()
    assert host.output.count("error: Shop.feed has not returned from stop (") == 1, host.described()
    assert host.output.count("error: Shop.feed was not called on exit (") == 1, host.described()


@pytest.mark.parametrize("kind", LOOPS, ids=named_by)
def test_an_async_start_that_fails_ends_the_server(kind: Kind, begin: Callable[..., Host]) -> None:
    """The reason is in its output, and the started components stop."""
    host = begin(kind.command, FAILING="async start")

    host.end(None)

    assert "OSError: no feed" in host.output, host.described()
    assert list(host.lives.values()) == [["start", "stop", "async exit", "exit"]]


@pytest.mark.parametrize("command", RELOADS.values(), ids=RELOADS)
def test_a_reload_ends_the_async_components_of_each_old_process(command: str, begin: Callable[..., Host]) -> None:
    """The components of the new processes have loops of their own."""
    host = begin(command)
    workers = 2 if "--workers 2" in command else 1
    host.serve()
    wait_for(lambda: [len(life) for life in host.lives.values()] == [2] * workers, host.described)
    old = set(host.lives)

    host.send(signal.SIGHUP)
    wait_for(lambda: all(host.lives[pid] == LIFE for pid in old), host.described)
    wait_for(lambda: [*host.lives.values()].count(LIFE[:2]) == workers, host.described)
    wait_for(lambda: host.try_to_get() is not None, host.described)

    assert host.end() == 0, host.described()
    assert list(host.lives.values()) == [LIFE] * 2 * workers, host.described()


def test_a_start_that_takes_too_long_for_the_server_is_undone(begin: Callable[..., Host], tmp_path: Path) -> None:
    """hypercorn cancels the lifespan: the async start is cancelled, and EXIT is called on the loop."""
    (tmp_path / "hypercorn.toml").write_text("startup_timeout = 0.5\n", encoding="utf-8")
    host = begin(f"{HYPERCORN} asyncio --config hypercorn.toml", SLOW="async start")

    host.end(None)

    assert "Timeout whilst awaiting startup" in host.output
    assert list(host.lives.values()) == [["start", "async start", "stop", "async exit", "exit"]]


def test_trio_hosts_a_container_without_async_hooks(begin: Callable[..., Host]) -> None:
    """It starts, serves and exits as on asyncio."""
    host = begin("hypercorn --bind 127.0.0.1:{port} --worker-class trio shop_trio:application")
    pid, library = host.serve().split()

    assert library == "trio"
    assert host.end() == 0
    assert host.lives == {int(pid): FULL_LIFE}


def test_trio_refuses_async_hooks(begin: Callable[..., Host]) -> None:
    """The startup fails with the component, its place, the loop and the remedy, and nothing is built."""
    host = begin(f"{HYPERCORN} trio")

    host.end(None)

    assert "Shop.feed (" in host.output
    assert (
        "it has async hooks (start, stop, exit, graceful), which need an asyncio event loop, but the server runs on "
        "trio; run the server on asyncio (hypercorn --worker-class asyncio), or make the hooks plain functions"
    ) in host.output
    assert host.lives == {}


@pytest.mark.parametrize("kind", WSGI, ids=named_by)
def test_a_wsgi_worker_has_an_event_loop_of_its_own(kind: Kind, begin: Callable[..., Host]) -> None:
    """It is created after the fork, and the async hooks of the end run on it as well."""
    host = begin(kind.command)
    pid, loop = host.serve().split()
    assert (host.get("/reload")[0], loop) == (200, "asyncio"), host.described()

    assert host.end(kind.stop) == 0, host.described()
    assert host.lives == {int(pid): RELOADED}, host.described()


def test_a_loop_from_before_the_fork_stays_with_the_master(begin: Callable[..., Host]) -> None:
    """The application is preloaded and starts at its import; the worker has a bus and a loop of its own."""
    host = begin(f"{GUNICORN} --preload shop_async:application", EAGER="import")
    pid, _ = host.serve().split()

    assert host.end() == 0, host.described()
    assert host.lives == {host.child.pid: LIFE, int(pid): LIFE}, host.described()
