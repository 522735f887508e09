"""Time limits of hooks, and the nodes of the graph that orders the components of a bus."""

from __future__ import annotations

import math
from typing import cast

import attrs

from typedbus._base.errors import LimitError
from typedbus._base.numbers import is_seconds
from typedbus._base.record import Record


def checked_limit(name: str, seconds: object) -> float:
    """
    Return *seconds* if it is a valid time limit for *name*; infinity is one as well.

    Raises:
        LimitError: It is not a number above 0.
    """
    if seconds == math.inf or is_seconds(seconds):
        return cast("float", seconds)
    raise LimitError(name, seconds)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Limits(Record):
    """
    Time limits for hooks and transitions, in seconds; None means no limit.

    A hook that overruns is given up: its thread is abandoned, a
    `HookTimeout` reports its stack, and the transition continues without it. A
    start hook that returns after that is undone in its thread: the hooks of `STOP` of
    its object are called, which is logged on `LOG`. The next start of the component
    waits for this within its limit, and otherwise fails with `StartPending`. A
    start that overruns is rolled back. A stop, a rollback or an exit whose time
    is spent still calls all remaining hooks: they share the same amount of time again,
    in equal parts, so that the whole never takes more than twice its limit.

    Args:
        hook: For each listener of `START`, `STOP` and `EXIT` that has no limit of its own.
        start: For constructing the components and starting them.
        stop: For a stop.
        rollback: For the stop at the end of a failed start; by default the limit of a stop.
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
                checked_limit(field.name, seconds)


@attrs.frozen(eq=False, repr=False)
class StartNode:
    """
    A component in the start graph: its path, the nodes that must start before it, and the limit for all its hooks together.

    A gate is a node without a path: it comes between the listeners of a channel and a component that publishes there.
    """

    path: str
    needs: tuple[StartNode, ...]
    limit: float | None = None

    @property
    def is_gate(self) -> bool:
        """Whether the node stands for the listeners of a channel instead of a component."""
        return not self.path


def time_left(seconds: float, spent: float, waiting: int) -> float:
    """
    Return how long the next of *waiting* hooks may take of a limit of *seconds*, of which *spent* have passed.

    It may take all the time that is left. When the limit has passed, it may take an equal part of the same time again.
    """
    if spent < seconds:
        return seconds - spent
    return max(0.0, 2 * seconds - spent) / waiting
