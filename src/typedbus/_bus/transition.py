"""A transition of a bus, and its phases."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from typedbus._base.coroutines import is_async_callable
from typedbus._base.errors import StartCancelled
from typedbus._base.events import Failed, LifecycleEvent
from typedbus._base.failures import (
    Failure,
    TransitionFailures,
    chain_failure,
    combined_error,
    note_of,
    propagates_at_once,
    put_note,
    traceback_of,
)
from typedbus._base.states import State
from typedbus._bus.builtin import ERROR, START, STOP, WARNING
from typedbus._bus.event_loop import EventLoop
from typedbus._bus.hook_worker import raised_by
from typedbus._bus.hooks import Abandoned, PhaseCallbacks, Runner, ScheduledHook
from typedbus._bus.policy import TransitionPolicy
from typedbus._bus.registry import Registry
from typedbus._os.forks import notice

if TYPE_CHECKING:
    from typedbus._bus.asyncio_loop import AsyncioLoop
    from typedbus._bus.scheduler import HookScheduler

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
    #: The scheduler that calls hooks at present, if there is one.
    scheduler: HookScheduler | None = None
    #: Whether the hooks that run must be given up.
    gives_up: bool = False
    _watchers: list[Callable[[], object]] = attrs.field(factory=list)

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
            if self.goal is not State.STARTED:
                wake()
            yield
        finally:
            self.wakers.remove(wake)

    def change_goal(self, goal: State) -> None:
        """Change the goal, and wake the waiting hooks of a start; may be called in a signal handler."""
        was_start, self.goal = self.goal is State.STARTED, goal
        if was_start and goal is not State.STARTED:
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
        """Change the goal of a start to STOPPED; the caller holds the lock of the bus."""
        if self.goal is State.STARTED:
            self.change_goal(State.STOPPED)


def is_of_hook(context: contextvars.Context, event_loop: EventLoop) -> bool:
    """Whether *context* is that of an async hook of the bus with *event_loop*, or of a task that such a hook created."""
    transition = context.get(_transition_of_hook)
    return transition is not None and transition.event_loop is event_loop


@attrs.define(eq=False, repr=False)
class TransitionPhase(PhaseCallbacks):
    """
    The callbacks of a scheduler on behalf of a transition.

    They collect the exceptions of hooks, publish events, and cancel a start.
    """

    registry: Registry
    policy: TransitionPolicy
    transition: Transition
    begin: Callable[[str], LifecycleEvent] | None
    end: Callable[[str, float], LifecycleEvent] | None
    #: Whether it ends at the first failure, and when the goal is no longer STARTED.
    is_up: bool
    #: The listeners that returned, in the order in which they did.
    well: list[ScheduledHook] = attrs.field(factory=list)

    def begins(self, hook: ScheduledHook, /) -> None:
        if self.begin is not None:
            self.registry.observers.publish(self.begin(hook.path))

    def ended(self, hook: ScheduledHook, seconds: float, error: BaseException | None, /) -> None:
        if error is None:
            self.well.append(hook)
            if self.end is not None:
                self.registry.observers.publish(self.end(hook.path, seconds))
            return
        channel, current = hook.channel.name, self.transition
        ends_start = self.policy.hook_failed(hook, error) and self.is_up
        if self.is_up and isinstance(error, StartCancelled) and current.goal is not State.STARTED:
            # The hook was waiting when the start was cancelled: this is not a failure.
            self.registry.observers.publish(Failed(hook.path, channel, seconds, error))
            return
        if isinstance(error, Exception) and not propagates_at_once(error):
            current.failures.append(Failure(hook.name, channel, error, hook.listener))
        else:
            if isinstance(error, Exception):
                put_note(error, note_of(hook.name, channel))
            current.leaving.append(error)
        self.registry.observers.publish(Failed(hook.path, channel, seconds, error))
        if ends_start:
            with self.registry.lock:
                current.call_off()

    def interrupted(self, error: BaseException, /) -> bool:
        self.transition.leaving.append(error)
        self.transition.interrupts += 1
        with self.registry.lock:
            self.transition.call_off()
        return self.transition.interrupts > 1

    def goes_on(self) -> bool:
        # A hook may fork, and return in the child process.
        notice()
        return not self.is_up or self.transition.goal is State.STARTED

    def context(self) -> contextvars.Context:
        return self.transition.hook_context()

    def gives_up(self) -> bool:
        is_wanted, self.transition.gives_up = self.transition.gives_up, False
        return is_wanted

    def called_off(self) -> BaseException:
        return StartCancelled(self.transition.goal)

    def joined(self, thread: int, /) -> None:
        self.transition.threads.add(thread)

    def left(self, thread: int, /) -> None:
        self.transition.threads.discard(thread)

    def abandons(self, hook: ScheduledHook, began: float, runner: Runner, /) -> Abandoned:
        abandoned = Abandoned(hook, began, runner, [])
        if hook.channel is START:
            # Collected now: once the bus has exited, the component is no longer subscribed.
            owner = hook.owner
            abandoned.stops = [
                stop for stop in reversed(self.registry.look_up(STOP).subscriptions) if stop.owner is owner
            ]
            with self.registry.lock:
                self.transition.abandoned.append(abandoned)
        return abandoned

    def late(self, abandoned: Abandoned, seconds: float, error: BaseException | None, /) -> None:
        """
        Log that the hook has ended, and undo it if it is a start that succeeded.

        The transition that called it has left the component out of its rollback.
        So its hooks of `STOP` are called here, and after them the hooks that were
        postponed meanwhile: hooks of `EXIT`, and hooks of `STOP` if another start
        hook of the component had returned.
        """
        how = "returned" if error is None else f"ended with {error!r}"
        hooks = abandoned.stops if error is None else []
        undone = f"; now it is undone by {', '.join(hook.name for hook in hooks)}" if hooks else ""
        self.registry.log(f"{abandoned.hook.name} {how} after {seconds:.2f} s; it had been given up{undone}", WARNING)
        called: list[ScheduledHook] = []
        while not abandoned.is_over.is_set():
            for hook in hooks:
                called.append(hook)
                if is_async_callable(hook.listener):
                    failed = self._call_on_loop(hook, abandoned.runner.on)
                else:
                    failed = raised_by(hook.listener)
                if failed is not None:
                    self.registry.log(f"{hook.name} failed after the late start:\n{traceback_of(failed)}", ERROR)
            with self.registry.lock:
                hooks = [hook for hook in abandoned.left if hook not in called]
                if not hooks:
                    abandoned.is_over.set()

    def _call_on_loop(self, hook: ScheduledHook, loop: AsyncioLoop | None) -> BaseException | None:
        """Call an async *hook* on *loop*, on which its component has started; without one on the loop of the bus."""
        if loop is None:
            return self.transition.event_loop.call_late(hook, self.registry.log)
        return loop.call(hook.listener, hook.name)

    def predecessor(self, hook: ScheduledHook, /) -> Abandoned | None:
        if not self.transition.abandoned or hook.channel is not START:
            return None
        with self.registry.lock:
            pending = self.transition.abandoned
            pending[:] = [abandoned for abandoned in pending if not abandoned.is_over.is_set()]
            for abandoned in pending:
                earlier = abandoned.hook
                # After an exit the component is a new object with the same path.
                is_same_component = earlier.node is not None and hook.node is not None
                is_same_component = is_same_component and earlier.path == hook.path
                if is_same_component or earlier.owner is hook.owner:
                    return abandoned
        return None


def join_transition(context: contextvars.Context) -> None:
    """Let the current task belong to the transition of the async hook whose context is *context*."""
    _transition_of_hook.set(context.get(_transition_of_hook))
