"""The objects in the scopes that are compared: a service on a repository, on a session, on an engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import attrs


@attrs.define(eq=False)
class Engine:
    """
    Stands for a database, and counts what happens to its sessions.

    Attributes:
        opened: The number of sessions that were opened.
        committed: The number of sessions that ended with a commit, failed or not.
        rolled_back: The number of sessions that ended with a rollback.
        failure: The exception that `Service.place` raises, if any.
        commit_failure: The exception that a commit raises, if any.
    """

    opened: int = 0
    committed: int = 0
    rolled_back: int = 0
    failure: Exception | None = None
    commit_failure: Exception | None = None

    def commit(self) -> None:
        """Count a commit, and raise `commit_failure` if it is set."""
        self.committed += 1
        if self.commit_failure is not None:
            raise self.commit_failure

    def expect(self, number: int) -> None:
        """
        Expect that *number* sessions were opened and committed, and reset the counts.

        Raises:
            AssertionError: Another number was opened, or not all ended with a commit.
        """
        counts = (self.opened, self.committed, self.rolled_back)
        self.opened = self.committed = self.rolled_back = 0
        if counts != (number, number, 0):
            raise AssertionError(f"opened, committed, rolled back: {counts} instead of {(number, number, 0)}")


class Session:
    """The object that is opened and ended in each scope."""

    __slots__ = ("engine",)

    def __init__(self, engine: Engine) -> None:
        engine.opened += 1
        self.engine = engine


class Repository:
    """The object between the service and its session."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session


class Service:
    """The object that is resolved in each scope."""

    __slots__ = ("repository",)

    def __init__(self, repository: Repository) -> None:
        self.repository = repository

    def place(self) -> str:
        """Return a text, or raise the engine's `failure` if it is set."""
        failure = self.repository.session.engine.failure
        if failure is not None:
            raise failure
        return "placed"


def open_session(engine: Engine) -> Iterator[Session]:
    """Yield a session, and commit it, or roll it back if an exception is thrown in."""
    try:
        yield Session(engine)
    except BaseException:
        engine.rolled_back += 1
        raise
    engine.commit()


async def open_session_async(engine: Engine) -> AsyncIterator[Session]:
    """Same as `open_session`, but as an async generator."""
    try:
        yield Session(engine)
    except BaseException:
        engine.rolled_back += 1
        raise
    engine.commit()
