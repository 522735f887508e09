"""Runs that a test controls, and the events of the runs of a bus."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias, TypeVar

from tests.doubles import LIMIT

from typedbus import RUN, RUNS, Bus, Stopping, on
from typedbus.events import RunEvent

E = TypeVar("E", bound=RunEvent)

Attempt: TypeAlias = Exception | Callable[[Stopping], object]
"""What one call of a `Consumer` does: it raises the exception, or calls the function."""


class RunEvents:
    """The events of the runs of *bus*; the order of events of different runs does not matter to a test."""

    def __init__(self, bus: Bus) -> None:
        self._inbox: SimpleQueue[RunEvent] = SimpleQueue()
        self._events: list[RunEvent] = []
        bus[RUNS].subscribe(self._inbox.put)

    def await_(self, kind: type[E], path: str = "") -> E:
        """Return the next event of *kind*, of the run at *path* if it is given, and drop earlier events of that run."""
        events, self._events = self._events, []
        while True:
            event = events.pop(0) if events else self._inbox.get(timeout=LIMIT)
            if isinstance(event, kind) and path in ("", event.path):
                self._events = [other for other in self._events if other.path != event.path] + events
                return event
            self._events.append(event)


class Consumer:
    """A component with a run whose calls make *attempts*, one each; later calls wait until the run must end."""

    def __init__(self, *attempts: Attempt) -> None:
        self.attempts = iter(attempts)

    @on(RUN)
    def consume(self, stopping: Stopping) -> None:
        attempt = next(self.attempts, Stopping.wait)
        if isinstance(attempt, Exception):
            raise attempt
        attempt(stopping)
