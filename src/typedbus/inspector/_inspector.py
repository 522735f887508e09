"""The component that shows the process."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import weakref
from collections.abc import Callable, Coroutine, Iterable, Sequence
from http import HTTPStatus
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import attrs

from typedbus._base.failures import traceback_of
from typedbus._bus.builtin import ERROR, EXIT, START
from typedbus._bus.bus import Bus
from typedbus._channels.marks import on
from typedbus._os.forks import after_fork, keeps_buses
from typedbus.inspector._answers import Request, Response, Route, Site, answer, is_host, refusal
from typedbus.inspector._errors import SHORTEST_TOKEN, HostError, HostsNeeded, TokenNeeded
from typedbus.inspector._figures import Figures
from typedbus.inspector._journal import Journal
from typedbus.inspector._page import page_files
from typedbus.inspector._server import PageServer
from typedbus.inspector._snapshot import Snapshots
from typedbus.plugins._asgi_scopes import Receive, Scope, Send, end_other
from typedbus.plugins.health import Health
from typedbus.servers._arguments import parse_bind
from typedbus.servers._binding import listen

#: After `Daemon`, which forks and so needs a process with a single thread.
PRIORITY: Final = 11
_MOUNTED: Final = "a mounted inspector"


@attrs.define(eq=False)
class Inspector:
    """
    Shows the process on a page: its life, components, channels, failures, health, threads, settings and log.

    It only reads, except that a client may call the checks of `Health`. It keeps the last events, failures and messages
    as text from its construction on, until the bus has EXITED. Publishes are counted only while a client shows the
    channels, and for 15 seconds more.

    As a component or with `start` it serves from priority 11 of the start, after `Daemon`, until the exit, so that the
    start and the stop can be watched. A site can also mount `wsgi` or `asgi`. Requests for data need the token in the
    header ``X-Typedbus-Token``, and every request a ``Host`` of this machine or one of *hosts*.

    Args:
        bus: The bus that is shown.
        bind: Where to serve: ``127.0.0.1:port``, ``[::1]:port``, ``unix:/path`` or, with a *token*, any ``host:port``.
            Port 0 means any free port. None does not serve, for an inspector that is only mounted.
        token: The secret of its clients, at least 16 characters. By default it is random, and in the message on `LOG`
            with the address of the page.
        hosts: The hosts under which clients reach it, beside those of this machine: ``"shop.example.com"`` for any
            port, or ``"shop.example.com:8443"``.
        health: Returns the `Health` whose probes are shown; by default one of its own. In a container pass
            ``health.lazy``, so that the inspector does not depend on it and starts early.

    Raises:
        SettingError: *bind* is not an address.
        TokenNeeded: *token* is too short, or missing for an address beyond this machine, or for `wsgi` and `asgi`.
        HostsNeeded: *bind* is every interface, and there are no *hosts*.
        HostError: One of *hosts* is not a host.
    """

    bus: Bus
    bind: str | None = attrs.field(default="127.0.0.1:0", kw_only=True)
    token: str | None = attrs.field(default=None, kw_only=True, repr=False)
    hosts: Sequence[str] = attrs.field(default=(), kw_only=True)
    health: Callable[[], Health] | None = attrs.field(default=None, kw_only=True)
    _journal: Journal = attrs.field(init=False, repr=False)
    _figures: Figures = attrs.field(init=False, repr=False)
    _snapshots: Snapshots = attrs.field(init=False, repr=False)
    _site: Site = attrs.field(init=False, repr=False)
    _server: PageServer | None = attrs.field(init=False, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        hosts = (self.hosts,) if isinstance(self.hosts, str) else self.hosts
        for host in hosts:
            if not is_host(host):
                raise HostError(host)
        named = [host.lower() for host in hosts]
        if self.token is not None:
            _refuse_weak(self.token, "an inspector")
        if self.bind is not None:
            target = parse_bind(self.bind)
            if isinstance(target, tuple) and not _is_loopback(target[0]):
                if self.token is None:
                    raise TokenNeeded(f"an inspector on {self.bind!r}", "can be reached from other machines")
                if target[0] in ("", "0.0.0.0", "::"):  # noqa: S104  # not bound here
                    if not named:
                        raise HostsNeeded(self.bind)
                else:
                    named.append(f"[{target[0]}]".lower() if ":" in target[0] else target[0].lower())
        self._journal, self._figures = Journal(self.bus), Figures(self.bus)
        snapshots = self._snapshots = Snapshots(self.bus, self._journal, self._figures, self.health)
        self._site = Site(
            token=secrets.token_urlsafe(32) if self.token is None else self.token,
            hosts=frozenset(named),
            files=page_files(),
            routes={
                "snapshot": Route("GET", snapshots.snapshot),
                "failures/": Route("GET", snapshots.failure),
                "start": Route("GET", snapshots.start),
                "graph": Route("GET", snapshots.graph),
                "threads": Route("GET", snapshots.threads),
                "settings": Route("GET", snapshots.settings),
                "health": Route("GET", snapshots.health),
                "probe": Route("POST", snapshots.probe),
            },
        )
        _ALL.add(self)

    @property
    def url(self) -> str | None:
        """The address of the page, without the token; None while it does not serve, and for a Unix socket."""
        server = self._server
        return None if server is None or server.port is None else f"http://{server.listening.where}/"

    @on(START, priority=PRIORITY, inline=True)
    def start(self) -> None:
        """
        Begin to serve, and log the address; does nothing if it serves already, or with ``bind=None``.

        Raises:
            BindError: The operating system refuses the address.
            OutOfThreads: The system cannot start another thread.
        """
        if self._server is not None or self.bind is None:
            return
        server = PageServer(self.bus, listen(self.bind, 0o600), self._answer, self._figures.end)
        server.start()
        self._server = server
        where = self.url or server.listening.where
        if self.token is None:
            self.bus.log(f"inspector: {where}#{self._site.token}")
        else:
            self.bus.log(f"inspector: {where}")

    @on(EXIT, priority=PRIORITY)
    def close(self) -> None:
        """End the server and the counting of publishes, if there are any."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        self._figures.end()

    @property
    def wsgi(self) -> WSGIApplication:
        """
        A WSGI application with the page and its data, mounted in an application.

        Raises:
            TokenNeeded: The inspector has no *token* of its own.
        """
        self._refuse_without_token()

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            headers = {
                name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
                for name, value in environ.items()
                if name.startswith("HTTP_") or (name == "CONTENT_LENGTH" and value)
            }
            request = Request(
                method=environ["REQUEST_METHOD"],
                path=environ.get("PATH_INFO", ""),
                headers=headers,
                query=environ.get("QUERY_STRING", ""),
                mount=environ.get("SCRIPT_NAME", ""),
            )
            response = self._answer(request)
            start_response(f"{response.status} {HTTPStatus(response.status).phrase}", response.headers)
            return [response.body]

        return app

    @property
    def asgi(self) -> Callable[[Scope, Receive, Send], Coroutine[object, object, None]]:
        """The same as `wsgi`, as an ASGI application for asyncio; it answers in threads of the loop's executor."""
        self._refuse_without_token()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await end_other(scope, receive, send)
                return
            response = await asyncio.to_thread(self._answer, _request_of(scope))
            raw = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.headers]
            await send({"type": "http.response.start", "status": response.status, "headers": raw})
            await send({"type": "http.response.body", "body": response.body})

        return app

    def forget_parent(self) -> None:
        """Reset in a forked child, which has none of the threads of its parent; called for each inspector."""
        server, self._server = self._server, None
        if server is not None:
            server.abandon()
        self._journal.renew_lock()
        self._snapshots.renew_lock()
        self._figures.forget()

    def _answer(self, request: Request) -> Response:
        try:
            return answer(self._site, request)
        except Exception as error:
            # A traceback may have data of the site, so it is only in the log.
            self.bus.log(f"inspector: {request.path} failed\n{traceback_of(error)}", ERROR)
            return refusal(500, f"{type(error).__name__}; the log has the traceback")

    def _refuse_without_token(self) -> None:
        if self.token is None:
            raise TokenNeeded(_MOUNTED, "can be reached by the clients of the site")


_ALL: Final[weakref.WeakSet[Inspector]] = weakref.WeakSet()


def _forget_parent() -> None:
    if not keeps_buses():
        for inspector in list(_ALL):
            inspector.forget_parent()


after_fork(_forget_parent)


def _request_of(scope: Scope) -> Request:
    raw: object = scope["headers"]
    assert isinstance(raw, Iterable)
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    mount, query = str(scope.get("root_path", "")), scope.get("query_string", b"")
    assert isinstance(query, bytes)
    return Request(
        method=str(scope["method"]),
        # Servers differ in whether the path includes the mount point.
        path=str(scope["path"]).removeprefix(mount),
        headers=headers,
        query=query.decode("latin-1"),
        mount=mount,
    )


def _refuse_weak(token: str, where: str) -> None:
    is_printable = isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token
    if not is_printable or len(token) < SHORTEST_TOKEN:
        raise TokenNeeded(where, "has a token that is too short or has other characters")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
