"""Invalid declarations and uses of scopes; a marked line is an error for both checkers."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import assert_type

from openings import (
    Admin,
    Asking,
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
    created,
    current_user,
    open_async_decorated,
    open_async_generator,
    open_async_iterator,
    open_decorated,
    open_generator,
    open_iterator,
    session_of,
    worked,
)

from typedbus import SESSION, Bus, Component, Container, Given, Scoped, run


class Shop(Container):
    bus = Component(Bus)
    engine = Component(Engine)
    user = Given(User)
    named = Given(HasName)
    session = Scoped(open_iterator, engine.provided)
    asynchronous = Scoped(open_async_iterator, engine.provided)
    orders = Scoped(Orders, session.provided, user.provided)
    directory = Scoped(Directory)
    feed = Scoped(Session, engine.provided).at(SESSION)

    # Arguments of each form.
    iterator_mistyped = Scoped(open_iterator, user.provided)  # E
    iterator_missing = Scoped(open_iterator)  # E
    iterator_extra = Scoped(open_iterator, engine.provided, 3)  # E
    iterator_misnamed = Scoped(open_iterator, engine.provided, autoflash=True)  # E
    iterator_named_mistyped = Scoped(open_iterator, engine.provided, autoflush="yes")  # E
    generator_mistyped = Scoped(open_generator, session.provided)  # E
    generator_missing = Scoped(open_generator)  # E
    generator_extra = Scoped(open_generator, engine.provided, engine.provided)  # E
    generator_misnamed = Scoped(open_generator, motor=engine.provided)  # E
    decorated_mistyped = Scoped(open_decorated, "sqlite:")  # E
    decorated_missing = Scoped(open_decorated)  # E
    decorated_extra = Scoped(open_decorated, engine.provided, True)  # E
    decorated_misnamed = Scoped(open_decorated, engine.provided, autoflash=True)  # E
    async_iterator_mistyped = Scoped(open_async_iterator, user.provided)  # E
    async_iterator_missing = Scoped(open_async_iterator)  # E
    async_iterator_extra = Scoped(open_async_iterator, engine.provided, True)  # E
    async_iterator_misnamed = Scoped(open_async_iterator, engine.provided, flush=True)  # E
    async_generator_mistyped = Scoped(open_async_generator, Engine)  # E
    async_generator_missing = Scoped(open_async_generator, autoflush=True)  # E
    async_decorated_mistyped = Scoped(open_async_decorated, user.provided)  # E
    async_decorated_missing = Scoped(open_async_decorated)  # E
    async_decorated_extra = Scoped(open_async_decorated, engine.provided, True)  # E
    async_decorated_misnamed = Scoped(open_async_decorated, engine.provided, flush=True)  # E
    coroutine_mistyped = Scoped(connect, user.provided)  # E
    coroutine_missing = Scoped(connect)  # E
    coroutine_extra = Scoped(connect, engine.provided, True)  # E
    coroutine_misnamed = Scoped(connect, engine.provided, flush=True)  # E
    function_mistyped = Scoped(created, 3)  # E
    function_missing = Scoped(created)  # E
    function_extra = Scoped(created, engine.provided, True)  # E
    function_misnamed = Scoped(created, engine.provided, flush=True)  # E
    class_mistyped = Scoped(Session, user.provided)  # E
    class_missing = Scoped(Session)  # E
    class_extra = Scoped(Session, engine.provided, True)  # E
    class_misnamed = Scoped(Session, engine.provided, flush=True)  # E
    sync_class_mistyped = Scoped(CloseableSession, user.provided)  # E
    sync_class_missing = Scoped(CloseableSession)  # E
    async_class_mistyped = Scoped(AsyncSession, user.provided)  # E
    async_class_missing = Scoped(AsyncSession)  # E
    both_class_mistyped = Scoped(ClientSession, engine=user.provided)  # E
    lines_missing = Scoped(Lines)  # E
    bound_mistyped = Scoped(Opening(3).opened, user.provided)  # E
    bound_missing = Scoped(Opening(3).opened)  # E
    called_mistyped = Scoped(Opening(3), user.provided)  # E
    called_extra = Scoped(Opening(3), engine.provided, True)  # E
    overloaded_mistyped = Scoped(session_of, user.provided)  # E
    directory_misnamed = Scoped(tempfile.TemporaryDirectory[str], prefixes="shop")  # E
    pool_mistyped = Scoped(ThreadPoolExecutor, max_workers="three")  # E
    nothing = Scoped()  # E
    no_callable = Scoped(3)  # E
    an_object = Scoped(Session(Engine()))  # E

    # Objects of other types.
    orders_of_engine = Scoped(Orders, engine.provided, user.provided)  # E
    orders_of_directory = Scoped(Orders, directory.provided, user.provided)  # E
    orders_without_user = Scoped(Orders, session.provided)  # E
    orders_in_wrong_order = Scoped(Orders, user.provided, session.provided)  # E
    orders_of_declaration = Scoped(Orders, session, user.provided)  # E
    orders_of_manager = Scoped(Orders, Component(open_decorated, engine.provided).provided, user.provided)  # E
    orders_of_coroutine = Scoped(Orders, Component(connect, engine.provided).provided, user.provided)  # E
    orders_of_generator = Scoped(Orders, Component(open_iterator, engine.provided).provided, user.provided)  # E
    begin_of_async_generator = Component(begin, Component(open_async_iterator, engine.provided).provided)  # E
    orders_of_name = Scoped(Orders, session.provided, user.provided.name)  # E
    orders_of_protocol = Scoped(Orders, session.provided, named.provided)  # E
    orders_of_opener = Scoped(Orders, session.opener, user.provided)  # E
    orders_of_optional = Scoped(Orders, session.optional, user.provided)  # E
    repo_mistyped = Scoped(Repo[User], session.provided, Engine)  # E
    repo_of_engine = Scoped(Repo[User], engine.provided, User)  # E
    begin_of_engine = Scoped(begin, engine.provided)  # E
    user_of_user = Scoped(current_user, user.provided)  # E
    user_of_age = Scoped(current_user, user.provided.age)  # E
    misspelt_attribute = Scoped(current_user, user.provided.nom)  # E

    # Annotations of declarations.
    annotated: Scoped[Engine] = Scoped(open_iterator, engine.provided)  # E
    annotated_subclass: Scoped[CloseableSession] = Scoped(open_iterator, engine.provided)  # E
    annotated_component: Component[Engine] = Scoped(open_decorated, engine.provided)  # E
    annotated_given: Given[Engine] = Given(User)  # E
    component_as_scoped: Scoped[Engine] = Component(Engine)  # E

    # Levels, conditions and hooks.
    at_number = Scoped(open_iterator, engine.provided).at(1)  # E
    at_name = Scoped(open_iterator, engine.provided).at("session")  # E
    at_nothing = Scoped(open_iterator, engine.provided).at()  # E
    component_at = Component(Engine).at(SESSION)  # E
    given_at = Given(User).at("session")  # E
    given_nothing = Given()  # E
    given_no_class = Given(3)  # E
    given_with_argument = Given(User, "Ada")  # E

    # Openers.
    mailer_of_object = Component(Mailer, session.provided)  # E
    mailer_of_declaration = Component(Mailer, session)  # E
    mailer_of_async = Component(Mailer, session.async_opener)  # E
    mailer_of_user = Component(Mailer, Scoped(current_user, "Ada").opener)  # E
    mailer_of_directory = Component(Mailer, directory.opener)  # E
    mailer_of_lazy = Component(Mailer, Component(Session, engine.provided).lazy)  # E
    mailer_of_called = Component(Mailer, session.opener())  # E
    mailer_of_retries = Component(Mailer, 3, session.opener)  # E
    poster_of_sync = Component(Poster, session.opener)  # E
    poster_of_user = Component(Poster, Scoped(current_user, "Ada").async_opener)  # E
    asking_of_opener = Component(Asking, session.opener, engine.provided)  # E
    opener_of_given = Component(Mailer, user.opener)  # E
    opener_of_component = Component(Mailer, engine.opener)  # E


shop = Shop()

# Values.
Shop.user.given(3)  # E
Shop.user.given("Ada")  # E
Shop.user.given(User)  # E
Shop.user.given()  # E
Shop.user.given(User("Ada"), User("Bob"))  # E
Shop.user.given(user=User("Ada"))  # E
Shop.user.given(Shop.user)  # E
Shop.named.given(3)  # E
Shop.session.given(Session(Engine()))  # E
shop.scope(User("Ada"))  # E
shop.scope(Shop.user)  # E
shop.scope(user=User("Ada"))  # E
shop.scope(given=[Shop.user.given(User("Ada"))])  # E
shop.scope(level=2)  # E
shop.scope(level="session")  # E
shop.scope(SESSION)  # E

# Objects in a scope.
with shop.scope() as scope:
    engine: Engine = scope[Shop.session]  # E
    orders: Orders = scope[Shop.user]  # E
    admin: Admin = scope[Shop.user]  # E
    entered: Directory = scope[Shop.directory]  # E
    closeable: CloseableSession = scope[Shop.session]  # E
    worked(scope[Shop.engine])  # E
    worked(scope[Shop.directory])  # E
    scope[Shop.orders].place(3)  # E
    scope[Shop.orders].plaec("tea")  # E
    scope[Orders]  # E
    scope["orders"]  # E
    scope[Shop.session.provided]  # E
    scope[Shop.session.opener]  # E
    scope[Shop]  # E
    scope[Shop.missing]  # E
    scope[Shop.session, Shop.orders]  # E
    scope.get("orders")  # E
    scope.scope(User("Ada"))  # E
    scope.scope(level=SESSION)  # E
    scope.failed_with("no stock")  # E
    scope.failed_with(ValueError)  # E
    scope[Shop.session] = Session(Engine())  # E
    assert_type(scope[Shop.session], CloseableSession)  # E
    worked(scope.get(Shop.session))  # E

with scope.get(Shop.session) as opened:  # E
    pass
with shop.scope as forgotten:  # E
    pass
with Shop.scope() as of_class:  # E
    pass


async def use() -> None:
    async with shop.scope() as scope:
        session: Session = scope.get(Shop.session)  # E
        engine: Engine = await scope.get(Shop.session)  # E
        user: User = await scope[Shop.user]  # E
        scope.get(Shop.asynchronous).engine  # E
        worked(scope.get(Shop.asynchronous))  # E
        worked(await scope.get(Shop.engine))  # E
        (await scope.get(Shop.orders)).place(3)  # E
        await scope.get(Shop.missing)  # E
        await scope.get()  # E
        scope.get(Shop.orders)  # E
        assert_type(session, User)  # E
        assert_type(engine, User)  # E
        assert_type(user, Engine)  # E


# Overrides.
shop.override(Shop.session).by(Engine())  # E
shop.override(Shop.session).by(Scoped(current_user, "Ada"))  # E
shop.override(Shop.session).by(Directory())  # E
shop.override(Shop.user).by(Engine())  # E
run(Shop.session)  # E
