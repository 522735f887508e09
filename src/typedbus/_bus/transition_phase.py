"""The callbacks by which a scheduler reports the hooks of one phase to its transition."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from typedbus._base.coroutines import is_async_callable
from typedbus._base.errors import StartCancelled
from typedbus._base.events import Failed, LifecycleEvent
from typedbus._base.failures import Failure, note_of, propagates_at_once, put_note, traceback_of
from typedbus._bus.builtin import ERROR, START, STOP, WARNING
from typedbus._bus.hook_worker import raised_by
from typedbus._bus.hooks import Abandoned, PhaseCallbacks, Runner, ScheduledHook
from typedbus._bus.policy import TransitionPolicy
from typedbus._bus.registry import Registry
from typedbus._bus.transition import Transition
from typedbus._os.forks import notice

if TYPE_CHECKING:
    from typedbus._bus.asyncio_loop import AsyncioLoop


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
    #: Whether it starts components: then it ends at the first failure, and when the goal is no longer STARTED.
    is_up: bool
    #: The listeners that have returned, in that order.
    succeeded: list[ScheduledHook] = attrs.field(factory=list)
    #: The listeners that have returned, failed or been given up.
    finished: list[ScheduledHook] = attrs.field(factory=list)

    def begins(self, hook: ScheduledHook, /) -> None:
        if self.begin is not None:
            self.registry.observers.publish(self.begin(hook.path))

    def ended(self, hook: ScheduledHook, seconds: float, error: BaseException | None, /) -> None:
        self.finished.append(hook)
        if error is None:
            self.succeeded.append(hook)
            if self.end is not None:
                self.registry.observers.publish(self.end(hook.path, seconds))
            return
        channel, current = hook.channel.name, self.transition
        ends_start = self.policy.hook_failed(hook, error) and self.is_up
        if self.is_up and isinstance(error, StartCancelled) and not current.goes_on(is_up=True):
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
        return self.transition.goes_on(is_up=self.is_up)

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
