"""What wakes the thread that blocks on a bus."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import attrs

from typedbus._bound import BoundChannel, Subscription
from typedbus._registry import MAIN


@attrs.define(eq=False)
class Doorbell:
    """What wakes the thread in `Bus.block`; rung by anybody, by signal handlers too."""

    attended: bool = False
    # Of all queues this alone may be filled by a handler that interrupts its get().
    queue: SimpleQueue[None] = attrs.field(factory=SimpleQueue)

    def ring(self) -> None:
        if self.attended:
            self.queue.put(None)


class MainChannel(BoundChannel[[], None]):
    """`MAIN`: `Bus.block` sleeps without a time limit until somebody listens."""

    __slots__ = ("_doorbell",)

    def __init__(
        self,
        lock: threading.RLock,
        witnesses: tuple[BoundChannel[..., None], ...],
        doorbell: Doorbell,
    ) -> None:
        super().__init__(MAIN, lock, witnesses)
        self._doorbell = doorbell

    def _add(self, subscription: Subscription) -> Subscription:
        added = super()._add(subscription)
        self._doorbell.ring()
        return added
