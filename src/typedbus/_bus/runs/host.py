"""The interface of a bus to its runs, and the argument of their calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from typedbus._base.clock import Clock
from typedbus._base.run_events import RunEvent
from typedbus._base.stopping import Stopping

if TYPE_CHECKING:
    from typedbus._bus.asyncio_loop import AsyncioLoop
    from typedbus._bus.runs.run import Run
    from typedbus._bus.runs.sessions import Session


class RunHost(Protocol):
    """The bus, as far as a run uses it."""

    @property
    def clock(self) -> Clock:
        """The clock."""
        ...

    @property
    def is_starting(self) -> bool:
        """Whether the bus is STARTING: a failure ends the start, and the run is not called again."""
        ...

    @property
    def is_exit_requested(self) -> bool:
        """Whether an exit was requested: a run may return before it is asked to end."""
        ...

    def log(self, message: str, level: int, /) -> None:
        """Publish on `LOG`."""

    def publish(self, event: RunEvent, /) -> None:
        """Publish on `RUNS`."""

    def own(self, thread: threading.Thread, /) -> None:
        """Let the bus own *thread*."""

    def loop(self, action: str, /) -> AsyncioLoop:
        """Return the event loop of the bus, for *action*."""
        ...

    def request_exit(self, cause: BaseException, /) -> None:
        """Exit the bus because of *cause*."""

    def restart(self, run: Run, session: Session, pause: float, /) -> bool:
        """
        Restart the component of *run* and its dependents, in this thread, after a failure in *session*.

        Return False, and do nothing, if the run belongs to no component.
        """
        ...


class RunStopping(Stopping):
    """The argument of one call of a run; it calls *became_ready* at the first `ready`."""

    def __init__(self, clock: Clock, became_ready: Callable[[], object]) -> None:
        super().__init__(clock)
        self._became_ready = became_ready

    def ready(self) -> None:
        if not self._is_ready:
            super().ready()
            self._became_ready()
