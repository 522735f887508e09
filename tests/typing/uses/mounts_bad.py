"""Invalid uses of mounts; a marked line is an error for both checkers."""

from collections.abc import Iterable

from mounts_good import Flask, asgi, bus, wsgi

from typedbus import Bus, Channel, Component, Container, on
from typedbus.servers.asgi import ASGIServer
from typedbus.servers.mounts import MOUNT, ASGIDispatcher, ASGIMount, Mount, WSGIDispatcher, WSGIMount
from typedbus.servers.wsgi import WSGIServer

NAMED = Channel[[str], Mount]("named")


def one_less(environ: dict[str, object]) -> list[bytes]:
    return []


async def two(scope: object, receive: object) -> None: ...


class Shop:
    @on(MOUNT)  # E
    def pair(self) -> tuple[str, object]:
        return "/shop", wsgi

    @on(MOUNT)  # E
    def several(self) -> Iterable[Mount]:
        return [WSGIMount("/shop", wsgi)]

    @on(MOUNT)  # E
    def asked(self, path: str) -> Mount:
        return WSGIMount(path, wsgi)

    @on(MOUNT)  # E
    def nothing(self) -> None: ...


WSGIMount(wsgi, "/shop")  # E
WSGIMount("/shop")  # E
WSGIMount("/shop", asgi)  # E
WSGIMount("/shop", Flask)  # E
WSGIMount("/shop", one_less)  # E
WSGIMount("/shop", "shop:app")  # E
ASGIMount("/shop", wsgi)  # E
ASGIMount("/shop", Flask())  # E
ASGIMount("/shop", two)  # E
ASGIMount("/below", WSGIDispatcher(bus, bus[MOUNT]))  # E
WSGIMount("/below", ASGIDispatcher(bus, bus[MOUNT]))  # E
WSGIMount("/shop", wsgi).path = "/tea"  # E
Mount("/shop", wsgi)  # E
WSGIDispatcher(bus)  # E
WSGIDispatcher(bus, MOUNT)  # E
WSGIDispatcher(bus, bus[NAMED])  # E
WSGIDispatcher(bus, bus[MOUNT], threads=2)  # E
ASGIDispatcher(bus, bus[MOUNT], 2)  # E
ASGIDispatcher(bus, bus[MOUNT], threads="2")  # E
WSGIServer(bus, ASGIDispatcher(bus, bus[MOUNT]))  # E
ASGIServer(bus, WSGIDispatcher(bus, bus[MOUNT]))  # E
bus[MOUNT].subscribe(lambda: wsgi)  # E


class Site(Container):
    bus = Component(Bus)
    unbound = Component(WSGIDispatcher, bus.provided, MOUNT)  # E
    unprovided = Component(ASGIDispatcher, bus.provided)  # E
    front = Component(ASGIDispatcher, bus.provided, bus.provided[MOUNT])
    server = Component(WSGIServer, bus.provided, front.provided)  # E
