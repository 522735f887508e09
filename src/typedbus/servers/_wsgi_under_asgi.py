"""
WSGI applications under ASGI, with a2wsgi.

The library translates requests and responses. The threads are created here, since they must end at the stop of the
bus. Some details are corrected: a response ends when its client disconnects; paths and queries need not be valid UTF-8;
headers with underscores are dropped, and cookies are joined.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import queue
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent import futures
from typing import Any, Final, ParamSpec, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import a2wsgi

from typedbus._bus.bus import Bus
from typedbus._os.exhausted import start_thread
from typedbus.servers._bridge_parts import ENDING, quoted, to_wsgi
from typedbus.servers._lifespan import ASGIApp

P = ParamSpec("P")
T = TypeVar("T")

_REQUEST: Final = "typedbus.request"


class Workers(futures.Executor):
    """
    A fixed number of threads that call WSGI applications.

    Unlike the threads of a `concurrent.futures.ThreadPoolExecutor` they are daemon threads, which the bus owns: the
    bus reports an application that hangs, and the hanging thread does not keep the interpreter from ending.
    """

    def __init__(self, bus: Bus, count: int) -> None:
        self._bus = bus
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_ending = False
        try:
            for number in range(count):
                thread = threading.Thread(target=self._run, name=f"wsgi under asgi {number}", daemon=True)
                bus.own(thread)
                start_thread(thread)
                self._threads.append(thread)
        except BaseException:
            self.end()
            raise

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[T]:
        """
        Call *fn* in the next free thread.

        Raises:
            RuntimeError: The threads are ending.
        """
        if self._is_ending:
            raise RuntimeError("the threads for WSGI applications are ending")
        future: futures.Future[T] = futures.Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)
            except BaseException as interrupt:
                # The application called sys.exit(): the bus exits in order, and the client gets a 500.
                self._bus.request_exit(interrupt)
                future.set_exception(RuntimeError(f"the application raised {interrupt!r}"))

        self._calls.put(call)
        return future

    def end(self) -> None:
        """End the threads, waiting up to a second; a thread that still runs an application ends after the call."""
        self._is_ending = True
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join(ENDING / len(self._threads))

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def asgi_from_wsgi(app: WSGIApplication, workers: Workers) -> ASGIApp:
    """Return *app* as an ASGI application for HTTP requests, each of which occupies one thread of *workers*."""

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        scope = environ["asgi.scope"]
        request: _Request = scope[_REQUEST]
        root: str = scope["root_path"]
        environ["SCRIPT_NAME"] = to_wsgi(root)
        environ["PATH_INFO"] = to_wsgi(scope["path"][len(root) :])
        environ["wsgi.errors"] = sys.stderr
        environ["wsgi.input"] = io.BufferedReader(_BodyStream(request))
        environ["wsgi.input_terminated"] = True
        response: Any = app(environ, start_response)
        try:
            for chunk in response:
                yield chunk
                if request.is_gone:
                    return
        finally:
            if hasattr(response, "close"):
                response.close()

    # a2wsgi has its own types, which differ from those of the standard library.
    typed: Any = respond
    bridge: Any = a2wsgi.WSGIMiddleware(typed)
    bridge.executor = workers

    async def answer(
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        request = _Request(asyncio.get_running_loop())
        reading = asyncio.ensure_future(request.read_ahead(receive))
        query = quoted(scope.get("query_string", b"")).encode("ascii")
        # In WSGI a name with an underscore equals the name with a hyphen, so a client could forge a header that a proxy
        # sets. HTTP/2 may split cookies, which are joined by semicolons, not by commas (RFC 9113, section 8.2.3).
        headers = [(name, value) for name, value in scope["headers"] if b"_" not in name and name != b"cookie"]
        cookies = [value for name, value in scope["headers"] if name == b"cookie"]
        if cookies:
            headers.append((b"cookie", b"; ".join(cookies)))
        try:
            await bridge({**scope, "query_string": query, "headers": headers, _REQUEST: request}, receive, send)
        finally:
            reading.cancel()
            request.end()

    return answer


class _Request:
    """
    The messages of one request, from an event loop to the thread that answers it.

    One message is read ahead: only `receive` reports that the client has disconnected, and WSGI has no counterpart.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_gone = False
        self._loop = loop
        self._messages: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue(1)

    async def read_ahead(self, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
        """Receive messages until the client has gone."""
        while not self.is_gone:
            try:
                message = await receive()
            except Exception:
                message = {"type": "http.disconnect"}
            self.is_gone = message["type"] == "http.disconnect"
            await self._messages.put(message)

    def end(self) -> None:
        """Wake a thread that waits for a message; called in the loop."""
        self.is_gone = True
        with contextlib.suppress(asyncio.QueueFull):
            self._messages.put_nowait({"type": "http.disconnect"})

    def message(self) -> MutableMapping[str, Any]:
        """Return the next message; called in the thread."""
        return asyncio.run_coroutine_threadsafe(self._messages.get(), self._loop).result()


class _BodyStream(io.RawIOBase):
    """The body of a request as a raw stream, which returns what has arrived."""

    def __init__(self, request: _Request) -> None:
        self._request = request
        self._chunk = memoryview(b"")
        self._has_more = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._chunk and self._has_more:
            message = self._request.message()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client disconnected before the end of the request body")
            self._chunk = memoryview(message.get("body", b""))
            self._has_more = message.get("more_body", False)
        size = min(len(buffer), len(self._chunk))
        buffer[:size], self._chunk = self._chunk[:size], self._chunk[size:]
        return size
