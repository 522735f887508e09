"""The ASGI middleware, called as a server calls it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import Any

import pytest
from tests.injection.clients import ASGIRequest
from tests.injection.shop import Orders, Session, Shop, Visitor

from typedbus import Container, Scope, Scoped, running
from typedbus.hosting import asgi
from typedbus.injection import FailedResponse, NoRunningContainer, NoScope, ScopedASGI, current_scope, injected


@injected(Shop.orders)
def place(orders: Orders, name: str) -> None:
    orders.place(name)


@injected(Shop.async_orders)
async def place_async(orders: Orders, name: str) -> None:
    orders.place(name)


@injected(Shop.session)
def fail(session: Session, error: BaseException) -> None:
    raise error


async def respond(send: Any, status: int = 200, *chunks: bytes, length: int | None = None) -> None:
    """Send a response: its chunks, or the body of the *length* at once."""
    headers = [] if length is None else [(b"Content-Length", str(length).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"x" * (length or 0)})


def test_the_scope_is_closed_before_a_response_of_known_length_begins(shop: Shop, notes: list[str]) -> None:
    """Injected functions of the request share it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("tea")
        place("mug")
        await respond(send, length=2)

    ASGIRequest(notes).run(ScopedASGI(app, shop))

    assert notes == ["begin", "add tea", "add mug", "commit", "sent start", "sent body"]


@pytest.mark.parametrize("status", [204, 304])
def test_the_scope_is_closed_before_a_response_without_a_body(shop: Shop, notes: list[str], status: int) -> None:
    """It has no length, and no bytes after its beginning."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("tea")
        await respond(send, status)

    ASGIRequest(notes).run(ScopedASGI(app, shop))

    assert notes == ["begin", "add tea", "commit", "sent start", "sent body"]


def test_the_scope_of_a_stream_is_closed_before_its_end(shop: Shop, notes: list[str]) -> None:
    """Its beginning and its chunks are sent without a delay."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("tea")
        await respond(send, 200, b"0", b"1")

    ASGIRequest(notes).run(ScopedASGI(app, shop))

    sent = ["sent start", "sent body more", "sent body more"]
    assert notes == ["begin", "add tea", *sent, "commit", "sent body"]


def test_a_commit_that_fails_leaves_the_response_to_the_server(shop: Shop, notes: list[str]) -> None:
    """It has received nothing, so it answers with 500."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("rejected")
        await respond(send, length=2)

    request = ASGIRequest(notes)
    with pytest.raises(OSError, match="rejected"):
        request.run(ScopedASGI(app, shop))

    assert notes == ["begin", "add rejected", "no commit"]


@pytest.mark.parametrize("chunks", [(b"0", b"1", b""), (b"", b"01", b""), (b"0", b"1")])
def test_the_last_bytes_of_a_known_length_wait_for_the_commit(
    shop: Shop, notes: list[str], chunks: tuple[bytes, ...]
) -> None:
    """A middleware of a framework may send the end of the body by an empty message after them."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("rejected")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        for number, chunk in enumerate(chunks, 1):
            await send({"type": "http.response.body", "body": chunk, "more_body": number < len(chunks)})

    request = ASGIRequest(notes)
    with pytest.raises(OSError, match="rejected"):
        request.run(ScopedASGI(app, shop))

    assert b"".join(message.get("body", b"") for message in request.messages) in (b"", b"0")


def test_a_commit_that_fails_leaves_a_stream_incomplete(shop: Shop, notes: list[str]) -> None:
    """The client does not receive the end."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("rejected")
        await respond(send, 200, b"0")

    with pytest.raises(OSError, match="rejected"):
        ASGIRequest(notes).run(ScopedASGI(app, shop))

    assert notes == ["begin", "add rejected", "sent start", "sent body more", "no commit"]


def test_a_file_that_the_server_sends_is_the_end_of_a_response(shop: Shop, notes: list[str]) -> None:
    """The extension has a message of its own for it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("tea")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.pathsend", "path": "/tmp/x"})

    ASGIRequest(notes).run(ScopedASGI(app, shop))

    assert notes == ["begin", "add tea", "commit", "sent start", "sent pathsend"]


def test_an_exception_of_the_application_rolls_back(shop: Shop, notes: list[str]) -> None:
    """The server gets the same object."""
    error = ValueError()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("tea")
        raise error

    with pytest.raises(ValueError) as raised:
        ASGIRequest(notes).run(ScopedASGI(app, shop))

    assert raised.value is error
    assert notes == ["begin", "add tea", "rollback ValueError"]


def test_an_exception_that_left_an_injected_function_rolls_back_when_it_is_handled(
    shop: Shop, notes: list[str]
) -> None:
    """As frameworks turn it into a response."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("tea")
        with pytest.raises(KeyError):
            fail(KeyError())
        await respond(send, 418, length=2)

    request = ASGIRequest(notes)
    request.run(ScopedASGI(app, shop))

    assert request.status == 418
    assert notes == ["begin", "add tea", "rollback KeyError", "sent start", "sent body"]


def test_a_status_of_500_rolls_back(shop: Shop, notes: list[str]) -> None:
    """Below it, the application decides: a response to a mistake of the client commits."""

    def answering(status: int) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            current_scope()[Shop.session].add("tea")
            await respond(send, status, length=2)

        return app

    ASGIRequest(notes).run(ScopedASGI(answering(500), shop))
    ASGIRequest(notes).run(ScopedASGI(answering(499), shop))

    sent = ["sent start", "sent body"]
    assert notes == ["begin", "add tea", "rollback FailedResponse", *sent, "begin", "add tea", "commit", *sent]


def test_a_response_that_is_incomplete_rolls_back(shop: Shop, notes: list[str]) -> None:
    """A framework may end a stream quietly when the client has disconnected."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("tea")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"0", "more_body": True})

    ASGIRequest(notes).run(ScopedASGI(app, shop))

    assert notes[-1] == "rollback FailedResponse"
    assert (
        str(FailedResponse(200, is_complete=False)) == "the response with the status 200 ended before it was complete"
    )
    assert str(FailedResponse(503, is_complete=True)) == "the application answered with the status 503"
    assert str(FailedResponse(None, is_complete=False)) == "the request ended without a response"


def test_a_request_that_is_cancelled_rolls_back(shop: Shop, notes: list[str]) -> None:
    """The cancellation goes on."""

    async def main() -> None:
        entered = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await place_async("tea")
            entered.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(ASGIRequest(notes).call(ScopedASGI(app, shop)))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert notes == ["begin async", "add tea", "rollback async CancelledError"]


def test_work_after_the_response_has_a_scope_of_its_own(shop: Shop, notes: list[str]) -> None:
    """The background tasks of frameworks run there; the scope of the request is closed."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("tea")
        await respond(send, length=2)
        with pytest.raises(NoScope):
            current_scope()
        place("mug")

    ASGIRequest(notes).run(ScopedASGI(app, shop))

    first = ["begin", "add tea", "commit", "sent start", "sent body"]
    assert notes == [*first, "begin", "add mug", "commit"]


def test_requests_at_the_same_time_have_scopes_of_their_own(shop: Shop) -> None:
    """Each task has its own context variable."""
    sessions: list[Session] = []

    async def main() -> None:
        together = asyncio.Barrier(3)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await together.wait()
            sessions.append(await current_scope().get(Shop.async_session))
            await together.wait()
            assert await current_scope().get(Shop.async_session) in sessions
            await respond(send, length=2)

        await asyncio.gather(*(ASGIRequest().call(ScopedASGI(app, shop)) for _ in range(3)))

    asyncio.run(main())
    assert len(set(map(id, sessions))) == 3


def test_a_websocket_is_a_session_and_each_injected_call_a_request_in_it(shop: Shop, notes: list[str]) -> None:
    """The objects of the session live as long as the connection."""

    @injected(Shop.feed, Shop.session)
    def handle(feed: list[str], session: Session, name: str) -> None:
        session.add(name)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        handle("tea")
        handle("mug")
        with current_scope().scope() as message:
            message[Shop.session].add("pot")

    ASGIRequest(notes, "websocket").run(ScopedASGI(app, shop))

    messages = [note for name in ("tea", "mug", "pot") for note in ("begin", f"add {name}", "commit")]
    assert notes == ["feed opened", *messages, "feed closed"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_server_does_not_keep_the_scope_of_a_connection(shop: Shop, kind: str) -> None:
    """Its task may handle the next one."""
    scopes: list[weakref.ref[Scope]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(weakref.ref(current_scope()))

    async def main() -> None:
        await ASGIRequest(kind=kind).call(ScopedASGI(app, shop))
        gc.collect()
        assert scopes[0]() is None

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_scope_may_be_given_values_of_its_connection(shop: Shop, kind: str) -> None:
    """By a function that gets the ASGI scope."""
    addresses: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with current_scope().scope() if kind == "websocket" else contextlib.nullcontext(current_scope()) as request:
            addresses.append(request[Shop.visitor].address)

    def given(connection: Any) -> list[Any]:
        return [Shop.visitor.given(Visitor(connection["client"][0]))]

    ASGIRequest(kind=kind).run(ScopedASGI(app, shop, given))

    assert addresses == ["test"]


def test_the_container_may_be_named_by_its_class() -> None:
    """Then one instance must run, which an application in the container itself cannot name."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        place("tea")
        await respond(send, length=2)

    scoped = ScopedASGI(app, Shop)
    with pytest.raises(
        NoRunningContainer, match=r"ScopedASGI needs Shop \(.*no container of this class runs; start one"
    ):
        ASGIRequest().run(scoped)
    with running(Shop) as shop:
        ASGIRequest().run(scoped)
        assert shop.notes() == ["begin", "add tea", "commit"]
        with running(Shop), pytest.raises(NoRunningContainer, match="more than one container of this class runs"):
            ASGIRequest().run(scoped)


def test_a_lifespan_is_passed_on(shop: Shop) -> None:
    """It has no scope."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(NoScope):
            current_scope()
        await send({"type": "lifespan.startup.complete"})

    request = ASGIRequest(kind="lifespan")
    request.run(ScopedASGI(app, shop))

    assert request.messages == [{"type": "lifespan.startup.complete"}]


def test_a_hosted_application_has_scopes_if_it_is_asked_for_them(shop: Shop, notes: list[str]) -> None:
    """Without the argument there are none."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        current_scope()[Shop.session].add("tea")
        await respond(send, length=2)

    ASGIRequest(notes).run(asgi.Hosted(app, shop, scopes=True))
    assert notes == ["begin", "add tea", "commit", "sent start", "sent body"]

    with pytest.raises(NoScope):
        ASGIRequest().run(asgi.Hosted(app, shop))


class Invoices:
    def __init__(self, session: Session) -> None:
        self.session = session


class Billing(Container):
    invoices = Scoped(Invoices, Shop.session.provided)


def test_the_containers_of_a_hosted_application_share_the_scope_of_a_request() -> None:
    """An injected function may need a component of each."""
    shop = Shop()

    @injected(Billing.invoices, Shop.session)
    def bill(invoices: Invoices, session: Session) -> None:
        assert invoices.session is session
        session.add("invoice")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bill()
        place("tea")
        await respond(send, length=2)

    with running(shop, billing := Billing()):
        ASGIRequest().run(asgi.Hosted(app, shop, billing, scopes=True))
        bill()

        assert shop.notes() == ["begin", "add invoice", "add tea", "commit", "begin", "add invoice", "commit"]
