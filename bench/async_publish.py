# a program on its own, no part of a package
"""
Measure an awaited publish against the bare loop that awaits each listener and collects the results.

``python bench/async_publish.py`` prints a table of ratios. All contenders take turns in one run, and the fastest
round of each counts. The listeners do not suspend: the table shows the overhead of the publish, not the work.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from typedbus import AsyncChannel, Bus

ROUNDS = 60
SECONDS = 0.002
Call = Callable[[int], Awaitable[object]]


def listeners(count: int, failing: bool) -> list[Callable[[int], Awaitable[int]]]:
    """Return async functions, each with code of its own; with *failing* the last raises."""
    made = []
    for number in range(count):
        body = "raise ValueError" if failing and number == count - 1 else f"return {number}"
        names: dict[str, Any] = {}
        exec(f"async def listen(value):\n    {body}", names)
        made.append(names["listen"])
    return made


def bare_loop(listens: list[Callable[[int], Awaitable[int]]], failing: bool) -> Call:
    """Return the loop that a program without a library has."""

    async def collect(value: int) -> list[int]:
        results = []
        for listen in listens:
            results.append(await listen(value))  # noqa: PERF401  # as the loop that also handles failures
        return results

    async def collect_all(value: int) -> list[int]:
        results, errors = [], []
        for listen in listens:
            try:
                results.append(await listen(value))
            except Exception as error:
                errors.append(error)
        if errors:
            raise ExceptionGroup("failed", errors)
        return results

    return catching(collect_all) if failing else collect


def written_out(listens: list[Callable[[int], Awaitable[int]]], failing: bool) -> Call:
    """Return a function with an await for each listener in its text, which ends at the first failure."""
    names: dict[str, Any] = {f"listen_{number}": listen for number, listen in enumerate(listens)}
    awaits = "".join(f"        await {name}(value),\n" for name in names)
    exec(f"async def collect(value):\n    return [\n{awaits}    ]", names)
    collect: Call = names["collect"]
    return catching(collect) if failing else collect


def catching(call: Call) -> Call:
    """Return a function that awaits *call* and expects a failure."""

    async def catch(value: int) -> None:
        try:
            await call(value)
        except Exception:
            return
        raise AssertionError("no listener failed")

    return catch


def on_typedbus(listens: list[Callable[[int], Awaitable[int]]], failing: bool, *, concurrent: bool = False) -> Call:
    """Return a publish on an async channel."""
    bound = Bus()[AsyncChannel[[int], int]("measured", concurrent=concurrent)]
    for listen in listens:
        bound.subscribe(listen)
    return catching(bound.publish) if failing else bound.publish


def with_eager_tasks(listens: list[Callable[[int], Awaitable[int]]], failing: bool) -> Call:
    """Return a call that makes a task for each listener, which has ended at once, and collects the results."""
    new_task: Any = functools.partial(asyncio.Task, eager_start=True)  # type: ignore[call-arg]  # from Python 3.12 on

    async def run(value: int) -> list[int]:
        loop = asyncio.get_running_loop()
        tasks = [new_task(listen(value), loop=loop) for listen in listens]
        return [task.result() for task in tasks]

    return catching(run) if failing else run


def with_gather(listens: list[Callable[[int], Awaitable[int]]], failing: bool) -> Call:
    """Return a call of `asyncio.gather`, which collects the exceptions."""

    async def run(value: int) -> object:
        return await asyncio.gather(*[listen(value) for listen in listens], return_exceptions=True)

    return run


def with_task_group(listens: list[Callable[[int], Awaitable[int]]], failing: bool) -> Call:
    """Return a call that runs the listeners in a `TaskGroup`."""

    async def run(value: int) -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(listen(value)) for listen in listens]  # type: ignore[arg-type]
        return [task.result() for task in tasks]

    return catching(run) if failing else run


def on_blinker(listens: list[Callable[[int], Awaitable[int]]], failing: bool) -> Call:
    """Return blinker's async send, which ends at the first failure."""
    from blinker import Signal

    signal = Signal()
    for listen in listens:
        signal.connect(listen, weak=False)
    return catching(signal.send_async) if failing else signal.send_async


def on_aiosignal(listens: list[Callable[[int], Awaitable[int]]], failing: bool) -> Call:
    """Return the send of aiosignal, which collects no results and ends at the first failure."""
    signal: Any = importlib.import_module("aiosignal").Signal(object())
    signal.extend(listens)
    signal.freeze()
    return catching(signal.send) if failing else signal.send


def on_pyee(listens: list[Callable[[int], Awaitable[int]]], failing: bool) -> Call:
    """Return an emit of pyee and the wait for its tasks; it collects no results."""
    emitter: Any = importlib.import_module("pyee.asyncio").AsyncIOEventEmitter()
    for listen in listens:
        emitter.on("measured", listen)
    emitter.on("error", str)  # any callable

    async def emit(value: int) -> None:
        emitter.emit("measured", value)
        await emitter.wait_for_complete()

    return emit


CONTENDERS: dict[str, Callable[..., Call]] = {
    "bare loop": bare_loop,
    "each await written out": written_out,
    "AsyncChannel": on_typedbus,
    "AsyncChannel, concurrent": functools.partial(on_typedbus, concurrent=True),
    **({"eager tasks": with_eager_tasks} if sys.version_info >= (3, 12) else {}),
    "asyncio.gather": with_gather,
    "asyncio.TaskGroup": with_task_group,
    "blinker": on_blinker,
    "aiosignal": on_aiosignal,
    "pyee": on_pyee,
}
SCENARIOS = {"one": (1, False), "ten": (10, False), "a hundred": (100, False), "one of ten fails": (10, True)}


async def seconds_for(call: Call, number: int) -> float:
    """Return the processor time of *number* calls."""
    began = time.thread_time()
    for _ in range(number):
        await call(1)
    return time.thread_time() - began


async def ratios(count: int, failing: bool) -> dict[str, tuple[float, float]]:
    """Return the microseconds of each contender, and the ratio to the bare loop."""
    calls: dict[str, Call] = {}
    for name, make in CONTENDERS.items():
        try:
            calls[name] = make(listeners(count, failing), failing)
        except ImportError:
            continue
    numbers: dict[str, int] = {}
    for name, call in calls.items():
        taken = await seconds_for(call, 200) / 200
        numbers[name] = max(1, int(SECONDS / taken))
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            least[name] = min(least[name], await seconds_for(call, numbers[name]) / numbers[name])
    return {name: (seconds * 1e6, seconds / least["bare loop"]) for name, seconds in least.items()}


async def main() -> None:
    """Print the table."""
    measured = {title: await ratios(*scenario) for title, scenario in SCENARIOS.items()}
    print(f"{platform.python_implementation()} {platform.python_version()}, microseconds (ratio to the bare loop)\n")
    print(f"| | {' | '.join(SCENARIOS)} |")
    print(f"| --- |{' ---: |' * len(SCENARIOS)}")
    for name in measured["one"]:
        cells = [f"{measured[title][name][0]:.2f} ({measured[title][name][1]:.2f})" for title in SCENARIOS]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    asyncio.run(main())
