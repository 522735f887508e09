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
#: From when on a step is late, in seconds, and as a part of its limit.
_LATE: Final = 5.0
_LATE_PART: Final = 0.5
#: From when on the slowest component is named after a start, in seconds.
_SLOW: Final = 0.1
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
        self._began = time.monotonic()
        #: Whether the phase undoes a start.
        self.is_rollback = False
        #: The components that were constructed or started.
        self._paths: set[str] = set()
        #: The component whose start took longest, and how long it took.
        self._slowest = ("", 0.0)
        #: When the stop last left a run behind, on the clock of the bus.
        self._left_at = -math.inf

    def update(self, event: LifecycleEvent) -> None:
        """Follow *event*."""
        match event:
            case Moved(before, after):
                self._state = after
                self._count = 0
                self.is_rollback = (before, after) == (State.STARTING, State.STOPPING)
                self._steps.clear()
                self._run_steps.clear()
                if after is State.STARTING:
                    self._started_paths.clear()
                    self._slowest = ("", 0.0)
                if after is not State.STARTED:
                    self._began = time.monotonic()
            case Constructing(path) | Constructed(path) if self._steps.get(path, _NO_STEP).verb == _STARTING:
                # A resource, and a component that needs one, is built by a step of its start.
                pass
            case Constructing(path) | ComponentStarting(path) | ComponentStopping(path) | ComponentExiting(path):
                self._steps[path] = Step(_VERBS[type(event)], path, time.monotonic())
            case Constructed(path):
                self._steps.pop(path, None)
                self._paths.add(path)
            case Failed(hook=RUN.name):
                self._left_at = self._bus.clock.now()
            case ComponentStarted(path) | ComponentStopped(path) | ComponentExited(path) | Failed(path):
                self._steps.pop(path, None)
                self._count += 1
                if isinstance(event, ComponentStarted):
                    self._started_paths.add(path)
                    self._paths.add(path)
                    self._slowest = max(self._slowest, (path, event.seconds), key=lambda slowest: slowest[1])
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
        """
        Return one line about *steps*.

        It has how many of the hooks of the phase have ended, the time that the limit of the phase leaves, and for each
        step how long it has taken, and its own limit.
        """
        verb = "rolling back" if self.is_rollback else steps[0].verb if steps else self._state.name.lower()
        # The number of components to construct is not known until construction is finished.
        count = "" if verb == _BUILDING else f" {self._count} of {self._total(len(steps))}"
        whole = self._limit()
        left = "" if whole is None else f", {max(0.0, self._began + whole - now):.1f} s left of {whole:g} s"
        durations = ", ".join(f"{self._duration(step, now)} {step.path}" for step in steps)
        return f"{verb}{count}{left}{': ' * bool(steps)}{durations}"

    def is_late(self, steps: Sequence[Step], now: float) -> bool:
        """Whether one of *steps* takes long, or a limit will end it soon."""
        whole = self._limit()
        if steps and whole is not None and now - self._began >= _LATE_PART * whole:
            return True
        for step in steps:
            limit = self._limit_of(step)
            if now - step.since >= (_LATE if limit is None else min(_LATE, _LATE_PART * limit)):
                return True
        return False

    def outcome(self, now: float) -> str:
        """Return the rest of the line about a start that ends *now*: its duration, its components and the slowest one."""
        count = len(self._paths)
        path, seconds = self._slowest
        slowest = f", slowest {path} ({seconds * 1000:.1f} ms)" if count > 1 and seconds >= _SLOW else ""
        duration = now - self._began
        took = f"{duration:.1f} s" if duration >= 1 else f"{duration * 1000:.0f} ms"
        return f" in {took}: {count} component{'s' * (count != 1)}{slowest}"

    def _duration(self, step: Step, now: float) -> str:
        limit = self._limit_of(step)
        return f"{now - step.since:.1f} s{'' if limit is None else f' of {limit:g} s'}"

    def _limit(self) -> float | None:
        """Return the limit of the phase, in seconds."""
        limits = self._bus.limits
        if self.is_rollback and limits.rollback is not None:
            return limits.rollback
        return {State.STARTING: limits.start, State.STOPPING: limits.stop, State.EXITING: limits.exit}.get(self._state)

    def _limit_of(self, step: Step) -> float | None:
        """Return the limit of the hook that *step* calls, or of its component; construction has neither."""
        if step.verb == _BUILDING or self._state not in _CHANNELS:
            return None
        for hook in self._bus[_CHANNELS[self._state]].subscriptions:
            if hook.path == step.path:
                own = self._bus.limits.hook if hook.limit is None else hook.limit
                component = None if hook.node is None else hook.node.limit
                return min((limit for limit in (own, component) if limit is not None), default=None)
        return None

    def _total(self, steps: int) -> int:
        """Return how many hooks the phase calls, of which *steps* are being called."""
        subscriptions = self._bus[_CHANNELS[self._state]].subscriptions
        if self._state is State.STOPPING:
            # After a failed start, only the components that had started are stopped.
            subscriptions = tuple(hook for hook in subscriptions if hook.path in self._started_paths)
        return max(len(subscriptions), self._count + steps)
