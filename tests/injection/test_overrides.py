"""Overrides of objects of scopes while a site runs, as its tests need them: one container, one override for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from flask import Flask
from werkzeug.test import Client

from typedbus import Bus, Component, Container, OverrideError, Scoped
from typedbus.hosting import asgi, wsgi
from typedbus.injection import injected


def open_price() -> Iterator[int]:
    yield 390


async def open_discount() -> AsyncIterator[int]:
    yield 10


class Shop(Container):
    bus = Component(Bus)
    price = Scoped(open_price)


class Billing(Container):
    discount = Scoped(open_discount)
    charge = Scoped(open_price)


shop, billing = Shop(), Billing()
site = FastAPI()
web = Flask(__name__)


@site.get("/price")
@injected(Shop.price, Billing.discount)
async def offer(price: int, discount: int) -> int:
    return price - discount


@site.get("/stream")
@injected(Shop.price)
async def stream(price: int) -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        with pytest.raises(OverrideError, match="a scope is open"):
            shop.override(Shop.price).by(0).__enter__()
        yield str(price)

    return StreamingResponse(chunks())


@web.get("/price")
@injected(Shop.price, Billing.charge)
def sum_of(price: int, charge: int) -> str:
    return str(price + charge)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(asgi.Hosted(site, shop, billing, scopes=True)) as client:
        yield client


@pytest.mark.parametrize("price", [1000, 2000])
def test_requests_use_the_override_of_their_test(client: TestClient, price: int) -> None:
    """The site runs on, and has its own objects again afterwards."""
    assert client.get("/price").json() == 380
    with shop.override(Shop.price).by(price):
        assert client.get("/price").json() == price - 10
    assert client.get("/price").json() == 380


def test_requests_use_the_overrides_of_other_containers_on_the_bus(client: TestClient) -> None:
    """One scope serves a request, for all containers of the site."""
    assert client.get("/price").json() == 380
    with billing.override(Billing.discount).by(90), shop.override(Shop.price).by(100):
        assert client.get("/price").json() == 10
    assert client.get("/price").json() == 380


def test_an_override_during_a_streaming_response_is_refused(client: TestClient) -> None:
    """Its scope is open until the end of the stream."""
    assert client.get("/stream").text == "390"


def test_a_hosted_wsgi_site_uses_overrides() -> None:
    shop, billing = Shop(), Billing()
    hosted = wsgi.Hosted(web, shop, billing, scopes=True)
    try:
        client = Client(hosted)
        assert client.get("/price").text == "780"
        with billing.override(Billing.charge).by(10), shop.override(Shop.price).by(100):
            assert client.get("/price").text == "110"
        assert client.get("/price").text == "780"
    finally:
        hosted.exit()
