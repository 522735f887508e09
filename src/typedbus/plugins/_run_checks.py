"""
Health checks of the runs of a bus, which need no code in components.

Each run has a check on each channel of `Health`. A check only reads the record of its run, so it cannot hang.
"""

from __future__ import annotations

from collections.abc import Mapping

from typedbus._base.run_records import RunRecord, RunState
from typedbus.plugins._check_call import Checked


def alive_checks(runs: Mapping[str, RunRecord]) -> list[Checked]:
    """Return the checks of `ALIVE`, one for each run: it fails while the run is silent for too long."""
    return [_checked(record, silence_of(record)) for record in runs.values()]


def ready_checks(runs: Mapping[str, RunRecord], now: float) -> list[Checked]:
    """
    Return the checks of `READY`, one for each run: it fails while the run does not work.

    Args:
        runs: The records of the runs.
        now: The time on the clock of the bus.
    """
    return [_checked(record, silence_of(record) or trouble_of(record, now)) for record in runs.values()]


def silence_of(record: RunRecord) -> str:
    """Return for how long the run has been silent and where it is; "" while it is not silent for too long."""
    silent = None if record.policy is None else record.policy.silent
    if silent is None or not record.is_silent:
        return ""
    text = f"it has not called stopping.beat() for {record.silent_for:.1f} s; its limit is {silent:g} s"
    stack = record.stack().rstrip()
    return f"{text}; it is at:\n{stack}" if stack else text


def trouble_of(record: RunRecord, now: float) -> str:
    """Return why the run does not work at *now*, on the clock of the bus; "" if it works or its work is done."""
    if record.is_ready:
        return ""
    match record.state:
        case RunState.WAITING if record.last_error is not None:
            pause = "" if record.next_at is None else f" in {max(0.0, record.next_at - now):.1f} s"
            return f"it runs again{pause}: {record.last_error}"
        case RunState.FAILED:
            return f"it has failed, and does not run again: {record.last_error}"
        case RunState.IDLE | RunState.WAITING:
            return "it has not begun"
        case RunState.STOPPING:
            return "it was asked to end"
        case RunState.RUNNING | RunState.ENDED:
            return "it has not called stopping.ready()"


def _checked(record: RunRecord, trouble: str) -> Checked:
    return Checked(record.path, not trouble, trouble or record.state.value, 0.0)
