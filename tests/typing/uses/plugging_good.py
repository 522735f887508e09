"""Valid uses of the pytest fixtures."""

from collections.abc import Iterator
from typing import assert_type

import pytest
from declared import Database, Metrics, Shop

from typedbus import Given, Limits, Scope, Scoped, running
from typedbus.pytest_plugin import (
    BusesLeft,
    EndOfTest,
    LimitsMarkError,
    ListenersLeft,
    MayBreakMarkError,
    RunningFixture,
    RunsBroke,
    RunsLeft,
    ScopeFixture,
    ScopesLeft,
    SignalsLeft,
    TasksLeft,
    ThreadsLeft,
)


class BigShop(Shop):
    """A shop that has more than this one."""


def test_a_container_keeps_its_type(typedbus_running: RunningFixture) -> None:
    shop = typedbus_running(Shop())
    assert_type(shop, Shop)
    assert_type(shop.infra.database(), Database)
    assert_type(typedbus_running(BigShop()), BigShop)
    assert_type(typedbus_running(Shop(), Metrics(), BigShop()), Shop)


@pytest.mark.typedbus_limits(start=1.0, stop=1, hook=0.5)
def test_options_are_accepted(typedbus_running: RunningFixture) -> None:
    assert_type(typedbus_running(Shop(), workers=2), Shop)
    assert_type(typedbus_running(Shop(), workers=None, limits=Limits(stop=5)), Shop)


@pytest.mark.typedbus_may_break("Shop.consumer", "Shop.infra")
def test_paths_are_accepted(typedbus_running: RunningFixture) -> None:
    assert_type(typedbus_running(Shop), Shop)


@pytest.fixture
def shop(typedbus_running: RunningFixture) -> Shop:
    return typedbus_running(Shop())


async def test_a_container_keeps_its_type_on_a_loop(typedbus_running: RunningFixture) -> None:
    async with typedbus_running.on_loop(Shop()) as shop, typedbus_running.on_loop(BigShop, Metrics) as big:
        assert_type(shop, Shop)
        assert_type(big, BigShop)
    async with typedbus_running.on_loop(Shop, Metrics(), workers=2, limits=Limits(stop=5)) as shop:
        assert_type(shop, Shop)


def leaks(
    threads: ThreadsLeft,
    tasks: TasksLeft,
    buses: BusesLeft,
    scopes: ScopesLeft,
    listeners: ListenersLeft,
    signals: SignalsLeft,
    mark: LimitsMarkError,
    runs: RunsLeft,
    broken: RunsBroke,
    paths: MayBreakMarkError,
) -> AssertionError:
    assert_type(threads.threads, tuple[tuple[str, str], ...])
    assert_type(tasks.tasks, tuple[tuple[str, str], ...])
    assert_type(buses.buses, tuple[tuple[str, str], ...])
    assert_type(scopes.scopes, tuple[str, ...])
    assert_type(listeners.listeners, tuple[tuple[str, str, str], ...])
    assert_type(signals.signals, tuple[tuple[str, str, str], ...])
    assert_type((mark.test, mark.reason), tuple[str, str])
    assert_type(runs.runs, tuple[tuple[str, str], ...])
    assert_type(broken.failures, tuple[tuple[str, str, str], ...])
    assert_type((paths.test, paths.given), tuple[str, str])
    return threads or tasks or buses or scopes or listeners or signals or runs or broken


def an_entered_container_keeps_its_type(typedbus_running: RunningFixture) -> None:
    shop = Shop()
    assert_type(typedbus_running.enter(shop.override(Shop.infra.database).by(Database("memory:"))), None)
    assert_type(typedbus_running.enter(running(shop)), Shop)


def connect(user: str) -> Iterator[Database]:
    try:
        yield Database(user)
    except EndOfTest as end:
        assert_type(end, EndOfTest)


class Site(Shop):
    user = Given(str)
    connection = Scoped(connect, user.provided)


def objects_of_a_scope_have_their_types(typedbus_scope: ScopeFixture) -> None:
    scope = typedbus_scope(Site(), Site.user.given("Ada"))
    assert_type(scope, Scope)
    assert_type(scope[Site.connection], Database)
    assert_type(typedbus_scope(Site())[Site.user], str)


async def objects_of_an_async_scope_have_their_types(typedbus_scope: ScopeFixture) -> None:
    async with typedbus_scope.on_loop(Site(), Site.user.given("Ada")) as scope:
        assert_type(scope, Scope)
        assert_type(await scope.get(Site.connection), Database)
