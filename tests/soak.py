"""
Uses buses at random from threads and tasks, and checks that nothing leaks: ``python -m tests.soak --seconds 600``.

In each round a container is started, stopped and exited, and its channels are published, at random, while publishers
and starts are cancelled. After the round every component is closed, and there is no other task, thread or open file
than before. At the end there are no more objects than after the first rounds, and the process has not grown.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import faulthandler
import gc
import random
import socket
import statistics
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from typedbus import (
    AsyncBoundChannel,
    AsyncChannel,
    Bus,
    Channel,
    ChannelFailures,
    Component,
    Container,
    LoopError,
    StartCancelled,
    State,
    TransitionError,
    TransitionFailures,
    on,
)

PATIENCE: Final = 30.0
"""The seconds after which a round that does not end fails."""

WARM_UP: Final = 5
"""The rounds after which the caches of the interpreter and of typedbus are full."""

OBJECTS: Final = 0.02
"""The largest share by which the number of objects may grow; one bus for each round would be far more."""

PAGES: Final = 2500
"""The number of pages, ten megabytes, by which the memory of the process may grow: the allocator returns it late."""

EXPECTED: Final = (
    ChannelFailures,
    ConnectionError,
    LoopError,
    StartCancelled,
    TimeoutError,
    TransitionError,
    TransitionFailures,
)

asked = AsyncChannel[[int], int]("asked")
counted = AsyncChannel[[int], int]("counted", concurrent=True)
noted = Channel[[int], int]("noted")

chance = random.Random()
open_parts: set[object] = set()
counts: collections.Counter[str] = collections.Counter()


class Refused(Exception):
    """Raised by hooks and listeners at random."""


def sometimes_fail() -> None:
    """Raise at random."""
    if chance.random() < 0.05:
        counts["failures"] += 1
        raise Refused


async def wait() -> None:
    """Suspend for a short while, or not."""
    if chance.random() < 0.7:
        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.005]))


class Part:
    """Is open from its start to its stop; its hooks and listeners are sync."""

    def start(self) -> None:
        sometimes_fail()
        open_parts.add(self)

    def stop(self) -> None:
        open_parts.remove(self)
        sometimes_fail()

    @on(noted)
    def note(self, number: int, /) -> int:
        sometimes_fail()
        return number


class Counter:
    """Is open from its start to its stop; its hooks and listeners are async."""

    def __init__(self, part: Part) -> None:
        self.part = part

    async def start(self) -> None:
        await wait()
        sometimes_fail()
        open_parts.add(self)

    async def stop(self) -> None:
        open_parts.remove(self)
        await wait()
        sometimes_fail()

    async def graceful(self) -> None:
        await wait()

    async def exit(self) -> None:
        await wait()

    @on(counted)
    @on(asked)
    async def count(self, number: int, /) -> int:
        await wait()
        sometimes_fail()
        counts["calls of an async listener"] += 1
        return number


class Server:
    """Listens on a socket from its start to its stop."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.server: asyncio.Server | None = None

    async def start(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, sock=listening, start_serving=False)
        try:
            await server.start_serving()
            sometimes_fail()
        except BaseException:
            server.close()
            raise
        self.server = server
        open_parts.add(self)
        counts["starts"] += 1

    async def stop(self) -> None:
        open_parts.remove(self)
        assert self.server is not None
        self.server.close()
        self.server = None
        await wait()


class Shop(Container):
    """The components, and a bus."""

    bus = Component(Bus)
    part = Component(Part)
    counter = Component(Counter, part.provided)
    server = Component(Server, counter.provided)


def act_in_thread(bus: Bus, actions: int) -> None:
    """Do something with the bus at random, in a thread without an event loop."""
    channels: list[AsyncBoundChannel[[int], int]] = [bus[asked], bus[counted]]
    calls: list[Callable[[], object]] = [
        bus.start,
        bus.stop,
        bus.exit,
        bus.graceful,
        *[lambda: chance.choice(channels).publish_from_thread(1)] * 4,
        *[lambda: bus[noted].publish(1)] * 4,
        lambda: chance.choice(channels).subscribe(lambda number: number).cancel(),
    ]
    for _ in range(actions):
        with contextlib.suppress(*EXPECTED):
            chance.choice(calls)()


async def act_in_task(bus: Bus, actions: int) -> None:
    """Do something with the bus at random, and cancel some of it."""
    channels: list[AsyncBoundChannel[[int], int]] = [bus[asked], bus[counted]]
    calls: list[Callable[[], Awaitable[object]]] = [
        *[bus.start_async] * 3,
        bus.stop_async,
        bus.exit_async,
        bus.graceful_async,
        *[lambda: chance.choice(channels).publish(1)] * 8,
        *[lambda: bus[noted].publish_in_thread(1)] * 2,
    ]

    async def act() -> None:
        with contextlib.suppress(*EXPECTED):
            await chance.choice(calls)()

    for _ in range(actions):
        if chance.random() < 0.5:
            await act()
        elif chance.random() < 0.5:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(chance.choice([0, 0.001, 0.005])):
                    await act()
        else:
            task = asyncio.create_task(act())
            await wait()
            task.cancel()  # once: at a second cancellation of a start or a stop the hooks that run are given up
            await asyncio.wait([task])
            counts["cancellations"] += task.cancelled()


async def play(bus: Bus) -> None:
    """Use *bus* from some threads and tasks at the same time, and exit it."""
    faults: list[BaseException] = []

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # That of a publish in a worker thread whose task was cancelled.
        if not isinstance(context.get("exception"), EXPECTED):
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(handle)

    def run() -> None:
        try:
            act_in_thread(bus, 15)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run, name=f"actor {number}") for number in range(chance.randrange(1, 4))]
    for thread in threads:
        thread.start()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(chance.randrange(1, 5)):
            tasks.create_task(act_in_task(bus, 15))
    for thread in threads:
        await asyncio.to_thread(thread.join)
    if faults:
        raise BaseExceptionGroup("in threads", faults)
    while bus.state is not State.EXITED:
        with contextlib.suppress(*EXPECTED):
            await bus.exit_async()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def files() -> dict[str, str]:
    """Return what each file descriptor refers to, where the system shows it."""
    names: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                names[descriptor.name] = str(descriptor.readlink())
    return names


def pages() -> int:
    """Return the resident memory of the process in pages, or 0 where the system does not show it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0


def until_equal(measure: Callable[[], Any], expected: object) -> None:
    """Wait until *measure* returns *expected*; threads may end a moment after they have reported so."""
    deadline = time.monotonic() + PATIENCE
    while (value := measure()) != expected:
        assert time.monotonic() < deadline, f"{value} instead of {expected}"
        time.sleep(0.001)


def soak(seconds: float, seed: int) -> str:
    """Play rounds for some seconds, and return a line with figures; raise `AssertionError` if anything leaks."""
    chance.seed(seed)
    kept = Shop()
    threads, descriptors = set(threading.enumerate()), files()
    objects: list[int] = []
    memory: list[int] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(objects) < 3 * WARM_UP:
        # A hang shows the stacks of all threads.
        faulthandler.dump_traceback_later(2 * PATIENCE, exit=True)
        shop = Shop() if chance.random() < 0.5 else kept
        bus = weakref.ref(shop.bus())
        asyncio.run(play(shop.bus()))
        assert not open_parts, open_parts
        until_equal(lambda: set(threading.enumerate()), threads)
        until_equal(files, descriptors)
        is_kept = shop is kept
        del shop
        gc.collect()
        assert is_kept or bus() is None, gc.get_referrers(bus())
        objects.append(len(gc.get_objects()))
        memory.append(pages())
    faulthandler.cancel_dump_traceback_later()
    before, after = statistics.median(objects[WARM_UP : 2 * WARM_UP]), statistics.median(objects[-WARM_UP:])
    events = ", ".join(f"{count} {event}" for event, count in counts.items())
    figures = f"{len(objects)} rounds with {events}; {before:.0f} and {after:.0f} objects; {memory[WARM_UP]} and {memory[-1]} pages"
    assert len(counts) == 4, figures
    assert after <= before * (1 + OBJECTS), figures
    assert memory[-1] <= memory[WARM_UP] + PAGES, figures
    return figures


def main() -> None:
    """Read the options, and soak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}, Python {sys.version.split()[0]}", flush=True)
    print(soak(options.seconds, options.seed))


if __name__ == "__main__":
    main()
