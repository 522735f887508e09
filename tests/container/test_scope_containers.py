"""The declarations of scopes in nested containers, subclasses, contributions, and containers that run together."""

import copy
import importlib
import typing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from typedbus import (
    EXIT,
    SESSION,
    Bus,
    Component,
    Container,
    Contributed,
    Given,
    InvalidContainer,
    NotInContainer,
    ScopeClosed,
    Scoped,
    running,
)
from typedbus.faults import ReferenceFault


class Engine:
    """Lives as long as the container."""


class Session:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_open = True


class Orders:
    def __init__(self, session: Session) -> None:
        self.session = session


class Greeting:
    def __init__(self, name: str) -> None:
        self.name = name


class Worker:
    def __init__(self, sessions: Callable[[], AbstractContextManager[Session]]) -> None:
        self.sessions = sessions


class Asking:
    def __init__(self, engine: Callable[[], Engine]) -> None:
        self.engine = engine


def open_session(engine: Engine) -> Iterator[Session]:
    session = Session(engine)
    yield session
    session.is_open = False


# Nested containers.


class Deep(Container):
    engine = Component(Engine)
    session = Scoped(open_session, engine.provided)


class Middle(Container):
    deep = Deep()
    orders = Scoped(Orders, deep.session.provided)


class Top(Container):
    bus = Component(Bus)
    middle = Middle()
    cart = Scoped(Orders, middle.deep.session.provided)
    worker = Component(Worker, middle.deep.session.opener)


def test_every_level_of_nested_containers_shares_the_objects_of_a_scope() -> None:
    """The declaration is a key as an attribute of its class, of an outer class, and of an instance."""
    top = Top()
    top.validate()
    with top.scope() as scope:
        session = scope[Top.cart].session
        assert session is scope[Middle.orders].session
        for key in (Deep.session, Middle.deep.session, Top.middle.deep.session, top.middle.deep.session):
            assert scope[key] is session
        assert session.engine is top.middle.deep.engine()
    assert not session.is_open


def test_a_nested_container_opens_scopes_of_its_own() -> None:
    top = Top()
    with top.middle.scope() as scope, top.middle.deep.scope() as inner:
        assert scope[Middle.orders].session is scope[Deep.session] is not inner[Deep.session]
        with pytest.raises(NotInContainer):
            inner[Top.cart]


def test_an_opener_opens_the_scope_of_the_nested_container() -> None:
    top = Top()
    with top.worker().sessions() as session:
        assert session.is_open
        assert session.engine is top.middle.deep.engine()
    assert not session.is_open


def test_scopes_of_nested_containers_are_refused_as_well_while_the_bus_exits() -> None:
    top = Top()
    refused: list[str] = []

    def exiting() -> None:
        for container in (top, top.middle, top.middle.deep):
            with pytest.raises(ScopeClosed, match="the bus is EXITING") as raised, container.scope():
                pass
            refused.append(raised.value.container)

    top.bus().subscribe(EXIT, exiting)
    with running(top), top.middle.deep.scope():
        pass
    assert refused == ["Top", "Middle", "Deep"]


class Twice(Container):
    bus = Component(Bus)
    left = Deep()
    right = Deep()
    pair = Scoped(list[Session], [left.session.provided, right.session.provided])


def test_two_containers_of_one_class_have_an_object_each() -> None:
    twice = Twice()
    twice.validate()
    with twice.scope() as scope:
        left, right = scope[Twice.left.session], scope[Twice.right.session]
        assert scope[Twice.pair] == [left, right]
        assert left is scope[twice.left.session] is not right


def test_a_key_that_is_declared_twice_is_refused_with_the_candidates() -> None:
    with Twice().scope() as scope, pytest.raises(NotInContainer) as refused:
        scope[Deep.session]
    assert refused.value.candidates == ("Twice.left.session", "Twice.right.session")


def test_a_reference_to_an_object_that_is_declared_twice_is_a_fault_of_its_user() -> None:
    """In `validate`, and in a scope that is opened without it."""

    class Unclear(Container):
        bus = Component(Bus)
        left = Deep()
        right = Deep()
        orders = Scoped(Orders, Deep.session.provided)

    unclear = Unclear()
    with unclear.scope() as scope:
        for find in (unclear.validate, lambda: scope[Unclear.orders]):
            with pytest.raises(InvalidContainer) as invalid:
                find()
            (fault,) = invalid.value.exceptions
            assert isinstance(fault, ReferenceFault)
            assert (fault.path, fault.candidates) == (
                "Unclear.orders",
                ("Unclear.left.session", "Unclear.right.session"),
            )


def test_a_value_is_given_by_a_declaration_of_any_level() -> None:
    class Inner(Container):
        user = Given(str)
        greeting = Scoped(Greeting, user.provided)

    class Outer(Container):
        bus = Component(Bus)
        inner = Inner()
        farewell = Scoped(Greeting, inner.user.provided)

    outer = Outer()
    for declaration in (Inner.user, Outer.inner.user, outer.inner.user):
        with outer.scope(declaration.given("Ada")) as scope:
            assert scope[Outer.farewell].name == scope[Inner.greeting].name == "Ada"


def test_a_nested_container_refers_to_an_object_of_the_outer_one() -> None:
    class Inner(Container):
        orders = Scoped(Orders, Top.middle.deep.session.provided)
        worker = Component(Worker, Top.middle.deep.session.opener)

    class Outer(Top):
        inner = Inner()

    outer = Outer()
    outer.validate()
    with outer.scope() as scope:
        assert scope[Inner.orders].session is scope[Outer.cart].session
    with outer.inner.worker().sessions() as session:
        assert session.engine is outer.middle.deep.engine()


# Classes.


class Base(Container):
    bus = Component(Bus)
    engine = Component(Engine)
    session: Scoped[Session] = Scoped(open_session, engine.provided)
    feed = Scoped(Session, engine.provided).at(SESSION)


class Left(Base):
    left = Scoped(Orders, Base.session.provided)


class Right(Base):
    session = Scoped(Session, Base.engine.provided)
    right = Scoped(Orders, Base.session.provided)


class Named(Container):
    user = Given(str)
    greeting = Scoped(Greeting, user.provided)


class All(Left, Right, Named):
    """Has the declarations of three bases."""

    farewell = Scoped(Greeting, Named.user.provided)


def test_a_declaration_replaces_that_of_every_base() -> None:
    """The key may be an attribute of any of the classes."""
    everything = All()
    everything.validate()
    with everything.scope(Named.user.given("Ada")) as scope:
        session = scope[All.session]
        assert type(session) is Session
        assert all(scope[cls.session] is session for cls in (Base, Left, Right))
        assert scope[Left.left].session is scope[All.right].session is session
        assert scope[All.farewell].name == scope[Named.greeting].name == "Ada"


def test_annotations_of_declarations_are_evaluated() -> None:
    hints = typing.get_type_hints(Base)
    assert typing.get_origin(hints["session"]) is Scoped
    assert typing.get_args(hints["session"]) == (Session,)


def test_an_annotation_alone_declares_nothing() -> None:
    class Annotated(Base):
        session: Scoped[Session]

    with Annotated().scope() as scope:
        assert scope[Annotated.session] is scope[Base.session]


def test_a_copy_of_a_container_has_objects_of_its_own() -> None:
    original = All()
    copied = copy.deepcopy(original)
    with original.scope() as scope, copied.scope() as other:
        assert scope[All.left].session is not other[All.left].session
        assert other[All.left].session.engine is copied.engine() is not original.engine()
    assert copied.feed.level is SESSION


# Containers that run together.


class Infra(Container):
    engine = Component(Engine)
    user = Given(str)
    session = Scoped(open_session, engine.provided)
    feed = Scoped(open_session, engine.provided).at(SESSION)


class Package(Container):
    bus = Component(Bus)
    orders = Scoped(Orders, Infra.session.provided)
    feed = Scoped(Orders, Infra.feed.provided).at(SESSION)
    greeting = Scoped(Greeting, Infra.user.provided)
    worker = Component(Worker, Infra.session.opener)
    feeding = Component(Worker, Infra.feed.opener)
    asking = Component(Asking, Infra.engine.lazy)


def test_containers_that_run_together_share_the_objects_of_a_scope() -> None:
    """At both levels, whichever container opens the scope."""
    infra = Infra()
    with running(Package(), infra) as package:
        for opening in (package, infra):
            with opening.scope(Infra.user.given("Ada"), level=SESSION) as session:
                feed = session[Infra.feed]
                with session.scope(Infra.user.given("Bob")) as request:
                    assert request[Package.orders].session is request[Infra.session] is request[infra.session]
                    assert request[Package.feed] is session[package.feed]
                    assert request[Package.feed].session is request[Infra.feed] is feed
                    assert request[Package.greeting].name == "Bob"
                assert feed.is_open
            assert not feed.is_open


def test_an_opener_of_another_container_opens_a_scope_there() -> None:
    infra = Infra()
    with running(Package(), infra) as package:
        for worker in (package.worker(), package.feeding()):
            with worker.sessions() as session:
                assert session.is_open
                assert session.engine is infra.engine()
            assert not session.is_open


def test_a_scope_of_the_next_run_has_the_objects_of_the_containers_in_it() -> None:
    package = Package()
    for infra in (Infra(), Infra()):
        with running(package, infra), package.scope() as scope:
            assert scope[Package.orders].session.engine is infra.engine()


def test_a_subclass_of_the_other_container_replaces_its_declaration() -> None:
    class Quiet(Infra):
        session = Scoped(Session, Infra.engine.provided)

    with running(Package(), Quiet()) as package, package.scope() as scope:
        session = scope[Package.orders].session
        assert session is scope[Infra.session] is scope[Quiet.session]
    assert session.is_open


def test_two_containers_of_one_class_that_run_together_need_an_instance_as_key() -> None:
    class Site(Container):
        bus = Component(Bus)

    first, second = Infra(), Infra()
    with running(Site(), first, second) as site, site.scope() as scope:
        assert scope[first.session].engine is first.engine()
        assert scope[second.session].engine is second.engine()
        with pytest.raises(NotInContainer) as refused:
            scope[Infra.session]
        assert refused.value.candidates == ("Infra.session", "Infra.session")


def test_an_override_of_another_container_reaches_its_users() -> None:
    """It is made by either container, and ends with its block."""
    infra, fake = Infra(), Session(Engine())
    with running(Package(), infra) as package:
        for overridden in (package, infra):
            with overridden.override(Infra.session).by(fake), package.scope() as scope:
                assert scope[Package.orders].session is fake
            with package.scope() as scope:
                assert scope[Package.orders].session is not fake


def test_a_container_is_tested_without_the_others_that_it_refers_to() -> None:
    """An override of their declarations reaches arguments, openers and lazy functions."""
    package, fake, engine = Package(), Session(Engine()), Engine()
    with (
        package.override(Infra.session).by(fake),
        package.override(Infra.feed).by(Scoped(open_session, Engine()).at(SESSION)),
        package.override(Infra.user).by("Ada"),
        package.override(Infra.engine).by(engine),
    ):
        package.validate()
        with package.scope() as scope:
            assert scope[Package.orders].session is fake
            assert scope[Package.greeting].name == "Ada"
        with package.worker().sessions() as session:
            assert session is fake
        with package.feeding().sessions() as feed:
            was_open = feed.is_open
        assert (was_open, feed.is_open) == (True, False)
        asked: object = package.asking().engine()
        assert asked is engine


# Contributions.


@pytest.fixture
def _contribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution that contributes a container."""
    about = tmp_path / "extra-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n", encoding="utf-8")
    entry = f"[scopes.plugins]\nextra = {__name__}:Extra\n"
    (about / "entry_points.txt").write_text(entry, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()


class Host(Container):
    bus = Component(Bus)
    engine = Component(Engine)
    user = Given(str)
    session = Scoped(open_session, engine.provided)
    plugins = Contributed("scopes.plugins")


class Extra(Container):
    orders = Scoped(Orders, Host.session.provided)
    greeting = Scoped(Greeting, Host.user.provided)
    worker = Component(Worker, Host.session.opener)


@pytest.mark.usefixtures("_contribution")
def test_a_contributed_container_has_objects_in_the_scopes_of_its_host() -> None:
    host = Host()
    host.validate()
    with host.scope(Host.user.given("Ada")) as scope:
        assert scope[Extra.orders].session is scope[Host.session]
        assert scope[Extra.greeting].name == "Ada"
    extra: Any = Extra
    fake = Session(Engine())
    with host.override(Host.session).by(fake), host.scope() as scope:
        assert scope[extra.orders].session is fake
