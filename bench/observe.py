# a program on its own, no part of a package
"""
Measure observed and traced publishes against the same publish on a channel that is not observed.

``python bench/observe.py`` prints a table for sync and one for async channels. All rows take turns in one run, and the
fastest round of each counts. The listeners do nothing: the table shows the cost of a publish, not of the work.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import platform
import time
from collections.abc import Callable
from typing import Any

import attrs

from rounds import Measured, measure, pin
from scenarios import Timed
from typedbus import AsyncChannel, Bus, Channel
from typedbus._bus.bus import parts_of
from verbs import listeners

ROUNDS = 100
SECONDS = 0.002
COUNTS = {"one": 1, "ten": 10, "a hundred": 100}

_TIMED = """\
{define} timed(number):
    began = clock()
    for _ in repeat(None, number):
        {statement}
    return clock() - began
"""


class Span:
    """A span that records nothing, like the span of OpenTelemetry outside a trace."""

    def is_recording(self) -> bool:
        """Return False."""
        return False


class Tracer:
    """Checks for each publish whether the current span is recording, and traces no publish."""

    def __init__(self) -> None:
        self.current = contextvars.ContextVar("current", default=Span())

    def decider(self, channel: object, /) -> Callable[[], None]:
        """Return the function that checks."""
        current = self.current.get

        def decide() -> None:
            if current().is_recording():
                raise NotImplementedError

        return decide


def nothing(bus: Bus) -> None:
    """Observe nothing."""


def ended(bus: Bus) -> None:
    """Observe every channel, and end the observation."""
    bus.observe(level="each").close()


def other(bus: Bus) -> None:
    """Observe another channel."""
    bus.observe(Channel[[int], int]("other"), level="each")


def at(level: Any) -> Callable[[Bus], object]:
    """Return a function that observes every channel at *level*."""
    return lambda bus: bus.observe(level=level)


def traced(bus: Bus) -> None:
    """Trace every channel, but no publish."""
    parts_of(bus).registry.trace(Tracer())


def traced_at(level: Any) -> Callable[[Bus], object]:
    """Return a function that observes every channel at *level*, with a tracer that traces no publish."""

    def begin(bus: Bus) -> None:
        bus.observe(level=level)
        traced(bus)

    return begin


@attrs.frozen
class Row:
    """
    A row of a table.

    Attributes:
        name: Its name.
        begin: Called with the bus before the publishes.
        verb: The method that is measured.
    """

    name: str
    begin: Callable[[Bus], object]
    verb: str = "publish"


ROWS = (
    Row("not observed", nothing),
    Row("an observation that has ended", ended),
    Row("another channel is observed", other),
    Row('level "count"', at("count")),
    Row('level "time"', at("time")),
    Row('level "each"', at("each")),
    Row("traced, not recording", traced),
    Row('traced, not recording, level "count"', traced_at("count")),
    Row("`first`, not observed", nothing, "first"),
    Row('`first`, level "count"', at("count"), "first"),
)


def timed(row: Row, count: int, *, is_async: bool, loop: asyncio.AbstractEventLoop) -> Timed:
    """Return a loop of publishes to *count* listeners, as *row* describes."""
    bus = Bus()
    bound: Any = bus[AsyncChannel[[int], int]("measured")] if is_async else bus[Channel[[int], int]("measured")]
    result = "value" if row.verb == "publish" else "None"
    for listen in listeners(count, "value", result, is_async=is_async):
        bound.subscribe(listen)
    row.begin(bus)
    names: dict[str, Any] = {"channel": bound, "clock": time.thread_time, "repeat": itertools.repeat}
    statement = f"{'await ' if is_async else ''}channel.{row.verb}(1)"
    text = _TIMED.format(define="async def" if is_async else "def", statement=statement)
    exec(compile(text, f"<{row.name}>", "exec"), names)
    run = names["timed"]
    return Timed(row.name, (lambda number: loop.run_until_complete(run(number))) if is_async else run)


def table(*, is_async: bool) -> dict[str, dict[str, Measured]]:
    """Return the figures of each row, by number of listeners."""
    loop = asyncio.new_event_loop()
    figures = {}
    for title, count in COUNTS.items():
        contenders = [timed(row, count, is_async=is_async, loop=loop) for row in ROWS]
        figures[title] = measure(contenders, ROWS[0].name, ROUNDS, SECONDS)
    loop.close()
    return figures


def main() -> None:
    """Print the tables."""
    pin(to_one=True)
    print(f"{platform.python_implementation()} {platform.python_version()}, microseconds (ratio to the first row)\n")
    for heading, is_async in (("Listeners", False), ("Async listeners", True)):
        figures = table(is_async=is_async)
        print(f"| {heading} | {' | '.join(COUNTS)} |")
        print(f"| --- |{' ---: |' * len(COUNTS)}")
        for row in ROWS:
            cells = [
                f"{measured[row.name].least / 1e3:.2f} ({measured[row.name].ratio:.2f})"
                for measured in figures.values()
            ]
            print(f"| {row.name} | {' | '.join(cells)} |")
        print()


if __name__ == "__main__":
    main()
