"""Valid declarations of the classes of other libraries, as resources, as objects of scopes and with closed_by."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, closing
from tempfile import TemporaryDirectory
from typing import assert_type
from zipfile import ZipFile

import aiohttp
import httpx2
import sqlalchemy
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    AsyncSessionTransaction,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker

from typedbus import Bus, Component, Container, Resource, Scoped

URL = "sqlite://"


class Rates:
    def __init__(self, client: httpx2.AsyncClient, pages: aiohttp.ClientSession) -> None:
        self.client, self.pages = client, pages


class Orders:
    def __init__(self, session: AsyncSession, rates: Rates) -> None:
        self.session, self.rates = session, rates


class Worker:
    def __init__(
        self,
        sessions: Callable[[], AbstractAsyncContextManager[AsyncSession]],
        connections: Callable[[], AbstractContextManager[sqlalchemy.Connection]],
    ) -> None:
        self.sessions, self.connections = sessions, connections


def open_session(engine: sqlalchemy.Engine) -> Iterator[Session]:
    with Session(engine) as session, session.begin():
        yield session


async def open_async_session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
        yield session


def open_file(path: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


class Site(Container):
    bus = Component(Bus)
    engine = Component(sqlalchemy.create_engine, URL, echo=True).closed_by(sqlalchemy.Engine.dispose)
    async_engine = Component(create_async_engine, "sqlite+aiosqlite://").closed_by(AsyncEngine.dispose)
    file = Component(sqlite3.Connection, ":memory:").closed_by(sqlite3.Connection.close)

    client = Resource(httpx2.Client, base_url="https://example.org")
    async_client = Resource(httpx2.AsyncClient, timeout=3)
    pages = Resource(aiohttp.ClientSession, raise_for_status=True)
    threads = Resource(ThreadPoolExecutor, 3, thread_name_prefix="orders")
    processes = Resource(ProcessPoolExecutor, max_workers=3)
    folder = Resource(TemporaryDirectory[str], prefix="shop")
    archive = Resource(ZipFile, "orders.zip", mode="w")

    session = Scoped(Session, engine.provided, expire_on_commit=False)
    opened = Scoped(open_session, engine.provided)
    made = Scoped(sessionmaker[Session](), bind=engine.provided)
    async_session = Scoped(open_async_session, async_engine.provided)
    async_class = Scoped(AsyncSession, async_engine.provided, expire_on_commit=False)
    async_made = Scoped(async_sessionmaker[AsyncSession](), bind=async_engine.provided)
    connection = Scoped(sqlalchemy.Engine.connect, engine.provided)
    async_connection = Scoped(AsyncEngine.connect, async_engine.provided)
    transaction = Scoped(Session.begin, session.provided)
    async_transaction = Scoped(AsyncSession.begin, async_class.provided)
    lock_file = Scoped(open_file, ":memory:")

    rates = Component(Rates, async_client.provided, pages=pages.provided)
    orders = Scoped(Orders, async_session.provided, rates.provided)
    worker = Component(Worker, async_session.async_opener, connection.opener)


site = Site()
assert_type(Site.engine.provided, sqlalchemy.Engine)
assert_type(Site.async_engine.provided, AsyncEngine)
assert_type(Site.file.provided, sqlite3.Connection)
assert_type(Site.client.provided, httpx2.Client)
assert_type(Site.async_client.provided, httpx2.AsyncClient)
assert_type(Site.pages.provided, aiohttp.ClientSession)
assert_type(Site.threads.provided, ThreadPoolExecutor)
assert_type(Site.processes.provided, ProcessPoolExecutor)
assert_type(Site.folder.provided, str)
assert_type(Site.archive.provided, ZipFile)
assert_type(Site.session.provided, Session)
assert_type(Site.opened.provided, Session)
assert_type(Site.made.provided, Session)
assert_type(Site.async_session.provided, AsyncSession)
assert_type(Site.async_class.provided, AsyncSession)
assert_type(Site.async_made.provided, AsyncSession)
assert_type(Site.connection.provided, sqlalchemy.Connection)
assert_type(Site.async_connection.provided, AsyncConnection)
assert_type(Site.transaction.provided, SessionTransaction)
assert_type(Site.async_transaction.provided, AsyncSessionTransaction)
assert_type(Site.lock_file.provided, sqlite3.Connection)


async def use() -> None:
    async with site.scope() as scope:
        orders = await scope.get(Site.orders)
        assert_type(orders.session, AsyncSession)
        assert_type((await scope.get(Site.async_connection)), AsyncConnection)
