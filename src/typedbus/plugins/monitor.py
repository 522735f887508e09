"""
Work in the background: `Monitor` calls a function periodically, `BackgroundTask` once.

Both are runs of the bus: they appear in `Bus.runs` and on `RUNS`, and a `Restart`
decides what follows a failure. Without one the two treat a failure in opposite ways.
Periodic work, for example clearing a cache, is tried again: a failure is reported,
and the following calls are delayed more and more until one succeeds. Work that
should run as long as the site, for example reading a queue, would be missing
unnoticed after a failure: so a failure exits the bus in order, and is the cause of
the exit.

Both threads belong to the bus and keep the process alive, so that no work is cut
off in the middle; each ends at the component's stop.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import attrs

from typedbus._base.clock import Clock, SystemClock
from typedbus._base.coroutines import is_async_callable
from typedbus._base.exports import export
from typedbus._base.failures import describe
from typedbus._base.restart import Restart
from typedbus._base.run_errors import RestartPolicyError
from typedbus._base.stopping import Stopping
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import ERROR
from typedbus._bus.bus import Bus
from typedbus._os.exhausted import OutOfThreads
from typedbus.plugins._component_run import ComponentRun, NoLines, TaskLines
from typedbus.plugins._seconds import PeriodError, check_seconds
from typedbus.plugins._thread_ends import NotEnded

__all__ = ("BackgroundTask", "CallError", "Monitor", "NotEnded", "OutOfThreads", "PeriodError")


class CallError(StructuredError, TypeError):
    """Raised by `Monitor` and `BackgroundTask` for an object that they cannot call."""

    given: object
    reason: str

    def __str__(self) -> str:
        return f"{self.given!r} {self.reason}"


def _refuse_uncallable(call: object) -> None:
    if not callable(call):
        raise CallError(call, "is not callable; give the function itself, without parentheses")


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

    With *restart*, that policy decides about a call that raises, instead of *longest*:
    the next call comes after its pause, and begins a new series of calls; or the bus
    exits, or continues without the monitor. Each call is a beat, before and after it.

    Args:
        bus: The bus on which failures are reported.
        call: The function to call; its result is ignored.
        every: The period in seconds.
        name: The name in reports and of the thread; the name of *call* unless given.
        longest: The longest pause after failures, in seconds, unless *every* is longer.
        patience: How long a stop waits for a call, in seconds.
        clock: The source of the time.
        restart: What follows a failure of a call.

    Raises:
        PeriodError: *every*, *longest* or *patience* is not a number above 0.
        CallError: *call* cannot be called, or is async.
        RestartPolicyError: The policy's *silent* is not longer than *every*, or it takes dependents along.

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
    restart: Restart | None = attrs.field(default=None, kw_only=True)
    failures: int = attrs.field(default=0, init=False)
    last_error: BaseException | None = attrs.field(default=None, init=False)
    _run: ComponentRun = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _refuse_uncallable(self.call)
        if is_async_callable(self.call):
            raise CallError(
                self.call,
                "is async, and would not be awaited; give a function that calls bus.run_on_loop(...).result()",
            )
        for field in ("every", "longest", "patience"):
            check_seconds(self.name, field, getattr(self, field))
        self._run = ComponentRun(
            self.bus, self, self.name, self._repeat, self.restart, self.patience, NoLines(), self.clock
        )
        silent = None if self.restart is None else self.restart.silent
        if silent is not None and silent <= self.every:
            raise RestartPolicyError(
                f"silent={silent:g} is not longer than every={self.every:g}, so {self.name} would be silent before each "
                "call; set a longer silent"
            )

    def start(self) -> None:
        """
        Begin the calls; does nothing if they have begun.

        Raises:
            OutOfThreads: The system starts no further thread.
        """
        self._run.begin()

    def stop(self) -> None:
        """
        End the calls, and wait for the current call, unless that call itself stops the component.

        Raises:
            NotEnded: The call takes longer than *patience*.
        """
        self._run.end(self.patience)

    def _repeat(self, stopping: Stopping) -> None:
        """Call the function whenever it is due, until *stopping* is set."""
        due, failures = self.clock.now(), 0
        record = self._run.record
        if record is None or record.attempt <= 1:
            # Before a later attempt the policy has waited already.
            due += self.every
        while not stopping.is_set():
            now = self.clock.now()
            if now < due:
                stopping.wait(due - now)
                continue
            stopping.beat()
            try:
                self.call()
            except BaseException as error:
                failures += 1
                self.failures, self.last_error = self.failures + 1, error
                if self.restart is not None or not isinstance(error, Exception):
                    raise
                trace = "".join(traceback.format_exception(error)).rstrip()
                self.bus.log(f"monitor {self.name} failed, {self.failures} in a row:\n{trace}", ERROR)
            else:
                failures = self.failures = 0
                self.last_error = None
            stopping.beat()
            due += self.every * ((self.clock.now() - due) // self.every + self._periods(failures))

    def _periods(self, failures: int) -> float:
        """Return how many periods after a call the next one is due, after *failures* in a row."""
        # Limit the exponent: after many failures the power would overflow a float.
        return min(2.0 ** min(failures, 64), max(1.0, self.longest // self.every))


@attrs.define(eq=False)
class BackgroundTask:
    """
    Calls a function once, at its start: a plain function in a separate thread, an async one on the bus's event loop.

    The function receives a `Stopping`, a `threading.Event` that is set when it must
    end; it waits on it instead of sleeping. If it returns earlier, the bus continues,
    and a warning on `LOG` names it, unless the exit of the bus has been requested: work
    that is meant to end calls `Bus.request_exit` when it is done. An exception
    that it raises exits the bus in order, and `Bus.block` raises it as the cause;
    so does `SystemExit`, with its status. A start after a stop calls it again.

    With *restart*, that policy decides what follows a failure or an early return, also
    while the bus starts; a cause of the exit is then a `RunFailed`. An exception after
    the event was set exits the bus, unless the policy lets it continue without the task.

    Args:
        bus: The bus that exits if the function fails.
        call: The function to call; its result is ignored.
        name: The name in reports and of the thread; the name of *call* unless given.
        patience: How long a stop waits for the function, in seconds; an async function is then cancelled.
        restart: What follows a failure of the function.

    Raises:
        PeriodError: *patience* is not a number above 0.
        CallError: *call* cannot be called.
        RestartPolicyError: The policy takes dependents along.

    Attributes:
        last_error: The exception of the function; None if it returned or still runs.
    """

    bus: Bus
    call: Callable[[Stopping], object]
    name: str = attrs.field(default=attrs.Factory(_name_of, takes_self=True), kw_only=True)
    patience: float = attrs.field(default=5.0, kw_only=True)
    restart: Restart | None = attrs.field(default=None, kw_only=True)
    last_error: BaseException | None = attrs.field(default=None, init=False)
    _run: ComponentRun = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _refuse_uncallable(self.call)
        check_seconds(self.name, "patience", self.patience)
        call = self._call_async if is_async_callable(self.call) else self._call
        self._run = ComponentRun(
            self.bus, self, self.name, call, self.restart, self.patience, TaskLines(self.bus, self.name)
        )

    @property
    def is_running(self) -> bool:
        """Whether the function has been called and has neither returned nor raised; False in a pause of the policy."""
        return self._run.is_running

    def start(self) -> None:
        """
        Call the function; does nothing if it has been called since the last stop.

        Raises:
            NotEnded: The call before the last stop has not returned, or makes this start itself.
            OutOfThreads: The system starts no further thread.
        """
        run = self._run
        if run.is_begun:
            return
        if run.is_here:
            raise NotEnded(self.name, 0, "the thread that calls start()")
        run.wait(self.patience)
        self.last_error = None
        run.begin()

    def stop(self) -> None:
        """
        Set the event, and wait until the function ends, unless the function itself stops the component.

        Raises:
            NotEnded: The function takes longer than *patience*.
        """
        self._run.end(self.patience)

    def _call(self, stopping: Stopping) -> object:
        self.last_error = None
        try:
            return self.call(stopping)
        except BaseException as error:
            self.last_error = error
            raise

    async def _call_async(self, stopping: Stopping) -> None:
        self.last_error = None
        try:
            call: Callable[[Stopping], Any] = self.call
            await call(stopping)
        except BaseException as error:
            self.last_error = error
            raise


export(globals())
