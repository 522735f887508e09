"""The states of the old bus, their mapping to the typed bus, and the failures of a publish."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import ClassVar, Final

from typedbus._base.states import State as Typed
from typedbus._base.structured import StructuredError


class _StateEnum:
    """The states as attributes; an assigned `State` gets the name of its attribute."""

    class State:
        """One state, compared by identity."""

        name: str | None = None

        def __repr__(self) -> str:
            return f"states.{self.name}"

    STOPPED: State
    STARTING: State
    STARTED: State
    STOPPING: State
    EXITING: State

    def __setattr__(self, key: str, value: object) -> None:
        if isinstance(value, self.State):
            value.name = key
        object.__setattr__(self, key, value)


states: Final = _StateEnum()
states.STOPPED = states.State()
states.STARTING = states.State()
states.STARTED = states.State()
states.STOPPING = states.State()
states.EXITING = states.State()

#: There is no EXITED: a bus stays EXITING.
OLD: Final[dict[Typed, _StateEnum.State]] = {
    Typed.STOPPED: states.STOPPED,
    Typed.STARTING: states.STARTING,
    Typed.STARTED: states.STARTED,
    Typed.STOPPING: states.STOPPING,
    Typed.EXITING: states.EXITING,
    Typed.EXITED: states.EXITING,
}


class StateError(StructuredError, ValueError):
    """Raised if a value that is assigned to the state of a bus, or waited for, is not a state."""

    given: object

    def __str__(self) -> str:
        return f"{self.given!r} is not a state of a bus; use states.STOPPED, STARTING, STARTED, STOPPING or EXITING"


def typed(state: object) -> frozenset[Typed]:
    """
    Return the states of the typed bus that correspond to *state*.

    Raises:
        StateError: *state* is not a state.
    """
    typed_states = frozenset(new for new, old in OLD.items() if old is state)
    if not typed_states:
        raise StateError(state)
    return typed_states


class ChannelFailures(Exception):
    """
    Raised by `publish` after the last listener, and by start, stop and exit, if any listener raised.

    Its cause is the failure of the typed bus, which names the listeners and has
    the results of the listeners that succeeded. It is false while it is empty.

    Attributes:
        delimiter: The text between two exceptions when it is printed.
    """

    delimiter: ClassVar[str] = "\n"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self._exceptions: list[BaseException | None] = []

    @classmethod
    def of(cls, errors: Sequence[BaseException]) -> ChannelFailures:
        """Return a `ChannelFailures` with *errors*."""
        failures = cls()
        failures._exceptions.extend(errors)
        return failures

    def handle_exception(self) -> None:
        """Append the exception that is being handled."""
        self._exceptions.append(sys.exc_info()[1])

    def get_instances(self) -> list[BaseException | None]:
        """Return the exceptions in a new list."""
        return self._exceptions[:]

    def __str__(self) -> str:
        return self.delimiter.join(map(repr, self._exceptions))

    __repr__ = __str__

    def __bool__(self) -> bool:
        return bool(self._exceptions)
