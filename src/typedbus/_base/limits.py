"""What the bus has to know of a component to call its hooks: whose turn is before whose, and how long each may take."""

from __future__ import annotations

import attrs

from typedbus._base.errors import LimitError
from typedbus._base.record import Record


def checked(name: str, seconds: object) -> float:
    """
    Return *seconds* if that can be a time limit for what is called *name*.

    Raises:
        LimitError: It is no number above 0.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise LimitError(name, seconds)
    return seconds


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Limits(Record):
    """
    How long the parts of a life may take, in seconds; None is as long as they like.

    A hook that overruns is given up: its thread is left to itself, a
    `HookTimeout` reports where it was, and the transition goes on without it. A
    start that returns after that is undone, in its thread: the hooks of `STOP` of
    its object are called, which `LOG` reports. The next start of the component
    waits for that within its limit, and otherwise fails with `StartPending`. A
    start that overruns is rolled back. A stop, a rollback or an exit whose time
    is spent still calls everybody: those that are left share as much time again,
    each an equal part of it, so that the whole never takes more than twice its
    limit.

    Args:
        hook: For each listener of `START`, `STOP` and `EXIT` that has no limit of its own.
        start: For building the components and starting them.
        stop: For a stop.
        rollback: For the stop that a failed start ends with; unless given, that of a stop.
        exit: For the listeners of `EXIT`.

    Raises:
        LimitError: One of them is neither None nor a number above 0.
    """

    hook: float | None = None
    start: float | None = None
    stop: float | None = None
    rollback: float | None = None
    exit: float | None = None

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(type(self)):
            seconds: object = getattr(self, field.name)
            if seconds is not None:
                checked(field.name, seconds)


@attrs.frozen(eq=False, repr=False)
class Turn:
    """The turn of a component: its name, what comes before it, and how long its hooks may take together."""

    path: str
    needs: tuple[Turn, ...]
    limit: float | None = None


def within(seconds: float, spent: float, waiting: int) -> float:
    """
    Return how long one of *waiting* hooks may take of a limit of *seconds*, of which *spent* have passed.

    It is all that is left; after that, an equal part of as much again.
    """
    if spent < seconds:
        return seconds - spent
    return max(0.0, 2 * seconds - spent) / waiting
