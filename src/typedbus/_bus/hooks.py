"""The hooks of one phase as the scheduler sees them, and the callbacks by which it reports on them."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from typedbus._base.limits import StartNode
from typedbus._channels.channel import AnyChannel

if TYPE_CHECKING:
    from typedbus._bus.asyncio_loop import AsyncioLoop

CHECK_INTERVAL: Final = 0.1
"""
Seconds between two checks while other code may change something without a notification.

This is whether the start has been cancelled, while an inline hook waits for an earlier call; and whether an event loop
that belongs to the caller still runs, while async hooks or runs are awaited on it.
"""

GRACE: Final = 1.0
"""How many seconds an async hook or run that has overrun may take to end after it was cancelled."""


class ScheduledHook(Protocol):
    """A call that the scheduler makes: a `Subscription` to a channel of the life cycle, or the call of a participant."""

    @property
    def listener(self) -> Callable[..., object]:
        """The function to call, without arguments."""
        ...

    @property
    def channel(self) -> AnyChannel:
        """The channel of the hook."""
        ...

    @property
    def priority(self) -> int:
        """Hooks of a lower priority end before hooks of a higher priority begin."""
        ...

    @property
    def owner(self) -> object:
        """The object that starts and stops with the hook: a stop calls the hooks of the objects that have started."""
        ...

    @property
    def node(self) -> StartNode | None:
        """The start node of the hook's component; None for a hook that runs alone, in its place."""
        ...

    @property
    def limit(self) -> float | None:
        """The time limit of this hook in seconds, in place of the limit of all hooks."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether the call does nothing."""
        ...

    @property
    def is_inline(self) -> bool:
        """Whether it is called in the thread of the transition, regardless of workers and limits."""
        ...

    @property
    def name(self) -> str:
        """Its name in failures."""
        ...

    @property
    def path(self) -> str:
        """Its name in events."""
        ...

    @property
    def place(self) -> str:
        """File and line of its definition."""
        ...


@attrs.frozen
class PhaseLimit:
    """The time limit of a phase: its name in messages, its length in seconds or None, and when it began."""

    scope: str
    seconds: float | None
    began: float


class Runner(Protocol):
    """The thread, or the task on an event loop, that runs a hook."""

    @property
    def on(self) -> AsyncioLoop | None:
        """The event loop; None for a thread."""
        ...

    def stack(self) -> str:
        """Return the present stack of the hook as text, from the hook inwards; "" if it has ended."""
        ...


class PhaseWait(Protocol):
    """The wait of a transition for hooks or runs: a `HookScheduler`, or the `Ending` of runs."""

    def wake(self) -> None:
        """Make it check again whether to give up; may be called in any thread and in a signal handler."""

    def stacks_on_loop(self) -> dict[str, str]:
        """Return the stacks of the tasks that it waits for, by name; may be called in any thread and in a signal handler."""
        ...


class WaitingListener:
    """A listener that waits for other code; if it is given up, the stack of that code is reported."""

    def stack(self) -> str:
        """Return the present stack of that code as text; "" if it does not run."""
        raise NotImplementedError


class PhaseCallbacks(Protocol):
    """Callbacks of a scheduler; all except `late` are called in the thread of the transition."""

    def begins(self, hook: ScheduledHook, /) -> None:
        """Called before a listener is called."""

    def ended(self, hook: ScheduledHook, seconds: float, error: BaseException | None, /) -> None:
        """Called when a listener has returned or raised, or was given up."""

    def interrupted(self, error: BaseException, /) -> bool:
        """
        Called with an exception that interrupted the thread of the transition while it waited.

        Return whether to give up the hooks that run, since it is not the first interrupt.
        """
        ...

    def goes_on(self) -> bool:
        """Return whether the remaining listeners should be called."""
        ...

    def context(self) -> contextvars.Context:
        """Return the context in which an async hook runs."""
        ...

    def gives_up(self) -> bool:
        """Return whether the hooks that run must be given up; True once for each request."""
        ...

    def called_off(self) -> BaseException:
        """Return the outcome of an async hook that was cancelled because the phase does not go on."""
        ...

    def joined(self, thread: int, /) -> None:
        """Called when a worker thread has been started, before it calls hooks."""

    def left(self, thread: int, /) -> None:
        """Called when a worker thread has ended; not called for a thread whose hook was given up."""

    def abandons(self, hook: ScheduledHook, began: float, runner: Runner, /) -> Abandoned:
        """Return the record of a hook that is about to be given up."""
        ...

    def late(self, abandoned: Abandoned, seconds: float, error: BaseException | None, /) -> None:
        """Called when a hook that had been given up has ended: in its thread, or in a new one if it is async."""

    def predecessor(self, hook: ScheduledHook, /) -> Abandoned | None:
        """Return an unfinished call from an earlier transition that must end before this hook is called, or None."""
        ...


@attrs.define(eq=False)
class Abandoned:
    """
    A hook that was given up and still runs.

    Attributes:
        hook: The hook.
        began: When it was called.
        runner: The thread or the task that runs it.
        stops: For a hook of `START`, the hooks of `STOP` of the same object, to be called if it returns.
        left: The hooks of `STOP` and `EXIT` of the same object that were due in the meantime. They are called after
            *stops*, whether the start returns or raises. Guarded by the lock of the bus.
        is_over: Set when the hook has ended and all hooks in *stops* and *left* have been called.
    """

    hook: ScheduledHook
    began: float
    runner: Runner
    stops: list[ScheduledHook]
    left: list[ScheduledHook] = attrs.field(factory=list)
    is_over: threading.Event = attrs.field(factory=threading.Event)
