"""Invalid declarations of components; a marked line is an error for both checkers."""

from collections.abc import Callable, Sequence
from typing import Protocol

from declared import (
    Database,
    Door,
    FakeDatabase,
    Limits,
    Orders,
    Receipt,
    Report,
    Rows,
    Runner,
    Settings,
    Shelf,
    Store,
    connect,
    load_settings,
    order_cancelled,
    order_placed,
    price_changed,
)
from dependency_injector import providers

from typedbus import Bus, Choice, Component, Container, every, lazy, provided


def pay(text: str) -> Receipt:
    return Receipt(1)


class Many:
    def __init__(self, databases: list[Database], named: dict[str, Rows]) -> None:
        self.databases = databases


class Counter:
    def __init__(self, *rows: Rows, **limits: int) -> None:
        self.rows = rows


class Shop(Container):
    bus = Component(Bus)
    settings = Component(load_settings)
    database = Component(Database, settings.provided.database_url)
    fake = Component(FakeDatabase)
    store = Component(Store[str], "tea")
    shelf = Component(Shelf, Component(Store[int], 1).provided)

    database_missing = Component(Database)  # E
    orders_missing_one = Component(Orders, database.provided)  # E
    orders_missing_the_first = Component(Orders, placed=bus.provided[order_placed])  # E
    connect_missing = Component(connect)  # E
    settings_missing = Component(Settings)  # E
    settings_missing_the_first = Component(Settings, port=80)  # E
    limits_missing = Component(Limits)  # E
    door_missing = Component(Door)  # E
    runner_missing = Component(Runner)  # E

    database_extra = Component(Database, "sqlite:", 3)  # E
    fake_extra = Component(FakeDatabase, "sqlite:")  # E
    bus_extra = Component(Bus, settings.provided)  # E
    load_extra = Component(load_settings, settings.provided)  # E
    connect_extra = Component(connect, settings.provided, 3)  # E
    settings_extra = Component(Settings, "sqlite:", 80, True)  # E
    limits_extra = Component(Limits, 3, 1.0, 2)  # E

    database_misnamed = Component(Database, uri="sqlite:")  # E
    report_misnamed = Component(Report, database.provided, heading="today")  # E
    report_by_position = Component(Report, database.provided, "today")  # E
    connect_misnamed = Component(connect, settings.provided, attempts=3)  # E
    settings_misnamed = Component(Settings, "sqlite:", ports=80)  # E
    limits_misnamed = Component(Limits, orders=3, minutes=1)  # E
    database_twice = Component(Database, "sqlite:", url="sqlite:")  # E

    database_mistyped = Component(Database, 42)  # E
    report_mistyped = Component(Report, database.provided, limit="three")  # E
    connect_mistyped = Component(connect, settings.provided, retries="three")  # E
    settings_mistyped = Component(Settings, "sqlite:", port="80")  # E
    limits_mistyped = Component(Limits, "three")  # E
    store_mistyped = Component(Store[int], "tea")  # E
    door_mistyped = Component(Door, "eighty")  # E
    door_unit_mistyped = Component(Door, 80, "cm")  # E
    runner_mistyped = Component(Runner, pay)  # E
    runner_of_lambda = Component(Runner, lambda order: order.sku)  # E
    counter_mistyped = Component(Counter, database.provided, orders="three")  # E

    orders_of_settings = Component(Orders, settings.provided, bus.provided[order_placed])  # E
    report_of_settings = Component(Report, settings.provided)  # E
    connect_of_database = Component(connect, database.provided)  # E
    shelf_of_texts = Component(Shelf, store.provided)  # E
    runner_of_orders = Component(Runner, database.provided)  # E
    counter_of_settings = Component(Counter, database.provided, settings.provided)  # E
    many_of_settings = Component(Many, [database.provided, settings.provided], {})  # E
    many_named = Component(Many, [], {"settings": settings.provided})  # E
    database_of_port = Component(Database, settings.provided.port)  # E
    database_of_all = Component(Database, settings.provided)  # E

    orders_without_provided = Component(Orders, database, bus.provided[order_placed])  # E
    report_without_provided = Component(Report, database)  # E
    connect_without_provided = Component(connect, settings)  # E
    shelf_without_provided = Component(Shelf, store)  # E
    counter_without_provided = Component(Counter, database.provided, fake)  # E
    many_without_provided = Component(Many, [database], {})  # E

    orders_of_bus = Component(Orders, database.provided, placed=bus.provided)  # E
    orders_of_channel = Component(Orders, database.provided, placed=order_placed)  # E
    orders_of_other = Component(Orders, database.provided, placed=bus.provided[order_cancelled])  # E
    orders_of_prices = Component(Orders, database.provided, placed=bus.provided[price_changed])  # E
    orders_of_name = Component(Orders, database.provided, placed=bus.provided["order_placed"])  # E
    orders_of_index = Component(Orders, database.provided, placed=bus[order_placed])  # E

    attribute_typo = Component(Database, settings.provided.database_uri)  # E
    attribute_of_component = Component(Database, settings.database_url)  # E
    provided_typo = Component(Database, settings.provide.database_url)  # E

    nothing = Component()  # E
    number = Component(42)  # E
    instance = Component(Database("sqlite:"))  # E
    nothing_given = Component(None)  # E
    channel = Component(order_placed)  # E


def a_component_has_the_type_of_its_class(shop: Shop) -> None:
    _fake: Component[FakeDatabase] = Component(Database, "sqlite:")  # E
    _database: Component[Database] = shop.settings  # E
    _rows: Component[Rows] = Component(load_settings)  # E
    _call: Callable[[], Database] = shop.settings  # E
    _settings: Settings = shop.database()  # E
    _instance: Database = shop.database  # E
    shop.database(1)  # E
    shop.database().typo  # E
    shop.database.typo  # E
    shop.database.provided = Database("sqlite:")  # E


class Config(Container):
    url = providers.Object("sqlite:")
    number = providers.Object(42)
    settings = providers.Singleton(load_settings)
    database = Component(Database, provided(number))  # E
    connection = Component(connect, provided(url))  # E
    report = Component(Report, provided(settings))  # E
    without_provided = Component(Database, url)  # E
    attribute = Component(Database, provided(settings).port)  # E
    typo = Component(Database, provided(settings).database_uri)  # E
    nothing = Component(Database, provided())  # E
    value = Component(Database, provided("sqlite:"))  # E
    demanding = Component(Report, provided(connect))  # E
    later = Component(Report, lazy(settings))  # E
    function = Component(Report, Shop.database.lazy)  # E
    no_provider = Component(Report, lazy(number()))  # E
    may_be_none = Component(Report, Shop.database.optional)  # E


class Task(Protocol):
    def work(self) -> None: ...


class Tasks:
    def __init__(self, tasks: Sequence[Task]) -> None: ...


class Working(Container):
    other_kind = Component(Tasks, every(Database))  # E
    one = Component(Database, every(Task))  # E
    not_a_class = Component(Tasks, every("Task"))  # E
    nothing = Component(Tasks, every())  # E


class Chosen(Container):
    database = Component(Database, "memory:")
    settings = Component(Settings, "memory:")
    no_rows = Choice[Rows]("memory", {"memory": settings})  # E
    no_component = Choice[Rows]("memory", {"memory": Database("memory:")})  # E
    another_key = Choice[Rows](5, {"memory": database})  # E
    unhashable = Choice[Rows]([], {})  # E
