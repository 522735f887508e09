"""The class of an observed channel whose listeners run concurrently."""

from __future__ import annotations

from typing import Any

from typedbus._channels.channel import Args, Result
from typedbus._channels.concurrent_bound import ConcurrentBoundChannel
from typedbus._channels.observing.classes import Observed


class ObservedConcurrent(Observed, ConcurrentBoundChannel[Args, Result]):
    """A base for these classes, whose `publish` and `attempt` call `_run`."""

    __slots__ = ()

    async def _run(self, plan: Any, call: Any) -> list[Result]:
        observer = self._observer
        if observer is None:  # the observation has ended since the publish was called
            return await super()._run(plan, call)
        return await observer.run(super()._run, plan, call)
