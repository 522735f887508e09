"""Valid declarations of components."""

import abc
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, assert_type

from declared import (
    Database,
    Door,
    FakeDatabase,
    Limits,
    Order,
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
)
from dependency_injector import providers

from typedbus import BoundChannel, Bus, Choice, Component, Container, every, lazy, provided
from typedbus.testing import FakeClock


class Counter:
    def __init__(self, *rows: Rows, **limits: int) -> None:
        self.rows = rows


class Announcer:
    def __init__(self, cancelled: BoundChannel[[Order], None], bus: Bus | None = None) -> None:
        self.cancelled = cancelled


class Stock:
    def __init__(self, counts: dict[str, int], names: list[str], database: Database | None) -> None:
        self.counts = counts


class Many:
    def __init__(self, databases: list[Database], named: dict[str, Rows], pair: tuple[Database, Rows]) -> None:
        self.databases = databases


def make_store(first: int, *more: int) -> Store[int]:
    return Store(first, *more)


def pay(order: Order) -> Receipt:
    return Receipt(1)


class Shop(Container):
    bus = Component(Bus)
    bus_of_clock = Component(Bus, clock=FakeClock())
    settings = Component(load_settings)
    database = Component(Database, settings.provided.database_url)
    named = Component(Database, url="sqlite:")
    fake = Component(FakeDatabase)
    connected = Component(connect, settings.provided, retries=settings.provided.port)
    orders = Component(Orders, database.provided, placed=bus.provided[order_placed])
    orders_of_fake = Component(Orders, fake.provided, bus.provided[order_placed])
    announcer = Component(Announcer, bus.provided[order_cancelled])
    announcer_with_bus = Component(Announcer, bus.provided[order_cancelled], bus.provided)
    report = Component(Report, database.provided)
    report_with_title = Component(Report, database.provided, title="today", limit=3)
    literal = Component(Settings, "sqlite:", port=80)
    limits = Component(Limits, orders=3)
    limits_of_settings = Component(Limits, settings.provided.port, seconds=0.5)
    store = Component(Store[int], 1, 2)
    guessed = Component(Store, 1, 2)
    made = Component(make_store, 1)
    shelf = Component(Shelf, store.provided)
    shelf_made = Component(Shelf, made.provided)
    shelf_guessed = Component(Shelf, guessed.provided)
    item = Component(Store[str], settings.provided.database_url)
    door = Component(Door, 80)
    door_with_unit = Component(Door, "eighty", "cm")
    counter = Component(Counter, database.provided, fake.provided, orders=3)
    stock = Component(Stock, {"tea": 3}, ["tea"], None)
    stock_of = Component(Stock, {}, [settings.provided.database_url], database.provided)
    many = Component(Many, [database.provided, fake.provided], {"a": fake.provided}, (fake.provided, fake.provided))
    runner = Component(Runner, pay)
    runner_of_lambda = Component(Runner, lambda order: Receipt(len(order.sku)))
    made_by_lambda = Component(lambda: Settings("sqlite:"))
    attribute = Component(Store[int], store.provided.items[0])


def a_component_returns_its_class(shop: Shop) -> None:
    assert_type(shop.bus(), Bus)
    assert_type(shop.settings(), Settings)
    assert_type(shop.database(), Database)
    assert_type(shop.connected(), Database)
    assert_type(shop.orders(), Orders)
    assert_type(shop.store(), Store[int])
    assert_type(shop.guessed(), Store[int])
    assert_type(shop.made(), Store[int])
    assert_type(shop.store().first(), int)
    assert_type(shop.limits(), Limits)
    assert_type(shop.literal(), Settings)
    assert_type(shop.door(), Door)
    assert_type(shop.made_by_lambda(), Settings)
    assert_type(shop.orders, Component[Orders])


def provided_has_the_type_of_the_component() -> None:
    assert_type(Shop.database.provided, Database)
    assert_type(Shop.settings.provided.port, int)
    assert_type(Shop.bus.provided[order_placed], BoundChannel[[Order], Receipt])
    assert_type(Shop.store.provided.items[0], int)


def a_component_of_a_subclass_is_a_component_of_its_base(shop: Shop) -> None:
    rows: Component[Rows] = shop.fake
    _database: Component[Database] = shop.fake
    _anything: Component[object] = rows
    _call: Callable[[], Rows] = shop.fake


class Config(Container):
    """Plain providers of the library have their place."""

    url = providers.Object("sqlite:")
    fake = providers.Singleton(FakeDatabase)
    rows = providers.Factory(FakeDatabase)
    config = providers.Configuration()
    database = Component(Database, provided(url))
    report = Component(Report, provided(fake), limit=provided(providers.Callable(len, "tea")))
    configured = Component(Database, provided(config.url.as_(str)))
    limited = Component(Limits, provided(config.orders.as_int()))


def a_plain_provider_is_typed() -> None:
    assert_type(provided(providers.Object("sqlite:")), str)
    assert_type(provided(Config.fake), FakeDatabase)
    assert_type(provided(load_settings), Settings)
    assert_type(provided(Component(FakeDatabase)), FakeDatabase)


class Later:
    def __init__(self, database: Callable[[], Database], rows: Callable[[], Rows]) -> None:
        self.database = database


class Lazily(Container):
    database = Component(Database, "memory:")
    session = providers.ThreadLocalSingleton(Database, "memory:")
    both = Component(Later, database.lazy, rows=database.lazy)
    library = Component(Later, lazy(session), lazy(database))


def a_lazy_component_is_a_function(shop: Lazily) -> None:
    assert_type(Lazily.database.lazy, Callable[[], Database])
    assert_type(lazy(Lazily.database), Callable[[], Database])
    assert_type(shop.both().database(), Database)


def an_optional_component_can_be_none(shop: Lazily) -> None:
    database = Lazily.database.optional
    assert_type(database, Database | None)
    Component(load_optional, Lazily.database.optional)


def load_optional(database: Database | None) -> Settings:
    return Settings("memory:")


class Named(Protocol):
    def name(self) -> str: ...


class Task(abc.ABC):
    @abc.abstractmethod
    def work(self) -> None: ...


class Tasks:
    def __init__(self, tasks: Sequence[Task], named: Iterable[Named] = (), stores: Sequence[Store[int]] = ()) -> None:
        self.tasks = tasks


class Working(Container):
    tasks = Component(Tasks, every(Task), every(Named), every(Store[int]))
    by_name = Component(Tasks, named=every(Named), tasks=every(Task))


class Chosen(Container):
    database = Component(Database, "memory:")
    fake = Component(FakeDatabase)
    rows = Choice[Rows]("memory", {"memory": database, "fake": fake})
    flag = Choice[Database](True, {True: database, False: fake})


def a_choice_is_a_component(chosen: Chosen) -> None:
    assert_type(chosen.rows(), Rows)
    assert_type(Chosen.rows.provided, Rows)
    _component: Component[Rows] = chosen.rows
