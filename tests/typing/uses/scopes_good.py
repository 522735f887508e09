"""Valid declarations and uses of scopes."""

import functools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from sqlite3 import Connection
from typing import assert_type

from openings import (
    Admin,
    AsyncSession,
    ClientSession,
    CloseableSession,
    Directory,
    Engine,
    HasName,
    Lines,
    Mailer,
    Opening,
    Orders,
    Poster,
    Repo,
    Session,
    User,
    begin,
    connect,
    connecting,
    created,
    current_user,
    managed,
    managed_async,
    open_async_decorated,
    open_async_decorated_generator,
    open_async_generator,
    open_async_iterator,
    open_decorated,
    open_decorated_generator,
    open_generator,
    open_iterator,
)

from typedbus import SESSION, Bus, Component, Container, Given, Scope, Scoped


class Forms(Container):
    """Every form that opens a session, and what the checkers see of it."""

    bus = Component(Bus)
    engine = Component(Engine, "sqlite:", echo=True)

    iterator = Scoped(open_iterator, engine.provided)
    generator = Scoped(open_generator, engine.provided, autoflush=False)
    decorated = Scoped(open_decorated, engine.provided)
    decorated_generator = Scoped(open_decorated_generator, engine.provided, autoflush=False)
    async_iterator = Scoped(open_async_iterator, engine.provided)
    async_generator = Scoped(open_async_generator, engine.provided, autoflush=False)
    async_decorated = Scoped(open_async_decorated, engine.provided)
    async_decorated_generator = Scoped(open_async_decorated_generator, engine=engine.provided)
    coroutine = Scoped(connect, engine.provided, autoflush=False)
    function = Scoped(created, engine.provided)
    manager = Scoped(managed, engine.provided)
    async_manager = Scoped(managed_async, engine.provided)
    returned_coroutine = Scoped(connecting, engine.provided)

    plain_class = Scoped(Session, engine.provided, autoflush=False)
    sync_class = Scoped(CloseableSession, engine.provided)
    async_class = Scoped(AsyncSession, engine.provided, autoflush=False)
    both_class = Scoped(ClientSession, engine.provided)
    other_object = Scoped(Directory, prefix="shop")
    iterating_manager = Scoped(Lines, "orders.txt")
    generic = Scoped(Repo[User], iterator.provided, User)

    bound = Scoped(Opening(3).opened, engine.provided, autoflush=False)
    called = Scoped(Opening(3), engine.provided)
    partial = Scoped(functools.partial(open_iterator, autoflush=False), engine.provided)
    by_lambda = Scoped(lambda: User("Ada"))

    directory = Scoped(tempfile.TemporaryDirectory[str], prefix="shop")
    pool = Scoped(ThreadPoolExecutor, max_workers=3)


forms = Forms()

assert_type(Forms.iterator.provided, Session)
assert_type(Forms.generator.provided, Session)
assert_type(Forms.decorated.provided, Session)
assert_type(Forms.decorated_generator.provided, Session)
assert_type(Forms.async_iterator.provided, Session)
assert_type(Forms.async_generator.provided, Session)
assert_type(Forms.async_decorated.provided, Session)
assert_type(Forms.async_decorated_generator.provided, Session)
assert_type(Forms.coroutine.provided, Session)
assert_type(Forms.function.provided, Session)
assert_type(Forms.manager.provided, Session)
assert_type(Forms.async_manager.provided, Session)
assert_type(Forms.returned_coroutine.provided, Session)
assert_type(Forms.plain_class.provided, Session)
assert_type(Forms.sync_class.provided, CloseableSession)
assert_type(Forms.async_class.provided, AsyncSession)
assert_type(Forms.other_object.provided, str)
assert_type(Forms.iterating_manager.provided, Lines)
assert_type(Forms.generic.provided, Repo[User])
assert_type(Forms.generic.provided.one(), User)
assert_type(Forms.bound.provided, Session)
assert_type(Forms.called.provided, Session)
assert_type(Forms.partial.provided, Session)
assert_type(Forms.by_lambda.provided, User)
assert_type(Forms.directory.provided, str)
assert_type(Forms.pool.provided, ThreadPoolExecutor)
# The async form of a class comes first: the sync one of this class gives None. Its class inherits `__aenter__`.
assert_type(Forms.both_class.provided, ClientSession)


class Shop(Container):
    bus = Component(Bus)
    engine = Component(Engine)
    user = Given(User)
    named = Given(HasName)
    connection = Given(Connection).at(SESSION)
    maker = Given[Callable[[], User]](lambda: lambda: User("Ada"))

    session = Scoped(open_iterator, engine.provided)
    asynchronous = Scoped(open_async_iterator, engine.provided)
    transaction = Scoped(begin, session.provided)
    feed = Scoped(Session, engine.provided).at(SESSION)
    orders = Scoped(Orders, session.provided, user.provided, limit=3)
    of_feed = Scoped(Orders, feed.provided, user=user.provided)
    of_subclass = Scoped(Orders, Scoped(CloseableSession, engine.provided).provided, Scoped(Admin, "Ada").provided)
    of_attribute = Scoped(Orders, orders.provided.session, orders.provided.user)
    by_name = Scoped(current_user, user.provided.name)
    repo = Scoped(Repo[User], session.provided, User)

    annotated: Scoped[Session] = Scoped(open_iterator, engine.provided)
    as_base: Scoped[Session] = Scoped(CloseableSession, engine.provided)
    as_component: Component[Session] = Scoped(open_async_decorated, engine.provided)

    mailer = Component(Mailer, session.opener, retries=2)
    mailer_by_name = Component(Mailer, sessions=session.opener)
    closeable = Scoped(CloseableSession, engine.provided)
    mailer_of_subclass = Component(Mailer, closeable.opener)
    poster = Component(Poster, asynchronous.async_opener)
    poster_of_sync = Component(Poster, session.async_opener)


shop = Shop()
given = Shop.user.given(User("Ada"))
assert_type(Shop.user, Given[User])
assert_type(Shop.session, Scoped[Session])
assert_type(Shop.feed, Scoped[Session])
assert_type(Shop.annotated, Scoped[Session])
assert_type(Shop.user.provided, User)
assert_type(Shop.session.opener, Callable[[], AbstractContextManager[Session]])
assert_type(Shop.session.async_opener, Callable[[], AbstractAsyncContextManager[Session]])

with shop.scope(given, Shop.named.given(User("Bob"))) as scope:
    assert_type(scope, Scope)
    assert_type(scope[Shop.orders], Orders)
    assert_type(scope[shop.orders], Orders)
    assert_type(scope[Shop.session], Session)
    assert_type(scope[Shop.transaction], None)
    assert_type(scope[Shop.repo].one(), User)
    assert_type(scope[Shop.user], User)
    assert_type(scope[Shop.engine], Engine)
    assert_type(scope[Shop.as_component], Session)
    assert_type(scope[Forms.directory], str)
    assert_type(scope[Shop.orders].place("tea"), int)
    session: Session = scope[Shop.as_base]
    scope.failed_with(ValueError())

with shop.scope(Shop.user.given(Admin("Ada")), level=SESSION) as connection:
    with connection.scope(given) as request:
        assert_type(request[Shop.of_feed], Orders)


async def use() -> None:
    async with shop.scope(given) as scope:
        assert_type(await scope.get(Shop.asynchronous), Session)
        assert_type(await scope.get(Shop.orders), Orders)
        assert_type((await scope.get(Shop.orders)).place("tea"), int)
        assert_type(scope[Shop.orders], Orders)
        user: User = await scope.get(Shop.user)
        assert_type(user.name, str)


def fake(engine: Engine) -> Iterator[Session]:
    yield Session(engine)


async def fake_async(engine: Engine) -> AsyncIterator[Session]:
    yield Session(engine)


with shop.override(Shop.session).by(Session(Engine())):
    pass
with shop.override(Shop.session).by(Scoped(fake, Shop.engine.provided)):
    pass
with shop.override(Shop.asynchronous).by(Scoped(fake_async, Shop.engine.provided)):
    pass
