"""The callables of `Scoped`: every kind of function, method and class, with every kind of argument."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import attrs
import pytest

from typedbus import Bus, Component, Container, Scoped

P = ParamSpec("P")
T = TypeVar("T")


class Engine:
    """Counts the sessions that it has opened and closed."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0


class Session:
    def __init__(self, engine: Engine, *, autoflush: bool = True) -> None:
        self.engine, self.autoflush = engine, autoflush


@contextlib.contextmanager
def opened(engine: Engine, *, autoflush: bool = True) -> Generator[Session, None, None]:
    engine.opened += 1
    yield Session(engine, autoflush=autoflush)
    engine.closed += 1


@contextlib.asynccontextmanager
async def opened_async(engine: Engine, *, autoflush: bool = True) -> AsyncGenerator[Session, None]:
    await asyncio.sleep(0)
    with opened(engine, autoflush=autoflush) as session:
        yield session
    await asyncio.sleep(0)


def traced(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate *function* as many libraries do."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    return call


def generator(engine: Engine) -> Iterator[Session]:
    with opened(engine) as session:
        yield session


async def async_generator(engine: Engine) -> AsyncIterator[Session]:
    async with opened_async(engine) as session:
        yield session


async def coroutine(engine: Engine) -> Session:
    await asyncio.sleep(0)
    return Session(engine)


def manager(engine: Engine) -> AbstractContextManager[Session]:
    return opened(engine)


def async_manager(engine: Engine) -> AbstractAsyncContextManager[Session]:
    return opened_async(engine)


def returned_coroutine(engine: Engine) -> Coroutine[Any, Any, Session]:
    return coroutine(engine)


def unannotated(engine):  # type: ignore[no-untyped-def]  # only the result shows its form
    return opened(engine)


def unannotated_async(engine):  # type: ignore[no-untyped-def]  # as above
    return opened_async(engine)


class Managed(Session):
    def __enter__(self) -> Self:
        self.engine.opened += 1
        return self

    def __exit__(self, *details: object) -> None:
        self.engine.closed += 1


class AsyncManaged(Session):
    async def __aenter__(self) -> Self:
        self.engine.opened += 1
        return self

    async def __aexit__(self, *details: object) -> None:
        self.engine.closed += 1


class Both(AsyncManaged):
    """The sync form of the client sessions of some libraries raises."""

    def __enter__(self) -> None:
        raise TypeError("use async with")

    def __exit__(self, *details: object) -> None: ...


class Generic_(Managed, Generic[T]):
    """A generic class."""


class Opening:
    """A callable object with methods of every kind."""

    def __call__(self, engine: Engine) -> Iterator[Session]:
        yield from generator(engine)

    def method(self, engine: Engine) -> Iterator[Session]:
        yield from generator(engine)

    async def async_method(self, engine: Engine) -> AsyncIterator[Session]:
        async with opened_async(engine) as session:
            yield session

    @classmethod
    def of_class(cls, engine: Engine) -> Iterator[Session]:
        yield from generator(engine)

    @staticmethod
    def static(engine: Engine) -> Iterator[Session]:
        yield from generator(engine)

    @contextlib.contextmanager
    def decorated(self, engine: Engine) -> Generator[Session, None, None]:
        with opened(engine) as session:
            yield session


@overload
def overloaded(engine: Engine) -> Iterator[Session]: ...
@overload
def overloaded(engine: Engine, name: str) -> Iterator[Session]: ...
def overloaded(engine: Engine, name: str = "") -> Iterator[Session]:
    yield from generator(engine)


SYNC: dict[str, Any] = {
    "a generator function": generator,
    "a decorated generator function": opened,
    "a function that returns a context manager": manager,
    "a function that does so without an annotation": unannotated,
    "a lambda": lambda engine: opened(engine),
    "a class that is a context manager": Managed,
    "a generic class": Generic_[int],
    "a partial": functools.partial(opened, autoflush=True),
    "a partial of a class": functools.partial(Managed, autoflush=True),
    "a partial of a partial": functools.partial(functools.partial(generator)),
    "a bound method": Opening().method,
    "a class method": Opening.of_class,
    "a static method": Opening.static,
    "a decorated method": Opening().decorated,
    "a callable object": Opening(),
    "an overloaded function": overloaded,
    "a function below another decorator": traced(generator),
    "a decorated function below another decorator": traced(opened),
    "a class below a decorator": traced(Managed),
}
ASYNC: dict[str, Any] = {
    "an async generator function": async_generator,
    "a decorated async generator function": opened_async,
    "a function that returns an async context manager": async_manager,
    "a function that does so without an annotation": unannotated_async,
    "an async context manager": AsyncManaged,
    "a class of both kinds": Both,
    "a partial": functools.partial(opened_async, autoflush=True),
    "a bound method": Opening().async_method,
    "a function below another decorator": traced(async_generator),
    "a decorated function below another decorator": traced(opened_async),
}
COROUTINES: dict[str, Any] = {
    "a coroutine function": coroutine,
    "a function that returns a coroutine": returned_coroutine,
    "a lambda that returns a coroutine": lambda engine: coroutine(engine),
    "a partial": functools.partial(coroutine),
    "a coroutine function below another decorator": traced(coroutine),
}


def shop_of(builds: Any) -> Any:
    """Return a container with the scoped object that *builds* opens, and one that needs it."""

    class Shop(Container):
        bus = Component(Bus)
        engine = Component(Engine)
        session: Any = Scoped(builds, engine.provided)
        holder = Scoped(list[Any], [session.provided])

    return Shop()


@pytest.mark.parametrize("builds", SYNC.values(), ids=SYNC)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_sync_callable_opens_and_closes_one_object(builds: Any, is_async: bool) -> None:
    """In sync scopes and in async ones."""
    shop = shop_of(builds)
    shop.validate()
    engine = shop.engine()

    async def use() -> None:
        async with shop.scope() as scope:
            session = await scope.get(shop.session)
            assert isinstance(session, Session)
            assert await scope.get(shop.holder) == [session]
            assert (engine.opened, engine.closed) == (1, 0)

    if is_async:
        asyncio.run(use())
    else:
        with shop.scope() as scope:
            assert isinstance(scope[shop.session], Session)
            assert scope[shop.holder] == [scope[shop.session]]
            assert (engine.opened, engine.closed) == (1, 0)
    assert (engine.opened, engine.closed) == (1, 1)


@pytest.mark.parametrize("builds", ASYNC.values(), ids=ASYNC)
def test_an_async_callable_opens_and_closes_one_object(builds: Any) -> None:
    shop = shop_of(builds)
    shop.validate()
    engine = shop.engine()

    async def use() -> None:
        async with shop.scope() as scope:
            (session,) = await scope.get(shop.holder)
            assert isinstance(session, Session)
            assert session is scope[shop.session]
            assert (engine.opened, engine.closed) == (1, 0)

    asyncio.run(use())
    assert (engine.opened, engine.closed) == (1, 1)


@pytest.mark.parametrize("builds", COROUTINES.values(), ids=COROUTINES)
def test_a_coroutine_is_awaited(builds: Any) -> None:
    shop = shop_of(builds)
    shop.validate()

    async def use() -> None:
        async with shop.scope() as scope:
            (session,) = await scope.get(shop.holder)
            assert isinstance(session, Session)

    asyncio.run(use())


# Arguments.


@attrs.frozen
class Options:
    name: str
    sizes: tuple[int, ...] = ()


@dataclass
class Price:
    amount: int
    currency: str = "EUR"


def many(first: Engine, /, *rest: object, self: int, provides: str = "", **named: object) -> list[object]:
    return [first, *rest, self, provides, *named.values()]


def test_arguments_of_every_kind_are_passed() -> None:
    shared: list[int] = []

    class Shop(Container):
        bus = Component(Bus)
        engine = Component(Engine)
        price = Scoped(Price, 3, currency="USD")
        options = Scoped(Options, name="x", sizes=(1, 2))
        amount = Scoped(int, price.provided.amount)
        nested = Scoped(dict[str, Any], {"prices": [price.provided, (options.provided.sizes[1],)]})
        same = Scoped(lambda value: value, shared)
        every = Scoped(many, engine.provided, 1, price.provided, self=2, provides="p", cls=3, args=options.provided)

    shop = Shop()
    shop.validate()
    with shop.scope() as scope:
        price, options = scope[Shop.price], scope[Shop.options]
        assert (price, options) == (Price(3, "USD"), Options("x", (1, 2)))
        assert scope[Shop.amount] == 3
        assert scope[Shop.nested] == {"prices": [price, (2,)]}
        assert scope[Shop.same] is shared
        assert scope[Shop.every] == [shop.engine(), 1, price, 2, "p", 3, options]
        assert scope[Shop.every][2] is price


def test_an_object_that_is_false_or_none_is_built_once() -> None:
    calls: list[str] = []

    def call(name: str) -> None:
        calls.append(name)

    class Shop(Container):
        bus = Component(Bus)
        nothing = Scoped(call, "nothing")
        pair = Scoped(lambda first, second: (first, second), nothing.provided, nothing.provided)

    with Shop().scope() as scope:
        assert scope[Shop.nothing] is None
        assert scope[Shop.nothing] is None
        assert scope[Shop.pair] == (None, None)
    assert calls == ["nothing"]
