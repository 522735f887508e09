"""Valid declarations and uses of resources."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory
from typing import Any, assert_type

from openings import (
    AsyncSession,
    ClientSession,
    CloseableSession,
    Directory,
    Engine,
    Lines,
    Mailer,
    Opening,
    Orders,
    Poster,
    Session,
    User,
    begin,
    connect,
    connecting,
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

from typedbus import START, Bus, Component, Container, Resource, Scoped, running


class Asked:
    def __init__(self, sessions: Callable[[], Session], session: Session | None) -> None:
        self.sessions, self.session = sessions, session


class Shop(Container):
    """Every form that opens a session, and what the checkers see of it."""

    bus = Component(Bus)
    engine = Component(Engine, "sqlite:", echo=True)

    iterator = Resource(open_iterator, engine.provided)
    generator = Resource(open_generator, engine.provided, autoflush=False)
    decorated = Resource(open_decorated, engine.provided)
    decorated_generator = Resource(open_decorated_generator, engine.provided, autoflush=False)
    async_iterator = Resource(open_async_iterator, engine.provided)
    async_generator = Resource(open_async_generator, engine.provided, autoflush=False)
    async_decorated = Resource(open_async_decorated, engine.provided)
    async_decorated_generator = Resource(open_async_decorated_generator, engine=engine.provided)
    coroutine = Resource(connect, engine.provided, autoflush=False).closed_by(Session.close)
    manager = Resource(managed, engine.provided)
    async_manager = Resource(managed_async, engine.provided)
    returned_coroutine = Resource(connecting, engine.provided).closed_by(lambda session: session.close())

    sync_class = Resource(CloseableSession, engine.provided)
    async_class = Resource(AsyncSession, engine.provided, autoflush=False)
    both_class = Resource(ClientSession, engine.provided)
    other_object = Resource(Directory, prefix="shop")
    iterating_manager = Resource(Lines, "orders.txt")

    bound = Resource(Opening(3).opened, engine.provided, autoflush=False)
    called = Resource(Opening(3), engine.provided)
    partial = Resource(functools.partial(open_iterator, autoflush=False), engine.provided)

    directory = Resource(TemporaryDirectory[str], prefix="shop")
    pool = Resource(ThreadPoolExecutor, max_workers=3)

    # Users of resources.
    transaction = Resource(begin, iterator.provided)
    user = Resource(current_user, name=directory.provided)
    orders = Component(Orders, sync_class.provided, user.provided, limit=3)
    of_request = Scoped(Orders, async_class.provided, user=user.provided)
    asked = Component(Asked, coroutine.lazy, both_class.optional)
    annotated: Resource[Session] = Resource(open_iterator, engine.provided)
    as_base: Resource[Session] = Resource(CloseableSession, engine.provided)
    as_component: Component[Session] = Resource(open_async_decorated, engine.provided)
    limited = Resource(open_iterator, engine.provided).within(3)
    optional = Resource(open_decorated, engine.provided).enabled(False, reason="no sessions")
    listening = Resource(CloseableSession, engine.provided).on(START.calls(CloseableSession.close))


assert_type(Shop.iterator.provided, Session)
assert_type(Shop.generator.provided, Session)
assert_type(Shop.decorated.provided, Session)
assert_type(Shop.decorated_generator.provided, Session)
assert_type(Shop.async_iterator.provided, Session)
assert_type(Shop.async_generator.provided, Session)
assert_type(Shop.async_decorated.provided, Session)
assert_type(Shop.async_decorated_generator.provided, Session)
assert_type(Shop.coroutine.provided, Session)
assert_type(Shop.manager.provided, Session)
assert_type(Shop.async_manager.provided, Session)
assert_type(Shop.returned_coroutine.provided, Session)
assert_type(Shop.sync_class.provided, CloseableSession)
assert_type(Shop.async_class.provided, AsyncSession)
assert_type(Shop.both_class.provided, ClientSession)
assert_type(Shop.other_object.provided, str)
assert_type(Shop.iterating_manager.provided, Lines)
assert_type(Shop.bound.provided, Session)
assert_type(Shop.called.provided, Session)
assert_type(Shop.partial.provided, Session)
assert_type(Shop.directory.provided, str)
assert_type(Shop.pool.provided, ThreadPoolExecutor)
assert_type(Shop.transaction.provided, None)
assert_type(Shop.user.provided, User)
assert_type(Shop.user.provided.name, str)
assert_type(Shop.limited, Resource[Session])
assert_type(Shop.optional.optional, Session | None)
assert_type(Shop.iterator.lazy, Callable[[], Session])

with running(Shop()) as shop:
    assert_type(shop.iterator(), Session)
    assert_type(shop.both_class(), ClientSession)
    assert_type(shop.directory(), str)
    session: Session = shop.as_base()

with shop.scope() as scope:
    assert_type(scope[Shop.iterator], Session)
    assert_type(scope[Shop.of_request], Orders)

fake: Any = None
with shop.override(Shop.iterator).by(CloseableSession(Engine())):
    pass
with shop.override(Shop.iterator).by(Resource(open_decorated, Shop.engine.provided)):
    pass
with shop.override(Shop.directory).by("/tmp"):
    pass
with shop.override(Shop.pool).by(fake):
    pass


class Openers(Container):
    """A resource has no opener; a scoped object has."""

    engine = Resource(open_engine := functools.partial(open_iterator, Engine()))
    session = Scoped(CloseableSession, engine.provided.engine)
    connection = Scoped(open_async_iterator, engine.provided.engine)
    mailer = Component(Mailer, session.opener)
    poster = Component(Poster, connection.async_opener)
