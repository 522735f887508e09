# a program on its own, no part of a package
"""
What waiting costs: how soon `wait` wakes, whether ticks drift, and what an idle bus takes.

``python bench/wait.py`` measures, turn by turn in one run, from the end of a
start until a thread goes on that waits for it: in `Bus.wait`, and on a
`threading.Event` that is set when `start` has returned, as one would write it
without `wait`. Both thus hear of the same start, whose own time is in neither.
Then it lets a bus tick and tells how late each tick was, and lets one idle.
"""

from __future__ import annotations

import resource
import statistics
import threading
import time
from collections.abc import Callable, Sequence

from typedbus import MAIN, START, Bus, State

TRIALS = 300
# Long enough for a thread to be asleep; nothing tells when it is.
SETTLE = 0.002
TICKS = 200
INTERVAL = 0.01
IDLE = 3.0


def woken(wait: Callable[[], object], wake: Callable[[], float]) -> float:
    """Return the seconds from the moment that *wake* tells until *wait* has returned in another thread."""
    at: list[float] = []

    def waiting() -> None:
        wait()
        at.append(time.perf_counter())

    thread = threading.Thread(target=waiting)
    thread.start()
    time.sleep(SETTLE)
    began = wake()
    thread.join()
    return at[0] - began


def started() -> tuple[Bus, list[float]]:
    """Return a bus, and the list into which its last listener writes when it was called."""
    bus = Bus()
    ended: list[float] = []
    bus[START].subscribe(lambda: ended.append(time.perf_counter()), priority=99)
    return bus, ended


def bus_latency() -> float:
    """Return the latency of one `Bus.wait`."""
    bus, ended = started()

    def wake() -> float:
        bus.start()
        return ended[0]

    return woken(lambda: bus.wait(State.STARTED), wake)


def event_latency() -> float:
    """Return that of a `threading.Event` that is set when the bus has started."""
    bus, ended = started()
    event = threading.Event()

    def wake() -> float:
        bus.start()
        event.set()
        return ended[0]

    return woken(event.wait, wake)


def bare_latency() -> float:
    """Return that of a `threading.Event` alone, without any bus."""
    event = threading.Event()

    def wake() -> float:
        began = time.perf_counter()
        event.set()
        return began

    return woken(event.wait, wake)


def waking(trials: int) -> dict[str, list[float]]:
    """Return the seconds of each of *trials*, measured in turns."""
    ways = {"Event alone": bare_latency, "Event after start()": event_latency, "Bus.wait": bus_latency}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(trials):
        for name, way in ways.items():
            taken[name].append(way())
    return taken


def ticking(ticks: int, interval: float) -> list[float]:
    """Return how many seconds each of *ticks* came after its due time, as the first one sets it."""
    bus = Bus()
    at: list[float] = []

    @bus[MAIN].subscribe
    def tick() -> None:
        at.append(time.monotonic())
        if len(at) == ticks:
            bus.request_exit()

    bus.start()
    bus.block(interval=interval)
    return [came - at[0] - number * interval for number, came in enumerate(at)]


def idling(seconds: float) -> tuple[float, int]:
    """Return the seconds of CPU that a bus takes that blocks for so long with nothing to do, and how often it woke up."""
    bus = Bus()
    bus.start()
    before: list[resource.struct_rusage] = []
    timer = threading.Timer(seconds, bus.request_exit)
    timer.start()
    before.append(resource.getrusage(resource.RUSAGE_THREAD))
    bus.block()
    after = resource.getrusage(resource.RUSAGE_THREAD)
    took = after.ru_utime + after.ru_stime - before[0].ru_utime - before[0].ru_stime
    return took, after.ru_nvcsw - before[0].ru_nvcsw


def row(name: str, seconds: Sequence[float]) -> str:
    """Return a line of the table, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    figures = (statistics.median(seconds), cuts[89], cuts[98], max(seconds))
    return f"{name:22}" + "".join(f"{figure * 1000:9.3f}" for figure in figures)


def main() -> None:
    """Measure, and print."""
    print(f"{f'ms, {TRIALS} trials':22}{'median':>9}{'p90':>9}{'p99':>9}{'max':>9}")
    for name, seconds in waking(TRIALS).items():
        print(row(name, seconds))
    late = ticking(TICKS, INTERVAL)
    print(
        f"{TICKS} ticks every {INTERVAL * 1000:g} ms: the last was {late[-1] * 1000:.3f} ms late, the median {statistics.median(late) * 1000:.3f}"
    )
    took, wakes = idling(IDLE)
    print(f"{IDLE:g} s of an idle bus: {took * 1000:.3f} ms of CPU, woken {wakes} time(s)")


if __name__ == "__main__":
    main()
