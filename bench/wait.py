# a program on its own, no part of a package
"""
How long it takes from a change of state to the thread that waits for it.

``python bench/wait.py`` lets a thread wait for a bus to be STARTED and, turn by
turn in the same run, for a `threading.Event` to be set, and prints how many
milliseconds passed until it ran again. The event is the measure: what is above
it is the bus's own.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable

from typedbus import Bus, State

TRIALS = 200
# Long enough for a thread to be asleep; nothing tells when it is.
SETTLE = 0.005


def latency(wait: Callable[[], object], wake: Callable[[], object]) -> float:
    """Return the seconds from the call of *wake* until *wait* has returned in another thread."""
    woken_at: list[float] = []

    def waiting() -> None:
        wait()
        woken_at.append(time.perf_counter())

    thread = threading.Thread(target=waiting)
    thread.start()
    time.sleep(SETTLE)
    began = time.perf_counter()
    wake()
    thread.join()
    return woken_at[0] - began


def bus_latency() -> float:
    """Return the latency of one `Bus.wait`."""
    bus = Bus()
    return latency(lambda: bus.wait(State.STARTED), bus.start)


def event_latency() -> float:
    """Return the latency of one `threading.Event.wait`."""
    event = threading.Event()
    return latency(event.wait, event.set)


def row(name: str, seconds: list[float]) -> str:
    """Return a line of the table, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    figures = (statistics.median(seconds), cuts[89], cuts[98], max(seconds))
    return f"{name:16}" + "".join(f"{figure * 1000:9.3f}" for figure in figures)


def main() -> None:
    """Measure both, turn by turn, and print the table."""
    pairs = [(bus_latency(), event_latency()) for _ in range(TRIALS)]
    print(f"{f'ms, {TRIALS} trials':16}{'median':>9}{'p90':>9}{'p99':>9}{'max':>9}")
    print(row("Bus.wait", [bus for bus, _ in pairs]))
    print(row("threading.Event", [event for _, event in pairs]))


if __name__ == "__main__":
    main()
