"""
Periodic calls of a function in a separate thread.

The thread waits on a queue with a time-out: a stop puts an item into the queue, and
the thread wakes at once, whether its period is a second or a day. Calls are due at
fixed intervals from the start: the duration of a call does not shift later calls.

There is at most one thread. A thread that stops itself cannot wait for its own end,
and may be started again before it ends. So a stop and a start only set a flag; the
thread checks the flag under the lock under which it also removes itself. It either
sees the new start and continues, or has ended, and then the start creates another.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue

import attrs

from typedbus._base.clock import Clock, SystemClock
from typedbus._base.structured import StructuredError
from typedbus._base.sync import new_lock, simple_queue
from typedbus._os.exhausted import start_thread


class PeriodError(StructuredError, ValueError):
    """Raised by components with a period or a time limit, for a number of seconds that could never work."""

    name: str
    field: str
    given: object

    def __str__(self) -> str:
        return f"{self.name}: {self.field}={self.given!r} is not a duration; give a number of seconds above 0"


class NotEnded(StructuredError, TimeoutError):
    """
    Raised by the stop of a component whose thread did not end within its patience.

    The thread continues, and ends when its current call returns.

    Attributes:
        name: The name of the thread.
        patience: How long the stop waited, in seconds.
        stack: The stack of the thread, as text.
    """

    name: str
    patience: float
    stack: str

    def __str__(self) -> str:
        return (
            f"{self.name} still runs {self.patience:g} s after it was asked to stop; "
            f"make it return sooner, or set a longer patience; its thread is at:\n{self.stack.rstrip()}"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


def check_seconds(name: str, field: str, value: object) -> None:
    """
    Refuse *value* for *field* of the component *name* unless it is a number of seconds above 0.

    Raises:
        PeriodError: It is not a number above 0.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise PeriodError(name, field, value)


def join(thread: threading.Thread, patience: float) -> None:
    """
    Wait for the end of *thread*, unless it is the calling thread.

    Raises:
        NotEnded: It still runs after *patience* seconds.
    """
    if thread is threading.current_thread():
        return
    thread.join(min(patience, threading.TIMEOUT_MAX))
    if not thread.is_alive():
        return
    import traceback  # only needed for an error that is not expected

    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
    frame = frames.get(thread.ident or 0)
    # The thread may have ended since the check above.
    if frame is not None:
        raise NotEnded(thread.name, patience, "".join(traceback.format_stack(frame)))


@attrs.define(eq=False, kw_only=True)
class Repeat:
    """
    Calls a function periodically between `start` and `stop`, for the first time one period after the start.

    Calls that become due during a longer call are skipped. If a call raises, *failed*
    receives the exception; after n consecutive failures the next call comes 2ⁿ
    periods later (exponential back-off), until a call returns. An exception that is
    not an `Exception`, such as `SystemExit`, is passed to *failed* as well, and ends
    the thread. Both methods may be called from any thread, and from the call itself.

    Args:
        name: The name of the thread.
        call: The function to call.
        every: The period in seconds.
        failed: Receives the exception of a call, in the thread; must not raise.
        own: Receives each thread before it is started.
        longest: The longest pause between failing calls, in seconds, unless *every* is longer.
        clock: The source of the time.

    Raises:
        PeriodError: *every* or *longest* is not a number above 0.
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
    #: When the next call is due; None if the first period begins now.
    _due: float | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        check_seconds(self.name, "every", self.every)
        check_seconds(self.name, "longest", self.longest)

    def start(self) -> None:
        """Begin the calls; does nothing if they have begun. After a stop the first period begins again."""
        with self._lock:
            if self._is_wanted:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self.name)
                self.own(thread)
                start_thread(thread)
                self._thread = thread
            else:
                self._bell.put(None)
            self._is_wanted, self._due = True, None

    def stop(self, patience: float) -> None:
        """
        End after the current call, and wait for that; does nothing if the thread does not run.

        From the call itself it returns at once, and the thread ends when the call returns.

        Raises:
            NotEnded: The call takes longer than *patience* seconds. No other call begins after it.
        """
        with self._lock:
            self._is_wanted = False
            thread = self._thread
        if thread is not None:
            self._bell.put(None)
            join(thread, patience)

    def _run(self) -> None:
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
            limit = max(1.0, self.longest // self.every)
            # Limit the exponent: after many failures the power would overflow a float.
            periods = min(2.0 ** min(failures, 64), limit)
            with self._lock:
                if self._due == due:
                    self._due = due + self.every * ((self.clock.now() - due) // self.every + periods)
