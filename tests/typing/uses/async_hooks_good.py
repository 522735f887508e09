"""Right uses of async hooks, and of the async methods of a bus."""

import abc
import asyncio
import concurrent.futures
import os
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Generic, TypeVar, assert_type

from typedbus import (
    EXIT,
    GRACEFUL,
    LOG,
    MAIN,
    START,
    STOP,
    Bus,
    Component,
    Container,
    State,
    Subscription,
    in_thread,
    on,
    run,
)
from typedbus.types import Exits, Hook, Reloads, Starts, Stops

Item = TypeVar("Item")
FORKS = bool(os.environ.get("FORKS"))


class Connection:
    """Hooks found by their names."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def exit(self) -> None: ...
    async def graceful(self) -> None: ...
    def main(self) -> None: ...
    def log(self, message: str, level: int, /) -> None: ...


class Checked(Starts, Stops, Exits, Reloads):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def exit(self) -> None: ...
    async def graceful(self) -> None: ...


class CheckedMixture(Starts, Stops, Exits, Reloads):
    def start(self) -> None: ...
    async def stop(self) -> None: ...
    def exit(self) -> None: ...
    def graceful(self) -> None: ...


class Heir(CheckedMixture):
    def start(self) -> None: ...
    async def stop(self) -> None: ...


class Optional(Starts):
    async def start(self, retries: int = 3, *, url: str = "") -> None: ...


class Marked:
    @on(START)
    async def begin(self) -> None: ...

    @on(START)
    def begin_now(self) -> None: ...

    @on(START, limit=2.5)
    async def begin_within(self) -> None: ...

    @on(START, inline=True)
    def begin_inline(self) -> None: ...

    @on(START, inline=FORKS)
    def begin_perhaps_inline(self) -> None: ...

    @on(START, inline=False)
    async def begin_elsewhere(self) -> None: ...

    @on(STOP)
    async def end(self) -> None: ...

    @on(EXIT)
    async def leave(self) -> None: ...

    @on(GRACEFUL)
    async def reload(self) -> None: ...

    @on(START)
    @on(GRACEFUL)
    async def load(self) -> None: ...

    @on(STOP)
    @on(EXIT)
    def close(self) -> None: ...

    @on(START)
    async def with_an_option(self, retries: int = 3) -> None: ...

    @on(START)
    @classmethod
    async def of_the_class(cls) -> None: ...


class Early:
    @on(START, priority=10)
    async def begin(self) -> None: ...

    @on(START, priority=10, limit=2)
    async def begin_within(self) -> None: ...

    @on(START, priority=10, inline=True)
    def begin_inline(self) -> None: ...

    @on(STOP, priority=10)
    async def end(self) -> None: ...


class Plain:
    """Hooks that only `calls` declares."""

    async def connect(self) -> None: ...
    async def disconnect(self) -> None: ...
    def open(self) -> None: ...


async def later() -> None: ...
async def later_with(url: str, retries: int = 3) -> None: ...
def now() -> None: ...


class Callable_:
    async def __call__(self) -> None: ...


connects: Hook[Plain] = START.calls(Plain.connect)
connects_early: Hook[Plain] = START.calls(Plain.connect, priority=3, limit=1.5)
disconnects: Hook[Plain] = STOP.calls(Plain.disconnect, limit=2)
opens_inline: Hook[Plain] = START.calls(Plain.open, inline=True)
reconnects: Hook[Plain] = GRACEFUL.calls(Plain.connect)


class Shop(Container):
    bus = Component(Bus)
    connection = Component(Connection)
    checked = Component(Checked)
    marked = Component(Marked)
    early = Component(Early)
    plain = Component(Plain).on(connects_early, disconnects, START.calls(Plain.open, priority=3))
    again = Component(Plain).on(START.calls(Plain.connect), STOP.calls(Plain.disconnect), GRACEFUL.calls(Plain.open))


starts: Starts = Connection()
starts_checked: Starts = Checked()
stops: Stops = Connection()
exits: Exits = Connection()
reloads: Reloads = Connection()


async def a_mark_keeps_the_type_of_the_method(marked: Marked, early: Early) -> None:
    assert_type(await marked.begin(), None)
    assert_type(await early.begin_within(), None)
    assert_type(await marked.load(), None)
    begin: Callable[[], None] = marked.begin_inline
    begin()
    marked.begin_now()
    marked.close()


def functions_listen_to_the_life_cycle(bus: Bus) -> None:
    assert_type(bus[START].subscribe(later), Subscription)
    bus[START].subscribe(now)
    bus[START].subscribe(partial(later_with, "sqlite:"))
    bus[START].subscribe(Callable_())
    bus[START].subscribe(Plain().connect, priority=3)
    bus[STOP].subscribe(later)
    bus[EXIT].subscribe(later)
    bus[GRACEFUL].subscribe(later)
    bus[START].unsubscribe(later)
    bus.subscribe(START, later)
    bus.subscribe(STOP, later, priority=3)
    bus.unsubscribe(START, later)
    bus[MAIN].subscribe(now)
    bus[LOG].subscribe(Connection().log)

    @bus[START].subscribe
    async def decorated() -> None: ...

    @bus[STOP].subscribe(priority=3)
    async def decorated_early() -> None: ...

    with bus[EXIT].subscribe(later):
        print(decorated, decorated_early)


async def a_bus_is_awaited(bus: Bus, states: set[State]) -> None:
    assert_type(await bus.start_async(), None)
    await bus.graceful_async()
    await bus.stop_async()
    await bus.exit_async()
    await bus.block_async()
    await bus.block_async(interval=1, patience=2.5)
    assert_type(await bus.wait_async(State.STARTED), State | None)
    await bus.wait_async(State.STARTED, 1)
    await bus.wait_async(State.STARTED, timeout=0.5)
    await bus.wait_async([State.STOPPED, State.EXITED], timeout=None)
    await bus.wait_async(states)
    if (reached := await bus.wait_async(states)) is not None:
        assert_type(reached, State)
    async with asyncio.TaskGroup() as group:
        group.create_task(bus.start_async())
    await asyncio.gather(bus.stop_async(), bus.wait_async(State.EXITED))
    start: Coroutine[Any, Any, None] = bus.start_async()
    await start
    asyncio.create_task(bus.exit_async())  # noqa: RUF006  # only checked


async def answer(number: int) -> str:
    return str(number)


def new_loop() -> asyncio.SelectorEventLoop:
    return asyncio.SelectorEventLoop()


def a_bus_runs_coroutines_for_threads(bus: Bus) -> None:
    future = bus.run_on_loop(answer(3))
    assert_type(future, concurrent.futures.Future[str])
    assert_type(bus.run_on_loop(answer(3)).result(), str)
    assert_type(bus.run_on_loop(later()).result(timeout=2), None)
    bus.run_on_loop(bus.wait_async(State.EXITED)).add_done_callback(print)


def a_bus_has_a_loop_factory(bus: Bus) -> None:
    bus.loop_factory = asyncio.new_event_loop
    bus.loop_factory = new_loop
    bus.loop_factory = asyncio.SelectorEventLoop
    bus.loop_factory = lambda: asyncio.new_event_loop()
    bus.loop_factory = None
    assert_type(Bus(loop_factory=new_loop).loop_factory, Callable[[], asyncio.AbstractEventLoop] | None)
    assert_type(Component(Bus, workers=2, loop_factory=asyncio.new_event_loop), Component[Bus])
    assert_type(run(Shop, loop_factory=asyncio.new_event_loop), int)
    assert_type(run(Shop, loop_factory=None, workers=4), int)


class Pool(abc.ABC):
    """Hooks of base classes, and hooks behind other decorators."""

    @abc.abstractmethod
    async def start(self) -> None: ...

    @on(STOP)
    @in_thread
    def flush(self) -> None: ...

    @on(EXIT)
    async def leave(self) -> None: ...


class Connections(Pool):
    async def start(self) -> None:
        self.task = asyncio.create_task(self.poll())

    async def stop(self) -> None:
        self.task.cancel()

    async def leave(self) -> None: ...

    async def poll(self) -> None: ...


class Query(Generic[Item]):
    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items

    async def start(self) -> None: ...

    @on(STOP, priority=3)
    async def end(self) -> None: ...


class Site(Container):
    bus = Component(Bus)
    connections = Component(Connections)
    query = Component(Query[int], [1, 2])
    several = Component(Plain).on(*(channel.calls(Plain.connect) for channel in (START, GRACEFUL)))


def further_functions_listen(bus: Bus, connections: Connections) -> None:
    bus[START].subscribe(in_thread(now))
    bus[START].subscribe(lambda: None)
    bus[START].subscribe(connections.poll)
    bus[STOP].subscribe(connections.flush)
    for channel in (START, STOP, EXIT, GRACEFUL):
        bus[channel].subscribe(later)
        bus[channel].unsubscribe(later)


async def hooks_are_called_in_tests(connections: Connections, query: Query[int]) -> None:
    await connections.start()
    await connections.flush()
    await connections.leave()
    await query.end()
    assert_type(query.items, Sequence[int])
