"""Applications of FastAPI, Starlette and Litestar, hosted with an async component that their requests use."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.hosting.test_async_hosted import Shop

from typedbus import Bus, Component, Container, TransitionFailures
from typedbus.hosting import asgi

pytestmark = pytest.mark.slow


def lifespan_of(site: Shop) -> Callable[[object], contextlib.AbstractAsyncContextManager[None]]:
    """Return the lifespan of an application, which uses the feed at its beginning and at its end."""

    @contextlib.asynccontextmanager
    async def lifespan(app: object) -> AsyncGenerator[None]:
        site.feed().note(f"app begins with {await site.feed().ask()}")
        yield
        site.feed().note(f"app ends with {await site.feed().ask()}")

    return lifespan


def fastapi_of(site: Shop) -> Any:
    app = FastAPI(lifespan=lifespan_of(site))

    @app.get("/")
    async def offer() -> str:
        site.feed().note("request")
        return await site.feed().ask()

    return app


def starlette_of(site: Shop) -> Any:
    async def offer(request: Request) -> PlainTextResponse:
        site.feed().note("request")
        return PlainTextResponse(await site.feed().ask())

    return Starlette(routes=[Route("/", offer)], lifespan=lifespan_of(site))


def litestar_of(site: Shop) -> Any:
    @get("/")
    async def offer() -> str:
        site.feed().note("request")
        return await site.feed().ask()

    return Litestar([offer], lifespan=[lifespan_of(site)], logging_config=None)


@pytest.mark.parametrize("application_of", [fastapi_of, starlette_of, litestar_of])
def test_the_lifespan_and_the_requests_of_a_framework_use_an_async_component(
    application_of: Callable[[Shop], Any],
) -> None:
    """The component starts before the lifespan of the application and stops after it, on one loop."""
    site = Shop()

    with TestClient(asgi.Hosted(application_of(site), site)) as client:
        feed = site.feed()
        assert "mugs" in client.get("/").text

    assert feed.notes == ["start", "app begins with mugs", "request", "app ends with mugs", "stop", "exit"]
    assert len(set(feed.loops)) == 1


class Failing:
    def __init__(self, hook: str) -> None:
        self.hook = hook

    def start(self) -> None:
        if self.hook == "start":
            raise OSError("no start")

    def exit(self) -> None:
        if self.hook == "exit":
            raise OSError("no exit")


class FailingSite(Container):
    bus = Component(Bus)
    hook = Component(str)
    failing = Component(Failing, hook.provided)


@pytest.mark.parametrize("hook", ["start", "exit"])
def test_a_test_client_raises_the_failure_of_the_container(hook: str) -> None:
    """It waits for the exception of the application after the message that reports the failure."""
    site = FailingSite()

    with site.override(FailingSite.hook).by(hook), pytest.raises(TransitionFailures) as failed:
        with TestClient(asgi.Hosted(FastAPI(), site)):
            assert hook == "exit"

    assert str(failed.value.exceptions[0]) == f"no {hook}"
