"""Valid uses of hosting."""

import signal
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, assert_type
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from typedbus import Bus, Component, Container, Limits
from typedbus.hosting import asgi, wsgi
from typedbus.hosting.gunicorn import post_worker_init, worker_exit
from typedbus.servers.asgi import ASGIApp

Message = MutableMapping[str, Any]


class Shop(Container):
    bus = Component(Bus)


class Jobs(Container):
    pass


def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b""]


async def asgi_page(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None: ...


def end() -> None:
    signal.raise_signal(signal.SIGTERM)


shop = Shop()
application = wsgi.Hosted(page, shop)
wsgi.Hosted(page, Shop)
wsgi.Hosted(page, Shop, Jobs, Jobs(), workers=2, limits=Limits(stop=5), ended=end)
wsgi.Hosted(application, Jobs())
assert_type(application.start(), None)
assert_type(application.exit(), None)
served: WSGIApplication = application
asgi_application = asgi.Hosted(asgi_page, shop)
asgi.Hosted(asgi_page, Shop, Jobs, workers=2, limits=Limits(start=5), ended=lambda: 1)
asgi.Hosted(asgi_application, Jobs())
served_too: ASGIApp = asgi_application
post_worker_init(object())
worker_exit(object(), object())
