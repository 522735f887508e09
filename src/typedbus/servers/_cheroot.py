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
from typedbus._os.exhausted import start_thread, with_limit
from typedbus.servers._binding import BACKLOG
from typedbus.servers._contract import ACCEPT_RETRY, EXHAUSTED, FIRST_REQUEST, NEXT_REQUEST
from typedbus.servers._http import HTTP, Connection

#: How long a client may take to end a connection that the server has ended, in seconds. If the server closed it at
#: once, further data of the client would cause a reset, and its system would drop the response (RFC 9112, section 9.6).
LINGERING: Final = 1.0
_CHUNK: Final = 1 << 16


@attrs.define(eq=False)
class _Idle:
    """Since when a connection has been silent, and whether no data has ever arrived on it."""

    since: float
    is_new: bool


class Loop:
    """One run of a WSGI server; fulfils the contract `Serves`."""

    _selector: selectors.BaseSelector
    _wake_receiver: socket.socket

    def __init__(self, bus: Bus, app: WSGIApplication, threads: int, timeout: float) -> None:
        self._bus = bus
        self._http = HTTP(app, bus.log, timeout)
        self._threads = [threading.Thread(target=self._respond, name=f"wsgi {i}", daemon=True) for i in range(threads)]
        self._timeout = timeout
        #: None until `serve` is about to check for the first time whether it must drain.
        self._wake_sender: socket.socket | None = None
        self._requests: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()
        #: Connections after a response, and whether they stay open: from the threads to the loop.
        self._returned: collections.deque[tuple[Connection, bool]] = collections.deque()
        # Only the loop uses this and all below. Both dicts are in order of time, since entries are added at the end.
        self._in_threads: set[Connection] = set()
        self._idle: dict[Connection, _Idle] = {}
        self._lingering: dict[Connection, float] = {}
        #: When to accept again, if there were no resources for another connection.
        self._resume_at: float | None = None
        self._drain_seconds: float | None = None
        #: Begin and end of the drain, once it has begun.
        self._drain_period: tuple[float, float] | None = None
        self._has_ended = False

    def drain(self, seconds: float) -> None:
        self._drain_seconds = seconds
        self._wake()

    def serve(self, listening: socket.socket, ready: Callable[[], None]) -> int:
        name = listening.getsockname()
        self._http.bind_addr = name[:2] if isinstance(name, tuple) else os.fsdecode(name)
        # Opened only here: a start may end before this thread runs.
        with contextlib.ExitStack() as resources:
            self._selector = resources.enter_context(selectors.DefaultSelector())
            self._wake_receiver, wake_sender = map(resources.enter_context, socket.socketpair())
            wake_sender.settimeout(0.0)
            self._wake_sender = wake_sender
            try:
                for thread in self._threads:
                    self._bus.own(thread)
                    start_thread(thread)
                self._selector.register(listening, selectors.EVENT_READ)
                self._selector.register(self._wake_receiver, selectors.EVENT_READ)
                ready()
                return self._run(listening, is_network=isinstance(name, tuple))
            finally:
                self._end()

    def _end(self) -> None:
        """Close every connection, and end the threads."""
        self._has_ended = True
        for connection in [*self._idle, *self._lingering, *(connection for connection, _ in self._returned)]:
            _close(connection)
        for connection in self._in_threads:
            # Its thread is busy, and closes it as soon as the application returns.
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
        for _ in self._threads:
            self._requests.put(None)
        if not self._in_threads:
            for thread in self._threads:
                # If the system refused to start further threads, the last threads were not started.
                if thread.ident is not None:
                    thread.join()

    def _run(self, listening: socket.socket, *, is_network: bool) -> int:
        """Serve until a drain is over, and return how many requests were not answered by then."""
        is_listening = True
        while True:
            now = time.monotonic()
            if self._drain_seconds is not None and self._drain_period is None:
                self._http.is_stopping = True
                self._drain_period = (now, now + self._drain_seconds)
                self._accept(listening)
            self._take_returned(now)
            deadlines = self._close_expired(now)
            if self._resume_at is not None and now >= self._resume_at:
                self._resume_at = None
                self._selector.register(listening, selectors.EVENT_READ)
            if self._drain_period is not None:
                began, end = self._drain_period
                is_quiet = not (self._in_threads or self._idle or self._lingering)
                # The last packet of a handshake may still be on the wire; a Unix socket has no such delay.
                if is_listening and (is_quiet or not is_network or now >= min(began + NEXT_REQUEST, end)):
                    # If descriptors are exhausted, waiting clients are accepted when another connection ends.
                    if self._accept(listening) or is_quiet or now >= end:
                        if self._resume_at is None:
                            self._selector.unregister(listening)
                        is_listening, self._resume_at = False, None
                        listening.close()
                        continue
                elif is_quiet or now >= end:
                    return len(self._in_threads)
                deadlines.append(min(began + NEXT_REQUEST, end) if is_listening and now < began + NEXT_REQUEST else end)
            if self._resume_at is not None:
                deadlines.append(self._resume_at)
            for key, _ in self._selector.select(max(0.0, min(deadlines) - now) if deadlines else None):
                if key.fileobj is listening:
                    self._accept(listening)
                elif key.fileobj is self._wake_receiver:
                    self._wake_receiver.recv(_CHUNK)
                elif key.data in self._lingering:
                    try:
                        is_over = not key.data.socket.recv(_CHUNK)
                    except OSError as error:
                        is_over = not isinstance(error, BlockingIOError)
                    if is_over:
                        self._drop(key.data)
                else:
                    del self._idle[key.data]
                    self._selector.unregister(key.fileobj)
                    self._pass_on(key.data)

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
                if error.errno not in EXHAUSTED:
                    raise
                if self._resume_at is None:
                    # A drain calls accept(2) even if no client waits, and that allocates a descriptor first.
                    if self._drain_period is None:
                        self._bus.log(f"cannot accept another connection: {with_limit(error)}", logging.ERROR)
                    self._selector.unregister(listening)
                    self._resume_at = time.monotonic() + ACCEPT_RETRY
                return False
            accepted.settimeout(self._timeout)
            connection = self._http.connection(accepted, peer)
            self._idle[connection] = _Idle(time.monotonic(), is_new=True)
            self._selector.register(accepted, selectors.EVENT_READ, connection)
        return False

    def _pass_on(self, connection: Connection) -> None:
        """Let a thread read the request on *connection* and answer it."""
        self._in_threads.add(connection)
        self._requests.put(connection)

    def _take_returned(self, now: float) -> None:
        """Wait for the next request of the connections that the threads have returned, or for their end."""
        while self._returned:
            connection, stays_open = self._returned.popleft()
            self._in_threads.discard(connection)
            if stays_open and connection.rfile.has_data():
                self._pass_on(connection)
            elif stays_open:
                self._idle[connection] = _Idle(now, is_new=False)
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

    def _close_expired(self, now: float) -> list[float]:
        """Close connections that were silent for too long, and return when the next connections must be closed."""
        deadlines, expired = [], []
        for connection, idle in self._idle.items():
            deadline = idle.since + self._timeout
            if self._drain_period is not None:
                began, end = self._drain_period
                deadline = min(
                    end, idle.since + FIRST_REQUEST if idle.is_new else max(idle.since, began) + NEXT_REQUEST
                )
            if deadline <= now:
                expired.append(connection)
                continue
            deadlines.append(deadline)
            if self._drain_period is None:
                break
        for connection, deadline in self._lingering.items():
            if deadline > now:
                deadlines.append(deadline)
                break
            expired.append(connection)
        for connection in expired:
            self._drop(connection)
        return deadlines

    def _drop(self, connection: Connection) -> None:
        self._idle.pop(connection, None)
        self._lingering.pop(connection, None)
        self._selector.unregister(connection.socket)
        _close(connection)

    def _respond(self) -> None:
        """Answer the connections from the loop, in one of the threads."""
        while (connection := self._requests.get()) is not None:
            stays_open = False
            try:
                stays_open = connection.communicate()
            except Exception as error:
                self._http.error_log(repr(error), logging.ERROR, traceback=True)
            except BaseException as interrupt:
                # The application called sys.exit(): `Bus.block` raises it, after the other requests are answered.
                self._bus.request_exit(interrupt)
            self._returned.append((connection, stays_open))
            self._wake()
            if self._has_ended:
                _close(connection)

    def _wake(self) -> None:
        # A full buffer wakes the loop anyway, and a closed socket has no loop to wake.
        if self._wake_sender is not None:
            with contextlib.suppress(OSError):
                self._wake_sender.send(b"\0")


def _close(connection: Connection) -> None:
    # The client may have closed or reset it first.
    with contextlib.suppress(OSError):
        connection.close()
    # cheroot leaves this file, with unsent data, to the garbage collector, which would report an error.
    with contextlib.suppress(OSError):
        connection.wfile.close()
