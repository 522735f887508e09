"""
The bookshop: its containers, its routes, and the ways to serve it.

``uvicorn examples.books.site:app`` serves it in a process of uvicorn, and
``typedbus run examples.books.site:Site`` with a server of its own.
"""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from httpx2 import HTTPError

from examples.books.catalogue import Catalogue
from examples.books.catalogue.routes import router as catalogue_routes
from examples.books.infra import Infra
from examples.books.notices import Notices
from examples.books.orders import Orders
from examples.books.orders.routes import router as order_routes
from typedbus import Component, Container
from typedbus.hosting.asgi import Hosted
from typedbus.plugins.logs import Logging
from typedbus.servers.asgi import ASGIServer


class Bookshop(Container):
    """The packages, on one bus."""

    infra = Infra()
    logs = Component(Logging, Infra.bus.provided, logger="books", console=True)
    catalogue = Catalogue()
    orders = Orders()
    notices = Notices()


web = FastAPI(title="Books")
web.include_router(catalogue_routes)
web.include_router(order_routes)


@web.exception_handler(HTTPError)
async def answer_without_price(request: Request, error: HTTPError) -> JSONResponse:
    """Answer a request for which the wholesaler returned no price."""
    return JSONResponse({"detail": "the wholesaler returned no price"}, 502)


app = Hosted(web, Bookshop, scopes=True)


class Site(Bookshop):
    """The bookshop with a server of its own."""

    server = Component(ASGIServer, Infra.bus.provided, web, bind=Infra.settings.provided.bind)
