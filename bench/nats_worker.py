"""
The processes of the comparison on NATS: each is the publisher or a listener of one contender, and obeys its stdin.

A command is a line of JSON with the name of a method of `Publisher`, or of `Tally`, and its count; ``cpu`` asks for the
processor time of the process. The result is a line of JSON on stdout.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

#: Seconds within which the events of one round must arrive.
LIMIT = 60.0


class Publisher(Protocol):
    """
    The publisher of a contender, with a method for each scenario.

    A method that measures a rate returns when its messages are sent, stored, or answered. A method that measures latencies
    makes its calls one after the other, and returns the nanoseconds of each.
    """

    async def one_way(self, count: int) -> None:
        """Publish at most once."""

    async def submit(self, count: int) -> None:
        """Store events in a stream without a consumer, with at most 1000 in flight."""

    async def end_to_end(self, count: int) -> None:
        """Store events in the stream that the listener consumes, with at most 1000 in flight."""

    async def ask_many(self, count: int) -> None:
        """Request answers, with 64 in flight."""

    async def stored(self, count: int) -> list[int]:
        """Store events, and await each acknowledgement."""

    async def ask(self, count: int) -> list[int]:
        """Request one answer each."""

    async def gather(self, count: int) -> list[int]:
        """Request the answers of three processes each."""


class Tally:
    """
    Counts the messages that a listener receives.

    Attributes:
        took: The nanoseconds from each publish to its listener.
    """

    def __init__(self) -> None:
        self.took: list[int] = []
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._expected = 0
        self._last = 0

    def expect(self, count: int) -> None:
        """Begin to count *count* messages."""
        self.took.clear()
        self._done.clear()
        self._expected = count

    def take(self, stamp: int) -> None:
        """Count a message that was sent at *stamp*; any thread may call it, one at a time."""
        took = self.took
        now = time.perf_counter_ns()
        took.append(now - stamp)
        if len(took) == self._expected:
            self._last = now
            self._loop.call_soon_threadsafe(self._done.set)

    async def arrived(self) -> int:
        """Return when the last of the expected messages came."""
        try:
            await asyncio.wait_for(self._done.wait(), LIMIT)
        except TimeoutError:
            raise RuntimeError(f"{len(self.took)} of {self._expected} messages came within {LIMIT:g} s") from None
        return self._last


async def in_flight(count: int, width: int, call: Callable[[], Awaitable[object]]) -> None:
    """Make *count* calls, *width* at a time."""
    numbers = iter(range(count))

    async def work() -> None:
        for _ in numbers:
            await call()

    await asyncio.gather(*(work() for _ in range(width)))


async def one_by_one(count: int, call: Callable[[], Awaitable[object]]) -> list[int]:
    """Make *count* calls one after the other, and return the nanoseconds of each."""
    took = []
    clock = time.perf_counter_ns
    for _ in range(count):
        began = clock()
        await call()
        took.append(clock() - began)
    return took


async def _commands() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def publish(publisher: Publisher) -> None:
    """Call the methods of *publisher* that stdin names, until it is closed; each result has the time of its call."""
    commands = await _commands()
    print(json.dumps("ready"), flush=True)
    while line := await commands.readline():
        command = json.loads(line)
        if command["do"] == "cpu":
            print(json.dumps(time.process_time()), flush=True)
            continue
        began = time.perf_counter_ns()
        result = await getattr(publisher, command["do"])(command["count"])
        ended = time.perf_counter_ns()
        print(json.dumps({"began": began, "ended": ended, "took": result}), flush=True)


async def listen(tally: Tally) -> None:
    """Count for the commands of stdin until it is closed."""
    commands = await _commands()
    print(json.dumps("ready"), flush=True)
    while line := await commands.readline():
        command = json.loads(line)
        result: object = None
        if command["do"] == "cpu":
            result = time.process_time()
        elif command["do"] == "expect":
            tally.expect(command["count"])
        else:
            result = {"ended": await tally.arrived(), "took": tally.took}
        print(json.dumps(result), flush=True)
