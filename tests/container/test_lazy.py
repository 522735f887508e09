"""`lazy`: a component that is passed uncalled, to be called later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from dependency_injector import providers

from typedbus import (
    Bus,
    Component,
    ComponentDisabled,
    Container,
    DeclarationError,
    InvalidContainer,
    lazy,
    provided,
    running,
)
from typedbus.faults import HiddenFault, LifetimeFault, TypeFault
from typedbus.graph import Edge, Graph


class Database:
    """A component with start and stop hooks."""


class Session:
    def __init__(self, database: Database) -> None:
        self.database = database


class Orders:
    def __init__(self, session: Callable[[], Session]) -> None:
        self.session = session


class Report:
    def __init__(self, database: Callable[[], Database]) -> None:
        self.database = database


class Shop(Container):
    bus = Component(Bus)
    database = Component(Database)
    session = providers.ThreadLocalSingleton(Session, database)
    orders = Component(Orders, lazy(session))
    report = Component(Report, database.lazy)


def test_a_lazy_argument_is_called_later() -> None:
    """It returns the component of the instance, and the session of the calling thread."""
    shop = Shop()
    shop.validate()
    with running(shop):
        assert shop.report().database() is shop.database()
        sessions = [shop.orders().session(), shop.orders().session()]
        other = threading.Thread(target=lambda: sessions.append(shop.orders().session()))
        other.start()
        other.join()
    assert sessions[0] is sessions[1]
    assert sessions[2] is not sessions[0]
    assert {id(session.database) for session in sessions} == {id(shop.database())}


def test_a_lazy_argument_may_be_inside_a_literal() -> None:
    """Lists, tuples and dicts work as with `provided`."""

    class Many:
        def __init__(
            self,
            some: list[Callable[[], Database]],
            pair: tuple[Callable[[], Database], Database],
            named: dict[str, Callable[[], Database]],
        ) -> None:
            self.made = [some[0](), pair[0](), pair[1], named["first"]()]

    class App(Container):
        bus = Component(Bus)
        database = Component(Database)
        many = Component(Many, [database.lazy], (database.lazy, database.provided), {"first": lazy(database)})

    app = App()
    app.validate()
    assert app.many().made == [app.database()] * 4


def test_a_lazy_argument_may_close_a_cycle_and_does_not_order_the_start() -> None:
    """A picture shows it as needed later."""

    class First:
        def __init__(self, second: Callable[[], Second]) -> None:
            self.second = second

    class Second:
        def __init__(self, first: First) -> None:
            self.first = first

    class App(Container):
        bus = Component(Bus)
        later: Any = providers.Dependency()
        first = Component(First, lazy(later))
        second = Component(Second, first.provided)

    app = App()
    later: Any = app.later
    later.override(app.second)
    with running(app):
        assert app.first().second() is app.second()

    graph = Graph.of(Shop())
    assert Edge("Shop.report", "Shop.database", lazy=True) in graph.edges
    assert Edge("Shop.orders", "Shop.database", lazy=True) in graph.edges


def test_a_lazy_argument_gives_the_override() -> None:
    """The call returns the replacement."""

    class Fake(Database):
        """Stands in."""

    shop, fake = Shop(), Fake()
    with shop.override(Shop.database).by(fake), running(shop):
        assert shop.report().database() is fake


def test_the_result_of_a_lazy_argument_is_checked_against_the_annotation() -> None:
    """An instance is refused, and so is a function that returns another type; an unknown result is accepted."""

    class WantsSession:
        def __init__(self, session: Session) -> None: ...

    class WantsOther:
        def __init__(self, made: Callable[[], Report]) -> None: ...

    class Fine:
        def __init__(
            self,
            one: Callable[..., Database],
            two: Callable[[], object],
            three: Callable[[], Database] | None,
            four: Any,
            five: Callable[[], Any],
            six: Callable[[], Report],
        ) -> None: ...

    def unknown():  # type: ignore[no-untyped-def]  # that is the point
        return 1

    class App(Container):
        bus = Component(Bus)
        database = Component(Database)
        secret: Any = providers.Callable(unknown)
        instance = Component(WantsSession, database.lazy)  # type: ignore[arg-type]  # the fault
        other = Component(WantsOther, database.lazy)  # type: ignore[arg-type]  # the fault
        fine = Component(Fine, database.lazy, database.lazy, database.lazy, database.lazy, database.lazy, lazy(secret))

    with pytest.raises(InvalidContainer) as raised:
        App().validate()
    faults = raised.value.exceptions
    assert [(type(fault), getattr(fault, "path", "")) for fault in faults] == [
        (TypeFault, "App.instance"),
        (TypeFault, "App.other"),
    ]
    assert "is given Callable[[], " in str(faults[0])
    assert "(App.database.lazy)" in str(faults[0])


def test_a_lazy_component_that_is_declared_inline_is_a_fault() -> None:
    """It belongs to no container; a provided inline component, or one with a name, does."""

    class Two:
        def __init__(self, *some: object) -> None:
            self.some = some

    class App(Container):
        bus = Component(Bus)
        database = Component(Database)
        report = Component(Report, Component(Database).lazy)
        listed = Component(Two, [1, {"key": Component(Database).lazy}])
        handed = Component(Two, lazy(Component(Database)))
        fine = Component(Two, [Component(Database).provided, Component(Database).optional], database.lazy)

    app = App()
    with pytest.raises(InvalidContainer) as raised:
        app.validate()
    faults = list(raised.value.exceptions)
    assert all(isinstance(fault, HiddenFault) for fault in faults)
    assert [getattr(fault, "path", "") for fault in faults] == ["App.report", "App.listed", "App.handed"]
    assert "declare it in the body of the container, as in x = Component(Database), and pass x.lazy" in str(faults[0])

    class Over(Container):
        bus = Component(Bus)
        database = Component(Database)
        report = Component(Report, database.lazy)

    over = Over()
    with over.override(Over.report).by(Component(Report, Over.database.lazy)), running(over):
        assert over.report().database() is over.database()
    with over.override(Over.report).by(Component(Report, Component(Database).lazy)):
        with pytest.raises(InvalidContainer) as raised:
            over.validate()
    assert "as in x = Component(Database)" in str(raised.value)


def test_a_lazy_component_that_is_disabled_raises_when_it_is_called() -> None:
    """The component with the lazy argument starts."""

    class App(Container):
        bus = Component(Bus)
        database = Component(Database).enabled(False, reason="no network")
        report = Component(Report, database.lazy)

    app = App()
    with running(app), pytest.raises(ComponentDisabled):
        app.report().database()


def test_calling_a_lazy_argument_in_a_class_body_is_refused() -> None:
    """`lazy` accepts providers alone."""
    database = Component(Database)
    with pytest.raises(DeclarationError, match="no instance exists while"):
        database.lazy()
    for wrong in (Database, database.provided, database.lazy):
        with pytest.raises(DeclarationError, match=r"it takes a provider, as in lazy\(session\)"):
            lazy(wrong)  # type: ignore[arg-type]  # the mistake


def test_faults_recommend_code_that_type_checkers_accept() -> None:
    """`x.lazy` for a component, `lazy(x)` for a provider of the library."""

    class App(Container):
        bus = Component(Bus)
        database = Component(Database)
        session = providers.ThreadLocalSingleton(Session, database)
        hidden = Component(list[object], {database})
        other = Component(list[object], {session})
        kept = Component(list[object], [provided(session)])

    with pytest.raises(InvalidContainer) as raised:
        App().validate()
    by_path = {getattr(fault, "path", ""): fault for fault in raised.value.exceptions}
    assert isinstance(by_path["App.hidden"], HiddenFault)
    assert isinstance(by_path["App.kept"], LifetimeFault)
    assert "pass database.provided, as an argument or in a list, tuple or dict; or database.lazy to" in str(
        by_path["App.hidden"]
    )
    assert "pass provided(x), as an argument or in a list, tuple or dict; or lazy(x) to" in str(by_path["App.other"])
    assert "pass lazy(x), and call it where it is used" in str(by_path["App.kept"])
