"""Runs that a test controls, and a recorder of their events."""

import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest
from tests.doubles import LIMIT

from typedbus import LOG, RUNS, Bus, Stopping
from typedbus.events import RunEvent


class Worker:
    """
    A run that waits in each call for its next step: an exception to raise, or None to return.

    Attributes:
        calls: How many times it was called.
        stopping: The argument of the last call.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.stopping = Stopping()
        self._called: SimpleQueue[None] = SimpleQueue()
        self._steps: SimpleQueue[BaseException | None] = SimpleQueue()

    def work(self, stopping: Stopping) -> None:
        """Wait for the next step."""
        self.calls += 1
        self.stopping = stopping
        self._called.put(None)
        step = self._steps.get(timeout=LIMIT)
        if step is not None:
            raise step

    def until_called(self) -> None:
        """Wait until the run has been called once more."""
        self._called.get(timeout=LIMIT)

    def fail(self, error: BaseException) -> None:
        """Raise *error* in the current call, or the next one."""
        self._steps.put(error)

    def end(self) -> None:
        """Return from the current call, or the next one."""
        self._steps.put(None)


class Events:
    """The events of the runs of a bus, and the lines on its log."""

    def __init__(self, bus: Bus) -> None:
        self.all: list[RunEvent] = []
        self.lines: list[str] = []
        self._arrived = threading.Condition()
        bus[RUNS].subscribe(self._record)
        bus[LOG].subscribe(self._record_line)

    def _record(self, event: RunEvent) -> None:
        with self._arrived:
            self.all.append(event)
            self._arrived.notify_all()

    def _record_line(self, message: str, _level: int) -> None:
        self.lines.append(message)

    def until(self, kind: type[RunEvent], times: int = 1) -> RunEvent:
        """Wait for the *times*-th event of *kind*, and return it."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self._of(kind)) >= times, LIMIT), self.all
            return self._of(kind)[times - 1]

    def _of(self, kind: type[RunEvent]) -> list[RunEvent]:
        return [event for event in self.all if isinstance(event, kind)]


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Fail if a thread is left when the test has ended."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(LIMIT)
        assert not thread.is_alive(), thread
