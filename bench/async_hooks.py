# a program on its own, no part of a package
"""
Measure what a transition adds to the work of a hook, for sync and async hooks.

``python bench/async_hooks.py`` prints a table. All rows take turns in one run, and the fastest round of each counts.
The hooks do nothing. The bare handover, to which the ratios refer, is the least that a thread can do for a coroutine:
``asyncio.run_coroutine_threadsafe(hook(), loop).result()``. Times are wall times, because two threads take part.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import platform
import threading
import time
from collections.abc import Callable
from typing import Any

from typedbus import START, STOP, Bus, Component, Container, Limits

HOOKS = 500
ROUNDS = 40


class Part:
    """A component whose hooks are sync."""

    def start(self) -> None:
        """Start nothing."""

    def stop(self) -> None:
        """Stop nothing."""


class AsyncPart:
    """A component whose hooks are async."""

    async def start(self) -> None:
        """Start nothing."""

    async def stop(self) -> None:
        """Stop nothing."""


def bus_of(part: type[Part | AsyncPart], **settings: Any) -> Bus:
    """Return a bus with the hooks of `HOOKS` components."""
    bus = Bus(**settings)
    for _ in range(HOOKS):
        component = part()
        bus[START].subscribe(component.start)
        bus[STOP].subscribe(component.stop)
    return bus


def bus_of_container(part: type[Part | AsyncPart], **settings: Any) -> Bus:
    """Return the bus of a container of `HOOKS` components."""
    names: dict[str, Any] = {f"part{number}": Component(part) for number in range(HOOKS)}
    container: Any = type("Shop", (Container,), {"bus": Component(Bus, **settings), **names})
    bus: Bus = container().attach()
    return bus


class Transitions:
    """Starts and stops a bus with the sync methods."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.measure()  # constructs the components

    def measure(self) -> tuple[float, float]:
        """Return the seconds of a start and of a stop."""
        return timed(self.bus.start), timed(self.bus.stop)

    def close(self) -> None:
        """Exit the bus."""
        self.bus.exit()


class AsyncTransitions:
    """Starts and stops a bus with the async methods, on a loop of its own that is not the bus's."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.loop = asyncio.new_event_loop()
        self.measure()  # constructs the components

    def measure(self) -> tuple[float, float]:
        """Return the seconds of a start and of a stop."""
        run = self.loop.run_until_complete
        return timed(lambda: run(self.bus.start_async())), timed(lambda: run(self.bus.stop_async()))

    def close(self) -> None:
        """Exit the bus and close the loop."""
        self.loop.run_until_complete(self.bus.exit_async())
        self.loop.close()


class Handovers:
    """Hands coroutines over to a loop in another thread, and waits for each."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.part = AsyncPart()

    def measure(self) -> tuple[float, float]:
        """Return the seconds of as many handovers as a transition has hooks, twice."""
        return timed(self.hand_over), timed(self.hand_over)

    def hand_over(self) -> None:
        """Hand over the coroutines one by one."""
        for _ in range(HOOKS):
            future: concurrent.futures.Future[None]
            future = asyncio.run_coroutine_threadsafe(self.part.start(), self.loop)
            future.result()

    def close(self) -> None:
        """End the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


LIMITED = Limits(hook=60)
ROWS: dict[str, Callable[[], Transitions | AsyncTransitions | Handovers]] = {
    "bare handover": Handovers,
    "sync hooks": lambda: Transitions(bus_of(Part)),
    "sync hooks with a limit": lambda: Transitions(bus_of(Part, limits=LIMITED)),
    "async hooks, the bus's loop": lambda: Transitions(bus_of(AsyncPart)),
    "async hooks, the caller's loop": lambda: AsyncTransitions(bus_of(AsyncPart)),
    "async hooks with a limit, the bus's loop": lambda: Transitions(bus_of(AsyncPart, limits=LIMITED)),
    "async hooks with a limit, the caller's loop": lambda: AsyncTransitions(bus_of(AsyncPart, limits=LIMITED)),
    "container, sync hooks": lambda: Transitions(bus_of_container(Part)),
    "container, async hooks, the bus's loop": lambda: Transitions(bus_of_container(AsyncPart)),
    "container, async hooks, four workers, the bus's loop": lambda: Transitions(bus_of_container(AsyncPart, workers=4)),
    "container, async hooks, four workers, the caller's loop": lambda: AsyncTransitions(
        bus_of_container(AsyncPart, workers=4)
    ),
}


def timed(call: Callable[[], object]) -> float:
    """Return how many seconds *call* takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    rows = {name: make() for name, make in ROWS.items()}
    least = dict.fromkeys(rows, (float("inf"), float("inf")))
    for _ in range(ROUNDS):
        for name, row in rows.items():
            start, stop = row.measure()
            least[name] = min(least[name][0], start), min(least[name][1], stop)
    for row in rows.values():
        row.close()
    bare = min(least["bare handover"])
    print(f"{platform.python_implementation()} {platform.python_version()}, microseconds per hook (ratio)\n")
    print("| | start | stop |\n| --- | ---: | ---: |")
    for name, seconds in least.items():
        cells = " | ".join(f"{value / HOOKS * 1e6:.1f} ({value / bare:.2f})" for value in seconds)
        print(f"| {name} | {cells} |")


if __name__ == "__main__":
    main()
