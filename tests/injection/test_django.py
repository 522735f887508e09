"""Injected views of Django, called as by a WSGI and by an ASGI server."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.utils.functional import empty
from django.views import View
from tests.injection.clients import ASGIRequest, WSGIRequest
from tests.injection.shop import Orders, Session, Shop

from typedbus.injection import ScopedASGI, ScopedWSGI, current_scope, injected


@injected(Shop.orders)
def place(orders: Orders, request: HttpRequest, user: int, name: str) -> HttpResponse:
    if name == "gone":
        raise Http404
    if name == "broken":
        raise ValueError
    return HttpResponse(str(orders.place(name) + user))


@injected(Shop.async_orders)
async def place_async(orders: Orders, request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(str(orders.place(name)))


@injected(Shop.session)
def stream(session: Session, request: HttpRequest) -> StreamingHttpResponse:
    def chunks() -> Iterator[str]:
        for number in range(2):
            session.add(f"chunk {number}")
            yield str(number)

    async def async_chunks() -> AsyncIterator[str]:
        for chunk in chunks():
            yield chunk

    return StreamingHttpResponse(async_chunks() if hasattr(request, "scope") else chunks())


class Placing(View):  # type: ignore[misc]  # Django is untyped
    def get(self, request: HttpRequest) -> HttpResponse:
        current_scope()[Shop.orders].place("tea")
        raise ValueError


def with_user(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware of Django that uses the scope of the request, if there is one."""

    def answer(request: HttpRequest) -> HttpResponse:
        if "user" in request.GET:
            current_scope()[Shop.session].add("user")
        return get_response(request)

    return answer


urlpatterns = [
    path("place/<int:user>/<str:name>", place),
    path("async/<str:name>", place_async),
    path("stream", stream),
    path("class", Placing.as_view()),
]


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    """
    Give Django the settings of this module for one test.

    A process has only one, and other tests have configured it.
    """
    before = settings._wrapped
    settings._wrapped = empty
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="of the tests",
        ROOT_URLCONF=sys.modules[__name__],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware", f"{__name__}.with_user"],
        LOGGING_CONFIG=None,
    )
    yield
    settings._wrapped = before


@pytest.fixture
def scoped(shop: Shop, notes: list[str]) -> Callable[[str], WSGIRequest]:
    """Send a request to the application with a scope for each request."""
    application = ScopedWSGI(get_wsgi_application(), shop)
    return lambda path: WSGIRequest(application, [], path)


@pytest.fixture
def unscoped(shop: Shop, notes: list[str]) -> Callable[[str], WSGIRequest]:
    """Send a request to the application without the middleware."""
    application = get_wsgi_application()
    return lambda path: WSGIRequest(application, [], path)


@pytest.fixture(params=["scoped", "unscoped"])
def ask(request: pytest.FixtureRequest) -> Callable[[str], WSGIRequest]:
    """Each of both."""
    sends: Callable[[str], WSGIRequest] = request.getfixturevalue(request.param)
    return sends


def test_a_view_gets_its_components_before_the_request(ask: Callable[[str], WSGIRequest], notes: list[str]) -> None:
    """Those of the path come after it, by name."""
    assert ask("/place/7/tea").read() == b"10"
    assert notes == ["begin", "add tea", "commit"]


@pytest.mark.parametrize(("name", "status", "error"), [("gone", "404", "Http404"), ("broken", "500", "ValueError")])
def test_an_exception_of_a_view_rolls_back(
    ask: Callable[[str], WSGIRequest], notes: list[str], name: str, status: str, error: str
) -> None:
    """The framework turns each into a response."""
    request = ask(f"/place/7/{name}")
    request.read()

    assert request.status.startswith(status)
    assert notes == ["begin", f"rollback {error}"]


def test_a_commit_that_fails_is_a_500(
    unscoped: Callable[[str], WSGIRequest], scoped: Callable[[str], WSGIRequest], notes: list[str]
) -> None:
    """By the framework, or by the server, which gets the exception before the body."""
    assert unscoped("/place/7/rejected").status.startswith("500")
    with pytest.raises(OSError, match="rejected"):
        scoped("/place/7/rejected").read()
    assert notes == ["begin", "add rejected", "no commit"] * 2


def test_the_scope_stays_open_while_a_response_is_streamed(
    scoped: Callable[[str], WSGIRequest], notes: list[str]
) -> None:
    """It is closed at the end."""
    assert scoped("/stream").read() == b"01"
    assert notes == ["begin", "add chunk 0", "add chunk 1", "commit"]


def test_an_exception_of_a_class_based_view_rolls_back(scoped: Callable[[str], WSGIRequest], notes: list[str]) -> None:
    """It uses the current scope, and the framework answers with 500."""
    assert scoped("/class").read()
    assert notes == ["begin", "add tea", "rollback FailedResponse"]


def test_an_async_view_without_the_middleware_gets_async_components(
    unscoped: Callable[[str], WSGIRequest], notes: list[str]
) -> None:
    """The framework runs it on a loop of its own."""
    assert unscoped("/async/tea").read() == b"3"
    assert notes == ["begin async", "add tea", "commit"]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/place/7/tea", b"10", ["begin", "add tea", "commit", "sent start", "sent body"]),
        ("/async/tea", b"3", ["begin async", "add tea", "commit", "sent start", "sent body"]),
        (
            "/stream",
            b"01",
            [
                "begin",
                "sent start",
                "add chunk 0",
                "sent body more",
                "add chunk 1",
                "sent body more",
                "commit",
                "sent body",
            ],
        ),
    ],
)
def test_views_run_in_the_scope_of_a_request_under_asgi(
    shop: Shop, notes: list[str], path: str, body: bytes, expected: list[str]
) -> None:
    """Plain views run in a thread, which inherits it."""
    request = ASGIRequest(notes, path=path)
    request.received.append({"type": "http.request"})
    request.run(ScopedASGI(get_asgi_application(), shop))

    assert b"".join(message.get("body", b"") for message in request.messages) == body
    assert notes == expected


def test_a_middleware_of_django_shares_the_scope(shop: Shop, notes: list[str]) -> None:
    """It runs inside that of the request."""
    WSGIRequest(ScopedWSGI(get_wsgi_application(), shop), [], "/place/7/tea", query="user=ada").read()
    assert notes == ["begin", "add user", "add tea", "commit"]
