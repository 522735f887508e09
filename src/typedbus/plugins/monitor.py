"""
Work in the background: `Monitor` calls a function periodically, `BackgroundTask` once.

The two treat a failure in opposite ways. Periodic work, for example clearing a
cache, is tried again: a failure is reported, and the following calls are delayed
more and more until one succeeds. Work that should run as long as the site, for
example reading a queue, would be missing unnoticed after a failure: so a failure
exits the bus in order, and is the cause of the exit.

Both threads belong to the bus and keep the process alive, so that no work is cut
off in the middle; each ends at the component's stop.
"""

from __future__ import annotations

import inspect
import threading
import traceback
from collections.abc import Callable

import attrs

from typedbus._base.clock import Clock, SystemClock
from typedbus._base.exports import export
from typedbus._base.failures import describe
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import ERROR, WARNING
from typedbus._bus.bus import Bus
from typedbus._os.exhausted import OutOfThreads, start_thread
from typedbus.plugins._periodic import NotEnded, PeriodError, Repeat, check_seconds, join

__all__ = ("BackgroundTask", "CallError", "Monitor", "NotEnded", "OutOfThreads", "PeriodError")


class CallError(StructuredError, TypeError):
    """Raised by `Monitor` and `BackgroundTask` for an object that they cannot call in a thread."""

    given: object
    reason: str

    def __str__(self) -> str:
        return f"{self.given!r} {self.reason}"


def _checked(call: object) -> None:
    if not callable(call):
        raise CallError(call, "is not callable; give the function itself, without parentheses")
    if inspect.iscoroutinefunction(call):
        raise CallError(
            call, "is async, and would not be awaited; give a function that calls bus.run_on_loop(...).result()"
        )


def _name_of(task: Monitor | BackgroundTask) -> str:
    return describe(task.call)


@attrs.define(eq=False)
class Monitor:
    """
    Calls a function periodically, from its start to its stop, in a separate thread.

    The first call comes *every* seconds after the start. Calls are due at fixed
    intervals from the start: the duration of a call does not shift the next one,
    and calls missed during a long call are skipped. A call that raises is reported
    on `LOG`, with its traceback; after the n-th failure in a row the next call
    comes 2ⁿ periods later, but at most *longest* seconds. Exceptions that are not
    an `Exception`, such as `SystemExit`, exit the bus, and are the cause. A stop
    waits for the current call; no other begins. A graceful reload changes nothing.

    Args:
        bus: The bus on which failures are reported.
        call: The function to call; its result is ignored.
        every: The period in seconds.
        name: The name in reports and of the thread; the name of *call* unless given.
        longest: The longest pause after failures, in seconds, unless *every* is longer.
        patience: How long a stop waits for a call, in seconds.
        clock: The source of the time.

    Raises:
        PeriodError: *every*, *longest* or *patience* is not a number above 0.
        CallError: *call* cannot be called, or is async.

    Attributes:
        failures: How many calls have failed in a row; 0 after a success.
        last_error: The exception of the last call; None if it returned.
    """

    bus: Bus
    call: Callable[[], object]
    name: str = attrs.field(default=attrs.Factory(_name_of, takes_self=True), kw_only=True)
    every: float = attrs.field(kw_only=True)
    longest: float = attrs.field(default=300.0, kw_only=True)
    patience: float = attrs.field(default=5.0, kw_only=True)
    clock: Clock = attrs.field(factory=SystemClock, kw_only=True, repr=False)
    failures: int = attrs.field(default=0, init=False)
    last_error: BaseException | None = attrs.field(default=None, init=False)
    _repeat: Repeat = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _checked(self.call)
        check_seconds(self.name, "patience", self.patience)
        self._repeat = Repeat(
            name=self.name,
            call=self._call_once,
            every=self.every,
            failed=self._report,
            own=self.bus.own,
            longest=self.longest,
            clock=self.clock,
        )

    def start(self) -> None:
        """
        Begin the calls; does nothing if they have begun.

        Raises:
            OutOfThreads: The system starts no further thread.
        """
        self._repeat.start()

    def stop(self) -> None:
        """
        End the calls, and wait for the current call, unless that call itself stops the component.

        Raises:
            NotEnded: The call takes longer than *patience*.
        """
        self._repeat.stop(self.patience)

    def _call_once(self) -> None:
        self.call()
        self.failures, self.last_error = 0, None

    def _report(self, error: BaseException) -> None:
        self.failures, self.last_error = self.failures + 1, error
        if not isinstance(error, Exception):
            self.bus.request_exit(error)
            return
        trace = "".join(traceback.format_exception(error)).rstrip()
        self.bus.log(f"monitor {self.name} failed, {self.failures} in a row:\n{trace}", ERROR)


@attrs.define(eq=False)
class BackgroundTask:
    """
    Calls a function once, in a separate thread, at its start.

    The function receives a `threading.Event` that is set when it must end; it
    waits on it instead of sleeping. If it returns earlier, the bus continues, and a
    warning on `LOG` names it, unless the exit of the bus has been requested: work
    that is meant to end calls `Bus.request_exit` when it is done. An exception
    that it raises exits the bus in order, and `Bus.block` raises it as the cause;
    so does `SystemExit`, with its status. A start after a stop calls it again.

    Args:
        bus: The bus that exits if the function fails.
        call: The function to call; its result is ignored.
        name: The name in reports and of the thread; the name of *call* unless given.
        patience: How long a stop waits for the function, in seconds.

    Raises:
        PeriodError: *patience* is not a number above 0.
        CallError: *call* cannot be called, or is async.

    Attributes:
        last_error: The exception of the function; None if it returned or still runs.
    """

    bus: Bus
    call: Callable[[threading.Event], object]
    name: str = attrs.field(default=attrs.Factory(_name_of, takes_self=True), kw_only=True)
    patience: float = attrs.field(default=5.0, kw_only=True)
    last_error: BaseException | None = attrs.field(default=None, init=False)
    _stopping: threading.Event = attrs.field(init=False, repr=False, factory=threading.Event)
    _thread: threading.Thread | None = attrs.field(init=False, repr=False, default=None)
    _is_called: bool = attrs.field(init=False, repr=False, default=False)

    def __attrs_post_init__(self) -> None:
        _checked(self.call)
        check_seconds(self.name, "patience", self.patience)

    @property
    def is_running(self) -> bool:
        """Whether the function has been called and has neither returned nor raised."""
        return self._is_called and self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """
        Call the function; does nothing if it has been called since the last stop.

        Raises:
            NotEnded: The call before the last stop has not returned, or makes this start itself.
            OutOfThreads: The system starts no further thread.
        """
        if self._thread is not None:
            if not self._stopping.is_set():
                return
            join(self._thread, self.patience)
            if self._thread is threading.current_thread():
                raise NotEnded(self.name, 0, "the thread that calls start()")
        self.last_error = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stopping,), name=self.name)
        self.bus.own(self._thread)
        self._is_called = True
        try:
            start_thread(self._thread)
        except RuntimeError:
            self._thread, self._is_called = None, False
            raise

    def stop(self) -> None:
        """
        Set the event, and wait until the function ends, unless the function itself stops the component.

        Raises:
            NotEnded: The function takes longer than *patience*.
        """
        self._stopping.set()
        if self._thread is not None:
            join(self._thread, self.patience)

    def _run(self, stopping: threading.Event) -> None:
        try:
            self.call(stopping)
        except BaseException as error:
            self.last_error, self._is_called = error, False
            self.bus.log(f"background task {self.name} failed, the bus exits: {error!r}", ERROR)
            self.bus.request_exit(error)
        else:
            self._is_called = False
            if not stopping.is_set() and not self.bus.is_exit_requested:
                self.bus.log(
                    f"background task {self.name} returned before its event was set, and is not called again; "
                    "make it wait for the event, or call bus.request_exit() when its work is done",
                    WARNING,
                )


export(globals())
