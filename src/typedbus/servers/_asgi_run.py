"""One run of an ASGI server: on the event loop of the bus, or on a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import threading
from collections.abc import Callable

from typedbus._bus.event_loop import EventLoop
from typedbus.servers._serving_errors import ServerCancelled
from typedbus.servers._uvicorn import Config, Uvicorn


class ASGIRun:
    """
    One run of an ASGI server; fulfils the contract `Serves`.

    Args:
        config: The application, with the options of uvicorn.
        shared: The event loop of the bus, if the server runs on it; None for a loop of its own, in the thread of `serve`.
    """

    def __init__(self, config: Config, shared: EventLoop | None) -> None:
        self.shared = shared
        self._config = config
        self._server: Uvicorn | None = None
        self._seconds: float | None = None

    def drain(self, seconds: float) -> None:
        self._seconds = seconds
        server = self._server
        if server is not None and server.loop is not None:
            # A loop that has ended by itself is closed.
            with contextlib.suppress(RuntimeError):
                server.loop.call_soon_threadsafe(server.begin_stop)

    def serve(self, listening: socket.socket, ready: Callable[[], None]) -> int:
        server = self._server = Uvicorn(self._config, listening, ready, lambda: self._seconds)
        if self.shared is None:
            # A loop that lacks descriptors does not close its other descriptors, and never runs its coroutine.
            # asyncio's loop opens three, and uvloop's five.
            with selectors.DefaultSelector(), contextlib.ExitStack() as pairs:
                for _ in range(2):
                    for side in socket.socketpair():
                        pairs.enter_context(side)
            try:
                server.run()
            except asyncio.CancelledError:
                # A stop cancels the startup.
                if server.started or self._seconds is None:
                    raise
            return server.cut_off

        async def serve() -> None:
            try:
                await server.serve()
            except asyncio.CancelledError as cancelled:
                raise ServerCancelled from cancelled

        name = threading.current_thread().name
        loop = self.shared.get(name)
        loop.refuse_if_dead(name)
        loop.run(name, serve)
        return server.cut_off
