"""Overrides of objects of scopes while the container runs, across nested containers and containers on one bus."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from logging import WARNING

import pytest

from typedbus import LOG, Bus, Component, Container, OverrideError, Scoped, running


class Engine:
    """Lives as long as the container."""


class Session:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine


def open_session(engine: Engine) -> Iterator[Session]:
    yield Session(engine)


class Orders:
    def __init__(self, session: Session) -> None:
        self.session = session


class Billing(Container):
    engine = Component(Engine)
    session = Scoped(open_session, engine.provided)


class Shop(Container):
    bus = Component(Bus)


class Nested(Container):
    bus = Component(Bus)
    billing = Billing()
    orders = Scoped(Orders, billing.session.provided)


def test_one_container_runs_for_several_overrides() -> None:
    """As in tests, of which each replaces another object, and no component is built twice."""
    fakes = [Session(Engine()) for _ in range(3)]
    with running(Nested()) as nested:
        engine = nested.billing.engine()
        for fake in fakes:
            with nested.override(Nested.billing.session).by(fake):
                for _ in range(2):
                    with nested.scope() as scope:
                        assert scope[Nested.orders].session is fake
            with nested.scope() as scope:
                assert scope[Nested.orders].session.engine is engine


def test_an_override_of_a_container_reaches_the_scopes_of_another_on_its_bus() -> None:
    """A site opens one scope for each request, for all of its containers."""
    shop, billing = Shop(), Billing()
    fake = Session(Engine())
    with running(shop, billing):
        with shop.scope() as scope:
            session = scope[Billing.session]
        with billing.override(Billing.session).by(fake), shop.scope() as scope:
            assert scope[Billing.session] is fake
        with shop.scope() as scope:
            assert scope[Billing.session].engine is session.engine


def test_an_override_is_refused_while_a_scope_of_another_container_on_the_bus_is_open() -> None:
    shop, billing = Shop(), Billing()
    override = billing.override(Billing.session).by(Session(Engine()))
    with running(shop, billing), shop.scope(), pytest.raises(OverrideError, match="a scope is open"):
        override.__enter__()


def test_a_scope_has_the_components_of_the_present_run_of_another_container() -> None:
    shop, billing = Shop(), Billing()
    engines = []
    for _ in range(2):
        with running(shop, billing), shop.scope() as scope:
            engines.append(scope[Billing.session].engine)
            assert engines[-1] is billing.engine()
    assert engines[0] is not engines[1]


def test_a_container_that_is_attached_later_is_found_by_scopes() -> None:
    """Also by those of a container that has opened scopes before; and its overrides reach them."""
    shop, billing = Shop(), Billing()
    with running(shop), shop.scope() as scope:
        scope[Shop.bus]
    with running(shop, billing):
        with shop.scope() as scope:
            assert scope[Billing.session].engine is billing.engine()
        with billing.override(Billing.session).by(Session(Engine())), shop.scope() as scope:
            assert scope[Billing.session].engine is not billing.engine()


def test_an_override_reaches_the_scopes_of_a_nested_container() -> None:
    nested = Nested()
    fake = Session(Engine())
    with nested.billing.scope() as scope:
        assert scope[Billing.session].engine is nested.billing.engine()
    with nested.override(Nested.billing.session).by(fake), nested.billing.scope() as scope:
        assert scope[Billing.session] is fake
    with nested.billing.scope() as scope:
        assert scope[Billing.session] is not fake


def test_an_override_is_refused_while_a_scope_of_a_nested_container_is_open() -> None:
    nested = Nested()
    override = nested.override(Nested.billing.session).by(Session(Engine()))
    with nested.billing.scope(), pytest.raises(OverrideError, match="a scope is open"):
        override.__enter__()


def test_open_scopes_of_nested_containers_are_logged_after_a_stop() -> None:
    nested = Nested()
    warnings: list[str] = []
    nested.attach()[LOG].subscribe(lambda message, level: warnings.append(message) if level == WARNING else None)
    with contextlib.ExitStack() as stack:
        with running(nested):
            stack.enter_context(nested.billing.scope())[Billing.session]
        assert [message.partition(",")[0] for message in warnings] == [
            "still open after the stop: a scope of Billing",
        ]


def test_failures_of_closing_are_logged_for_a_nested_container() -> None:
    def broken(engine: Engine) -> Iterator[Session]:
        try:
            yield Session(engine)
        finally:
            raise OSError("no rollback")

    logged: list[str] = []
    with running(Nested()) as nested:
        nested.bus()[LOG].subscribe(lambda message, level: logged.append(message))
        with (
            nested.override(Nested.billing.session).by(Scoped(broken, Billing.engine.provided)),
            contextlib.suppress(ValueError),
            nested.billing.scope() as scope,
        ):
            scope[Billing.session]
            raise ValueError("body")
    assert any("OSError: no rollback" in message for message in logged)
