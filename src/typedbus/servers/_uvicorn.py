"""
A server of ASGI applications, on uvicorn.

uvicorn provides HTTP and WebSockets. It runs on the event loop of the bus, or on a
loop of its own in the server's thread. Its methods are wrapped or replaced here,
since it handles signals, checks ten times a second whether it should stop, ends the
process if the application does not start, closes connections whose request has not
been read, or that wait to be accepted, and leaves tasks to the end of its loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import socket
from collections.abc import Callable, Generator
from typing import Any, Final

from typedbus._os.exhausted import with_limit
from typedbus.servers._binding import BACKLOG
from typedbus.servers._contract import ACCEPT_RETRY, EXHAUSTED, FIRST_REQUEST, NEXT_REQUEST, NoServer
from typedbus.servers._lifespan import Lifespan, LifespanError
from typedbus.servers._uvicorn_connections import Connections, is_busy

try:
    import uvicorn
    from uvicorn import Config as Config  # noqa: PLC0414  # `asgi` imports it from here, so that `NoServer` is raised
except ModuleNotFoundError as missing:
    raise NoServer("typedbus.servers.asgi", "uvicorn", "asgi") from missing

#: How often the Date of responses is renewed, in seconds.
_SECOND: Final = 1.0
_CLOSE: Final = (b"connection", b"close")
#: How long a request that is cut off may take to end, in seconds.
_UNWINDING: Final = 1.0
#: How long the application may take to shut down after the drain, in seconds; together with `_UNWINDING` for the
#: requests and again for the application, the thread must end within `serving.CUTTING`.
_CLOSING: Final = 2.5


class Uvicorn(uvicorn.Server):
    """One run of uvicorn, which drains after `begin_stop` was called."""

    def __init__(
        self,
        config: Config,
        listening: socket.socket,
        ready: Callable[[], None],
        stop_seconds: Callable[[], float | None],
    ) -> None:
        config = copy.copy(config)
        if not config.loaded:
            config.load()
        self._lifespan = Lifespan(config.loaded_app)
        config.loaded_app = self._lifespan
        super().__init__(config)
        self._listening = listening
        self._report_ready = ready
        #: Connections that are being created: handed over to uvicorn, or in a TLS handshake.
        self._handshakes: set[asyncio.Task[Any]] = set()
        #: The error that permanently prevents accepting.
        self._accept_error: OSError | None = None
        #: Returns how long the requested stop may take, in seconds; None if no stop was requested.
        self._stop_seconds = stop_seconds
        self._stopping = asyncio.Event()
        #: Set when a connection has ended; only a drain waits for it.
        self._connection_ended = asyncio.Event()
        #: How many requests were cut off.
        self.cut_off = 0
        #: The loop, once it runs.
        self.loop: asyncio.AbstractEventLoop | None = None
        self._startup: asyncio.Task[Any] | None = None
        self._has_begun_shutdown = False
        # Always the same list, so that responses that have not begun include a header that a stop adds.
        self._headers: list[tuple[bytes, bytes]] = []

    def begin_stop(self) -> None:
        """Begin the stop that was requested; called in the loop's thread."""
        self._stopping.set()
        if self._startup is not None:
            self._startup.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle no signals: in the main thread uvicorn would replace the handlers of the program."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a stop, and leave neither a connection nor a task on the loop, which may be shared."""
        try:
            await super().serve(sockets)
        except (Exception, asyncio.CancelledError) as error:
            # A stop during the startup or other code has cancelled this task, or a callback of the `Config` has raised.
            try:
                if self.started and not self._has_begun_shutdown:
                    await self.shutdown()
                await self._cancel_lifespan()
            except LifespanError as failure:
                if self._stop_seconds() is not None:
                    raise
                error.add_note(str(failure))
            raise
        await self._cancel_lifespan()

    async def _cancel_lifespan(self) -> None:
        if await self._lifespan.cancel(_UNWINDING) is not None:
            raise self._lifespan.failure("shutdown" if self._lifespan.is_up else "startup")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        connections = Connections(self._connection_ended, self.loop.time)
        self.server_state.connections = self._connections = connections
        self._startup = asyncio.current_task()
        # A stop that was requested before the loop existed could not call `begin_stop`.
        if self._stop_seconds() is not None:
            self.begin_stop()
        try:
            # Without a socket, since an asyncio server loses connections that it accepts right before it is closed.
            await super().startup(sockets=[])
        except SystemExit:
            # uvicorn reports an application that does not start by this exception, or only by a flag.
            self.started = False
        finally:
            self._startup = None
        if not self.started:
            raise self._lifespan.failure("startup")
        try:
            self._begin_to_accept()
        except NotImplementedError:
            # The event loop of Windows does not support that, and must accept itself.
            self.servers = [
                await self.loop.create_server(self._protocol, sock=self._listening.dup(), ssl=self.config.ssl)
            ]
        self._report_ready()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _SECOND)
            if self._stopping.is_set():
                return

    async def on_tick(self, counter: int) -> bool:
        is_over = await super().on_tick(counter)
        self._headers[:] = self.server_state.default_headers
        self.server_state.default_headers = self._headers
        return is_over

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept waiting clients, let requests that have begun end in time, and cut off the rest."""
        assert self.loop is not None
        self._has_begun_shutdown = True
        self._stopping.set()
        with contextlib.suppress(NotImplementedError):
            self.loop.remove_reader(self._listening)
        for server in self.servers:
            server.close()
        if _CLOSE not in self._headers:
            self._headers.append(_CLOSE)
        end = self.loop.time() + (self._stop_seconds() or 0.0)
        await self._drain(self._stop_seconds() or 0.0)
        self.cut_off = sum(is_busy(connection) for connection in self._connections)
        for connection in list(self._connections):
            connection.transport.abort()
        tasks = [*self.server_state.tasks, *self._handshakes]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_UNWINDING)
        await self._lifespan.end(self.lifespan.shutdown(), max(_CLOSING, end - self.loop.time()), _UNWINDING)
        if self._accept_error is not None:
            raise self._accept_error
        lifespan = self._lifespan
        if getattr(self.lifespan, "shutdown_failed", False) or (lifespan.is_up and lifespan.error is not None):
            raise lifespan.failure("shutdown")

    async def _drain(self, seconds: float) -> None:
        """Return when no connection is open, or *seconds* are over."""
        assert self.loop is not None
        began = self.loop.time()
        end = began + seconds
        #: Since when connections that have had a request have been idle.
        idle: dict[object, float] = {}
        closed_websockets: set[object] = set()
        is_listening = self._accept_error is None
        while True:
            if is_listening:
                self._accept()
            now = self.loop.time()
            deadlines = [end]
            for connection in list(self._connections):
                if is_busy(connection):
                    idle.pop(connection, None)
                    if not hasattr(connection, "cycle") and connection not in closed_websockets:
                        # A WebSocket: uvicorn sends its client a close frame, which the client answers.
                        closed_websockets.add(connection)
                        connection.shutdown()
                    continue
                is_new = connection.cycle is None
                deadline = (
                    self._connections.since[connection] + FIRST_REQUEST
                    if is_new
                    else idle.setdefault(connection, now) + NEXT_REQUEST
                )
                if deadline > now:
                    deadlines.append(deadline)
                else:
                    connection.shutdown()
            is_quiet = not (self._connections or self.server_state.tasks or self._handshakes)
            # The last packet of a handshake may still be on the wire.
            if is_listening and (is_quiet or now >= min(began + NEXT_REQUEST, end)):
                # If descriptors are exhausted, waiting clients are accepted when another connection ends.
                if self._accept() or is_quiet or now >= end:
                    is_listening = False
                    self._listening.close()
                    continue
                deadlines.append(now + ACCEPT_RETRY)
            elif is_quiet or now >= end:
                return
            elif is_listening:
                deadlines.append(began + NEXT_REQUEST)
            self._connection_ended.clear()
            ended = asyncio.ensure_future(self._connection_ended.wait())
            await asyncio.wait(
                [ended, *self.server_state.tasks, *self._handshakes],
                timeout=max(0.0, min(deadlines) - now),
                return_when=asyncio.FIRST_COMPLETED,
            )
            ended.cancel()

    def _begin_to_accept(self) -> None:
        if not self._stopping.is_set():
            assert self.loop is not None
            self.loop.add_reader(self._listening, self._accept)

    def _accept(self) -> bool:
        """Accept the waiting connections, and return whether none is left."""
        assert self.loop is not None
        for _ in range(BACKLOG):
            try:
                accepted, _peer = self._listening.accept()
            except BlockingIOError:
                return True
            except ConnectionError:
                continue  # the client has gone
            except OSError as error:
                with contextlib.suppress(NotImplementedError):
                    self.loop.remove_reader(self._listening)
                if error.errno not in EXHAUSTED:
                    self._accept_error = error
                    self._stopping.set()
                    return True
                # A drain calls accept(2) even if no client waits, and that allocates a descriptor first.
                if not self._stopping.is_set():
                    logging.getLogger("uvicorn.error").error("cannot accept another connection: %s", with_limit(error))  # noqa: TRY400  # its traceback adds nothing
                    self.loop.call_later(ACCEPT_RETRY, self._begin_to_accept)
                return False
            accepted.settimeout(0.0)
            task = self.loop.create_task(
                self.loop.connect_accepted_socket(self._protocol, accepted, ssl=self.config.ssl)
            )
            self._handshakes.add(task)
            task.add_done_callback(self._end_handshake)
        return False

    def _end_handshake(self, task: asyncio.Task[Any]) -> None:
        self._handshakes.discard(task)
        # A failed TLS handshake is treated like a client that has disconnected.
        if not task.cancelled():
            task.exception()

    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        connection: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=self.loop
        )
        return connection
