"""The API for programs, by FastAPI."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
from fastapi import FastAPI, HTTPException

from examples.site.infra import Infra, SoldOut, Stock
from typedbus import Bus, Component, Container, on
from typedbus.servers.mounts import MOUNT, ASGIMount
from typedbus.settings import configured


@attrs.frozen
class APISettings:
    """The table ``[api]``."""

    path: str = "/api"
    title: str = "The shop's API"


class API:
    """The FastAPI application; it reports the start and the end of its lifespan."""

    def __init__(self, settings: APISettings, bus: Bus, stock: Stock) -> None:
        self._settings = settings
        self._bus = bus
        self._stock = stock
        self._app = FastAPI(title=settings.title, lifespan=self.lifespan)
        self._app.add_api_route("/goods", self.goods, methods=["GET"])
        self._app.add_api_route("/goods/{article}/sales", self.sell, methods=["POST"])

    @on(MOUNT)
    def mount(self) -> ASGIMount:
        """Contribute the application to the site."""
        return ASGIMount(self._settings.path, self._app)

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncGenerator[None]:
        """Open and close what belongs to the event loop of the application: here, nothing but a line in the log."""
        self._bus.log("the API is up")
        yield
        self._bus.log("the API is down")

    def goods(self) -> dict[str, int]:
        """Return how many are left of each article."""
        return self._stock.all()

    def sell(self, article: str) -> dict[str, int]:
        """Sell one piece, and return how many are left."""
        try:
            return {"left": self._stock.sell(article)}
        except SoldOut:
            raise HTTPException(409, f"no {article} is left") from None


class APIContainer(Container):
    """The part of the site that FastAPI answers."""

    settings = configured(APISettings, section="api")
    api = Component(API, settings.provided, Infra.bus.provided, Infra.stock.provided)
