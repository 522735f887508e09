"""Valid uses of containers."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import assert_type

from declared import Database, FakeDatabase, Infra, Metrics, Orders, Pump, Report, Rows, Settings, Shop, Switches

from typedbus import START, Bus, Component, Container, Contributed, Limits, State, provided, run, running
from typedbus.types import Override


class Service:
    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database


class Platform(Container):
    bus = Component(Bus)
    shop = Shop()
    infra = Infra()
    service = Component(Service, infra.database.provided, infra.settings.provided)
    service_of_shop = Component(Service, shop.infra.database.provided, settings=shop.infra.settings.provided)


class TestShop(Shop):
    report = Component(Report, Shop.infra.database.provided, limit=1)
    fake = Component(FakeDatabase)

    def titles(self) -> list[str]:
        return self.report().rows.rows()


class InfraOfFake(Infra):
    database = Component(FakeDatabase)


class Declared(Container):
    """With annotations, as a base for others."""

    database: Component[Database] = Component(Database, "sqlite:")
    rows: Component[Rows] = database


class DeclaredOfFake(Declared):
    database = Component(FakeDatabase)
    rows = Component(FakeDatabase)


class Switched(Container):
    """Components that take part, and end, on conditions."""

    switches = Component(Switches)
    pump = Component(Pump).enabled(switches.provided.metrics, reason="metrics = false").within(5)
    spare = Component(Pump).within(0.5).enabled(False, reason="there is one").on(START.calls(Pump.start, limit=5))
    flag = Component(bool, True)
    other = Component(FakeDatabase).enabled(flag.provided, reason="no flag")


class ShopAndMetrics(Shop, Metrics):
    """Has the declarations of both."""


def a_container_returns_its_components(shop: Shop) -> None:
    assert_type(Shop(), Shop)
    assert_type(shop.orders, Component[Orders])
    assert_type(shop.orders(), Orders)
    assert_type(shop.orders().database.rows(), list[str])
    assert_type(Shop.orders, Component[Orders])


def a_container_can_be_nested(platform: Platform, shop: Shop) -> None:
    assert_type(shop.infra, Infra)
    assert_type(shop.infra.database, Component[Database])
    assert_type(shop.infra.database(), Database)
    assert_type(platform.shop.infra.database(), Database)
    assert_type(platform.service(), Service)
    assert_type(Platform.infra.settings, Component[Settings])


def a_container_can_be_extended(shop: TestShop, infra: InfraOfFake) -> None:
    assert_type(shop.report(), Report)
    assert_type(shop.fake(), FakeDatabase)
    assert_type(shop.orders(), Orders)
    assert_type(shop.titles(), list[str])
    _database: Database = infra.database()
    _base: Shop = shop


def annotations_in_a_base_apply_to_its_subclasses(declared: DeclaredOfFake) -> None:
    _database: Component[Database] = declared.database
    _rows: Rows = declared.rows()


def an_override_has_the_same_type(shop: Shop, fake: FakeDatabase) -> None:
    assert_type(shop.override(Shop.orders), Override[Orders])
    with shop.infra.override(Infra.database).by(fake):
        assert_type(shop.infra.database(), Database)
    with shop.override(Shop.infra.database).by(Component(FakeDatabase)):
        shop.validate()
    with shop.override(shop.infra.database).by(Database("memory:")):
        shop.validate()
    with shop.override(shop.infra.database).by(Component(Database, "memory:")):
        shop.validate()
    context: AbstractContextManager[None] = shop.override(Shop.report).by(Report(fake))
    with context as nothing:
        assert_type(nothing, None)


def an_override_of_a_protocol_fits_by_structure(shop: Shop, fake: FakeDatabase) -> None:
    rows: Component[Rows] = shop.infra.database
    with shop.override(rows).by(fake):
        shop.validate()


def a_container_is_validated_and_attached(shop: Shop) -> None:
    shop.validate()
    assert_type(shop.attach(), Bus)
    assert_type(shop.attach().state, State)
    assert_type(shop.orders.path, str)
    assert_type(shop.orders.place, str)


def a_container_is_wired_like_a_declarative_container(shop: Shop) -> None:
    shop.wire(modules=["declared"])
    shop.unwire()


def a_container_runs(shop: Shop) -> None:
    assert_type(run(Shop), int)
    assert_type(run(Shop()), int)
    assert_type(run(TestShop), int)
    with running(shop) as same:
        assert_type(same, Shop)
    with running(TestShop()) as test_shop:
        assert_type(test_shop, TestShop)
        assert_type(test_shop.bus(), Bus)


def several_containers_run_on_one_bus(shop: Shop, metrics: Metrics) -> None:
    assert_type(run(Shop, Metrics), int)
    assert_type(run(shop, Metrics, metrics), int)
    assert_type(run(Shop, workers=4, limits=Limits(start=5)), int)
    with running(shop, metrics) as same:
        assert_type(same, Shop)
    with running(metrics, shop, workers=4, limits=Limits(hook=0.5, exit=None)) as first:
        assert_type(first, Metrics)
    assert_type(metrics.attach(shop.attach()), Bus)


def containers_merge(both: ShopAndMetrics) -> None:
    assert_type(both.orders(), Orders)
    assert_type(both.pump(), Pump)
    assert_type(both.bus(), Bus)


def contributed_components_have_names(metrics: Metrics) -> None:
    assert_type(metrics.plugins, Contributed)
    assert_type(list(metrics.plugins), list[str])
    assert_type(Metrics.plugins.place, str)


def a_conditional_component_has_the_type_of_its_class(switched: Switched) -> None:
    assert_type(switched.pump, Component[Pump])
    assert_type(switched.spare, Component[Pump])
    assert_type(switched.other(), FakeDatabase)
    assert_type(switched.pump.reason, str)


def a_component_can_be_passed_to_a_function(database: Component[Database]) -> None:
    assert_type(database(), Database)
    assert_type(provided(database), Database)
    Component(Report, database.provided)


def a_container_can_be_passed_by_its_type(container: type[Container]) -> None:
    assert_type(run(container), int)
    assert_type(container().attach(), Bus)


def running_accepts_classes_and_instances(shop: Shop, infra: Infra, either: Shop | type[Shop]) -> None:
    manager: AbstractContextManager[Container] = running(Shop)
    with running(Shop) as made, running(shop) as given, running(Shop, infra, Metrics, Platform()) as first:
        assert_type(made, Shop)
        assert_type(given, Shop)
        assert_type(first, Shop)
    with manager as any_container, running(either) as one:
        entered: Container = any_container
        entered.validate()
        assert_type(one, Shop)


async def running_is_an_async_context_manager(shop: Shop, infra: Infra, either: Shop | type[Shop]) -> None:
    manager: AbstractAsyncContextManager[Container] = running(Shop)
    async with running(Shop) as made, running(shop) as given, running(Shop, infra, Metrics, Platform()) as first:
        assert_type(made, Shop)
        assert_type(given, Shop)
        assert_type(first, Shop)
    async with manager as any_container, running(either, workers=4, limits=Limits(start=5)) as one:
        entered: Container = any_container
        entered.validate()
        assert_type(one, Shop)


async def nothing_is_swallowed_by_running(shop: Shop) -> int:
    async with running(shop):
        return 1


def nothing_is_swallowed_by_the_sync_form(shop: Shop) -> int:
    with running(shop):
        return 1
