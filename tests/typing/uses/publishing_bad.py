"""Invalid calls of publish; a marked line is an error for both checkers."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

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

from typedbus import LOG, START, BoundChannel, Bus, Channel, State
from typedbus.events import LIFECYCLE
from typedbus.types import AnyChannel

Args = ParamSpec("Args")
Result = TypeVar("Result")


def too_few_arguments(bus: Bus) -> None:
    bus[order_placed].publish()  # E
    bus.publish(order_placed)  # E
    bus[price_changed].publish("tea")  # E
    bus.publish(price_changed, "tea")  # E
    bus[stock_low].publish(left=2)  # E
    bus[stocked].publish("tea")  # E
    bus.publish(stocked, "tea")  # E
    bus[quoted].publish()  # E
    bus[LOG].publish("open")  # E


def too_many_arguments(bus: Bus, order: Order) -> None:
    bus[order_placed].publish(order, order)  # E
    bus.publish(order_placed, order, order)  # E
    bus[closed].publish(None)  # E
    bus.publish(closed, None)  # E
    bus[START].publish(bus)  # E
    bus[stock_low].publish("tea", 2)  # E
    bus.publish(quoted, "tea", 2, 3)  # E


def mistyped_arguments(bus: Bus, order: Order) -> None:
    bus[order_placed].publish("tea")  # E
    bus.publish(order_placed, "tea")  # E
    bus[order_placed].publish(None)  # E
    bus[price_changed].publish(4, "tea")  # E
    bus.publish(price_changed, 4, "tea")  # E
    bus[stock_low].publish("tea", left="two")  # E
    bus.publish(stock_low, "tea", left="two")  # E
    bus[quoted].publish("tea", count=2.5)  # E
    bus[audited].publish("tea", 3)  # E
    bus[audited].publish("tea", count="three")  # E
    bus.publish(LIFECYCLE, State.STARTED)  # E


def misnamed_arguments(bus: Bus, order: Order) -> None:
    bus[order_placed].publish(order=order)  # E
    bus.publish(order_placed, order=order)  # E
    bus[stock_low].publish("tea", remaining=2)  # E
    bus.publish(stock_low, "tea", remaining=2)  # E
    bus[stock_low].publish(sku="tea")  # E
    bus[quoted].publish("tea", 2, count=2)  # E
    bus.publish(quoted, name="tea")  # E


def unpacked_arguments(bus: Bus, one: tuple[str], pair: tuple[int, str], numbers: dict[str, str]) -> None:
    bus[price_changed].publish(*one)  # E
    bus[price_changed].publish(*pair)  # E
    bus.publish(price_changed, *pair)  # E
    bus[stock_low].publish("tea", **numbers)  # E


def results_have_the_type_of_the_channel(bus: Bus, order: Order) -> None:
    _paid: list[PaidReceipt] = bus[order_placed].publish(order)  # E
    _names: list[str] = bus.publish(order_placed, order)  # E
    _receipt: Receipt = bus[order_placed].publish(order)  # E
    bus[order_cancelled].publish(order)[0].number  # E
    bus[order_placed].publish(order)[0].sku  # E


def other_objects_are_not_channels(bus: Bus, order: Order, some: AnyChannel) -> None:
    bus["order_placed"]  # E
    bus[order_placed.name].publish(order)  # E
    bus.publish("order_placed", order)  # E
    bus.publish(bus[order_placed], order)  # E
    bus[bus[order_placed]]  # E
    bus[Channel]  # E
    bus[some]  # E
    bus.publish(some, order)  # E


def a_channel_is_a_declaration(order: Order) -> None:
    order_placed(order)  # E
    stock_low("tea")  # E
    order_placed.publish(order)  # E
    order_placed.subscribe(print)  # E


def a_channel_needs_a_name_and_a_signature() -> None:
    Channel[[Order], Receipt]()  # E
    Channel[[Order], Receipt](7)  # E
    Channel[[Order], Receipt]("placed", Receipt)  # E
    Channel.declare("placed")  # E
    Channel.declare(order_placed)  # E


def a_channel_has_only_its_own_type() -> None:
    _wide: Channel[[object], Receipt] = order_placed  # E
    _paid: Channel[[Order], PaidReceipt] = order_placed  # E
    _bare: Channel[[Order], object] = order_placed  # E
    _more: Channel[[Order, int], Receipt] = order_placed  # E
    _less: Channel[[], Receipt] = order_placed  # E


def a_bound_channel_has_only_its_own_type(bus: Bus) -> None:
    _paid: BoundChannel[[Order], PaidReceipt] = bus[order_placed]  # E
    _none: BoundChannel[[Order], None] = bus[order_placed]  # E
    _channel: Channel[[Order], Receipt] = bus[order_placed]  # E
    _bound: BoundChannel[[Order], Receipt] = order_placed  # E
    _call: Callable[[Order], Receipt] = bus[order_placed].publish  # E


def the_log_needs_a_text_and_a_level(bus: Bus) -> None:
    bus.log()  # E
    bus.log(20)  # E
    bus.log("open", "INFO")  # E
    bus.publish(LOG, 20, "open")  # E


def echo(bus: Bus, channel: Channel[Args, Result], *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
    return bus[channel].publish(*args, **kwargs)


def a_generic_function_keeps_types(bus: Bus, order: Order) -> None:
    echo(bus, order_placed)  # E
    echo(bus, order_placed, "tea")  # E
    echo(bus, stock_low, "tea", remaining=2)  # E
    _names: list[str] = echo(bus, order_placed, order)  # E


def a_bound_channel_is_neither_narrowed_nor_widened(bus: Bus) -> None:
    _less: BoundChannel[[str], None] = bus[stock_low]  # E
    _narrow: BoundChannel[[RushOrder], Receipt] = bus[order_placed]  # E
    _wide: BoundChannel[[object], Receipt] = bus[order_placed]  # E
    _all: list[BoundChannel[[str], None]] = [bus[stock_low]]  # E
    _named: dict[str, BoundChannel[[object], Receipt]] = {"placed": bus[order_placed]}  # E


def a_channel_is_neither_narrowed_nor_widened() -> None:
    _less: Channel[[str], None] = stock_low  # E
    _narrow: Channel[[RushOrder], Receipt] = order_placed  # E
    _wide: Channel[[object], Receipt] = order_placed  # E
    _all: list[Channel[[str], None]] = [stock_low]  # E
    _pair: tuple[Channel[[str, int], None], Channel[[object], Receipt]] = (price_changed, order_placed)  # E


def both(bound: BoundChannel[[str], None], channel: Channel[[object], Receipt]) -> None: ...


def print_sku(sku: str) -> None: ...


def same(one: BoundChannel[Args, Result], other: BoundChannel[Args, Result]) -> None: ...


class Holder:
    low: BoundChannel[[str], None]
    placed: Channel[[object], Receipt]


def parameters_and_attributes_need_the_exact_type(bus: Bus, holder: Holder) -> None:
    both(bus[stock_low], Channel("wide"))  # E
    both(Bus()[Channel[[str], None]("sku")], order_placed)  # E
    same(bus[order_placed], bus[order_cancelled])  # E
    same(bus[stock_low], bus[stocked])  # E
    holder.low = bus[stock_low]  # E
    holder.placed = order_placed  # E


def a_channel_without_type_arguments_has_no_parameters(bus: Bus) -> None:
    bare = Channel("bare")
    _wide: Channel[[int], None] = bare  # E
    bus[bare].publish(3)  # E
    bus[bare].subscribe(print_sku)  # E
    bus.subscribe(bare, print_sku)  # E
