"""The state of a run, for health checks, reports and tests."""

from __future__ import annotations

import enum
from collections.abc import Callable

import attrs

from typedbus._base.restart import Restart


class RunState(enum.Enum):
    """The states of a run."""

    IDLE = "idle"
    """It has not begun since the bus was created, or since its component was built."""
    RUNNING = "running"
    """It is called at present."""
    WAITING = "waiting"
    """It has failed, and is called again after a pause."""
    STOPPING = "stopping"
    """It was asked to end, and has not ended yet. A run that was left behind stays in this state until it returns."""
    ENDED = "ended"
    """It has returned, and is not called again before the next start."""
    FAILED = "failed"
    """It has failed, and is not called again before the next start."""


@attrs.frozen
class RunRecord:
    """
    The state of a run at one moment. All times are in seconds of the clock of the bus.

    Attributes:
        path: The path of the component, as in "Shop.consumer"; with the name of the method if it has several runs.
        state: The state.
        since: When it entered that state.
        attempt: How many times it was called since it began in this start; 0 if it has not begun.
        restarts: How many of these calls came after a failure.
        next_at: When its next call is due if it is WAITING; else None.
        last_error: The text of its last error in this start; None if there was none.
        beat_at: When it last called `Stopping.beat` in this attempt; None if it has not.
        policy: Its restart policy; None if it is never called again.
        is_ready: Whether it does its work: it is RUNNING and, if the start awaits it, has called `Stopping.ready` in
            this attempt; or its work is done, and it has ENDED.
        silent_for: The time since its last `Stopping.beat` in this attempt, or since the attempt began if there was no
            beat; 0 unless it is RUNNING.
    """

    path: str
    state: RunState
    since: float
    attempt: int
    restarts: int
    next_at: float | None
    last_error: str | None
    beat_at: float | None
    policy: Restart | None
    is_ready: bool
    silent_for: float
    _current_stack: Callable[[], str] = attrs.field(alias="current_stack", repr=False, eq=False)

    @property
    def is_silent(self) -> bool:
        """Whether it has been silent for longer than its policy allows; see `Restart.silent`."""
        limit = None if self.policy is None else self.policy.silent
        return limit is not None and self.silent_for > limit

    def stack(self) -> str:
        """Return the stack of its thread or task now, as text; "" if it does not run."""
        return self._current_stack()
