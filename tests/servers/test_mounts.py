"""Mounted applications: the choice of one for a request, its view of the path, and its life cycle on the bus."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, TypeAlias
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import attrs
import pytest
import uvicorn
from tests.servers.lifespans import failing_cleanup

from typedbus import (
    Bus,
    Channel,
    ChannelFailures,
    Component,
    Container,
    Limits,
    OperatorError,
    TransitionFailures,
    on,
    running,
)
from typedbus._bus.builtin import LOG
from typedbus.servers.asgi import ASGIApp, ASGIServer
from typedbus.servers.mounts import (
    MOUNT,
    ASGIDispatcher,
    ASGIMount,
    Mount,
    MountConflict,
    MountError,
    MountFailed,
    NoBridge,
    NotMounted,
    WSGIDispatcher,
    WSGIMount,
)
from typedbus.servers.serving import Serving, SettingError
from typedbus.servers.wsgi import WSGIServer

Kind: TypeAlias = Literal["wsgi", "asgi"]
KINDS: list[Kind] = ["wsgi", "asgi"]
#: "shared" is an ASGI server on the event loop of the bus.
ServerKind: TypeAlias = Literal["wsgi", "asgi", "shared"]
SERVERS: list[ServerKind] = [*KINDS, "shared"]


class Named:
    """Answers with its name and its view of the path, over WSGI and over ASGI."""

    def __init__(self, name: str) -> None:
        self.name = name

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
        seen = [environ["SCRIPT_NAME"], environ["PATH_INFO"]]
        script, path = (text.encode("latin-1").decode() for text in seen)
        answer = json.dumps([self.name, script, path, body]).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
        return [answer]

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        root, path = scope["root_path"], scope["path"]
        assert path.startswith(root)
        answer = json.dumps([self.name, root, path[len(root) :], body.decode()]).encode()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(answer))],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    def at(self, path: str, kind: Kind) -> Mount:
        return WSGIMount(path, self.wsgi) if kind == "wsgi" else ASGIMount(path, self.asgi)


class Mounts:
    """Has some mounts, each of which answers the channel."""

    def __init__(self, bus: Bus, *mounts: Mount) -> None:
        self.bus = bus
        self.mounts = mounts
        self.subscriptions = [bus[MOUNT].subscribe(lambda mount=mount: mount) for mount in mounts]  # type: ignore[misc]

    def exit(self) -> None:
        for subscription in self.subscriptions:
            subscription.cancel()


def site_of(kind: ServerKind, *mounts: Mount, app: Callable[[Any], Any] = lambda front: front, **fields: Any) -> Any:
    """Return a container with a server of *kind*, a dispatcher that *app* may wrap, and *mounts*."""
    serving: Any = WSGIServer if kind == "wsgi" else ASGIServer
    if kind == "shared":
        fields["loop"] = "shared"

    class Site(Container):
        bus = Component(Bus)
        parts = Component(Mounts, bus.provided, *mounts)
        front: Component[Any] = Component(
            WSGIDispatcher if kind == "wsgi" else ASGIDispatcher, bus.provided, bus.provided[MOUNT]
        )
        wrapped: Component[Any] = Component(app, front.provided)
        server: Component[Any] = Component(serving, bus.provided, wrapped.provided, bind="127.0.0.1:0", **fields)

    return Site()


def ask(server: Serving, path: str, method: str = "GET", body: Any = None) -> tuple[int, bytes]:
    """Return status and body of the answer to one request."""
    connection = http.client.HTTPConnection(server.address, timeout=30)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def logged(bus: Bus) -> list[str]:
    """Return a list that collects the log of *bus*."""
    lines: list[str] = []
    bus.subscribe(LOG, lambda message, level: lines.append(message))
    return lines


REQUESTS = {
    "/": ["root", "", "/"],
    "/shop": ["shop", "/shop", ""],
    "/shop/": ["shop", "/shop", "/"],
    "/shop/tea/": ["shop", "/shop", "/tea/"],
    "/shop//tea": ["shop", "/shop", "//tea"],
    "/shopping": ["root", "", "/shopping"],
    "/Shop": ["root", "", "/Shop"],
    "/shop/admin": ["admin", "/shop/admin", ""],
    "/shop/admin/users?x=/shop": ["admin", "/shop/admin", "/users"],
    "/shop/administer": ["shop", "/shop", "/administer"],
    "/caf%C3%A9/t%20e": ["café", "/café", "/t e"],
    "/%73hop/x": ["shop", "/shop", "/x"],
    "/other/shop": ["root", "", "/other/shop"],
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("app", KINDS)
def test_the_longest_path_wins_and_moves_from_the_path_to_the_root(server: ServerKind, app: Kind) -> None:
    """Each application gets its mount path and the rest of the path, as PEP 3333 and ASGI specify, under every server."""
    paths = {"shop": "/shop", "root": "/", "admin": "/shop/admin/", "café": "/café"}
    site = site_of(server, *(Named(name).at(path, app) for name, path in paths.items()))

    with running(site):
        answers = {path: ask(site.server(), path) for path in REQUESTS}

    assert {path: (status, json.loads(body)[:3]) for path, (status, body) in answers.items()} == {
        path: (200, seen) for path, seen in REQUESTS.items()
    }


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
def test_a_path_without_a_mount_is_not_found(server: ServerKind, method: str) -> None:
    """The response is plain text, for every method, and has no body for HEAD."""
    site = site_of(server, Named("shop").at("/shop", "asgi"))

    with running(site):
        assert ask(site.server(), "/shopping", method) == (404, b"" if method == "HEAD" else b"Not Found\n")


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("app", KINDS)
@pytest.mark.parametrize("has_length", [True, False])
def test_an_application_gets_the_whole_body(server: ServerKind, app: Kind, has_length: bool) -> None:
    """It may have a length or come in chunks, and is larger than one read."""
    text = "mugs and tea " * 8_000

    def reading(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        body = b"".join(iter(lambda: environ["wsgi.input"].readline(50), b""))
        start_response("200 OK", [])
        return [body[-4:], str(len(body)).encode()]

    async def receiving(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body[-4:], "more_body": True})
        await send({"type": "http.response.body", "body": str(len(body)).encode()})

    site = site_of(server, WSGIMount("/shop", reading) if app == "wsgi" else ASGIMount("/shop", receiving))

    with running(site):
        answer = ask(site.server(), "/shop", "POST", text.encode() if has_length else iter([text.encode()] * 2))

    assert answer == (200, b"tea " + str(len(text) * (1 if has_length else 2)).encode())


@pytest.mark.parametrize("app", KINDS)
def test_dispatcher_and_applications_conform_to_wsgi(app: Kind) -> None:
    """The validator of the standard library accepts both sides of the dispatcher."""

    def plain(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))]

    mount = WSGIMount("/shop", validator(plain)) if app == "wsgi" else Named("shop").at("/shop", "asgi")
    site = site_of("wsgi", mount, app=validator)

    with running(site):
        answers = [ask(site.server(), "/shop/x", "POST", b"tea"), ask(site.server(), "/shop"), ask(site.server(), "/x")]

    assert [status for status, _ in answers] == [200, 200, 404]
    assert b"tea" in answers[0][1]


def test_a_wsgi_application_under_asgi_conforms_to_wsgi() -> None:
    """The validator of the standard library accepts the environ and the streams of the bridge."""

    def plain(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read(3), environ["wsgi.input"].readline(), environ["wsgi.input"].read(100)]

    site = site_of("asgi", WSGIMount("/", validator(plain)))

    with running(site):
        assert ask(site.server(), "/x", "POST", b"tea and\nmugs") == (200, b"tea and\nmugs")


BAD_PATHS = {
    "shop": "cannot mount 'shop': a path begins with '/', as in '/shop'",
    "": "cannot mount '': a path begins with '/', as in '/'",
    "//": "cannot mount '//': a path has no empty segments and no segments '.' or '..'",
    "/shop//tea": "cannot mount '/shop//tea': a path has no empty segments and no segments '.' or '..'",
    "/shop/../tea": "cannot mount '/shop/../tea': a path has no empty segments and no segments '.' or '..'",
    "/shop?x": "cannot mount '/shop?x': a path has neither a query nor a fragment nor control characters",
    "/shop\n": "cannot mount '/shop\\n': a path has neither a query nor a fragment nor control characters",
    "/caf%C3%A9": (
        "cannot mount '/caf%C3%A9': requests are matched after decoding; "
        "write the characters themselves, not their %-codes"
    ),
}


@pytest.mark.parametrize("path", BAD_PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_path_that_no_request_could_have_is_an_error(path: str, kind: Kind) -> None:
    """Its text describes a valid path."""
    with pytest.raises(MountError) as raised:
        Named("shop").at(path, kind)

    assert str(raised.value) == BAD_PATHS[path]
    assert raised.value.given == path


def test_a_path_must_be_text() -> None:
    """Settings may contain a value that no type checker has seen."""
    with pytest.raises(MountError, match=r"^cannot mount 3: a path begins with '/', as in '/shop'$"):
        WSGIMount(3, Named("shop").wsgi)  # type: ignore[arg-type]


class Callable3:
    async def __call__(self, scope: object, receive: object, send: object) -> None: ...


async def two(environ: object, start_response: object) -> None: ...


@pytest.mark.parametrize("app", [Named("shop").asgi, Callable3(), two, "shop:app", None])
def test_only_a_wsgi_application_is_accepted_as_a_wsgi_mount(app: Any) -> None:
    """The error describes a valid one, and names the other kind of mount."""
    with pytest.raises(MountError, match="called with environ and start_response; mount an ASGI application with ASGI"):
        WSGIMount("/", app)


@pytest.mark.parametrize("app", [Named("shop").wsgi, WSGIDispatcher(Bus(), Bus()[MOUNT]), two, "shop:app", None])
def test_only_an_asgi_application_is_accepted_as_an_asgi_mount(app: Any) -> None:
    """The error describes a valid one, and names the other kind of mount."""
    with pytest.raises(
        MountError, match="called with scope, receive and send; mount a WSGI application with WSGIMount"
    ):
        ASGIMount("/", app)


@pytest.mark.parametrize(
    "app",
    [
        lambda *arguments: [b""],
        validator(Named("shop").wsgi),
        type("Lazy", (), {"__call__": lambda *arguments: [b""]})(),
    ],
)
def test_an_application_of_unknown_parameters_is_mounted(app: Any) -> None:
    """A mount is refused only if it cannot work."""
    assert WSGIMount("/", app).app is app
    assert ASGIMount("/", lambda *arguments: None).path == "/"  # type: ignore[arg-type]


class Shop:
    @on(MOUNT)
    def mount(self) -> WSGIMount:
        return WSGIMount("/shop", Named("shop").wsgi)


class Store:
    @on(MOUNT)
    def mount(self) -> ASGIMount:
        return ASGIMount("/shop/", Named("store").asgi)


@pytest.mark.parametrize("kind", KINDS)
def test_two_mounts_of_one_path_are_an_error_that_names_both(kind: Kind) -> None:
    """Each is named by its component, and by file and line of its method."""

    class Site(Container):
        bus = Component(Bus)
        front: Component[Any] = Component(
            WSGIDispatcher if kind == "wsgi" else ASGIDispatcher, bus.provided, bus.provided[MOUNT]
        )
        shop = Component(Shop)
        store = Component(Store)

    with pytest.raises(TransitionFailures) as failures, running(Site()):
        pass

    (conflict,) = failures.value.exceptions
    assert isinstance(conflict, MountConflict)
    assert isinstance(conflict, OperatorError)
    shop, store = (f"{__file__}:{cls.mount.__code__.co_firstlineno}" for cls in (Shop, Store))
    assert str(conflict) == (
        f"two applications are mounted at /shop: by Site.shop ({shop}) and by Site.store ({store}); "
        "give one of them another path"
    )


def test_a_listener_that_returns_no_mount_is_named() -> None:
    """No type checker may have checked the component."""
    bus = Bus()
    pair: Any = ("/", Named("shop").wsgi)
    bus[MOUNT].subscribe(lambda: pair)

    with pytest.raises(MountError, match=r"<lambda> \(.*test_mounts\.py:\d+\) must return a WSGIMount or an ASGIMount"):
        WSGIDispatcher(bus, bus[MOUNT]).start()


def test_a_failing_listener_fails_the_start() -> None:
    """The failure has the exception of the listener."""
    bus = Bus()
    bus[MOUNT].subscribe(lambda: WSGIMount("shop", Named("shop").wsgi))

    with pytest.raises(ChannelFailures) as failures:
        ASGIDispatcher(bus, bus[MOUNT]).start()

    assert isinstance(failures.value.exceptions[0], MountError)


class Late:
    """Makes its application in its start, a new one each time."""

    def __init__(self) -> None:
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        self.app = Named(f"late {self.starts}")


class LateShop(Late):
    @on(MOUNT)
    def mount(self) -> Mount:
        return self.app.at(f"/shop{self.starts}", "wsgi")


class Part(Container):
    shop = Component(LateShop)
    store = Component(Store).enabled(False, reason="closed")


class Core(Container):
    bus = Component(Bus)
    front = Component(WSGIDispatcher, bus.provided, bus.provided[MOUNT])
    server = Component(WSGIServer, bus.provided, front.provided, bind="127.0.0.1:0")


class Nested(Core):
    part = Part()


@pytest.mark.parametrize("is_nested", [True, False])
def test_each_start_collects_the_mounts_after_their_components_have_started(is_nested: bool) -> None:
    """This holds in nested containers and in containers that run together; a disabled component contributes nothing."""
    core: Core = Nested() if is_nested else Core()
    answers = []

    with running(core) if is_nested else running(core, Part()):
        answers.append(ask(core.server(), "/shop1/x"))
        core.bus().stop()
        core.bus().start()
        answers += [ask(core.server(), path) for path in ("/shop1/x", "/shop2/x", "/shop")]

    assert answers == [
        (200, b'["late 1", "/shop1", "/x", ""]'),
        (404, b"Not Found\n"),
        (200, b'["late 2", "/shop2", "/x", ""]'),
        (404, b"Not Found\n"),
    ]


def test_two_sites_on_one_bus_have_a_channel_each() -> None:
    """A dispatcher publishes the channel that it is given."""
    admin = Channel[[], Mount]("admin")

    class Admin:
        @on(admin)
        def mount(self) -> Mount:
            return Named("admin").at("/", "wsgi")

    class Site(Container):
        bus = Component(Bus)
        shop = Component(Shop)
        admin_pages = Component(Admin)
        front = Component(WSGIDispatcher, bus.provided, bus.provided[MOUNT])
        back = Component(WSGIDispatcher, bus.provided, bus.provided[admin])
        outside = Component(WSGIServer, bus.provided, front.provided, bind="127.0.0.1:0")
        inside = Component(WSGIServer, bus.provided, back.provided, bind="127.0.0.1:0")

    with running(site := Site()):
        assert ask(site.outside(), "/x")[0] == 404
        assert ask(site.inside(), "/x") == (200, b'["admin", "", "/x", ""]')


@pytest.mark.parametrize("kind", KINDS)
def test_a_dispatcher_below_another_extends_its_path(kind: Kind) -> None:
    """The innermost application gets both paths."""
    inner = Channel[[], Mount]("inner")

    class Pages:
        @on(inner)
        def mount(self) -> Mount:
            return Named("pages").at("/pages", kind)

    class Inner:
        def __init__(self, front: Any) -> None:
            self.front = front

        @on(MOUNT)
        def mount(self) -> Mount:
            return WSGIMount("/inner", self.front) if kind == "wsgi" else ASGIMount("/inner", self.front)

    dispatcher_class: Any = WSGIDispatcher if kind == "wsgi" else ASGIDispatcher
    served: Any = WSGIServer if kind == "wsgi" else ASGIServer

    class Site(Container):
        bus = Component(Bus)
        pages = Component(Pages)
        below: Component[Any] = Component(dispatcher_class, bus.provided, bus.provided[inner])
        mounted = Component(Inner, below.provided)
        front: Component[Any] = Component(dispatcher_class, bus.provided, bus.provided[MOUNT])
        server: Component[Any] = Component(served, bus.provided, front.provided, bind="127.0.0.1:0")

    with running(site := Site()):
        assert ask(site.server(), "/inner/pages/x") == (200, b'["pages", "/inner/pages", "/x", ""]')
        assert ask(site.server(), "/pages/x")[0] == 404


def test_a_root_path_of_the_server_stays_in_front() -> None:
    """uvicorn puts it in front of the path as well."""

    def below(front: ASGIDispatcher) -> uvicorn.Config:
        return uvicorn.Config(front, root_path="/site", interface="asgi3", log_config=None)

    site = site_of("asgi", Named("shop").at("/shop", "asgi"), Named("old").at("/old", "wsgi"), app=below)

    with running(site):
        assert ask(site.server(), "/shop/x") == (200, b'["shop", "/site/shop", "/x", ""]')
        assert ask(site.server(), "/old/x") == (200, b'["old", "/site/old", "/x", ""]')


async def called(app: ASGIApp, scope: dict[str, Any], *messages: dict[str, Any]) -> list[Any]:
    """Return the messages of *app* to a server that sends *messages*."""
    inbox, sent = list(messages), list[Any]()

    async def receive() -> dict[str, Any]:
        return inbox.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    ("root", "path", "raw", "expected"),
    [
        ("/site", "/shop/t e", b"/shop/t%20e", ("/site/shop", "/site/shop/t e", b"/site/shop/t%20e")),
        ("/site", "/site/shop/t e", b"/site/shop/t%20e", ("/site/shop", "/site/shop/t e", b"/site/shop/t%20e")),
        ("/site/", "/site/shop", b"/site/shop", ("/site/shop", "/site/shop", b"/site/shop")),
        ("/é", "/shop", b"/shop", ("/é/shop", "/é/shop", b"/%C3%A9/shop")),
        ("/shop", "/shopping", b"/shopping", None),
        ("/si", "/site/shop", b"/site/shop", None),
        ("/site", "/site/shop", None, ("/site/shop", "/site/shop", None)),
    ],
)
def test_the_path_begins_with_the_root_path_under_every_server(
    root: str, path: str, raw: bytes | None, expected: tuple[str, str, bytes | None] | None
) -> None:
    """Servers differ in that, and frameworks expect the root path."""
    seen: list[tuple[str, str, bytes | None]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["root_path"], scope["path"], scope["raw_path"]))

    bus = Bus()
    bus[MOUNT].subscribe(lambda: ASGIMount("/shop", app))
    front = ASGIDispatcher(bus, bus[MOUNT])
    front.start()
    scope = {"type": "http", "method": "GET", "root_path": root, "path": path, "raw_path": raw}
    asyncio.run(called(front, scope))

    assert seen == ([] if expected is None else [expected])
    assert scope["root_path"] == root


def test_a_websocket_reaches_the_application_that_is_mounted_at_its_path() -> None:
    """A WebSocket without an ASGI application at its path is refused, in the way that the server supports."""
    seen: list[tuple[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], scope["root_path"]))

    bus = Bus()
    bus[MOUNT].subscribe(lambda: ASGIMount("/api", app))
    bus[MOUNT].subscribe(lambda: WSGIMount("/api/old", Named("old").wsgi))
    bus[MOUNT].subscribe(lambda: WSGIMount("/old", Named("old").wsgi))
    front = ASGIDispatcher(bus, bus[MOUNT])
    front.start()
    try:
        scope: dict[str, Any] = {"type": "websocket", "path": "/api/x"}
        asyncio.run(called(front, scope))
        refused = asyncio.run(called(front, {**scope, "path": "/old/x"}, {"type": "websocket.connect"}))
        denying = {**scope, "path": "/old/x", "extensions": {"websocket.http.response": {}}}
        denied = asyncio.run(called(front, denying, {"type": "websocket.connect"}))
    finally:
        front.stop()

    assert seen == [("websocket", "/api")]
    assert refused == [{"type": "websocket.close"}]
    assert [message["type"] for message in denied] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert denied[0]["status"] == 404


@attrs.define(eq=False)
class Living:
    """An ASGI application that takes part in the lifespan and records it; it fails in the given phase."""

    name: str
    notes: list[str]
    fails: str = ""
    how: Literal["reports", "raises"] = "reports"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            body = str(scope["state"].get("name")).encode()
            scope["state"]["name"] = "spoilt"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
            return
        for phase in "startup", "shutdown":
            assert await receive() == {"type": f"lifespan.{phase}"}
            self.notes.append(f"{self.name} {phase}")
            if phase == self.fails and self.how == "raises":
                raise LookupError(f"no {self.name}")
            if phase == self.fails:
                await send({"type": f"lifespan.{phase}.failed", "message": f"no {self.name}"})
                return
            scope["state"]["name"] = self.name
            await send({"type": f"lifespan.{phase}.complete"})


async def without(scope: Any, receive: Any, send: Any) -> None:
    """Answer requests, without support of the lifespan."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"without"})


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """Answer requests, and return from the lifespan at once."""
    if scope["type"] == "http":
        await without(scope, receive, send)


async def blind(scope: Any, receive: Any, send: Any) -> None:
    """Treat every scope as a request."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"without"})


async def hasty(scope: Any, receive: Any, send: Any) -> None:
    """Start, and return from the lifespan before the shutdown."""
    if scope["type"] == "http":
        await without(scope, receive, send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})


@pytest.mark.parametrize("server", SERVERS)
def test_each_asgi_application_has_a_lifespan_and_a_state_of_its_own(server: ServerKind) -> None:
    """They start in the order of the mounts and end in reverse, and requests get copies of the state of their application."""
    notes: list[str] = []
    one, two = Living("one", notes), Living("two", notes)
    others = {"/without": without, "/silent": silent, "/blind": blind, "/hasty": hasty}
    site = site_of(
        server, ASGIMount("/one", one), ASGIMount("/", two), *(ASGIMount(path, app) for path, app in others.items())
    )

    with running(site):
        notes.append("running")
        answers = [ask(site.server(), path)[1] for path in ("/one", "/two", "/one", "/two", *others)]
    with running(site):
        answers.append(ask(site.server(), "/one")[1])

    assert answers == [b"one", b"two", b"one", b"two", b"without", b"without", b"without", b"without", b"one"]
    life = ["one startup", "two startup", "running", "two shutdown", "one shutdown"]
    assert notes == [*life, *(note for note in life if note != "running")]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("how", ["reports", "raises"])
def test_an_application_that_does_not_start_is_named_and_those_before_it_are_shut_down(
    server: ServerKind, how: Literal["reports", "raises"]
) -> None:
    """The start of the bus fails with its path and its exception; the applications after it are not started."""
    notes: list[str] = []
    site = site_of(
        server,
        ASGIMount("/one", Living("one", notes)),
        ASGIMount("/two", Living("two", notes, "startup", how)),
        ASGIMount("/three", Living("three", notes)),
    )

    with pytest.raises(TransitionFailures) as failures, running(site):
        pass

    text = "no two" if how == "reports" else "LookupError('no two')"
    text_of_failure = f"the application mounted at /two failed in its lifespan startup: {text}"
    (failure,) = failures.value.exceptions
    failed = failure if server == "wsgi" else failure.__cause__
    assert isinstance(failed, MountFailed)
    assert text_of_failure in str(failure)
    assert (failed.path, failed.phase, failed.message) == ("/two", "startup", text)
    assert isinstance(failed.__cause__, LookupError if how == "raises" else type(None))
    assert notes == ["one startup", "two startup", "one shutdown"]


@pytest.mark.parametrize("server", SERVERS)
def test_every_application_is_shut_down_and_each_that_fails_is_named(server: ServerKind) -> None:
    """The stop of the bus fails with all of them."""
    notes: list[str] = []
    site = site_of(
        server,
        ASGIMount("/one", Living("one", notes, "shutdown", "raises")),
        ASGIMount("/two", Living("two", notes, "shutdown")),
        ASGIMount("/three", Living("three", notes)),
    )

    with pytest.raises(TransitionFailures) as failures, running(site):
        notes.clear()

    (failure,) = failures.value.exceptions
    group = failure if server == "wsgi" else failure.__cause__
    assert isinstance(group, ExceptionGroup)
    assert list(map(str, group.exceptions)) == [
        "the application mounted at /two failed in its lifespan shutdown: no two",
        "the application mounted at /one failed in its lifespan shutdown: LookupError('no one')",
    ]
    assert server == "wsgi" or all(str(error) in str(failure) for error in group.exceptions)
    assert notes == ["three shutdown", "two shutdown", "one shutdown"]


@pytest.mark.parametrize("server", SERVERS)
def test_an_application_whose_lifespan_ended_early_is_named_at_the_stop(server: ServerKind) -> None:
    """Its requests are answered until then."""
    died = threading.Event()

    async def dying(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await without(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        died.set()
        raise LookupError("no more")

    site = site_of(server, ASGIMount("/", dying))

    with pytest.raises(TransitionFailures) as failures, running(site):
        assert died.wait(30)
        assert ask(site.server(), "/")[0] == 200

    assert "the application mounted at / failed in its lifespan shutdown: LookupError('no more')" in str(
        failures.value.exceptions[0]
    )


@pytest.mark.parametrize("server", SERVERS)
def test_an_application_that_raises_after_its_shutdown_is_named_at_the_stop(server: ServerKind) -> None:
    async def careless(scope: Any, receive: Any, send: Any) -> None:
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        raise LookupError("not saved")

    with pytest.raises(TransitionFailures) as failures, running(site_of(server, ASGIMount("/", careless))):
        pass

    assert "the application mounted at / failed in its lifespan shutdown: LookupError('not saved')" in str(
        failures.value.exceptions[0]
    )


@pytest.mark.exhaustive
def test_an_application_that_hangs_in_its_shutdown_is_cancelled_after_10_s() -> None:
    """The error of its cleanup is the cause of the failure."""

    async def hanging(scope: Any, receive: Any, send: Any) -> None:
        await failing_cleanup(receive, send)

    with pytest.raises(TransitionFailures) as failures, running(site_of("wsgi", ASGIMount("/", hanging))):
        pass

    (failure,) = failures.value.exceptions
    assert isinstance(failure, MountFailed)
    assert "it did not end within 10 s, and was cancelled" in str(failure)
    assert repr(failure.__cause__) == "OSError('not saved')"


@pytest.mark.slow
def test_a_start_that_is_given_up_cancels_the_lifespan_that_hangs() -> None:
    """An application under WSGI that never starts leaves neither its task nor a thread behind."""
    cancelled = threading.Event()

    async def hanging(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    class Site(Container):
        bus = Component(Bus, limits=Limits(hook=0.3))
        parts = Component(Mounts, bus.provided, ASGIMount("/one", Living("one", [])), ASGIMount("/hanging", hanging))
        front = Component(WSGIDispatcher, bus.provided, bus.provided[MOUNT])

    with pytest.raises(TransitionFailures), running(Site()):
        pass

    assert cancelled.wait(30)
    for thread in threading.enumerate():
        if thread.name == "asgi under wsgi":
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize("kind", KINDS)
def test_a_dispatcher_that_was_not_started_names_the_ways_to_start_it(kind: Kind) -> None:
    """This happens if a server gets the dispatcher, and not the container around it."""
    bus = Bus()
    with pytest.raises(NotMounted, match="collects them at the start of its bus and drops them at the stop"):
        if kind == "wsgi":
            WSGIDispatcher(bus, bus[MOUNT])({}, lambda *arguments: lambda body: None)
        else:
            asyncio.run(called(ASGIDispatcher(bus, bus[MOUNT]), {"type": "http"}))


def test_the_lifespan_of_a_dispatcher_that_was_not_started_fails() -> None:
    """So the server does not begin to serve."""
    bus = Bus()
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(NotMounted) as raised:
        asyncio.run(ASGIDispatcher(bus, bus[MOUNT])({"type": "lifespan"}, receive, send))

    assert sent == [{"type": "lifespan.startup.failed", "message": str(raised.value)}]


def test_the_threads_of_wsgi_applications_end_with_the_stop() -> None:
    """Their number is the argument, the bus owns them, and there is none without a WSGI application."""

    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("wsgi under asgi")]

    bus = Bus()
    front = ASGIDispatcher(bus, bus[MOUNT], threads=3)
    front.start()
    assert threads() == []
    front.stop()
    bus[MOUNT].subscribe(lambda: WSGIMount("/", Named("shop").wsgi))
    bus[MOUNT].subscribe(lambda: WSGIMount("/shop", Named("shop").wsgi))
    front.start()
    assert len(threads()) == 3
    front.stop()

    assert threads() == []


@pytest.mark.parametrize("threads", [0, 1.5, True, "3"])
def test_a_number_of_threads_is_a_whole_number_from_1_up(threads: Any) -> None:
    """The constructor refuses other values."""
    bus = Bus()
    with pytest.raises(SettingError, match="threads"):
        ASGIDispatcher(bus, bus[MOUNT], threads=threads)


def test_sys_exit_in_a_wsgi_application_under_asgi_exits_the_bus() -> None:
    """The status is kept, as under a WSGI server."""

    def leaving(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        sys.exit(3)

    site = site_of("asgi", WSGIMount("/", leaving))

    with pytest.raises(SystemExit) as exiting, running(site):
        assert ask(site.server(), "/")[0] == 500
        site.bus().block()

    assert exiting.value.code == 3


def test_errors_of_wsgi_applications_under_asgi_go_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """Other servers write them there as well."""

    def complaining(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.errors"].write("no mugs\n")
        start_response("200 OK", [])
        return [b""]

    site = site_of("asgi", WSGIMount("/", complaining))
    with running(site):
        ask(site.server(), "/")

    assert capfd.readouterr() == ("", "no mugs\n")


def test_a_wsgi_application_under_asgi_reads_the_body_as_it_arrives() -> None:
    """It can read a line of the body before the next line is sent."""

    def echoing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return iter(environ["wsgi.input"].readline, b"")

    site = site_of("asgi", WSGIMount("/", echoing))

    with running(site):
        connection = http.client.HTTPConnection(site.server().address, timeout=30)
        connection.putrequest("POST", "/")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        connection.send(b"4\r\ntea\n\r\n")
        response = connection.getresponse()
        assert response.readline() == b"tea\n"
        connection.send(b"5\r\nmugs\n\r\n0\r\n\r\n")
        assert response.read() == b"mugs\n"
        connection.close()


def test_a_body_that_ends_too_early_is_an_error_to_a_wsgi_application_under_asgi() -> None:
    """It does not mistake half a body in chunks for the whole."""
    errors: queue.SimpleQueue[object] = queue.SimpleQueue()

    def reading(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            errors.put(error)
        start_response("200 OK", [])
        return []

    site = site_of("asgi", WSGIMount("/", reading))

    with running(site):
        connection = http.client.HTTPConnection(site.server().address, timeout=30)
        connection.putrequest("POST", "/")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        connection.send(b"4\r\ntea\n\r\n")
        connection.close()
        assert "the client disconnected before the end of the request body" in str(errors.get(timeout=30))


def test_headers_that_wsgi_cannot_distinguish_are_dropped() -> None:
    """A client cannot send ``X_User`` for the ``X-User`` of a proxy; cookies that HTTP/2 has split are joined."""
    seen: list[WSGIEnvironment] = []

    def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ)
        return Answering()(environ, start_response)

    bus = Bus()
    bus[MOUNT].subscribe(lambda: WSGIMount("/", wsgi))
    front = ASGIDispatcher(bus, bus[MOUNT])
    headers = [(b"x-user", b"ada"), (b"x_user", b"eve"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "http_version": "2", "query_string": b""}
    front.start()
    asyncio.run(called(front, scope, {"type": "http.request"}))
    front.stop()

    assert (seen[0]["HTTP_X_USER"], seen[0]["HTTP_COOKIE"]) == ("ada", "a=1; b=2")


class Endless:
    """A WSGI application with an endless response, until it is closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"tea" * 1000
        finally:
            self.closed.set()


class EndlessTask:
    """The same for ASGI."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"tea" * 1000, "more_body": True})
        finally:
            self.closed.set()


@pytest.mark.parametrize(
    ("server", "app"),
    [("asgi", Endless()), ("wsgi", EndlessTask()), ("wsgi", Endless())],
    ids=["wsgi under asgi", "asgi under wsgi", "wsgi under wsgi"],
)
def test_an_application_is_closed_when_its_client_disconnects(server: ServerKind, app: Any) -> None:
    """An endless response occupies its thread, or its task, only while the client is connected."""
    site = site_of(server, WSGIMount("/", app) if isinstance(app, Endless) else ASGIMount("/", app))

    with running(site):
        connection = http.client.HTTPConnection(site.server().address, timeout=30)
        connection.request("GET", "/")
        assert connection.getresponse().read(1000)
        assert not app.closed.is_set()
        connection.close()
        assert app.closed.wait(30)
        app.closed.clear()


async def raising(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    raise LookupError("no mugs")


async def returning(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"


async def cancelled(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("app", "error"),
    [
        (raising, "LookupError: no mugs"),
        (returning, "RuntimeError: the application returned before it had sent its response"),
        (cancelled, "RuntimeError: the application was cancelled before it had sent its response"),
    ],
)
def test_an_asgi_application_under_wsgi_that_does_not_respond_is_a_500(app: ASGIApp, error: str) -> None:
    """The server logs the reason, and its thread continues."""
    site = site_of("wsgi", ASGIMount("/", app), threads=1)
    lines = logged(site.bus())

    with running(site):
        assert [ask(site.server(), "/")[0] for _ in range(2)] == [500, 500]

    assert sum(error in line for line in lines) == 2


def test_a_body_that_ends_too_early_ends_an_asgi_application_under_wsgi() -> None:
    """An application that reads to the end stops when its client has disconnected."""
    cancelled = threading.Event()

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        try:
            while (await receive()).get("more_body", False):
                pass
        finally:
            cancelled.set()

    bus = Bus()
    bus[MOUNT].subscribe(lambda: ASGIMount("/", reading))
    front = WSGIDispatcher(bus, bus[MOUNT])
    environ: WSGIEnvironment = {"CONTENT_LENGTH": "100", "wsgi.input": io.BytesIO(b"tea")}
    setup_testing_defaults(environ)
    front.start()
    with pytest.raises(ConnectionError, match="97 bytes before the end of the request body"):
        list(front(environ, lambda *arguments: lambda body: None))
    assert cancelled.wait(30)
    front.stop()


def test_an_asgi_application_under_wsgi_that_fails_in_the_middle_is_cut_off() -> None:
    """The client does not mistake half a response for a whole one."""

    async def halfway(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"tea", "more_body": True})
        raise LookupError("no mugs")

    site = site_of("wsgi", ASGIMount("/", halfway))
    lines = logged(site.bus())

    with running(site):
        for _ in range(20):
            with pytest.raises(http.client.IncompleteRead):
                ask(site.server(), "/")

    assert sum("LookupError: no mugs" in line for line in lines) == 20


def test_an_exception_of_an_asgi_application_under_wsgi_after_its_response_is_reported(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The client gets the whole response, and the error stream of the server the traceback."""

    async def background(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await without(scope, receive, send)
        raise LookupError("no mugs")

    site = site_of("wsgi", ASGIMount("/", background))

    with running(site):
        assert ask(site.server(), "/") == (200, b"without")

    assert "LookupError: no mugs" in capfd.readouterr().err


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("app", KINDS)
def test_a_path_that_is_not_utf_8_reaches_the_application(server: ServerKind, app: Kind) -> None:
    """A client cannot make a bridge fail."""
    site = site_of(server, WSGIMount("/", Answering()) if app == "wsgi" else ASGIMount("/", without))

    with running(site):
        assert ask(site.server(), "/%ff%C3%28") == (200, b"without")


class Answering:
    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"without"]


def test_a_query_that_is_not_ascii_is_quoted_between_wsgi_and_asgi() -> None:
    """Some servers pass such bytes on unchanged; the query is text in WSGI and bytes in ASGI."""
    seen: list[object] = []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(scope["query_string"])
            await without(scope, receive, send)

    def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ["QUERY_STRING"])
        return Answering()(environ, start_response)

    bus = Bus()
    over_asgi, over_wsgi = ASGIDispatcher(bus, bus[MOUNT]), WSGIDispatcher(bus, bus[MOUNT])
    environ: WSGIEnvironment = {"QUERY_STRING": "x=%20&y=\xe9"}
    setup_testing_defaults(environ)
    with bus[MOUNT].subscribe(lambda: ASGIMount("/", asgi)):
        over_wsgi.start()
        assert b"".join(over_wsgi(environ, lambda *arguments: lambda body: None)) == b"without"
        over_wsgi.stop()
    with bus[MOUNT].subscribe(lambda: WSGIMount("/", wsgi)):
        over_asgi.start()
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "http_version": "1.1"}
        request = {"type": "http.request"}
        asyncio.run(called(over_asgi, {**scope, "query_string": b"x=%20&y=\xe9"}, request))
        over_asgi.stop()

    assert seen == [b"x=%20&y=%E9", "x=%20&y=%E9"]


BLOCKED = """
import sys
sys.modules["a2wsgi"] = None
from typedbus import Bus
from typedbus.servers.mounts import MOUNT, ASGIDispatcher, ASGIMount, WSGIDispatcher, WSGIMount
def wsgi(environ, start_response): ...
async def asgi(scope, receive, send): ...
for dispatcher_class, own, other in (WSGIDispatcher, WSGIMount("/a", wsgi), ASGIMount("/b", asgi)), (
    ASGIDispatcher, ASGIMount("/a", asgi), WSGIMount("/b", wsgi)
):
    bus = Bus()
    bus[MOUNT].subscribe(lambda: own)
    dispatcher_class(bus, bus[MOUNT]).start()
    assert dispatcher_class is ASGIDispatcher or "asyncio" not in sys.modules
    bus[MOUNT].subscribe(lambda: other)
    try:
        dispatcher_class(bus, bus[MOUNT]).start()
    except ImportError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_missing_bridge_is_an_error_that_names_the_extra() -> None:
    """Only an application of the other kind needs a2wsgi; without one neither a2wsgi nor asyncio is imported."""
    process = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False)

    install = 'which needs a2wsgi, and that is not installed: pip install "typedbus[mounts]"'
    assert process.stdout.splitlines() == [
        f"the application mounted at /b is an ASGI application under a WSGIDispatcher, {install}",
        f"the application mounted at /b is a WSGI application under an ASGIDispatcher, {install}",
    ], process.stderr


@pytest.mark.parametrize(
    "error",
    [
        MountError("shop", "a path begins with '/'"),
        MountConflict("/shop", "one", "other"),
        MountFailed("/shop", "startup", "no mugs"),
        NoBridge("/shop", "ASGI"),
        NotMounted(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_mounts_survives_pickling(error: Exception) -> None:
    """Its attributes, its text and its public name are kept."""
    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
    assert type(error).__module__ == "typedbus.servers.mounts"
