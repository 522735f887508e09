"""
ASGI applications under WSGI, with a2wsgi.

The library translates requests and responses. The event loop is that of the bus, or is created here, in a thread that
ends at the stop of the bus. Some details are corrected: a body without a length is passed on; exceptions reach the
server, which logs them; a request that ends early cancels its task; paths and queries need not be valid UTF-8.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from concurrent import futures
from typing import Any, Final, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import a2wsgi
import attrs

from typedbus._bus.asyncio_loop import AsyncioLoop
from typedbus._bus.bus import Bus
from typedbus._os.exhausted import start_thread, with_limit
from typedbus.servers._bridge_parts import ENDING, quoted, to_wsgi
from typedbus.servers._lifespan import ASGIApp
from typedbus.servers._mounted import Lifespans
from typedbus.servers._shared_loop import refuse_on_loop

T = TypeVar("T")

_EXCHANGE: Final = "typedbus.exchange"
#: How many bytes of a body without a length are kept in memory; larger bodies go into a temporary file.
_IN_MEMORY: Final = 1 << 20


class LoopThread:
    """A thread with an event loop, for ASGI applications under WSGI; it runs from its construction to `end`."""

    _shutdown: asyncio.Event

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

    def call(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run *function* in the loop, and return when it has ended."""
        self.submit(function()).result()

    def end(self) -> None:
        """Cancel the tasks in the loop, and wait up to a second for the end of the thread."""
        try:
            self.loop.call_soon_threadsafe(self._shutdown.set)
        except RuntimeError:
            return  # an application has ended it already
        self._thread.join(ENDING)

    def _run(self, ready: futures.Future[asyncio.AbstractEventLoop]) -> None:
        async def wait() -> None:
            self._shutdown = asyncio.Event()
            ready.set_result(asyncio.get_running_loop())
            await self._shutdown.wait()

        try:
            asyncio.run(wait())
        except BaseException as error:
            if ready.done():
                # An application called sys.exit(), which ends the loop.
                self._bus.request_exit(error)
            else:
                ready.set_exception(with_limit(error))


class SharedLoop:
    """
    The event loop of the bus, for ASGI applications under WSGI, with the methods of `LoopThread`.

    It continues after `end`, which cancels the remaining *lifespans*.
    """

    def __init__(self, shared: AsyncioLoop, lifespans: Lifespans) -> None:
        self._shared = shared
        self._lifespans = lifespans
        self.loop = shared.loop

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> futures.Future[T]:
        """Run *coroutine* in the loop."""
        return self._shared.submit("asgi under wsgi", coroutine)

    def call(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """
        Run *function* in the loop, and return when it has ended.

        Raises:
            LoopError: The loop has ended before.
        """
        self._shared.run("asgi under wsgi", function)

    def end(self) -> None:
        """Cancel the lifespans that have not been shut down, and wait up to a second for their end."""
        if self._shared.why_dead() is None:
            futures.wait([self.submit(self._lifespans.cancel())], ENDING)


@attrs.define(eq=False)
class _Exchange:
    """One current request in an event loop: the task that answers it, and whether the whole response was sent."""

    task: asyncio.Task[Any] | None = None
    is_complete: bool = False


def wsgi_from_asgi(
    app: ASGIApp, bus: Bus, loop: asyncio.AbstractEventLoop, state: Mapping[str, Any]
) -> WSGIApplication:
    """Return *app* as a WSGI application for HTTP requests; it answers them in *loop*, perhaps that of *bus*."""

    async def answer(scope: MutableMapping[str, Any], receive: object, send: Callable[[Any], Awaitable[None]]) -> None:
        exchange: _Exchange = scope["wsgi_environ"][_EXCHANGE]
        exchange.task = asyncio.current_task()

        async def record(message: MutableMapping[str, Any]) -> None:
            exchange.is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        # Without an exception, a2wsgi waits without end for the rest of the response.
        try:
            await app({**scope, "state": dict(state)}, receive, record)
        except asyncio.CancelledError:
            if exchange.is_complete:
                raise
            raise RuntimeError("the application was cancelled before it had sent its response") from None
        if not exchange.is_complete:
            raise RuntimeError("the application returned before it had sent its response")

    typed: Any = answer
    bridge: Any = a2wsgi.ASGIMiddleware(typed, loop=loop)

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        refuse_on_loop(bus, "a request", "serve the application with an ASGI server")

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            # The server logs the exception of an application, and answers with 500.
            if exc_info is not None:
                raise exc_info[1].with_traceback(exc_info[2])
            return start_response(status, headers)

        exchange = _Exchange()
        inner = {name: value for name, value in environ.items() if value or not name.startswith("CONTENT_")}
        inner[_EXCHANGE] = exchange
        for name in "SCRIPT_NAME", "PATH_INFO":
            inner[name] = to_wsgi(environ.get(name, "").encode("latin-1").decode("utf-8", "replace"))
        inner["QUERY_STRING"] = quoted(environ.get("QUERY_STRING", "").encode("latin-1"))
        inner["SERVER_PORT"] = environ.get("SERVER_PORT") or "0"
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as body:
            if "CONTENT_LENGTH" not in inner and environ.get("wsgi.input_terminated"):
                shutil.copyfileobj(environ["wsgi.input"], body)
                inner["CONTENT_LENGTH"] = str(body.tell())
                body.seek(0)
                inner["wsgi.input"] = body
            inner["wsgi.input"] = _SizedBody(inner["wsgi.input"], int(inner.get("CONTENT_LENGTH", 0)))
            response = bridge(inner, start)
            try:
                yield from response
            finally:
                response.close()
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


class _SizedBody:
    """The body of a request, of a known length; a2wsgi alone would never stop reading if the body ends early."""

    def __init__(self, body: Any, length: int) -> None:
        self._body = body
        self._remaining = length

    def read(self, size: int) -> bytes:
        chunk: bytes = self._body.read(size)
        if size and not chunk:
            raise ConnectionResetError(
                f"the client disconnected {self._remaining} bytes before the end of the request body"
            )
        self._remaining -= len(chunk)
        return chunk
