"""Hosted applications, driven as a server drives them, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import pickle
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.doubles import HookRecorder
from tests.hosting.wsgi_client import Reply, page

from typedbus import (
    LOG,
    MAIN,
    START,
    STOP,
    Bus,
    Component,
    Container,
    InvalidContainer,
    LimitError,
    Limits,
    RestartError,
    StartCancelled,
    State,
    TransitionFailures,
)
from typedbus.hosting import asgi, gunicorn, wsgi
from typedbus.plugins.signals import Signals
from typedbus.servers.asgi import LifespanError

Message = MutableMapping[str, Any]


class Shop(Container):
    bus = Component(Bus)
    notes = Component(list[str])
    failing = Component(set[str])
    noted = Component(HookRecorder, notes.provided, failing=failing.provided)


class EndedCallback:
    """The argument *ended* of a host, which sets an event."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def __call__(self) -> None:
        self.event.set()


@pytest.fixture
def notes() -> list[str]:
    """The hooks that the container of the test has called."""
    return []


@pytest.fixture
def failing() -> set[str]:
    """The hooks that fail in it."""
    return set()


@pytest.fixture
def shop(notes: list[str], failing: set[str]) -> Iterator[Shop]:
    """A container that writes to `notes`."""
    shop = Shop()
    with shop.override(Shop.notes).by(notes), shop.override(Shop.failing).by(failing):
        yield shop


# WSGI


def test_the_first_request_starts_the_bus(shop: Shop, notes: list[str]) -> None:
    """The application answers it, and the next request finds the bus STARTED."""
    app = wsgi.Hosted(page, shop)
    assert notes == []

    assert Reply(app).body == b"mugs"
    assert Reply(app).status == "200 OK"
    assert notes == ["start"]
    app.exit()
    assert notes == ["start", "stop", "exit"]


def test_an_explicit_start_comes_before_the_first_request(shop: Shop, notes: list[str]) -> None:
    """A second start and a second exit do nothing."""
    app = wsgi.Hosted(page, shop)

    app.start()
    app.start()

    assert notes == ["start"]
    assert Reply(app).body == b"mugs"
    app.exit()
    app.exit()
    assert notes == ["start", "stop", "exit"]


def test_concurrent_first_requests_start_the_bus_once(shop: Shop, notes: list[str]) -> None:
    """Each waits for that start, and is then answered."""
    app = wsgi.Hosted(page, shop)
    together = threading.Barrier(8)

    def ask() -> str:
        together.wait()
        return Reply(app).status

    with ThreadPoolExecutor(8) as pool:
        statuses = [answer.result() for answer in [pool.submit(ask) for _ in range(8)]]

    app.exit()
    assert statuses == ["200 OK"] * 8
    assert notes == ["start", "stop", "exit"]


def test_a_container_class_is_instantiated() -> None:
    """`run` does the same; several containers share the bus of the first."""

    class Other(Container):
        notes = Component(list[str])
        noted = Component(HookRecorder, notes.provided)

    other = Other()
    app = wsgi.Hosted(page, Shop, other)

    app.start()
    app.exit()

    assert other.notes() == ["start", "stop", "exit"]


def test_a_request_that_cannot_start_the_bus_gets_503_and_no_reason(
    shop: Shop, notes: list[str], failing: set[str]
) -> None:
    """The reason goes to the errors of the server, with the traceback."""
    failing.add("start")
    app = wsgi.Hosted(page, shop)

    reply = Reply(app)

    assert (reply.status, reply.body) == ("503 Service Unavailable", b"Service Unavailable\n")
    assert ("Content-Length", str(len(reply.body))) in reply.headers
    assert "OSError: no start" in reply.errors
    assert "Traceback" in reply.errors
    assert notes == ["start", "exit"]


def test_the_request_after_a_failed_start_tries_again(shop: Shop, notes: list[str], failing: set[str]) -> None:
    """It is answered if the start succeeds."""
    failing.add("start")
    app = wsgi.Hosted(page, shop)
    Reply(app)

    failing.clear()

    assert Reply(app).status == "200 OK"
    app.exit()
    assert notes == ["start", "exit", "start", "stop", "exit"]


def test_a_request_that_waits_for_a_failing_start_gets_its_failure(shop: Shop, failing: set[str]) -> None:
    """The start is not repeated for requests that came meanwhile."""
    failing.add("start")
    entered, release, waiting = threading.Event(), threading.Event(), threading.Event()
    bus = shop.attach()

    @bus[START].subscribe(priority=1)
    def hold() -> None:
        entered.set()
        release.wait()

    app = wsgi.Hosted(page, shop)

    def ask() -> str:
        waiting.set()
        return Reply(app).errors

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: Reply(app).errors)
        entered.wait()
        second = pool.submit(ask)
        waiting.wait()
        release.set()

        assert "OSError: no start" in first.result()
        assert "OSError: no start" in second.result()


def test_an_explicit_start_raises_its_failure(shop: Shop, failing: set[str]) -> None:
    """A server that calls it at the start of a process may end the process."""
    failing.add("start")
    app = wsgi.Hosted(page, shop)

    with pytest.raises(TransitionFailures):
        app.start()


def test_a_failed_start_and_the_failure_of_its_exit_are_raised_together(shop: Shop, failing: set[str]) -> None:
    """Neither hides the other."""
    failing |= {"start", "exit"}
    app = wsgi.Hosted(page, shop)

    with pytest.raises(ExceptionGroup, match="has exited, with problems") as raised:
        app.start()

    texts = [str(error.exceptions[0]) for error in raised.value.exceptions if isinstance(error, ExceptionGroup)]
    assert texts == ["no start", "no exit"]


def test_a_failed_exit_is_raised(shop: Shop, failing: set[str]) -> None:
    """The caller of `exit` gets the failure."""
    failing.add("stop")
    app = wsgi.Hosted(page, shop)
    app.start()

    with pytest.raises(TransitionFailures):
        app.exit()


def test_a_start_after_an_exit_works(shop: Shop, notes: list[str]) -> None:
    """Requests between the two get 503."""
    app = wsgi.Hosted(page, shop)
    app.start()
    app.exit()

    assert Reply(app).status == "503 Service Unavailable"
    app.start()
    assert Reply(app).status == "200 OK"
    app.exit()
    assert notes == ["start", "stop", "exit"] * 2


def test_a_request_retries_a_start_that_failed_after_an_exit(shop: Shop, failing: set[str]) -> None:
    """The explicit start after the exit declares that the bus must run again."""
    app = wsgi.Hosted(page, shop)
    app.start()
    app.exit()
    failing.add("start")
    with pytest.raises(TransitionFailures):
        app.start()

    failing.clear()

    assert Reply(app).status == "200 OK"
    app.exit()


def test_an_exit_cancels_a_start_under_way_and_waits_for_it(shop: Shop, notes: list[str]) -> None:
    """It returns when the bus has exited, and the caller of the start gets a `StartCancelled`."""
    entered, release = threading.Event(), threading.Event()
    bus = shop.attach()

    @bus[START].subscribe(priority=1)
    def hold() -> None:
        entered.set()
        release.wait()

    app = wsgi.Hosted(page, shop)

    def leave() -> State:
        app.exit()
        return bus.state

    with ThreadPoolExecutor(2) as pool:
        starting = pool.submit(app.start)
        entered.wait()
        leaving = pool.submit(leave)
        while not bus.is_exit_requested:
            assert not leaving.done()
        release.set()

        assert leaving.result() is State.EXITED
        assert isinstance(starting.exception(), StartCancelled)
    assert notes == ["exit"]


@pytest.mark.parametrize("failure", ["", "start", "stop"])
def test_a_host_that_has_exited_is_garbage(failure: str) -> None:
    """The functions for the end of the interpreter do not keep it, however it ended."""

    class Site(Container):
        bus = Component(Bus)
        noted = Component(HookRecorder, list[str](), failing={failure})

    app = wsgi.Hosted(page, Site)
    with contextlib.suppress(TransitionFailures):
        app.start()
    with contextlib.suppress(TransitionFailures):
        app.exit()
    host = weakref.ref(app._host)

    del app
    gc.collect()

    assert host() is None


@pytest.mark.parametrize(
    "error",
    [
        wsgi.HostFault("Shop.signals", "shop.py:3", "Signals", "does"),
        asgi.NotHosted("Shop"),
        gunicorn.NotOutermost("app"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_pickling(error: Exception) -> None:
    """Its text and its attributes are kept."""
    copied = pickle.loads(pickle.dumps(error))

    assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))


def test_an_exit_that_a_component_requests_is_reported(
    shop: Shop, notes: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The reason goes to stderr, later requests get 503 and start nothing, and *ended* is called."""
    callback = EndedCallback()
    app = wsgi.Hosted(page, shop, ended=callback)
    app.start()
    app.exit()
    notes.clear()
    app.start()

    shop.bus().request_exit(OSError("the disk is full"))
    callback.event.wait()
    reply = Reply(app)

    assert notes == ["start", "stop", "exit"]
    assert (reply.status, reply.errors) == ("503 Service Unavailable", "")
    stderr = capfd.readouterr().err
    assert "OSError: the disk is full" in stderr
    assert "Shop: the bus has exited by itself; from now on every request is answered with 503\n" in stderr
    app.exit()
    assert notes == ["start", "stop", "exit"]


def test_the_cause_of_an_exit_is_logged(shop: Shop) -> None:
    """It is logged while the logging components still listen."""
    callback, lines = EndedCallback(), []
    app = wsgi.Hosted(page, shop, ended=callback)
    app.start()
    bus = shop.bus()
    bus[LOG].subscribe(lambda text, level, /: lines.append((bus.state, level, text)))

    bus.request_exit(OSError("the disk is full"))
    callback.event.wait()

    [(state, level, text)] = lines
    assert (state, level) == (State.EXITING, 40)
    assert text.endswith("OSError: the disk is full")


def test_a_start_that_a_component_cancels_is_raised_from_the_cause(shop: Shop) -> None:
    """The caller gets the cause, and the next start does not."""
    cause = OSError("the disk is full")
    app = wsgi.Hosted(page, shop)
    asking = shop.attach()[START].subscribe(lambda: shop.bus().request_exit(cause), priority=1)

    with pytest.raises(StartCancelled) as cancelled:
        app.start()
    asking.cancel()
    app.start()

    assert cancelled.value.__cause__ is cause
    assert shop.bus().state is State.STARTED
    app.exit()


def test_a_requested_exit_is_not_reported(shop: Shop, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is written to stderr, and *ended* is not called."""
    callback = EndedCallback()
    app = wsgi.Hosted(page, shop, ended=callback)
    app.start()

    app.exit()

    assert not callback.event.is_set()
    assert capfd.readouterr().err == ""


def test_a_request_after_the_request_for_the_exit_is_refused(shop: Shop) -> None:
    """It gets 503 although the bus is still STARTED."""
    app = wsgi.Hosted(page, shop)
    app.start()
    stopping, release = threading.Event(), threading.Event()

    @shop.bus()[MAIN].subscribe
    def hold() -> None:
        stopping.set()
        release.wait()

    stopping.wait()

    shop.bus().request_exit()

    assert Reply(app).status == "503 Service Unavailable"
    release.set()
    app.exit()


def test_requests_to_the_bus_are_carried_out(shop: Shop) -> None:
    """A thread of the host is in `block`, and MAIN ticks."""
    app = wsgi.Hosted(page, shop)
    app.start()
    requested, ticked = threading.Event(), threading.Event()

    shop.bus().request(requested.set)
    shop.bus()[MAIN].subscribe(ticked.set)

    assert requested.wait(30)
    assert ticked.wait(30)
    app.exit()


def test_a_hosted_bus_refuses_a_restart(shop: Shop) -> None:
    """The process belongs to the server, and the error states that."""
    app = wsgi.Hosted(page, shop)
    app.start()

    with pytest.raises(RestartError, match=r"bus\.replacement is not set"):
        shop.bus().restart()

    assert shop.bus().state is State.STARTED
    app.exit()


def test_components_of_the_owner_of_a_process_are_refused(notes: list[str]) -> None:
    """Each is named, with the place of its declaration and the remedy, and nothing is started."""

    class OwnSignals(Signals):
        """A subclass."""

    class Site(Container):
        bus = Component(Bus)
        signals = Component(Signals, bus.provided)
        own = Component(OwnSignals, bus.provided)
        noted = Component(HookRecorder, notes)

    app = wsgi.Hosted(page, Site)

    with pytest.raises(InvalidContainer) as raised:
        app.start()

    assert [str(fault).replace(__file__, "FILE").partition("): ")[2] for fault in raised.value.exceptions] == [
        (
            "it is a Signals, which catches the signals of the process, but the process belongs to the server; "
            "leave that to the server: declare the component in a container that run() runs, or enable it only there"
        )
    ] * 2
    assert all(isinstance(fault, wsgi.HostFault) for fault in raised.value.exceptions)
    assert notes == []


def test_a_disabled_component_is_not_refused() -> None:
    """One container may serve both purposes: its signals are enabled only where it owns the process."""

    class Site(Container):
        bus = Component(Bus)
        signals = Component(Signals, bus.provided).enabled(False, reason="the process is hosted")

    app = wsgi.Hosted(page, Site)

    app.start()
    app.exit()


def test_an_invalid_container_is_reported_without_a_traceback() -> None:
    """Every fault is in the errors of the server, and nothing is built."""

    class Site(Container):
        noted = Component(HookRecorder, list[str]())

    reply = Reply(wsgi.Hosted(page, Site))

    assert reply.status == "503 Service Unavailable"
    assert reply.errors.startswith("error: Site cannot be wired: 1 fault(s), nothing was built\n- Site (")
    assert "Traceback" not in reply.errors


def test_workers_and_limits_are_set_on_the_bus(shop: Shop) -> None:
    """`run` sets them in the same way."""
    limits = Limits(stop=30)
    app = wsgi.Hosted(page, shop, workers=2, limits=limits)

    app.start()

    assert shop.bus().workers == 2
    assert shop.bus().limits is limits
    app.exit()
    with pytest.raises(LimitError):
        wsgi.Hosted(page, Shop, workers=0).start()


@pytest.mark.slow
def test_the_bus_exits_at_the_end_of_the_interpreter(tmp_path: Path) -> None:
    """This holds also with workers and limits, which need threads."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            import os, threading
            from wsgiref.util import setup_testing_defaults
            from typedbus import *
            from typedbus.hosting import wsgi

            class Noted:
                def __init__(self, bus: Bus) -> None: ...
                def start(self) -> None: ...
                def stop(self) -> None:
                    os.write(1, b"stop\\n")
                def exit(self) -> None:
                    os.write(1, b"exit\\n")

            class Shop(Container):
                bus = Component(Bus)
                a = Component(Noted, bus.provided)
                b = Component(Noted, bus.provided)

            application = wsgi.Hosted(lambda environ, start_response: [], Shop, workers=2, limits=Limits(hook=60))
            environ = {}
            setup_testing_defaults(environ)
            application(environ, lambda status, headers: None)
            threading.Thread(target=lambda: os.write(1, b"a thread of the server ends\\n")).start()
        """),
        encoding="utf-8",
    )

    process = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False)

    assert process.stdout.splitlines() == ["a thread of the server ends", "stop", "stop", "exit", "exit"]
    assert (process.stderr, process.returncode) == ("", 0)


class Worker:
    """The worker that gunicorn passes to its hooks; in the master it has no application."""

    def __init__(self, app: object) -> None:
        self.wsgi = app


def test_the_hooks_of_gunicorn_start_and_exit_the_bus(shop: Shop, notes: list[str]) -> None:
    """They get the application from the worker; the master has no bus to exit."""
    app = wsgi.Hosted(page, shop)

    gunicorn.post_worker_init(Worker(app))
    assert notes == ["start"]
    gunicorn.worker_exit(object(), object())
    assert notes == ["start"]
    gunicorn.worker_exit(object(), Worker(app))

    assert notes == ["start", "stop", "exit"]
    assert Reply(app).status == "503 Service Unavailable"


def test_the_hooks_of_gunicorn_leave_an_application_with_a_lifespan_alone(shop: Shop, notes: list[str]) -> None:
    """An ASGI worker starts it in the lifespan."""
    for worker in (Worker(asgi.Hosted(App([]), shop)), Worker(None)):
        gunicorn.post_worker_init(worker)
        gunicorn.worker_exit(object(), worker)

    assert notes == []


def test_the_hook_of_gunicorn_refuses_an_application_that_is_not_hosted(shop: Shop) -> None:
    """A `Hosted` inside another application would start only with the first request."""
    with pytest.raises(gunicorn.NotOutermost, match="make the Hosted the outermost application") as raised:
        gunicorn.post_worker_init(Worker(page))

    assert raised.value.app is page


def test_sys_exit_in_a_start_is_an_error_for_gunicorn() -> None:
    """gunicorn would treat a `SystemExit` as the normal end of a worker, and start another worker, again and again."""

    class Leaving:
        def start(self) -> None:
            raise SystemExit(4)

    class Left(Container):
        bus = Component(Bus)
        leaving = Component(Leaving)

    with pytest.raises(gunicorn.LeftStart, match=r"sys\.exit\(4\)") as raised:
        gunicorn.post_worker_init(Worker(wsgi.Hosted(page, Left())))

    assert raised.value.code == 4


def test_the_hook_of_gunicorn_reports_the_failure_of_the_exit(
    shop: Shop, failing: set[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """gunicorn would only log a warning for an exception."""
    failing.add("stop")
    app = wsgi.Hosted(page, shop)
    app.start()

    gunicorn.worker_exit(object(), Worker(app))

    assert "OSError: no stop" in capfd.readouterr().err


# ASGI


class Server:
    """A server in a lifespan, and the `messages` that it gets."""

    def __init__(self, app: asgi.Hosted) -> None:
        self.messages: list[Message] = []
        self.state: dict[str, object] = {}
        self.shutting_down = asyncio.Event()
        self.has_message = asyncio.Event()
        self.receive_calls = 0
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        self.task = asyncio.ensure_future(app(scope, self.receive, self.send))
        self.task.add_done_callback(lambda task: self.has_message.set())

    async def receive(self) -> Message:
        self.receive_calls += 1
        if self.receive_calls == 1:
            return {"type": "lifespan.startup"}
        await self.shutting_down.wait()
        assert self.receive_calls == 2
        return {"type": "lifespan.shutdown"}

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        self.has_message.set()

    async def startup(self) -> None:
        await self.has_message.wait()

    async def shutdown(self) -> None:
        self.shutting_down.set()
        await self.task

    async def failure(self) -> BaseException | None:
        """Return the exception of the application at its end."""
        self.shutting_down.set()
        await asyncio.wait([self.task])
        return self.task.exception()

    @property
    def kinds(self) -> list[str]:
        return [message["type"].removeprefix("lifespan.") for message in self.messages]


WELL = ["startup.complete", "shutdown.complete"]


async def ask(app: asgi.Hosted, kind: str = "http") -> list[Message]:
    """Return the messages of *app* for one connection."""
    messages: list[Message] = []

    is_open = kind == "http"

    async def receive() -> Message:
        nonlocal is_open
        is_open = True
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        assert is_open
        messages.append(message)

    await app({"type": kind}, receive, send)
    return messages


class App:
    """An application with or without a lifespan, which fails in the given phase."""

    def __init__(self, notes: list[str], *, lifespan: str = "speaks", failing: str = "") -> None:
        self.notes = notes
        self.lifespan = lifespan
        self.failing = failing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            self.notes.append("request")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"mugs"})
            return
        if self.lifespan == "raises":
            raise AssertionError("only http")
        if self.lifespan == "returns":
            return
        for phase in ("startup", "shutdown"):
            message = await receive()
            assert message["type"] == f"lifespan.{phase}"
            self.notes.append(f"app {phase}")
            if self.failing == f"{phase} raises":
                raise OSError(f"no {phase}")
            if self.failing == f"{phase} fails":
                await send({"type": f"lifespan.{phase}.failed", "message": f"no {phase}"})
                return
            if self.failing == f"{phase} fails and raises":
                await send({"type": f"lifespan.{phase}.failed", "message": f"no {phase}"})
                raise OSError(f"no {phase}")
            scope["state"]["from"] = "app"
            await send({"type": f"lifespan.{phase}.complete"})
            if self.failing == f"after {phase}":
                raise OSError(f"ends after {phase}")
            if self.lifespan == phase:
                return


def drive(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run *scenario* in a loop of its own."""

    async def bounded() -> None:
        await asyncio.wait_for(asyncio.ensure_future(scenario()), 60)

    asyncio.run(bounded())


def test_the_bus_encloses_the_lifespan_of_the_application(shop: Shop, notes: list[str]) -> None:
    """It starts before and exits after it, and the application fills the state of the server."""

    async def scenario() -> None:
        app = asgi.Hosted(App(notes), shop)
        lifespan = Server(app)
        await lifespan.startup()
        assert (await ask(app))[0]["status"] == 200
        await lifespan.shutdown()
        assert lifespan.kinds == WELL
        assert lifespan.state == {"from": "app"}

    drive(scenario)
    assert notes == ["start", "app startup", "request", "app shutdown", "stop", "exit"]


@pytest.mark.parametrize("lifespan", ["raises", "returns", "startup"])
def test_an_application_without_lifespan_support_is_hosted(shop: Shop, notes: list[str], lifespan: str) -> None:
    """The bus starts and exits with the lifespan of the server; an application that returns after the startup does not end it."""

    async def scenario() -> None:
        app = asgi.Hosted(App(notes, lifespan=lifespan), shop)
        served = Server(app)
        await served.startup()
        assert (await ask(app))[0]["status"] == 200
        await served.shutdown()
        assert served.kinds == WELL

    drive(scenario)
    assert [note for note in notes if "app" not in note] == ["start", "request", "stop", "exit"]


def test_the_server_gets_the_failure_of_a_start(shop: Shop, notes: list[str], failing: set[str]) -> None:
    """It gets the traceback, and then the exception, for which the test client waits; the application is not called."""
    failing.add("start")

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App(notes), shop))
        assert isinstance(await lifespan.failure(), TransitionFailures)
        assert lifespan.kinds == ["startup.failed"]
        assert "OSError: no start" in lifespan.messages[0]["message"]

    drive(scenario)
    assert notes == ["start", "exit"]


def test_the_server_gets_the_faults_of_an_invalid_container() -> None:
    """It gets each fault, without a traceback."""

    class Site(Container):
        bus = Component(Bus)
        signals = Component(Signals, bus.provided)

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App([]), Site))
        assert isinstance(await lifespan.failure(), InvalidContainer)
        assert lifespan.messages[0]["message"].startswith(
            "error: Site cannot be wired: 1 fault(s), nothing was built\n"
        )

    drive(scenario)


def test_sys_exit_in_a_start_does_not_end_the_loop(shop: Shop) -> None:
    """The server gets a failed start, and an exception that does not end the loop."""
    shop.attach()[START].subscribe(lambda: sys.exit(3))

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App([]), shop))
        error = await lifespan.failure()
        assert isinstance(error, LifespanError)
        assert isinstance(error.__cause__, SystemExit)
        assert lifespan.kinds == ["startup.failed"]
        assert "SystemExit: 3" in lifespan.messages[0]["message"]

    drive(scenario)


@pytest.mark.parametrize("failure", ["startup raises", "startup fails", "startup fails and raises"])
def test_the_bus_exits_if_the_application_does_not_start(shop: Shop, notes: list[str], failure: str) -> None:
    """After the exit, the server gets the message or the exception of the application."""

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App(notes, failing=failure), shop))
        error = await lifespan.failure()
        assert lifespan.kinds == ["startup.failed"]
        assert "no startup" in lifespan.messages[0]["message"]
        assert isinstance(error, OSError) == failure.endswith("raises")

    drive(scenario)
    assert notes == ["start", "app startup", "stop", "exit"]


@pytest.mark.parametrize("failure", ["shutdown raises", "shutdown fails", "shutdown fails and raises"])
def test_the_bus_exits_if_the_shutdown_of_the_application_fails(shop: Shop, notes: list[str], failure: str) -> None:
    """The server gets the failure."""

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App(notes, failing=failure), shop))
        await lifespan.startup()
        error = await lifespan.failure()
        assert lifespan.kinds == ["startup.complete", "shutdown.failed"]
        assert "no shutdown" in lifespan.messages[1]["message"]
        assert isinstance(error, OSError) == failure.endswith("raises")

    drive(scenario)
    assert notes == ["start", "app startup", "app shutdown", "stop", "exit"]


def test_an_exception_that_ends_a_lifespan_is_reported_at_once_and_at_the_end(
    shop: Shop, notes: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Requests are answered until the server ends."""

    async def scenario() -> None:
        app = asgi.Hosted(App(notes, failing="after startup"), shop)
        lifespan = Server(app)
        await lifespan.startup()
        assert (await ask(app))[0]["status"] == 200
        assert isinstance(await lifespan.failure(), OSError)
        assert lifespan.kinds == ["startup.complete", "shutdown.failed"]
        assert "ends after startup" in lifespan.messages[1]["message"]

    drive(scenario)
    assert "OSError: ends after startup" in capfd.readouterr().err
    assert notes == ["start", "app startup", "request", "stop", "exit"]


@pytest.mark.parametrize(("failure", "messages"), [("", ["no exit"]), ("shutdown fails", ["no shutdown", "no exit"])])
def test_the_server_gets_the_failure_of_an_exit(
    shop: Shop, failing: set[str], failure: str, messages: list[str]
) -> None:
    """It gets the message of the application as well, and then the exception."""
    failing.add("exit")

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App([], failing=failure), shop))
        await lifespan.startup()
        assert isinstance(await lifespan.failure(), TransitionFailures)
        assert lifespan.kinds == ["startup.complete", "shutdown.failed"]
        assert [text for text in ("no shutdown", "no exit") if text in lifespan.messages[1]["message"]] == messages

    drive(scenario)


def test_a_start_does_not_block_the_loop(shop: Shop) -> None:
    """The start of this test waits for a task in the loop."""
    release = threading.Event()
    shop.attach()[START].subscribe(lambda: bool(release.wait(30)) or sys.exit("the loop was held up"))  # type: ignore[arg-type, return-value]  # the result is not used

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App([]), shop))
        asyncio.get_running_loop().call_soon(release.set)
        await lifespan.startup()
        await lifespan.shutdown()
        assert lifespan.kinds == WELL

    drive(scenario)


def test_a_start_that_the_server_cancels_is_undone(shop: Shop, notes: list[str]) -> None:
    """Cancelling the lifespan cancels the start, and the bus exits."""
    entered, release = threading.Event(), threading.Event()
    bus = shop.attach()

    @bus[START].subscribe(priority=1)
    def hold() -> None:
        entered.set()
        release.wait()

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App(notes), shop))
        await asyncio.to_thread(entered.wait)
        lifespan.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lifespan.task
        release.set()
        assert await asyncio.to_thread(bus.wait, State.EXITED, 30) is State.EXITED

    drive(scenario)
    assert notes == ["exit"]


def test_the_bus_exits_if_the_server_cancels_the_lifespan(shop: Shop, notes: list[str]) -> None:
    """The exit is requested while the bus runs."""

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App(notes), shop))
        await lifespan.startup()
        lifespan.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lifespan.task
        assert await asyncio.to_thread(shop.attach().wait, State.EXITED, 30) is State.EXITED

    drive(scenario)
    assert notes == ["start", "app startup", "stop", "exit"]


def test_a_server_that_cancels_during_the_exit_gets_no_message(shop: Shop, notes: list[str]) -> None:
    """The bus exits nevertheless."""
    entered, release = threading.Event(), threading.Event()
    bus = shop.attach()

    @bus[STOP].subscribe(priority=99)
    def hold() -> None:
        entered.set()
        release.wait()

    async def scenario() -> None:
        server = Server(asgi.Hosted(App(notes), shop))
        await server.startup()
        server.shutting_down.set()
        await asyncio.to_thread(entered.wait)
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert server.kinds == ["startup.complete"]
        release.set()
        assert await asyncio.to_thread(bus.wait, State.EXITED, 30) is State.EXITED

    drive(scenario)
    assert notes == ["start", "app startup", "app shutdown", "stop", "exit"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_connections_are_refused_when_the_bus_has_exited(shop: Shop, notes: list[str], kind: str) -> None:
    """They get 503, or a close before the handshake; the lifespan continues to its end."""
    callback = EndedCallback()

    async def scenario() -> None:
        app = asgi.Hosted(App(notes), shop, ended=callback)
        lifespan = Server(app)
        await lifespan.startup()
        shop.bus().request_exit()
        await asyncio.to_thread(callback.event.wait)
        messages = await ask(app, kind)
        if kind == "http":
            assert messages[0]["status"] == 503
            assert dict(messages[0]["headers"])[b"content-length"] == b"20"
            assert messages[1]["body"] == b"Service Unavailable\n"
        else:
            assert messages == [{"type": "websocket.close", "code": 1013}]
        await lifespan.shutdown()
        assert lifespan.kinds == WELL

    drive(scenario)
    assert notes == ["start", "app startup", "stop", "exit", "app shutdown"]


def test_a_request_without_a_lifespan_is_an_error(shop: Shop) -> None:
    """Its text has the remedy."""

    async def scenario() -> None:
        with pytest.raises(asgi.NotHosted, match="before Shop was started, .* --lifespan on"):
            await ask(asgi.Hosted(App([]), shop))

    drive(scenario)


def test_a_second_lifespan_starts_the_bus_again(shop: Shop, notes: list[str]) -> None:
    """The tests of an application do that."""
    app = asgi.Hosted(App([]), shop)

    async def scenario() -> None:
        lifespan = Server(app)
        await lifespan.startup()
        assert (await ask(app))[0]["status"] == 200
        await lifespan.shutdown()
        assert lifespan.kinds == WELL

    drive(scenario)
    drive(scenario)
    assert notes == ["start", "stop", "exit"] * 2


def test_hosting_imports_no_server() -> None:
    """It does not depend on the server that hosts."""
    folder = Path(asgi.__file__).parent

    texts = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))

    assert "import uvicorn" not in texts
    assert "from gunicorn" not in texts
