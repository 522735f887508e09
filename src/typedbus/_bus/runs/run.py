"""One run of a bus: a function, the policy by which it is called again, and its state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from typedbus._base.clock import Clock
from typedbus._base.coroutines import is_async_callable
from typedbus._base.errors import HookCancelled
from typedbus._base.failures import error_text, place_of
from typedbus._base.run_errors import RunFailed, RunReturned
from typedbus._base.run_events import RunBroke
from typedbus._base.run_records import RunRecord, RunState
from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import WARNING
from typedbus._bus.runs.host import RunHost, RunStopping
from typedbus._bus.runs.reports import Reporter, RunLines
from typedbus._bus.runs.sessions import Session, TaskSession
from typedbus._bus.runs.status import RunStatus
from typedbus._bus.runs.window import Window, release_locals

if TYPE_CHECKING:
    from typedbus._base.restart import Restart
    from typedbus._bus.asyncio_loop import AsyncioLoop
    from typedbus._bus.hooks import ScheduledHook


class Run:
    """
    A function that a bus calls in a thread, or as a task if it is async, until it is asked to end.

    Every method may be called from any thread.

    Args:
        host: The bus.
        call: The function.
        path: Its path in messages.
        policy: Its restart policy; None if it is never called again.
        patience: How long `Runs.end` waits for its end, in seconds.
        name: The name of its threads and tasks; the path unless given.
        clock: The source of its time; the clock of the bus unless given.
        lines: The lines on `LOG`.
        cause_of: Converts the `RunFailed` into the cause with which the bus exits.
        exits_late: Whether an error after it was asked to end exits the bus, instead of being raised by `Runs.end`.
        roll: Returns random numbers from 0 to 1, for the jitter.

    Attributes:
        is_begun: Whether it has begun, and has not been asked to end since; its function may have returned.
        is_awaited: Whether the start waits until it is ready.
        session: The calls since it last began; None if it has not begun.
        hook: Its subscription to `RUN`, which identifies it in the failures of a stop; None without a subscription.
    """

    def __init__(
        self,
        host: RunHost,
        call: Callable[[Stopping], object],
        path: str,
        *,
        policy: Restart | None,
        patience: float,
        name: str | None = None,
        clock: Clock | None = None,
        lines: RunLines | None = None,
        cause_of: Callable[[RunFailed], BaseException] | None = None,
        exits_late: bool = False,
        roll: Callable[[], float] | None = None,
    ) -> None:
        self._host = host
        self._roll = roll
        self._name = name
        self.clock: Clock = clock or host.clock
        self._reporter = Reporter(host, lines or RunLines())
        self._cause_of = cause_of
        self._exits_late = exits_late
        self.is_begun = self.is_awaited = False
        self.session: Session | None = None
        self.hook: ScheduledHook | None = None
        self._status = RunStatus(self.clock)
        #: Whether the next `begin` belongs to a restart of the component: it keeps the failures and numbers of calls.
        self._is_suspended = False
        self.declare(call, path, policy=policy, patience=patience)

    def declare(
        self,
        call: Callable[[Stopping], object],
        path: str,
        *,
        policy: Restart | None,
        patience: float,
    ) -> None:
        """Replace the declaration for the next `begin`: after an exit the component is a new object."""
        self.call, self.path, self.policy, self.patience = call, path, policy, patience
        self.place = place_of(call)

    @property
    def name(self) -> str:
        """The name of its threads and tasks."""
        return self._name or self.path

    def own(self, thread: threading.Thread) -> None:
        """Let the bus own *thread*."""
        self._host.own(thread)

    def loop(self) -> AsyncioLoop:
        """Return the event loop of the bus."""
        return self._host.loop(f"run {self.path}")

    def begin(self, *, is_awaited: bool = False) -> Session:
        """
        Begin to call the function, unless the run has begun already, and return the session.

        If an earlier call was left behind, the function is called when that call has ended.

        Args:
            is_awaited: Whether the start waits until it is ready.

        Raises:
            OutOfThreads: The system cannot start another thread.
        """
        with self._status.lock:
            if self.is_begun and self.session is not None:
                return self.session
            earlier = self.session
            if earlier is not None and earlier.is_over:
                earlier = None
            if not self._is_suspended:
                self._status.forget()
                self._window = Window(self.policy) if self._roll is None else Window(self.policy, self._roll)
            self._is_suspended = False
            self.is_awaited = is_awaited
            kind: type[Session] = TaskSession if is_async_callable(self.call) else Session
            session = self.session = kind(self, earlier)
            session.is_awaited = is_awaited
            self.is_begun = True
            # A health check right after the start must find it RUNNING, even if its thread has not taken a step yet.
            self._status.begins(RunState.RUNNING if earlier is None else RunState.WAITING)
        if earlier is not None and earlier.is_left:
            self._host.log(f"run {self.path} begins when its earlier call, which was left behind, has ended", WARNING)
        try:
            session.begin()
        except BaseException as error:
            # No thread could be started, or a listener of `LOG` or `RUNS` has raised `SystemExit`.
            session.error = error
            self._enter_failed(error)
            session.end()
            raise
        return session

    def ask(self) -> Session | None:
        """Ask the run to end, or to wait no longer for its restart; return its session, or None if it has not begun."""
        with self._status.lock:
            session, self.is_begun, self._is_suspended = self.session, False, False
            if session is None:
                return None
            if self._status.state not in (RunState.ENDED, RunState.FAILED, RunState.IDLE):
                self._status.enter(RunState.ENDED if session.is_over else RunState.STOPPING)
            # Under the lock: a call that begins now is asked to end, or does not begin.
            session.ask()
        return session

    def hand_over(self, session: Session) -> None:
        """End *session* before its thread restarts the component, so that a stop does not wait for that thread."""
        with self._status.lock:
            session.end()
            if session.is_asked and session is self.session:
                self._status.enter(RunState.ENDED)

    def suspend(self) -> None:
        """Let the next `begin` continue to count the calls and the failures, in a new session."""
        with self._status.lock:
            self.is_begun, self._is_suspended = False, True

    @property
    def is_lasting(self) -> bool:
        """Whether it has begun, or a call has not ended."""
        return self.is_begun or (self.session is not None and not self.session.is_over)

    def lose(self, session: Session, error: BaseException) -> None:
        """Note that *session* will never end, because of *error*."""
        self._enter_failed(error)
        session.end()

    def record(self) -> RunRecord:
        """Return the state at this moment."""
        with self._status.lock:
            return self._status.record(self.path, self.policy, self.session, is_awaited=self.is_awaited)

    def detach(self) -> None:
        """Forget the calls in a forked child process, which does not have their threads."""
        self._status.renew_lock()
        self.session, self.is_begun = None, False
        self._status.forget()
        self._status.enter(RunState.IDLE)

    def begins(self, session: Session) -> Stopping | None:
        """Note that the function is about to be called; return its argument, or None if the session is over."""
        stopping: RunStopping = RunStopping(self.clock, lambda: self._is_ready(session, stopping))
        with self._status.lock:
            if session is not self.session:
                return None
            if session.is_asked:
                self._status.enter(RunState.ENDED)
                return None
            session.stopping = stopping
            attempt = self._status.called()
        self._reporter.begins(self.path, attempt)
        return stopping

    def returned(self, session: Session, error: BaseException | None) -> float | None:
        """Handle the outcome of a call; return the pause before the next in seconds, or None for no further call."""
        seconds = self._status.seconds()
        if session is not self.session:
            self._returned_later(session, error)
            return None
        if session.is_asked:
            self._returned_asked(session, error, seconds)
            return None
        error = self._without_cancellation(error)
        if error is None and self._is_return_failure(session):
            error = RunReturned(self.path, seconds)
        if error is None:
            self._has_ended(session, seconds)
            return None
        if not isinstance(error, Exception):
            self.gives_up(session, error)
            return None
        if self._is_awaited_now(session):
            # The start that waits for the run fails with it; only a partial restart makes a further attempt.
            self.gives_up(session, error)
            return None
        delay = self._window.failed(self.clock.now(), error)
        if delay is None or (self.is_awaited and self._host.is_starting):
            self.gives_up(session, error)
            return None
        assert self.policy is not None
        is_waiting = self._wait(error, seconds, delay, session)
        if is_waiting and self.policy.takes == "dependents" and self._host.restart(self, session, delay):
            return None
        return delay

    def start_failed(self, error: BaseException) -> float | None:
        """
        Count *error*, with which a restart of the component has failed, as a failure of the run.

        Return the pause before the next attempt in seconds, or None for no further attempt.
        """
        session = self.session
        assert session is not None
        delay = self._window.failed(self.clock.now(), error) if isinstance(error, Exception) else None
        if delay is None or not isinstance(error, Exception):
            self.gives_up(session, error)
            return None
        self._wait(error, 0.0, delay)
        return delay

    def _wait(self, error: Exception, seconds: float, delay: float, session: Session | None = None) -> bool:
        """
        Enter WAITING, and report that the function is called again *delay* seconds after *error*.

        Return False, and report nothing, if *session* was asked to end meanwhile.
        """
        # Outside the lock: the `repr` of an exception may wait for this run.
        text = error_text(error)
        with self._status.lock:
            if session is not None and session.is_asked:
                return False
            event = RunBroke(self.path, seconds, error, self._status.waits(text, delay), delay)
            failures = len(self._window.errors)
        assert self.policy is not None
        self._reporter.broke(event, self.policy, failures)
        release_locals(error)
        return True

    def gives_up(self, session: Session, error: BaseException) -> None:
        """Report that the function is not called again because of *error*, and exit the bus if the policy demands it."""
        session.error = error
        attempts = self._enter_failed(error)
        if self._is_awaited_now(session):
            # The start that waits for it raises the error. A restart of the component goes on with the next attempt.
            if self._host.is_starting:
                self._reporter.gave_up_silently(self.path, error, attempts)
            return
        exits = self._exits_after(error) or (self.is_awaited and self._host.is_starting)
        self._reporter.gave_up(self.path, error, attempts, exits=exits)
        if exits:
            errors = self._window.errors
            # An error of the event loop is not a failure of the run, and not in the window.
            self._exit(error, attempts, errors if errors and errors[-1] is error else (*errors, error))
        else:
            release_locals(error)

    def interrupted(self, session: Session, error: BaseException) -> None:
        """Exit the bus because of *error*, raised by a listener of `LOG` or `RUNS`, which ends *session*."""
        session.error = error
        if session is self.session:
            self._enter_failed(error)
        self._host.request_exit(error)

    def _returned_asked(self, session: Session, error: BaseException | None, seconds: float) -> None:
        """Note the end of a run that was asked to end; `Runs.end` reports an error, unless the run was left behind."""
        if session.was_cancelled and _is_cancellation(error):
            error = None
        if error is None:
            self._has_ended(session, seconds)
            return
        attempts = self._enter_failed(error)
        exits = self._exits_late and self._exits_after(error)
        if not self._exits_late:
            session.late_error = error
        self._reporter.gave_up(self.path, error, attempts, exits=exits)
        if exits:
            self._exit(error, attempts, (error,))

    def _returned_later(self, session: Session, error: BaseException | None) -> None:
        """Report the *error* of a call that was asked to end before the run began again."""
        if error is None or session.was_cancelled:
            return
        exits = self._exits_late and self._exits_after(error)
        self._reporter.failed_later(self.path, error, exits=exits)
        if exits:
            self._exit(error, 1, (error,))

    def _exits_after(self, error: BaseException) -> bool:
        """Return whether the bus exits when the run gives up because of *error*."""
        return not isinstance(error, Exception) or self.policy is None or self.policy.then == "exit"

    def _exit(self, error: BaseException, attempts: int, errors: tuple[BaseException, ...]) -> None:
        """Exit the bus because of *error*, the last of *errors*."""
        if not isinstance(error, Exception):
            self._host.request_exit(error)
            return
        failed = RunFailed(self.path, attempts, errors)
        failed.__cause__ = error
        self._host.request_exit(failed if self._cause_of is None else self._cause_of(failed))

    def _has_ended(self, session: Session, seconds: float) -> None:
        with self._status.lock:
            self._status.enter(RunState.ENDED)
        self._reporter.ended(self.path, seconds, is_asked=session.is_asked, is_late=session.is_left)

    def _is_return_failure(self, session: Session) -> bool:
        must_last = self._is_awaited_now(session) or (self.policy is not None and self.policy.when == "always")
        return must_last and not self._host.is_exit_requested

    def _is_awaited_now(self, session: Session) -> bool:
        """Whether a start waits until the run is ready."""
        stopping = session.stopping
        return session.is_awaited and not (stopping is not None and stopping.is_ready)

    def _without_cancellation(self, error: BaseException | None) -> BaseException | None:
        """Return a `HookCancelled` in place of *error* if other code has cancelled the task, or one in the thread."""
        if not _is_cancellation(error):
            return error
        failure = HookCancelled(self.path, "run", self.place)
        failure.__cause__ = error
        return failure

    def _is_ready(self, session: Session, stopping: Stopping) -> None:
        if session is self.session and session.stopping is stopping:
            self._reporter.is_ready(self.path)
            session.wake()

    def _enter_failed(self, error: BaseException) -> int:
        """Note that the run has failed with *error*, and return the number of its calls."""
        text = error_text(error)  # outside the lock, as in `_wait`
        with self._status.lock:
            return self._status.failed(text)


def _is_cancellation(error: BaseException | None) -> bool:
    """Return whether *error* is the cancellation of a task; a run in a thread may run an event loop of its own."""
    if error is None or isinstance(error, Exception):
        return False
    import asyncio  # programs without an event loop do not need it

    return isinstance(error, asyncio.CancelledError)
