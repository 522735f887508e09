"""
A server of WSGI applications, on cheroot.

cheroot parses requests and writes responses. This module accepts connections, waits
for requests, assigns threads and closes connections, since cheroot's own loop
notices a stop only after half a second, closes connections whose request has
arrived but was not read, resets connections that wait to be accepted, and waits for
ever for a thread that hangs.

The thread of `serve` watches all idle connections; a connection on which data has
arrived is passed to one of *threads*, which returns it after the response. The loop
sleeps until a connection, a thread or `drain` wakes it.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Final
from wsgiref.types import WSGIApplication

import attrs

from typedbus._bus.bus import Bus
from typedbus._os.exhausted import named, start_thread
from typedbus.servers._binding import BACKLOG
from typedbus.servers._contract import FIRST, FULL, NEXT, PAUSE
from typedbus.servers._http import HTTP, Connection

#: How long a client may take to end a connection that the server has ended, in seconds. If the server closed it at
#: once, further data of the client would cause a reset, and its system would drop the response (RFC 9112, section 9.6).
LINGERING: Final = 1.0
_PIECE: Final = 1 << 16


@attrs.define(eq=False)
class _Waiting:
    """Since when a connection has been silent, and whether no data has ever arrived on it."""

    since: float
    is_new: bool


class Loop:
    """One run of a WSGI server; fulfils the contract `Serves`."""

    _selector: selectors.BaseSelector
    _woken: socket.socket

    def __init__(self, bus: Bus, app: WSGIApplication, threads: int, timeout: float) -> None:
        self._bus = bus
        self._http = HTTP(app, bus.log, timeout)
        self._threads = [threading.Thread(target=self._respond, name=f"wsgi {i}", daemon=True) for i in range(threads)]
        self._timeout = timeout
        #: None until `serve` is about to check for the first time whether it must drain.
        self._waker: socket.socket | None = None
        self._work: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()
        #: Connections after a response, and whether they stay open: from the threads to the loop.
        self._back: collections.deque[tuple[Connection, bool]] = collections.deque()
        # Only the loop uses this and all below. Both dicts are in order of time, since entries are added at the end.
        self._given: set[Connection] = set()
        self._waiting: dict[Connection, _Waiting] = {}
        self._lingering: dict[Connection, float] = {}
        #: When to accept again, if there were no resources for another connection.
        self._resume: float | None = None
        self._seconds: float | None = None
        #: Begin and end of the drain, once it has begun.
        self._draining: tuple[float, float] | None = None
        self._has_ended = False

    def drain(self, seconds: float) -> None:
        self._seconds = seconds
        self._wake()

    def serve(self, listening: socket.socket, ready: Callable[[], None]) -> int:
        name = listening.getsockname()
        self._http.bind_addr = name[:2] if isinstance(name, tuple) else os.fsdecode(name)
        # Opened only here: a start may end before this thread runs.
        with contextlib.ExitStack() as opened:
            self._selector = opened.enter_context(selectors.DefaultSelector())
            self._woken, waker = map(opened.enter_context, socket.socketpair())
            waker.settimeout(0.0)
            self._waker = waker
            try:
                for thread in self._threads:
                    self._bus.own(thread)
                    start_thread(thread)
                self._selector.register(listening, selectors.EVENT_READ)
                self._selector.register(self._woken, selectors.EVENT_READ)
                ready()
                return self._go_round(listening, over_network=isinstance(name, tuple))
            finally:
                self._end()

    def _end(self) -> None:
        """Close every connection, and end the threads."""
        self._has_ended = True
        for connection in [*self._waiting, *self._lingering, *(back for back, _ in self._back)]:
            _close(connection)
        for connection in self._given:
            # Its thread is busy, and closes it as soon as the application returns.
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
        for _ in self._threads:
            self._work.put(None)
        if not self._given:
            for thread in self._threads:
                # If the system refused to start further threads, the last threads were not started.
                if thread.ident is not None:
                    thread.join()

    def _go_round(self, listening: socket.socket, *, over_network: bool) -> int:
        """Serve until a drain is over, and return how many requests were not answered by then."""
        is_listening = True
        while True:
            now = time.monotonic()
            if self._seconds is not None and self._draining is None:
                self._http.is_stopping = True
                self._draining = (now, now + self._seconds)
                self._accept(listening)
            self._take_back(now)
            due = self._close_silent(now)
            if self._resume is not None and now >= self._resume:
                self._resume = None
                self._selector.register(listening, selectors.EVENT_READ)
            if self._draining is not None:
                began, end = self._draining
                is_quiet = not (self._given or self._waiting or self._lingering)
                # The last packet of a handshake may still be on the wire; a Unix socket has no such delay.
                if is_listening and (is_quiet or not over_network or now >= min(began + NEXT, end)):
                    # If descriptors are exhausted, waiting clients are accepted when another connection ends.
                    if self._accept(listening) or is_quiet or now >= end:
                        if self._resume is None:
                            self._selector.unregister(listening)
                        is_listening, self._resume = False, None
                        listening.close()
                        continue
                elif is_quiet or now >= end:
                    return len(self._given)
                due.append(min(began + NEXT, end) if is_listening and now < began + NEXT else end)
            if self._resume is not None:
                due.append(self._resume)
            for key, _ in self._selector.select(max(0.0, min(due) - now) if due else None):
                if key.fileobj is listening:
                    self._accept(listening)
                elif key.fileobj is self._woken:
                    self._woken.recv(_PIECE)
                elif key.data in self._lingering:
                    try:
                        is_over = not key.data.socket.recv(_PIECE)
                    except OSError as error:
                        is_over = not isinstance(error, BlockingIOError)
                    if is_over:
                        self._let_go(key.data)
                else:
                    del self._waiting[key.data]
                    self._selector.unregister(key.fileobj)
                    self._give(key.data)

    def _accept(self, listening: socket.socket) -> bool:
        """Accept the waiting connections, and return whether none is left; a thread gets each when it has a request."""
        for _ in range(BACKLOG):
            try:
                accepted, peer = listening.accept()
            except BlockingIOError:
                return True
            except ConnectionError:
                continue  # the client has gone
            except OSError as error:
                if error.errno not in FULL:
                    raise
                if self._resume is None:
                    # A drain calls accept(2) even if no client waits, and that allocates a descriptor first.
                    if self._draining is None:
                        self._bus.log(f"cannot accept another connection: {named(error)}", logging.ERROR)
                    self._selector.unregister(listening)
                    self._resume = time.monotonic() + PAUSE
                return False
            accepted.settimeout(self._timeout)
            connection = self._http.connection(accepted, peer)
            self._waiting[connection] = _Waiting(time.monotonic(), is_new=True)
            self._selector.register(accepted, selectors.EVENT_READ, connection)
        return False

    def _give(self, connection: Connection) -> None:
        self._given.add(connection)
        self._work.put(connection)

    def _take_back(self, now: float) -> None:
        while self._back:
            connection, stays_open = self._back.popleft()
            self._given.discard(connection)
            if stays_open and connection.rfile.has_data():
                self._give(connection)
            elif stays_open:
                self._waiting[connection] = _Waiting(now, is_new=False)
                self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            else:
                try:
                    connection.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    _close(connection)
                    continue
                connection.socket.settimeout(0.0)
                self._lingering[connection] = now + LINGERING
                self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _close_silent(self, now: float) -> list[float]:
        """Close connections that were silent for too long, and return when the next connections must be closed."""
        due, over = [], []
        for connection, waiting in self._waiting.items():
            until = waiting.since + self._timeout
            if self._draining is not None:
                began, end = self._draining
                until = min(end, waiting.since + FIRST if waiting.is_new else max(waiting.since, began) + NEXT)
            if until <= now:
                over.append(connection)
                continue
            due.append(until)
            if self._draining is None:
                break
        for connection, until in self._lingering.items():
            if until > now:
                due.append(until)
                break
            over.append(connection)
        for connection in over:
            self._let_go(connection)
        return due

    def _let_go(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)
        self._lingering.pop(connection, None)
        self._selector.unregister(connection.socket)
        _close(connection)

    def _respond(self) -> None:
        """Answer the connections from the loop, in one of the threads."""
        while (connection := self._work.get()) is not None:
            stays_open = False
            try:
                stays_open = connection.communicate()
            except Exception as error:
                self._http.error_log(repr(error), logging.ERROR, traceback=True)
            except BaseException as leaving:
                # The application calls sys.exit(): `Bus.block` raises it, after the other requests are answered.
                self._bus.request_exit(leaving)
            self._back.append((connection, stays_open))
            self._wake()
            if self._has_ended:
                _close(connection)

    def _wake(self) -> None:
        # A full buffer wakes the loop anyway, and a closed socket has no loop to wake.
        if self._waker is not None:
            with contextlib.suppress(OSError):
                self._waker.send(b"\0")


def _close(connection: Connection) -> None:
    # The client may have closed or reset it first.
    with contextlib.suppress(OSError):
        connection.close()
    # cheroot leaves this file, with unsent data, to the garbage collector, which would report an error.
    with contextlib.suppress(OSError):
        connection.wfile.close()
