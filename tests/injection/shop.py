"""A container with objects of scopes that note what happens to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from typedbus import SESSION, Bus, Component, Container, Given, Scoped


class Session:
    """A transaction of a database."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        #: What the commit raises.
        self.error: Exception | None = None

    def add(self, name: str) -> None:
        self.notes.append(f"add {name}")
        if name == "rejected":
            self.error = OSError("the commit was rejected")

    def commit(self) -> None:
        if self.error is not None:
            self.notes.append("no commit")
            raise self.error
        self.notes.append("commit")


def open_session(notes: list[str]) -> Iterator[Session]:
    notes.append("begin")
    session = Session(notes)
    try:
        yield session
    except BaseException as error:
        notes.append(f"rollback {type(error).__name__}")
        raise
    session.commit()


async def open_async_session(notes: list[str]) -> AsyncIterator[Session]:
    notes.append("begin async")
    session = Session(notes)
    try:
        yield session
    except BaseException as error:
        notes.append(f"rollback async {type(error).__name__}")
        raise
    session.commit()


class Orders:
    def __init__(self, session: Session) -> None:
        self.session = session

    def place(self, name: str) -> int:
        self.session.add(name)
        return len(name)


class Catalogue:
    names = ("tea", "mugs")


def open_feed(notes: list[str]) -> Iterator[list[str]]:
    notes.append("feed opened")
    yield notes
    notes.append("feed closed")


class Visitor:
    """What is known of the client of a request."""

    def __init__(self, address: str) -> None:
        self.address = address


class Shop(Container):
    bus = Component(Bus)
    notes = Component(list[str])
    catalogue = Component(Catalogue)
    visitor = Given(Visitor).at(SESSION)
    session = Scoped(open_session, notes.provided)
    orders = Scoped(Orders, session.provided)
    async_session = Scoped(open_async_session, notes.provided)
    async_orders = Scoped(Orders, async_session.provided)
    feed = Scoped(open_feed, notes.provided).at(SESSION)
