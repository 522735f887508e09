"""One bus, several hosts: a `Hosted` shares a bus that other code has started, and does not end it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import warnings
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.doubles import HookRecorder
from tests.hosting.wsgi_client import Reply, page

from typedbus import START, Bus, Component, Container, State, TransitionError, TransitionFailures, run, running
from typedbus.hosting import asgi, wsgi
from typedbus.plugins.signals import Signals


class Shop(Container):
    bus = Component(Bus)
    notes = Component(list[str])
    failing = Component(set[str])
    stock = Component(HookRecorder, notes.provided, failing=failing.provided)


class Blog(Container):
    notes = Component(list[str])
    stock = Component(HookRecorder, notes.provided)


LIFE = ["start", "stop", "exit"]


@pytest.fixture
def notes() -> list[str]:
    """The notes of the shop of the test."""
    return []


@pytest.fixture
def failing() -> set[str]:
    """The hooks that fail in it."""
    return set()


@pytest.fixture
def shop(notes: list[str], failing: set[str]) -> Any:
    """A container whose components write to `notes`."""
    shop = Shop()
    with shop.override(Shop.notes).by(notes), shop.override(Shop.failing).by(failing):
        yield shop


def get(app: wsgi.Hosted) -> str:
    """Send a request to a WSGI application; return the status, or the errors that it wrote."""
    reply = Reply(app)
    return reply.errors or reply.status


async def asgi_page(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """The application that is hosted for ASGI."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def asgi_get(app: asgi.Hosted) -> int:
    """Send a request to an ASGI application and return the status."""
    messages: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    await app({"type": "http", "path": "/"}, receive, send)
    status: int = messages[0]["status"]
    return status


async def lifespan(app: asgi.Hosted, between: Callable[[], object]) -> list[str]:
    """Take an ASGI application through its lifespan, call *between* while it is up, and return its messages."""
    messages: list[str] = []
    phases = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> MutableMapping[str, Any]:
        return {"type": next(phases)}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message["type"])
        if message["type"] == "lifespan.startup.complete":
            between()

    await app({"type": "lifespan"}, receive, send)
    return messages


def test_a_second_application_shares_the_bus_that_the_first_has_started(shop: Shop, notes: list[str]) -> None:
    """Both answer, in any order, and the bus has one life."""
    first, second = wsgi.Hosted(page, shop), wsgi.Hosted(page, shop)

    assert [get(app) for app in (first, second, first, second)] == ["200 OK"] * 4
    assert notes == ["start"]
    first.exit()
    assert notes == LIFE


def test_the_exit_of_an_application_that_shares_the_bus_leaves_it_running(shop: Shop, notes: list[str]) -> None:
    """The bus ends with the application that started it; both answer 503 then."""
    first, second = wsgi.Hosted(page, shop), wsgi.Hosted(page, shop)
    get(first)
    get(second)

    second.exit()
    assert shop.bus().state is State.STARTED
    assert get(second) == "200 OK"
    first.exit()

    assert notes == LIFE
    assert [get(first), get(second)] == ["503 Service Unavailable"] * 2


def test_an_application_that_shared_the_bus_owns_it_if_it_starts_it_again(shop: Shop, notes: list[str]) -> None:
    """Then the other one shares, and its exit changes nothing."""
    first, second = wsgi.Hosted(page, shop), wsgi.Hosted(page, shop)
    get(first)
    get(second)
    first.exit()

    second.start()

    assert get(first) == "200 OK"
    first.exit()
    assert shop.bus().state is State.STARTED
    second.exit()
    assert notes == LIFE * 2


def test_first_requests_to_several_applications_at_once_start_the_bus_once(shop: Shop, notes: list[str]) -> None:
    """Each waits for that start."""
    apps = [wsgi.Hosted(page, shop) for _ in range(8)]
    together = threading.Barrier(8)

    def ask(app: wsgi.Hosted) -> str:
        together.wait()
        return get(app)

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, apps))

    for app in apps:
        app.exit()
    assert statuses == ["200 OK"] * 8
    assert notes == LIFE


def test_an_application_that_waits_for_the_start_of_another_gets_its_failure(
    shop: Shop, notes: list[str], failing: set[str]
) -> None:
    """The start is not repeated for it; the next request tries again."""
    failing.add("start")
    first, second = wsgi.Hosted(page, shop), wsgi.Hosted(page, shop)
    entered, release = threading.Event(), threading.Event()

    @shop.attach()[START].subscribe(priority=1)
    def hold() -> None:
        entered.set()
        release.wait()

    with ThreadPoolExecutor(2) as pool:
        starting = pool.submit(get, first)
        entered.wait()
        start = first._host.current_start
        assert start is not None
        waiting = pool.submit(get, second)
        while not getattr(start, "_condition")._waiters:  # noqa: B009  # not a public attribute
            assert not waiting.done()
        release.set()
        assert "OSError: no start" in starting.result()
        assert "OSError: no start" in waiting.result()
    assert notes == ["start", "exit"]
    failing.clear()
    assert get(second) == "200 OK"
    second.exit()


def test_an_application_shares_the_bus_of_a_test(shop: Shop, notes: list[str]) -> None:
    """`running` continues whatever requests the application gets, and ends the bus alone."""
    app = wsgi.Hosted(page, shop)

    with running(shop):
        app.start()
        assert get(app) == "200 OK"
        app.exit()
        assert shop.bus().state is State.STARTED
        assert get(app) == "200 OK"

    assert notes == LIFE
    assert get(app) == "503 Service Unavailable"
    with running(shop):
        assert get(app) == "200 OK"
    assert notes == LIFE * 2


def test_an_application_shares_a_bus_that_a_program_starts_by_itself(shop: Shop, notes: list[str]) -> None:
    """Its stop and its exit are the program's as well; a stopped bus answers 503 and is not started."""
    bus = shop.attach()
    bus.start()
    app = wsgi.Hosted(page, shop)
    assert get(app) == "200 OK"

    bus.stop()
    assert get(app) == "503 Service Unavailable"
    bus.start()
    assert get(app) == "200 OK"
    bus.exit()

    assert get(app) == "503 Service Unavailable"
    assert notes == ["start", "stop", "start", "stop", "exit"]


def test_a_bus_that_running_has_stopped_is_not_started_by_a_request(shop: Shop) -> None:
    """The reason is in the errors of the server."""
    app = wsgi.Hosted(page, shop)

    with running(shop):
        shop.bus().stop()
        assert "NotShared: the Hosted over Shop cannot share the bus" in get(app)
        assert "it is STOPPED" in get(app)
        assert shop.bus().state is State.STOPPED


def test_a_hosted_bus_that_was_stopped_and_started_is_still_ended_by_its_host(shop: Shop, notes: list[str]) -> None:
    """A stop does not end the life of the bus."""
    first, second = wsgi.Hosted(page, shop), wsgi.Hosted(page, shop)
    first.start()

    shop.bus().stop()
    assert "it is STOPPED" in get(second)
    shop.bus().start()
    assert get(second) == "200 OK"

    second.exit()
    assert get(first) == "200 OK"
    first.exit()
    assert get(first) == "503 Service Unavailable"


def test_an_application_inside_the_site_that_run_runs_is_answered(notes: list[str]) -> None:
    """Components for the owner of a process are not refused there, because `run` owns it."""

    class Asking:
        def __init__(self, bus: Bus) -> None:
            self.bus = bus

        @staticmethod
        def start() -> None:
            """Nothing; the request comes when the bus has STARTED."""

        def main(self) -> None:
            notes.append(get(app))
            app.exit()
            self.bus.request_exit()

    class Site(Container):
        bus = Component(Bus)
        signals = Component(Signals, bus.provided)
        asking = Component(Asking, bus.provided)

    site = Site()
    app = wsgi.Hosted(page, site)

    assert run(site) == 0
    assert notes == ["200 OK"]


def test_running_is_refused_for_a_hosted_bus_and_changes_nothing(shop: Shop, notes: list[str]) -> None:
    """Nor does `run` end it."""
    app = wsgi.Hosted(page, shop)
    app.start()
    workers = shop.bus().workers

    with pytest.raises(TransitionError), running(shop, workers=7):
        pass
    assert run(shop, workers=7) == 1

    assert get(app) == "200 OK"
    assert shop.bus().workers == workers
    app.exit()
    assert notes == LIFE


def test_a_running_that_joins_the_start_of_a_host_does_not_end_it(shop: Shop, notes: list[str]) -> None:
    """It is refused as if the bus had already been STARTED."""
    app = wsgi.Hosted(page, shop)
    bus = shop.attach()
    entered, release = threading.Event(), threading.Event()

    @bus[START].subscribe(priority=1)
    def hold() -> None:
        entered.set()
        release.wait()

    def enter() -> None:
        with running(shop):
            pass

    with ThreadPoolExecutor(2) as pool:
        starting = pool.submit(app.start)
        entered.wait()
        refused = pool.submit(enter)
        assert isinstance(refused.exception(timeout=60), TransitionError)
        release.set()
        starting.result()

    assert get(app) == "200 OK"
    app.exit()
    assert notes == LIFE


def test_an_asgi_application_shares_the_bus_of_a_wsgi_application(shop: Shop, notes: list[str]) -> None:
    """Its lifespan ends without the bus."""
    outer = wsgi.Hosted(page, shop)
    outer.start()

    messages = asyncio.run(lifespan(asgi.Hosted(asgi_page, shop), lambda: None))

    assert messages == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert get(outer) == "200 OK"
    outer.exit()
    assert notes == LIFE


def test_a_wsgi_application_shares_the_bus_of_a_lifespan(shop: Shop, notes: list[str]) -> None:
    """It answers as long as the lifespan lasts."""
    inner = wsgi.Hosted(page, shop)
    statuses: list[str] = []

    asyncio.run(lifespan(asgi.Hosted(asgi_page, shop), lambda: statuses.append(get(inner))))

    assert statuses == ["200 OK"]
    assert notes == LIFE
    assert get(inner) == "503 Service Unavailable"


def test_an_asgi_application_without_a_lifespan_answers_while_other_code_runs_the_bus(shop: Shop) -> None:
    """A test that calls the application directly does that."""
    app = asgi.Hosted(asgi_page, shop)

    with running(shop):
        assert asyncio.run(asgi_get(app)) == 200
    assert asyncio.run(asgi_get(app)) == 503


def test_a_container_that_was_not_on_the_bus_at_its_start_is_named(shop: Shop) -> None:
    """Its application gets no request, and the other applications continue."""
    first, second = wsgi.Hosted(page, shop), wsgi.Hosted(page, shop, Blog())
    get(first)

    assert "Blog was not attached to it at the start; give it also to the Hosted, running() or run()" in get(second)

    assert get(first) == "200 OK"
    first.exit()


def test_an_application_over_one_of_the_containers_shares_their_bus(shop: Shop) -> None:
    """The second application has only a container that uses the bus, not the container that declares it."""
    blog = Blog()
    first, second = wsgi.Hosted(page, shop, blog), wsgi.Hosted(page, blog)
    get(first)

    assert get(second) == "200 OK"
    second.exit()
    assert get(first) == "200 OK"
    first.exit()
    assert blog.notes() == LIFE


def test_a_container_whose_bus_other_code_runs_without_it_is_refused_each_time() -> None:
    """A component may return a bus that is already running."""
    bus = Bus()
    bus.start()

    def shared() -> Bus:
        return bus

    class Late(Container):
        bus = Component(shared)
        stock = Component(HookRecorder, list[str]())

    app = wsgi.Hosted(page, Late)

    assert "Late was not attached to it at the start" in get(app)
    assert "Late was not attached to it at the start" in get(app)
    assert bus.state is State.STARTED
    bus.exit()
    assert get(app) == "200 OK"
    app.exit()
    assert get(app) == "503 Service Unavailable"


def test_each_application_of_a_container_class_has_its_own_bus() -> None:
    """Only an instance is shared."""
    first, second = wsgi.Hosted(page, Shop), wsgi.Hosted(page, Shop)
    get(first)
    get(second)

    first.exit()

    assert get(second) == "200 OK"
    second.exit()


def test_a_component_that_calls_the_application_during_the_start_gets_an_error(shop: Shop) -> None:
    """It would wait for itself; the start continues."""
    apps = [wsgi.Hosted(page, shop), wsgi.Hosted(page, shop)]
    answers: list[str] = []

    @shop.attach()[START].subscribe
    def ask() -> None:
        answers.extend(map(get, apps))

    apps[0].start()

    assert all("WaitError" in answer for answer in answers)
    assert len(answers) == 2
    assert get(apps[1]) == "200 OK"
    apps[0].exit()


def test_a_request_waits_for_a_start_that_other_code_has_begun(shop: Shop, notes: list[str]) -> None:
    """If that start fails, there is no bus to share, and the errors of the server have the reason."""
    bus = shop.attach()
    app = wsgi.Hosted(page, shop)
    entered, release = threading.Event(), threading.Event()

    @bus[START].subscribe(priority=1)
    def hold() -> None:
        entered.set()
        release.wait()

    def start() -> None:
        with running(shop):
            is_answered.wait()

    is_answered = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        starting = pool.submit(start)
        entered.wait()
        asking = pool.submit(get, app)
        release.set()
        assert asking.result() == "200 OK"
        is_answered.set()
        starting.result()
    assert notes == LIFE


@pytest.mark.skipif(sys.platform == "win32", reason="Windows forks nothing")
def test_a_child_process_starts_a_bus_of_its_own_for_each_of_two_applications(shop: Shop, notes: list[str]) -> None:
    """In the child, the application that gets the first request is the owner, whichever it was in the parent."""
    first, second = wsgi.Hosted(page, shop), wsgi.Hosted(page, shop)
    get(first)
    get(second)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads run, which is the point
        child = os.fork()
    if not child:
        status = 1
        try:
            notes.clear()
            statuses = [get(second), get(first)]
            first.exit()
            is_running = shop.bus().state is State.STARTED
            second.exit()
            status = int((statuses, is_running, notes) != (["200 OK"] * 2, True, LIFE))
        finally:
            os._exit(status)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert get(second) == "200 OK"
    first.exit()
    assert notes == LIFE


def test_a_failed_start_leaves_the_bus_to_the_next_application(shop: Shop, notes: list[str], failing: set[str]) -> None:
    """The first application no longer claims the bus."""
    failing.add("start")
    first, second = wsgi.Hosted(page, shop), wsgi.Hosted(page, shop)
    with pytest.raises(TransitionFailures):
        first.start()
    failing.clear()

    second.start()
    first.exit()

    assert get(second) == "200 OK"
    second.exit()
    assert notes == ["start", "exit", *LIFE]
