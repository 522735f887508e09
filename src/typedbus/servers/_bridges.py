"""
WSGI applications under ASGI and ASGI applications under WSGI, with a2wsgi.

The library translates requests and responses. The threads and the event loop are created here, since they must end
at the stop of the bus. Some details are corrected: a response ends when its client disconnects; a body without a
length is passed on; exceptions reach the server, which logs them; paths and queries need not be valid UTF-8.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import queue
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, MutableMapping
from concurrent import futures
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import quote_from_bytes
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import a2wsgi
import attrs

from typedbus._bus.bus import Bus
from typedbus._os.exhausted import named, start_thread
from typedbus.servers._lifespan import ASGIApp

P = ParamSpec("P")
T = TypeVar("T")

_REQUEST: Final = "typedbus.request"
_EXCHANGE: Final = "typedbus.exchange"
#: How many bytes of a body without a length are kept in memory; larger bodies go into a temporary file.
_IN_MEMORY: Final = 1 << 20
#: How long a stop waits for threads to end, in seconds.
_ENDING: Final = 1.0
_QUERY: Final = "".join(map(chr, range(0x21, 0x7F)))


class Workers(futures.Executor):
    """
    A fixed number of threads that call WSGI applications.

    Unlike the threads of a `concurrent.futures.ThreadPoolExecutor` they are daemon threads, which the bus owns: the
    bus reports an application that hangs, and the hanging thread does not keep the interpreter from ending.
    """

    def __init__(self, bus: Bus, count: int) -> None:
        self._bus = bus
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_ending = False
        try:
            for number in range(count):
                thread = threading.Thread(target=self._call, name=f"wsgi under asgi {number}", daemon=True)
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
            except BaseException as leaving:
                # The application calls sys.exit(): the bus exits in order, and the client gets a 500.
                self._bus.request_exit(leaving)
                future.set_exception(RuntimeError(f"the application raised {leaving!r}"))

        self._work.put(call)
        return future

    def end(self) -> None:
        """End the threads, waiting up to a second; a thread that still runs an application ends after the call."""
        self._is_ending = True
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join(_ENDING / len(self._threads))

    def _call(self) -> None:
        while (call := self._work.get()) is not None:
            call()


def asgi_from_wsgi(app: WSGIApplication, workers: Workers) -> ASGIApp:
    """Return *app* as an ASGI application for HTTP requests, each of which occupies one thread of *workers*."""

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        scope = environ["asgi.scope"]
        request: _Request = scope[_REQUEST]
        root: str = scope["root_path"]
        environ["SCRIPT_NAME"] = _to_wsgi(root)
        environ["PATH_INFO"] = _to_wsgi(scope["path"][len(root) :])
        environ["wsgi.errors"] = sys.stderr
        environ["wsgi.input"] = io.BufferedReader(_Input(request))
        environ["wsgi.input_terminated"] = True
        pieces: Any = app(environ, start_response)
        try:
            for piece in pieces:
                yield piece
                if request.is_gone:
                    return
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

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
        query = quote_from_bytes(scope.get("query_string", b""), safe=_QUERY).encode("ascii")
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


class _Input(io.RawIOBase):
    """The body of a request as a raw stream, which returns what has arrived."""

    def __init__(self, request: _Request) -> None:
        self._request = request
        self._piece = memoryview(b"")
        self._has_more = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._piece and self._has_more:
            message = self._request.message()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client disconnected before the end of the request body")
            self._piece = memoryview(message.get("body", b""))
            self._has_more = message.get("more_body", False)
        size = min(len(buffer), len(self._piece))
        buffer[:size], self._piece = self._piece[:size], self._piece[size:]
        return size


class _Whole:
    """The body of a request, of a known length; a2wsgi alone would read for ever if the body ends early."""

    def __init__(self, body: Any, length: int) -> None:
        self._body = body
        self._left = length

    def read(self, size: int) -> bytes:
        piece: bytes = self._body.read(size)
        if size and not piece:
            raise ConnectionResetError(f"the client disconnected {self._left} bytes before the end of the request body")
        self._left -= len(piece)
        return piece


class LoopThread:
    """A thread with an event loop, for ASGI applications under WSGI; it runs from its construction to `end`."""

    _over: asyncio.Event

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        ready: futures.Future[asyncio.AbstractEventLoop] = futures.Future()
        self._thread = threading.Thread(target=self._run, args=[ready], name="asgi under wsgi", daemon=True)
        bus.own(self._thread)
        start_thread(self._thread)
        self.loop = ready.result()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> futures.Future[T]:
        """Run *coroutine* in the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def end(self) -> None:
        """Cancel the tasks in the loop, and wait up to a second for the end of the thread."""
        try:
            self.loop.call_soon_threadsafe(self._over.set)
        except RuntimeError:
            return  # an application has ended it already
        self._thread.join(_ENDING)

    def _run(self, ready: futures.Future[asyncio.AbstractEventLoop]) -> None:
        async def wait() -> None:
            self._over = asyncio.Event()
            ready.set_result(asyncio.get_running_loop())
            await self._over.wait()

        try:
            asyncio.run(wait())
        except BaseException as error:
            if ready.done():
                # An application calls sys.exit(), which ends the loop.
                self._bus.request_exit(error)
            else:
                ready.set_exception(named(error))


@attrs.define(eq=False)
class _Exchange:
    """One current request in an event loop: the task that answers it, and whether the whole response was sent."""

    task: asyncio.Task[Any] | None = None
    is_complete: bool = False


def wsgi_from_asgi(app: ASGIApp, loop: asyncio.AbstractEventLoop, state: Mapping[str, Any]) -> WSGIApplication:
    """Return *app* as a WSGI application for HTTP requests; it answers them in *loop*."""

    async def answer(scope: MutableMapping[str, Any], receive: object, send: Callable[[Any], Awaitable[None]]) -> None:
        exchange: _Exchange = scope["wsgi_environ"][_EXCHANGE]
        exchange.task = asyncio.current_task()

        async def watched(message: MutableMapping[str, Any]) -> None:
            exchange.is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        # Without an exception, a2wsgi waits for ever for the rest of the response.
        try:
            await app({**scope, "state": dict(state)}, receive, watched)
        except asyncio.CancelledError:
            if exchange.is_complete:
                raise
            raise RuntimeError("the application was cancelled before it had sent its response") from None
        if not exchange.is_complete:
            raise RuntimeError("the application returned before it had sent its response")

    typed: Any = answer
    bridge: Any = a2wsgi.ASGIMiddleware(typed, loop=loop)

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            # The server logs the exception of an application, and answers with 500.
            if exc_info is not None:
                raise exc_info[1].with_traceback(exc_info[2])
            return start_response(status, headers)

        exchange = _Exchange()
        inner = {name: value for name, value in environ.items() if value or not name.startswith("CONTENT_")}
        inner[_EXCHANGE] = exchange
        for name in "SCRIPT_NAME", "PATH_INFO":
            inner[name] = _to_wsgi(environ.get(name, "").encode("latin-1").decode("utf-8", "replace"))
        inner["QUERY_STRING"] = quote_from_bytes(environ.get("QUERY_STRING", "").encode("latin-1"), safe=_QUERY)
        inner["SERVER_PORT"] = environ.get("SERVER_PORT") or "0"
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as body:
            if "CONTENT_LENGTH" not in inner and environ.get("wsgi.input_terminated"):
                shutil.copyfileobj(environ["wsgi.input"], body)
                inner["CONTENT_LENGTH"] = str(body.tell())
                body.seek(0)
                inner["wsgi.input"] = body
            inner["wsgi.input"] = _Whole(inner["wsgi.input"], int(inner.get("CONTENT_LENGTH", 0)))
            pieces = bridge(inner, start)
            try:
                yield from pieces
            finally:
                pieces.close()
                task = exchange.task
                if task is not None and not task.done():
                    loop.call_soon_threadsafe(task.cancel)
        error = task.exception() if task is not None and task.done() and not task.cancelled() else None
        if error is not None and not exchange.is_complete:
            raise error
        if error is not None:
            # The response has been sent: the server would close the connection if this were raised.
            environ["wsgi.errors"].write("".join(traceback.format_exception(error)))

    return respond


def _to_wsgi(text: str) -> str:
    """Return *text* as a WSGI string: each character is a byte of its UTF-8 (PEP 3333, "Unicode Issues")."""
    return text.encode("utf-8").decode("latin-1")
