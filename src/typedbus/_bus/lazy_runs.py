"""The runs of a bus, created on demand: most programs have no runs, and do not import the modules of `_bus.runs`."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

from typedbus._bus.builtin import RUN

if TYPE_CHECKING:
    from typedbus._base.run_records import RunRecord
    from typedbus._bus.hooks import PhaseLimit
    from typedbus._bus.machine import StateMachine
    from typedbus._bus.main_loop import MainLoop
    from typedbus._bus.registry import Registry
    from typedbus._bus.runs.supervisor import Runs
    from typedbus._bus.transition_phase import TransitionPhase


class LazyRuns:
    """
    The runs of one bus, which are created when the first run is used.

    Args:
        registry: The channels of the bus.

    Attributes:
        machine: A weak reference to the state machine of the bus, which holds this object.
        main_loop: A weak reference to the main loop of the bus.
    """

    __slots__ = ("_registry", "_runs", "machine", "main_loop")

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._runs: Runs | None = None
        self.machine: weakref.ref[StateMachine]
        self.main_loop: weakref.ref[MainLoop]

    def get(self) -> Runs:
        """Return the runs; the first call creates them."""
        if self._runs is None:
            from typedbus._bus.runs.supervisor import Runs

            machine, main_loop = self.machine(), self.main_loop()
            assert machine is not None
            assert main_loop is not None
            # Components that start in parallel may both be the first with a run.
            with self._registry.lock:
                self._runs = self._runs or Runs(machine, main_loop)
        return self._runs

    @property
    def is_used(self) -> bool:
        """Whether the bus has a run, or has had one."""
        bound = self._registry.bound.get(RUN)
        return self._runs is not None or (bound is not None and bool(bound.subscriptions))

    def includes_caller(self) -> bool:
        """Whether the caller is a run of this bus, or code that an async run has begun."""
        return self._runs is not None and self._runs.includes_caller()

    def begin(self) -> None:
        """Begin the runs; called when the bus has STARTED."""
        if self.is_used:
            self.get().begin()

    def end(self, phase: TransitionPhase, limit: PhaseLimit) -> None:
        """End the runs; called at the beginning of a stop."""
        if self._runs is not None:
            self._runs.end_all(phase, limit)

    def records(self) -> Mapping[str, RunRecord]:
        """Return the state of each run, by its path; see `Bus.runs`."""
        return self.get().records() if self.is_used else {}

    def stacks_on_loop(self) -> dict[str, str]:
        """Return the stacks of the async runs, by path; may be called in any thread and in a signal handler."""
        return {} if self._runs is None else self._runs.stacks_on_loop()

    def detach(self) -> None:
        """Reset the runs in a forked child process."""
        if self._runs is not None:
            self._runs.detach()
