"""Listeners that do not fit their channel; a marked line is an error for both checkers."""

from functools import partial

from declared import Order, Receipt, audited, closed, order_cancelled, order_placed, price_changed, quoted, stock_low

from listeners import (
    Apprentice,
    Clerk,
    Weigher,
    Weighs,
    Weight,
    ask_by_position,
    ask_demanding,
    ask_dropping,
    ask_further,
    ask_renamed,
    ask_swapped,
    audit_numbers,
    audit_one,
    audit_parts,
    bill,
    bill_by_name,
    bill_later,
    bill_perhaps,
    bill_rush,
    bill_text,
    bill_twice,
    bill_with_flag,
    bill_with_nothing,
    bill_with_text,
    bill_without_order,
    in_list,
    neither,
    note_texts,
    refill_answering,
    refill_demanding,
    refill_dropping,
    refill_further,
    refill_mistyped,
    refill_renamed,
    same,
)
from typedbus import LOG, START, BoundChannel, Bus, State
from typedbus.events import LIFECYCLE
from typedbus.types import AnyChannel


def takes_less(bus: Bus) -> None:
    bus[order_placed].subscribe(bill_without_order)  # E
    bus[order_placed].subscribe()(bill_without_order)  # E
    bus.subscribe(order_placed, bill_without_order)  # E
    bus[order_placed].unsubscribe(bill_without_order)  # E
    bus.unsubscribe(order_placed, bill_without_order)  # E


def demands_more(bus: Bus) -> None:
    bus[order_placed].subscribe(bill_twice)  # E
    bus[order_placed].subscribe(priority=5)(bill_twice)  # E
    bus.subscribe(order_placed, bill_twice)  # E
    bus[order_placed].subscribe(bill_with_flag)  # E
    bus[order_placed].subscribe()(bill_with_flag)  # E
    bus.subscribe(order_placed, bill_with_flag)  # E
    bus[order_placed].unsubscribe(bill_twice)  # E
    bus.unsubscribe(order_placed, bill_with_flag)  # E


def takes_another_type(bus: Bus) -> None:
    bus[order_placed].subscribe(bill_text)  # E
    bus[order_placed].subscribe()(bill_text)  # E
    bus.subscribe(order_placed, bill_text)  # E
    bus[order_placed].subscribe(bill_rush)  # E
    bus[order_placed].subscribe()(bill_rush)  # E
    bus.subscribe(order_placed, bill_rush)  # E
    bus[order_placed].subscribe(note_texts)  # E
    bus.subscribe(order_placed, note_texts)  # E
    bus[order_placed].unsubscribe(bill_rush)  # E
    bus.unsubscribe(order_placed, bill_text)  # E


def takes_by_name_alone(bus: Bus) -> None:
    bus[order_placed].subscribe(bill_by_name)  # E
    bus.subscribe(order_placed, bill_by_name)  # E


def returns_another_type(bus: Bus) -> None:
    bus[order_placed].subscribe(bill_with_text)  # E
    bus[order_placed].subscribe()(bill_with_text)  # E
    bus.subscribe(order_placed, bill_with_text)  # E
    bus[order_placed].subscribe(bill_with_nothing)  # E
    bus.subscribe(order_placed, bill_with_nothing)  # E
    bus[order_placed].subscribe(bill_perhaps)  # E
    bus.subscribe(order_placed, bill_perhaps)  # E
    bus[order_cancelled].subscribe(bill)  # E
    bus.subscribe(order_cancelled, bill)  # E
    bus[order_placed].unsubscribe(bill_with_text)  # E


def is_async(bus: Bus) -> None:
    bus[order_placed].subscribe(bill_later)  # E
    bus[order_placed].subscribe()(bill_later)  # E
    bus.subscribe(order_placed, bill_later)  # E


def drops_an_optional_parameter(bus: Bus) -> None:
    bus[stock_low].subscribe(refill_dropping)  # E
    bus[stock_low].subscribe()(refill_dropping)  # E
    bus[stock_low].subscribe(priority=5)(refill_dropping)  # E
    bus.subscribe(stock_low, refill_dropping)  # E
    bus[quoted].subscribe(ask_dropping)  # E
    bus[quoted].subscribe()(ask_dropping)  # E
    bus.subscribe(quoted, ask_dropping)  # E
    bus[stock_low].unsubscribe(refill_dropping)  # E
    bus.unsubscribe(stock_low, refill_dropping)  # E


def demands_an_optional_parameter(bus: Bus) -> None:
    bus[stock_low].subscribe(refill_demanding)  # E
    bus[stock_low].subscribe()(refill_demanding)  # E
    bus.subscribe(stock_low, refill_demanding)  # E
    bus.unsubscribe(stock_low, refill_demanding)  # E
    bus[quoted].subscribe(ask_demanding)  # E
    bus.subscribe(quoted, ask_demanding)  # E


def demands_a_further_keyword(bus: Bus) -> None:
    bus[stock_low].subscribe(refill_further)  # E
    bus[stock_low].subscribe()(refill_further)  # E
    bus[stock_low].subscribe(priority=5)(refill_further)  # E
    bus.subscribe(stock_low, refill_further)  # E
    bus[quoted].subscribe(ask_further)  # E
    bus[quoted].subscribe()(ask_further)  # E
    bus.subscribe(quoted, ask_further)  # E
    bus[stock_low].unsubscribe(refill_further)  # E
    bus.unsubscribe(stock_low, refill_further)  # E


def has_other_names(bus: Bus) -> None:
    bus[stock_low].subscribe(refill_renamed)  # E
    bus[stock_low].subscribe()(refill_renamed)  # E
    bus.subscribe(stock_low, refill_renamed)  # E
    bus[quoted].subscribe(ask_renamed)  # E
    bus[quoted].subscribe()(ask_renamed)  # E
    bus.subscribe(quoted, ask_renamed)  # E
    bus[quoted].subscribe(ask_by_position)  # E
    bus.subscribe(quoted, ask_by_position)  # E
    bus[quoted].subscribe(ask_swapped)  # E
    bus.subscribe(quoted, ask_swapped)  # E


def has_other_types_or_results(bus: Bus) -> None:
    bus[stock_low].subscribe(refill_mistyped)  # E
    bus.subscribe(stock_low, refill_mistyped)  # E
    bus[stock_low].subscribe(refill_answering)  # E
    bus.subscribe(stock_low, refill_answering)  # E


def takes_no_arbitrary_arguments(bus: Bus) -> None:
    bus[audited].subscribe(audit_parts)  # E
    bus.subscribe(audited, audit_parts)  # E
    bus[audited].subscribe(audit_numbers)  # E
    bus.subscribe(audited, audit_numbers)  # E
    bus[audited].subscribe(audit_one)  # E
    bus.subscribe(audited, audit_one)  # E


def a_method_that_does_not_fit(bus: Bus, clerk: Clerk, apprentice: Apprentice) -> None:
    bus[order_placed].subscribe(clerk.bill_text)  # E
    bus.subscribe(order_placed, clerk.bill_text)  # E
    bus[stock_low].subscribe(apprentice.refill_dropping)  # E
    bus.subscribe(stock_low, apprentice.refill_dropping)  # E
    bus[order_placed].subscribe(Clerk.bill)  # E
    bus.subscribe(order_placed, Clerk.bill)  # E
    bus[order_placed].subscribe(Clerk.count)  # E
    bus[order_placed].subscribe(Clerk.weigh)  # E
    bus[order_placed].unsubscribe(clerk.bill_text)  # E
    bus.unsubscribe(order_placed, Clerk.bill)  # E


def an_object_that_does_not_fit(bus: Bus, clerk: Clerk, weigher: Weigher, weighs: Weighs) -> None:
    bus[order_placed].subscribe(weigher)  # E
    bus.subscribe(order_placed, weigher)  # E
    bus[order_placed].subscribe(weighs)  # E
    bus.subscribe(order_placed, weighs)  # E
    bus[order_placed].subscribe(Weight)  # E
    bus.subscribe(order_placed, Weight)  # E
    bus[order_placed].subscribe(clerk)  # E
    bus.subscribe(order_placed, clerk)  # E
    bus[order_placed].subscribe(clerk.name)  # E
    bus[order_placed].subscribe(bill(Order("tea")))  # E
    bus[order_placed].subscribe(None)  # E


def a_lambda_that_does_not_fit(bus: Bus) -> None:
    bus[order_placed].subscribe(lambda: Receipt(1))  # E
    bus.subscribe(order_placed, lambda: Receipt(1))  # E
    bus[order_placed].subscribe(lambda order: order.typo)  # E
    bus[order_placed].subscribe(lambda order: order.sku)  # E
    bus[closed].subscribe(lambda order: None)  # E
    bus[price_changed].subscribe(lambda sku, price: price.upper())  # E


def a_partial_that_does_not_fit(bus: Bus, order: Order) -> None:
    bus[order_placed].subscribe(partial(bill_with_text, order))  # E
    bus.subscribe(order_placed, partial(bill_with_text, order))  # E
    bus[order_placed].subscribe(partial(bill_twice, "tea"))  # E


def a_generic_function_that_does_not_fit(bus: Bus) -> None:
    bus[order_placed].subscribe(same)  # E
    bus.subscribe(order_placed, same)  # E
    bus[order_placed].subscribe(in_list)  # E
    bus.subscribe(order_placed, in_list)  # E


def an_overloaded_function_that_does_not_fit(bus: Bus) -> None:
    bus[order_placed].subscribe(neither)  # E
    bus.subscribe(order_placed, neither)  # E


def a_decorated_function_that_does_not_fit(bus: Bus) -> None:
    @bus[order_placed].subscribe()  # E
    def takes_less() -> Receipt:
        return Receipt(1)

    @bus[order_placed].subscribe(priority=5)  # E
    def demands_more(order: Order, copies: int) -> Receipt:
        return Receipt(copies)

    @bus[stock_low].subscribe()  # E
    def drops(sku: str, /) -> None: ...

    @bus[stock_low].subscribe(priority=5)  # E
    def further(sku: str, /, *, left: int = 0, shop: str) -> None: ...

    @bus[order_placed].subscribe()  # E
    def answers(order: Order) -> str:
        return order.sku

    @bus[order_placed].subscribe  # E
    def bare(text: str) -> Receipt:
        return Receipt(1)

    @bus[order_placed].subscribe()
    def kept(order: Order) -> Receipt:
        return Receipt(1)

    kept("tea")  # E


def a_life_cycle_listener_that_does_not_fit(bus: Bus) -> None:
    bus[START].subscribe(bill)  # E
    bus.subscribe(START, bill)  # E
    bus[LOG].subscribe(print_level)  # E
    bus.subscribe(LOG, print_level)  # E
    bus[LIFECYCLE].subscribe(note_state)  # E
    bus.subscribe(LIFECYCLE, note_state)  # E


def print_level(level: int) -> None: ...


def note_state(state: State) -> None: ...


def other_values_are_not_priorities(bus: Bus) -> None:
    bus[order_placed].subscribe(bill, priority="first")  # E
    bus[order_placed].subscribe(bill, 5)  # E
    bus[order_placed].subscribe(priority="first")  # E
    bus.subscribe(order_placed, bill, priority="first")  # E
    bus.subscribe(order_placed, bill, 5)  # E
    bus[order_placed].subscribe(bill, order=5)  # E


def other_objects_are_not_channels(bus: Bus, some: AnyChannel) -> None:
    bus.subscribe("order_placed", bill)  # E
    bus.subscribe(bus[order_placed], bill)  # E
    bus.unsubscribe("order_placed", bill)  # E
    bus.subscribe(bill, order_placed)  # E
    bus.subscribe(some, bill)  # E
    bus.unsubscribe(some, bill)  # E
    bus.subscribe(order_placed)  # E
    bus.unsubscribe(order_placed)  # E
    bus[order_placed].unsubscribe()  # E


def a_subscription_is_not_a_listener(bus: Bus) -> None:
    bus[order_placed].unsubscribe(bus[order_placed].subscribe(bill))  # E
    bus[order_placed].subscribe(bill)()  # E
    bus[order_placed].subscribe(bill).channel = order_placed  # E


def a_bound_channel_of_another_type(placed: BoundChannel[[Order], Receipt]) -> None:
    placed.subscribe(bill_text)  # E
    placed.subscribe(bill_with_text)  # E
