"""Valid uses of mounts."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, assert_type
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from typedbus import Bus, Channel, Component, Container, on
from typedbus.hosting import asgi as asgi_hosting
from typedbus.hosting import wsgi as wsgi_hosting
from typedbus.servers.asgi import ASGIApp, ASGIServer
from typedbus.servers.mounts import MOUNT, ASGIDispatcher, ASGIMount, Mount, WSGIDispatcher, WSGIMount
from typedbus.servers.wsgi import WSGIServer

bus = Bus()
Message = MutableMapping[str, Any]
ADMIN = Channel[[], Mount]("admin")


def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [b""]


async def asgi(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None: ...


class Flask:
    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return wsgi(environ, start_response)


class Shop:
    @on(MOUNT)
    def mount(self) -> WSGIMount:
        return WSGIMount("/shop", Flask())

    @on(MOUNT)
    def mount_api(self) -> ASGIMount:
        return ASGIMount("/api", asgi)

    @on(ADMIN)
    def mount_admin(self) -> Mount:
        return WSGIMount("/", wsgi)


WSGIMount("/", wsgi)
WSGIMount(path="/", app=Flask())
ASGIMount("/", asgi)
assert_type(WSGIMount("/", wsgi).path, str)
assert_type(WSGIMount("/", wsgi).app, WSGIApplication)
assert_type(ASGIMount("/", asgi).app, ASGIApp)
assert_type(bus[MOUNT].publish(), list[Mount])
bus[MOUNT].subscribe(lambda: WSGIMount("/", wsgi))
front: WSGIApplication = WSGIDispatcher(bus, bus[MOUNT])
asgi_front: ASGIApp = ASGIDispatcher(bus, bus[ADMIN], threads=20)
below = WSGIMount("/below", WSGIDispatcher(bus, bus[ADMIN]))
asgi_below = ASGIMount("/below", ASGIDispatcher(bus, bus[ADMIN]))


class Site(Container):
    bus = Component(Bus)
    shop = Component(Shop)
    front = Component(WSGIDispatcher, bus.provided, bus.provided[MOUNT])
    server = Component(WSGIServer, bus.provided, front.provided)
    asgi_front = Component(ASGIDispatcher, bus.provided, bus.provided[ADMIN], threads=20)
    asgi_server = Component(ASGIServer, bus.provided, asgi_front.provided)


site = Site()
wsgi_hosting.Hosted(site.front(), site)
asgi_hosting.Hosted(site.asgi_front(), site)
