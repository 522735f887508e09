"""Valid uses of the servers."""

import socket
import wsgiref.simple_server
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, assert_type
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import uvicorn

from typedbus import Bus, Component, Container
from typedbus.servers.asgi import ASGIApp, ASGIServer
from typedbus.servers.serving import Server, Serves, Serving
from typedbus.servers.wsgi import WSGIServer

bus = Bus()
Message = MutableMapping[str, Any]


def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [b""]


class Flask:
    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return wsgi(environ, start_response)


async def asgi(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None: ...


async def strict(scope: dict[str, object], receive: object, send: object) -> None: ...


class Starlette:
    async def __call__(self, scope: Message, receive: object, send: object) -> None: ...

    async def other(self, scope: Message, receive: object, send: object) -> None: ...


class Own:
    def serve(self, listening: socket.socket, ready: Callable[[], None]) -> int:
        return 0

    def drain(self, seconds: float) -> None: ...


WSGIServer(bus, wsgi)
WSGIServer(bus, Flask(), bind=":8080", threads=2, timeout=1, drain=0.5, mode=0o660)
WSGIServer(bus, wsgiref.simple_server.demo_app, bind=socket.socket())
ASGIServer(bus, asgi)
ASGIServer(bus, strict, bind="unix:/run/site.sock", drain=1)
ASGIServer(bus, asgi, loop="shared")
ASGIServer(bus, uvicorn.Config(asgi), loop="own")
ASGIServer(bus, asgi, loop=None)
ASGIServer(bus, Starlette())
ASGIServer(bus, Starlette().other)
ASGIServer(bus, uvicorn.Config(asgi, root_path="/shop"))
Server(bus, Own(), bind="[::1]:0")
own: Serves = Own()
app: ASGIApp = asgi
flask: WSGIApplication = Flask()
serving: Serving = Server(bus, own)
assert_type(serving.address, str)
assert_type(Server(bus, own).start(), None)


class Site(Container):
    bus = Component(Bus)
    own = Component(Own)
    flask = Component(Flask)
    web = Component(WSGIServer, bus.provided, flask.provided, bind="127.0.0.1:0", threads=2)
    api = Component(ASGIServer, bus.provided, asgi, drain=1.0)
    other = Component(Server, bus.provided, own.provided)


assert_type(Site().web(), WSGIServer)
assert_type(Site().other(), Server)
