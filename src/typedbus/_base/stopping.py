"""The event that asks a run to end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from typedbus._base.clock import Clock, SystemClock
from typedbus._base.sync import simple_queue


class Stopping(threading.Event):
    """
    The event that asks a run to end: set when the bus, or the component of the run, stops.

    Each attempt of a run receives an event of its own. All methods may be called from any thread and from tasks; `wait`
    blocks the calling thread, `until_set` does not. A test may pass ``Stopping()`` to a method that is a run.

    Args:
        clock: The clock on which `wait` sleeps; the system clock by default.

    Attributes:
        beat_at: When `beat` was last called, in seconds of the clock; None if it has not been called.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self._clock: Clock = clock or SystemClock()
        self._is_ready = False
        #: Functions that wake the waiters other than threads in `threading.Event.wait`.
        self._wakers: list[Callable[[], object]] = []
        self.beat_at: float | None = None

    @property
    def is_ready(self) -> bool:
        """Whether `ready` has been called in this attempt."""
        return self._is_ready

    def ready(self) -> None:
        """
        Report that the run is ready for use; further calls change nothing.

        A start waits for it if the run is declared with ``awaited=True``.
        """
        self._is_ready = True

    def beat(self) -> None:
        """Report that the run is alive; see `Restart.silent`."""
        self.beat_at = self._clock.now()

    def set(self) -> None:
        """Ask the run to end, and wake all waiters."""
        super().set()
        for wake in tuple(self._wakers):
            wake()

    def wait(self, timeout: float | None = None) -> bool:
        """
        Sleep until the run must end, at most for *timeout* seconds of the clock; return whether it must end.

        A run on an event loop awaits `until_set` instead.
        """
        if timeout is None:
            return super().wait()
        inbox = simple_queue()

        def wake() -> None:
            inbox.put(None)

        self._wakers.append(wake)
        try:
            # The waker is there before the flag is read: whichever thread is second sees the change of the first.
            if timeout > 0 and not self.is_set():
                self._clock.wait(inbox, timeout)
        finally:
            self._wakers.remove(wake)
        return self.is_set()

    async def until_set(self) -> None:
        """Return when the run must end, without blocking the event loop of the caller."""
        import asyncio  # the caller has imported it

        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            # The loop may be closed by the time another thread sets the event.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(woken.set)

        self._wakers.append(wake)
        try:
            if not self.is_set():
                await woken.wait()
        finally:
            self._wakers.remove(wake)
