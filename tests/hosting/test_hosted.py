"""Hosted applications, driven as a server drives them, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
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
from wsgiref.util import setup_testing_defaults

import pytest
from tests.doubles import Recorder

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

Message = MutableMapping[str, Any]


class Shop(Container):
    bus = Component(Bus)
    notes = Component(list[str])
    failing = Component(set[str])
    noted = Component(Recorder, notes.provided, failing=failing.provided)


class Told:
    """What the host is told when the bus has ended by itself."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def __call__(self) -> None:
        self.event.set()


@pytest.fixture
def notes() -> list[str]:
    """What the container of the test writes down, over all its lives."""
    return []


@pytest.fixture
def failing() -> set[str]:
    """What fails in it."""
    return set()


@pytest.fixture
def shop(notes: list[str], failing: set[str]) -> Iterator[Shop]:
    """A container that writes to `notes`."""
    shop = Shop()
    with shop.override(Shop.notes).by(notes), shop.override(Shop.failing).by(failing):
        yield shop


# WSGI


def page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The application that is hosted."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"mugs"]


class Buffer(io.StringIO):
    """The errors of a server, which keeps them back until they are flushed."""

    flushed = ""

    def flush(self) -> None:
        self.flushed = self.getvalue()


class Reply:
    """What a WSGI application answered, and wrote to its errors."""

    def __init__(self, app: wsgi.Hosted) -> None:
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        errors = environ["wsgi.errors"] = Buffer()
        self.status, self.headers = "", [("", "")]

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], object]:
            self.status, self.headers = status, headers
            return io.BytesIO().write

        self.body = b"".join(app(environ, start_response))
        self.errors = errors.flushed


def test_the_first_request_starts_the_bus(shop: Shop, notes: list[str]) -> None:
    """It is answered by the application, and the next finds the bus started."""
    app = wsgi.Hosted(page, shop)
    assert notes == []

    assert Reply(app).body == b"mugs"
    assert Reply(app).status == "200 OK"
    assert notes == ["start"]
    app.exit()
    assert notes == ["start", "stop", "exit"]


def test_an_explicit_start_comes_before_the_first_request(shop: Shop, notes: list[str]) -> None:
    """It may be said twice, and so may the exit."""
    app = wsgi.Hosted(page, shop)

    app.start()
    app.start()

    assert notes == ["start"]
    assert Reply(app).body == b"mugs"
    app.exit()
    app.exit()
    assert notes == ["start", "stop", "exit"]


def test_requests_that_come_at_once_start_it_once(shop: Shop, notes: list[str]) -> None:
    """Each waits for the one start, and is answered then."""
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


def test_a_class_is_made_an_instance_of() -> None:
    """As `run` does; several containers share the bus of the first."""

    class Other(Container):
        notes = Component(list[str])
        noted = Component(Recorder, notes.provided)

    other = Other()
    app = wsgi.Hosted(page, Shop, other)

    app.start()
    app.exit()

    assert other.notes() == ["start", "stop", "exit"]


def test_a_request_that_cannot_start_it_gets_503_and_no_reason(shop: Shop, notes: list[str], failing: set[str]) -> None:
    """The reason is the server's: it goes to its errors, with the traceback."""
    failing.add("start")
    app = wsgi.Hosted(page, shop)

    reply = Reply(app)

    assert (reply.status, reply.body) == ("503 Service Unavailable", b"Service Unavailable\n")
    assert ("Content-Length", str(len(reply.body))) in reply.headers
    assert "OSError: no start" in reply.errors
    assert "Traceback" in reply.errors
    assert notes == ["start", "exit"]


def test_the_next_request_tries_again(shop: Shop, notes: list[str], failing: set[str]) -> None:
    """What was down may be up again."""
    failing.add("start")
    app = wsgi.Hosted(page, shop)
    Reply(app)

    failing.clear()

    assert Reply(app).status == "200 OK"
    app.exit()
    assert notes == ["start", "exit", "start", "stop", "exit"]


def test_who_waited_for_a_start_that_failed_is_told_the_same(shop: Shop, failing: set[str]) -> None:
    """A start that takes long is not made anew for each of the requests that have come meanwhile."""
    failing.add("start")
    within, go_on, waits = threading.Event(), threading.Event(), threading.Event()
    bus = shop.attach()

    @bus[START].subscribe(priority=1)
    def hold() -> None:
        within.set()
        go_on.wait()

    app = wsgi.Hosted(page, shop)

    def ask() -> str:
        waits.set()
        return Reply(app).errors

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: Reply(app).errors)
        within.wait()
        second = pool.submit(ask)
        waits.wait()
        go_on.set()

        assert "OSError: no start" in first.result()
        assert "OSError: no start" in second.result()


def test_a_failed_start_is_raised_to_who_asked_for_it(shop: Shop, failing: set[str]) -> None:
    """A server that starts a process with it may end the process."""
    failing.add("start")
    app = wsgi.Hosted(page, shop)

    with pytest.raises(TransitionFailures):
        app.start()


def test_a_failed_start_whose_exit_fails_as_well_is_told_with_both(shop: Shop, failing: set[str]) -> None:
    """Neither hides the other."""
    failing |= {"start", "exit"}
    app = wsgi.Hosted(page, shop)

    with pytest.raises(ExceptionGroup, match="has exited, with problems") as raised:
        app.start()

    texts = [str(error.exceptions[0]) for error in raised.value.exceptions if isinstance(error, ExceptionGroup)]
    assert texts == ["no start", "no exit"]


def test_a_failed_exit_is_raised(shop: Shop, failing: set[str]) -> None:
    """Who asked for the exit is told."""
    failing.add("stop")
    app = wsgi.Hosted(page, shop)
    app.start()

    with pytest.raises(TransitionFailures):
        app.exit()


def test_a_start_after_an_exit_works(shop: Shop, notes: list[str]) -> None:
    """Requests between the two are not answered."""
    app = wsgi.Hosted(page, shop)
    app.start()
    app.exit()

    assert Reply(app).status == "503 Service Unavailable"
    app.start()
    assert Reply(app).status == "200 OK"
    app.exit()
    assert notes == ["start", "stop", "exit"] * 2


def test_a_start_that_fails_after_an_exit_leaves_the_next_try_to_a_request(shop: Shop, failing: set[str]) -> None:
    """Whoever starts it again says that it is to run."""
    app = wsgi.Hosted(page, shop)
    app.start()
    app.exit()
    failing.add("start")
    with pytest.raises(TransitionFailures):
        app.start()

    failing.clear()

    assert Reply(app).status == "200 OK"
    app.exit()


def test_an_exit_waits_for_a_start_that_is_under_way(shop: Shop, notes: list[str]) -> None:
    """It breaks that off, and returns when the bus has exited; who started it is told."""
    within, go_on = threading.Event(), threading.Event()
    bus = shop.attach()

    @bus[START].subscribe(priority=1)
    def hold() -> None:
        within.set()
        go_on.wait()

    app = wsgi.Hosted(page, shop)

    def leave() -> State:
        app.exit()
        return bus.state

    with ThreadPoolExecutor(2) as pool:
        starting = pool.submit(app.start)
        within.wait()
        leaving = pool.submit(leave)
        while not bus._exit_requested:
            assert not leaving.done()
        go_on.set()

        assert leaving.result() is State.EXITED
        assert isinstance(starting.exception(), StartCancelled)
    assert notes == ["exit"]


@pytest.mark.parametrize("failure", ["", "start", "stop"])
def test_nothing_keeps_what_has_exited(failure: str) -> None:
    """The interpreter's end has no use for it any more, however it ended."""

    class Site(Container):
        bus = Component(Bus)
        noted = Component(Recorder, list[str](), failing={failure})

    app = wsgi.Hosted(page, Site)
    with contextlib.suppress(TransitionFailures):
        app.start()
    with contextlib.suppress(TransitionFailures):
        app.exit()
    left = weakref.ref(app._host)

    del app
    gc.collect()

    assert left() is None


@pytest.mark.parametrize(
    "error",
    [
        wsgi.HostFault("Shop.signals", "shop.py:3", "Signals", "does"),
        asgi.NotHosted("Shop"),
        gunicorn.NotOutermost("app"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_its_pickle(error: Exception) -> None:
    """With its text and what it knows."""
    copied = pickle.loads(pickle.dumps(error))

    assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))


def test_a_bus_that_exits_by_itself_is_told(shop: Shop, notes: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """The reason is on stderr, later requests get 503 and start nothing, and who asked to be told is."""
    ended = Told()
    app = wsgi.Hosted(page, shop, ended=ended)
    app.start()
    app.exit()
    notes.clear()
    app.start()

    shop.bus().request_exit(OSError("the disk is full"))
    ended.event.wait()
    reply = Reply(app)

    assert notes == ["start", "stop", "exit"]
    assert (reply.status, reply.errors) == ("503 Service Unavailable", "")
    said = capfd.readouterr().err
    assert "OSError: the disk is full" in said
    assert "Shop: the bus has exited by itself; from now on every request is answered with 503\n" in said
    app.exit()
    assert notes == ["start", "stop", "exit"]


def test_the_cause_of_an_exit_is_logged(shop: Shop) -> None:
    """While the components that keep the log still listen."""
    ended, lines = Told(), []
    app = wsgi.Hosted(page, shop, ended=ended)
    app.start()
    bus = shop.bus()
    bus[LOG].subscribe(lambda text, level, /: lines.append((bus.state, level, text)))

    bus.request_exit(OSError("the disk is full"))
    ended.event.wait()

    [(state, level, text)] = lines
    assert (state, level) == (State.EXITING, 40)
    assert text.endswith("OSError: the disk is full")


def test_a_start_that_a_component_cancels_is_raised_from_the_cause(shop: Shop) -> None:
    """It reaches the caller, and nothing of it the next start."""
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


def test_a_wanted_exit_tells_nobody(shop: Shop, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither stderr nor who asked to be told when the bus ends by itself."""
    ended = Told()
    app = wsgi.Hosted(page, shop, ended=ended)
    app.start()

    app.exit()

    assert not ended.event.is_set()
    assert capfd.readouterr().err == ""


def test_a_request_that_comes_when_the_exit_was_asked_for_is_refused(shop: Shop) -> None:
    """Whatever the bus does about that, it is not ready from then on."""
    app = wsgi.Hosted(page, shop)
    app.start()
    stopping, go_on = threading.Event(), threading.Event()

    @shop.bus()[MAIN].subscribe
    def hold() -> None:
        stopping.set()
        go_on.wait()

    stopping.wait()

    shop.bus().request_exit()

    assert Reply(app).status == "503 Service Unavailable"
    go_on.set()
    app.exit()


def test_requests_to_the_bus_are_carried_out(shop: Shop) -> None:
    """Somebody blocks on it, and MAIN ticks."""
    app = wsgi.Hosted(page, shop)
    app.start()
    asked, ticked = threading.Event(), threading.Event()

    shop.bus().request(asked.set)
    shop.bus()[MAIN].subscribe(ticked.set)

    assert asked.wait(30)
    assert ticked.wait(30)
    app.exit()


def test_a_hosted_bus_restarts_nothing(shop: Shop) -> None:
    """The process is the server's, and the error says so."""
    app = wsgi.Hosted(page, shop)
    app.start()

    with pytest.raises(RestartError, match="nobody who owns the process runs this bus"):
        shop.bus().restart()

    assert shop.bus().state is State.STARTED
    app.exit()


def test_what_the_owner_of_a_process_has_is_refused(notes: list[str]) -> None:
    """Every one is named, with where it is declared and what to do, and nothing is started."""

    class OwnSignals(Signals):
        """A class of one's own."""

    class Site(Container):
        bus = Component(Bus)
        signals = Component(Signals, bus.provided)
        own = Component(OwnSignals, bus.provided)
        noted = Component(Recorder, notes)

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


def test_what_is_not_enabled_is_not_refused() -> None:
    """One container may be for both: it has signals where it owns the process."""

    class Site(Container):
        bus = Component(Bus)
        signals = Component(Signals, bus.provided).enabled(False, reason="the process is hosted")

    app = wsgi.Hosted(page, Site)

    app.start()
    app.exit()


def test_an_invalid_container_is_told_without_a_traceback() -> None:
    """Every fault is in the server's errors, and nothing is built."""

    class Site(Container):
        noted = Component(Recorder, list[str]())

    reply = Reply(wsgi.Hosted(page, Site))

    assert reply.status == "503 Service Unavailable"
    assert reply.errors.startswith("error: Site cannot be wired: 1 fault(s), nothing was built\n- Site (")
    assert "Traceback" not in reply.errors


def test_workers_and_limits_are_the_bus_s(shop: Shop) -> None:
    """As `run` takes them."""
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
    """Also side by side and within limits, for which threads are started."""
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

    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False)

    assert ended.stdout.splitlines() == ["a thread of the server ends", "stop", "stop", "exit", "exit"]
    assert (ended.stderr, ended.returncode) == ("", 0)


class Worker:
    """What gunicorn gives its hooks; in the master it has no application."""

    def __init__(self, app: object) -> None:
        self.wsgi = app


def test_the_hooks_of_gunicorn_start_and_exit_what_is_hosted(shop: Shop, notes: list[str]) -> None:
    """It is found in the worker; in the master there is nothing to exit."""
    app = wsgi.Hosted(page, shop)

    gunicorn.post_worker_init(Worker(app))
    assert notes == ["start"]
    gunicorn.worker_exit(object(), object())
    assert notes == ["start"]
    gunicorn.worker_exit(object(), Worker(app))

    assert notes == ["start", "stop", "exit"]
    assert Reply(app).status == "503 Service Unavailable"


def test_the_hooks_of_gunicorn_leave_an_application_with_a_lifespan_alone(shop: Shop, notes: list[str]) -> None:
    """A worker that speaks ASGI starts it."""
    for worker in (Worker(asgi.Hosted(App([]), shop)), Worker(None)):
        gunicorn.post_worker_init(worker)
        gunicorn.worker_exit(object(), worker)

    assert notes == []


def test_the_hook_of_gunicorn_refuses_what_is_not_hosted(shop: Shop) -> None:
    """A bus inside of something else would start with the first request, and nobody would know."""
    with pytest.raises(gunicorn.NotOutermost, match="make the Hosted the outermost application") as raised:
        gunicorn.post_worker_init(Worker(page))

    assert raised.value.app is page


def test_a_component_that_leaves_its_start_ends_gunicorn_and_not_the_worker_alone() -> None:
    """A `SystemExit` would be a worker that has ended, and gunicorn would begin another, again and again."""

    class Leaving:
        def start(self) -> None:
            raise SystemExit(4)

    class Left(Container):
        bus = Component(Bus)
        leaving = Component(Leaving)

    with pytest.raises(gunicorn.LeftStart, match=r"sys\.exit\(4\)") as raised:
        gunicorn.post_worker_init(Worker(wsgi.Hosted(page, Left())))

    assert raised.value.code == 4


def test_the_hook_of_gunicorn_tells_what_the_exit_failed_with(
    shop: Shop, failing: set[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The server would make a warning of it."""
    failing.add("stop")
    app = wsgi.Hosted(page, shop)
    app.start()

    gunicorn.worker_exit(object(), Worker(app))

    assert "OSError: no stop" in capfd.readouterr().err


# ASGI


class Server:
    """A server's side of a lifespan; what it is told is in `said`."""

    def __init__(self, app: asgi.Hosted) -> None:
        self.said: list[Message] = []
        self.state: dict[str, object] = {}
        self.shutting_down = asyncio.Event()
        self.told = asyncio.Event()
        self.asked = 0
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        self.task = asyncio.ensure_future(app(scope, self.receive, self.send))
        self.task.add_done_callback(lambda task: self.told.set())

    async def receive(self) -> Message:
        self.asked += 1
        if self.asked == 1:
            return {"type": "lifespan.startup"}
        await self.shutting_down.wait()
        assert self.asked == 2
        return {"type": "lifespan.shutdown"}

    async def send(self, message: Message) -> None:
        self.said.append(message)
        self.told.set()

    async def startup(self) -> None:
        await self.told.wait()

    async def shutdown(self) -> None:
        self.shutting_down.set()
        await self.task

    @property
    def kinds(self) -> list[str]:
        return [message["type"].removeprefix("lifespan.") for message in self.said]


WELL = ["startup.complete", "shutdown.complete"]


async def ask(app: asgi.Hosted, kind: str = "http") -> list[Message]:
    """Return what *app* answers to one connection."""
    said: list[Message] = []

    is_open = kind == "http"

    async def receive() -> Message:
        nonlocal is_open
        is_open = True
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        assert is_open
        said.append(message)

    await app({"type": kind}, receive, send)
    return said


class App:
    """An application with a lifespan, or without one, that fails where it is told to."""

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


def test_the_bus_goes_around_the_lifespan_of_the_application(shop: Shop, notes: list[str]) -> None:
    """It starts before and exits after, and the state is the server's."""

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
def test_an_application_need_not_speak_of_the_lifespan(shop: Shop, notes: list[str], lifespan: str) -> None:
    """The bus has one all the same; one that leaves after the startup does not end it."""

    async def scenario() -> None:
        app = asgi.Hosted(App(notes, lifespan=lifespan), shop)
        served = Server(app)
        await served.startup()
        assert (await ask(app))[0]["status"] == 200
        await served.shutdown()
        assert served.kinds == WELL

    drive(scenario)
    assert [note for note in notes if "app" not in note] == ["start", "request", "stop", "exit"]


def test_a_start_that_fails_is_told_to_the_server(shop: Shop, notes: list[str], failing: set[str]) -> None:
    """With its traceback, and the application is not called."""
    failing.add("start")

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App(notes), shop))
        await lifespan.task
        assert lifespan.kinds == ["startup.failed"]
        assert "OSError: no start" in lifespan.said[0]["message"]

    drive(scenario)
    assert notes == ["start", "exit"]


def test_an_invalid_container_is_told_to_the_server() -> None:
    """Fault by fault, without a traceback."""

    class Site(Container):
        bus = Component(Bus)
        signals = Component(Signals, bus.provided)

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App([]), Site))
        await lifespan.task
        assert lifespan.said[0]["message"].startswith("error: Site cannot be wired: 1 fault(s), nothing was built\n")

    drive(scenario)


def test_a_listener_that_leaves_does_not_leave_the_loop(shop: Shop) -> None:
    """sys.exit() in a start hook is a failed start to the server."""
    shop.attach()[START].subscribe(lambda: sys.exit(3))

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App([]), shop))
        await lifespan.task
        assert lifespan.kinds == ["startup.failed"]
        assert "SystemExit: 3" in lifespan.said[0]["message"]

    drive(scenario)


@pytest.mark.parametrize("failure", ["startup raises", "startup fails", "startup fails and raises"])
def test_an_application_that_does_not_start_ends_the_bus(shop: Shop, notes: list[str], failure: str) -> None:
    """The server is told what the application said, or raised, after the exit."""

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App(notes, failing=failure), shop))
        (ended,) = await asyncio.gather(lifespan.task, return_exceptions=True)
        assert lifespan.kinds == ["startup.failed"]
        assert "no startup" in lifespan.said[0]["message"]
        assert isinstance(ended, OSError) == (failure == "startup fails and raises")

    drive(scenario)
    assert notes == ["start", "app startup", "stop", "exit"]


@pytest.mark.parametrize("failure", ["shutdown raises", "shutdown fails", "shutdown fails and raises"])
def test_an_application_that_does_not_stop_keeps_the_bus_from_nothing(
    shop: Shop, notes: list[str], failure: str
) -> None:
    """The bus exits, and the server is told."""

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App(notes, failing=failure), shop))
        await lifespan.startup()
        lifespan.shutting_down.set()
        (ended,) = await asyncio.gather(lifespan.task, return_exceptions=True)
        assert lifespan.kinds == ["startup.complete", "shutdown.failed"]
        assert "no shutdown" in lifespan.said[1]["message"]
        assert isinstance(ended, OSError) == (failure == "shutdown fails and raises")

    drive(scenario)
    assert notes == ["start", "app startup", "app shutdown", "stop", "exit"]


def test_an_application_whose_lifespan_breaks_off_is_told_at_once_and_at_the_end(
    shop: Shop, notes: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Its requests are answered until the server ends."""

    async def scenario() -> None:
        app = asgi.Hosted(App(notes, failing="after startup"), shop)
        lifespan = Server(app)
        await lifespan.startup()
        assert (await ask(app))[0]["status"] == 200
        await lifespan.shutdown()
        assert lifespan.kinds == ["startup.complete", "shutdown.failed"]
        assert "ends after startup" in lifespan.said[1]["message"]

    drive(scenario)
    assert "OSError: ends after startup" in capfd.readouterr().err
    assert notes == ["start", "app startup", "request", "stop", "exit"]


@pytest.mark.parametrize(("failure", "said"), [("", ["no exit"]), ("shutdown fails", ["no shutdown", "no exit"])])
def test_an_exit_that_fails_is_told_to_the_server(shop: Shop, failing: set[str], failure: str, said: list[str]) -> None:
    """Beside what the application says."""
    failing.add("exit")

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App([], failing=failure), shop))
        await lifespan.startup()
        await lifespan.shutdown()
        assert lifespan.kinds == ["startup.complete", "shutdown.failed"]
        assert [text for text in ("no shutdown", "no exit") if text in lifespan.said[1]["message"]] == said

    drive(scenario)


def test_a_start_does_not_hold_up_the_loop(shop: Shop) -> None:
    """What else the loop does goes on, here what the start waits for."""
    go_on = threading.Event()
    shop.attach()[START].subscribe(lambda: bool(go_on.wait(30)) or sys.exit("the loop was held up"))  # type: ignore[arg-type]  # what it returns nobody looks at

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App([]), shop))
        asyncio.get_running_loop().call_soon(go_on.set)
        await lifespan.startup()
        await lifespan.shutdown()
        assert lifespan.kinds == WELL

    drive(scenario)


def test_a_server_that_gives_up_a_start_leaves_nothing_running(shop: Shop, notes: list[str]) -> None:
    """A lifespan that is cancelled breaks the start off, and the bus exits."""
    within, go_on = threading.Event(), threading.Event()
    bus = shop.attach()

    @bus[START].subscribe(priority=1)
    def hold() -> None:
        within.set()
        go_on.wait()

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App(notes), shop))
        await asyncio.to_thread(within.wait)
        lifespan.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lifespan.task
        go_on.set()
        assert await asyncio.to_thread(bus.wait, State.EXITED, 30) is State.EXITED

    drive(scenario)
    assert notes == ["exit"]


def test_a_server_that_gives_up_a_lifespan_leaves_nothing_running(shop: Shop, notes: list[str]) -> None:
    """One that is cancelled while the bus runs asks for the exit."""

    async def scenario() -> None:
        lifespan = Server(asgi.Hosted(App(notes), shop))
        await lifespan.startup()
        lifespan.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lifespan.task
        assert await asyncio.to_thread(shop.attach().wait, State.EXITED, 30) is State.EXITED

    drive(scenario)
    assert notes == ["start", "app startup", "stop", "exit"]


def test_a_server_that_gives_up_an_exit_is_told_nothing_more(shop: Shop, notes: list[str]) -> None:
    """The bus exits all the same."""
    within, go_on = threading.Event(), threading.Event()
    bus = shop.attach()

    @bus[STOP].subscribe(priority=99)
    def hold() -> None:
        within.set()
        go_on.wait()

    async def scenario() -> None:
        server = Server(asgi.Hosted(App(notes), shop))
        await server.startup()
        server.shutting_down.set()
        await asyncio.to_thread(within.wait)
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert server.kinds == ["startup.complete"]
        go_on.set()
        assert await asyncio.to_thread(bus.wait, State.EXITED, 30) is State.EXITED

    drive(scenario)
    assert notes == ["start", "app startup", "app shutdown", "stop", "exit"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_connections_are_refused_when_the_bus_has_exited(shop: Shop, notes: list[str], kind: str) -> None:
    """With 503, or a close before the handshake; the lifespan goes on to its end."""
    ended = Told()

    async def scenario() -> None:
        app = asgi.Hosted(App(notes), shop, ended=ended)
        lifespan = Server(app)
        await lifespan.startup()
        shop.bus().request_exit()
        await asyncio.to_thread(ended.event.wait)
        said = await ask(app, kind)
        if kind == "http":
            assert said[0]["status"] == 503
            assert dict(said[0]["headers"])[b"content-length"] == b"20"
            assert said[1]["body"] == b"Service Unavailable\n"
        else:
            assert said == [{"type": "websocket.close", "code": 1013}]
        await lifespan.shutdown()
        assert lifespan.kinds == WELL

    drive(scenario)
    assert notes == ["start", "app startup", "stop", "exit", "app shutdown"]


def test_a_request_without_a_lifespan_is_an_error_of_the_set_up(shop: Shop) -> None:
    """It says how to mend it."""

    async def scenario() -> None:
        with pytest.raises(asgi.NotHosted, match="before Shop was started, .* --lifespan on"):
            await ask(asgi.Hosted(App([]), shop))

    drive(scenario)


def test_a_lifespan_may_come_after_another(shop: Shop, notes: list[str]) -> None:
    """As in the tests of an application."""
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


def test_nothing_of_it_is_imported_with_the_servers_own_modules() -> None:
    """Hosting imports no server: which one hosts is not its business."""
    folder = Path(asgi.__file__).parent

    texts = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))

    assert "import uvicorn" not in texts
    assert "from gunicorn" not in texts
