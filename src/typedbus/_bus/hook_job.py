"""A hook and the state of its call by a scheduler."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from typedbus._bus.hook_worker import HookWorker
from typedbus._bus.hooks import Abandoned, ScheduledHook

if TYPE_CHECKING:
    from typedbus._bus.loop_call import LoopCall


@attrs.define(eq=False, repr=False)
class HookJob:
    """A listener and the state of its call: its *place* in the order, and its *stage*; stages run one by one."""

    hook: ScheduledHook
    place: int
    stage: int
    context: contextvars.Context | None = None
    worker: HookWorker | None = None
    #: The task of an async hook.
    call: LoopCall | None = None
    #: Whether an async hook was cancelled because the phase does not go on.
    is_called_off: bool = False
    #: Whether an async hook was cancelled because it is given up, with no time to end.
    is_broken_off: bool = False
    #: Until when an async hook that has overrun, and was cancelled, may take to end.
    grace: float | None = None
    began: float = 0.0
    allowed: float | None = None
    limit: float | None = None
    scope: str = ""
    seconds: float = 0.0
    error: BaseException | None = None
    #: The earlier call that must end before the hook is called.
    predecessor: Abandoned | None = None
    abandoned: Abandoned | None = None
    is_given_up: bool = False
    is_over: bool = False

    @property
    def due(self) -> float | None:
        """When it overruns or, after its cancellation, is left behind; None without a limit."""
        if self.grace is not None or self.allowed is None:
            return self.grace
        return self.began + self.allowed


def staged(hooks: Sequence[ScheduledHook]) -> Iterator[HookJob]:
    """Yield a job for each of *hooks*, in order."""
    stage, last = 0, None
    for place, hook in enumerate(hooks):
        # A listener outside all components has a stage to itself.
        current = (hook.priority, None if hook.node is not None else place)
        if place and current != last:
            stage += 1
        last = current
        yield HookJob(hook, place, stage)
