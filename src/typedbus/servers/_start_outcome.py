"""The result of a start that another thread carries out."""

from __future__ import annotations

import collections
import queue
from collections.abc import Callable

from typedbus._bus.bus import Bus, parts_of


class StartOutcome:
    """
    The result of a start, for which a hook of `START` waits and which another thread reports.

    Any signal wakes the main thread here; if it waited on a plain queue, a signal that came just before the wait would
    be noticed only after it.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waking = parts_of(bus).requests.wakeup.waking
        self._inbox: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._results: collections.deque[BaseException | None] = collections.deque()
        self._receive: Callable[[BaseException], object] | None = None

    def put(self, error: BaseException | None) -> None:
        """Report *error*, or None for success; safe from a signal handler."""
        self._results.append(error)
        self._waking.wake(self._inbox)
        self._pass_on()

    def get(self, cancel: Callable[[], object]) -> BaseException | None:
        """
        Wait for the first result, and return it.

        Args:
            cancel: Called if the start of the bus is cancelled meanwhile, or was before the call, possibly in a
                signal handler. It must not block, and must lead to a `put`.
        """
        with parts_of(self._bus).machine.waking(cancel):
            while not self._results:
                self._waking.inbox(self._inbox).get()
            return self._results.popleft()

    def pass_on(self, receive: Callable[[BaseException], object]) -> None:
        """Call *receive*, in any thread, with each exception that is put after the result that `get` has returned."""
        self._receive = receive
        self._pass_on()

    def _pass_on(self) -> None:
        # `put` and `pass_on` may meet here; each takes a result only once.
        while self._receive is not None:
            try:
                error = self._results.popleft()
            except IndexError:
                return
            if error is not None:
                self._receive(error)
