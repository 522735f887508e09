"""The ASGI application that passes connections to mounted applications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from typedbus._bus.builtin import START
from typedbus._bus.bus import Bus
from typedbus._channels.bound import BoundChannel
from typedbus._channels.marks import on
from typedbus.servers._arguments import check_threads
from typedbus.servers._lifespan import ASGIApp
from typedbus.servers._mount import NOT_FOUND, PRIORITY, ASGIMount, Mount, Route, collect_mounts, longest_first
from typedbus.servers._mount_errors import NoBridge, NotMounted

if TYPE_CHECKING:
    from typedbus.servers._wsgi_under_asgi import Workers

#: The key of the states of all mounted applications, in the state of the server's lifespan.
_STATES: Final = "typedbus.servers.mounts"


@attrs.define(eq=False)
class ASGIDispatcher:
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

    bus: Bus
    mounts: BoundChannel[[], Mount]
    threads: int = attrs.field(default=10, validator=check_threads, kw_only=True)
    _table: list[Route] | None = attrs.field(default=None, init=False, repr=False)
    _asgi_apps: Sequence[tuple[str, ASGIApp]] = attrs.field(default=(), init=False, repr=False)
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
        mounts = collect_mounts(self.mounts)
        routes: list[Route] = []
        for mount in mounts:
            prefix = mount.path.rstrip("/")
            if isinstance(mount, ASGIMount):
                routes.append(Route(prefix, mount.app))
                continue
            try:
                from typedbus.servers._wsgi_under_asgi import Workers, asgi_from_wsgi
            except ModuleNotFoundError as error:
                if error.name != "a2wsgi":
                    raise
                raise NoBridge(mount.path, "WSGI") from error
            if self._workers is None:
                self._workers = Workers(self.bus, self.threads)
            routes.append(Route(prefix, asgi_from_wsgi(mount.app, self._workers), is_wsgi=True))
        self._asgi_apps = [(mount.path, mount.app) for mount in mounts if isinstance(mount, ASGIMount)]
        self._table = longest_first(routes)

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
            await self._run_lifespan(scope, receive, send)
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
                await route.app(_inner_scope(route, scope, root, inner), receive, send)
                return
        if kind == "websocket":
            await receive()
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close"})
                return
        elif kind != "http":
            raise NotImplementedError(f"cannot serve a connection of type {kind!r}")
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(NOT_FOUND))]
        start = "websocket.http.response.start" if kind == "websocket" else "http.response.start"
        body = "websocket.http.response.body" if kind == "websocket" else "http.response.body"
        await send({"type": start, "status": 404, "headers": headers})
        await send({"type": body, "body": b"" if scope.get("method") == "HEAD" else NOT_FOUND})

    async def _run_lifespan(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Go through the lifespans of the applications between the messages of the server."""
        from typedbus.servers._mounted import Lifespans, text_of

        phase = "startup"
        lifespans = Lifespans(self._asgi_apps, scope)
        try:
            await receive()
            if self._table is None:
                raise NotMounted  # noqa: TRY301  # reported to the server like a failure of an application
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


def _inner_scope(route: Route, scope: MutableMapping[str, Any], root: str, path: str) -> dict[str, Any]:
    """Return the *scope* of a connection, for the application of *route*."""
    inner_scope = {**scope, "root_path": root + route.prefix, "path": root + path}
    if inner_scope["path"] != scope["path"] and scope.get("raw_path") is not None:
        inner_scope["raw_path"] = quote(root).encode() + scope["raw_path"]
    if _STATES in scope.get("state", {}):
        state = dict(scope["state"])
        inner_scope["state"] = state | state.pop(_STATES)[route.prefix or "/"] if not route.is_wsgi else state
    return inner_scope
