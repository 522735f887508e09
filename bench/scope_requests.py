"""FastAPI sites whose endpoint needs the service of a scope, and requests to them without a socket."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Literal

import attrs

from scope_parts import Engine, Repository, Service, Session, open_session_async
from targets import OURS

YIELD_DEPENDENCY = "`yield` dependency"
ASGI = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


@attrs.frozen
class Site:
    """
    A site whose endpoint needs a service in each request.

    Attributes:
        name: Its name in the tables.
        app: The application that is called.
        engine: The engine of all sessions.
        sessions: The number of sessions in each request.
    """

    name: str
    app: ASGI
    engine: Engine
    sessions: int = 1


@attrs.define
class Client:
    """
    Sends requests to *site* in the current task.

    Attributes:
        statuses: The number of responses with each status.
        committed_first: Whether the session was committed before the last response began.
    """

    site: Site
    statuses: dict[int, int] = attrs.field(factory=dict)
    committed_first: bool = False

    async def get(self) -> None:
        """Send a request to the endpoint."""
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/place",
            "raw_path": b"/place",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        await self.site.app(scope, _receive, self._send)

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.statuses[message["status"]] = self.statuses.get(message["status"], 0) + 1
            self.committed_first = self.site.engine.committed > 0

    async def seconds_for(self, number: int) -> float:
        """Return the processor time of *number* requests, and expect that each was answered and its session committed."""
        self.statuses.clear()
        began = time.thread_time()
        for _ in range(number):
            await self.get()
        seconds = time.thread_time() - began
        self.site.engine.expect(number * self.site.sessions)
        if self.statuses != {200: number}:
            raise AssertionError(f"{self.site.name}: {self.statuses} instead of 200")
        return seconds


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


@asynccontextmanager
async def started(app: ASGI) -> Any:
    """Run the lifespan of *app* around the body."""
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    replies: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, messages.get, replies.put))
    for event in ("startup", "shutdown"):
        await messages.put({"type": f"lifespan.{event}"})
        reply = await replies.get()
        if reply["type"] != f"lifespan.{event}.complete":
            raise AssertionError(reply)
        if event == "startup":
            yield
    await task


def fastapi_site(place: Callable[..., Awaitable[str]], route: type | None = None) -> Any:
    """Return an application whose only endpoint is *place*, a route of the class *route*."""
    from fastapi import FastAPI

    app = FastAPI()
    if route is not None:
        app.router.route_class = route
    app.get("/place")(place)
    return app


def plain() -> Site:
    """Return a site whose endpoint needs nothing."""

    async def place() -> str:
        return "placed"

    return Site("no dependency", fastapi_site(place), Engine(), sessions=0)


def by_hand(scope: Literal["request", "function"]) -> Site:
    """Return a site with a dependency that yields the session; the endpoint makes the other objects."""
    from fastapi import Depends

    engine = Engine()

    async def place(
        session: Annotated[Session, Depends(partial(open_session_async, engine), scope=scope)],
    ) -> str:
        return Service(Repository(session)).place()

    name = YIELD_DEPENDENCY if scope == "request" else f'{YIELD_DEPENDENCY}, `scope="{scope}"`'
    return Site(name, fastapi_site(place), engine)


def chain() -> Site:
    """Return a site with a dependency for each object."""
    from fastapi import Depends

    engine = Engine()

    async def repository(session: Annotated[Session, Depends(partial(open_session_async, engine))]) -> Repository:
        return Repository(session)

    async def service(repository: Annotated[Repository, Depends(repository)]) -> Service:
        return Service(repository)

    async def place(service: Annotated[Service, Depends(service)]) -> str:
        return service.place()

    return Site("a dependency for each object", fastapi_site(place), engine)


def typedbus(*, scopes: bool) -> Site:
    """Return a site with a scope of typedbus for each request, or else for each call of an injected function."""
    from typedbus import Bus, Component, Container, Scoped
    from typedbus.hosting.asgi import Hosted
    from typedbus.injection import injected

    on_engine = Engine()

    class Shop(Container):
        bus = Component(Bus)
        engine = Component(lambda: on_engine)
        session = Scoped(open_session_async, engine.provided)
        repository = Scoped(Repository, session.provided)
        service = Scoped(Service, repository.provided)

    @injected(Shop.service)
    async def place(service: Service) -> str:
        return service.place()

    name = OURS if scopes else f"{OURS}, a scope for each call"
    return Site(name, Hosted(fastapi_site(place), Shop, scopes=scopes), on_engine)


def wireup() -> Site:
    """Return a site with the integration of wireup, and its route class, without which a request takes twice as long."""
    from wireup import Injected, create_async_container, injectable
    from wireup.integration.fastapi import WireupRoute, setup

    engine = Engine()

    def engine_of_all() -> Engine:
        return engine

    async def place(service: Injected[Service]) -> str:
        return service.place()

    app = fastapi_site(place, WireupRoute)
    scoped = [injectable(make, lifetime="scoped") for make in (open_session_async, Repository, Service)]
    setup(create_async_container(injectables=[injectable(engine_of_all), *scoped]), app)
    return Site("wireup", app, engine)


def dishka() -> Site:
    """Return a site with the integration of dishka."""
    from dishka import Provider, Scope, make_async_container
    from dishka.integrations.fastapi import FromDishka, inject, setup_dishka

    engine = Engine()
    provider = Provider(scope=Scope.REQUEST)
    provider.provide(lambda: engine, provides=Engine, scope=Scope.APP)
    provider.provide_all(open_session_async, Repository, Service)

    @inject
    async def place(service: FromDishka[Service]) -> str:
        return service.place()

    app = fastapi_site(place)
    setup_dishka(make_async_container(provider), app)
    return Site("dishka", app, engine)


MAKES: tuple[Callable[[], Site], ...] = (
    plain,
    partial(by_hand, "request"),
    partial(by_hand, "function"),
    chain,
    partial(typedbus, scopes=True),
    partial(typedbus, scopes=False),
    wireup,
    dishka,
)
