"""The state of a run, from which its records are created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typedbus._base.clock import Clock
from typedbus._base.run_records import RunRecord, RunState
from typedbus._base.sync import new_lock

if TYPE_CHECKING:
    from typedbus._base.restart import Restart
    from typedbus._bus.runs.sessions import Session


class RunStatus:
    """
    The state of a run, and the numbers of its calls.

    The caller of each method holds the lock.

    Attributes:
        lock: Guards the state, and the session of the run.
        state: The state.
        attempt: How many times the run was called since it began in this start.
    """

    __slots__ = (
        "_began",
        "_clock",
        "_has_failed",
        "_last_error",
        "_next_at",
        "_restarts",
        "_since",
        "attempt",
        "lock",
        "state",
    )

    def __init__(self, clock: Clock) -> None:
        self.lock = new_lock()
        self._clock = clock
        self._next_at: float | None = None
        self.forget()
        self.enter(RunState.IDLE)
        self._began = self._since

    def forget(self) -> None:
        """Forget the calls so far."""
        self.attempt = self._restarts = 0
        #: Whether the last call has failed.
        self._has_failed = False
        self._last_error: str | None = None

    def renew_lock(self) -> None:
        """Replace the lock in a forked child, where a thread that exists only in the parent may hold the old one."""
        self.lock = new_lock()

    def enter(self, state: RunState) -> None:
        """Set the state."""
        self.state, self._since, self._next_at = state, self._clock.now(), None

    def begins(self, state: RunState) -> None:
        """Set the state in which a session begins, and take the present as the begin of its first call."""
        self.enter(state)
        self._began = self._since

    def called(self) -> int:
        """Count a call, and return its number."""
        self.attempt += 1
        self._restarts += self._has_failed
        self._has_failed = False
        self.begins(RunState.RUNNING)
        return self.attempt

    def waits(self, error: str, delay: float) -> int:
        """Note that a call has failed, and that the next follows in *delay* seconds; return the number of the call."""
        self._has_failed = True
        self._last_error = error
        self.enter(RunState.WAITING)
        self._next_at = self._since + delay
        return self.attempt

    def failed(self, error: str) -> int:
        """Note that the run has failed, and return the number of its calls."""
        self._last_error = error
        self.enter(RunState.FAILED)
        return self.attempt

    def seconds(self) -> float:
        """Return how long ago the last call began."""
        return self._clock.now() - self._began

    def record(self, path: str, policy: Restart | None, session: Session | None, *, is_awaited: bool) -> RunRecord:
        """Return the record of the run *path* with the calls *session*; *is_awaited* if a start waits until it is ready."""
        stopping = None if session is None else session.stopping
        is_running = self.state is RunState.RUNNING
        beat_at = stopping.beat_at if stopping is not None and is_running else None
        is_usable = not is_awaited or (stopping is not None and stopping.is_ready)
        last_active = self._began if beat_at is None else beat_at
        return RunRecord(
            path=path,
            state=self.state,
            since=self._since,
            attempt=self.attempt,
            restarts=self._restarts,
            next_at=self._next_at,
            last_error=self._last_error,
            beat_at=beat_at,
            policy=policy,
            is_ready=self.state is RunState.ENDED or (is_running and is_usable),
            silent_for=self._clock.now() - last_active if is_running else 0.0,
            current_stack=(lambda: "") if session is None else session.stack,
        )
