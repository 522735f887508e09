"""How a stop, or the owner of a run, waits until a run has ended."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from typedbus._base.clock import Inbox
from typedbus._base.errors import HookTimeout, LoopError
from typedbus._base.sync import simple_queue
from typedbus._bus.builtin import RUN, WARNING
from typedbus._bus.hooks import CHECK_INTERVAL, GRACE

if TYPE_CHECKING:
    from typedbus._bus.machine import StateMachine
    from typedbus._bus.runs.run import Run
    from typedbus._bus.runs.sessions import Session


class Ending:
    """
    Ends runs one after another, in one thread.

    Args:
        machine: The state machine of the bus.
        interrupted: Receives an exception that interrupts the wait, such as `KeyboardInterrupt`; returns whether to
            give up the runs that have not ended. Without it the wait raises the exception.
        gives_up: Returns whether another thread, or a signal handler, has requested to give up the runs.
    """

    def __init__(
        self,
        machine: StateMachine,
        interrupted: Callable[[BaseException], bool] | None = None,
        gives_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._machine = machine
        self._interrupted = interrupted
        self._gives_up = gives_up
        self._is_given_up = False
        #: Wakes the thread while it waits for a session.
        self._inbox: Inbox | None = None
        self._session: Session | None = None

    def wake(self) -> None:
        """Make the thread check again whether to give up; may be called in any thread and in a signal handler."""
        inbox = self._inbox
        if inbox is not None:
            inbox.put(None)

    def stacks_on_loop(self) -> dict[str, str]:
        """Return the stack of the task that is waited for, by its name; may be called in any thread."""
        session = self._session
        return {} if session is None or session.on is None else {session.name: session.stack()}

    def end(self, run: Run, patience: float) -> BaseException | None:
        """
        Ask *run* to end, wait at most *patience* seconds for its end, and return its error.

        The error is a `HookTimeout` if the run was left behind, and a `LoopError` if its event loop is dead. A caller
        that is part of the run, or of a transition that the run carries out, does not wait.
        """
        session = run.ask()
        if session is None or session.is_here:
            return None
        began, clock = self._machine.clock.now(), self._machine.clock
        if self.await_end(run, session, patience):
            return session.late_error
        loop = session.on
        if loop is not None and (death := loop.why_dead()) is not None:
            reason = f"{loop.name} {death}; exit the bus before its event loop ends"
            error = LoopError(f"{run.path} has not returned from {RUN.name} ({run.place})", reason)
            run.lose(session, error)
            return error
        limit = None if self._is_given_up else patience
        return HookTimeout(run.path, RUN.name, run.place, clock.now() - began, limit, "hook", session.stack(), ())

    def await_end(self, run: Run, session: Session, patience: float) -> bool:
        """
        Wait at most *patience* seconds until *session* of *run*, which was asked to end, is over; return whether it is.

        A task is cancelled after that time. A session that is not over is left behind.
        """
        if not self._await(session, patience) and session.on is not None:
            session.cancel()
            if self._await(session, min(GRACE, patience)):
                self._machine.registry.log(
                    f"run {run.path} was cancelled, because it had not ended {patience:g} s after it was asked to end",
                    WARNING,
                )
        if session.is_over:
            session.join()
        else:
            session.is_left = True
        return session.is_over

    def _await(self, session: Session, patience: float) -> bool:
        """Wait at most *patience* seconds until *session* is over, and return whether it is."""
        due = self._machine.clock.now() + patience
        own: SimpleQueue[None] = simple_queue()
        inbox = self._inbox = self._machine.requests.wakeup.waking.inbox(own)
        self._session = session
        session.watchers.append(inbox)
        try:
            while not (session.is_over or self._is_given_up):
                left = due - self._machine.clock.now()
                loop = session.on
                if left <= 0 or (loop is not None and loop.why_dead() is not None):
                    break
                try:
                    self._sleep(inbox, left, is_brief=loop is not None and not loop.is_own)
                    self._is_given_up = self._gives_up()
                except BaseException as interrupt:
                    if self._interrupted is None:
                        raise
                    self._is_given_up = self._interrupted(interrupt)
        finally:
            self._inbox = self._session = None
            session.watchers.remove(inbox)
        return session.is_over

    def _sleep(self, inbox: Inbox, left: float, *, is_brief: bool) -> None:
        if not is_brief:
            self._machine.clock.wait(inbox, left)
            return
        # The owner of the loop may end it at any time, without a notification.
        try:
            inbox.get(timeout=min(left, CHECK_INTERVAL))
        except Empty:
            return
