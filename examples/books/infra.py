"""The components that all packages use: the bus, the settings, the database, and a session in each scope."""

from collections.abc import AsyncGenerator

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.schema import CreateTable

from examples.books.settings import Settings
from typedbus import START, Bus, Component, Container, Scoped
from typedbus.settings import configured


class Table(DeclarativeBase):
    """The base class of all tables."""


async def create_tables(engine: AsyncEngine) -> None:
    """Create the tables that do not exist yet; to change existing tables, run migrations before the start."""
    async with engine.begin() as connection:
        # `create_all` fails if several processes open a new file at the same moment.
        for table in Table.metadata.sorted_tables:
            await connection.execute(CreateTable(table, if_not_exists=True))


async def open_session(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    """Yield a session whose transaction is committed at the end of the scope, and rolled back if the scope fails."""
    async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
        yield session


class Infra(Container):
    """The components that every package may refer to."""

    bus = Component(Bus)
    settings = configured(Settings, section="books")
    engine = (
        Component(create_async_engine, settings.provided.database)
        .on(START.calls(create_tables))
        .closed_by(AsyncEngine.dispose)
    )
    session = Scoped(open_session, engine.provided)
