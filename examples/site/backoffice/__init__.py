"""The back office for the staff, by Django."""

# Django has no types of its own.
# pyright: reportMissingTypeStubs=false

import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIEnvironment

import attrs
from django.conf import settings as django_settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from typed_settings import SecretStr

from examples.site.infra import Infra, Stock, sold
from typedbus import Component, Container, on
from typedbus.servers.mounts import MOUNT, WSGIMount
from typedbus.settings import configured

_URLS: Final = "examples.site.backoffice.urls"


@attrs.frozen
class BackofficeSettings:
    """The table ``[backoffice]``."""

    path: str = "/backoffice"
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1")
    secret_key: SecretStr = attrs.field(factory=lambda: SecretStr(secrets.token_urlsafe(50)))


class Sales:
    """Counts the sales of all applications."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    @on(sold)
    def count(self, article: str, left: int, /) -> None:
        """Count one sale."""
        self.counts[article] = self.counts.get(article, 0) + 1


class Backoffice:
    """
    The Django application, which shows the sales.

    Django has one set of settings in a process. So they are created once, and the URLs of this component are
    passed with each request.
    """

    def __init__(self, settings: BackofficeSettings, stock: Stock, sales: Sales) -> None:
        self._settings = settings
        self._stock = stock
        self._sales = sales
        self._urls = (path("", self.home, name="home"),)
        if not django_settings.configured:
            django_settings.configure(
                ALLOWED_HOSTS=list(settings.hosts),
                SECRET_KEY=settings.secret_key,
                ROOT_URLCONF=(),
                MIDDLEWARE=[f"{__name__}.{with_own_urls.__name__}"],
                LOGGING_CONFIG=None,
            )
        # This loads Django's applications, as `django.setup` does.
        self._app: Any = get_wsgi_application()

    @on(MOUNT)
    def mount(self) -> WSGIMount:
        """Contribute the application to the site."""
        return WSGIMount(self._settings.path, self)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        environ[_URLS] = self._urls
        response: Iterable[bytes] = self._app(environ, start_response)
        return response

    def home(self, request: HttpRequest) -> JsonResponse:
        """Return the sales, and the goods that are left."""
        return JsonResponse({"path": request.path, "sold": self._sales.counts, "left": self._stock.all()})


def with_own_urls(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Resolve each request with the URLs of the component that it came through; middleware of Django's."""

    def respond(request: Any) -> Any:
        request.urlconf = request.environ[_URLS]
        return get_response(request)

    return respond


class BackofficeContainer(Container):
    """The part of the site that Django answers."""

    settings = configured(BackofficeSettings, section="backoffice")
    sales = Component(Sales)
    backoffice = Component(Backoffice, settings.provided, Infra.stock.provided, sales.provided)
