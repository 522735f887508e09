"""
A stand-in for the wholesaler, which returns prices over HTTP.

``uvicorn examples.books.wholesaler:service --port 8081`` is where the settings of the bookshop expect it; the demo
and the tests run `Wholesaler`.
"""

import zlib

from fastapi import FastAPI

from typedbus import Bus, Component, Container
from typedbus.servers.asgi import ASGIServer

service = FastAPI(title="Wholesaler")


@service.get("/prices/{isbn}")
async def price(isbn: str) -> dict[str, int]:
    """Return a price that is the same in every run."""
    return {"pence": 500 + zlib.crc32(isbn.encode()) % 2500}


class Wholesaler(Container):
    """The service with a server of its own, on a free port."""

    bus = Component(Bus)
    server = Component(ASGIServer, bus.provided, service, bind="127.0.0.1:0")
