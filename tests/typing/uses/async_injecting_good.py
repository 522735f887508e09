"""Components that accept an async channel on a bus by its type."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, assert_type

from async_good import cancelled, counted, ended, placed, quoted, stock_low
from declared import Order, PaidReceipt, Receipt, RushOrder

from typedbus import AsyncBoundChannel, AsyncPublishes, AsyncSubscribes, Bus, Component, Container, Subscription


class StockLow(Protocol):
    async def __call__(self, sku: str, /, *, left: int = 0) -> None: ...


class StockLowNow(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0) -> None: ...


class StockLowEither(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0) -> Awaitable[None] | None: ...


class UrgentStockLow(StockLow, Protocol):
    """A protocol that inherits its signature."""


class SkuOnly(Protocol):
    async def __call__(self, sku: str, /) -> None: ...


class SkuAndLeft(Protocol):
    async def __call__(self, sku: str, /, *, left: int) -> None: ...


class Quoted(Protocol):
    async def __call__(self, sku: str, count: int = 1) -> float: ...


class QuotedByName(Protocol):
    async def __call__(self, *, sku: str) -> float: ...


class Counted(Protocol):
    async def __call__(self, *skus: str, **numbers: int) -> int: ...


class Ended(Protocol):
    async def __call__(self) -> None: ...


class Placed(Protocol):
    async def __call__(self, order: Order, /) -> Receipt: ...


class RushPlaced(Protocol):
    async def __call__(self, order: RushOrder, /) -> Receipt: ...


class AnyPlaced(Protocol):
    async def __call__(self, order: object, /) -> Receipt: ...


class PaidPlaced(Protocol):
    async def __call__(self, order: Order, /) -> PaidReceipt: ...


class Warehouse:
    def __init__(self, low: AsyncPublishes[StockLow]) -> None:
        self.low = low

    async def pick(self) -> None:
        assert_type(await self.low.publish("tea"), list[None])
        assert_type(await self.low.publish("tea", left=3), list[None])
        publish: Coroutine[Any, Any, list[None]] = self.low.publish("tea")
        await publish


class Buyer:
    def __init__(self, low: AsyncSubscribes[StockLow], *, priority: int = 50) -> None:
        self.low, self.priority = low, priority

    async def start(self) -> None:
        assert_type(self.low.subscribe(self.buy, priority=self.priority), Subscription)
        self.low.subscribe(self.buy_anyhow)

    async def stop(self) -> None:
        self.low.unsubscribe(self.buy)

    async def buy(self, sku: str, /, *, left: int = 0) -> None: ...

    async def buy_anyhow(self, sku: object, left: float = 0, more: int = 1) -> None: ...


class Counter:
    def __init__(self, low: AsyncSubscribes[StockLowNow], either: AsyncSubscribes[StockLowEither]) -> None:
        low.subscribe(self.count)
        either.subscribe(self.count)
        either.subscribe(self.count_later)

        @low.subscribe(priority=3)
        def note(sku: str, /, *, left: int = 0) -> None: ...

        @either.subscribe(priority=3)
        async def note_later(sku: str, /, *, left: int = 0) -> None: ...

        print(note, note_later)

    def count(self, sku: str, /, *, left: int = 0) -> None: ...

    async def count_later(self, sku: str, /, *, left: int = 0) -> None: ...


class Desk:
    def __init__(self, rush: AsyncPublishes[RushPlaced], low: AsyncPublishes[SkuOnly] | None = None) -> None:
        self.rush = rush


class Several:
    lows: dict[str, AsyncPublishes[StockLow]]

    def __init__(self, lows: list[AsyncPublishes[StockLow]], heard: dict[str, AsyncSubscribes[StockLow]]) -> None:
        self.lows = {"first": lows[0]}


@dataclass(frozen=True)
class Clerk:
    placed: AsyncPublishes[Placed]
    ended: AsyncBoundChannel[[], None]
    quotes: AsyncSubscribes[Quoted]


def low_of(bus: Bus) -> AsyncPublishes[StockLow]:
    return bus[stock_low]


class Infra(Container):
    bus = Component(Bus)
    low = Component(low_of, bus.provided)


class Shop(Container):
    infra = Infra()
    warehouse = Component(Warehouse, infra.bus.provided[stock_low])
    other = Component(Warehouse, infra.low.provided)
    buyer = Component(Buyer, low=infra.bus.provided[stock_low], priority=3)
    counter = Component(Counter, infra.bus.provided[stock_low], infra.bus.provided[stock_low])
    desk = Component(Desk, infra.bus.provided[placed], infra.bus.provided[stock_low])
    several = Component(Several, [infra.bus.provided[stock_low]], {"first": infra.bus.provided[stock_low]})
    clerk = Component(Clerk, infra.bus.provided[placed], infra.bus.provided[ended], quotes=infra.bus.provided[quoted])


def components_are_constructed_directly(bus: Bus) -> None:
    assert_type(Warehouse(bus[stock_low]).low, AsyncPublishes[StockLow])
    Buyer(bus[stock_low])
    Counter(bus[stock_low], bus[stock_low])
    Desk(bus[placed], bus[stock_low])
    Several([bus[stock_low], bus[stock_low]], {"first": bus[stock_low]})
    Clerk(placed=bus[placed], ended=bus[ended], quotes=bus[quoted])


async def every_kind_of_parameter_is_published(bus: Bus) -> None:
    asks: AsyncPublishes[Quoted] = bus[quoted]
    assert_type(await asks.publish("tea"), list[float])
    await asks.publish("tea", 3)
    await asks.publish(count=3, sku="tea")
    counts: AsyncPublishes[Counted] = bus[counted]
    assert_type(await counts.publish("tea", "milk", left=3), list[int])
    ends: AsyncPublishes[Ended] = bus[ended]
    await ends.publish()
    by_callable: AsyncPublishes[Callable[[], Awaitable[None]]] = bus[ended]
    assert_type(await by_callable.publish(), list[None])
    inherited: AsyncPublishes[UrgentStockLow] = bus[stock_low]
    await inherited.publish("tea", left=3)


async def a_component_can_publish_narrower_arguments(bus: Bus, order: RushOrder) -> None:
    rush: AsyncPublishes[RushPlaced] = bus[placed]
    assert_type(await rush.publish(order), list[Receipt])
    sku_only: AsyncPublishes[SkuOnly] = bus[stock_low]
    await sku_only.publish("tea")
    always: AsyncPublishes[SkuAndLeft] = bus[stock_low]
    await always.publish("tea", left=3)
    by_name: AsyncPublishes[QuotedByName] = bus[quoted]
    await by_name.publish(sku="tea")
    cancels: AsyncPublishes[Callable[[RushOrder], Awaitable[None]]] = bus[cancelled]
    await cancels.publish(order)
    answered: AsyncPublishes[Callable[[Order], Awaitable[object]]] = bus[placed]
    await answered.publish(order)


def a_component_can_accept_more_than_is_published(bus: Bus) -> None:
    wider: AsyncSubscribes[AnyPlaced] = bus[placed]
    paid: AsyncSubscribes[PaidPlaced] = bus[placed]
    by_callable: AsyncSubscribes[Callable[[Order], Awaitable[Receipt]]] = bus[placed]
    now: AsyncSubscribes[Callable[[Order], Receipt]] = bus[placed]
    print(wider, paid, by_callable, now)


def faces_may_be_narrowed(low: AsyncPublishes[StockLow]) -> None:
    narrower: AsyncPublishes[SkuOnly] = low
    print(narrower)
