"""An outbox and an inbox on every kind of connection."""

import sqlite3
from typing import assert_type

import aiosqlite
import psycopg
from sqlalchemy import Connection, create_engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from typedbus import AsyncChannel, Bus, Channel, Component, Container
from typedbus.nats import EventPort, EventRefused, FailedEvent, Inbox, Link, LinkEvent, Outbox, Stream, event

order_placed = Channel[[int, str], None]("order_placed")
order_paid = AsyncChannel[[int], None]("order_paid")
engine = create_engine("sqlite:///shop.db")
async_engine = create_async_engine("sqlite+aiosqlite:///shop.db")


def connect() -> sqlite3.Connection:
    return sqlite3.connect("shop.db")


class Site(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, ["nats://127.0.0.1:4222"])
    placed = Component(event, link.provided, order_placed, stream=Stream("ORDERS"))
    paid = Component(event, link.provided, order_paid, stream="PAYMENTS")
    outbox = Component(Outbox, link.provided, connect, every=0.5)
    other = Component(Outbox, link.provided, engine.connect, table="app.outbox", batch=100)
    inbox = Component(Inbox, "invoicing")


def connections(link: Link) -> None:
    Outbox(link, lambda: psycopg.connect("dbname=shop"))
    Outbox(link, sessionmaker(engine))
    Outbox(link, async_engine.connect)
    Outbox(link, async_sessionmaker(async_engine))
    Outbox(link, lambda: psycopg.AsyncConnection.connect("dbname=shop"))
    Outbox(link, lambda: aiosqlite.connect("shop.db"))


def add(
    outbox: Outbox,
    placed: EventPort[[int, str]],
    sqlite: sqlite3.Connection,
    postgres: psycopg.Connection[tuple[int]],
    session: Session,
    connection: Connection,
) -> None:
    outbox.create_table(sqlite)
    assert_type(outbox.add(sqlite, placed, 1, "mug"), str)
    outbox.add(postgres, placed, 1, "mug")
    outbox.add(session, placed.keyed("order-1"), 1, "mug")
    outbox.add(connection, placed, 1, "mug")
    assert_type(outbox.failed(session), list[FailedEvent])


async def add_async(
    outbox: Outbox,
    paid: EventPort[[int]],
    sqlite: aiosqlite.Connection,
    postgres: psycopg.AsyncConnection[tuple[int]],
    session: AsyncSession,
    connection: AsyncConnection,
) -> None:
    await outbox.create_table_async(sqlite)
    assert_type(await outbox.add_async(sqlite, paid, 1), str)
    await outbox.add_async(postgres, paid, 1)
    await outbox.add_async(session, paid, 1)
    await outbox.add_async(connection, paid, 1)
    assert_type(await outbox.failed_async(session), list[FailedEvent])


def handle(inbox: Inbox, session: Session) -> None:
    inbox.create_table(session)
    assert_type(inbox.seen(session, "1"), bool)
    assert_type(inbox.forget(session, older_than=7 * 86_400), int)


async def handle_async(inbox: Inbox, session: AsyncSession) -> None:
    await inbox.create_table_async(session)
    assert_type(await inbox.seen_async(session, "1"), bool)
    assert_type(await inbox.forget_async(session, older_than=7 * 86_400), int)


def refused(happened: LinkEvent) -> None:
    if isinstance(happened, EventRefused):
        assert_type(happened.attempts, int)
