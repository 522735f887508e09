# a program on its own, no part of a package
"""
The costs of waiting: how soon `wait` returns, whether ticks drift, and what an idle bus uses.

``python bench/wait.py`` measures the time from the end of a start until a thread
that waits for it continues, with two ways of waiting in turns: in `Bus.wait`, and
for a `threading.Event` that is set when `start` has returned, the solution without
`wait`. The duration of the start is not included. Then it measures how late the
ticks of a bus are, and the processor time of an idle bus.
"""

from __future__ import annotations

import resource
import statistics
import threading
import time
from collections.abc import Callable, Sequence

from typedbus import MAIN, START, Bus, State

TRIALS = 300
# Long enough for a thread to block; whether it has cannot be observed.
SETTLE = 0.002
TICKS = 200
INTERVAL = 0.01
IDLE = 3.0


def latency(wait: Callable[[], object], wake: Callable[[], float]) -> float:
    """Return the seconds from the time that *wake* returns until *wait* has returned in another thread."""
    times: list[float] = []

    def work() -> None:
        wait()
        times.append(time.perf_counter())

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(SETTLE)
    began = wake()
    thread.join()
    return times[0] - began


def timed_bus() -> tuple[Bus, list[float]]:
    """Return a bus, and a list to which the last listener of its start appends the time."""
    bus = Bus()
    ended: list[float] = []
    bus[START].subscribe(lambda: ended.append(time.perf_counter()), priority=99)
    return bus, ended


def bus_latency() -> float:
    """Return the latency of one `Bus.wait`."""
    bus, ended = timed_bus()

    def wake() -> float:
        bus.start()
        return ended[0]

    return latency(lambda: bus.wait(State.STARTED), wake)


def event_latency() -> float:
    """Return the latency of a `threading.Event` that is set when the bus has started."""
    bus, ended = timed_bus()
    event = threading.Event()

    def wake() -> float:
        bus.start()
        event.set()
        return ended[0]

    return latency(event.wait, wake)


def bare_latency() -> float:
    """Return the latency of a `threading.Event` without a bus."""
    event = threading.Event()

    def wake() -> float:
        began = time.perf_counter()
        event.set()
        return began

    return latency(event.wait, wake)


def waking(trials: int) -> dict[str, list[float]]:
    """Return the latencies of each way of waiting, measured in turns."""
    ways = {"Event alone": bare_latency, "Event after start()": event_latency, "Bus.wait": bus_latency}
    latencies: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(trials):
        for name, way in ways.items():
            latencies[name].append(way())
    return latencies


def ticking(ticks: int, interval: float) -> list[float]:
    """Return how many seconds each of *ticks* was late, relative to the first tick."""
    bus = Bus()
    times: list[float] = []

    @bus[MAIN].subscribe
    def tick() -> None:
        times.append(time.monotonic())
        if len(times) == ticks:
            bus.request_exit()

    bus.start()
    bus.block(interval=interval)
    return [tick_time - times[0] - number * interval for number, tick_time in enumerate(times)]


def idling(seconds: float) -> tuple[float, int]:
    """Return the processor time and the number of wake-ups of a bus that blocks for *seconds* without work."""
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
    """Measure and print."""
    print(f"{f'ms, {TRIALS} trials':22}{'median':>9}{'p90':>9}{'p99':>9}{'max':>9}")
    for name, seconds in waking(TRIALS).items():
        print(row(name, seconds))
    late = ticking(TICKS, INTERVAL)
    print(
        f"{TICKS} ticks every {INTERVAL * 1000:g} ms: the last was {late[-1] * 1000:.3f} ms late, the median {statistics.median(late) * 1000:.3f}"
    )
    took, wakes = idling(IDLE)
    print(f"{IDLE:g} s of an idle bus: {took * 1000:.3f} ms of processor time, {wakes} wake-up(s)")


if __name__ == "__main__":
    main()
