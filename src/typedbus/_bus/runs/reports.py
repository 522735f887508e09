"""The lines on `LOG` about runs."""

from __future__ import annotations

from typing import TypeAlias

from typedbus._base.failures import error_text, traceback_of
from typedbus._base.restart import Restart
from typedbus._base.run_events import RunBegan, RunBroke, RunEnded, RunEvent, RunGaveUp, RunReady
from typedbus._bus.builtin import ERROR, INFO, WARNING
from typedbus._bus.runs.host import RunHost

Line: TypeAlias = tuple[str, int]
"""A text and its level."""


class RunLines:
    """
    The log lines about one run, each with its level; a component overrides these methods for texts of its own.

    Each method is called after the record of the run has changed. It returns None for no line.
    """

    def begins(self, path: str, attempt: int) -> Line | None:
        """Return the line for the *attempt*-th call."""
        again = f" again, call {attempt}" if attempt > 1 else ""
        return f"run {path} begins{again}", INFO

    def is_ready(self, path: str) -> Line | None:
        """Return the line for a run that is ready."""
        return f"run {path} is ready", INFO

    def broke(
        self, path: str, policy: Restart, error: Exception, seconds: float, *, delay: float, failures: int
    ) -> Line | None:
        """Return the line for a run that is called again, with a traceback for the first failure in the window."""
        text = (
            f"run {path} broke after {seconds:.1f} s: {error_text(error)}; "
            f"again in {delay:.1f} s ({failures} of {policy.most} in {policy.within:g} s)"
        )
        return f"{text}\n{traceback_of(error)}" if failures == 1 else text, WARNING

    def gave_up(self, path: str, error: BaseException, attempts: int, *, exits: bool) -> Line | None:
        """Return the line for a run that is not called again; if the bus exits, the exit logs the traceback."""
        often = "" if attempts <= 1 else f" after {attempts} calls"
        if not isinstance(error, Exception):
            return f"run {path} exits the bus: {error_text(error)}", INFO
        if exits:
            return f"run {path} failed{often}, the bus exits: {error_text(error)}", ERROR
        return f"run {path} failed{often}, and is not called again: {error_text(error)}\n{traceback_of(error)}", ERROR

    def ended(self, path: str, seconds: float, *, is_asked: bool, is_late: bool) -> Line | None:
        """Return the line for a run that has returned; *is_asked* if it was asked to end, *is_late* if it was left behind."""
        text = f"run {path} ended after {seconds:.1f} s"
        return (f"{text}; it had been left behind", WARNING) if is_late else (text, INFO)


class Reporter:
    """
    Reports the steps of one run on `LOG` and on `RUNS`.

    Args:
        host: The bus.
        lines: The lines.
    """

    def __init__(self, host: RunHost, lines: RunLines) -> None:
        self._host = host
        self._lines = lines

    def begins(self, path: str, attempt: int) -> None:
        """Report that the function is called."""
        self._report(self._lines.begins(path, attempt), RunBegan(path, attempt))

    def is_ready(self, path: str) -> None:
        """Report that the run is ready."""
        self._report(self._lines.is_ready(path), RunReady(path))

    def broke(self, event: RunBroke, policy: Restart, failures: int) -> None:
        """Report a failure after which the function is called again by *policy*; *failures* are within its window."""
        line = self._lines.broke(event.path, policy, event.error, event.seconds, delay=event.delay, failures=failures)
        self._report(line, event)

    def gave_up(self, path: str, error: BaseException, attempts: int, *, exits: bool) -> None:
        """Report a failure after which the function is not called again."""
        self._report(self._lines.gave_up(path, error, attempts, exits=exits), RunGaveUp(path, attempts, error))

    def gave_up_silently(self, path: str, error: BaseException, attempts: int) -> None:
        """Report the failure of a run that a start awaits, which raises the error."""
        self._report(None, RunGaveUp(path, attempts, error))

    def failed_later(self, path: str, error: BaseException, *, exits: bool) -> None:
        """Log the failure of an earlier call that ended after the run had begun again; there is no event for it."""
        self._report(self._lines.gave_up(path, error, 1, exits=exits), None)

    def ended(self, path: str, seconds: float, *, is_asked: bool, is_late: bool) -> None:
        """Report that the function has returned, and is not called again."""
        self._report(self._lines.ended(path, seconds, is_asked=is_asked, is_late=is_late), RunEnded(path, seconds))

    def _report(self, line: Line | None, event: RunEvent | None) -> None:
        if line is not None:
            self._host.log(*line)
        if event is not None:
            self._host.publish(event)
