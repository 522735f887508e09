"""The states of a bus: pure data."""

from __future__ import annotations

import enum


class State(enum.Enum):
    """
    The state of a bus.

    STOPPED → STARTING → STARTED → STOPPING → STOPPED → EXITING → EXITED, and
    from EXITED to STARTING again.
    A start that fails or is cancelled leads from STARTING to STOPPING.
    """

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    STARTED = "STARTED"
    STOPPING = "STOPPING"
    EXITING = "EXITING"
    EXITED = "EXITED"

    def __repr__(self) -> str:
        return f"State.{self.name}"
