"""Methods that can be marked or declared as listeners of a channel."""

from typing import assert_type

from declared import (
    Order,
    PaidReceipt,
    Receipt,
    audited,
    closed,
    order_placed,
    quoted,
    stock_low,
    stocked,
)

from listeners import bill
from typedbus import EXIT, GRACEFUL, LOG, START, STOP, Component, on
from typedbus.events import LIFECYCLE, LifecycleEvent
from typedbus.types import Exits, Hook, Logs, Reloads, Starts, Stops, Ticks


class Clerk:
    @on(order_placed)
    def bill(self, order: Order, /) -> Receipt:
        return Receipt(1)

    @on(order_placed, priority=5)
    def bill_anything(self, thing: object, /, copies: int = 1) -> PaidReceipt:
        return PaidReceipt(copies)

    @on(closed)
    def sweep(self) -> None: ...

    @on(stock_low)
    @on(audited)
    def note(self, /, *things: object, **named: object) -> None: ...

    @on(stock_low)
    def refill(self, sku: str, /, *, left: int = 0) -> None: ...

    @on(stocked)
    def refill_or_not(self, sku: str, /, count: int = 0) -> None: ...

    @on(quoted)
    def ask(self, sku: str, count: int = 1) -> float:
        return float(count)

    @on(LIFECYCLE)
    def tell(self, event: LifecycleEvent, /) -> None: ...

    @on(START, priority=5)
    def open(self) -> None: ...

    @on(LOG)
    def write(self, message: str, level: int, /) -> None: ...


class Cache:
    @on(stock_low, stocked)
    def purge(self, sku: str, /, **details: int) -> None: ...

    @on(closed, closed, priority=5, limit=3)
    def close(self) -> None: ...

    @on(START, GRACEFUL)
    async def fill(self) -> None: ...


class Apprentice(Clerk):
    @on(order_placed)
    def bill(self, order: Order, /) -> PaidReceipt:
        return PaidReceipt(1)

    @on(closed)
    def sleep(self, hours: float = 8) -> None: ...


def a_marked_method_can_be_called(clerk: Clerk, order: Order, cache: Cache) -> None:
    cache.purge("tea", left=2)
    assert_type(clerk.bill(order), Receipt)
    assert_type(clerk.ask("tea", count=2), float)
    clerk.refill("tea", left=2)
    clerk.sweep()


class Scheduler:
    """A class of someone else's."""

    def run(self) -> None: ...

    def end(self, hard: bool = False) -> None: ...

    def order(self, order: Order) -> Receipt:
        return Receipt(1)

    def say(self, *texts: object) -> None: ...


class Cron(Scheduler):
    """A scheduler."""


def ring(scheduler: Scheduler) -> None: ...


def a_method_of_any_class_can_be_declared() -> None:
    assert_type(START.calls(Scheduler.run), Hook[Scheduler])
    assert_type(Component(Scheduler).on(START.calls(Scheduler.run)), Component[Scheduler])
    Component(Scheduler).on(START.calls(Scheduler.run), STOP.calls(Scheduler.end))
    Component(Scheduler).on(START.calls(Scheduler.run)).on(STOP.calls(Scheduler.end, priority=5))
    Component(Scheduler).on(order_placed.calls(Scheduler.order), LOG.calls(Scheduler.say))
    Component(Scheduler).on(EXIT.calls(ring))


def a_method_of_a_base_class_can_be_declared() -> None:
    assert_type(Component(Cron).on(START.calls(Scheduler.run)), Component[Cron])
    Component(Cron).on(START.calls(Cron.run), STOP.calls(Scheduler.end), EXIT.calls(ring))
    hook = START.calls(Scheduler.run)
    assert_type(Component(Cron).on(hook), Component[Cron])
    _hook: Hook[Cron] = hook


def a_method_can_be_excluded_as_a_listener() -> None:
    assert_type(Component(Scheduler).without(START, LOG), Component[Scheduler])
    Component(Clerk).without(order_placed).on(order_placed.calls(Clerk.bill_anything))


class Server(Starts, Stops, Exits, Reloads, Ticks, Logs):
    def start(self) -> None: ...

    def stop(self, patience: float = 1.0) -> None: ...

    def exit(self) -> None: ...

    def graceful(self) -> None: ...

    def main(self) -> None: ...

    def log(self, message: str, level: int = 20, /) -> None: ...


class Worker:
    def start(self) -> None: ...

    def log(self, message: object, level: int) -> None: ...


def a_hook_protocol_fits_by_structure(worker: Worker, server: Server) -> None:
    _starts: Starts = worker
    _logs: Logs = worker
    _stops: Stops = server
    Component(Server).on(order_placed.calls(lambda server, order: bill(order)))
