"""The states of a bus, and what is told about its life: pure data."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs


class State(enum.Enum):
    """
    Where a bus stands in its life.

    STOPPED → STARTING → STARTED → STOPPING → STOPPED → EXITING → EXITED, and
    from EXITED to STARTING again.
    A start that fails or is broken off goes from STARTING to STOPPING.
    """

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    STARTED = "STARTED"
    STOPPING = "STOPPING"
    EXITING = "EXITING"
    EXITED = "EXITED"

    def __repr__(self) -> str:
        return f"State.{self.name}"


@attrs.frozen
class Moved:
    """The bus went from one state to another."""

    before: State
    after: State


@attrs.frozen
class Constructed:
    """A component was built, in *seconds*."""

    path: str
    seconds: float


@attrs.frozen
class Started:
    """A listener of `START` returned after *seconds*; *path* names its component."""

    path: str
    seconds: float


@attrs.frozen
class Stopped:
    """A listener of `STOP` returned after *seconds*; *path* names its component."""

    path: str
    seconds: float


@attrs.frozen
class Exited:
    """A listener of `EXIT` returned after *seconds*; *path* names its component."""

    path: str
    seconds: float


@attrs.frozen
class Failed:
    """A listener of the life-cycle channel *hook* raised *error* after *seconds*."""

    path: str
    hook: str
    seconds: float
    error: BaseException


LifecycleEvent: TypeAlias = Moved | Constructed | Started | Stopped | Exited | Failed
"""Everything that a bus tells on its `LIFECYCLE` channel; `match` exhausts it."""
