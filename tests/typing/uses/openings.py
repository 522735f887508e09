"""Functions and classes in every form that opens an object, which the files of resources and scopes declare."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
)
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, overload

T = TypeVar("T")


class Engine:
    """Lives as long as the container."""

    def __init__(self, url: str = "sqlite:", *, echo: bool = False) -> None:
        self.url, self.echo = url, echo


@dataclass
class User:
    name: str
    age: int = 0


@dataclass
class Admin(User):
    """A user with more rights."""


class HasName(Protocol):
    @property
    def name(self) -> str: ...


class Session:
    """What most of the functions open."""

    def __init__(self, engine: Engine, *, autoflush: bool = True) -> None:
        self.engine, self.autoflush = engine, autoflush

    def close(self) -> None: ...


class CloseableSession(Session):
    """A session that is a context manager, as SQLAlchemy's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None: ...


class AsyncSession(Session):
    """A session that is an async context manager, as SQLAlchemy's."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ClientSession(AsyncSession):
    """Both a sync and an async context manager, as aiohttp's: the sync form gives None."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None: ...


class Directory:
    """A context manager that gives an object of another class, and suppresses failures."""

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = prefix

    def __enter__(self) -> str:
        return ""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return True


class Lines:
    """Both a context manager and an iterator, as a file."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None: ...


class Repo(Generic[T]):
    def __init__(self, session: Session, kind: type[T]) -> None:
        self.session, self.kind = session, kind

    def one(self) -> T:
        raise NotImplementedError


class Orders:
    def __init__(self, session: Session, user: User, *, limit: int = 10) -> None:
        self.session, self.user, self.limit = session, user, limit

    def place(self, name: str) -> int:
        return len(name)


class Opening:
    """A callable object."""

    def __init__(self, retries: int) -> None:
        self.retries = retries

    def __call__(self, engine: Engine) -> Iterator[Session]:
        yield Session(engine)

    def opened(self, engine: Engine, *, autoflush: bool = True) -> Iterator[Session]:
        """Open a session: for use as a bound method."""
        yield Session(engine, autoflush=autoflush)


def open_iterator(engine: Engine, *, autoflush: bool = True) -> Iterator[Session]:
    yield Session(engine, autoflush=autoflush)


def open_generator(engine: Engine, *, autoflush: bool = True) -> Generator[Session, None, None]:
    yield Session(engine, autoflush=autoflush)


@contextmanager  # pyright: ignore[reportDeprecated]  # many programs have this spelling
def open_decorated(engine: Engine, *, autoflush: bool = True) -> Iterator[Session]:
    yield Session(engine, autoflush=autoflush)


@contextmanager
def open_decorated_generator(engine: Engine, *, autoflush: bool = True) -> Generator[Session, None, None]:
    yield Session(engine, autoflush=autoflush)


async def open_async_iterator(engine: Engine, *, autoflush: bool = True) -> AsyncIterator[Session]:
    yield Session(engine, autoflush=autoflush)


async def open_async_generator(engine: Engine, *, autoflush: bool = True) -> AsyncGenerator[Session, None]:
    yield Session(engine, autoflush=autoflush)


@asynccontextmanager  # pyright: ignore[reportDeprecated]  # as above
async def open_async_decorated(engine: Engine, *, autoflush: bool = True) -> AsyncIterator[Session]:
    yield Session(engine, autoflush=autoflush)


@asynccontextmanager
async def open_async_decorated_generator(engine: Engine, *, autoflush: bool = True) -> AsyncGenerator[Session, None]:
    yield Session(engine, autoflush=autoflush)


async def connect(engine: Engine, *, autoflush: bool = True) -> Session:
    return Session(engine, autoflush=autoflush)


def created(engine: Engine, *, autoflush: bool = True) -> Session:
    return Session(engine, autoflush=autoflush)


def managed(engine: Engine) -> AbstractContextManager[Session]:
    return open_decorated(engine)


def managed_async(engine: Engine) -> AbstractAsyncContextManager[Session]:
    return open_async_decorated(engine)


def connecting(engine: Engine) -> Coroutine[Any, Any, Session]:
    return connect(engine)


def begin(session: Session) -> Iterator[None]:
    yield


def current_user(name: str) -> Iterator[User]:
    yield User(name)


@overload
def session_of(engine: Engine) -> Session: ...
@overload
def session_of(engine: Engine, *, closes: bool) -> CloseableSession: ...
def session_of(engine: Engine, *, closes: bool = False) -> Session:
    return CloseableSession(engine) if closes else Session(engine)


def worked(session: Session) -> int:
    return 1


class Mailer:
    def __init__(self, sessions: Callable[[], AbstractContextManager[Session]], retries: int = 3) -> None:
        self.sessions, self.retries = sessions, retries


class Poster:
    def __init__(self, sessions: Callable[[], AbstractAsyncContextManager[Session]]) -> None:
        self.sessions = sessions


class Asking:
    def __init__(self, sessions: Callable[[], Session], pending: Callable[[], Awaitable[Session]]) -> None:
        self.sessions, self.pending = sessions, pending
