"""Declarations that the other files of this folder use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, overload

import attrs

from typedbus import BoundChannel, Bus, Channel, Component, Container, Contributed, on

Item = TypeVar("Item")


@attrs.frozen
class Order:
    sku: str


class RushOrder(Order):
    """An order for today."""


@attrs.frozen
class Receipt:
    number: int


class PaidReceipt(Receipt):
    """A receipt for an order that is paid."""


order_placed = Channel[[Order], Receipt]("order_placed")
order_cancelled = Channel[[Order]]("order_cancelled")
price_changed = Channel[[str, int], None]("price_changed")
closed = Channel[[], None]("closed")


@Channel.declare
def stock_low(sku: str, /, *, left: int = 0) -> None:
    """Fewer than the reorder level are left of `sku`."""


@Channel.declare
def quoted(sku: str, count: int = 1) -> float:
    """Somebody asks for the price of `sku`."""
    return 0.0


@Channel.declare
def stocked(sku: str, /, *, count: int) -> None:
    """There are `count` more of `sku`."""


@Channel.declare
def audited(*parts: str, **numbers: int) -> None:
    """Something happened that an auditor may want to know."""


class Database:
    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self) -> list[str]:
        return [self.url]


class FakeDatabase(Database):
    def __init__(self) -> None:
        super().__init__("memory:")


class Rows(Protocol):
    def rows(self) -> list[str]: ...


class Orders:
    def __init__(self, database: Database, placed: BoundChannel[[Order], Receipt]) -> None:
        self.database, self.placed = database, placed

    @on(order_placed)
    def bill(self, order: Order, /) -> Receipt:
        return Receipt(1)


class Report:
    def __init__(self, rows: Rows, *, title: str = "", limit: int = 10) -> None:
        self.rows = rows


class Store(Generic[Item]):
    def __init__(self, *items: Item) -> None:
        self.items = items

    def first(self) -> Item:
        return self.items[0]


class Shelf:
    def __init__(self, store: Store[int]) -> None:
        self.store = store


@dataclass(frozen=True)
class Settings:
    database_url: str
    port: int = 80


@dataclass(frozen=True)
class Switches:
    metrics: bool = False
    port: int = 80
    name: str | None = None


class Pump:
    def start(self) -> None: ...


@attrs.frozen
class Limits:
    orders: int
    seconds: float = 1.0


def load_settings() -> Settings:
    return Settings("sqlite:")


def connect(settings: Settings, *, retries: int = 3) -> Database:
    return Database(settings.database_url)


class Door:
    @overload
    def __init__(self, width: int) -> None: ...
    @overload
    def __init__(self, width: str, unit: str) -> None: ...
    def __init__(self, width: int | str, unit: str = "cm") -> None:
        self.width = width


class Runner:
    def __init__(self, task: Callable[[Order], Receipt]) -> None:
        self.task = task


class Infra(Container):
    settings = Component(load_settings)
    database = Component(Database, settings.provided.database_url)


class Shop(Container):
    bus = Component(Bus)
    infra = Infra()
    orders = Component(Orders, infra.database.provided, placed=bus.provided[order_placed])
    report = Component(Report, infra.database.provided, title="today")


class Metrics(Container):
    bus = Component(Bus)
    switches = Component(Switches)
    pump = Component(Pump).enabled(switches.provided.metrics, reason="metrics = false")
    plugins = Contributed("metrics.plugins")
