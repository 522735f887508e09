"""Apache with mod_wsgi: in its own processes, in daemon processes, in the main interpreter and in others."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import apache
import pytest
from host_process import FULL_LIFE, Host, Load, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(apache.missing() is not None, reason=str(apache.missing())),
]

DAEMON = """
WSGIDaemonProcess shop processes=2 threads=5 python-home={python} python-path={modules} graceful-timeout=15
WSGIProcessGroup shop
"""
EMBEDDED = """
WSGIPythonHome {python}
WSGIPythonPath {modules}
"""
GLOBAL = "WSGIApplicationGroup %{GLOBAL}\n"
SITE = "WSGIScriptAlias / {folder}/shop.wsgi\n"
TWO_SITES = "WSGIScriptAlias /second {folder}/second.wsgi\n" + SITE
SCRIPTS = {
    "shop.wsgi": "from shop_site import application\n",
    "async.wsgi": "from shop_async import application\n",
    "second.wsgi": "from shop_site import second as application\n",
    "start.wsgi": "from shop_site import application\n\napplication.start()\n",
}
FRAMEWORKS = """
WSGIScriptAlias / {modules}/examples/site/wsgi.py
WSGIChunkedRequest On
<Directory {modules}/examples/site>
    Require all granted
</Directory>
"""
MODES = {
    "daemon": DAEMON + GLOBAL + SITE,
    "daemon-subinterpreter": DAEMON + SITE,
    "embedded": EMBEDDED + GLOBAL + SITE,
    "embedded-subinterpreter": EMBEDDED + SITE,
}


@pytest.fixture(scope="session")
def published() -> Iterator[Path]:
    """A folder that any user may read, with the environment and the sites."""
    with tempfile.TemporaryDirectory() as name:
        apache.publish(Path(name))
        yield Path(name)


@pytest.fixture
def begin(published: Path) -> Iterator[Callable[[str], apache.Apache]]:
    """Begin an Apache with the directives; none of its processes outlives the test."""
    hosts: list[apache.Apache] = []

    def begin_apache(directives: str) -> apache.Apache:
        hosts.append(apache.Apache(published, directives, SCRIPTS))
        return hosts[-1]

    yield begin_apache
    for host in hosts:
        host.kill()


def all_lives_are_full(host: Host) -> bool:
    return all(life == FULL_LIFE for life in host.lives.values())


@pytest.mark.parametrize("mode", MODES)
def test_a_graceful_stop_answers_the_request_under_way_and_exits(
    mode: str, begin: Callable[[str], apache.Apache]
) -> None:
    """`apachectl graceful-stop`: the bus of each process exits after its last request."""
    host = begin(MODES[mode])
    host.serve()
    answer = host.slow()

    host.send(signal.SIGWINCH)

    assert answer.get() == (200, str(answer.pid)), host.described()
    assert host.end(None) == 0
    assert host.lives[answer.pid] == FULL_LIFE, host.described()
    assert all_lives_are_full(host), host.described()


@pytest.mark.parametrize("mode", MODES)
def test_async_components_have_an_event_loop_in_each_process(mode: str, begin: Callable[[str], apache.Apache]) -> None:
    """Requests and the exit use them on that loop."""
    host = begin(MODES[mode].replace("shop.wsgi", "async.wsgi"))
    host.serve()

    assert host.end(signal.SIGWINCH) == 0
    assert host.lives
    for life in host.lives.values():
        assert life == ["start", "async start", "async stop", "stop", "async exit", "exit"], host.described()


@pytest.mark.parametrize("mode", MODES)
def test_a_stop_breaks_requests_off_and_exits(mode: str, begin: Callable[[str], apache.Apache]) -> None:
    """`apachectl stop`: the client of a request under way loses its connection, and the bus exits in order."""
    host = begin(MODES[mode])
    host.serve()
    answer = host.slow()

    status = host.end(signal.SIGTERM)

    assert status == 0
    assert isinstance(answer.get(), Exception)
    assert host.lives[answer.pid] == FULL_LIFE, host.described()
    assert all_lives_are_full(host), host.described()


@pytest.mark.parametrize("mode", MODES)
def test_a_graceful_reload_replaces_each_process(mode: str, begin: Callable[[str], apache.Apache]) -> None:
    """
    `apachectl graceful`: new processes start, the old ones stop and exit, each once.

    The processes of Apache lose no request by it. Daemon processes end at once, and Apache itself answers the requests
    for which there is none; the application answers each that it gets.
    """
    host = begin(MODES[mode])
    processes = 2 if "daemon" in mode else 1
    with Load(host) as load:
        load.reach(lambda served: len(served) >= processes)
        load.failures.clear()
        old = set(host.lives)
        host.send(signal.SIGUSR1)
        load.reach(lambda served: len(served - old) >= processes)
        wait_for(lambda: all(host.lives[pid] == FULL_LIFE for pid in old), host.described)

    if "daemon" in mode:
        assert (503, "Service Unavailable\n") not in load.answers, host.described()
    else:
        assert load.failures == [], host.described()
        assert {status for status, _ in load.answers} == {200}
    assert host.end(signal.SIGWINCH) == 0
    assert all_lives_are_full(host), host.described()


@pytest.mark.parametrize("mode", ["daemon", "daemon-subinterpreter"])
def test_a_touched_script_reloads_the_daemon_processes(mode: str, begin: Callable[[str], apache.Apache]) -> None:
    """Each ends in order with the next request that it gets, and no request is lost."""
    host = begin(MODES[mode])
    host.serve()
    with Load(host) as load:
        load.reach(lambda served: len(served) == 2)
        old = set(host.lives)
        later = (host.folder / "shop.wsgi").stat().st_mtime + 10
        os.utime(host.folder / "shop.wsgi", (later, later))
        load.reach(lambda served: len(served - old) == 2)
        wait_for(lambda: all(host.lives[pid] == FULL_LIFE for pid in old), host.described)

    assert load.failures == [], host.described()
    assert host.end(signal.SIGWINCH) == 0
    assert all_lives_are_full(host), host.described()


def test_a_touched_script_is_loaded_again_in_the_same_embedded_process(
    begin: Callable[[str], apache.Apache],
) -> None:
    """The container is in a module, which stays as it is, and the bus goes on."""
    host = begin(MODES["embedded"])
    pid = int(host.serve())
    script = host.folder / "shop.wsgi"
    script.write_text("from shop_site import note\nfrom shop_site import application\nnote('loaded again')\n")
    later = script.stat().st_mtime + 10
    os.utime(script, (later, later))

    def is_loaded_again() -> bool:
        host.get()
        return (pid, "loaded again") in host.notes

    wait_for(is_loaded_again, host.described)
    assert host.lives[pid] == ["start", "loaded again"]
    assert host.end(signal.SIGWINCH) == 0
    assert host.lives[pid] == ["start", "loaded again", "stop", "exit"]


def test_an_import_script_starts_each_process_before_a_request(begin: Callable[[str], apache.Apache]) -> None:
    """It calls `application.start()`; one of two sites over one container is enough."""
    script = "WSGIImportScript {folder}/start.wsgi process-group=shop application-group=%{GLOBAL}\n"
    host = begin(DAEMON + GLOBAL + SITE + script)

    wait_for(lambda: len(host.lives) == 2, host.described)
    host.serve()

    assert host.end(signal.SIGWINCH) == 0
    assert list(host.lives.values()) == [FULL_LIFE] * 2


@pytest.mark.parametrize("mode", ["daemon", "embedded"])
def test_two_scripts_over_one_container_share_its_bus(mode: str, begin: Callable[[str], apache.Apache]) -> None:
    """In one interpreter the second application finds the bus started."""
    host = begin(MODES[mode].replace(SITE, TWO_SITES))
    host.serve()
    with Load(host, clients=4, paths=["/", "/second"]) as load:
        wait_for(lambda: len(load.answers) > 100, host.described)

    assert {status for status, _ in load.answers} == {200}
    assert load.failures == []
    assert host.end(signal.SIGWINCH) == 0
    assert all_lives_are_full(host), host.described()


def test_two_sub_interpreters_of_one_process_cannot_both_have_containers(
    begin: Callable[[str], apache.Apache],
) -> None:
    """dependency-injector refuses to be imported in the second, so two scripts need one application group."""
    host = begin(MODES["embedded-subinterpreter"].replace(SITE, TWO_SITES))
    host.serve()

    assert host.get("/second")[0] == 500
    assert "this module can only be loaded into one interpreter per process" in host.output
    assert host.get()[0] == 200


def test_an_embedded_process_exits_without_the_end_of_its_interpreter(begin: Callable[[str], apache.Apache]) -> None:
    """`WSGIDestroyInterpreter Off`: mod_wsgi still says that the process ends."""
    host = begin("WSGIDestroyInterpreter Off\n" + MODES["embedded"])
    host.serve()
    answer = host.slow()

    host.send(signal.SIGWINCH)

    assert answer.get() == (200, str(answer.pid)), host.described()
    assert host.end(None) == 0
    assert all_lives_are_full(host), host.described()


@pytest.mark.parametrize("mode", [DAEMON, EMBEDDED], ids=["daemon", "embedded"])
def test_one_site_of_flask_django_and_fastapi_is_served(mode: str, begin: Callable[[str], apache.Apache]) -> None:
    """The example runs in the main interpreter, under load, and ends without an error in Apache's log."""
    host = begin(mode + GLOBAL + FRAMEWORKS)
    host.serve()
    with Load(host, paths=["/", "/api/goods", "/backoffice/"]) as load:
        wait_for(lambda: len(load.answers) > 60, host.described)

    assert load.failures == []
    assert {status for status, _ in load.answers} == {200}, load.answers[:6]
    assert host.end(signal.SIGWINCH) == 0
    assert "Traceback" not in host.output
