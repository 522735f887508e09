"""The exceptions of runs and of their restart policies."""

from __future__ import annotations

from typedbus._base.failures import error_text
from typedbus._base.structured import StructuredError


class RestartPolicyError(StructuredError, ValueError):
    """
    Raised by `Restart` for a policy that cannot work, and by `BackgroundTask` for a policy with ``takes="dependents"``.

    Attributes:
        reason: Why the policy cannot work, and the way out.
    """

    reason: str

    def __str__(self) -> str:
        return f"this restart policy cannot work: {self.reason}"


class RunFailed(StructuredError, RuntimeError):
    """
    The cause with which a bus exits because a run has failed and is not called again.

    It is raised from the last error of the run.

    Attributes:
        path: The path of the run.
        attempts: How many times it was called since the bus started.
        errors: Its errors within the window of its policy, oldest first; the last one is the cause.
    """

    path: str
    attempts: int
    errors: tuple[BaseException, ...] = ()

    def __str__(self) -> str:
        last = f" with {error_text(self.errors[-1])}" if self.errors else ""
        often = "" if self.attempts == 1 else f" after {self.attempts} calls, the last time"
        return f"run {self.path} failed{often}{last}"


class RunReturned(StructuredError, RuntimeError):
    """
    The failure of a run that returned although it had not been asked to end.

    It is a failure under ``Restart("always")``, and for a run that a start awaits if it has not called
    `Stopping.ready`.

    Attributes:
        path: The path of the run.
        seconds: How long it ran.
    """

    path: str
    seconds: float

    def __str__(self) -> str:
        return (
            f"run {self.path} returned after {self.seconds:.2f} s, before it was asked to end; "
            "make it wait for its `stopping` argument"
        )
