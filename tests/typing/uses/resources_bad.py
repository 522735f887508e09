"""Invalid declarations and uses of resources; a marked line is an error for both checkers."""

from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory
from typing import assert_type

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
    Repo,
    Session,
    User,
    connect,
    created,
    current_user,
    managed,
    open_async_decorated,
    open_async_generator,
    open_async_iterator,
    open_decorated,
    open_generator,
    open_iterator,
    worked,
)

from typedbus import SESSION, STOP, Bus, Component, Container, Resource, run


def close_user(user: User) -> None: ...


class Shop(Container):
    bus = Component(Bus)
    engine = Component(Engine)
    session = Resource(open_iterator, engine.provided)
    asynchronous = Resource(open_async_iterator, engine.provided)
    user = Resource(current_user, "Ada")
    directory = Resource(Directory)

    # No resources.
    a_class = Resource(Engine)  # E
    a_class_with_arguments = Resource(Session, engine.provided)  # E
    a_function = Resource(created, engine.provided)  # E
    a_generic_class = Resource(Repo[User], session.provided, User)  # E
    an_object = Resource(Engine())  # E
    an_entered_object = Resource(Directory())  # E
    a_number = Resource(3)  # E
    nothing = Resource()  # E
    a_lambda = Resource(lambda: User("Ada"))  # E
    a_builtin = Resource(dict)  # E
    a_declaration = Resource(engine)  # E

    # Arguments of each form.
    iterator_mistyped = Resource(open_iterator, user.provided)  # E
    iterator_missing = Resource(open_iterator)  # E
    iterator_extra = Resource(open_iterator, engine.provided, 3)  # E
    iterator_misnamed = Resource(open_iterator, engine.provided, autoflash=True)  # E
    iterator_named_mistyped = Resource(open_iterator, engine.provided, autoflush="yes")  # E
    generator_mistyped = Resource(open_generator, session.provided)  # E
    generator_missing = Resource(open_generator)  # E
    generator_misnamed = Resource(open_generator, motor=engine.provided)  # E
    decorated_mistyped = Resource(open_decorated, "sqlite:")  # E
    decorated_missing = Resource(open_decorated)  # E
    decorated_extra = Resource(open_decorated, engine.provided, True)  # E
    decorated_misnamed = Resource(open_decorated, engine.provided, autoflash=True)  # E
    async_iterator_mistyped = Resource(open_async_iterator, user.provided)  # E
    async_iterator_missing = Resource(open_async_iterator)  # E
    async_iterator_misnamed = Resource(open_async_iterator, engine.provided, flush=True)  # E
    async_generator_mistyped = Resource(open_async_generator, Engine)  # E
    async_generator_extra = Resource(open_async_generator, engine.provided, True)  # E
    async_decorated_mistyped = Resource(open_async_decorated, user.provided)  # E
    async_decorated_missing = Resource(open_async_decorated)  # E
    async_decorated_misnamed = Resource(open_async_decorated, engine.provided, flush=True)  # E
    coroutine_mistyped = Resource(connect, user.provided)  # E
    coroutine_missing = Resource(connect)  # E
    coroutine_misnamed = Resource(connect, engine.provided, flush=True)  # E
    manager_mistyped = Resource(managed, user.provided)  # E
    sync_class_mistyped = Resource(CloseableSession, user.provided)  # E
    sync_class_missing = Resource(CloseableSession)  # E
    async_class_mistyped = Resource(AsyncSession, user.provided)  # E
    async_class_extra = Resource(AsyncSession, engine.provided, True)  # E
    both_class_mistyped = Resource(ClientSession, engine=user.provided)  # E
    lines_missing = Resource(Lines)  # E
    bound_mistyped = Resource(Opening(3).opened, user.provided)  # E
    called_extra = Resource(Opening(3), engine.provided, True)  # E
    directory_misnamed = Resource(TemporaryDirectory[str], prefixes="shop")  # E
    pool_mistyped = Resource(ThreadPoolExecutor, max_workers="three")  # E

    # Users.
    orders_of_engine = Component(Orders, engine.provided, user.provided)  # E
    orders_of_directory = Component(Orders, directory.provided, user.provided)  # E
    orders_of_declaration = Component(Orders, session, user.provided)  # E
    orders_of_optional = Component(Orders, session.optional, user.provided)  # E
    orders_of_lazy = Component(Orders, session.lazy, user.provided)  # E
    user_of_user = Resource(current_user, user.provided)  # E
    misspelt_attribute = Resource(current_user, user.provided.nom)  # E
    mailer_of_opener = Component(Mailer, session.opener)  # E
    mailer_of_lazy = Component(Mailer, session.lazy)  # E
    at_a_level = Resource(open_iterator, engine.provided).at(SESSION)  # E

    # Annotations, functions that close, hooks.
    annotated: Resource[Engine] = Resource(open_iterator, engine.provided)  # E
    annotated_subclass: Resource[CloseableSession] = Resource(open_decorated, engine.provided)  # E
    annotated_manager: Resource[Directory] = Resource(Directory)  # E
    annotated_component: Component[Engine] = Resource(open_decorated, engine.provided)  # E
    component_as_resource: Resource[Engine] = Component(Engine)  # E
    closed_by_another = Resource(connect, engine.provided).closed_by(close_user)  # E
    closed_by_a_subclass = Resource(connect, engine.provided).closed_by(CloseableSession.__exit__)  # E
    closed_by_nothing = Resource(connect, engine.provided).closed_by()  # E
    stopped_by_another = Resource(Directory).on(STOP.calls(Session.close))  # E


shop = Shop()
engine: Engine = shop.session()  # E
entered: Directory = shop.directory()  # E
shop.user().nom  # E
worked(shop.engine())  # E
worked(shop.asynchronous)  # E
assert_type(shop.session(), CloseableSession)  # E
shop.override(Shop.session).by(Engine())  # E
shop.override(Shop.directory).by(Directory())  # E
shop.override(Shop.session).by(Resource(current_user, "Ada"))  # E
run(Shop.session)  # E


async def use() -> None:
    await shop.session()  # E
    session: User = shop.asynchronous()  # E
    assert_type(session, Engine)  # E
