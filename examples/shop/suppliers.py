"""The suppliers of the shop, who make offers over HTTP."""

import json
import zlib
from collections.abc import Iterable
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx2

from examples.shop.channels import offer_wanted
from examples.shop.orders import Offer
from typedbus import on
from typedbus.servers.wsgi import WSGIServer


class Supplier:
    """Gets the offers of one supplier; its connections are open from start to stop, on the event loop of the bus."""

    _client: httpx2.AsyncClient

    def __init__(self, name: str, market: WSGIServer, *, patience: float = 2.0) -> None:
        self._name = name
        self._market = market
        self._patience = patience

    async def start(self) -> None:
        """Open the client."""
        url = f"http://{self._market.address}/{self._name}"
        # The market is on this machine, where no proxy is needed.
        self._client = httpx2.AsyncClient(base_url=url, timeout=self._patience, trust_env=False)

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @on(offer_wanted)
    async def offer(self, sku: str, quantity: int, /) -> Offer:
        """Get an offer for *quantity* of *sku*."""
        response = await self._client.get("/offer", params={"sku": sku, "quantity": quantity})
        response.raise_for_status()
        return Offer(self._name, response.json()["price"])


def answer_offers(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer for every supplier, as a WSGI application."""
    query = parse_qs(environ["QUERY_STRING"])
    # The prices differ between suppliers, and are the same in every run.
    price = 150 + zlib.crc32(f"{environ['PATH_INFO']} {query['sku'][0]}".encode()) % 200
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"price": price}).encode()]
