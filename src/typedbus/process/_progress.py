"""The components that a transition waits for, as its life-cycle events report them, and the runs that it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from typedbus._base.events import (
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Constructed,
    Constructing,
    Failed,
    LifecycleEvent,
    Moved,
)
from typedbus._base.run_records import RunRecord, RunState
from typedbus._base.states import State
from typedbus._bus.builtin import EXIT, RUN, START, STOP
from typedbus._bus.bus import Bus

#: A step that takes longer than this is shown, in seconds.
PATIENCE: Final = 1.0
_BUILDING: Final = "building"
_STARTING: Final = "starting"
_STOPPING: Final = "stopping"
_VERBS: Final[dict[type[LifecycleEvent], str]] = {
    Constructing: _BUILDING,
    ComponentStarting: _STARTING,
    ComponentStopping: _STOPPING,
    ComponentExiting: "exiting",
}
_CHANNELS: Final = {State.STARTING: START, State.STOPPING: STOP, State.EXITING: EXIT}


@attrs.define(eq=False)
class Step:
    """The construction of a component, the call of one of its hooks, or a run that was asked to end, until it has ended."""

    verb: str
    path: str
    since: float
    is_reported: bool = False


_NO_STEP: Final = Step("", "", 0.0)


class Progress:
    """The steps of the current phase of a transition. It has no lock: only one thread at a time may use it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._state = bus.state
        self._steps: dict[str, Step] = {}
        #: How many hooks of the phase have ended.
        self._count = 0
        #: The components that have started since the bus was last stopped.
        self._started_paths: set[str] = set()
        self._run_steps: dict[str, Step] = {}
        #: When the stop last left a run behind, on the clock of the bus.
        self._left_at = -math.inf

    def update(self, event: LifecycleEvent) -> None:
        """Follow *event*."""
        match event:
            case Moved(_, after):
                self._state = after
                self._count = 0
                self._steps.clear()
                self._run_steps.clear()
                if after is State.STARTING:
                    self._started_paths.clear()
            case Constructing(path) | Constructed(path) if self._steps.get(path, _NO_STEP).verb == _STARTING:
                # A resource, and a component that needs one, is built by a step of its start.
                pass
            case Constructing(path) | ComponentStarting(path) | ComponentStopping(path) | ComponentExiting(path):
                self._steps[path] = Step(_VERBS[type(event)], path, time.monotonic())
            case Constructed(path):
                self._steps.pop(path, None)
            case Failed(hook=RUN.name):
                self._left_at = self._bus.clock.now()
            case ComponentStarted(path) | ComponentStopped(path) | ComponentExited(path) | Failed(path):
                self._steps.pop(path, None)
                self._count += 1
                if isinstance(event, ComponentStarted):
                    self._started_paths.add(path)
            case _:
                pass

    def follow_runs(self, records: Iterable[RunRecord], now: float) -> None:
        """
        Update the steps of runs.

        A stop ends the runs one after the other, before its first hook; no events of the life cycle report this.

        Args:
            records: The records of the runs of the bus.
            now: The time, on the clock of `time.monotonic`.
        """
        offset = now - self._bus.clock.now()
        is_stop = self._state is State.STOPPING
        # The stop does not wait for a run that it left behind, and asks the next run to end after that.
        ending = [
            record
            for record in records
            if is_stop and record.state is RunState.STOPPING and record.since >= self._left_at
        ]
        self._run_steps = {
            record.path: self._run_steps.get(record.path) or Step(_STOPPING, record.path, record.since + offset)
            for record in ending
        }

    def steps(self) -> list[Step]:
        """Return the steps that have not ended, in the order in which they began."""
        return [*self._run_steps.values(), *self._steps.values()]

    def overdue(self, now: float) -> tuple[list[Step], float]:
        """Return each step once, when it takes longer than `PATIENCE`; and the seconds until the next one may."""
        steps: list[Step] = []
        pause = PATIENCE
        for step in self.steps():
            remaining = step.since + PATIENCE - now
            if step.is_reported:
                continue
            if remaining > 0:
                pause = min(pause, remaining)
            else:
                step.is_reported = True
                steps.append(step)
        return steps, pause

    def summary(self, steps: Sequence[Step], now: float) -> str:
        """Return one line about *steps*: each with its duration, and how many of the hooks of the phase have ended."""
        verb = steps[0].verb if steps else self._state.name.lower()
        durations = ", ".join(f"{now - step.since:.1f} s {step.path}" for step in steps)
        # The number of components to construct is not known until construction is finished.
        count = "" if verb == _BUILDING else f" {self._count} of {self._total(len(steps))}"
        return f"{verb}{count}: {durations}"

    def _total(self, steps: int) -> int:
        """Return how many hooks the phase calls, of which *steps* are being called."""
        subscriptions = self._bus[_CHANNELS[self._state]].subscriptions
        if self._state is State.STOPPING:
            # After a failed start, only the components that had started are stopped.
            subscriptions = tuple(hook for hook in subscriptions if hook.path in self._started_paths)
        return max(len(subscriptions), self._count + steps)
