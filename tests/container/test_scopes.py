"""Scopes: one object in each, opened on request, closed in reverse, with the failure of the block."""

import asyncio
import contextlib
import gc
import traceback
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from logging import ERROR
from typing import Any, Self

import pytest
from dependency_injector import providers

from typedbus import (
    LOG,
    SESSION,
    AsyncNeeded,
    Bus,
    Component,
    Container,
    DeclarationError,
    Given,
    InvalidContainer,
    NotGiven,
    NotInContainer,
    OutsideScope,
    OverrideError,
    Resource,
    Scope,
    ScopeBusy,
    ScopeClosed,
    Scoped,
    provided,
    running,
)
from typedbus.faults import DisabledFault, LifetimeFault

events: list[object] = []


@pytest.fixture(autouse=True)
def _empty() -> None:
    events.clear()


class Engine:
    """Lives as long as the container."""


class User:
    def __init__(self, name: str) -> None:
        self.name = name


class Session:
    """Records how it ends."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine


def open_session(engine: Engine) -> Iterator[Session]:
    events.append("open")
    try:
        yield Session(engine)
    except BaseException as error:
        events.append(("rollback", error))
        raise
    else:
        events.append("commit")


@contextlib.contextmanager
def transaction(session: Session) -> Generator[str, None, None]:
    try:
        yield "transaction"
    except BaseException as error:
        events.append(("transaction rolled back", error))
        raise
    else:
        events.append("transaction committed")


class Cart:
    """A context manager, which suppresses failures."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        events.append(("cart", error))
        return True


class Orders:
    def __init__(self, session: Session, user: User) -> None:
        self.session, self.user = session, user


async def connect(engine: Engine) -> AsyncIterator[Session]:
    await asyncio.sleep(0)
    try:
        yield Session(engine)
    except BaseException as error:
        await asyncio.sleep(0)
        events.append(("async rollback", error))
        raise
    else:
        events.append("async commit")


class Shop(Container):
    bus = Component(Bus)
    engine = Component(Engine)
    user = Given(User)
    session = Scoped(open_session, engine.provided)
    transaction = Scoped(transaction, session.provided)
    cart = Scoped(Cart, session.provided)
    orders = Scoped(Orders, session.provided, user=user.provided)
    connection = Scoped(connect, engine.provided)
    history = Scoped(Orders, connection.provided, user.provided)


ada = User("Ada")


def test_a_scope_has_one_object_of_each_declaration() -> None:
    shop = Shop()
    with shop.scope(Shop.user.given(ada)) as scope, shop.scope() as other:
        orders = scope[Shop.orders]
        assert orders is scope[Shop.orders] is scope[shop.orders]
        assert orders.session is scope[Shop.session]
        assert orders.session is not other[Shop.session]
        assert orders.session.engine is other[Shop.session].engine is scope[Shop.engine] is shop.engine()
        assert orders.user is ada
    assert events == ["open", "open", "commit", "commit"]


def test_objects_are_built_when_they_are_requested() -> None:
    with Shop().scope():
        pass
    assert events == []


def test_objects_are_closed_in_reverse_order() -> None:
    with Shop().scope() as scope:
        scope[Shop.transaction]
        scope[Shop.cart]
    assert events == ["open", ("cart", None), "transaction committed", "commit"]


@pytest.mark.parametrize("error", [ValueError("body"), KeyboardInterrupt(), GeneratorExit(), StopIteration()], ids=repr)
def test_the_failure_of_the_block_reaches_every_object_and_leaves_as_the_same_object(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, Shop().scope() as scope:
        scope[Shop.transaction]
        scope[Shop.cart]
        raise error
    assert raised.value is error
    assert events == ["open", ("cart", error), ("transaction rolled back", error), ("rollback", error)]


def test_a_recorded_failure_is_passed_to_the_objects_and_not_raised() -> None:
    """A web framework has turned it into a response."""
    error = ValueError("handled")
    with Shop().scope() as scope:
        scope[Shop.session]
        scope.failed_with(error)
        scope.failed_with(OSError())
    assert events == ["open", ("rollback", error)]


def failing(error: BaseException) -> Callable[[Session], Iterator[str]]:
    def opened(session: Session) -> Iterator[str]:
        try:
            yield "object"
        finally:
            raise error

    return opened


class Failing(Container):
    bus = Component(Bus)
    engine = Component(Engine)
    session = Scoped(open_session, engine.provided)
    commit = OSError("commit"), OSError("flush")
    first = Scoped(failing(commit[0]), session.provided)
    second = Scoped(failing(commit[1]), session.provided)


@pytest.fixture(autouse=True)
def _reset_failures() -> None:
    for error in Failing.commit:
        error.__dict__.clear()
        error.__context__ = error.__traceback__ = None


def test_one_failure_of_closing_is_raised_and_passed_to_the_objects_closed_after_it() -> None:
    failure = Failing.commit[0]
    with pytest.raises(OSError, match="commit") as raised, Failing().scope() as scope:
        scope[Failing.first]
    assert raised.value is failure
    assert events == ["open", ("rollback", failure)]
    assert any("raised while Failing.first was closed" in note for note in failure.__notes__)


def test_several_failures_of_closing_are_a_group() -> None:
    with pytest.raises(ExceptionGroup) as raised, Failing().scope() as scope:
        scope[Failing.first]
        scope[Failing.second]
    assert raised.value.exceptions == Failing.commit[::-1]


def test_failures_of_closing_are_noted_on_the_failure_of_the_block_and_logged() -> None:
    error = ValueError("body")
    logged: list[tuple[str, int]] = []
    with running(Failing()) as failing:
        failing.bus()[LOG].subscribe(lambda message, level: logged.append((message, level)))
        with pytest.raises(ValueError, match="body") as raised, failing.scope() as scope:
            scope[Failing.first]
            scope[Failing.second]
            raise error
    assert raised.value is error
    assert [note.rpartition(": ")[2] for note in error.__notes__] == ["flush", "commit"]
    assert [level for message, level in logged if "failed to close an object" in message] == [ERROR, ERROR]
    assert events[-1] == ("rollback", error)


def test_an_interrupt_during_closing_is_raised_from_the_failure_of_the_block() -> None:
    interrupt = KeyboardInterrupt()

    class Interrupted(Container):
        engine = Component(Engine)
        session = Scoped(open_session, engine.provided)
        first = Scoped(failing(interrupt), session.provided)

    error = ValueError("body")
    with pytest.raises(KeyboardInterrupt) as raised, Interrupted().scope() as scope:
        scope[Interrupted.first]
        raise error
    assert raised.value is interrupt
    assert interrupt.__cause__ is error
    assert events == ["open", ("rollback", error)]


def test_a_value_is_given_when_the_scope_is_opened() -> None:
    with Shop().scope() as scope, pytest.raises(NotGiven) as missing:
        scope[Shop.orders]
    assert (missing.value.path, missing.value.needed_by) == ("Shop.user", "Shop.orders")


def test_an_exception_of_a_constructor_names_the_declaration() -> None:
    class Wrong(Container):
        broken = Scoped(lambda: 1 / 0)

    with Wrong().scope() as scope, pytest.raises(ZeroDivisionError) as raised:
        scope[Wrong.broken]
    assert raised.value.__notes__[0].startswith("raised while Wrong.broken was built (")


def test_what_was_opened_before_a_failed_construction_is_closed() -> None:
    with Shop().scope() as scope, contextlib.suppress(NotGiven):
        scope[Shop.orders]
    assert events == ["open", "commit"]


def test_a_scope_is_used_in_its_block_alone() -> None:
    scope = Shop().scope()
    with pytest.raises(ScopeClosed, match="is not open"):
        scope[Shop.session]
    with scope:
        pass
    with pytest.raises(ScopeClosed, match="has ended"):
        scope[Shop.session]
    with pytest.raises(ScopeClosed, match="was opened before"):
        scope.__enter__()


def test_an_object_that_is_not_declared_in_the_container_is_refused() -> None:
    with Failing().scope() as scope, pytest.raises(NotInContainer, match=r"Shop\.session is not declared in Failing"):
        scope[Shop.session]


def test_a_scoped_declaration_has_no_object_outside_a_scope() -> None:
    with pytest.raises(OutsideScope):
        Shop().session()


def test_a_scope_that_builds_refuses_other_requests() -> None:
    scopes: list[Scope] = []

    class Greedy(Container):
        user = Scoped(User, "Ada")
        greedy = Scoped(lambda: scopes[0][Greedy.user])

    with Greedy().scope() as scope:
        scopes.append(scope)
        with pytest.raises(ScopeBusy):
            scope[Greedy.greedy]
        assert scope[Greedy.user].name == "Ada"


# Async.


def test_async_forms_are_awaited_and_closed() -> None:
    async def use(error: BaseException | None) -> None:
        async with Shop().scope(Shop.user.given(ada)) as scope:
            history = await scope.get(Shop.history)
            assert history.session is await scope.get(Shop.connection) is scope[Shop.connection]
            await scope.get(Shop.session)
            if error is not None:
                raise error

    asyncio.run(use(None))
    assert events == ["open", "commit", "async commit"]
    events.clear()
    error = ValueError("body")
    with pytest.raises(ValueError, match="body"):
        asyncio.run(use(error))
    assert events == ["open", ("rollback", error), ("async rollback", error)]


def test_an_async_form_needs_await_and_an_async_scope() -> None:
    async def use() -> None:
        async with Shop().scope(Shop.user.given(ada)) as scope:
            with pytest.raises(AsyncNeeded, match=r"await scope\.get\(Shop\.history\)") as needed:
                scope[Shop.history]
            assert needed.value.needs == "Shop.connection"
        with Shop().scope() as sync_scope:
            with pytest.raises(AsyncNeeded, match="async with"):
                await sync_scope.get(Shop.connection)

    asyncio.run(use())


def test_a_scope_that_async_with_refuses_stays_a_sync_scope() -> None:
    async def use() -> None:
        with Shop().scope() as scope:
            with pytest.raises(ScopeClosed, match="was opened before"):
                await scope.__aenter__()
            with pytest.raises(AsyncNeeded, match="async with"):
                await scope.get(Shop.connection)

    asyncio.run(use())


def test_two_tasks_that_build_in_one_scope_are_refused() -> None:
    async def use() -> None:
        async with Shop().scope(Shop.user.given(ada)) as scope:
            results = await asyncio.gather(scope.get(Shop.connection), scope.get(Shop.session), return_exceptions=True)
        assert isinstance(results[0], Session)
        assert isinstance(results[1], ScopeBusy)

    asyncio.run(use())


def test_a_cancelled_block_rolls_back() -> None:
    async def wait_forever() -> None:
        async with Shop().scope() as scope:
            await scope.get(Shop.connection)
            await asyncio.Event().wait()

    async def use() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await wait_forever()

    asyncio.run(use())
    ((kind, error),) = [event for event in events if isinstance(event, tuple)]
    assert kind == "async rollback"
    assert isinstance(error, asyncio.CancelledError)


# Components and scopes.


class Mailer:
    def __init__(self, sessions: Callable[[], contextlib.AbstractContextManager[Session]]) -> None:
        self.sessions = sessions


class AsyncMailer:
    def __init__(self, sessions: Callable[[], contextlib.AbstractAsyncContextManager[Session]]) -> None:
        self.sessions = sessions


class Post(Container):
    bus = Component(Bus)
    engine = Component(Engine)
    session = Scoped(open_session, engine.provided)
    connection = Scoped(connect, engine.provided)
    mailer = Component(Mailer, session.opener)
    async_mailer = Component(AsyncMailer, connection.async_opener)


def test_a_component_opens_scopes_by_an_opener() -> None:
    error = ValueError("body")
    with running(Post()) as post:
        assert events == []
        with post.mailer().sessions() as session:
            assert session.engine is post.engine()
        with pytest.raises(ValueError, match="body"), post.mailer().sessions():
            raise error
    assert events == ["open", "commit", "open", ("rollback", error)]


def test_a_component_opens_async_scopes_by_an_opener() -> None:
    async def use() -> None:
        async with running(Post()) as post, post.async_mailer().sessions() as session:
            assert session.engine is post.engine()

    asyncio.run(use())
    assert events == ["async commit"]


def test_a_component_cannot_keep_an_object_of_a_scope() -> None:
    class Captive(Container):
        bus = Component(Bus)
        user = Given(User)
        engine = Component(Engine)
        session = Scoped(open_session, engine.provided)
        orders = Component(Orders, session.provided, user.provided)

    with pytest.raises(InvalidContainer) as invalid:
        Captive().validate()
    faults = [fault for fault in invalid.value.exceptions if isinstance(fault, LifetimeFault)]
    assert [fault.path for fault in faults] == ["Captive.orders"] * 2
    assert "pass Captive.session.opener" in faults[0].remedy


def held(cart: Cart) -> list[Cart]:
    return [cart]


def test_a_provider_of_the_library_that_needs_a_scoped_object_is_found() -> None:
    class Factories(Container):
        bus = Component(Bus)
        engine = Component(Engine)
        session = Scoped(open_session, engine.provided)
        carts = providers.Factory(Cart, provided(session))
        used = Scoped(held, provided(carts))
        kept = Component(held, provided(carts))

    with pytest.raises(InvalidContainer) as invalid:
        Factories().validate()
    assert [type(fault) for fault in invalid.value.exceptions] == [LifetimeFault]
    with Factories().scope() as scope:
        (cart,) = scope[Factories.used]
        assert cart.session is scope[Factories.session]


def test_attributes_items_and_lists_of_scoped_objects_are_passed() -> None:
    class Parts(Container):
        user = Scoped(User, "Ada")
        names = Scoped(dict[str, object], name=user.provided.name, users=[user.provided])
        first = Scoped(str, names.provided["name"])

    with Parts().scope() as scope:
        assert scope[Parts.names] == {"name": "Ada", "users": [scope[Parts.user]]}
        assert scope[Parts.first] == "Ada"


# Levels.


class Chat:
    """A context manager around a connection."""

    def __init__(self, user: User) -> None:
        self.user = user

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        events.append(("chat", error))


class Message:
    def __init__(self, chat: Chat) -> None:
        self.chat = chat


class Room(Container):
    user = Given(User).at(SESSION)
    chat = Scoped(Chat, user.provided).at(SESSION)
    message = Scoped(Message, chat.provided)


def test_the_requests_of_a_session_share_its_objects() -> None:
    with Room().scope(Room.user.given(ada), level=SESSION) as session:
        with session.scope() as one, session.scope() as two:
            assert one[Room.message].chat is two[Room.message].chat is session[Room.chat]
            assert one[Room.message] is not two[Room.message]
        assert events == []
    assert events == [("chat", None)]


def test_a_request_without_a_session_has_the_objects_of_both() -> None:
    with Room().scope(Room.user.given(ada)) as scope:
        assert scope[Room.message].chat is scope[Room.chat]
    assert events == [("chat", None)]


def test_a_session_has_no_objects_of_its_requests() -> None:
    with Room().scope(level=SESSION) as session, pytest.raises(ScopeClosed, match="open a scope inside it"):
        session[Room.message]


def test_an_inner_scope_is_opened_in_an_open_session() -> None:
    room = Room()
    with room.scope() as request, pytest.raises(ScopeClosed, match="level=SESSION"):
        request.scope()
    with room.scope(Room.user.given(ada), level=SESSION) as session:
        inner = session.scope()
    with inner, pytest.raises(ScopeClosed, match="has ended"):
        inner[Room.chat]


def test_a_session_cannot_keep_an_object_of_a_request() -> None:
    class Upside(Container):
        user = Given(User)
        chat = Scoped(Chat, user.provided).at(SESSION)

    with pytest.raises(InvalidContainer) as invalid:
        Upside().validate()
    assert any(
        isinstance(fault, LifetimeFault) and "belongs to one request" in str(fault)
        for fault in invalid.value.exceptions
    )


# Overrides.


def test_a_scoped_object_is_overridden_while_the_container_runs() -> None:
    fake = Session(Engine())
    with running(Shop()) as shop:
        with shop.scope() as scope:
            assert scope[Shop.session] is not fake
        with shop.override(Shop.session).by(fake), shop.scope(Shop.user.given(ada)) as scope:
            assert scope[Shop.orders].session is fake
        with shop.scope() as scope:
            assert scope[Shop.session] is not fake
    assert events == ["open", "commit"] * 2


def test_an_override_of_a_scoped_object_may_be_a_declaration() -> None:
    shop = Shop()
    with shop.override(Shop.session).by(Scoped(Session, Shop.engine.provided)), shop.scope() as scope:
        assert type(scope[Shop.session]) is Session
        assert scope[Shop.session] is scope[Shop.session]
        assert scope[Shop.session].engine is shop.engine()
    assert events == []


def test_a_given_value_may_be_overridden() -> None:
    shop = Shop()
    with shop.override(Shop.user).by(ada), shop.scope() as scope:
        assert scope[Shop.orders].user is ada


def test_an_override_is_refused_while_a_scope_is_open() -> None:
    shop = Shop()
    override = shop.override(Shop.session).by(Session(Engine()))
    with shop.scope(), pytest.raises(OverrideError, match="a scope is open"):
        override.__enter__()


def test_components_are_those_of_the_present_run() -> None:
    shop = Shop()
    engines = []
    for _ in range(2):
        with running(shop), shop.scope() as scope:
            engines.append(scope[Shop.session].engine)
            assert engines[-1] is shop.engine()
    assert engines[0] is not engines[1]


# Several containers.


class Infra(Container):
    engine = Component(Engine)
    session = Scoped(open_session, engine.provided)


class Nested(Container):
    bus = Component(Bus)
    infra = Infra()
    transaction = Scoped(transaction, infra.session.provided)


class Referring(Container):
    bus = Component(Bus)
    transaction = Scoped(transaction, Infra.session.provided)


def test_declarations_of_a_nested_container_are_found() -> None:
    nested = Nested()
    nested.validate()
    with nested.scope() as scope:
        scope[Nested.transaction]
        assert scope[Infra.session] is scope[nested.infra.session]
    assert events == ["open", "transaction committed", "commit"]


def test_declarations_of_a_container_that_runs_together_are_found() -> None:
    with running(Referring(), Infra()) as referring, referring.scope() as scope:
        scope[Referring.transaction]
        assert isinstance(scope[Infra.session], Session)
    assert events == ["open", "transaction committed", "commit"]


def test_a_subclass_replaces_a_scoped_declaration() -> None:
    class Quiet(Shop):
        session = Scoped(Session, Shop.engine.provided)

    with Quiet().scope(Quiet.user.given(ada)) as scope:
        assert scope[Shop.orders].session is scope[Quiet.session] is scope[Shop.session]
    assert events == []


def test_a_scoped_declaration_refuses_what_belongs_to_components() -> None:
    scoped = Scoped(User, "Ada")
    for wrong in (
        lambda: scoped.on(),
        lambda: scoped.without(),
        lambda: scoped.closed_by(print),
        lambda: scoped.within(1),
        lambda: scoped.enabled(True, reason=""),
        lambda: scoped.lazy,
        lambda: scoped.optional,
    ):
        with pytest.raises(TypeError, match="belongs to a scope"):
            wrong()


def test_a_scoped_object_that_needs_a_disabled_component_is_a_fault() -> None:
    class Off(Container):
        bus = Component(Bus)
        engine = Component(Engine).enabled(False, reason="engine = false")
        session = Scoped(open_session, engine.provided)
        optional = Scoped(list[object], [engine.optional])

    with pytest.raises(InvalidContainer) as invalid:
        Off().validate()
    assert [str(fault) for fault in invalid.value.exceptions if isinstance(fault, DisabledFault)] == [
        str(fault) for fault in invalid.value.exceptions
    ]
    assert [getattr(fault, "path", "") for fault in invalid.value.exceptions] == ["Off.session"]


def test_wrong_arguments_of_a_scope_are_refused() -> None:
    wrong: Any = ada
    with pytest.raises(ScopeClosed, match=r"Shop\.user\.given\(value\)"):
        Shop().scope(wrong).__enter__()
    with pytest.raises(ScopeClosed, match=r"two values of Shop\.user"):
        Shop().scope(Shop.user.given(ada), Shop.user.given(ada)).__enter__()
    with pytest.raises(ScopeClosed, match="SESSION or Level.REQUEST"):
        Shop().scope(level=wrong).__enter__()


@pytest.mark.parametrize("declare", [Scoped, Given, Resource])
def test_a_declaration_that_cannot_be_called_is_refused_at_its_place(declare: Callable[[Any], object]) -> None:
    with pytest.raises(DeclarationError, match="it is not callable") as refused:
        declare(3)
    assert refused.value.place.startswith(__file__)


# Generated code.


def test_a_traceback_shows_the_call_as_code() -> None:
    class Wrong(Container):
        engine = Component(Engine)
        broken = Scoped(lambda engine: 1 / 0, engine.provided)  # pyright: ignore[reportUnknownLambdaType]  # never returns

    with Wrong().scope() as scope, pytest.raises(ZeroDivisionError) as raised:
        scope[Wrong.broken]
    lines = [frame.line for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert any("(engine)" in (line or "") for line in lines)


def test_names_of_declarations_do_not_clash_with_those_of_the_code() -> None:
    class Named(Container):
        scope_ = Scoped(User, "a")
        values = Scoped(User, "b")
        error = Scoped(User, "c")
        opened = Scoped(User, "d")
        User = Scoped(User, "e")
        all = Scoped(list[object], [scope_.provided, values.provided, error.provided, opened.provided, User.provided])

    with Named().scope() as scope:
        assert [getattr(user, "name", "") for user in scope[Named.all]] == list("abcde")


def test_keyword_arguments_may_have_any_name() -> None:
    class Odd(Container):
        user = Scoped(User, "Ada")
        odd = Scoped(dict[str, object], **{"class": user.provided, "a b": 1, "__x": 2})

    with Odd().scope() as scope:
        assert scope[Odd.odd] == {"class": scope[Odd.user], "a b": 1, "__x": 2}


def test_an_async_object_of_a_session_needs_an_async_session() -> None:
    class Connected(Container):
        engine = Component(Engine)
        connection = Scoped(connect, engine.provided).at(SESSION)

    async def use() -> None:
        with Connected().scope(level=SESSION) as session:
            async with session.scope() as request:
                with pytest.raises(AsyncNeeded):
                    await request.get(Connected.connection)
        async with Connected().scope(level=SESSION) as session:
            async with session.scope() as request:
                assert await request.get(Connected.connection) is session[Connected.connection]
            assert events == []

    asyncio.run(use())
    assert events == ["async commit"]


def test_attributes_are_set_before_the_object_is_used() -> None:
    class Site(Container):
        engine = Component(Engine)
        user = Scoped(User, "Ada")
        user.add_attributes(engine=engine.provided)

    with Site().scope() as scope:
        assert getattr(scope[Site.user], "engine", None) is scope[Site.engine]


def test_a_scope_that_has_ended_keeps_no_object() -> None:
    """A task that a request has started may refer to its scope for a long time."""
    with Shop().scope() as scope:
        session = weakref.ref(scope[Shop.session])
        assert session() is not None
    gc.collect()
    assert session() is None
