"""
The shop in the process of a server such as uvicorn or gunicorn.

``uvicorn examples.shop.hosted:app``, or
``gunicorn -c python:typedbus.hosting.gunicorn examples.shop.hosted:application``.
Each process of such a server has its own shop, and all of them share one set of
books: orders, stock and invoices are the same in every process. The part of the
page that is called "this process" differs.
"""

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from examples.shop.settings import SHOP_TOML
from examples.shop.site import Hall
from examples.shop.web import Message, Receive, Send
from typedbus import Component
from typedbus.hosting import asgi, wsgi
from typedbus.plugins.logs import Logging


class Hosted(Hall):
    """A hall that logs to the stderr of the server."""

    logs = Component(Logging, Hall.bus.provided, logger="shop", console=True)


# There is no command line that could name another file, but the environment can.
# The settings are read when the hall starts, so that faults end the server. Some
# servers restart a worker endlessly if its import fails.
os.environ.setdefault("TYPEDBUS_CONFIG", str(SHOP_TOML))
hall = Hosted()


def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request in the hall, which has started before the first request."""
    return hall.wsgi()(environ, start_response)


async def answer_async(scope: Message, receive: Receive, send: Send) -> None:
    """Same as `answer`, over ASGI."""
    await hall.asgi()(scope, receive, send)


application = wsgi.Hosted(answer, hall)
app = asgi.Hosted(answer_async, hall)
