"""A transition of a bus, and the legs that it is made of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import attrs

from typedbus._bound import Subscription
from typedbus._events import Failed, LifecycleEvent
from typedbus._failures import Failure, StartCancelled, TransitionFailures, leave, leaves, note_of, put_note, together
from typedbus._registry import WARNING, Registry
from typedbus._states import State
from typedbus._visit import Tells


@attrs.define(eq=False, repr=False)
class Transition:
    """A transition under way: where to, in which threads, and how it ends."""

    asked: State
    goal: State
    #: That which carries it out, and those that call hooks for it.
    threads: set[int]
    done: threading.Event = attrs.field(factory=threading.Event)
    failures: list[Failure] = attrs.field(factory=list)
    leaving: list[BaseException] = attrs.field(factory=list)
    has_started: bool = False
    outcome: BaseException | None = None

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
                outcome.__cause__ = together("the exit was requested for several reasons", causes)
        for leaving in reversed(self.leaving):
            if outcome is not None:
                leave(leaving, outcome)
            outcome = leaving
        return outcome

    def leg(
        self,
        registry: Registry,
        begin: Callable[[str], LifecycleEvent] | None,
        end: Callable[[str, float], LifecycleEvent] | None,
        *,
        is_up: bool,
    ) -> Leg:
        """Return one leg of it, on the bus whose channels *registry* has."""
        return Leg(registry, self, begin, end, is_up)

    def call_off(self) -> None:
        """Turn a start round; the caller has the lock of the bus."""
        if self.goal is State.STARTED:
            self.goal = State.STOPPED


@attrs.define(eq=False, repr=False)
class Leg(Tells):
    """What a transition makes of one visit: it keeps what hooks raise, tells how they fare, and may turn round."""

    registry: Registry
    transition: Transition
    begin: Callable[[str], LifecycleEvent] | None
    end: Callable[[str, float], LifecycleEvent] | None
    #: Whether it stops at the first failure, and when the goal has moved.
    is_up: bool
    #: The listeners that returned, in that order.
    well: list[Subscription] = attrs.field(factory=list)

    def begins(self, subscription: Subscription, /) -> None:
        if self.begin is not None:
            self.registry._observers.tell(self.begin(subscription.path))

    def ended(self, subscription: Subscription, seconds: float, error: BaseException | None, /) -> None:
        if error is None:
            self.well.append(subscription)
            if self.end is not None:
                self.registry._observers.tell(self.end(subscription.path, seconds))
            return
        hook, current = subscription.channel.name, self.transition
        if isinstance(error, Exception) and not leaves(error):
            current.failures.append(Failure(subscription.name, hook, error, subscription.listener))
        else:
            if isinstance(error, Exception):
                put_note(error, note_of(subscription.name, hook))
            current.leaving.append(error)
        self.registry._observers.tell(Failed(subscription.path, hook, seconds, error))
        if self.is_up:
            with self.registry._lock:
                current.call_off()

    def interrupted(self, error: BaseException, /) -> None:
        self.transition.leaving.append(error)
        with self.registry._lock:
            self.transition.call_off()

    def goes_on(self) -> bool:
        return not self.is_up or self.transition.goal is State.STARTED

    def joined(self, thread: int, /) -> None:
        self.transition.threads.add(thread)

    def left(self, thread: int, /) -> None:
        self.transition.threads.discard(thread)

    def late(self, subscription: Subscription, seconds: float, error: BaseException | None, /) -> None:
        how = "returned" if error is None else f"ended with {error!r}"
        self.registry.log(f"{subscription.name} {how} after {seconds:.2f} s; it had been given up", WARNING)
