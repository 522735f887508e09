"""The lines on `LOG` about runs."""

from __future__ import annotations

from typedbus._base.failures import traceback_of
from typedbus._base.restart import Restart


def broke(path: str, policy: Restart, error: Exception, seconds: float, *, delay: float, failures: int) -> str:
    """Return the line for a run that is called again, with the traceback of the first of *failures* in a row."""
    text = (
        f"run {path} broke after {seconds:.1f} s: {error!r}; "
        f"again in {delay:.1f} s ({failures} of {policy.most} in {policy.within:g} s)"
    )
    return f"{text}\n{traceback_of(error)}" if failures == 1 else text


def gave_up(path: str, error: BaseException, attempts: int, *, exits: bool) -> str:
    """Return the line for a run that is not called again; the exit of the bus logs the traceback if there is one."""
    often = "" if attempts <= 1 else f" after {attempts} calls"
    if not isinstance(error, Exception):
        return f"run {path} exits the bus: {error!r}"
    if exits:
        return f"run {path} failed{often}, the bus exits: {error!r}"
    return f"run {path} failed{often}, and is not called again: {error!r}\n{traceback_of(error)}"


def ended(path: str, seconds: float, *, is_late: bool) -> str:
    """Return the line for a run that has returned."""
    return f"run {path} ended after {seconds:.1f} s" + ("; it had been left behind" if is_late else "")
