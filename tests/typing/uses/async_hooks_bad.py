"""Wrong uses of async hooks, and of the async methods of a bus: each marked line is refused."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from async_hooks_good import Connection, Marked, Plain, answer, later, later_with, now
from declared import Order, Receipt, closed, order_placed

from typedbus import (
    EXIT,
    GRACEFUL,
    LOG,
    MAIN,
    START,
    STOP,
    AsyncChannel,
    Bus,
    Channel,
    Component,
    Container,
    State,
    on,
    run,
    running,
)
from typedbus.events import COMPONENT_STARTED, FAILED, LIFECYCLE, MOVED, ComponentStarted, Failed, LifecycleEvent, Moved
from typedbus.types import Exits, Hook, HookResult, Logs, Reloads, Starts, Stops, Ticks


async def returns_int() -> int:
    return 0


async def returns_str() -> str:
    return ""


def returns_int_later() -> Awaitable[int]:
    return returns_int()


async def nested() -> Coroutine[Any, Any, None]:
    return later()


async def generates() -> AsyncIterator[None]:
    yield None


async def takes_order(order: Order, /) -> None: ...
async def takes_keyword(*, url: str) -> None: ...
async def log_later(message: str, level: int, /) -> None: ...
async def tell_later(event: LifecycleEvent, /) -> None: ...
async def moved_later(event: Moved, /) -> None: ...
async def started_later(event: ComponentStarted, /) -> None: ...
async def failed_later(event: Failed, /) -> None: ...
async def bill_later(order: Order, /) -> Receipt:
    return Receipt(1)


# Protocols


class StartsWithInt(Starts):
    async def start(self) -> int:  # E
        return 0


class StartsWithOrder(Starts):
    async def start(self, order: Order) -> None: ...  # E


class StartsByIterator(Starts):
    async def start(self) -> AsyncIterator[None]:  # E
        yield None


class StopsWithStr(Stops):
    async def stop(self) -> str:  # E
        return ""


class StopsWithKeyword(Stops):
    async def stop(self, *, now: bool) -> None: ...  # E


class ExitsWithInt(Exits):
    async def exit(self) -> int:  # E
        return 0


class ExitsWithStatus(Exits):
    async def exit(self, status: int) -> None: ...  # E


class ReloadsWithInt(Reloads):
    async def graceful(self) -> int:  # E
        return 0


class ReloadsWithPath(Reloads):
    async def graceful(self, path: str) -> None: ...  # E


class TicksLater(Ticks):
    async def main(self) -> None: ...  # E


class LogsLater(Logs):
    async def log(self, message: str, level: int, /) -> None: ...  # E


class Parent(Starts):
    async def start(self) -> None: ...


class Heir(Parent):
    def start(self) -> None: ...  # E


w1: Starts = StartsWithInt  # E
w2: Starts = Plain()  # E
w3: Stops = Marked()  # E
w4: Reloads = Plain()  # E
w5: Ticks = Plain()  # E


# Marks


class Wrong:
    @on(START)  # E
    async def returns_int(self) -> int:
        return 0

    @on(START)  # E
    def returns_int_now(self) -> int:
        return 0

    @on(STOP)  # E
    async def returns_str(self) -> str:
        return ""

    @on(EXIT)  # E
    async def takes_status(self, status: int) -> None: ...

    @on(GRACEFUL)  # E
    async def takes_path(self, path: str, /) -> None: ...

    @on(START)  # E
    async def takes_keyword(self, *, url: str) -> None: ...

    @on(START)  # E
    async def generates(self) -> AsyncIterator[None]:
        yield None

    @on(START)  # E
    async def nested(self) -> Coroutine[Any, Any, None]:
        return later()

    @on(MAIN)  # E
    async def tick(self) -> None: ...

    @on(LOG)  # E
    async def log(self, message: str, level: int, /) -> None: ...

    @on(LIFECYCLE)  # E
    async def tell(self, event: LifecycleEvent, /) -> None: ...

    @on(MOVED)  # E
    async def moved(self, event: Moved, /) -> None: ...

    @on(COMPONENT_STARTED)  # E
    async def started(self, event: ComponentStarted, /) -> None: ...

    @on(FAILED)  # E
    async def failed(self, event: Failed, /) -> None: ...

    @on(closed)  # E
    async def closes(self) -> None: ...

    @on(order_placed)  # E
    async def bill(self, order: Order, /) -> Receipt:
        return Receipt(1)

    @on(START, priority=3)  # E
    async def at_a_priority(self) -> int:
        return 0

    @on(START, limit=3)  # E
    async def within_a_limit(self, url: str) -> None: ...

    @on(START, limit="3")  # E
    async def text_as_limit(self) -> None: ...

    @on(START, priority=2.5)  # E
    async def half_a_priority(self) -> None: ...

    @on(START, timeout=3)  # E
    async def other_option(self) -> None: ...

    @on(START, inline=True)  # E
    async def inline(self) -> None: ...

    @on(START, inline="yes")  # E
    async def text_as_inline(self) -> None: ...

    @on(START())  # E
    async def called(self) -> None: ...

    @on("start")  # E
    async def named(self) -> None: ...


async def a_mark_keeps_the_type_of_the_method(marked: Marked) -> None:
    marked.begin()  # E
    marked.load()  # E
    await marked.begin(3)  # E
    await marked.begin_now()  # E
    await marked.begin_inline()  # E


# Declarations


class Unmarked:
    async def returns_int(self) -> int:
        return 0

    async def returns_str(self) -> str:
        return ""

    async def takes_path(self, path: str, /) -> None: ...
    async def log_later(self, message: str, level: int, /) -> None: ...
    async def tell_later(self, event: LifecycleEvent, /) -> None: ...
    async def moved_later(self, event: Moved, /) -> None: ...
    async def bill_later(self, order: Order, /) -> Receipt:
        return Receipt(1)


START.calls(Unmarked.returns_int)  # E
START.calls(Unmarked.takes_path)  # E
START.calls(Plain.connect())  # E
START.calls(Plain().connect)  # E
START.calls(Plain.connect, limit="3")  # E
START.calls(Plain.connect, priority="high")  # E
START.calls(Plain.connect, timeout=3)  # E
START.calls(3)  # E
STOP.calls(Unmarked.returns_str)  # E
EXIT.calls(Unmarked.takes_path)  # E
GRACEFUL.calls(Unmarked.takes_path)  # E
MAIN.calls(Plain.connect)  # E
LOG.calls(Unmarked.log_later)  # E
LIFECYCLE.calls(Unmarked.tell_later)  # E
MOVED.calls(Unmarked.moved_later)  # E
closed.calls(Plain.connect)  # E
order_placed.calls(Unmarked.bill_later)  # E
Component(Connection).on(START.calls(Plain.connect))  # E
Component(Plain).on(START.calls(Marked.begin))  # E
Component(Plain).on(Plain.connect)  # E
h1: Hook[Plain] = START.calls(Marked.begin)  # E


# Subscriptions


def subscribing(bus: Bus) -> None:
    bus[START].subscribe(returns_int)  # E
    bus[START].subscribe(returns_int_later)  # E
    bus[START].subscribe(nested)  # E
    bus[START].subscribe(generates)  # E
    bus[START].subscribe(takes_order)  # E
    bus[START].subscribe(takes_keyword)  # E
    bus[START].subscribe(later())  # E
    bus[START].subscribe(later, priority="high")  # E
    bus[START].subscribe(later, 3)  # E
    bus[START].subscribe(later_with)  # E
    bus[START].subscribe(partial(later_with, 3))  # E
    bus[START].subscribe(partial(returns_int))  # E
    bus[START].subscribe(Plain.connect)  # E
    bus[STOP].subscribe(returns_str)  # E
    bus[EXIT].subscribe(returns_int)  # E
    bus[GRACEFUL].subscribe(returns_int)  # E
    bus[START].unsubscribe(returns_int)  # E
    bus[MAIN].subscribe(later)  # E
    bus[LOG].subscribe(log_later)  # E
    bus[LIFECYCLE].subscribe(tell_later)  # E
    bus[MOVED].subscribe(moved_later)  # E
    bus[COMPONENT_STARTED].subscribe(started_later)  # E
    bus[FAILED].subscribe(failed_later)  # E
    bus[closed].subscribe(later)  # E
    bus[order_placed].subscribe(bill_later)  # E
    bus.subscribe(START, returns_int)  # E
    bus.subscribe(STOP, takes_order)  # E
    bus.subscribe(MAIN, later)  # E
    bus.subscribe(LOG, log_later)  # E
    bus.subscribe(LIFECYCLE, tell_later)  # E
    bus.subscribe(MOVED, moved_later)  # E

    @bus[START].subscribe  # E
    async def one() -> int:
        return 0

    @bus[MAIN].subscribe  # E
    async def two() -> None: ...

    @bus[LOG].subscribe(priority=3)  # E
    async def three(message: str, level: int, /) -> None: ...

    print(one, two, three)


# Types of the channels

c1: Channel[[], None] = START  # E
c2: AsyncChannel[[], None] = START  # E
c3: Channel[[], HookResult] = MAIN  # E
c4: Channel[[], HookResult] = AsyncChannel[[], None]("c4")  # E
c5: AsyncChannel[[], HookResult] = STOP  # E
c6: Channel[[], HookResult] = closed  # E


# Async methods of a bus: every coroutine must be awaited


def forgotten(bus: Bus) -> None:
    bus.start_async()  # E
    bus.stop_async()  # E
    bus.exit_async()  # E
    bus.graceful_async()  # E
    bus.block_async()  # E
    bus.wait_async(State.STARTED)  # E


async def forgotten_in_a_coroutine(bus: Bus) -> None:
    bus.start_async()  # E
    bus.stop_async()  # E
    bus.exit_async()  # E
    bus.graceful_async()  # E
    bus.block_async()  # E
    bus.wait_async(State.STARTED)  # E
    if bus.wait_async(State.STARTED) is State.STARTED:  # E
        return


async def awaited(bus: Bus) -> None:
    await bus.start()  # E
    await bus.stop()  # E
    await bus.exit()  # E
    await bus.graceful()  # E
    await bus.block()  # E
    await bus.wait(State.STARTED)  # E
    await bus.log("started")  # E
    await bus.request_exit()  # E
    await bus.restart()  # E
    await bus.start_async  # E
    await bus.start_async(START)  # E
    await bus.stop_async(True)  # E
    await bus.exit_async(1)  # E
    await bus.exit_async(OSError("gone"))  # E
    await bus.graceful_async("now")  # E
    await bus.block_async(0.1)  # E
    await bus.block_async(interval="0.1")  # E
    await bus.wait_async()  # E
    await bus.wait_async("STARTED")  # E
    await bus.wait_async(START)  # E
    await bus.wait_async(["STARTED"])  # E
    await bus.wait_async(State.STARTED, "1")  # E
    await bus.wait_async(State.STARTED, seconds=1)  # E
    r1: State = await bus.wait_async(State.STARTED)  # E
    r2: bool = await bus.wait_async(State.STARTED)  # E
    r3: State | None = bus.wait_async(State.STARTED)  # E
    r4: Bus = await bus.start_async()  # E
    r5: State = await bus.exit_async()  # E
    await bus[START].publish()  # E
    await bus.publish(STOP)  # E
    async with bus.start_async():  # E
        pass
    async with bus:  # E
        pass
    for _ in bus.block_async():  # E
        pass
    print(r1, r2, r3, r4, r5)


def run_by_asyncio(bus: Bus) -> None:
    asyncio.run(bus.start())  # E
    asyncio.run(bus.start_async)  # E
    asyncio.run(bus.block())  # E


def running_coroutines(bus: Bus) -> None:
    bus.run_on_loop(answer)  # E
    bus.run_on_loop(answer("3"))  # E
    bus.run_on_loop(answer, 3)  # E
    bus.run_on_loop(now)  # E
    bus.run_on_loop(now())  # E
    bus.run_on_loop(time.sleep(1))  # E
    bus.run_on_loop()  # E
    bus.run_on_loop(answer(3), 2)  # E
    bus.run_on_loop(bus.start_async)  # E
    bus.run_on_loop(bus.wait(State.STARTED))  # E
    s1: str = bus.run_on_loop(answer(3))  # E
    s2: int = bus.run_on_loop(answer(3)).result()  # E
    print(s1, s2)


async def not_awaited(bus: Bus) -> None:
    await bus.run_on_loop(answer(3))  # E


class Looped(Container):
    bus = Component(Bus)


def other_factories(bus: Bus) -> None:
    bus.loop_factory = 3  # E
    bus.loop_factory = "uvloop"  # E
    bus.loop_factory = asyncio  # E
    bus.loop_factory = asyncio.new_event_loop()  # E
    bus.loop_factory = asyncio.set_event_loop  # E
    bus.loop_factory = later  # E
    bus.loop_factory()  # E
    Bus(loop_factory=asyncio.new_event_loop())  # E
    Bus(loop_factory="uvloop")  # E
    Component(Bus, loop_factory=3)  # E
    run(Looped, loop_factory=asyncio.new_event_loop())  # E
    run(Looped, loop_factory="uvloop")  # E
    run(Looped, loop_factory=later)  # E
    running(Looped, loop_factory=asyncio.new_event_loop)  # E
    f1: Callable[[], asyncio.AbstractEventLoop] = bus.loop_factory  # E
    print(f1)
