"""The WSGI middleware that opens a scope for each request."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import TypeAlias
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from typedbus._container.container import Container
from typedbus._container.scoped import GivenValue
from typedbus.injection._current import CURRENT, Current, running_container
from typedbus.injection._errors import FailedResponse
from typedbus.injection._responses import EMPTY, check_status

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class ScopedWSGI:
    """
    A WSGI application that opens a scope of *container* for each request.

    `current_scope` returns it, and `injected` uses it, also while the body of the response
    is iterated. The scope is closed before the response ends: before the last bytes of a
    response with a ``Content-Length``, and at the end of the iteration of a stream. A commit
    that fails becomes an error of the server (status 500) if the response has not begun, as
    with a body in one chunk; otherwise the client finds the response incomplete.

    The scope fails, and the objects that it has opened receive an exception, if

    - the application or its body raises;
    - an exception leaves an injected function, even if the framework turns it into a response;
    - the status of the response is 500 or above, or the server closes the body before its end,
      as for a client that disconnects: a `FailedResponse`.

    The container must run: in a `Hosted`, by `running` or by `run`. The scope of a request cannot open async objects.

    Args:
        app: The application that answers the requests.
        container: The container, or its class, of which one instance must run at each request.
        given: Called with the environment of each request; returns the values of `Given` declarations:
            ``given=lambda environ: [Shop.client.given(environ["REMOTE_ADDR"])]``.
    """

    def __init__(
        self,
        app: WSGIApplication,
        container: Container | type[Container],
        given: Callable[[WSGIEnvironment], Iterable[GivenValue]] | None = None,
    ) -> None:
        self._app = app
        self._container = container
        self._given = given

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        with contextlib.ExitStack() as stack:
            values = () if self._given is None else self._given(environ)
            container = running_container(self._container, type(self).__name__)
            request = stack.enter_context(container.scope(*values))
            response = _Response(Current(request, container, CURRENT.get()), start_response)
            with response.current():
                body = self._app(environ, response.start)
            file_wrapper = environ.get("wsgi.file_wrapper")
            # uWSGI has a function there, and compares the body with the file that the function has returned.
            is_file = hasattr(body, "read") or (isinstance(file_wrapper, type) and isinstance(body, file_wrapper))
            if not is_file and not isinstance(body, (list, tuple)):
                with response.current():
                    chunks = iter(body)
                answer = _Body(body, chunks, response, stack.pop_all())
                if response.has_known_end:
                    answer.fetch_first()
                return answer
            # The application has run to its end. The server sends such a body in its own way.
            with contextlib.ExitStack() as after_failure:
                after_failure.callback(getattr(body, "close", bool))
                check_status(response.scope, response.status)
                stack.close()
                after_failure.pop_all()
            return body


class _Response:
    """The beginning of a response, and the scope of its request."""

    def __init__(self, current: Current, start_response: StartResponse) -> None:
        self.scope = current.scope
        self._current = current
        self._start_response = start_response
        self.status: int | None = None
        #: The length of the body, if the response has a ``Content-Length``.
        self.length: int | None = None

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Begin the response; the application calls this."""
        self.status = int(status.partition(" ")[0])
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        self.length = int(lengths[0]) if lengths else None
        if exc_info is None:
            return self._start_response(status, headers)
        return self._start_response(status, headers, exc_info)

    @contextlib.contextmanager
    def current(self) -> Generator[None, None, None]:
        """Make the scope the current one for a block; the server's thread handles other requests between blocks."""
        token = CURRENT.set(self._current)
        try:
            yield
        finally:
            CURRENT.reset(token)

    @property
    def has_known_end(self) -> bool:
        """Whether the response has begun and is not a stream: its first chunk may be fetched before it is sent."""
        return self.length is not None or self.status in EMPTY


class _Body(Iterator[bytes]):
    """The body of a response, which closes the scope of its request at its end."""

    def __init__(
        self, body: Iterable[bytes], chunks: Iterator[bytes], response: _Response, stack: contextlib.ExitStack
    ) -> None:
        self._body = body
        self._chunks = chunks
        self._response = response
        self._sent = 0
        self._first: list[bytes] = []
        #: Closes the scope.
        self._stack = stack

    def fetch_first(self) -> None:
        """
        Fetch the first chunk, which in most cases is the whole body, before the server has the response.

        Some servers send the status of the response even if the iteration fails at its beginning.
        """
        with contextlib.ExitStack() as after_failure:
            after_failure.callback(self.close)
            self._first = list(itertools.islice(self, 1))
            after_failure.pop_all()

    def __next__(self) -> bytes:
        if self._first:
            return self._first.pop()
        with contextlib.ExitStack() as after_failure:
            after_failure.push(self._stack)
            with self._response.current():
                chunk = next(self._chunks, None)
            self._sent += len(chunk or b"")
            length = self._response.length
            if chunk is None or (length is not None and self._sent >= length):
                check_status(self._response.scope, self._response.status)
                self._stack.close()
            after_failure.pop_all()
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Close the body of the application, and then the scope, if it is still open."""
        with self._stack:
            close = getattr(self._body, "close", None)
            if close is not None:
                with self._response.current():
                    close()
            if self._response.scope.is_open:
                self._response.scope.failed_with(FailedResponse(self._response.status, is_complete=False))
