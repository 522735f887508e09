"""Listeners that fit their channel."""

from functools import partial
from typing import assert_type

from declared import (
    Order,
    Receipt,
    audited,
    closed,
    order_cancelled,
    order_placed,
    price_changed,
    quoted,
    stock_low,
    stocked,
)

from listeners import (
    Apprentice,
    Bill,
    Biller,
    Bills,
    Clerk,
    ask,
    ask_whole,
    audit,
    bill,
    bill_all,
    bill_anything,
    bill_twice,
    bill_with_default,
    bill_with_flag,
    either,
    note,
    note_and_bill,
    note_orders,
    refill,
    refill_anyhow,
    refill_wider,
)
from typedbus import LOG, START, BoundChannel, Bus, Subscription
from typedbus.events import LIFECYCLE, LifecycleEvent


def a_function_of_the_same_signature(bus: Bus) -> None:
    assert_type(bus[order_placed].subscribe(bill), Subscription)
    assert_type(bus.subscribe(order_placed, bill), Subscription)
    bus[order_placed].subscribe(bill, priority=5)
    bus.subscribe(order_placed, bill, priority=5)
    bus[order_placed].unsubscribe(bill)
    bus.unsubscribe(order_placed, bill)


def a_function_with_wider_parameters_and_a_narrower_result(bus: Bus) -> None:
    bus[order_placed].subscribe(bill_anything)
    bus.subscribe(order_placed, bill_anything)
    bus[order_placed].subscribe(bill_with_default)
    bus.subscribe(order_placed, bill_with_default)
    bus[quoted].subscribe(ask_whole)
    bus.subscribe(quoted, ask_whole)


def a_bound_method(bus: Bus, clerk: Clerk, apprentice: Apprentice) -> None:
    bus[order_placed].subscribe(clerk.bill)
    bus.subscribe(order_placed, clerk.bill)
    bus[order_placed].subscribe(apprentice.bill)
    bus[order_placed].subscribe(Clerk.bill_for_all)
    bus[order_placed].subscribe(Clerk.bill_for_nobody)
    bus[order_placed].subscribe(clerk.billing)
    bus[stock_low].subscribe(clerk.refill)
    bus.subscribe(stock_low, apprentice.refill)
    bus[order_placed].unsubscribe(clerk.bill)
    bus.unsubscribe(order_placed, clerk.bill)


def a_callable_object(bus: Bus, biller: Biller, bills: Bills) -> None:
    bus[order_placed].subscribe(biller)
    bus.subscribe(order_placed, biller)
    bus[order_placed].subscribe(bills)
    bus.subscribe(order_placed, bills)
    bus[order_placed].subscribe(Bill)
    bus.subscribe(order_placed, Bill)
    bus[order_placed].unsubscribe(biller)
    bus.unsubscribe(order_placed, biller)


def a_lambda(bus: Bus) -> None:
    bus[order_placed].subscribe(lambda order: Receipt(len(order.sku)))
    bus.subscribe(order_placed, lambda order: Receipt(len(order.sku)))
    bus[closed].subscribe(lambda: None)
    bus[price_changed].subscribe(lambda sku, price: print(sku.upper(), price + 1))
    bus.subscribe(price_changed, lambda sku, price: print(sku.upper(), price + 1))
    bus[stock_low].subscribe(lambda sku, /, *, left=0: print(sku, left))
    bus[order_placed].subscribe(priority=5)(lambda order: Receipt(len(order.sku)))


def a_partial(bus: Bus, again: Order) -> None:
    bus[order_placed].subscribe(partial(bill_twice, again))
    bus.subscribe(order_placed, partial(bill_twice, again))
    bus[order_placed].subscribe(partial(bill_with_flag, quiet=True))
    bus.subscribe(order_placed, partial(bill_with_flag, quiet=True))
    bus[closed].subscribe(partial(print, "closed"))


def a_generic_function(bus: Bus) -> None:
    bus[order_placed].subscribe(bill_all)


def an_overloaded_function(bus: Bus) -> None:
    bus[order_placed].subscribe(either)
    bus.subscribe(order_placed, either)


def a_function_of_arbitrary_arguments(bus: Bus) -> None:
    bus[order_placed].subscribe(note_and_bill)
    bus.subscribe(order_placed, note_and_bill)
    bus[order_placed].subscribe(note_orders)
    bus.subscribe(order_placed, note_orders)
    bus[order_cancelled].subscribe(print)
    bus.subscribe(order_cancelled, note)
    bus[order_cancelled].subscribe(note)
    bus[stock_low].subscribe(note)
    bus[audited].subscribe(note)
    bus.subscribe(audited, note)
    bus[audited].subscribe(audit)
    bus.subscribe(audited, audit)


def a_function_with_names_and_defaults(bus: Bus) -> None:
    bus[stock_low].subscribe(refill)
    bus.subscribe(stock_low, refill)
    bus[stock_low].subscribe(refill_wider)
    bus.subscribe(stock_low, refill_wider)
    bus[stock_low].subscribe(refill_anyhow)
    bus[stocked].subscribe(refill_wider_count)
    bus[quoted].subscribe(ask)
    bus.subscribe(quoted, ask)


def refill_wider_count(sku: str, count: int = 0) -> None: ...


def a_listener_of_the_life_cycle(bus: Bus) -> None:
    bus[LOG].subscribe(lambda message, level: print(message.upper(), level + 1))
    bus[START].subscribe(bus.graceful)
    bus.subscribe(START, bus.graceful)
    bus[LIFECYCLE].subscribe(note_event)
    bus.subscribe(LIFECYCLE, note_event)


def note_event(event: LifecycleEvent) -> None: ...


def a_decorator_returns_the_function(bus: Bus, order: Order) -> None:
    @bus[order_placed].subscribe()
    def first(order: Order) -> Receipt:
        return Receipt(1)

    @bus[order_placed].subscribe(priority=5)
    def second(thing: object, copies: int = 1) -> Receipt:
        return Receipt(copies)

    @bus[stock_low].subscribe()
    def third(sku: str, /, *, left: int = 0) -> None: ...

    assert_type(first(order), Receipt)
    assert_type(second(order), Receipt)
    third("tea", left=2)


def a_subscription_ends_with_its_block(bus: Bus) -> None:
    with bus[order_placed].subscribe(bill) as subscription:
        assert_type(subscription, Subscription)
        assert_type(subscription.priority, int)
        assert_type(subscription.name, str)
    subscription.cancel()


def a_function_can_subscribe_any_listener(placed: BoundChannel[[Order], Receipt], bills: Bills) -> None:
    placed.subscribe(bills)
    placed.subscribe(bills, priority=-1)
    placed.unsubscribe(bills)
