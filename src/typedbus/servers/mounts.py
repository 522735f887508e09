"""
A site of several applications, each mounted at a path, of any framework.

Components contribute by listening to `MOUNT`: a listener returns an application and its path. A dispatcher, which
depends on no framework, publishes `MOUNT` once in each start of the bus, and then passes each request to the
application with the longest path that matches. `WSGIDispatcher` and `ASGIDispatcher` are applications themselves: a
server component serves them, and so does a server that hosts the bus.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from concurrent import futures
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import attrs

from typedbus._base.errors import StartCancelled
from typedbus._base.events import Moved
from typedbus._base.exports import export
from typedbus._base.states import State
from typedbus._bus.bus import Bus
from typedbus._bus.registry import MOVED, START
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import on
from typedbus.servers._arguments import check_threads
from typedbus.servers._lifespan import ASGIApp
from typedbus.servers._mount import MOUNT, ASGIMount, Mount, Route, WSGIMount, by_length, collected
from typedbus.servers._mount_errors import MountConflict, MountError, MountFailed, NoBridge, NotMounted
from typedbus.servers._start_outcome import StartOutcome

if TYPE_CHECKING:
    from typedbus.servers._asgi_under_wsgi import LoopThread
    from typedbus.servers._mounted import Lifespans
    from typedbus.servers._wsgi_under_asgi import Workers

__all__ = (
    "MOUNT",
    "ASGIDispatcher",
    "ASGIMount",
    "Mount",
    "MountConflict",
    "MountError",
    "MountFailed",
    "NoBridge",
    "NotMounted",
    "WSGIDispatcher",
    "WSGIMount",
)

#: After the components at the default priority, which have their applications by then, and before servers.
PRIORITY: Final = 70
_STATES: Final = "typedbus.servers.mounts"
_BODY: Final = b"Not Found\n"


@attrs.define(eq=False)
class _Dispatcher:
    """The fields of both dispatchers: a bus, and the channel on it that collects the mounts."""

    bus: Bus
    mounts: BoundChannel[[], Mount]


@attrs.define(eq=False)
class WSGIDispatcher(_Dispatcher):
    """
    A WSGI application that passes each request to the application that is mounted at its path.

    Its start, at priority 70, collects the mounts, and its stop drops them. Of the mounts that match a request, the
    mount with the longest path gets it; that path moves from ``PATH_INFO`` to the end of ``SCRIPT_NAME`` (PEP 3333).
    A request that matches no mount is answered with 404.

    ASGI applications need a2wsgi: ``pip install "typedbus[mounts]"``. They serve only HTTP, in an event loop in a
    thread of the dispatcher. Their lifespans are a part of its start, in the order of the mounts, and of its stop, in
    reverse order. The dispatcher may be called from any thread.

    Args:
        bus: Owns the thread of the event loop.
        mounts: The channel on *bus* whose listeners return the mounts: `MOUNT`, or another one for a second site.
    """

    _table: list[Route] | None = attrs.field(default=None, init=False, repr=False)
    _thread: LoopThread | None = attrs.field(default=None, init=False, repr=False)
    _lifespans: Lifespans | None = attrs.field(default=None, init=False, repr=False)
    _starting: futures.Future[None] | None = attrs.field(default=None, init=False, repr=False)

    @on(START, priority=PRIORITY)
    def start(self) -> None:
        """
        Collect the mounts, and start the lifespans of ASGI applications.

        Raises:
            ChannelFailures: A component failed to return its mount.
            MountConflict: Two applications have the same path.
            MountError: A component returned an object that is not a mount.
            MountFailed: An ASGI application did not start; those before it were shut down.
            NoBridge: There is an ASGI application, and a2wsgi is not installed.
            OutOfThreads: The system starts no further thread.
            StartCancelled: The start of the bus was broken off while an ASGI application started.
            ExceptionGroup: An ASGI application did not start, and one before it failed to shut down.
        """
        mounts = collected(self.mounts)
        asgi = [mount for mount in mounts if isinstance(mount, ASGIMount)]
        apps: dict[str, WSGIApplication] = {mount.path: mount.app for mount in mounts if isinstance(mount, WSGIMount)}
        if asgi:
            try:
                from typedbus.servers._asgi_under_wsgi import LoopThread, wsgi_from_asgi
            except ModuleNotFoundError as missing:
                if missing.name != "a2wsgi":
                    raise
                raise NoBridge(asgi[0].path, "ASGI") from missing
            from typedbus.servers._mounted import Lifespans

            lifespans = Lifespans(
                [(mount.path, mount.app) for mount in asgi], {"asgi": {"version": "3.0"}, "state": {}}
            )
            thread = LoopThread(self.bus)
            starting = self._starting = thread.submit(lifespans.startup())
            try:
                outcome = StartOutcome(self.bus)
                starting.add_done_callback(lambda future: outcome.put(None))
                outcome.get(cancel=starting.cancel)
                starting.result()
            except BaseException as error:
                starting.cancel()
                thread.end()
                if isinstance(error, futures.CancelledError):
                    raise StartCancelled(State.STOPPED) from None
                raise
            finally:
                self._starting = None
            self._thread, self._lifespans = thread, lifespans
            for mount in asgi:
                apps[mount.path] = wsgi_from_asgi(mount.app, thread.loop, lifespans.states[mount.path])
        # In WSGI each character of a path represents a byte.
        self._table = by_length(Route(path.rstrip("/").encode().decode("latin-1"), apps[path]) for path in apps)

    @on(MOVED)
    def give_up(self, moved: Moved) -> None:
        """Break off a start that still waits for a lifespan after the bus has abandoned it."""
        starting = self._starting
        if moved.after is State.STOPPING and starting is not None:
            starting.cancel()

    def stop(self) -> None:
        """
        Drop the mounts, and end the lifespans of ASGI applications.

        Raises:
            MountFailed: An ASGI application failed in its shutdown; the rest were shut down.
            ExceptionGroup: Several applications failed.
        """
        self._table = None
        thread, self._thread = self._thread, None
        lifespans, self._lifespans = self._lifespans, None
        if thread is not None and lifespans is not None:
            try:
                thread.submit(lifespans.shutdown()).result()
            finally:
                thread.end()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """
        Answer one request.

        Raises:
            NotMounted: The bus has not started the dispatcher, or has stopped it.
        """
        table = self._table
        if table is None:
            raise NotMounted
        path: str = environ.get("PATH_INFO", "")
        for route in table:
            if route.takes(path):
                environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + route.prefix
                environ["PATH_INFO"] = path[len(route.prefix) :]
                answer: Iterable[bytes] = route.app(environ, start_response)
                return answer
        start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", str(len(_BODY)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [_BODY]


@attrs.define(eq=False)
class ASGIDispatcher(_Dispatcher):
    """
    An ASGI application that passes each connection to the application that is mounted at its path.

    Its start, at priority 70, collects the mounts, and its stop drops them. Of the mounts that match an HTTP request
    or a WebSocket, the mount with the longest path gets it; that path is appended to ``root_path``, and ``path`` stays
    whole, as ASGI specifies. A connection that matches no mount is answered with 404.

    Each ASGI application has its own lifespan, with its own state, inside the lifespan of the server. Applications
    start in the order of the mounts and shut down in reverse; support of the lifespan is optional.

    WSGI applications need a2wsgi: ``pip install "typedbus[mounts]"``. They are called in threads of the
    dispatcher, which the bus owns and the stop ends. An application that calls `sys.exit` exits the bus.

    Args:
        bus: Owns the threads.
        mounts: The channel on *bus* whose listeners return the mounts: `MOUNT`, or another one for a second site.
        threads: How many requests to WSGI applications are answered concurrently.

    Raises:
        SettingError: *threads* is not a whole number from 1 up.
    """

    threads: int = attrs.field(default=10, validator=check_threads, kw_only=True)
    _table: list[Route] | None = attrs.field(default=None, init=False, repr=False)
    _asgi: Sequence[tuple[str, ASGIApp]] = attrs.field(default=(), init=False, repr=False)
    _workers: Workers | None = attrs.field(default=None, init=False, repr=False)

    @on(START, priority=PRIORITY)
    def start(self) -> None:
        """
        Collect the mounts, and start the threads for WSGI applications if there are any.

        Raises:
            ChannelFailures: A component failed to return its mount.
            MountConflict: Two applications have the same path.
            MountError: A component returned an object that is not a mount.
            NoBridge: There is a WSGI application, and a2wsgi is not installed.
            OutOfThreads: The system starts no further thread; those that were started have ended.
        """
        mounts = collected(self.mounts)
        routes: list[Route] = []
        for mount in mounts:
            prefix = mount.path.rstrip("/")
            if isinstance(mount, ASGIMount):
                routes.append(Route(prefix, mount.app))
                continue
            try:
                from typedbus.servers._wsgi_under_asgi import Workers, asgi_from_wsgi
            except ModuleNotFoundError as missing:
                if missing.name != "a2wsgi":
                    raise
                raise NoBridge(mount.path, "WSGI") from missing
            if self._workers is None:
                self._workers = Workers(self.bus, self.threads)
            routes.append(Route(prefix, asgi_from_wsgi(mount.app, self._workers), is_wsgi=True))
        self._asgi = [(mount.path, mount.app) for mount in mounts if isinstance(mount, ASGIMount)]
        self._table = by_length(routes)

    def stop(self) -> None:
        """Drop the mounts, and end the threads; a thread that still runs an application ends after the call."""
        self._table = None
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.end()

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """
        Answer one connection, or go through the lifespan of the server.

        Raises:
            NotMounted: The bus has not started the dispatcher, or has stopped it.
            MountFailed: An application failed in its lifespan; the server has received its message.
            ExceptionGroup: Several applications failed.
        """
        kind: str = scope["type"]
        if kind == "lifespan":
            await self._live(scope, receive, send)
            return
        table = self._table
        if table is None:
            raise NotMounted
        root: str = scope.get("root_path", "").rstrip("/")
        path: str = scope["path"]
        # Servers differ in whether the path begins with the root path. ASGI requires it, and it does from here on.
        inner = path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path
        for route in table:
            if route.takes(inner) and (kind == "http" or not route.is_wsgi):
                await route.app(_scope_below(route, scope, root, inner), receive, send)
                return
        if kind == "websocket":
            await receive()
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close"})
                return
        elif kind != "http":
            raise NotImplementedError(f"cannot serve a connection of type {kind!r}")
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_BODY))]
        start = "websocket.http.response.start" if kind == "websocket" else "http.response.start"
        body = "websocket.http.response.body" if kind == "websocket" else "http.response.body"
        await send({"type": start, "status": 404, "headers": headers})
        await send({"type": body, "body": b"" if scope.get("method") == "HEAD" else _BODY})

    async def _live(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Go through the lifespans of the applications between the messages of the server."""
        from typedbus.servers._mounted import Lifespans, text_of

        phase = "startup"
        lifespans = Lifespans(self._asgi, scope)
        try:
            await receive()
            if self._table is None:
                raise NotMounted  # noqa: TRY301  # the server is sent it like a failure of an application
            await lifespans.startup()
            if "state" in scope:
                scope["state"][_STATES] = lifespans.states
            await send({"type": "lifespan.startup.complete"})
            await receive()
            phase = "shutdown"
            await lifespans.shutdown()
            await send({"type": "lifespan.shutdown.complete"})
        except Exception as error:
            await send({"type": f"lifespan.{phase}.failed", "message": text_of(error)})
            # The server logs it with its traceback, and `ASGIServer` raises it from the start or the stop.
            raise
        finally:
            await lifespans.cancel()


def _scope_below(route: Route, scope: MutableMapping[str, Any], root: str, path: str) -> dict[str, Any]:
    """Return the *scope* of a connection, for the application of *route*."""
    below = {**scope, "root_path": root + route.prefix, "path": root + path}
    if below["path"] != scope["path"] and scope.get("raw_path") is not None:
        below["raw_path"] = quote(root).encode() + scope["raw_path"]
    if _STATES in scope.get("state", {}):
        state = dict(scope["state"])
        below["state"] = state | state.pop(_STATES)[route.prefix or "/"] if not route.is_wsgi else state
    return below


export(globals())
