"""Invalid uses of containers; a marked line is an error for both checkers."""

from declared import (
    Database,
    FakeDatabase,
    Infra,
    Metrics,
    Order,
    Orders,
    Pump,
    Report,
    Rows,
    Settings,
    Shop,
    Switches,
    load_settings,
    order_placed,
)

from listeners import Clerk
from typedbus import START, Bus, Component, Container, Contributed, Limits, run, running
from typedbus.types import Override


class Service:
    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database


class Platform(Container):
    shop = Shop()
    infra = Infra()
    service = Component(Service, infra.database.provided, infra.settings.provided)

    of_component = Component(Service, infra.database, infra.settings.provided)  # E
    of_the_other = Component(Service, infra.settings.provided, infra.settings.provided)  # E
    of_container = Component(Service, infra, infra.settings.provided)  # E
    of_shop = Component(Service, shop.infra.settings.provided, shop.infra.settings.provided)  # E
    of_typo = Component(Service, infra.databse.provided, infra.settings.provided)  # E
    of_deep_typo = Component(Service, shop.infra.databse.provided, infra.settings.provided)  # E
    of_provided = Component(Service, infra.provided, infra.settings.provided)  # E
    of_attribute_typo = Component(Report, infra.database.provided.tables)  # E


class Declared(Container):
    database: Component[Database] = Component(Database, "sqlite:")
    rows: Component[Rows] = database


class DeclaredOfOthers(Declared):
    database = Component(load_settings)  # E
    rows = Component(Report, Shop.infra.database.provided)  # E


class Switched(Container):
    switches = Component(Switches)
    of_text = Component(Pump).enabled("yes", reason="it said so")  # E
    of_number = Component(Pump).enabled(switches.provided.port, reason="no port")  # E
    of_none = Component(Pump).enabled(switches.provided.name, reason="no name")  # E
    of_component = Component(Pump).enabled(switches, reason="none")  # E
    of_typo = Component(Pump).enabled(switches.provided.metric, reason="none")  # E
    of_function = Component(Pump).enabled(lambda: True, reason="none")  # E
    without_reason = Component(Pump).enabled(False)  # E
    by_position = Component(Pump).enabled(False, "none")  # E
    of_no_reason = Component(Pump).enabled(False, reason=None)  # E
    within_text = Component(Pump).within("5")  # E
    within_nothing = Component(Pump).within(None)  # E
    limit_of_text = Component(Pump).on(START.calls(Pump.start, limit="x"))  # E
    of_no_group = Contributed()  # E
    of_number_as_group = Contributed(42)  # E
    not_the_plugins = Component(Report, Metrics.plugins)  # E


def a_container_has_only_declared_components(shop: Shop) -> None:
    shop.typo  # E
    shop.typo()  # E
    Shop.typo  # E
    Shop.typo()  # E
    Shop().typo()  # E
    shop.order()  # E
    shop.providers  # E
    shop["orders"]  # E
    shop()  # E


def a_component_has_only_attributes_of_its_class(shop: Shop) -> None:
    shop.orders.typo  # E
    shop.orders().typo  # E
    shop.orders.bill(Order("tea"))  # E
    shop.orders.provided.typo  # E
    shop.infra.database().url.typo  # E


def a_nested_container_has_only_declared_components(shop: Shop, platform: Platform) -> None:
    shop.infra.typo  # E
    shop.infra.typo()  # E
    shop.infra.orders()  # E
    shop.infra.database.typo()  # E
    platform.shop.infra.typo()  # E
    platform.database()  # E
    platform.infra()  # E
    Platform.infra.typo  # E
    _orders: Orders = platform.shop.infra.database()  # E


def an_override_must_have_the_same_type(shop: Shop, rows: Rows, clerk: Clerk) -> None:
    shop.override(Shop.orders).by(42)  # E
    shop.override(Shop.orders).by(clerk)  # E
    shop.override(Shop.orders).by(None)  # E
    shop.override(Shop.orders).by(Orders)  # E
    shop.override(Shop.infra.database).by(rows)  # E
    shop.override(Shop.infra.database).by(Component(load_settings))  # E
    shop.override(Shop.infra.database).by(Component(Database))  # E
    shop.override(shop.infra.database).by(Shop.infra.settings)  # E
    shop.override(Shop.infra.database).by(Shop.infra)  # E
    shop.override(Shop.infra.database).by()  # E
    shop.override(Shop.infra.database).by(FakeDatabase(), FakeDatabase())  # E
    shop.override(Shop.infra.database, FakeDatabase())  # E
    _override: Override[Orders] = shop.override(Shop.report)  # E


def other_objects_are_not_components(shop: Shop) -> None:
    shop.override(42)  # E
    shop.override("orders")  # E
    shop.override(Orders)  # E
    shop.override(Shop.infra)  # E
    shop.override(shop.orders())  # E
    shop.override(Shop.typo)  # E
    shop.override()  # E
    shop.override(orders=42)  # E


def other_objects_are_not_containers(shop: Shop, bus: Bus) -> None:
    run()  # E
    run(Bus)  # E
    run(bus)  # E
    run("shop:Shop")  # E
    running()  # E
    running(Bus)  # E
    running(bus)  # E
    Shop(42)  # E
    shop.validate(Shop)  # E
    _status: str = run(Shop)  # E
    with running(shop) as same:
        same.typo()  # E


def several_containers_are_instances_or_classes(shop: Shop, metrics: Metrics, bus: Bus) -> None:
    running(Pump)  # E
    running(None)  # E
    running([shop])  # E
    running(shop, bus)  # E
    running(shop, Pump)  # E
    with running(Shop) as made:
        made.pump()  # E
    running(shop, workers="4")  # E
    running(shop, limits=5)  # E
    run(Shop, bus)  # E
    run(Shop, Pump)  # E
    run(Shop, limits={"start": 5})  # E
    run(Shop, metrics, 4)  # E
    Limits(start="5")  # E
    metrics.attach(shop)  # E
    metrics.attach(Bus)  # E
    with running(shop, metrics) as same:
        same.pump()  # E


async def running_is_entered_in_the_form_of_its_function(shop: Shop, metrics: Metrics) -> None:
    await running(shop)  # E
    running(shop).orders  # E
    async with running(Bus):  # E
        pass
    async with running(shop, workers="4"):  # E
        pass
    async with running(shop) as same:
        same.typo()  # E
    async with running(Shop, metrics) as made:
        made.pump()  # E
    async for _ in running(shop):  # E
        pass


def contributed_components_are_not_declared(metrics: Metrics) -> None:
    metrics.plugins.gauges  # E
    metrics.plugins["gauges"]  # E
    metrics.plugins()  # E
    metrics.override(Metrics.plugins)  # E
    _names: list[int] = list(metrics.plugins)  # E


def the_bus_of_a_container_is_a_bus(shop: Shop) -> None:
    shop.bus.publish(order_placed, Order("tea"))  # E
    shop.bus[order_placed]  # E
    shop.attach().publish(order_placed)  # E
    shop.bus()[order_placed].publish("tea")  # E
