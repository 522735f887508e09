"""Probes of a process: the checks of its components, their limits, and the answers over HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import wsgiref.simple_server
import wsgiref.util
import wsgiref.validate
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue

import pytest
import uvicorn

from typedbus import Bus, ChannelFailures, Component, Container, LimitError, State, on, running
from typedbus.plugins.health import ALIVE, READY, Check, Checked, CheckLimitError, Health, Probe

LONG = 60.0


@pytest.fixture
def bus() -> Iterator[Bus]:
    """Yield a bus that is STARTED."""
    bus = Bus()
    bus.start()
    yield bus
    bus.exit()


class Hanging:
    """A check that hangs until the end of the test, and counts how often it was called."""

    def __init__(self) -> None:
        self.calls = 0
        self.entered = threading.Event()
        self.released = threading.Event()

    def check(self) -> Check:
        self.calls += 1
        self.entered.set()
        self.released.wait()
        return Check(True)

    @property
    def threads(self) -> list[threading.Thread]:
        """The threads in the check."""
        return [thread for thread in threading.enumerate() if thread.name.endswith("Hanging.check")]

    def end(self) -> None:
        """Let the check return, and wait for its threads."""
        self.released.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """Yield a check that hangs; its threads end with the test."""
    hanging = Hanging()
    yield hanging
    hanging.end()


def well() -> Check:
    return Check(True, "3 connections")


def ill() -> Check:
    return Check(False, "no connection")


def test_a_probe_has_the_name_and_the_answer_of_each_check(bus: Bus) -> None:
    """In running order, with detail and seconds."""
    bus[READY].subscribe(well)
    bus[READY].subscribe(ill, priority=10)

    probe = Health(bus, limit=LONG, clock=lambda: 5.0).ready()

    assert probe == Probe(
        False,
        State.STARTED,
        "",
        (
            Checked(f"{__name__}.ill", False, "no connection", 0.0),
            Checked(f"{__name__}.well", True, "3 connections", 0.0),
        ),
    )


@pytest.mark.parametrize("ask", [Health.alive, Health.ready])
def test_a_process_whose_checks_pass_is_ready(bus: Bus, ask: Callable[[Health], Probe]) -> None:
    """So is a process without checks."""
    health = Health(bus, limit=LONG)
    without = ask(health)
    bus[ALIVE].subscribe(well)
    bus[READY].subscribe(well)

    probe = ask(health)

    assert without == Probe(True, State.STARTED, "", ())
    assert (probe.is_ok, [one.detail for one in probe.checks]) == (True, ["3 connections"])


def test_alive_and_ready_have_different_checks(bus: Bus) -> None:
    """A process that cannot serve for a while need not be restarted."""
    bus[READY].subscribe(ill)
    health = Health(bus, limit=LONG)

    assert (health.alive().is_ok, health.ready().is_ok) == (True, False)


def test_a_check_is_named_by_its_component_and_has_a_limit_of_its_own(hanging: Hanging) -> None:
    """In a container the name is the dotted path and the method, whose mark may give a limit."""

    class Database:
        @on(READY, limit=0.01)
        def check(self) -> Check:
            return hanging.check()

    class Site(Container):
        bus = Component(Bus)
        database = Component(Database)
        health = Component(Health, bus.provided, limit=LONG)

    with running(Site()) as site:
        (checked,) = site.health().ready().checks

    assert (checked.name, checked.is_ok) == ("Site.database.check", False)
    assert checked.detail.endswith("; its limit is 0.01 s")
    hanging.released.set()


def test_the_last_probe_is_kept_without_a_call_of_its_checks(bus: Bus) -> None:
    """`last_alive` and `last_ready` return the last probe of their channel, and call no check."""
    answers = iter([Check(True), Check(False, "no connection")])
    bus[READY].subscribe(lambda: next(answers))
    health = Health(bus, limit=LONG)
    assert (health.last_ready, health.last_alive) == (None, None)

    first, second = health.ready(), asyncio.run(health.ready_async())

    assert [check.is_ok for probe in (first, second) for check in probe.checks] == [True, False]
    assert (health.last_ready, health.last_alive) == (second, None)
    assert health.alive() is health.last_alive


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("raised", "detail"),
    [
        (OSError("no heat"), "OSError: no heat"),
        (SystemExit(3), "SystemExit: 3"),
        (Unspeakable(), f"{__name__}.Unspeakable: <exception str() failed>"),
    ],
)
def test_a_check_that_raises_does_not_affect_other_checks(bus: Bus, raised: BaseException, detail: str) -> None:
    """The exception is the detail of its own answer; the bus stays STARTED."""

    def raises() -> Check:
        raise raised

    bus[READY].subscribe(raises)
    bus[READY].subscribe(well)

    probe = Health(bus, limit=LONG).ready()

    assert [(one.is_ok, one.detail) for one in probe.checks] == [(False, detail), (True, "3 connections")]
    assert (probe.is_ok, bus.state) == (False, State.STARTED)


@pytest.mark.parametrize("answer", [None, True, "well"])
def test_a_check_that_returns_no_check_object_has_failed(bus: Bus, answer: object) -> None:
    """The detail shows the value."""
    bus[READY].subscribe(lambda: answer)  # type: ignore[arg-type, return-value]  # it is wrong

    (checked,) = Health(bus, limit=LONG).ready().checks

    assert (checked.is_ok, checked.detail) == (False, f"it returned {answer!r}, which is not a Check")


def test_a_check_that_hangs_does_not_affect_other_checks(bus: Bus, hanging: Hanging) -> None:
    """It is named, and the probe takes no longer than the limit."""
    bus[READY].subscribe(hanging.check)
    bus[READY].subscribe(well)

    hung, other = Health(bus, limit=0.02).ready().checks

    assert hung.name == f"{__name__}.Hanging.check"
    assert not hung.is_ok
    assert hung.detail == f"it has not returned after {hung.seconds:.2f} s; its limit is 0.02 s"
    assert hung.seconds >= 0.02
    assert other.name == f"{__name__}.well"


def ready_async(health: Health) -> Probe:
    """Probe in an event loop of its own."""
    return asyncio.run(health.ready_async())


@pytest.mark.parametrize("ask", [Health.ready, ready_async])
def test_a_probe_sleeps_while_it_waits(bus: Bus, hanging: Hanging, ask: Callable[[Health], Probe]) -> None:
    """It reads the clock occasionally, and does not poll."""
    looks: list[float] = []

    def clock() -> float:
        looks.append(time.monotonic())
        return looks[-1]

    bus[READY].subscribe(hanging.check)

    probe = ask(Health(bus, limit=0.05, clock=clock))

    assert not probe.is_ok
    assert len(looks) < 20


def test_a_check_that_hangs_is_not_called_again_until_it_returns(bus: Bus, hanging: Hanging) -> None:
    """It has one thread, however many probes come."""
    bus[READY].subscribe(hanging.check)
    health = Health(bus, limit=0.01)

    probes = [health.ready()]
    assert hanging.entered.wait(LONG)
    probes += [health.ready() for _ in range(4)]
    during = (hanging.calls, len(hanging.threads))
    hanging.end()
    after = Health(bus, limit=LONG).ready()
    health.limit = LONG
    again = health.ready()

    assert [probe.is_ok for probe in probes] == [False] * 5
    assert during == (1, 1)
    assert after.is_ok
    assert (hanging.calls, [one.name for one in again.checks]) == (3, [f"{__name__}.Hanging.check"])


def test_a_check_that_returns_too_late_has_failed(bus: Bus) -> None:
    """It exceeded its limit, although the probe was still waiting for a slower check."""
    now = [0.0]

    class Checks:
        @on(READY, limit=2)
        def slow(self) -> Check:
            now[0] = 2.5
            return Check(True)

        @on(READY)
        def slower(self) -> Check:
            for thread in threading.enumerate():
                if thread.name == "check Site.checks.slow":
                    thread.join()
            return Check(True)

    class Site(Container):
        bus = Component(Bus)
        checks = Component(Checks)
        health = Component(Health, bus.provided, limit=LONG, clock=lambda: now[0])

    with running(Site()) as site:
        slow, slower = site.health().ready().checks

    assert slow == Checked("Site.checks.slow", False, "it took 2.50 s; its limit is 2 s", 2.5)
    assert slower.is_ok


def test_checks_run_concurrently(bus: Bus) -> None:
    """A probe takes as long as its slowest check."""
    both = threading.Barrier(2)

    def first() -> Check:
        both.wait(LONG)
        return Check(True)

    def second() -> Check:
        both.wait(LONG)
        return Check(True)

    bus[ALIVE].subscribe(first)
    bus[ALIVE].subscribe(second)

    assert Health(bus, limit=LONG).alive().is_ok


def test_concurrent_probes_share_a_check(bus: Bus, hanging: Hanging) -> None:
    """The check is called once, and both get its result."""
    bus[READY].subscribe(hanging.check)
    health = Health(bus, limit=LONG)

    async def ask_twice() -> list[Probe]:
        asking = [asyncio.create_task(health.ready_async()) for _ in range(2)]
        await asyncio.sleep(0)  # each has begun now
        hanging.released.set()
        return await asyncio.gather(*asking)

    first, second = asyncio.run(ask_twice())

    assert first.checks[0] is second.checks[0]
    assert hanging.calls == 1


def test_a_probe_does_not_block_the_event_loop(bus: Bus, hanging: Hanging) -> None:
    """Other tasks run while a probe is awaited."""
    bus[ALIVE].subscribe(hanging.check)
    health = Health(bus, limit=LONG)

    async def release() -> None:
        hanging.released.set()

    async def both() -> tuple[Probe, None]:
        return await asyncio.gather(health.alive_async(), release())

    probe, _ = asyncio.run(both())

    assert probe.is_ok


def test_a_check_may_return_after_its_event_loop_was_closed(
    bus: Bus, hanging: Hanging, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is dropped, and nothing is logged."""
    bus[READY].subscribe(hanging.check)

    probe = asyncio.run(Health(bus, limit=0.01).ready_async())
    hanging.end()

    assert not probe.is_ok
    assert caplog.records == []


def test_a_cancelled_probe_cancels_no_check(bus: Bus, hanging: Hanging, caplog: pytest.LogCaptureFixture) -> None:
    """The check ends without a message, and a later probe passes."""
    bus[READY].subscribe(hanging.check)
    health = Health(bus, limit=LONG)

    async def give_up() -> None:
        asking = asyncio.create_task(health.ready_async())
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(give_up())
    hanging.end()

    assert caplog.records == []
    assert health.ready().is_ok


def never() -> Check:
    raise AssertionError("it was called")


@pytest.mark.parametrize(
    ("bring", "state", "is_alive"),
    [
        ([], State.STOPPED, True),
        ([Bus.start, Bus.stop], State.STOPPED, True),
        ([Bus.start, Bus.exit], State.EXITED, False),
    ],
    ids=["new", "stopped", "exited"],
)
def test_a_bus_that_is_not_started_is_not_ready(
    bring: list[Callable[[Bus], None]], state: State, is_alive: bool
) -> None:
    """No check is called; the process is alive until it has exited."""
    bus = Bus()
    bus[ALIVE].subscribe(never)
    bus[READY].subscribe(never)
    for step in bring:
        step(bus)

    health = Health(bus)

    assert health.ready() == Probe(False, state, f"the bus is {state.name}", ())
    assert health.alive() == Probe(is_alive, state, f"the bus is {state.name}", ())


@pytest.mark.parametrize("hook", ["start", "stop"])
def test_a_process_is_not_ready_while_a_component_starts_or_stops(hook: str) -> None:
    """Only after the last start, and until the first stop."""
    probes: list[Probe] = []

    class Asking:
        def __init__(self, health: Health) -> None:
            self.health = health

        def start(self) -> None:
            if hook == "start":
                probes.append(self.health.ready())

        def stop(self) -> None:
            if hook == "stop":
                probes.append(self.health.ready())

    class Site(Container):
        bus = Component(Bus)
        health = Component(Health, bus.provided)
        asking = Component(Asking, health.provided)

    with running(Site()) as site:
        probes.append(site.health().ready())

    assert {probe.state for probe in probes} == {
        State.STARTED,
        State.STARTING if hook == "start" else State.STOPPING,
    }
    assert [probe.is_ok for probe in probes] == [probe.state is State.STARTED for probe in probes]


def test_a_process_with_a_requested_exit_is_not_ready(bus: Bus) -> None:
    """It is alive; this begins with the request, before a component stops."""
    bus[READY].subscribe(never)
    bus.request_exit()
    health = Health(bus)

    assert health.ready() == Probe(False, State.STARTED, "an exit of the bus was requested", ())
    assert health.alive().is_ok


def test_a_stop_during_a_probe_makes_it_not_ready(bus: Bus) -> None:
    """The state at the end of the probe is used."""

    def stops() -> Check:
        bus.stop()
        return Check(True)

    bus[READY].subscribe(stops)

    probe = Health(bus, limit=LONG).ready()

    assert (probe.is_ok, probe.state, probe.reason) == (False, State.STOPPED, "the bus is STOPPED")
    assert probe.checks[0].is_ok


def test_a_start_during_a_probe_does_not_make_it_ready(bus: Bus) -> None:
    """No check was called."""
    bus.stop()
    bus[READY].subscribe(never)

    def start() -> float:
        if bus.state is State.STOPPED:
            bus.start()
        return 0.0

    probe = Health(bus, clock=start).ready()

    assert probe == Probe(False, State.STARTED, "the bus is STOPPED", ())


def test_a_stop_does_not_wait_for_checks(bus: Bus, hanging: Hanging) -> None:
    """A check that hangs delays neither the stop nor the exit."""
    bus[READY].subscribe(hanging.check)
    Health(bus, limit=0.01).ready()

    bus.exit()
    bus.block()

    assert (bus.state, len(hanging.threads)) == (State.EXITED, 1)


@pytest.mark.parametrize("limit", [0, -1, None, True, "1"])
def test_an_invalid_limit_is_refused(limit: object) -> None:
    """The error shows the value and a valid one."""
    with pytest.raises(CheckLimitError) as refused:
        Health(Bus(), limit=limit)  # type: ignore[arg-type]  # it is wrong

    assert isinstance(refused.value, LimitError)
    assert (
        str(refused.value)
        == f"{limit!r} is not a time limit for checks; give Health(limit=...) a number of seconds above 0"
    )


def test_the_channels_can_be_published_directly(bus: Bus) -> None:
    """A program may call the checks itself."""
    bus[READY].subscribe(well)
    bus[READY].subscribe(never)

    with pytest.raises(ChannelFailures) as failed:
        bus[READY].publish()

    assert failed.value.results == (Check(True, "3 connections"),)


Answer = tuple[int, Mapping[str, str], bytes]


def over_wsgi(health: Health, method: str, path: str) -> Answer:
    """Send a request as a server does, under the standard library's validator."""
    app = wsgiref.validate.validator(health.wsgi)
    responses: list[tuple[str, list[tuple[str, str]]]] = []
    environ: dict[str, object] = {"REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": ""}
    wsgiref.util.setup_testing_defaults(environ)

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        responses.append((status, headers))
        return lambda data: None

    body = app(environ, start_response)
    try:
        content = b"".join(body)
    finally:
        body.close()  # type: ignore[attr-defined]  # the validator asks for it
    ((status, headers),) = responses
    return int(status.split()[0]), {name.lower(): value for name, value in headers}, content


def over_asgi(health: Health, method: str, path: str, root: str = "") -> Answer:
    """Send the messages of a server."""
    messages: list[dict[str, object]] = []

    async def receive() -> Mapping[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        messages.append(message)

    scope = {"type": "http", "method": method, "path": path, "root_path": root}
    asyncio.run(health.asgi(scope, receive, send))
    start, body = messages
    assert (start["type"], body["type"]) == ("http.response.start", "http.response.body")
    headers, content = start["headers"], body["body"]
    assert isinstance(headers, list) and isinstance(content, bytes) and isinstance(start["status"], int)
    return start["status"], {name.decode(): value.decode() for name, value in headers}, content


ways = pytest.mark.parametrize("ask", [over_wsgi, over_asgi])


@ways
@pytest.mark.parametrize(
    ("path", "check", "status"), [("/livez", ill, 200), ("/readyz", ill, 503), ("/readyz", well, 200)]
)
def test_a_probe_over_http_has_a_status_and_json(
    bus: Bus, ask: Callable[[Health, str, str], Answer], path: str, check: Callable[[], Check], status: int
) -> None:
    """200 or 503 with all data of the probe, which must not be cached."""
    bus[READY].subscribe(check)

    actual, headers, body = ask(Health(bus, limit=LONG, clock=lambda: 5.0), "GET", path)

    answer = check()
    assert actual == status
    assert json.loads(body) == {
        "ok": status == 200,
        "state": "STARTED",
        "reason": "",
        "checks": []
        if path == "/livez"
        else [{"name": f"{__name__}.{check.__name__}", "ok": answer.is_ok, "detail": answer.detail, "seconds": 0.0}],
    }
    assert headers == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "content-length": str(len(body)),
    }


@ways
def test_head_has_no_body(bus: Bus, ask: Callable[[Health, str, str], Answer]) -> None:
    """Status and headers are those of GET, the length as well."""
    health = Health(bus)
    _, headers, body = ask(health, "GET", "/readyz")

    assert ask(health, "HEAD", "/readyz") == (200, headers, b"")
    assert headers["content-length"] == str(len(body)) != "0"


@ways
def test_another_path_is_not_found(bus: Bus, ask: Callable[[Health, str, str], Answer]) -> None:
    """The answer is 404, and names the paths; no check is called."""
    bus[READY].subscribe(never)
    bus[ALIVE].subscribe(never)

    status, _, body = ask(Health(bus), "GET", "/")

    assert (status, json.loads(body)) == (404, {"error": "the paths are /livez and /readyz"})


@ways
def test_another_method_is_not_allowed(bus: Bus, ask: Callable[[Health, str, str], Answer]) -> None:
    """The answer is 405, and names the methods; no check is called."""
    bus[READY].subscribe(never)

    status, headers, body = ask(Health(bus), "POST", "/readyz")

    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert json.loads(body) == {"error": "the method POST is not supported; use GET"}


@pytest.mark.parametrize("path", ["/health/readyz", "/readyz"])
def test_asgi_answers_below_a_mount_point(bus: Bus, path: str) -> None:
    """Whether the path includes the mount point, as in the standard, or not, as in some servers."""
    assert over_asgi(Health(bus), "GET", path, root="/health")[0] == 200


def test_asgi_answers_the_lifespan_of_a_server(bus: Bus) -> None:
    """Each phase is answered, and the last one ends it."""
    stages = iter(["lifespan.startup", "lifespan.shutdown"])
    messages: list[dict[str, object]] = []

    async def receive() -> Mapping[str, object]:
        return {"type": next(stages)}

    async def send(message: dict[str, object]) -> None:
        messages.append(message)

    asyncio.run(Health(bus).asgi({"type": "lifespan"}, receive, send))

    assert messages == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


def test_asgi_refuses_a_web_socket(bus: Bus) -> None:
    """It is closed before it is accepted."""
    messages: list[dict[str, object]] = []

    async def receive() -> Mapping[str, object]:
        raise AssertionError

    async def send(message: dict[str, object]) -> None:
        messages.append(message)

    asyncio.run(Health(bus).asgi({"type": "websocket", "path": "/readyz"}, receive, send))

    assert messages == [{"type": "websocket.close", "code": 1000}]


def fetch(port: int, path: str) -> tuple[int, str]:
    """Request *path* from a server on this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


class QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_request(self, code: object = "-", size: object = "-") -> None: ...


def test_a_wsgi_server_serves_probes(bus: Bus) -> None:
    """The standard library's server runs the application."""
    bus[READY].subscribe(ill)
    health = Health(bus, limit=LONG)
    with wsgiref.simple_server.make_server("127.0.0.1", 0, health.wsgi, handler_class=QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()

        response = fetch(server.server_port, "/readyz")

        server.shutdown()
        thread.join()
    assert (response[0], json.loads(response[1])["ok"]) == (503, False)


@pytest.mark.slow
def test_an_asgi_server_serves_probes(bus: Bus) -> None:
    """uvicorn runs the application with its lifespan."""
    bus[READY].subscribe(well)
    health = Health(bus, limit=LONG)
    ports: SimpleQueue[int] = SimpleQueue()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ports.put(0 if self.should_exit else self.servers[0].sockets[0].getsockname()[1])

    server = Server(
        uvicorn.Config(health.asgi, host="127.0.0.1", port=0, lifespan="on", log_config=None, loop="asyncio")
    )
    thread = threading.Thread(target=server.run)
    thread.start()

    response = fetch(ports.get(timeout=LONG), "/readyz")

    server.should_exit = True
    thread.join()
    assert (response[0], json.loads(response[1])["ok"]) == (200, True)
    assert not server.lifespan.should_exit


@pytest.mark.slow
def test_a_process_with_a_check_that_hangs_exits_in_order(tmp_path: Path) -> None:
    """The probe names the check, and a signal exits the process at once with status 0."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            import threading
            from wsgiref.simple_server import make_server
            from typedbus import *
            from typedbus.events import MOVED, Moved
            from typedbus.plugins.health import *

            class Database:
                @on(READY)
                def check(self) -> Check:
                    threading.Event().wait()
                    return Check(True)

            class Server:
                def __init__(self, health: Health) -> None:
                    self.server = make_server("127.0.0.1", 0, health.wsgi)
                    self.thread = threading.Thread(target=self.server.serve_forever, args=[0.01])

                def start(self) -> None:
                    self.thread.start()

                @on(MOVED)
                def tell(self, moved: Moved, /) -> None:
                    if moved.after is State.STARTED:
                        print(self.server.server_port, flush=True)

                def stop(self) -> None:
                    self.server.shutdown()
                    self.thread.join()
                    self.server.server_close()

            class Site(Container):
                bus = Component(Bus)
                database = Component(Database)
                health = Component(Health, bus.provided, limit=0.05)
                server = Component(Server, health.provided)

            raise SystemExit(run(Site))
        """),
        encoding="utf-8",
    )
    child = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        status, answer = fetch(port, "/readyz")
        alive, _ = fetch(port, "/livez")
        child.send_signal(signal.SIGTERM)
        child.wait(30)
    finally:
        child.kill()
        child.communicate()

    assert (status, alive, child.returncode) == (503, 200, 0)
    assert '"name": "Site.database.check"' in answer
    assert '"detail": "it has not returned after ' in answer


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_of_the_bus_that_dies_does_not_change_the_probes(bus: Bus) -> None:
    """The bus does not watch the work of a thread; only runs have checks."""
    health = Health(bus)

    def die() -> None:
        raise OSError("broker gone")

    thread = threading.Thread(target=die)
    bus.own(thread)
    thread.start()
    thread.join(10)

    assert (health.ready().is_ok, health.alive().is_ok) == (True, True)
