"""Invalid declarations of the classes of other libraries; a marked line is an error for both checkers."""

from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory

import aiohttp
import httpx2
import sqlalchemy
from libraries_good import Orders, Rates, Worker, open_async_session, open_session
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from typedbus import Bus, Component, Container, Resource, Scoped

URL = "sqlite://"


class Site(Container):
    bus = Component(Bus)
    engine = Component(sqlalchemy.create_engine, URL).closed_by(sqlalchemy.Engine.dispose)
    async_engine = Component(create_async_engine, URL).closed_by(AsyncEngine.dispose)
    client = Resource(httpx2.Client)
    async_client = Resource(httpx2.AsyncClient)
    pages = Resource(aiohttp.ClientSession)
    rates = Component(Rates, async_client.provided, pages.provided)
    session = Scoped(open_session, engine.provided)
    async_session = Scoped(open_async_session, async_engine.provided)
    connection = Scoped(sqlalchemy.Engine.connect, engine.provided)

    engine_as_resource = Resource(sqlalchemy.create_engine, URL)  # E
    async_engine_as_resource = Resource(create_async_engine, URL)  # E
    closed_by_another_class = Component(create_async_engine, URL).closed_by(sqlalchemy.Engine.dispose)  # E
    client_misnamed = Resource(httpx2.Client, base="https://example.org")  # E
    client_mistyped = Resource(httpx2.AsyncClient, base_url=3)  # E
    pages_misnamed = Resource(aiohttp.ClientSession, raise_for_state=True)  # E
    threads_mistyped = Resource(ThreadPoolExecutor, "three")  # E
    folder_as_object: Resource[TemporaryDirectory[str]] = Resource(TemporaryDirectory[str])  # E
    session_of_async_engine = Scoped(open_session, async_engine.provided)  # E
    session_of_engine = Scoped(open_async_session, engine.provided)  # E
    session_missing = Scoped(open_async_session)  # E
    session_misnamed = Scoped(Session, engine.provided, expire=False)  # E
    async_session_mistyped = Scoped(AsyncSession, engine.provided)  # E
    connection_of_session = Scoped(sqlalchemy.Engine.connect, session.provided)  # E
    rates_of_sync_client = Component(Rates, client.provided, pages.provided)  # E
    rates_of_wrong_order = Component(Rates, pages.provided, async_client.provided)  # E
    orders_of_sync_session = Scoped(Orders, session.provided, rates.provided)  # E
    worker_of_sync_opener = Component(Worker, async_session.opener, connection.opener)  # E
    worker_of_sync_session = Component(Worker, session.async_opener, connection.opener)  # E


site = Site()


async def use() -> None:
    async with site.scope() as scope:
        session: AsyncSession = scope.get(Site.async_session)  # E
        engine: AsyncEngine = await scope.get(Site.async_session)  # E
        sync: Session = scope[Site.async_session]  # E
        print(session, engine, sync)
