"""A transition of a bus."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from typedbus._base.errors import StartCancelled
from typedbus._base.failures import (
    Failure,
    TransitionFailures,
    chain_failure,
    combined_error,
)
from typedbus._base.states import State
from typedbus._bus.event_loop import EventLoop
from typedbus._bus.hooks import Abandoned

if TYPE_CHECKING:
    from typedbus._base.limits import StartNode
    from typedbus._bus.hooks import PhaseWait

#: In the context of an async hook, and in the copies that its tasks and `asyncio.to_thread` make: its transition.
_transition_of_hook: Final[contextvars.ContextVar[Transition | None]] = contextvars.ContextVar(
    "typedbus_transition", default=None
)


@attrs.define(eq=False, repr=False)
class Transition:
    """A transition under way: its goal, its threads, and its outcome."""

    asked: State
    goal: State
    #: The identifiers of the thread that carries it out and of the worker threads that call its hooks.
    threads: set[int]
    #: The starts that were given up in this and in earlier transitions of the bus, and have not been undone.
    abandoned: list[Abandoned]
    #: The event loop of the bus.
    event_loop: EventLoop
    done: threading.Event = attrs.field(factory=threading.Event)
    failures: list[Failure] = attrs.field(factory=list)
    leaving: list[BaseException] = attrs.field(factory=list)
    #: How many times its thread, or the code that requested it, was interrupted.
    interrupts: int = 0
    has_started: bool = False
    outcome: BaseException | None = None
    #: Functions to call when the goal is no longer STARTED; see `StateMachine.waking`.
    wakers: list[Callable[[], object]] = attrs.field(factory=list)
    #: The object that calls hooks, or ends runs, at present; None between phases.
    scheduler: PhaseWait | None = None
    #: Whether the hooks that run must be given up.
    gives_up: bool = False
    #: The component that is restarted with its dependents, while the bus stays STARTED; see `_bus.partial`.
    restarted: StartNode | None = None
    #: Whether a start in a partial restart has failed.
    has_failed: bool = False
    #: For a partial restart, how many callers wait for its end to carry out a stop or an exit.
    successors: int = 0
    #: Whether a hook of a partial restart has requested a stop or an exit.
    is_ended_by_hook: bool = False
    _watchers: list[Callable[[], object]] = attrs.field(factory=list)

    @property
    def is_partial(self) -> bool:
        """Whether it restarts a part of the components while the bus stays STARTED."""
        return self.restarted is not None

    def includes_caller(self) -> bool:
        """Whether the caller is a hook or an observer of this transition, or code that an async hook has begun."""
        # Hooks in threads are recognised by their threads. The thread of the event loop runs other code as well.
        return threading.get_ident() in self.threads or _transition_of_hook.get() is self

    def hook_context(self) -> contextvars.Context:
        """Return a copy of the caller's context, for code that belongs to this transition."""
        context = contextvars.copy_context()
        context.run(_transition_of_hook.set, self)
        return context

    def finish(self) -> None:
        """Wake the callers that wait for the end."""
        self.done.set()
        for watcher in tuple(self._watchers):
            watcher()

    def when_done(self, watcher: Callable[[], object]) -> None:
        """Call *watcher* at the end, in the thread of the transition or at once; possibly twice."""
        self._watchers.append(watcher)
        if self.done.is_set():
            watcher()

    def give_up(self) -> None:
        """
        Give up the hooks that run in other threads or on the event loop; may be called in any thread.

        Between two phases, these are the first hooks of the next phase.
        """
        self.gives_up = True
        scheduler = self.scheduler
        if scheduler is not None:
            scheduler.wake()

    def stacks_on_loop(self) -> dict[str, str]:
        """Return the stacks of the async hooks that run, by name; may be called in any thread and in a signal handler."""
        scheduler = self.scheduler
        return {} if scheduler is None else scheduler.stacks_on_loop()

    @contextlib.contextmanager
    def waking(self, wake: Callable[[], object]) -> Generator[None]:
        """Call *wake* if this is a start that is cancelled while the block runs; see `StateMachine.waking`."""
        if self.asked is not State.STARTED:
            yield
            return
        self.wakers.append(wake)
        try:
            # *wake* is added before the goal is read: whichever thread is second sees the change of the first.
            if not self.goes_on(is_up=True):
                wake()
            yield
        finally:
            self.wakers.remove(wake)

    def goes_on(self, *, is_up: bool) -> bool:
        """Whether a phase calls its remaining hooks: one that starts components, if *is_up*, or one that stops them."""
        if self.is_partial:
            return self.goal is State.STARTED and not (is_up and self.has_failed)
        return not is_up or self.goal is State.STARTED

    def change_goal(self, goal: State) -> None:
        """Change the goal, and wake the waiting hooks of a start; may be called in a signal handler."""
        was_start, self.goal = self.goal is State.STARTED, goal
        if was_start and goal is not State.STARTED:
            self._wake()

    def _wake(self) -> None:
        for wake in tuple(self.wakers):
            wake()

    def outcome_in(self, reached: State, causes: Sequence[BaseException]) -> BaseException | None:
        """
        Return the exception to raise in every waiting caller, None on success.

        Args:
            reached: The state in which the transition ended.
            causes: The errors for which the exit was requested; a cancelled start is raised from them.
        """
        outcome: BaseException | None = None
        if self.failures:
            outcome = TransitionFailures(self.asked, reached, self.failures)
        elif self.asked is State.STARTED and not self.has_started and not self.leaving:
            outcome = StartCancelled(reached)
            if reached is State.EXITED:
                outcome.__cause__ = combined_error("the exit was requested for several reasons", causes)
        for leaving in reversed(self.leaving):
            if outcome is not None:
                chain_failure(leaving, outcome)
            outcome = leaving
        return outcome

    def call_off(self) -> None:
        """Change the goal of a start to STOPPED, or end the start in a partial restart; the caller holds the lock."""
        if self.is_partial:
            self.has_failed = True
            self._wake()
        elif self.goal is State.STARTED:
            self.change_goal(State.STOPPED)


def is_of_hook(context: contextvars.Context, event_loop: EventLoop) -> bool:
    """Whether *context* is that of an async hook of the bus with *event_loop*, or of a task that such a hook created."""
    transition = context.get(_transition_of_hook)
    return transition is not None and transition.event_loop is event_loop


def join_transition(context: contextvars.Context) -> None:
    """Let the current task belong to the transition of the async hook whose context is *context*."""
    _transition_of_hook.set(context.get(_transition_of_hook))
