"""Wrong uses of an outbox and an inbox."""

import sqlite3
from typing import Any

import psycopg
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from typedbus import Bus, Channel, Component, Container
from typedbus.nats import EventPort, FailedEvent, Inbox, Link, Outbox

order_placed = Channel[[int, str], None]("order_placed")


def connect() -> sqlite3.Connection:
    return sqlite3.connect("shop.db")


class Site(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, ["nats://127.0.0.1:4222"])
    without_database = Component(Outbox, link.provided)  # E
    without_link = Component(Outbox, bus.provided, connect)  # E
    positional = Component(Outbox, link.provided, connect, "typedbus_outbox")  # E
    often = Component(Outbox, link.provided, connect, every="often")  # E
    connected = Component(Outbox, link.provided, connect())  # E
    address = Component(Outbox, link.provided, "shop.db")  # E
    nameless = Component(Inbox)  # E


def add(outbox: Outbox, placed: EventPort[[int, str]], session: Session, database: psycopg.Connection[Any]) -> None:
    outbox.add(session, placed, 1)  # E
    outbox.add(session, placed, "mug", 1)  # E
    outbox.add(session, placed, 1, "mug", 2)  # E
    outbox.add(session, placed, 1, name="mug")  # E
    outbox.add(session, order_placed, 1, "mug")  # E
    outbox.add(placed, 1, "mug")  # E
    outbox.add(database.cursor(), placed, 1, "mug")  # E
    outbox.add(session, placed, 1, "mug") + 1  # E
    outbox.failed(session)[0].attempt  # E


async def add_async(
    outbox: Outbox, placed: EventPort[[int, str]], session: AsyncSession, sync: Session, engine: Engine
) -> None:
    outbox.add(session, placed, 1, "mug")  # E
    outbox.add_async(session, placed, 1, "mug")  # E
    await outbox.add_async(sync, placed, 1, "mug")  # E
    await outbox.add_async(session, placed, 1)  # E
    outbox.add(engine, placed, 1, "mug")  # E
    outbox.create_table(session)  # E


async def handle(inbox: Inbox, session: AsyncSession, sync: Session, failed: FailedEvent) -> None:
    inbox.seen(session, "1")  # E
    inbox.seen(sync, 1)  # E
    inbox.forget(sync, 3600)  # E
    inbox.seen_async(session, "1")  # E
    inbox.name = "shipping"  # E
    failed.error = ""  # E
