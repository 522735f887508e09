"""Invalid uses of the servers; a marked line is an error for both checkers."""

import socket
from collections.abc import Callable

from servers_good import Own, asgi, bus, wsgi

from typedbus import Bus, Component, Container
from typedbus.servers.asgi import ASGIServer
from typedbus.servers.serving import Server, Serves, Serving
from typedbus.servers.wsgi import WSGIServer


def one_less(environ: dict[str, object]) -> list[bytes]:
    return []


def texts(environ: dict[str, object], start_response: object) -> list[str]:
    return []


async def two(scope: object, receive: object) -> None: ...


def unawaited(scope: object, receive: object, send: object) -> None: ...


class Unready:
    def serve(self, listening: socket.socket) -> int:
        return 0

    def drain(self, seconds: float) -> None: ...


class Uncounted:
    def serve(self, listening: socket.socket, ready: Callable[[], None]) -> None: ...

    def drain(self, seconds: float) -> None: ...


class Undrained:
    def serve(self, listening: socket.socket, ready: Callable[[], None]) -> int:
        return 0


WSGIServer(wsgi)  # E
WSGIServer(bus)  # E
WSGIServer(wsgi, bus)  # E
WSGIServer(bus, one_less)  # E
WSGIServer(bus, texts)  # E
WSGIServer(bus, asgi)  # E
WSGIServer(bus, "site:app")  # E
WSGIServer(bus, wsgi, ":8080")  # E
WSGIServer(bus, wsgi, bind=8080)  # E
WSGIServer(bus, wsgi, bind=("127.0.0.1", 8080))  # E
WSGIServer(bus, wsgi, threads="2")  # E
WSGIServer(bus, wsgi, drain="1")  # E
WSGIServer(bus, wsgi, drain=None)  # E
WSGIServer(bus, wsgi, mode="0660")  # E
WSGIServer(bus, wsgi, port=8080)  # E
ASGIServer(bus, two)  # E
ASGIServer(bus, unawaited)  # E
ASGIServer(bus, wsgi)  # E
ASGIServer(bus, "site:app")  # E
ASGIServer(bus, asgi, threads=2)  # E
ASGIServer(bus, asgi, "own")  # E
ASGIServer(bus, asgi, loop="asyncio")  # E
ASGIServer(bus, asgi, loop=True)  # E
WSGIServer(bus, wsgi, loop="own")  # E
Server(bus, wsgi)  # E
Server(bus, Unready())  # E
Server(bus, Uncounted())  # E
Server(bus, Undrained())  # E
Server(bus, Own)  # E
Serving(bus)  # E
unready: Serves = Unready()  # E
Server(bus, Own()).address = ":8080"  # E
port: int = Server(bus, Own()).address  # E


class Site(Container):
    bus = Component(Bus)
    own = Component(Own)
    unbound = Component(WSGIServer, wsgi)  # E
    unprovided = Component(Server, bus.provided, own)  # E
    numbered = Component(WSGIServer, bus.provided, wsgi, bind=8080)  # E
    other = Component(ASGIServer, bus.provided, wsgi)  # E
