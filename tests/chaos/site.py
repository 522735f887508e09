"""
The site under test: a graph of components whose runs obey commands on stdin, and that write a journal to stdout.

Each line of the journal is written at once, so that the lines of all threads are in the order of the recorded events.
The environment gives the graph: ``TYPEDBUS_CHAOS="SEED SIZE WORKERS"``.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import queue
import signal
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Final, Self

from tests.chaos.graph import random_graph

from typedbus import RUN, RUNS, Bus, Component, Container, Restart, Stopping, on, run
from typedbus.events import MOVED, Moved, RunEvent
from typedbus.plugins.monitor import BackgroundTask

_SEED, _SIZE, _WORKERS = map(int, os.environ["TYPEDBUS_CHAOS"].split())


def record(*words: object) -> None:
    """Write a line of the journal."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Unprintable(Exception):
    """An exception whose text cannot be computed."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


def death(kind: str, run: str) -> BaseException:
    """Return the exception of a death of *kind*."""
    kinds: dict[str, Callable[[], BaseException]] = {
        "error": lambda: OSError(f"the broker of {run} is gone"),
        "fatal": lambda: PermissionError(f"the password of {run} is wrong"),
        "group": lambda: ExceptionGroup(f"two feeds of {run} are gone", [OSError("one"), ValueError("two")]),
        "cancelled": asyncio.CancelledError,
        "unprintable": Unprintable,
    }
    return kinds[kind]()


class Attempt:
    """
    One attempt of a run: it writes its begin and end to the journal, and receives orders.

    Args:
        run: The path of the run.
        stopping: The event of this attempt.
        deliver: Receives the order to end.
    """

    _numbers: ClassVar = itertools.count(1)
    open: ClassVar[dict[int, Attempt]] = {}

    def __init__(self, run: str, stopping: Stopping, deliver: Callable[[str], object]) -> None:
        self.run = run
        self.stopping = stopping
        self.deliver = deliver
        self.number = next(self._numbers)
        self.how = "asked"

    def __enter__(self) -> Self:
        self.open[self.number] = self
        record("begin", self.run, self.number)
        return self

    def __exit__(self, *_error: object) -> None:
        del self.open[self.number]
        # A failure of a run that has been asked to end is a failure of the stop.
        record("end", self.run, self.number, self.how, "late" if self.stopping.is_set() else "own")

    def obey(self, order: str) -> None:
        """Carry out *order*: return, or raise."""
        self.how = order
        if order != "return":
            raise death(order, self.run)


def consume_orders(run: str, stopping: Stopping, *, ready: bool = False) -> None:
    """Run until the end is asked for, or ordered, in a thread."""
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    with Attempt(run, stopping, orders.put) as attempt:
        if ready:
            record("ready", run)
            stopping.ready()
        while not stopping.is_set():
            try:
                order = orders.get(timeout=0.02)
            except queue.Empty:
                continue
            attempt.obey(order)
            return


async def follow_orders(run: str, stopping: Stopping, *, ready: bool = False, deaf: bool = False) -> None:
    """Run until the end is asked for, or ordered, in a task; a deaf one only ends when it is cancelled."""
    loop = asyncio.get_running_loop()
    ordered: asyncio.Queue[str] = asyncio.Queue()

    def deliver(order: str) -> None:
        loop.call_soon_threadsafe(ordered.put_nowait, order)

    with Attempt(run, stopping, deliver) as attempt:
        if ready:
            record("ready", run)
            stopping.ready()
        waits: list[asyncio.Task[Any]] = [asyncio.ensure_future(ordered.get())]
        if not deaf:
            waits.append(asyncio.ensure_future(stopping.until_set()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if waits[0].done():
                attempt.obey(waits[0].result())
        finally:
            for wait in waits:
                wait.cancel()


class Plain:
    """A component without runs."""

    def __init__(self, name: str, *_needs: object) -> None:
        self.name = name

    def start(self) -> None:
        record("start", self.name)

    def stop(self) -> None:
        record("stop", self.name)

    def exit(self) -> None:
        record("exit", self.name)


class InThread(Plain):
    @on(RUN)
    def consume(self, stopping: Stopping) -> None:
        consume_orders(self.name, stopping)


class AsTask(Plain):
    @on(RUN)
    async def follow(self, stopping: Stopping) -> None:
        await follow_orders(self.name, stopping)


class DeafTask(Plain):
    @on(RUN, limit=0.3)
    async def follow(self, stopping: Stopping) -> None:
        await follow_orders(self.name, stopping, deaf=True)


class AwaitedInThread(Plain):
    @on(RUN, awaited=True)
    def consume(self, stopping: Stopping) -> None:
        consume_orders(self.name, stopping, ready=True)


class AwaitedTask(Plain):
    @on(RUN, awaited=True)
    async def follow(self, stopping: Stopping) -> None:
        await follow_orders(self.name, stopping, ready=True)


class Several(Plain):
    @on(RUN)
    def consume(self, stopping: Stopping) -> None:
        consume_orders(f"{self.name}.consume", stopping)

    @on(RUN)
    async def follow(self, stopping: Stopping) -> None:
        await follow_orders(f"{self.name}.follow", stopping)


class Background(BackgroundTask):
    def __init__(self, name: str, bus: Bus, policy: Restart, *_needs: object) -> None:
        super().__init__(bus, self.consume, name=name, restart=policy)

    def start(self) -> None:
        record("start", self.name)
        super().start()

    def stop(self) -> None:
        super().stop()
        record("stop", self.name)

    def exit(self) -> None:
        record("exit", self.name)

    def consume(self, stopping: Stopping) -> None:
        consume_orders(self.name, stopping)


class Commands:
    """Reads commands from stdin, carries them out in a thread of its own, and acknowledges each in the journal."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        threading.Thread(target=self._read, daemon=True).start()
        bus[MOVED].subscribe(self._moved)
        bus[RUNS].subscribe(self._ran)

    def _moved(self, event: Moved) -> None:
        record("moved", event.after.name)

    def _ran(self, event: RunEvent) -> None:
        record("event", type(event).__name__, event.path.removeprefix("Site."))

    def _read(self) -> None:
        # Without a buffer, whose content would be lost for the program that replaces this one.
        text = b""
        while read := os.read(0, 65536):
            *lines, text = (text + read).split(b"\n")
            for line in lines:
                number, *words = line.decode().split()
                outcome = "done"
                try:
                    self._carry_out(*words)
                except BaseException as error:
                    outcome = type(error).__name__
                record("ack", number, outcome)

    def _carry_out(self, command: str, *words: str) -> None:
        match command:
            case "die":
                for word in words:
                    number, order = word.split(":")
                    if (attempt := Attempt.open.get(int(number))) is not None:
                        attempt.deliver(order)
            case "stop":
                self.bus.stop()
            case "start":
                self.bus.start()
            case "exit":
                self.bus.request_exit()
            case "fail":
                self.bus.request_exit(OSError("the operator pulled the plug"))
            case "restart":
                self.bus.restart()
            case "signal":
                os.kill(os.getpid(), signal.Signals[words[0]])
            case "records":
                states = [
                    f"{path.removeprefix('Site.')}={one.state.name}/{int(one.is_ready)}"
                    for path, one in self.bus.runs.items()
                ]
                record("records", self.bus.state.name, *states)
            case _:
                raise ValueError(command)


def _declare() -> dict[str, Any]:
    """Return the components of the graph."""
    bus = Component(Bus, workers=_WORKERS)
    members: dict[str, Any] = {"bus": bus, "commands": Component(Commands, bus.provided)}
    for part in random_graph(_SEED, _SIZE).parts.values():
        needs = [members[need].provided for need in part.needs]
        component: Component[Any]
        if part.is_background:
            assert part.policy is not None
            component = Component(Background, part.name, bus.provided, part.policy, *needs)
        else:
            component = Component(globals()[part.kind], part.name, *needs)
            if part.policy is not None:
                component.supervised(part.policy)
        members[part.name] = component
    return members


record("boot", os.getpid())
Site: Final[type[Container]] = type("Site", (Container,), _declare())

if __name__ == "__main__":
    raise SystemExit(run(Site))
