"""Async hooks of hosted containers, on the event loop of a server that the tests drive in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
from tests.hosting.test_hosted import WELL, App, Message, Server, ask, drive
from tests.hosting.unstoppable import UnstoppableShop
from tests.processes import Begin, programs, until

from typedbus import GRACEFUL, LOG, Bus, Component, Container, Limits, State, TransitionFailures, running
from typedbus._bus.builtin import WARNING
from typedbus.hosting import asgi
from typedbus.hosting._host import Host

PATIENCE = 30.0


class Feed:
    """A component that answers from a queue, which its task fills; it records its hooks and their loops."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.wanted: asyncio.Queue[asyncio.Future[str]]
        self.task: asyncio.Task[None]

    async def start(self) -> None:
        self.note("start")
        self.wanted = asyncio.Queue()
        self.task = asyncio.create_task(self.answer())

    async def stop(self) -> None:
        self.note("stop")
        self.task.cancel()
        await asyncio.wait([self.task])

    async def exit(self) -> None:
        self.note("exit")

    async def graceful(self) -> None:
        await asyncio.sleep(0)
        self.note("graceful")

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.loops.append(asyncio.get_running_loop())

    async def answer(self) -> None:
        while True:
            (await self.wanted.get()).set_result("mugs")

    async def ask(self) -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self.wanted.put(answer)
        return await answer


class Slow:
    """A component whose start is under way until the test lets it continue."""

    def __init__(self, feed: Feed) -> None:
        self.entered = threading.Event()
        self.release = asyncio.Event()

    async def start(self) -> None:
        self.entered.set()
        await self.release.wait()


class Shop(Container):
    bus = Component(Bus)
    feed = Component(Feed)


class SlowShop(Shop):
    slow = Component(Slow, Shop.feed.provided)


def page(shop: Shop) -> Any:
    """Return an application that answers with the news of the feed."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body = (await shop.feed().ask()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


def test_async_hooks_run_on_the_loop_that_calls_the_application() -> None:
    """So a request may use resources that a hook of START has opened, and the hooks of STOP and EXIT close them there."""
    shop = Shop()
    app = asgi.Hosted(page(shop), shop)

    async def scenario() -> None:
        server = Server(app)
        await server.startup()
        bodies = [messages[1]["body"] for messages in await asyncio.gather(*[ask(app) for _ in range(3)])]
        assert bodies == [b"mugs"] * 3
        await server.shutdown()
        assert server.kinds == WELL
        assert shop.feed().notes == ["start", "stop", "exit"]
        assert set(shop.feed().loops) == {asyncio.get_running_loop()}

    drive(scenario)


def test_a_hosted_container_may_be_on_another_loop_after_an_exit() -> None:
    """A second server in the process has a loop of its own."""
    app = asgi.Hosted(App([]), Shop)

    async def scenario() -> None:
        server = Server(app)
        await server.startup()
        await server.shutdown()
        assert server.kinds == WELL

    drive(scenario)
    drive(scenario)


def test_components_of_another_loop_fail_the_startup() -> None:
    """The server gets the reason, and the bus is left as it was."""
    shop = Shop()
    bus = shop.attach()

    async def start_and_stop() -> None:
        await bus.start_async()
        await bus.stop_async()

    async def scenario() -> None:
        server = Server(asgi.Hosted(App([]), shop))
        await server.startup()
        assert server.kinds == ["startup.failed"]
        assert (
            "LoopError: the lifespan of Shop: the components of the bus were built for" in server.messages[0]["message"]
        )

    first = asyncio.new_event_loop()
    try:
        first.run_until_complete(start_and_stop())
        drive(scenario)
        assert bus.state is State.STOPPED
        first.run_until_complete(bus.exit_async())
    finally:
        first.close()
    assert shop.feed().notes == ["start", "stop", "exit"]


def test_a_start_that_overruns_fails_the_startup_with_its_stack() -> None:
    """The started components stop, on the loop."""
    shop = SlowShop()

    async def scenario() -> None:
        server = Server(asgi.Hosted(App([]), shop, limits=Limits(hook=0.5)))
        await server.startup()
        assert server.kinds == ["startup.failed"]
        text = server.messages[0]["message"]
        assert "SlowShop.slow" in text
        assert "await self.release.wait()" in text
        assert "await fut" in text

    drive(scenario)
    assert shop.feed().notes == ["start", "stop", "exit"]


def test_a_start_that_the_server_cancels_is_rolled_back_on_the_loop(capfd: pytest.CaptureFixture[str]) -> None:
    """The lifespan ends with the cancellation, when all async hooks have been called. It is no failure to report."""
    shop = SlowShop()

    async def scenario() -> None:
        bus = shop.attach()
        server = Server(asgi.Hosted(App([]), shop))
        assert await bus.wait_async(State.STARTING, PATIENCE) is State.STARTING
        await asyncio.to_thread(shop.slow().entered.wait, PATIENCE)
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert shop.bus().state is State.EXITED
        assert shop.feed().notes == ["start", "stop", "exit"]
        assert set(shop.feed().loops) == {asyncio.get_running_loop()}
        assert server.messages == []
        await asyncio.to_thread(until, lambda: "lifespan start" not in thread_names())
        assert capfd.readouterr().err == ""

    drive(scenario)


def test_the_async_hooks_of_the_exit_are_called_before_a_cancelled_lifespan_ends() -> None:
    """A server that ends at once, as uvicorn at a second Ctrl-C, cancels its tasks and waits for them."""
    shop = Shop()

    async def scenario() -> None:
        server = Server(asgi.Hosted(App([]), shop))
        await server.startup()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert shop.feed().notes == ["start", "stop", "exit"]
        assert set(shop.feed().loops) == {asyncio.get_running_loop()}

    drive(scenario)


@pytest.mark.parametrize("way", ["graceful_async", "request"])
def test_a_reload_runs_async_listeners_on_the_loop_of_the_server(way: str) -> None:
    """A handler awaits it, or asks the thread of the host for it; the loop stays free."""
    shop = Shop()
    app = asgi.Hosted(page(shop), shop)

    async def scenario() -> None:
        server = Server(app)
        await server.startup()
        reloaded = asyncio.Event()
        bus, loop = shop.bus(), asyncio.get_running_loop()

        @bus[GRACEFUL].subscribe(priority=99)
        def note_reload() -> None:
            loop.call_soon_threadsafe(reloaded.set)

        if way == "request":
            bus.request(bus.graceful)
        else:
            await bus.graceful_async()
        await asyncio.wait_for(reloaded.wait(), PATIENCE)
        assert (await ask(app))[1]["body"] == b"mugs"
        await server.shutdown()
        assert shop.feed().notes == ["start", "graceful", "stop", "exit"]
        assert set(shop.feed().loops) == {loop}

    drive(scenario)


def test_a_failure_of_the_exit_is_reported_if_the_server_cancels_the_lifespan(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It goes to stderr, once, before the lifespan ends, whether the cancellation comes before or in the exit."""
    is_stopping, may_fail, has_ended = threading.Event(), asyncio.Event(), threading.Event()

    class SlowError(OSError):
        def __str__(self) -> str:
            has_ended.wait(0.2)  # a lifespan that does not wait for the report ends meanwhile
            return super().__str__()

    class Failing(Feed):
        async def stop(self) -> None:
            await super().stop()
            is_stopping.set()
            await may_fail.wait()
            raise SlowError("no stop")

    async def scenario() -> None:
        for cancels_exit in (False, True):
            shop = Shop()
            with shop.override(Shop.feed).by(Component(Failing)):
                server = Server(asgi.Hosted(App([]), shop))
                await server.startup()
                for event in (is_stopping, may_fail, has_ended):
                    event.clear()
                if cancels_exit:
                    server.shutting_down.set()
                    await asyncio.to_thread(is_stopping.wait, PATIENCE)
                server.task.cancel()
                may_fail.set()
                with pytest.raises(asyncio.CancelledError):
                    await server.task
                has_ended.set()
                assert server.kinds == ["startup.complete"]
                assert capfd.readouterr().err.count("SlowError: no stop") == 1

    drive(scenario)


@pytest.mark.parametrize("cancelled_in", ["exit", "send"])
def test_the_failures_of_an_application_and_of_the_exit_are_reported_if_the_server_receives_neither(
    capfd: pytest.CaptureFixture[str], cancelled_in: str
) -> None:
    """The server cancels the lifespan in the exit, or while the lifespan sends the last message."""

    class Full(Server):
        async def send(self, message: Message) -> None:
            if message["type"] == "lifespan.shutdown.failed":
                self.has_message.set()
                await asyncio.Event().wait()
            await super().send(message)

    async def scenario() -> None:
        shop = UnstoppableShop()
        server = Full(asgi.Hosted(App([], failing="shutdown raises"), shop))
        await server.startup()
        server.has_message.clear()
        server.shutting_down.set()
        assert await asyncio.to_thread(shop.unstoppable().entered.wait, PATIENCE)
        if cancelled_in == "send":
            shop.unstoppable().release.set()
            await server.has_message.wait()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        shop.unstoppable().release.set()
        await asyncio.to_thread(until_served, shop)
        assert server.kinds == ["startup.complete"]
        errors = capfd.readouterr().err
        assert [errors.count(f"OSError: no {phase}") for phase in ("shutdown", "stop")] == [1, 1]

    drive(scenario)


def test_the_failure_of_an_application_in_use_is_reported_once(capfd: pytest.CaptureFixture[str]) -> None:
    """It is reported when it happens. A server that cancels the lifespan later does not receive it as well."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise OSError("no cache")

    async def scenario() -> None:
        shop = UnstoppableShop()
        server = Server(asgi.Hosted(app, shop))
        await server.startup()
        await asyncio.sleep(0)
        assert capfd.readouterr().err.count("OSError: no cache") == 1
        server.shutting_down.set()
        assert await asyncio.to_thread(shop.unstoppable().entered.wait, PATIENCE)
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        shop.unstoppable().release.set()
        await asyncio.to_thread(until_served, shop)
        assert "no cache" not in capfd.readouterr().err

    drive(scenario)


def test_a_failure_of_an_exit_that_no_call_waits_for_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    """Without async hooks, a lifespan that is cancelled does not wait for the exit."""

    async def scenario() -> None:
        shop = UnstoppableShop()
        shop.unstoppable().release.set()
        server = Server(asgi.Hosted(App([]), shop))
        await server.startup()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        await asyncio.to_thread(until_served, shop)
        assert capfd.readouterr().err.count("OSError: no stop") == 1

    drive(scenario)


def test_a_failure_of_an_exit_that_ends_before_the_cancellation_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    """The event loop has not received the outcome of the exit yet."""

    async def scenario() -> None:
        shop = UnstoppableShop()
        server = Server(asgi.Hosted(App([]), shop))
        await server.startup()
        server.shutting_down.set()
        assert await asyncio.to_thread(shop.unstoppable().entered.wait, PATIENCE)
        shop.unstoppable().release.set()
        until_served(shop)  # it blocks the event loop
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert server.kinds == ["startup.complete"]
        assert capfd.readouterr().err.count("OSError: no stop") == 1

    drive(scenario)


def test_a_failure_of_the_exit_that_the_server_receives_is_not_reported_as_well(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def scenario() -> None:
        shop = UnstoppableShop()
        shop.unstoppable().release.set()
        server = Server(asgi.Hosted(App([]), shop))
        await server.startup()
        assert isinstance(await server.failure(), TransitionFailures)
        assert "OSError: no stop" in server.messages[1]["message"]
        await asyncio.to_thread(until_served, shop)
        assert capfd.readouterr().err == ""

    drive(scenario)


def test_a_start_that_fails_after_its_lifespan_was_cancelled_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    entered, release = threading.Event(), threading.Event()

    class Unstartable:
        def start(self) -> None:
            entered.set()
            release.wait(PATIENCE)
            raise OSError("no start")

    class UnstartableShop(Container):
        bus = Component(Bus)
        unstartable = Component(Unstartable)

    async def scenario() -> None:
        server = Server(asgi.Hosted(App([]), UnstartableShop()))
        assert await asyncio.to_thread(entered.wait, PATIENCE)
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        release.set()
        await asyncio.to_thread(until, lambda: "lifespan start" not in thread_names())
        assert server.kinds == []
        assert capfd.readouterr().err.count("OSError: no start") == 1

    drive(scenario)


def test_the_end_of_a_host_waits_for_the_report_of_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    """The thread that reports the failure may not have got so far."""
    host = Host((UnstoppableShop(),), None, None, None)
    outcome: futures.Future[BaseException | None] = futures.Future()
    host.abandon(outcome)
    with futures.ThreadPoolExecutor(1) as pool:
        end = pool.submit(host.end)
        assert not futures.wait([end], timeout=0.2).done
        outcome.set_result(OSError("no stop"))
        end.result(PATIENCE)
    assert capfd.readouterr().err == "OSError: no stop\n"


def thread_names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def until_served(shop: Container) -> None:
    """Return when no thread serves *shop* any longer, and no lifespan waits for that."""
    until(lambda: not thread_names() & {"lifespan exit", f"{type(shop).__name__} is hosted"})


def test_async_hooks_of_a_bus_that_exits_by_itself_run_on_the_loop_of_the_server() -> None:
    """The server goes on, and later requests get 503."""
    shop = Shop()
    ended = threading.Event()
    app = asgi.Hosted(page(shop), shop, ended=ended.set)

    async def scenario() -> None:
        server = Server(app)
        await server.startup()
        shop.bus().request_exit()
        assert await asyncio.to_thread(ended.wait, PATIENCE)
        assert (await ask(app))[0]["status"] == 503
        await server.shutdown()
        assert server.kinds == WELL
        assert shop.feed().notes == ["start", "stop", "exit"]
        assert set(shop.feed().loops) == {asyncio.get_running_loop()}

    drive(scenario)


def test_a_bus_that_is_shared_with_another_loop_logs_a_warning() -> None:
    """It names both loops and the remedy, once; a bus on the loop of the requests logs nothing."""
    shop = Shop()
    messages: list[str] = []
    shop.attach()[LOG].subscribe(lambda message, level, /: messages.append(message) if level == WARNING else None)
    app = asgi.Hosted(App([]), shop)

    async def scenario() -> None:
        assert [(await ask(app))[0]["status"] for _ in range(2)] == [200, 200]
        server = Server(asgi.Hosted(App([]), shop))
        await server.startup()
        await server.shutdown()
        assert server.kinds == WELL

    async def scenario_on_one_loop() -> None:
        async with running(shop):
            await scenario()

    with running(shop):
        drive(scenario)
    [request, lifespan] = messages
    assert request.startswith("Shop: the async hooks of the bus ran on <")
    assert "in thread 'MainThread'>: a lock or a connection" in request
    assert lifespan == request
    messages.clear()
    drive(scenario_on_one_loop)
    assert messages == []


LOST_LOOP = """
import asyncio
import sys

from typedbus import Bus, Component, Container
from typedbus.hosting.asgi import Hosted


class Database:
    def stop(self):
        print("database stops")

    def exit(self):
        print("database exits")


class Feed:
    def __init__(self, database: Database): ...
    async def start(self): ...
    async def stop(self):
        print("feed stops")


class Shop(Container):
    bus = Component(Bus)
    database = Component(Database)
    feed = Component(Feed, database.provided)


async def app(scope, receive, send):
    raise AssertionError(scope["type"])


async def receive():
    if not started.is_set():
        return {"type": "lifespan.startup"}
    await asyncio.Event().wait()


async def send(message):
    started.set()


started = asyncio.Event()
loop = asyncio.new_event_loop()
lifespan = loop.create_task(Hosted(app, Shop)({"type": "lifespan"}, receive, send))
loop.run_until_complete(started.wait())
if sys.argv[1] == "closed":
    loop.close()
print("the server ends")
"""


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    with programs(tmp_path) as begin_program:
        yield begin_program


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["closed", "stopped"])
def test_hooks_that_lost_their_loop_are_reported_at_the_end_of_the_interpreter(begin: Begin, loop: str) -> None:
    """The server neither ends nor cancels the lifespan: the sync hooks are called, each other one is named with its place."""
    program = begin(LOST_LOOP, loop)

    assert program.end() == 0

    assert {"the server ends", "database stops", "database exits"} <= {*program.lines}
    assert "feed stops" not in program.lines
    [report] = [line for line in program.lines if line.startswith("error: ")]
    assert report.startswith("error: Shop.feed was not called on stop (")
    assert "program0.py:20): <" in report
    assert report.endswith("before the bus had exited; exit the bus before its event loop ends")


@pytest.mark.slow
@pytest.mark.parametrize("hooks", ["start stop exit", "stop exit", "exit"])
def test_the_end_of_the_interpreter_calls_the_async_hooks_of_a_wsgi_application(begin: Begin, hooks: str) -> None:
    """It is too late to create an event loop then, so one is created in the start, whichever hooks are async."""
    program = begin(
        """
        import sys

        from typedbus import Bus, Component, Container, Limits
        from typedbus.hosting.wsgi import Hosted


        class Feed: ...


        def hook_of(name):
            async def hook(self):
                print(name)

            return hook


        for name in sys.argv[1].split():
            setattr(Feed, name, hook_of(name))


        class Shop(Container):
            bus = Component(Bus)
            feed = Component(Feed)


        Hosted(lambda environ, start_response: [], Shop, limits=Limits(stop=20, exit=20)).start()
        print("end")
        """,
        hooks,
    )

    assert program.end() == 0

    assert sorted(program.lines) == sorted(["end", *hooks.split()])
    assert program.lines[-1] == "exit"
