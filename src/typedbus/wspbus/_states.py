"""The states as the old names have them, what they are to the typed bus, and the failures of a publish."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import ClassVar, Final

from typedbus._base.states import State as Typed


class _StateEnum:
    """The states, as attributes; a `State` that is assigned here gets the name of its attribute."""

    class State:
        """One state, told apart by identity."""

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


class StateError(ValueError):
    """Raised where a bus is given, or is to wait for, what is none of its states."""

    def __init__(self, given: object) -> None:
        super().__init__(given)
        self.given = given

    def __str__(self) -> str:
        return f"{self.given!r} is no state of a bus; give one of states.STOPPED, STARTING, STARTED, STOPPING, EXITING"


def typed(state: object) -> frozenset[Typed]:
    """
    Return what *state* is to the typed bus.

    Raises:
        StateError: It is none.
    """
    found = frozenset(new for new, old in OLD.items() if old is state)
    if not found:
        raise StateError(state)
    return found


class ChannelFailures(Exception):
    """
    Raised by `publish` after the last listener, and by start, stop and exit, if any listener raised.

    Its cause is the failure of the typed bus, which names the listeners and has
    the results of those that worked. It is false while it is empty.

    Attributes:
        delimiter: Between two exceptions when it is printed.
    """

    delimiter: ClassVar[str] = "\n"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self._exceptions: list[BaseException | None] = []

    @classmethod
    def of(cls, errors: Sequence[BaseException]) -> ChannelFailures:
        """Return one of *errors*."""
        made = cls()
        made._exceptions.extend(errors)
        return made

    def handle_exception(self) -> None:
        """Append the exception that is being handled."""
        self._exceptions.append(sys.exc_info()[1])

    def get_instances(self) -> list[BaseException | None]:
        """Return the exceptions, in a list of the caller's own."""
        return self._exceptions[:]

    def __str__(self) -> str:
        return self.delimiter.join(map(repr, self._exceptions))

    __repr__ = __str__

    def __bool__(self) -> bool:
        return bool(self._exceptions)
