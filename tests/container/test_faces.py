"""`Publishes` and `Subscribes`: a channel with named parameters, injected by its type, and what `validate()` reports."""

from __future__ import annotations

import copy
import typing
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, overload

import pytest

from typedbus import (
    START,
    BoundChannel,
    Bus,
    Channel,
    Component,
    Container,
    InvalidContainer,
    Publishes,
    Subscribes,
    running,
)
from typedbus.faults import TypeFault

Item_contra = TypeVar("Item_contra", contravariant=True)


class Order:
    """An order."""


class Rush(Order):
    """A kind of order."""


class Receipt:
    """The answer to an order."""


order_placed = Channel[[Order], Receipt]("order_placed")
price_changed = Channel[[str, int], None]("price_changed")
unknown: Channel[[str], None] = Channel("unknown")


@Channel.declare
def stock_low(sku: str, /, *, left: int = 0) -> None:
    """Fewer than the reorder level are left."""


@Channel.declare
def quoted(sku: str, count: int = 1) -> float:
    """A customer asks for a price."""
    return 0.0


@Channel.declare
def stocked(sku: str, /, *, count: int) -> None:
    """There are more."""


@Channel.declare
def audited(*parts: str, **numbers: int) -> None:
    """Something happened that an auditor may want to know."""


class StockLow(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0) -> None: ...


class Derived(StockLow, Protocol):
    """A protocol that inherits its signature."""


class Placed(Protocol):
    def __call__(self, order: Order, /) -> Receipt: ...


class RushPlaced(Protocol):
    def __call__(self, order: Rush, /) -> Receipt: ...


class AnyPlaced(Protocol):
    def __call__(self, order: object, /) -> Receipt: ...


class Priced(Protocol):
    def __call__(self, name: str, price: int, /) -> None: ...


class Quoted(Protocol):
    def __call__(self, sku: str, count: int = 1) -> float: ...


class QuotedByName(Protocol):
    def __call__(self, *, sku: str) -> float: ...


class Swapped(Protocol):
    def __call__(self, count: int, sku: str) -> float: ...


class Stocked(Protocol):
    def __call__(self, sku: str, /, *, count: int) -> None: ...


class Audited(Protocol):
    def __call__(self, *parts: str, **numbers: int) -> None: ...


class Nothing(Protocol):
    def __call__(self) -> None: ...


class SkuOnly(Protocol):
    def __call__(self, sku: str, /) -> None: ...


class Renamed(Protocol):
    def __call__(self, sku: str, /, *, remaining: int = 0) -> None: ...


class Retyped(Protocol):
    def __call__(self, sku: str, /, *, left: str = "") -> None: ...


class Demanding(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0, shop: str) -> None: ...


class Answering(Protocol):
    def __call__(self, sku: str, /, *, left: int = 0) -> str: ...


class About(Protocol[Item_contra]):
    def __call__(self, item: Item_contra, /) -> None: ...


class Unresolved(Protocol):
    def __call__(self, sku: Unimportable, /) -> None: ...  # type: ignore[name-defined]  # noqa: F821


class Unannotated(Protocol):
    def __call__(self, sku, /, **others): ...  # type: ignore[no-untyped-def]


class Several(Protocol):
    @overload
    def __call__(self, sku: str, /) -> None: ...
    @overload
    def __call__(self, sku: int, /) -> None: ...
    def __call__(self, sku: Any, /) -> None: ...


class NoCall(Protocol):
    def close(self) -> None: ...


class Listening(Generic[Item_contra]):
    def __call__(self, sku: str, /, *, left: int = 0) -> None:
        """Listen."""


ListenerAlias: typing.TypeAlias = Callable[[str, int], None]

bus = Component(Bus)

FITTING: list[tuple[Any, Channel[..., Any]]] = [
    (Publishes[StockLow], stock_low),
    (Publishes[Derived], stock_low),
    (Publishes[SkuOnly], stock_low),
    (Publishes[Renamed], stock_low),  # a component may leave out what is optional
    (Publishes[Stocked], stocked),
    (Publishes[Quoted], quoted),
    (Publishes[QuotedByName], quoted),
    (Publishes[Swapped], quoted),  # by name
    (Publishes[Audited], audited),
    (Publishes[StockLow], audited),
    (Publishes[Nothing], audited),
    (Publishes[Nothing], START),
    (Publishes[Placed], order_placed),
    (Publishes[RushPlaced], order_placed),
    (Publishes[AnyPlaced], order_placed),
    (Publishes[Priced], price_changed),
    (Publishes[Priced], unknown),
    (Publishes[ListenerAlias], price_changed),
    (Publishes[Callable[[Order], Receipt]], order_placed),
    (Publishes[Callable[..., Any]], order_placed),
    (Publishes[Callable], order_placed),  # type: ignore[type-arg]
    (Publishes[About[Order]], order_placed_quietly := Channel[[Order], None]("quietly")),
    (Publishes[Unresolved], stock_low),
    (Publishes[Unannotated], stock_low),
    (Publishes[Several], stock_low),
    (Publishes[NoCall], stock_low),  # type: ignore[type-var]
    (Publishes["NotThere"], stock_low),  # type: ignore[name-defined]  # noqa: F821
    (Publishes, stock_low),
    (Publishes[StockLow] | None, stock_low),
    (list[Publishes[StockLow]], stock_low),
    (Subscribes[StockLow], stock_low),
    (Subscribes[Derived], stock_low),
    (Subscribes[Listening[int]], stock_low),
    (Subscribes[Quoted], quoted),
    (Subscribes[Swapped], quoted),
    (Subscribes[Audited], audited),
    (Subscribes[Audited], stock_low),
    (Subscribes[Placed], order_placed),
    (Subscribes[RushPlaced], order_placed),
    (Subscribes[AnyPlaced], order_placed),
    (Subscribes[About[object]], order_placed_quietly),
    (Subscribes[Callable[[str, int], None]], price_changed),
    (Subscribes[Priced], unknown),
    (Subscribes[Unannotated], stock_low),
    (Subscribes[Several], sold := Channel[[str], None]("sold")),
    (Subscribes, stock_low),
]

MISFITS: list[tuple[Any, Channel[..., Any]]] = [
    (Publishes[StockLow], quoted),
    (Publishes[StockLow], START),
    (Publishes[StockLow], stocked),
    (Publishes[Retyped], stock_low),
    (Publishes[Demanding], stock_low),
    (Publishes[Answering], stock_low),
    (Publishes[Nothing], stock_low),
    (Publishes[Placed], stock_low),
    (Publishes[Placed], order_placed_quietly),
    (Publishes[Priced], order_placed),
    (Publishes[Callable[[int], Receipt]], order_placed),
    (Publishes[Callable[[Order, Order], Receipt]], order_placed),
    (Publishes[About[Order]], price_changed),
    (Publishes[StockLow] | None, START),
    (list[Publishes[StockLow]], START),
    (Subscribes[SkuOnly], stock_low),
    (Subscribes[Renamed], stock_low),
    (Subscribes[Retyped], stock_low),
    (Subscribes[Demanding], stock_low),
    (Subscribes[Answering], stock_low),
    (Subscribes[Nothing], stock_low),
    (Subscribes[StockLow], START),
    (Subscribes[QuotedByName], quoted),
    (Subscribes[Placed], stock_low),
    (Subscribes[Callable[[str], None]], price_changed),
]


def faults_of(annotation: Any, argument: Any) -> list[TypeFault]:
    """Return the faults that `validate()` reports for a component with a parameter of type *wanted* and the argument *given*."""

    def take(low: Any) -> None:
        """Take it."""

    take.__annotations__["low"] = annotation
    shop: Any = type("Shop", (Container,), {"bus": bus, "part": Component(take, argument)})
    try:
        shop().validate()
    except InvalidContainer as invalid:
        return [fault for fault in invalid.exceptions if isinstance(fault, TypeFault)]
    return []


def handed(annotation: Any, channel: Channel[..., Any]) -> Any:
    """Return *channel* as an argument for a parameter of type *wanted*."""
    provided: Any = bus.provided[channel]
    return [provided] if typing.get_origin(annotation) is list else provided


@pytest.mark.parametrize(("wanted", "channel"), FITTING, ids=str)
def test_a_channel_that_may_match_is_accepted(wanted: Any, channel: Channel[..., Any]) -> None:
    """Only certain mismatches are faults."""
    assert faults_of(wanted, handed(wanted, channel)) == []


@pytest.mark.parametrize(("wanted", "channel"), MISFITS, ids=str)
def test_a_channel_that_cannot_match_is_a_fault(wanted: Any, channel: Channel[..., Any]) -> None:
    """Either no publish could reach a listener, or one type is unrelated to the other."""
    (fault,) = faults_of(wanted, handed(wanted, channel))

    assert "takes 'low' as " in fault.problem


@pytest.mark.parametrize("argument", [bus.provided, stock_low, 3])
def test_an_argument_that_is_not_a_bound_channel_is_a_fault(argument: Any) -> None:
    """Neither a bus nor an unbound channel has the methods of the interface."""
    assert len(faults_of(Publishes[StockLow], argument)) == 1
    assert len(faults_of(Subscribes[Callable[..., Any]], argument)) == 1


def test_the_fault_shows_both_signatures() -> None:
    """The signature that the component requires, and that of the channel."""
    (fault,) = faults_of(Publishes[Retyped], bus.provided[stock_low])

    assert fault.problem.replace(f"{__name__}.", "").partition(" takes ")[2] == (
        "'low' as Publishes[Retyped], which is called with (sku: str, /, *, left: str = '') -> None, "
        "and is given channel 'stock_low', which is called with (sku: str, /, *, left: int = 0) -> None "
        "(Shop.bus[<Channel 'stock_low'>])"
    )


class Warehouse:
    def __init__(self, low: Publishes[StockLow]) -> None:
        self.low = low


class Buyer:
    def __init__(self, channels: list[Subscribes[StockLow]]) -> None:
        self.channels = channels
        self.bought: list[tuple[str, int]] = []

    def start(self) -> None:
        for channel in self.channels:
            channel.subscribe(self.buy)

    def stop(self) -> None:
        for channel in self.channels:
            channel.unsubscribe(self.buy)

    def buy(self, sku: str, /, *, left: int = 0) -> None:
        self.bought.append((sku, left))


class Shop(Container):
    bus = Component(Bus)
    warehouse = Component(Warehouse, bus.provided[stock_low])
    buyer = Component(Buyer, [bus.provided[stock_low]])


class Mistaken(Container):
    bus = Component(Bus)
    warehouse = Component(Warehouse, bus.provided[quoted])  # type: ignore[arg-type]
    buyer = Component(Buyer, [bus.provided[stocked]])  # type: ignore[list-item]


def test_annotations_of_constructors_are_read() -> None:
    """They are strings in this module, as in every module that postpones the evaluation of annotations."""
    with pytest.raises(InvalidContainer) as raised:
        Mistaken().validate()

    faults = [fault for fault in raised.value.exceptions if isinstance(fault, TypeFault)]
    assert {fault.path for fault in faults} == {"Mistaken.warehouse", "Mistaken.buyer"}


def low_of(bus: Bus) -> Publishes[StockLow]:
    return bus[stock_low]


class Infra(Container):
    bus = Component(Bus)
    low = Component(low_of, bus.provided)


class Site(Container):
    infra = Infra()
    other = Component(Warehouse, infra.low.provided)
    warehouse = Component(Warehouse, infra.bus.provided[stock_low])


def test_publishers_and_subscribers_may_come_from_any_component() -> None:
    """From the bus of a nested container, or from a function that returns one."""
    with running(Site()) as site:
        assert site.warehouse().low is site.other().low


def test_a_protocol_that_cannot_be_resolved_is_not_a_fault() -> None:
    """The protocol is local to a function, and the annotation is a string."""

    class Local(Protocol):
        def __call__(self, price: float, /) -> None: ...

    def take(low: Publishes[Local]) -> None:
        """Take it."""

    container: Any = type("Shop", (Container,), {"bus": bus, "part": Component(take, bus.provided[stock_low])})  # type: ignore[arg-type]
    container().validate()


def test_components_publish_and_subscribe_through_the_interfaces() -> None:
    """One component depends on `Publishes` alone, the other on `Subscribes` alone."""
    with running(Shop()) as shop:
        assert shop.warehouse().low.publish("tea", left=2) == [None]
        assert shop.warehouse().low.publish("tea") == [None]
        assert shop.warehouse().low is shop.bus()[stock_low]
        buyer = shop.buyer()
        low = shop.bus()[stock_low]

    assert buyer.bought == [("tea", 2), ("tea", 0)]
    assert low.subscriptions == ()


def test_subscribe_works_as_a_decorator() -> None:
    """It returns the function unchanged."""
    low: Subscribes[StockLow] = Bus()[stock_low]

    @low.subscribe(priority=5)
    def note(sku: str, /, *, left: int = 0) -> None:
        """Take note."""

    (subscription,) = typing.cast("BoundChannel[..., Any]", low).subscriptions
    assert (subscription.listener, subscription.priority) == (note, 5)


@pytest.mark.parametrize("channel", [stock_low, order_placed, unknown, START])
def test_every_bound_channel_implements_both_interfaces(channel: Channel[..., Any]) -> None:
    """The way of its declaration does not matter."""
    bound = Bus()[channel]

    assert isinstance(bound, Publishes)
    assert isinstance(bound, Subscribes)


def test_a_bound_channel_has_its_own_publish_method() -> None:
    """The interface adds no call to a publish."""
    bound = Bus()[stock_low]

    assert "publish" in vars(type(bound))
    assert not hasattr(bound, "__dict__")


def test_the_type_arguments_of_an_interface_are_kept() -> None:
    """The third type parameter of channels is for type checkers alone."""
    assert typing.get_args(BoundChannel[[int], str]) == ((int,), str)
    assert typing.get_args(BoundChannel[[int]]) == ((int,), None)
    assert typing.get_args(Channel[[int], str]) == ((int,), str)
    assert typing.get_args(BoundChannel[..., None]) == (..., type(None))
    assert str(Channel[[int], str]("made").signature()) == "(arg0: int, /) -> str"
    assert str(Channel[[int]]("made").signature()) == "(arg0: int, /) -> None"
    assert str(Channel[[], str]("made").signature()) == "() -> str"
    assert Channel[..., Any]("made").signature() is None


def test_a_parametrised_interface_can_be_copied() -> None:
    """Dataclasses copy the annotations of their fields."""
    assert copy.deepcopy(Publishes[StockLow]) == Publishes[StockLow]
    assert typing.get_args(Publishes[StockLow]) == (StockLow,)
