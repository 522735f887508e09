"""The requests to a bus that have not been carried out: its exit, a restart, and actions for the thread in `block`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from typedbus._base.failures import distinct_errors, traceback_includes
from typedbus._bus.wakeup import MainLoopWakeup


class Requests:
    """
    The pending requests of one bus.

    Attributes:
        wakeup: The thread in `Bus.block`, and the actions that it must call.
        is_exit_requested: Whether that thread must exit the bus.
        causes: The errors for which an exit was requested, until `block` or `running` raises them.
        exit_in: The number of exits of the bus at the last request for an exit; -1 if there was no request.
        restart_in: The same for the last request for a restart. Neither number is taken back, so that code that runs
            in between, such as a signal handler, finds a consistent state.
        interrupts: How many times `KeyboardInterrupt` has asked for the end since the last start. The second one gives
            up the hooks that run.
    """

    __slots__ = ("causes", "exit_in", "interrupts", "is_exit_requested", "restart_in", "wakeup")

    def __init__(self) -> None:
        self.wakeup = MainLoopWakeup()
        self.discard()

    def discard(self) -> None:
        """Forget every request, in a forked child."""
        self.wakeup.renew()
        self.is_exit_requested = False
        self.causes: list[BaseException] = []
        self.exit_in = self.restart_in = -1
        self.interrupts = 0

    def is_restart(self, exits: int) -> bool:
        """Whether a restart, and no exit, was requested after the bus had exited *exits* times."""
        return self.exit_in < self.restart_in == exits

    def unserved(self) -> list[Callable[[], object]]:
        """Take the actions, unless a thread is in `block`: that thread calls or discards them. Needs the lock."""
        return [] if self.wakeup.attendant is not None else self.wakeup.take()

    def take_causes(self, problems: Sequence[BaseException]) -> list[BaseException]:
        """Take the causes, and return them without causes that *problems* include. Needs the lock."""
        causes, self.causes = self.causes, []
        return [
            cause
            for cause in distinct_errors(causes)
            if not any(traceback_includes(problem, cause) for problem in problems)
        ]
