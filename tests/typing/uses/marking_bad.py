"""Methods that must not be marked or declared as listeners; a marked line is an error for both checkers."""

from declared import (
    Order,
    Receipt,
    RushOrder,
    audited,
    closed,
    order_cancelled,
    order_placed,
    quoted,
    stock_low,
    stocked,
)

from listeners import bill
from typedbus import LOG, START, STOP, Component, State, on
from typedbus.events import LIFECYCLE
from typedbus.types import Exits, Hook, Logs, Reloads, Starts, Stops, Ticks


class Clerk:
    @on(order_placed)  # E
    def takes_less(self) -> Receipt:
        return Receipt(1)

    @on(order_placed)  # E
    def demands_more(self, order: Order, copies: int, /) -> Receipt:
        return Receipt(copies)

    @on(order_placed)  # E
    def demands_a_keyword(self, order: Order, /, *, copies: int) -> Receipt:
        return Receipt(copies)

    @on(order_placed)  # E
    def takes_a_text(self, text: str, /) -> Receipt:
        return Receipt(1)

    @on(order_placed)  # E
    def takes_a_part(self, order: RushOrder, /) -> Receipt:
        return Receipt(1)

    @on(order_placed)  # E
    def returns_a_text(self, order: Order, /) -> str:
        return order.sku

    @on(order_placed)  # E
    def returns_nothing(self, order: Order, /) -> None: ...

    @on(order_placed)  # E
    async def returns_later(self, order: Order, /) -> Receipt:
        return Receipt(1)

    @on(order_cancelled)  # E
    def returns_something(self, order: Order, /) -> Receipt:
        return Receipt(1)

    @on(closed)  # E
    def takes_anything(self, thing: object, /) -> None: ...

    @on(stock_low)  # E
    def drops_an_option(self, sku: str, /) -> None: ...

    @on(stock_low)  # E
    def demands_an_option(self, sku: str, /, *, left: int) -> None: ...

    @on(stock_low)  # E
    def demands_further(self, sku: str, /, *, left: int = 0, shop: str) -> None: ...

    @on(stock_low)  # E
    def renames(self, sku: str, /, *, remaining: int = 0) -> None: ...

    @on(stock_low)  # E
    def retypes(self, sku: str, /, *, left: str = "") -> None: ...

    @on(quoted)  # E
    def renames_the_first(self, name: str, count: int = 1) -> float:
        return 1.0

    @on(audited)  # E
    def takes_parts_alone(self, *parts: str) -> None: ...

    @on(START)  # E
    def start(self, now: bool) -> None: ...

    @on(LOG)  # E
    def log(self, message: str, /) -> None: ...

    @on(LIFECYCLE)  # E
    def tell(self, state: State, /) -> None: ...

    @on(closed, priority=5)  # E
    def misfits_at_a_priority(self, order: Order) -> None: ...

    @on(order_placed)  # E
    @staticmethod
    def is_static(order: Order, /) -> Receipt:
        return Receipt(1)

    @on(order_placed)
    def bill(self, order: Order, /) -> Receipt:
        return Receipt(1)


class Cache:
    @on(stock_low, stocked)  # E
    def takes_the_first(self, sku: str, /, *, left: int = 0) -> None: ...

    @on(stock_low, stocked)  # E
    def takes_the_second(self, sku: str, /, *, count: int) -> None: ...

    @on(stock_low, stocked)  # E
    def takes_texts(self, sku: str, /, **details: str) -> None: ...

    @on(order_placed, closed)  # E
    def answers_one(self, order: Order | None = None, /) -> Receipt:
        return Receipt(1)

    @on(stock_low)  # E
    @on(stocked)
    def is_stacked(self, sku: str, /, **details: int) -> None: ...

    @on(LOG, closed)  # E
    async def is_async(self, message: str = "", level: int = 0, /) -> None: ...

    @on(stock_low, stocked)
    def purge(self, sku: str, /, **details: int) -> None: ...


def a_method_with_two_channels_has_the_first_signature(cache: Cache) -> None:
    cache.purge()  # E
    cache.purge("tea", count=2)  # E


@on(closed)  # E
def is_a_function() -> None: ...


class Apprentice(Clerk):
    def bill(self, order: RushOrder, /) -> Receipt:  # E
        return Receipt(1)


def a_marked_method_keeps_its_signature(clerk: Clerk, order: Order) -> None:
    clerk.bill()  # E
    clerk.bill("tea")  # E
    clerk.bill(order).sku  # E


def other_objects_are_not_channels() -> None:
    on()  # E
    on("start")  # E
    on(bill)  # E
    on(order_placed, 5)  # E
    on(order_placed, priority="first")  # E
    on(order_placed)(5)  # E
    on(order_placed)(bill)  # E
    on(closed)(print_nothing)  # E


def print_nothing() -> None: ...


class Scheduler:
    def run(self) -> None: ...

    def run_at(self, hour: int) -> None: ...

    def order(self, order: Order) -> Receipt:
        return Receipt(1)

    def refill(self, sku: str, /) -> None: ...

    def refill_further(self, sku: str, /, *, left: int = 0, shop: str) -> None: ...

    def refill_always(self, sku: str, /, *, left: int) -> None: ...


class Cron(Scheduler):
    def every(self) -> None: ...


class Clock:
    def tick(self) -> None: ...


def ring(scheduler: Scheduler, times: int) -> None: ...


def a_declared_method_must_fit(scheduler: Scheduler) -> None:
    START.calls(Scheduler.run_at)  # E
    START.calls(Scheduler.order)  # E
    order_placed.calls(Scheduler.run)  # E
    order_cancelled.calls(Scheduler.order)  # E
    LOG.calls(Scheduler.run_at)  # E
    stock_low.calls(Scheduler.refill)  # E
    stock_low.calls(Scheduler.refill_further)  # E
    stock_low.calls(Scheduler.refill_always)  # E
    START.calls(ring)  # E
    START.calls(scheduler.run)  # E
    START.calls("run")  # E
    START.calls()  # E
    START.calls(Scheduler.walk)  # E
    START.calls(Scheduler.run, 5)  # E
    START.calls(Scheduler.run, priority="first")  # E


def a_declared_method_must_belong_to_the_class() -> None:
    Component(Scheduler).on(START.calls(Clock.tick))  # E
    Component(Scheduler).on(START.calls(Cron.every))  # E
    Component(Scheduler).on(START.calls(Scheduler.run), STOP.calls(Clock.tick))  # E
    Component(Scheduler).on(START.calls(Scheduler.run)).on(STOP.calls(Clock.tick))  # E
    _hook: Hook[Scheduler] = START.calls(Cron.every)  # E
    Component(Scheduler).on(Scheduler.run)  # E
    Component(Scheduler).on(START)  # E
    Component(Scheduler).on(START, Scheduler.run)  # E
    Component(Scheduler).without("start")  # E
    Component(Scheduler).without(Scheduler.run)  # E


class Server(Starts, Stops, Exits, Reloads, Ticks, Logs):
    def start(self, port: int) -> None: ...  # E

    def stop(self) -> bool:  # E
        return True

    def exit(self, *, status: int) -> None: ...  # E

    async def graceful(self) -> int:  # E
        return 0

    def main(self, tick: int) -> None: ...  # E

    def log(self, message: str) -> None: ...  # E


class Worker:
    def start(self, port: int) -> None: ...

    def log(self, message: str) -> None: ...


def a_hook_protocol_must_fit(worker: Worker) -> None:
    _starts: Starts = worker  # E
    _logs: Logs = worker  # E
    _stops: Stops = worker  # E
