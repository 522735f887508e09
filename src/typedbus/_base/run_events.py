"""
The events of runs: one frozen record class for each kind.

*path* is the path of the run, and durations are in seconds.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from typedbus._base.record import Record


@attrs.frozen(eq=False, repr=False)
class RunBegan(Record):
    """The run is called, for the *attempt*-th time since the bus started."""

    path: str
    attempt: int


@attrs.frozen(eq=False, repr=False)
class RunReady(Record):
    """The run has called `Stopping.ready`."""

    path: str


@attrs.frozen(eq=False, repr=False)
class RunEnded(Record):
    """The run returned after *seconds*, and is not called again: it was asked to end, or its work is done."""

    path: str
    seconds: float


@attrs.frozen(eq=False, repr=False)
class RunBroke(Record):
    """The *attempt*-th call of the run failed with *error* after *seconds*; it is called again in *delay* seconds."""

    path: str
    seconds: float
    error: Exception
    attempt: int
    delay: float


@attrs.frozen(eq=False, repr=False)
class RunGaveUp(Record):
    """The run failed with *error*, and is not called again; it was called *attempts* times since the bus started."""

    path: str
    attempts: int
    error: BaseException


RunEvent: TypeAlias = RunBegan | RunReady | RunEnded | RunBroke | RunGaveUp
"""Every event that a bus publishes on `RUNS`; `match` can be checked for exhaustiveness."""
