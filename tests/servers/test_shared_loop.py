"""`ASGIServer` on the event loop of the bus: which loop that is, and the consequences of sharing it with components."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_type_hints

import pytest
import uvicorn

from typedbus import (
    START,
    STOP,
    AsyncChannel,
    Bus,
    Component,
    Container,
    HookTimeout,
    Limits,
    LoopError,
    State,
    TransitionFailures,
    running,
)
from typedbus.servers.asgi import ASGIServer, LifespanError
from typedbus.servers.serving import NotStopped, ServerCancelled, Serving, SettingError
from typedbus.servers.wsgi import WSGIServer

LIMIT = 30.0

notice_sent = AsyncChannel[[str], None]("notice_sent")


def get(address: str, path: str = "/") -> bytes:
    """Return the body of *path*."""
    connection = http.client.HTTPConnection(address, timeout=LIMIT)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read()


async def answer(send: Callable[[Any], Any], body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Feed:
    """An async component: its event belongs to the loop that runs its hooks."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self.loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.has_news = asyncio.Event()

    async def stop(self) -> None:
        self.notes.append("feed stopped")


class News:
    """An application: `/wait` is answered when the feed has news, `/block` blocks the event loop."""

    def __init__(self, feed: Feed | None = None) -> None:
        self.feed = feed
        self.loop: asyncio.AbstractEventLoop | None = None
        self.has_begun = threading.Event()
        self.unblock = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        self.loop = asyncio.get_running_loop()
        self.has_begun.set()
        if scope["path"] == "/block":
            self.unblock.wait(LIMIT)
        if scope["path"] == "/wait":
            assert self.feed is not None
            await self.feed.has_news.wait()
            self.feed.notes.append("request answered")
        await answer(send, b"news")


class Site(Container):
    bus = Component(Bus)
    notes = Component(list[str])
    feed = Component(Feed, notes.provided)
    news = Component(News, feed.provided)
    server = Component(ASGIServer, bus.provided, news.provided, bind="127.0.0.1:0")


def attach(bus: Bus, server: Serving) -> None:
    """Subscribe the hooks of *server* to *bus*."""
    bus.subscribe(START, server.start, priority=75)
    bus.subscribe(STOP, server.stop, priority=75)


@pytest.fixture
def news() -> Iterator[News]:
    """An application whose blocked requests continue at the end."""
    app = News()
    yield app
    app.unblock.set()


def test_a_request_runs_on_the_loop_of_the_async_components() -> None:
    """So it may wait for an event that belongs to their loop."""
    with running(Site()) as site:
        body = get(site.server().address)

        assert body == b"news"
        assert site.news().loop is site.feed().loop


def test_a_stop_answers_requests_that_wait_for_an_async_component_before_that_component_stops() -> None:
    """The loop is free during the drain, and the server stops before the component that its application uses."""
    site = Site()
    bodies: list[bytes] = []

    with running(site):
        feed, address = site.feed(), site.server().address
        client = threading.Thread(target=lambda: bodies.append(get(address, "/wait")))
        client.start()
        assert site.news().has_begun.wait(LIMIT)

        def send_news() -> None:
            site.bus().wait(State.STOPPING, LIMIT)
            assert feed.loop is not None
            feed.loop.call_soon_threadsafe(feed.has_news.set)

        threading.Thread(target=send_news).start()
    client.join(LIMIT)

    assert bodies == [b"news"]
    assert site.notes() == ["request answered", "feed stopped"]


async def starts_async() -> None: ...


async def prints(text: str) -> None: ...


@pytest.mark.parametrize(
    ("loop", "listens", "is_lent", "is_shared"),
    [
        (None, None, False, False),
        (None, "hook", False, True),
        (None, "async channel", False, True),
        (None, None, True, True),
        ("shared", None, False, True),
        ("own", "hook", True, False),
    ],
)
def test_a_server_shares_the_loop_of_a_bus_that_was_lent_one_or_has_async_listeners(
    news: News, loop: Literal["shared", "own"] | None, listens: str | None, is_lent: bool, is_shared: bool
) -> None:
    """*loop* decides otherwise."""
    bus = Bus()
    server = ASGIServer(bus, news, bind="127.0.0.1:0", loop=loop)
    attach(bus, server)
    if listens == "hook":
        bus[START].subscribe(starts_async)
    if listens == "async channel":
        bus[notice_sent].subscribe(prints)

    async def current_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def main() -> asyncio.AbstractEventLoop:
        await bus.start_async()
        await asyncio.to_thread(get, server.address)
        await bus.exit_async()
        return asyncio.get_running_loop()

    if is_lent:
        loop_of_bus = asyncio.run(main())
    else:
        bus.start()
        get(server.address)
        loop_of_bus = bus.run_on_loop(current_loop()).result(LIMIT)
        bus.exit()

    assert (news.loop is loop_of_bus) == is_shared


def test_a_stop_leaves_no_task_on_the_loop_of_the_caller(news: News) -> None:
    """Nor does a failed start: the loop does not end, and would keep them."""
    failing = True

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed" if failing else "lifespan.startup.complete"})
            if not failing:
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
            await asyncio.Event().wait()
        await news(scope, receive, send)

    bus = Bus()
    server = ASGIServer(bus, app, bind="127.0.0.1:0", drain=0.0)
    attach(bus, server)

    async def main() -> None:
        nonlocal failing
        tasks = asyncio.all_tasks()
        with pytest.raises(TransitionFailures):
            await bus.start_async()
        assert asyncio.all_tasks() == tasks
        failing = False
        await bus.start_async()
        await asyncio.to_thread(get, server.address)
        await bus.stop_async()
        assert asyncio.all_tasks() == tasks

    asyncio.run(main())


def test_cancelling_a_start_cancels_the_lifespan() -> None:
    """A single worker calls the hook of the server, and the loop stays free meanwhile."""
    has_begun, is_cancelled = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            is_cancelled.set()

    bus = Bus(workers=1)
    attach(bus, ASGIServer(bus, app, bind="127.0.0.1:0"))

    async def main() -> None:
        start = asyncio.create_task(bus.start_async())
        await has_begun.wait()
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert is_cancelled.is_set()

    asyncio.run(main())


def test_a_server_whose_task_is_cancelled_exits_the_bus(news: News) -> None:
    """So does the end of a loop whose caller has not exited the bus; the listening socket is closed."""
    bus = Bus()
    server = ASGIServer(bus, news, bind="127.0.0.1:0")
    attach(bus, server)

    async def main() -> str:
        await bus.start_async()
        await asyncio.to_thread(get, server.address)
        return server.address

    address = asyncio.run(main())
    with pytest.raises(ServerCancelled, match="exit the bus before its event loop ends") as cancelled:
        bus.block()

    assert isinstance(cancelled.value.__cause__, asyncio.CancelledError)
    with pytest.raises(ConnectionRefusedError):
        get(address)


def test_a_failed_shutdown_of_a_server_whose_task_is_cancelled_is_a_note_of_the_cancellation() -> None:
    """The cancellation is the cause of the exit."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise OSError("not saved")

    bus = Bus()
    attach(bus, ASGIServer(bus, app, bind="127.0.0.1:0"))

    async def main() -> None:
        await bus.start_async()
        (task,) = [task for task in asyncio.all_tasks() if task.get_name().startswith("server ")]
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    with pytest.raises(ServerCancelled) as cancelled:
        bus.block()

    assert cancelled.value.__cause__ is not None
    assert cancelled.value.__cause__.__notes__ == [
        "the application failed in its lifespan shutdown: OSError('not saved')"
    ]


@pytest.mark.slow
def test_a_server_whose_loop_stands_still_for_a_second_exits_the_bus() -> None:
    """The loop has ended without cancelling its tasks, which end without an error when they are collected."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()

    bus = Bus()
    attach(bus, ASGIServer(bus, app, bind="127.0.0.1:0"))
    loop = asyncio.new_event_loop()

    loop.run_until_complete(bus.start_async())
    with pytest.raises(LoopError, match="does not run"):
        bus.block()
    loop.close()
    gc.collect()


def test_a_start_on_a_loop_that_has_ended_is_refused(news: News) -> None:
    """The application may hold objects of that loop until the bus exits."""
    bus = Bus()
    attach(bus, ASGIServer(bus, news, bind="127.0.0.1:0"))

    async def main() -> None:
        await bus.start_async()
        await bus.stop_async()

    asyncio.run(main())
    with pytest.raises(TransitionFailures) as failures:
        bus.start()
    bus.exit()
    bus.start()
    bus.exit()

    (error,) = failures.value.exceptions
    assert isinstance(error, LoopError)
    assert "was closed before the bus had exited" in str(error)


def test_methods_of_the_server_that_would_block_its_loop_are_refused(news: News) -> None:
    """The error names the call to write instead, and the server is unchanged."""
    bus = Bus()
    server = ASGIServer(bus, news, bind="127.0.0.1:0")
    attach(bus, server)

    async def main() -> None:
        await bus.start_async()
        with pytest.raises(LoopError, match=r"^server\.stop\(\): it would block .* write await bus\.stop_async\(\)"):
            server.stop()
        assert await asyncio.to_thread(get, server.address) == b"news"
        with pytest.raises(LoopError, match=r"await bus\.stop_async\(\)"):
            bus.stop()
        await bus.stop_async()
        with pytest.raises(LoopError, match=r"^server\.start\(\): it would block .* write await bus\.start_async\(\)"):
            server.start()
        await bus.exit_async()

    asyncio.run(main())


@pytest.mark.slow
def test_a_lifespan_that_ignores_its_cancellation_is_cancelled_once() -> None:
    """The server does not wait for it a second time, and leaves it to the end of the loop."""
    cancellations = 0
    over = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal cancellations
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        while not over.is_set():
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                cancellations += 1

    bus = Bus()
    attach(bus, ASGIServer(bus, app, bind="127.0.0.1:0", drain=0.0, loop="shared"))
    bus.start()

    with pytest.raises(TransitionFailures) as failures:
        bus.stop()
    count = cancellations
    over.set()
    bus.exit()

    assert count == 1
    [error] = failures.value.exceptions
    assert isinstance(error, LifespanError)


def failures_of_stop_in_blocked_handler(bus: Bus, server: ASGIServer, news: News) -> tuple[Exception, ...]:
    """Start *bus*, block a request to *server* in its handler, and return the failures of a stop meanwhile."""
    bus.start()
    client = threading.Thread(target=lambda: get(server.address, "/block"))
    client.start()
    assert news.has_begun.wait(LIMIT)

    with pytest.raises(TransitionFailures) as failures:
        bus.stop()
    news.unblock.set()
    client.join(LIMIT)
    bus.exit()
    return failures.value.exceptions


@pytest.mark.slow
def test_a_handler_that_blocks_the_loop_is_reported_with_its_stack(news: News) -> None:
    """By the async hook that cannot be called because of it."""
    bus = Bus(limits=Limits(hook=0.3))
    server = ASGIServer(bus, news, bind="127.0.0.1:0", drain=0.0)
    attach(bus, server)
    bus[START].subscribe(starts_async)
    bus[STOP].subscribe(starts_async)

    _, blocked = failures_of_stop_in_blocked_handler(bus, server, news)

    assert isinstance(blocked, HookTimeout)
    assert "event loop is blocked" in str(blocked)
    assert "self.unblock.wait(LIMIT)" in str(blocked)


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["own", "shared"])
def test_a_server_that_a_handler_keeps_from_stopping_is_reported_with_its_stack(
    news: News, loop: Literal["own", "shared"]
) -> None:
    """It is the stack of the thread in which the event loop runs."""
    bus = Bus()
    server = ASGIServer(bus, news, bind="127.0.0.1:0", drain=0.0, loop=loop)
    attach(bus, server)

    (error,) = failures_of_stop_in_blocked_handler(bus, server, news)

    assert isinstance(error, NotStopped)
    assert "self.unblock.wait(LIMIT)" in error.stack


def test_a_loop_of_the_config_is_refused_where_it_would_have_no_effect(news: News) -> None:
    """At the declaration if the loop is shared explicitly, otherwise at the start."""
    config = uvicorn.Config(news, loop="asyncio", log_config=None)
    bus = Bus()
    with pytest.raises(SettingError, match="remove loop='asyncio' from the uvicorn.Config"):
        ASGIServer(bus, config, loop="shared")
    server = ASGIServer(bus, config, bind="127.0.0.1:0")
    attach(bus, server)

    async def main() -> None:
        with pytest.raises(TransitionFailures) as failures:
            await bus.start_async()
        (error,) = failures.value.exceptions
        assert isinstance(error, SettingError)
        assert (error.name, error.given) == ("loop", None)
        await bus.exit_async()

    asyncio.run(main())
    bus.start()
    get(server.address)
    bus.exit()


@pytest.mark.parametrize("loop", ["asyncio", True, asyncio.new_event_loop])
def test_other_loops_are_refused_where_the_server_is_declared(news: News, loop: Any) -> None:
    """The error lists the values."""
    with pytest.raises(SettingError, match="'shared' for the event loop of the bus, 'own' for another one, or None"):
        ASGIServer(Bus(), news, loop=loop)


class Renamed(Serving):
    def server(self) -> Any: ...


@pytest.mark.parametrize("server", [ASGIServer, WSGIServer, Renamed])
def test_the_annotations_of_a_server_can_be_evaluated(server: type[Serving]) -> None:
    """Also those of fields that it inherits from another module, whose names its own module lacks."""
    hints = get_type_hints(server.__init__)

    assert (hints["bus"], hints["drain"]) == (Bus, float)
