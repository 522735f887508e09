"""Invalid uses of the pytest fixtures; a marked line is an error for both checkers."""

from declared import Database, Metrics, Shop

from typedbus import SESSION, Bus, Given, Limits
from typedbus.pytest_plugin import RunningFixture, ScopeFixture


def other_objects_are_not_started(typedbus_running: RunningFixture, bus: Bus) -> None:
    typedbus_running()  # E
    typedbus_running(Bus)  # E
    typedbus_running(bus)  # E
    typedbus_running(Database("sqlite:"))  # E
    typedbus_running(Shop(), Database)  # E
    typedbus_running(Shop(), 2)  # E
    typedbus_running(container=Shop())  # E


def unknown_options_are_refused(typedbus_running: RunningFixture) -> None:
    typedbus_running(Shop(), workers="two")  # E
    typedbus_running(Shop(), limits=5)  # E
    typedbus_running(Shop(), limits=Limits)  # E
    typedbus_running(Shop(), scope="module")  # E


def results_have_the_type_of_the_container(typedbus_running: RunningFixture) -> None:
    _metrics: Metrics = typedbus_running(Shop())  # E
    typedbus_running(Shop()).typo  # E
    with typedbus_running(Shop()):  # E
        pass


async def a_container_runs_on_a_loop_in_an_async_block(typedbus_running: RunningFixture) -> None:
    typedbus_running.on_loop(Bus)  # E
    typedbus_running.on_loop(Shop(), 2)  # E
    typedbus_running.on_loop(Shop, limits=5)  # E
    typedbus_running.on_loop(Shop).bus  # E
    with typedbus_running.on_loop(Shop):  # E
        pass
    async with typedbus_running(Shop):  # E
        pass
    async with typedbus_running.on_loop(Shop) as shop:
        shop.typo  # E
        _metrics: Metrics = shop  # E


def other_objects_are_not_entered(typedbus_running: RunningFixture, shop: Shop) -> None:
    typedbus_running.enter()  # E
    typedbus_running.enter(shop)  # E
    typedbus_running.enter(shop.override(Shop.infra.database))  # E


class Site(Shop):
    user = Given(str)


def other_objects_have_no_scope(typedbus_scope: ScopeFixture) -> None:
    typedbus_scope()  # E
    typedbus_scope(Site)  # E
    typedbus_scope(Bus())  # E
    typedbus_scope(Site(), "Ada")  # E
    typedbus_scope(Site(), Site.user)  # E
    typedbus_scope(Site(), Site.user.given(3))  # E
    typedbus_scope(Site(), level=SESSION)  # E
    with typedbus_scope(Site()) as scope:
        _metrics: Metrics = scope[Site.user]  # E


async def a_scope_is_opened_on_a_loop_in_an_async_block(typedbus_scope: ScopeFixture) -> None:
    typedbus_scope.on_loop(Site)  # E
    typedbus_scope.on_loop(Site(), "Ada")  # E
    with typedbus_scope.on_loop(Site()):  # E
        pass
    async with typedbus_scope.on_loop(Site()) as scope:
        scope.typo  # E
