"""Valid calls of publish, and the types of their results."""

from typing import Any, Generic, ParamSpec, Protocol, TypeVar, assert_type

from declared import (
    Order,
    PaidReceipt,
    Receipt,
    RushOrder,
    audited,
    closed,
    order_cancelled,
    order_placed,
    price_changed,
    quoted,
    stock_low,
    stocked,
)

from typedbus import LOG, START, BoundChannel, Bus, Channel, Subscription, on
from typedbus.types import AnyChannel, Hook, HookResult

Args = ParamSpec("Args")
Result = TypeVar("Result")


def a_publish_returns_a_list_of_results(bus: Bus, order: Order) -> None:
    assert_type(bus[order_placed], BoundChannel[[Order], Receipt])
    assert_type(bus[order_placed].publish(order), list[Receipt])
    assert_type(bus.publish(order_placed, order), list[Receipt])
    assert_type(bus[price_changed].publish("tea", 4), list[None])
    assert_type(bus.publish(quoted, "tea"), list[float])


def an_instance_of_a_subclass_can_be_published(bus: Bus, order: RushOrder) -> None:
    bus[order_placed].publish(order)
    bus.publish(order_placed, order)


def a_channel_without_parameters_is_published_without_arguments(bus: Bus) -> None:
    assert_type(bus[closed].publish(), list[None])
    assert_type(bus.publish(START), list[HookResult])


def a_channel_without_a_result_type_returns_none(bus: Bus, order: Order) -> None:
    assert_type(order_cancelled, Channel[[Order], None])
    assert_type(bus[order_cancelled].publish(order), list[None])
    assert_type(bus.publish(order_cancelled, order), list[None])


def parameters_keep_names_and_defaults(bus: Bus) -> None:
    bus[stock_low].publish("tea")
    bus[stock_low].publish("tea", left=2)
    bus.publish(stock_low, "tea", left=2)
    bus[stocked].publish("tea", count=2)
    bus.publish(stocked, "tea", count=2)
    assert_type(bus[quoted].publish("tea"), list[float])
    bus[quoted].publish("tea", 2)
    bus[quoted].publish(sku="tea", count=2)
    bus.publish(quoted, count=2, sku="tea")


def arguments_can_be_unpacked(bus: Bus, pair: tuple[str, int], numbers: dict[str, int]) -> None:
    bus[price_changed].publish(*pair)
    bus.publish(price_changed, *pair)
    bus[audited].publish("tea", "sold", *["a", "b"], **numbers)
    bus.publish(audited, count=3)
    bus[audited].publish()


def the_log_is_a_channel(bus: Bus) -> None:
    bus.log("open")
    bus.log("open", 30)
    bus[LOG].publish("open", 20)
    bus.publish(LOG, "open", 20)


def a_channel_can_be_passed_by_its_type(order: Order) -> None:
    placed: Channel[[Order], Receipt] = order_placed
    later: Channel[[Order], Receipt] = Channel("later")
    any_channel: AnyChannel = placed
    assert_type(any_channel.name, str)
    assert_type(later.doc, str)


def a_function_can_publish_on_any_channel(placed: BoundChannel[[Order], Receipt], order: Order) -> list[Receipt]:
    assert_type(placed.channel, Channel[[Order], Receipt])
    assert_type(placed.subscriptions, tuple[Subscription, ...])
    return placed.publish(order)


def a_channel_can_be_declared_in_a_function() -> None:
    assert_type(Channel[[int], str]("made"), Channel[[int], str])
    assert_type(Channel[[int]]("made"), Channel[[int], None])

    @Channel.declare
    def sold(sku: str, /) -> PaidReceipt:
        return PaidReceipt(1)

    assert_type(sold, Channel[[str], PaidReceipt])


bare = Channel("bare")


class Listener:
    @on(bare)
    def note(self) -> None: ...


def a_channel_without_type_arguments_has_no_parameters(bus: Bus) -> None:
    assert_type(bare, Channel[[], None])
    assert_type(bus[bare].publish(), list[None])
    assert_type(bus.publish(bare), list[None])
    bus[bare].subscribe(lambda: None)
    bus.subscribe(bare, Listener().note)
    bus[Channel("local")].publish()
    _hook: Hook[Listener] = bare.calls(Listener.note)
    empty: Channel[[], None] = bare
    bound: BoundChannel[[], None] = bus[bare]
    del empty, bound


def channels_can_be_in_collections(bus: Bus, order: Order) -> None:
    by_name: dict[str, Channel[[Order], Receipt]] = {"placed": order_placed, "later": Channel("later")}
    pair: tuple[Channel[[Order], Receipt], BoundChannel[[Order], None]] = (order_placed, bus[order_cancelled])
    of_any_kind: list[Channel[..., Any]] = [order_placed, stock_low, bare]
    bound: list[BoundChannel[..., Any]] = [bus[channel] for channel in of_any_kind]
    assert_type([bus[channel].publish(order) for channel in by_name.values()], list[list[Receipt]])
    pair[1].publish(order)
    bound[0].publish(order)


def a_bus_is_indexed_with_one_of_several_channels(bus: Bus) -> None:
    for channel in (order_placed, stock_low, quoted):
        assert_type(bus[channel].channel.name, str)


class OrderChannel(Channel[Args, Result]):
    """A channel with a class of its own."""


def a_channel_can_be_subclassed(bus: Bus) -> None:
    bound = bus[OrderChannel[[Order], Receipt]("own")]
    assert_type(bound, BoundChannel[[Order], Receipt])


class Bound(Protocol):
    """The part of a bus that a function needs."""

    def __getitem__(self, channel: Channel[Args, Result], /) -> BoundChannel[Args, Result]: ...


def close(channels: Bound) -> None:
    channels[closed].publish()


def a_protocol_can_replace_a_bus(bus: Bus) -> None:
    close(bus)


class Wrapper(Generic[Args, Result]):
    """Publishes on any channel."""

    def __init__(self, bound: BoundChannel[Args, Result]) -> None:
        self.bound = bound

    def __call__(self, *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
        return self.bound.publish(*args, **kwargs)


def a_class_can_be_generic_in_its_channel(bus: Bus, order: Order) -> None:
    assert_type(Wrapper(bus[quoted])("tea", count=3), list[float])
    assert_type(Wrapper(bus[order_placed])(order), list[Receipt])


class Keeper:
    placed: Channel[[Order], Receipt]
    bound: BoundChannel[[Order], Receipt]

    def __init__(self, bus: Bus) -> None:
        self.placed = order_placed
        self.bound = bus[order_placed]


def a_bus_lists_its_channels(bus: Bus) -> None:
    assert_type(bus.channels, tuple[AnyChannel, ...])


def echo(bus: Bus, channel: Channel[Args, Result], *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
    assert_type(bus.publish(channel, *args, **kwargs), list[Result])
    return bus[channel].publish(*args, **kwargs)


def relay(source: BoundChannel[Args, None], target: BoundChannel[Args, None]) -> None:
    def forward(*args: Args.args, **kwargs: Args.kwargs) -> None:
        target.publish(*args, **kwargs)

    source.subscribe(forward)


def a_function_can_be_generic_in_its_channel(bus: Bus, other: Bus, order: Order) -> None:
    assert_type(echo(bus, order_placed, order), list[Receipt])
    assert_type(echo(bus, stock_low, "tea", left=2), list[None])
    relay(bus[order_cancelled], other[order_cancelled])
