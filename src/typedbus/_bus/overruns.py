"""The errors of the hooks that a scheduler gives up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from typedbus._base.clock import Clock
from typedbus._base.errors import HookTimeout, LoopError, StartPending
from typedbus._bus.hook_graph import HookGraph
from typedbus._bus.hook_job import HookJob
from typedbus._bus.hooks import Abandoned, Runner, WaitingListener


class Overruns:
    """
    Creates the errors of one phase.

    Args:
        jobs: All jobs of the phase.
        graph: Their dependencies, if the scheduler needs them.
        backwards: Whether each node comes after the nodes that need it, as in a stop.
        clock: For durations.
    """

    def __init__(self, jobs: Sequence[HookJob], graph: HookGraph | None, *, backwards: bool, clock: Clock) -> None:
        self._jobs = jobs
        self._graph = graph
        self._backwards = backwards
        self._clock = clock

    def left_behind(self, job: HookJob, runner: Runner, seconds: float) -> Exception:
        """Return the error of a hook that *runner* still runs after *seconds*."""
        hook, call = job.hook, job.call
        if call is None:
            waits_for = hook.listener.stack() if isinstance(hook.listener, WaitingListener) else ""
            return self.overrun(job, waits_for or runner.stack(), seconds)
        if (death := call.on.why_dead()) is not None:
            return LoopError(
                f"{hook.path} has not returned from {hook.channel.name} ({hook.place})",
                f"{call.on.name} {death}; exit the bus before its event loop ends",
            )
        if job.grace is not None and not call.was_cancelled:
            return self.overrun(job, call.stack_of_loop(), seconds, "loop blocked")
        return self.overrun(job, call.stack_at_cancel or call.stack(), seconds)

    def pending(self, job: HookJob, predecessor: Abandoned) -> StartPending:
        """Return the error of a hook that was not called, because it waited for *predecessor*."""
        hook = predecessor.hook
        return StartPending(
            job.hook.path,
            hook.place,
            self._clock.now() - predecessor.began,
            job.limit,
            job.scope,
            predecessor.runner.stack(),
        )

    def overrun(
        self,
        job: HookJob,
        stack: str,
        seconds: float = 0.0,
        outcome: Literal["left behind", "cancelled", "loop blocked"] = "left behind",
    ) -> HookTimeout:
        """Return the error of a hook that was given up after *seconds*, with the components that wait for it."""
        hook = job.hook
        return HookTimeout(
            hook.path,
            hook.channel.name,
            hook.place,
            seconds,
            job.limit,
            job.scope,
            stack,
            self._waiting_for(job),
            outcome,
        )

    def _waiting_for(self, job: HookJob) -> tuple[str, ...]:
        """Return the paths of the components that cannot be called before *job* is over."""
        graph = self._graph or HookGraph([other.hook for other in self._jobs], backwards=self._backwards)
        behind = graph.behind(job.hook.node)
        waiting = {other.hook.path: None for other in self._jobs if other.hook.node in behind}
        return tuple(waiting)
