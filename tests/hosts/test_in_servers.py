"""Servers that run a `Hosted` in processes of their own: their reloads, their ends, and what the bus of each process lives through."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest
from host_process import FULL_LIFE, Host, Load, hosts_in, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")]

HOOKS = """
from typedbus.hosting.gunicorn import post_worker_init, worker_exit
"""


@attrs.frozen
class Kind:
    """
    A server and its options.

    Args:
        name: What the tests and the table of the docs call it.
        command: With the port as ``{port}``.
        workers: The number of processes that serve.
        stop: The signal for an end in order.
        status: The exit status after that.
        reload: The signal for new workers; None if there is none.
        keeps_requests: Whether each request is answered during a reload.
        files: What it reads in its folder.
    """

    name: str
    command: str
    workers: int = 1
    stop: signal.Signals = signal.SIGTERM
    status: int = 0
    reload: signal.Signals | None = None
    keeps_requests: bool = True
    files: Mapping[str, str] = attrs.field(factory=dict)


def gunicorn(name: str, options: str, app: str = "application", *, hooks: bool = True) -> Kind:
    """Return a gunicorn with two workers."""
    command = f"gunicorn --bind 127.0.0.1:{{port}} --no-control-socket --workers 2 {options} shop_site:{app}"
    files = {"gunicorn.conf.py": HOOKS} if hooks else {}
    return Kind(name, command, workers=2, reload=signal.SIGHUP, files=files)


UWSGI = (
    f"uwsgi --http-socket 127.0.0.1:{{port}} --module shop_site:application --virtualenv {sys.prefix} "
    "--master --processes 2 --need-app --enable-threads"
)
KINDS = [
    gunicorn("gunicorn-sync", ""),
    gunicorn("gunicorn-sync-without-hooks", "", hooks=False),
    gunicorn("gunicorn-gthread", "--threads 4"),
    gunicorn("gunicorn-gevent", "--worker-class gevent"),
    gunicorn("gunicorn-gevent-without-hooks", "--worker-class gevent", hooks=False),
    gunicorn("gunicorn-asgi", "--worker-class asgi --asgi-lifespan on", "asgi_application"),
    # uvicorn closes a connection that it has accepted and not read from yet.
    attrs.evolve(
        gunicorn("gunicorn-uvicorn", "--worker-class uvicorn_worker.UvicornWorker", "asgi_application"),
        keeps_requests=False,
    ),
    Kind("uvicorn", "uvicorn --port {port} shop_site:asgi_application", status=-signal.SIGTERM),
    Kind(
        "uvicorn-workers",
        "uvicorn --port {port} --workers 2 --timeout-worker-healthcheck 60 shop_site:asgi_application",
        workers=2,
        reload=signal.SIGHUP,
        keeps_requests=False,
    ),
    Kind(
        "hypercorn",
        "hypercorn --bind 127.0.0.1:{port} --graceful-timeout 10 shop_site:asgi_application",
        reload=signal.SIGHUP,
        keeps_requests=False,
    ),
    Kind(
        "granian-asgi",
        "granian --port {port} --interface asgi --workers 2 shop_site:asgi_application",
        workers=2,
        reload=signal.SIGHUP,
        keeps_requests=False,
    ),
    Kind(
        "granian-wsgi",
        "granian --port {port} --interface wsgi --workers 2 shop_site:application",
        workers=2,
        reload=signal.SIGHUP,
        keeps_requests=False,
    ),
    Kind(
        "uwsgi",
        f"{UWSGI} --hook-master-start 'unix_signal:15 gracefully_kill_them_all'",
        workers=2,
        reload=signal.SIGHUP,
    ),
    Kind(
        "uwsgi-lazy-apps",
        f"{UWSGI} --lazy-apps --hook-master-start 'unix_signal:15 gracefully_kill_them_all'",
        workers=2,
        reload=signal.SIGHUP,
    ),
    Kind("waitress", "waitress-serve --listen 127.0.0.1:{port} shop_site:application", stop=signal.SIGINT),
]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Begin a server; none of its processes outlives the test."""
    with hosts_in(tmp_path) as begin_in:

        def begin_host(kind: Kind, **environment: str) -> Host:
            return begin_in(kind.command, kind.files, environment)

        yield begin_host


def named_by(kind: Kind) -> str:
    return kind.name


@pytest.mark.parametrize("kind", KINDS, ids=named_by)
def test_a_request_under_way_is_answered_before_the_exit(kind: Kind, begin: Callable[..., Host]) -> None:
    """The end of the server stops and exits the bus of each process that has started one, and leaves no process."""
    host = begin(kind)
    with Load(host) as load:
        load.reach(lambda served: len(served) == kind.workers)
    answer = host.slow()

    host.send(kind.stop)

    assert answer.get() == (200, str(answer.pid)), host.described()
    assert host.end(None) == kind.status, host.described()
    assert host.lives[answer.pid] == FULL_LIFE, host.described()
    assert all(life == FULL_LIFE for life in host.lives.values()), host.described()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.reload is not None], ids=named_by)
def test_a_reload_replaces_each_process_under_load(kind: Kind, begin: Callable[..., Host]) -> None:
    """New processes start, the old ones stop and exit, each once, and no request fails where the server keeps them."""
    host = begin(kind)
    assert kind.reload is not None
    with Load(host) as load:
        load.reach(lambda served: len(served) == kind.workers)
        # Those from before the server listened.
        load.failures.clear()
        old = set(host.lives)

        host.send(kind.reload)
        load.reach(lambda served: len(served - old) == kind.workers)
        wait_for(lambda: all(host.lives[pid] == FULL_LIFE for pid in old), host.described)

    assert not (kind.keeps_requests and load.failures), host.described()
    assert {status for status, _ in load.answers} == {200}
    assert host.end(kind.stop) == kind.status
    assert len(host.lives) == 2 * kind.workers
    assert all(life == FULL_LIFE for life in host.lives.values()), host.described()


FLASK = "flask --app shop_flask run --port {port}"
DJANGO = "python -m shop_django runserver --noreload {port}"


@pytest.mark.parametrize("command", [FLASK, DJANGO], ids=["flask", "runserver"])
def test_ctrl_c_ends_a_development_server_in_order(command: str, begin: Callable[..., Host]) -> None:
    """The bus exits with the interpreter."""
    host = begin(Kind("development", command))
    pid = int(host.serve())

    assert host.end(signal.SIGINT) == 0
    assert host.lives == {pid: FULL_LIFE}


@pytest.mark.parametrize(
    "command",
    [FLASK, DJANGO, "waitress-serve --listen 127.0.0.1:{port} shop_site:application"],
    ids=["flask", "runserver", "waitress"],
)
def test_sigterm_ends_a_server_that_does_not_catch_it_without_an_exit(command: str, begin: Callable[..., Host]) -> None:
    """So a service manager has to send SIGINT to these, as the docs say."""
    host = begin(Kind("uncaught", command))
    pid = int(host.serve())

    assert host.end(signal.SIGTERM) == -signal.SIGTERM
    assert host.lives == {pid: ["start"]}
