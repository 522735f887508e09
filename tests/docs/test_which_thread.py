"""The tables of docs/explanation/async-hooks.md: the thread and the event loop of each kind of code."""

import asyncio
import threading
from collections.abc import Callable, Coroutine

import pytest
from tests.doubles import ThreadCall

from typedbus import GRACEFUL, START, AsyncChannel, Bus, Channel, Component, Container, in_thread, on, running
from typedbus.hosting import asgi, wsgi
from typedbus.plugins.health import READY, Check, Health

counted = AsyncChannel[[]]("counted")
noted = Channel[[]]("noted")


class Places:
    """Records for each kind of code the event loop that calls it or, if none does, the thread."""

    def __init__(self) -> None:
        self.threads = {threading.current_thread(): "caller"}
        self.loop: asyncio.AbstractEventLoop | None = None
        self.of = dict[str, str]()

    def note(self, code: str) -> None:
        """Record where *code* runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.of[code] = self.threads.get(threading.current_thread(), "another thread")
        else:
            self.of[code] = "loop of the caller" if loop is self.loop else "own loop"


class Early:
    """A component with sync hooks."""

    def __init__(self, places: Places) -> None:
        self.places = places
        places.note("constructor")

    def start(self) -> None:
        self.places.note("sync start")

    def stop(self) -> None:
        self.places.note("sync stop")

    @on(START, inline=True)
    def inline(self) -> None:
        self.places.note("inline start")

    @on(GRACEFUL)
    def reload(self) -> None:
        self.places.note("sync graceful")

    @on(READY)
    def check(self) -> Check:
        self.places.note("sync check")
        return Check(is_ok=True)

    @on(noted)
    def write(self) -> None:
        self.places.note("listener of a Channel")

    @on(counted)
    def count(self) -> None:
        self.places.note("plain listener of an AsyncChannel")


class Late:
    """A component with async hooks."""

    def __init__(self, places: Places) -> None:
        self.places = places

    async def start(self) -> None:
        self.places.note("async start")

    async def stop(self) -> None:
        self.places.note("async stop")

    @on(GRACEFUL)
    async def reload(self) -> None:
        self.places.note("async graceful")

    @on(READY)
    async def check(self) -> Check:
        self.places.note("async check")
        return Check(is_ok=True)

    @on(counted)
    async def count(self) -> None:
        self.places.note("async listener of an AsyncChannel")


class Shop(Container):
    """Both components."""

    bus = Component(Bus)
    places = Component(Places)
    health = Component(Health, bus.provided)
    early = Component(Early, places.provided)
    late = Component(Late, places.provided)


def use(shop: Shop) -> None:
    """Publish, probe and reload in this thread."""
    bus, places = shop.bus(), shop.places()
    places.threads[threading.current_thread()] = "publisher"
    bus[counted].subscribe(in_thread(lambda: places.note("in_thread")))
    bus[counted].publish_from_thread()
    bus[noted].publish()
    shop.health().ready()
    bus.graceful()


def ask_in_thread(shop: Shop) -> None:
    """Use *shop* in another thread."""
    assert ThreadCall(lambda: use(shop)).finished().error is None


def with_running(shop: Shop) -> None:
    with running(shop):
        ask_in_thread(shop)


async def async_with_running(shop: Shop) -> None:
    async with running(shop):
        await asyncio.to_thread(use, shop)


def hosted_wsgi(shop: Shop) -> None:
    hosted = wsgi.Hosted(lambda environ, start_response: [], shop)
    hosted.start()
    try:
        ask_in_thread(shop)
    finally:
        hosted.exit()


async def hosted_asgi(shop: Shop) -> None:
    async def app(scope: asgi.Message, receive: asgi.Receive, send: asgi.Send) -> None:
        assert scope["type"] == "http"
        shop.places().note("request")

    hosted = asgi.Hosted(app, shop)
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> asgi.Message:
        return messages.pop(0)

    async def send(message: asgi.Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            await hosted({"type": "http", "path": "/"}, receive, send)
            await asyncio.to_thread(use, shop)

    await hosted({"type": "lifespan"}, receive, send)


def on_new_loop(entry: Callable[[Shop], Coroutine[object, object, None]]) -> Callable[[Shop], None]:
    """Return a function that awaits *entry* on a new event loop in this thread."""

    def run(shop: Shop) -> None:
        async def main() -> None:
            shop.places().loop = asyncio.get_running_loop()
            await entry(shop)

        asyncio.run(main())

    return run


#: The code whose place is the same for every entry.
ALWAYS = {
    "listener of a Channel": "publisher",
    "sync graceful": "publisher",
    "sync check": "another thread",
    "in_thread": "another thread",
}
ON_THE_LOOP = (
    *("async start", "async stop", "async graceful", "async check"),
    *("async listener of an AsyncChannel", "plain listener of an AsyncChannel"),
)


@pytest.mark.parametrize(
    ("entry", "start", "stop", "loop"),
    [
        (with_running, "caller", "caller", "own loop"),
        (on_new_loop(async_with_running), "another thread", "another thread", "loop of the caller"),
        (on_new_loop(hosted_asgi), "another thread", "another thread", "loop of the caller"),
        (hosted_wsgi, "caller", "another thread", "own loop"),
    ],
    ids=["with", "async with", "Hosted, ASGI", "Hosted, WSGI"],
)
def test_each_kind_of_code_runs_where_the_tables_say(
    entry: Callable[[Shop], None], start: str, stop: str, loop: str
) -> None:
    """Sync hooks run in the thread of the transition, async code on the event loop of the bus."""
    shop = Shop()
    places = shop.places()

    entry(shop)

    places.of.pop("request", None)
    assert places.of == {
        **dict.fromkeys(("constructor", "sync start", "inline start"), start),
        "sync stop": stop,
        **dict.fromkeys(ON_THE_LOOP, loop),
        **ALWAYS,
    }


def test_a_request_runs_on_the_loop_of_async_hooks() -> None:
    """Under ASGI both use the loop of the server."""
    shop = Shop()
    places = shop.places()

    on_new_loop(hosted_asgi)(shop)

    assert places.of["request"] == places.of["async start"] == "loop of the caller"
