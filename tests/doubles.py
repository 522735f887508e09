"""Components, listeners and clocks that record what happens to them, and calls in threads."""

from __future__ import annotations

import asyncio
import linecache
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection
from typing import Self

import pytest

from typedbus import Container, TransitionFailures, running
from typedbus.types import Inbox

#: The time in seconds after which a thread that does not go on fails the test.
LIMIT = 10.0

# The lines of the bus at which a thread waits for another one.
_WAITING = re.compile(r"(inbox|queue|waiter|woken)\.(acquire|get)\(")
#: And those at which it waits for a lock, which others hold for a moment.
LOCKING = re.compile(r"with [\w.]*lock:")


class HookRecorder:
    """
    A component that records the calls of its hooks, and raises where a test asks for it.

    Args:
        notes: Receives a note for each call: ``"start a"`` for a component named ``a``, ``"start"`` for one without
            a name.
        name: The name in the notes.
        needs: Other components, which are not used.
        failing: The notes after which an `OSError` is raised; read at each call.
        errors: What a hook raises, by its name.
    """

    def __init__(
        self, notes: list[str], name: str = "", *needs: object, failing: Collection[str] = (), **errors: BaseException
    ) -> None:
        self.notes = notes
        self.name = name
        self.failing = failing
        self.errors = errors

    def start(self) -> None:
        self.record("start")

    def stop(self) -> None:
        self.record("stop")

    def exit(self) -> None:
        self.record("exit")

    def record(self, hook: str) -> None:
        """Record a call of *hook*, and raise if the test asked for it."""
        note = f"{hook} {self.name}".rstrip()
        self.notes.append(note)
        if note in self.failing:
            raise OSError(f"no {note}")
        if hook in self.errors:
            raise self.errors[hook]


class ConstructionRecorder(HookRecorder):
    """A `HookRecorder` that records its construction as well: ``"build a"``."""

    def __init__(
        self, notes: list[str], name: str = "", *needs: object, failing: Collection[str] = (), **errors: BaseException
    ) -> None:
        super().__init__(notes, name, *needs, failing=failing, **errors)
        self.record("build")


class ThreadCall(threading.Thread):
    """
    A call in a thread of its own.

    Attributes:
        result: What the call returned.
        error: What it raised.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.result: object = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._call()
        except BaseException as error:
            self.error = error

    def finished(self) -> Self:
        """Wait for the end of the call, and return this; fail with the thread's stack if the call hangs."""
        self.join(LIMIT)
        frame = sys._current_frames().get(self.ident or 0)
        assert frame is None or not self.is_alive(), "".join(traceback.format_stack(frame))
        return self

    def waiting(self, line: re.Pattern[str] = _WAITING) -> Self:
        """Return this as soon as the call waits for another thread, at such a *line* of the bus."""
        until_waiting(self, line)
        return self


def until_waiting(thread: threading.Thread, line: re.Pattern[str] = _WAITING) -> None:
    """Return as soon as *thread* waits for another thread, at such a *line* of the bus."""
    moment, deadline = threading.Event(), time.monotonic() + LIMIT
    before, here = None, (0, 0, "")
    while before != here or not line.search(here[2]):
        assert time.monotonic() < deadline, f"the thread does not wait; it is at {here[2]!r}"
        moment.wait(0.0005)
        frame, before = sys._current_frames().get(thread.ident or 0), here
        if frame is not None:
            # Between two lines of its code a frame has no line number.
            here = (id(frame), frame.f_lasti, linecache.getline(frame.f_code.co_filename, frame.f_lineno or 0))


def failure_on_a_loop(container: type[Container]) -> Exception:
    """Start *container* with ``async with running(...)``, and return the failure of its only hook that fails."""

    async def main() -> None:
        async with running(container):
            raise AssertionError

    with pytest.raises(TransitionFailures) as failed:
        asyncio.run(main())
    (error,) = failed.value.exceptions
    return error


def raising(error: BaseException) -> Callable[[], None]:
    """Return a listener that raises *error*."""

    def raises() -> None:
        raise error

    return raises


class TickingClock:
    """A clock that advances only while a thread waits on it, and records the lengths of the waits."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.seconds

    def wait(self, inbox: Inbox, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds
