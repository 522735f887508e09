"""`AsyncPublishes` and `AsyncSubscribes`: an async channel injected by its type, and what `validate()` reports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import pytest
from tests.container.test_faces import StockLow as SyncStockLow
from tests.container.test_faces import bus, faults_of

from typedbus import (
    AsyncChannel,
    AsyncPublishes,
    AsyncSubscribes,
    Bus,
    Channel,
    Component,
    Container,
    Publishes,
    Subscribes,
    running,
)

ended = AsyncChannel[[], None]("ended")
priced = AsyncChannel[[str], float]("priced", concurrent=True)
sync_ended = Channel[[], None]("sync_ended")
awaited_by_hand = Channel[[str], Awaitable[float]]("awaited_by_hand")


@AsyncChannel.declare
async def stock_low(sku: str, /, *, left: int = 0) -> None:
    """Fewer than the reorder level are left."""


@AsyncChannel.declare
def quoted(sku: str, count: int = 1) -> float:
    """A customer asks for a price."""
    return 0.0


class StockLow(Protocol):
    async def __call__(self, sku: str, /, *, left: int = 0) -> None: ...


class StockLowNow(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0) -> None: ...


class StockLowEither(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0) -> Awaitable[None] | None: ...


class SkuOnly(Protocol):
    async def __call__(self, sku: str, /) -> None: ...


class Retyped(Protocol):
    async def __call__(self, sku: str, /, *, left: str = "") -> None: ...


class Answering(Protocol):
    async def __call__(self, sku: str, /, *, left: int = 0) -> str: ...


class AnsweringLater(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0) -> Awaitable[str]: ...


class Quoted(Protocol):
    async def __call__(self, sku: str, count: int = 1) -> float: ...


class QuotedLater(Protocol):
    def __call__(self, sku: str, count: int = 1) -> Coroutine[Any, Any, float]: ...


FITTING: list[tuple[Any, AsyncChannel[..., Any]]] = [
    (AsyncPublishes[StockLow], stock_low),
    (AsyncPublishes[StockLowEither], stock_low),
    (AsyncPublishes[SkuOnly], stock_low),
    (AsyncPublishes[Quoted], quoted),
    (AsyncPublishes[QuotedLater], quoted),
    (AsyncPublishes[Callable[[], Awaitable[None]]], ended),
    (AsyncPublishes[Callable[[str], Awaitable[float]]], priced),
    (AsyncPublishes[Callable[[str], Awaitable]], priced),  # type: ignore[type-arg]
    (AsyncPublishes, stock_low),
    (AsyncSubscribes[StockLow], stock_low),
    (AsyncSubscribes[StockLowNow], stock_low),
    (AsyncSubscribes[StockLowEither], stock_low),
    (AsyncSubscribes[QuotedLater], quoted),
    (AsyncSubscribes[Callable[[], None]], ended),
]

MISFITS: list[tuple[Any, AsyncChannel[..., Any] | Channel[..., Any]]] = [
    (AsyncPublishes[StockLow], quoted),
    (AsyncPublishes[StockLow], ended),
    (AsyncPublishes[Retyped], stock_low),
    (AsyncPublishes[Answering], stock_low),
    (AsyncPublishes[AnsweringLater], stock_low),
    (AsyncPublishes[Callable[[str], Awaitable[None]]], priced),
    (AsyncPublishes[Callable[[], Awaitable[None]]], sync_ended),
    (AsyncPublishes[Callable[[str], Awaitable[float]]], awaited_by_hand),
    (AsyncSubscribes[SkuOnly], stock_low),
    (AsyncSubscribes[Answering], stock_low),
    (AsyncSubscribes[StockLowEither], priced),
    (AsyncSubscribes[Callable[[], None]], sync_ended),
    (Publishes[StockLowNow], stock_low),
    (Publishes[SyncStockLow], stock_low),
    (Subscribes[StockLow], stock_low),
]


@pytest.mark.parametrize(("wanted", "channel"), FITTING, ids=str)
def test_an_async_channel_that_may_match_is_accepted(wanted: Any, channel: AsyncChannel[..., Any]) -> None:
    """The result of an async listener is compared with that of the channel when it has been awaited."""
    assert faults_of(wanted, bus.provided[channel]) == []


@pytest.mark.parametrize(("wanted", "channel"), MISFITS, ids=str)
def test_a_channel_that_cannot_match_is_a_fault(
    wanted: Any, channel: AsyncChannel[..., Any] | Channel[..., Any]
) -> None:
    """Its parameters or its result are unrelated, or a publish is awaited where the component does not await it."""
    argument: Any = bus.provided
    (fault,) = faults_of(wanted, argument[channel])

    assert "takes 'low' as " in fault.problem


def test_the_fault_shows_both_signatures() -> None:
    """The signature that the component requires, and that of the channel."""
    (fault,) = faults_of(AsyncPublishes[Retyped], bus.provided[stock_low])

    assert fault.problem.replace(f"{__name__}.", "").partition(" takes ")[2] == (
        "'low' as AsyncPublishes[Retyped], which is called with (sku: str, /, *, left: str = '') -> None, "
        "and is given channel 'stock_low', which is called with (sku: str, /, *, left: int = 0) -> None "
        "(Shop.bus[<AsyncChannel 'stock_low'>])"
    )


class Warehouse:
    def __init__(self, low: AsyncPublishes[StockLow]) -> None:
        self.low = low


class Buyer:
    def __init__(self, low: AsyncSubscribes[StockLow]) -> None:
        self.low = low
        self.bought: list[tuple[str, int]] = []

    async def start(self) -> None:
        self.low.subscribe(self.buy)

    async def stop(self) -> None:
        self.low.unsubscribe(self.buy)

    async def buy(self, sku: str, /, *, left: int = 0) -> None:
        self.bought.append((sku, left))


class Shop(Container):
    bus = Component(Bus)
    warehouse = Component(Warehouse, bus.provided[stock_low])
    buyer = Component(Buyer, bus.provided[stock_low])


def test_components_publish_and_subscribe_through_the_interfaces() -> None:
    """One component depends on `AsyncPublishes` alone, the other on `AsyncSubscribes` alone."""
    with running(Shop()) as shop:
        assert asyncio.run(shop.warehouse().low.publish("tea", left=2)) == [None]
        assert shop.warehouse().low is shop.bus()[stock_low]
        buyer, low = shop.buyer(), shop.bus()[stock_low]

    assert buyer.bought == [("tea", 2)]
    assert low.subscriptions == ()


def test_every_async_bound_channel_implements_both_interfaces() -> None:
    """Sequential or concurrent; and neither of the interfaces of sync channels."""
    for bound in (Bus()[stock_low], Bus()[priced]):
        assert isinstance(bound, AsyncPublishes)
        assert isinstance(bound, AsyncSubscribes)
        assert not isinstance(bound, (Publishes, Subscribes))


def test_an_async_bound_channel_has_its_own_publish_method() -> None:
    """The interface adds no call to a publish."""
    bound = Bus()[stock_low]

    assert "publish" in vars(type(bound))
    assert not hasattr(bound, "__dict__")
