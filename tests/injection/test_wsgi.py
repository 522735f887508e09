"""The WSGI middleware, called as a server calls it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from tests.injection.clients import WSGIRequest
from tests.injection.shop import Orders, Session, Shop, Visitor

from typedbus.hosting import wsgi
from typedbus.injection import NoScope, ScopedWSGI, current_scope, injected


@injected(Shop.orders)
def place(orders: Orders, name: str) -> None:
    orders.place(name)


@injected(Shop.session)
def fail(session: Session, error: BaseException) -> None:
    raise error


class Chunks:
    """The body of a response, which notes that it is closed, as those of frameworks call functions then."""

    def __init__(self, notes: list[str], chunks: Iterable[bytes]) -> None:
        self.notes = notes
        self.chunks = iter(chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks

    def close(self) -> None:
        self.notes.append("body closed")


def test_the_scope_is_closed_before_the_last_bytes_of_a_response_of_known_length(shop: Shop, notes: list[str]) -> None:
    """Injected functions of the request share it."""

    def app(environ: Any, start_response: Any) -> Any:
        place("tea")
        place("mug")
        start_response("200 OK", [("Content-Length", "2")])
        return Chunks(notes, [b"0", b"1"])

    assert WSGIRequest(ScopedWSGI(app, shop), notes).read() == b"01"
    assert notes == ["begin", "add tea", "add mug", "chunk 0", "commit", "chunk 1", "body closed"]


def test_the_scope_of_a_stream_is_closed_at_its_end(shop: Shop, notes: list[str]) -> None:
    """It is the current scope while the stream is iterated, and only then."""

    def stream() -> Iterator[bytes]:
        place("tea")
        yield b"0"
        place("mug")
        yield b"1"

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Chunks(notes, stream())

    request = WSGIRequest(ScopedWSGI(app, shop), notes)
    with pytest.raises(NoScope):
        current_scope()
    assert request.read() == b"01"
    assert notes == ["begin", "add tea", "chunk 0", "add mug", "chunk 1", "commit", "body closed"]


def test_an_application_that_is_a_generator_runs_in_the_scope(shop: Shop, notes: list[str]) -> None:
    """It runs when the server iterates."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        place("tea")
        start_response("200 OK", [("Content-Length", "1")])
        yield b"0"

    assert WSGIRequest(ScopedWSGI(app, shop), notes).read() == b"0"
    assert notes == ["begin", "add tea", "commit", "chunk 0"]


def test_the_scope_is_closed_before_a_list_is_returned(shop: Shop, notes: list[str]) -> None:
    """The server gets the list itself, and can compute its length."""
    body = [b"0"]

    def app(environ: Any, start_response: Any) -> list[bytes]:
        place("tea")
        start_response("200 OK", [])
        return body

    request = WSGIRequest(ScopedWSGI(app, shop), notes)
    assert request.body is body
    assert notes == ["begin", "add tea", "commit"]


def test_a_file_wrapper_reaches_the_server(shop: Shop, notes: list[str]) -> None:
    """It sends the file in its own way; the scope is closed before."""

    def app(environ: Any, start_response: Any) -> Any:
        place("tea")
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"file"))

    request = WSGIRequest(ScopedWSGI(app, shop), notes)
    assert type(request.body) is FileWrapper
    assert notes == ["begin", "add tea", "commit"]
    assert request.read() == b"file"


def test_a_file_of_a_server_with_a_function_as_wrapper_reaches_it(shop: Shop, notes: list[str]) -> None:
    """As of uWSGI, which compares the body with the file."""
    file = io.BytesIO(b"file")

    def app(environ: Any, start_response: Any) -> Any:
        place("tea")
        start_response("200 OK", [])
        return file

    assert WSGIRequest(ScopedWSGI(app, shop), notes).body is file
    assert notes == ["begin", "add tea", "commit"]


def test_a_file_is_closed_if_the_commit_fails(shop: Shop, notes: list[str]) -> None:
    """The server does not get it."""
    file = io.BytesIO(b"file")

    def app(environ: Any, start_response: Any) -> Any:
        place("rejected")
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file)

    with pytest.raises(OSError, match="rejected"):
        WSGIRequest(ScopedWSGI(app, shop), notes)
    assert file.closed


def test_a_commit_that_fails_comes_before_the_server_has_the_response(shop: Shop, notes: list[str]) -> None:
    """So it answers with 500; it does not get the body to close."""

    def app(environ: Any, start_response: Any) -> Any:
        place("rejected")
        start_response("200 OK", [("Content-Length", "1")])
        return Chunks(notes, [b"0"])

    with pytest.raises(OSError, match="rejected"):
        WSGIRequest(ScopedWSGI(app, shop), notes)
    assert notes == ["begin", "add rejected", "no commit", "body closed"]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_commit_that_fails_comes_before_a_response_without_a_body(shop: Shop, notes: list[str], status: str) -> None:
    """It has no length, and no bytes that could be missing."""

    def app(environ: Any, start_response: Any) -> Any:
        place("rejected")
        start_response(status, [])
        return Chunks(notes, [])

    with pytest.raises(OSError, match="rejected"):
        WSGIRequest(ScopedWSGI(app, shop), notes)


def test_an_exception_of_the_application_or_its_stream_rolls_back(shop: Shop, notes: list[str]) -> None:
    """The server gets it."""

    def broken(environ: Any, start_response: Any) -> Any:
        place("tea")
        raise ValueError

    def stream() -> Iterator[bytes]:
        place("mug")
        yield b"0"
        raise KeyError

    def streaming(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Chunks(notes, stream())

    with pytest.raises(ValueError):
        WSGIRequest(ScopedWSGI(broken, shop), notes)
    with pytest.raises(KeyError):
        WSGIRequest(ScopedWSGI(streaming, shop), notes).read()

    first = ["begin", "add tea", "rollback ValueError"]
    assert notes == [*first, "begin", "add mug", "chunk 0", "rollback KeyError", "body closed"]


def test_an_exception_that_left_an_injected_function_rolls_back_when_it_is_handled(
    shop: Shop, notes: list[str]
) -> None:
    """As frameworks turn it into a response, with its information."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        try:
            fail(KeyError())
        except KeyError:
            start_response("418 I'm a teapot", [], sys.exc_info())
        return []

    request = WSGIRequest(ScopedWSGI(app, shop), notes)
    assert request.status == "418 I'm a teapot"
    assert request.exc_info[0] is KeyError
    assert notes == ["begin", "rollback KeyError"]


@pytest.mark.parametrize("body_of", [list, iter])
def test_a_status_of_500_rolls_back(shop: Shop, notes: list[str], body_of: Callable[[Any], Any]) -> None:
    """Below it, the application decides."""

    def app(environ: Any, start_response: Any) -> Any:
        current_scope()[Shop.session].add("tea")
        start_response(environ["PATH_INFO"], [])
        return body_of([])

    WSGIRequest(ScopedWSGI(app, shop), notes, "500 Internal Server Error").read()
    WSGIRequest(ScopedWSGI(app, shop), notes, "400 Bad Request").read()

    assert notes == ["begin", "add tea", "rollback FailedResponse", "begin", "add tea", "commit"]


def test_a_body_that_is_closed_before_its_end_rolls_back(shop: Shop, notes: list[str]) -> None:
    """As a server does when the client has disconnected."""

    def app(environ: Any, start_response: Any) -> Any:
        place("tea")
        start_response("200 OK", [])
        return Chunks(notes, [b"0", b"1"])

    body: Any = WSGIRequest(ScopedWSGI(app, shop), notes).body
    assert next(body) == b"0"
    body.close()

    assert notes == ["begin", "add tea", "body closed", "rollback FailedResponse"]


def test_the_container_may_be_named_by_its_class(shop: Shop, notes: list[str]) -> None:
    """Then one instance must run."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        place("tea")
        start_response("200 OK", [])
        return []

    WSGIRequest(ScopedWSGI(app, Shop), notes)

    assert notes == ["begin", "add tea", "commit"]


def test_a_scope_may_be_given_values_of_its_request(shop: Shop, notes: list[str]) -> None:
    """By a function that gets the environment."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        notes.append(current_scope()[Shop.visitor].address)
        start_response("200 OK", [])
        return []

    def given(environ: Any) -> list[Any]:
        return [Shop.visitor.given(Visitor(environ["SERVER_NAME"]))]

    WSGIRequest(ScopedWSGI(app, shop, given), notes)

    assert notes == ["127.0.0.1"]


def test_a_hosted_application_has_scopes_if_it_is_asked_for_them(shop: Shop, notes: list[str]) -> None:
    """Without the argument there are none."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        current_scope()[Shop.session].add("tea")
        start_response("200 OK", [])
        return [b"0"]

    WSGIRequest(wsgi.Hosted(app, shop, scopes=True), notes)
    assert notes == ["begin", "add tea", "commit"]

    with pytest.raises(NoScope):
        WSGIRequest(wsgi.Hosted(app, shop), notes)
