"""The WSGI application that passes requests to mounted applications."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent import futures
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import attrs

from typedbus._base.errors import StartCancelled
from typedbus._base.events import Moved
from typedbus._base.states import State
from typedbus._bus.builtin import MOVED, START
from typedbus._bus.bus import Bus
from typedbus._channels.bound import BoundChannel
from typedbus._channels.marks import on
from typedbus.servers._mount import (
    NOT_FOUND,
    PRIORITY,
    ASGIMount,
    Mount,
    Route,
    WSGIMount,
    collect_mounts,
    longest_first,
)
from typedbus.servers._mount_errors import NoBridge, NotMounted
from typedbus.servers._shared_loop import loop_to_share, refuse_on_loop
from typedbus.servers._start_outcome import StartOutcome

if TYPE_CHECKING:
    from typedbus.servers._asgi_under_wsgi import LoopThread, SharedLoop
    from typedbus.servers._mounted import Lifespans


@attrs.define(eq=False)
class WSGIDispatcher:
    """
    A WSGI application that passes each request to the application that is mounted at its path.

    Its start, at priority 70, collects the mounts, and its stop drops them. Of the mounts that match a request, the
    mount with the longest path gets it; that path moves from ``PATH_INFO`` to the end of ``SCRIPT_NAME`` (PEP 3333).
    A request that matches no mount is answered with 404.

    ASGI applications need a2wsgi: ``pip install "typedbus[mounts]"``. They serve only HTTP: on the event loop of the
    bus if there is one, as for `ASGIServer`, otherwise in an event loop in a thread of the dispatcher. Their lifespans
    are a part of its start, in the order of the mounts, and of its stop, in reverse order. The dispatcher may be called
    from any thread.

    Args:
        bus: Owns the thread of the event loop.
        mounts: The channel on *bus* whose listeners return the mounts: `MOUNT`, or another one for a second site.
    """

    bus: Bus
    mounts: BoundChannel[[], Mount]
    _table: list[Route] | None = attrs.field(default=None, init=False, repr=False)
    _loop: LoopThread | SharedLoop | None = attrs.field(default=None, init=False, repr=False)
    _lifespans: Lifespans | None = attrs.field(default=None, init=False, repr=False)
    _startup: futures.Future[None] | None = attrs.field(default=None, init=False, repr=False)

    @on(START, priority=PRIORITY)
    def start(self) -> None:
        """
        Collect the mounts, and start the lifespans of ASGI applications.

        Raises:
            ChannelFailures: A component failed to return its mount.
            MountConflict: Two applications have the same path.
            MountError: A component returned an object that is not a mount.
            MountFailed: An ASGI application did not start; those before it were shut down.
            LoopError: The caller runs on the event loop of the bus, on which ASGI applications would start.
            NoBridge: There is an ASGI application, and a2wsgi is not installed.
            OutOfThreads: The system starts no further thread.
            StartCancelled: The start of the bus was cancelled while an ASGI application started.
            ExceptionGroup: An ASGI application did not start, and one before it failed to shut down.
        """
        mounts = collect_mounts(self.mounts)
        asgi = [mount for mount in mounts if isinstance(mount, ASGIMount)]
        apps: dict[str, WSGIApplication] = {mount.path: mount.app for mount in mounts if isinstance(mount, WSGIMount)}
        if asgi:
            try:
                from typedbus.servers._asgi_under_wsgi import LoopThread, SharedLoop, wsgi_from_asgi
            except ModuleNotFoundError as error:
                if error.name != "a2wsgi":
                    raise
                raise NoBridge(asgi[0].path, "ASGI") from error
            from typedbus.servers._mounted import Lifespans

            lifespans = Lifespans(
                [(mount.path, mount.app) for mount in asgi], {"asgi": {"version": "3.0"}, "state": {}}
            )
            shared = loop_to_share(self.bus)
            if shared is None:
                loop: LoopThread | SharedLoop = LoopThread(self.bus)
            else:
                refuse_on_loop(self.bus, "dispatcher.start()", "write await bus.start_async()")
                loop = SharedLoop(shared.get("dispatcher.start()"), lifespans)
            startup = self._startup = loop.submit(lifespans.startup())
            try:
                outcome = StartOutcome(self.bus)
                startup.add_done_callback(lambda future: outcome.put(None))
                outcome.get(cancel=startup.cancel)
                startup.result()
            except BaseException as error:
                startup.cancel()
                loop.end()
                if isinstance(error, futures.CancelledError):
                    raise StartCancelled(State.STOPPED) from None
                raise
            finally:
                self._startup = None
            self._loop, self._lifespans = loop, lifespans
            for mount in asgi:
                apps[mount.path] = wsgi_from_asgi(mount.app, self.bus, loop.loop, lifespans.states[mount.path])
        # In WSGI each character of a path represents a byte.
        self._table = longest_first(Route(path.rstrip("/").encode().decode("latin-1"), apps[path]) for path in apps)

    @on(MOVED)
    def give_up(self, moved: Moved) -> None:
        """End a start that still waits for a lifespan after the bus has abandoned it."""
        startup = self._startup
        if moved.after is State.STOPPING and startup is not None:
            startup.cancel()

    def stop(self) -> None:
        """
        Drop the mounts, and end the lifespans of ASGI applications.

        Raises:
            MountFailed: An ASGI application failed in its shutdown; the rest were shut down.
            ExceptionGroup: Several applications failed.
            LoopError: The event loop of the applications has ended before the stop, or it calls the caller.
        """
        if self._lifespans is not None:
            refuse_on_loop(self.bus, "dispatcher.stop()", "write await bus.stop_async()")
        self._table = None
        loop, self._loop = self._loop, None
        lifespans, self._lifespans = self._lifespans, None
        if loop is not None and lifespans is not None:
            try:
                loop.call(lifespans.shutdown)
            finally:
                loop.end()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """
        Answer one request.

        Raises:
            LoopError: The caller runs on the event loop on which an ASGI application would have to answer.
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
                response: Iterable[bytes] = route.app(environ, start_response)
                return response
        start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", str(len(NOT_FOUND)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [NOT_FOUND]
