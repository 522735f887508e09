"""
The shop in a process of somebody else's.

``uvicorn examples.shop.hosted:app``, or
``gunicorn -c python:typedbus.hosting.gunicorn examples.shop.hosted:application``.
Each process of such a server has a shop of its own, and all of them one set of
books: orders, stock and invoices are the same whoever answers, and what the page
calls "this process" is not.
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
    """A hall that tells what happens to whoever keeps the log of the server."""

    logs = Component(Logging, Hall.bus.provided, logger="shop", console=True)


# There is no command line that could name another file; the environment may. The
# settings are read when the hall starts, and a server that hears of faults then
# ends. Workers that cannot even be imported some servers begin again and again.
os.environ.setdefault("TYPEDBUS_CONFIG", str(SHOP_TOML))
hall = Hosted()


def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request in the hall, which is there by then."""
    return hall.wsgi()(environ, start_response)


async def answer_async(scope: Message, receive: Receive, send: Send) -> None:
    """Same as `answer`, over ASGI."""
    await hall.asgi()(scope, receive, send)


application = wsgi.Hosted(answer, hall)
app = asgi.Hosted(answer_async, hall)
