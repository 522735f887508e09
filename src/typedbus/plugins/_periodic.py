"""
Something done again and again in a thread of its own.

The thread sleeps on a queue and not for a time: whoever stops it puts something
in, and it wakes at once, be its period a second or a day. It goes by a grid that
begins with the start: how long a call takes moves none of those after it.

There is one thread at most. One that stops itself cannot wait for its own end,
and may be started again before it came to it. So a stop only says that the thread
is not wanted, and a start that it is; the thread looks at this under the lock
under which it leaves. It either sees the new start and stays, or has gone, and
then the start makes another.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue

import attrs

from typedbus._base.clock import Clock, SystemClock
from typedbus._base.sync import new_lock, simple_queue
from typedbus._os.exhausted import start_thread


class PeriodError(ValueError):
    """Raised by what is to be done every so many seconds, for a number of seconds that could never work."""

    def __init__(self, name: str, field: str, given: object) -> None:
        super().__init__(name, field, given)
        self.name = name
        self.field = field
        self.given = given

    def __str__(self) -> str:
        return f"{self.name}: {self.field}={self.given!r} is no time: give a number of seconds above 0"


class NotEnded(TimeoutError):
    """
    Raised by the stop of something that runs in a thread, when it did not end within its patience.

    The thread goes on, and ends when what it does returns.

    Attributes:
        name: What runs.
        patience: How long it was waited for, in seconds.
        stack: Where its thread is, as text.
    """

    def __init__(self, name: str, patience: float, stack: str) -> None:
        self.name = name
        self.patience = patience
        self.stack = stack
        # The text alone: OSError takes several arguments for an errno and its message.
        super().__init__(str(self))

    def __reduce__(self) -> tuple[type[NotEnded], tuple[str, float, str]]:
        return type(self), (self.name, self.patience, self.stack)

    def __str__(self) -> str:
        return (
            f"{self.name} still runs {self.patience:g} s after it was told to stop; "
            f"have it return sooner, or give it more patience; it is at:\n{self.stack.rstrip()}"
        )


def check_seconds(name: str, field: str, given: object) -> None:
    """
    Refuse *given* as the *field* of what is called *name* if it is no number of seconds above 0.

    Raises:
        PeriodError: It is not.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given < math.inf:
        raise PeriodError(name, field, given)


def join(thread: threading.Thread, patience: float) -> None:
    """
    Wait for the end of *thread*, unless it is the caller's own.

    Raises:
        NotEnded: It runs after *patience* seconds.
    """
    if thread is threading.current_thread():
        return
    thread.join(min(patience, threading.TIMEOUT_MAX))
    if not thread.is_alive():
        return
    import traceback  # only needed to tell of what should not happen

    frame = sys._current_frames().get(thread.ident or 0)
    # It may have ended since we looked.
    if frame is not None:
        raise NotEnded(thread.name, patience, "".join(traceback.format_stack(frame)))


@attrs.define(eq=False, kw_only=True)
class Repeat:
    """
    Calls something every so many seconds between `start` and `stop`, for the first time that long after the start.

    A call that takes longer than the period makes those fall out that it covers.
    One that raises is handed to *failed*, and after n in a row only every 2ⁿ-th
    beat is taken, until one returns. Anything but an `Exception` is handed over
    as well, and ends the thread: it was meant to. Both methods may be called from
    any thread, from the call itself too.

    Args:
        name: That of the thread.
        call: What is called.
        every: Seconds.
        failed: Told what a call raised, in the thread; does not raise itself.
        own: Told of each thread, before it begins.
        longest: No pause between failing calls is longer, in seconds, unless *every* is.
        clock: Where the time comes from.

    Raises:
        PeriodError: *every* or *longest* is no number above 0.
    """

    name: str
    call: Callable[[], object]
    every: float
    failed: Callable[[BaseException], object]
    own: Callable[[threading.Thread], object] = lambda thread: None
    longest: float = 300.0
    clock: Clock = attrs.field(factory=SystemClock)
    _lock: threading.Lock = attrs.field(init=False, factory=new_lock)
    _bell: SimpleQueue[None] = attrs.field(init=False, factory=simple_queue)
    _thread: threading.Thread | None = attrs.field(init=False, default=None)
    _is_wanted: bool = attrs.field(init=False, default=False)
    #: When the next call is due; None for a grid that is to begin now.
    _due: float | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        check_seconds(self.name, "every", self.every)
        check_seconds(self.name, "longest", self.longest)

    def start(self) -> None:
        """Begin; nothing happens if it has begun. The grid begins anew after a stop."""
        with self._lock:
            if self._is_wanted:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._go, name=self.name)
                self.own(thread)
                start_thread(thread)
                self._thread = thread
            else:
                self._bell.put(None)
            self._is_wanted, self._due = True, None

    def stop(self, patience: float) -> None:
        """
        End, after the call that is under way, and wait for that; nothing happens if it does not run.

        From the call itself it returns at once, and the thread ends when the call returns.

        Raises:
            NotEnded: The call takes longer than *patience* seconds. No other begins after it.
        """
        with self._lock:
            self._is_wanted = False
            thread = self._thread
        if thread is not None:
            self._bell.put(None)
            join(thread, patience)

    def _go(self) -> None:
        failures = 0
        while True:
            with self._lock:
                if not self._is_wanted:
                    self._thread = None
                    return
                now = self.clock.now()
                due = self._due = now + self.every if self._due is None else self._due
            if now < due:
                self.clock.wait(self._bell, due - now)
                continue
            try:
                self.call()
                failures = 0
            except BaseException as error:
                self.failed(error)
                if not isinstance(error, Exception):
                    self.stop(0)
                failures += 1
            most = max(1.0, self.longest // self.every)
            # No float is as large as the power that an endless row of failures would lead to.
            beats = min(2.0 ** min(failures, 64), most)
            with self._lock:
                if self._due == due:
                    self._due = due + self.every * ((self.clock.now() - due) // self.every + beats)
