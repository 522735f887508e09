# a program on its own, no part of a package
"""
Measure observed and traced publishes against the same publish on a channel that is not observed.

``python bench/observe.py`` prints a table for sync and one for async channels. All rows take turns in one run, and the
fastest round of each counts. The listeners do nothing: the table shows the cost of a publish, not of the work.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import attrs

from rounds import Measured, measure, pin
from scenarios import Timed
from tables import print_interpreter, print_table, timed
from typedbus import AsyncChannel, Bus, Channel
from typedbus._bus.bus import parts_of
from verbs import listeners

ROUNDS = 100
SECONDS = 0.002
COUNTS = {"one": 1, "ten": 10, "a hundred": 100}


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


def loop_of(row: Row, count: int, *, is_async: bool, loop: asyncio.AbstractEventLoop) -> Timed:
    """Return a loop of publishes to *count* listeners, as *row* describes."""
    bus = Bus()
    bound: Any = bus[AsyncChannel[[int], int]("measured")] if is_async else bus[Channel[[int], int]("measured")]
    result = "value" if row.verb == "publish" else "None"
    for listen in listeners(count, "value", result, is_async=is_async):
        bound.subscribe(listen)
    row.begin(bus)
    statement = f"{'await ' if is_async else ''}channel.{row.verb}(1)"
    return timed(row.name, statement, {"channel": bound}, loop)


def table(*, is_async: bool) -> dict[str, dict[str, Measured]]:
    """Return the figures of each row, by number of listeners."""
    loop = asyncio.new_event_loop()
    figures = {}
    for title, count in COUNTS.items():
        contenders = [loop_of(row, count, is_async=is_async, loop=loop) for row in ROWS]
        figures[title] = measure(contenders, ROWS[0].name, ROUNDS, SECONDS)
    loop.close()
    return figures


def main() -> None:
    """Print the tables."""
    pin(to_one=True)
    print_interpreter("the first row")
    for heading, is_async in (("Listeners", False), ("Async listeners", True)):
        print_table(heading, table(is_async=is_async))


if __name__ == "__main__":
    main()
