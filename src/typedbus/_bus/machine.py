"""
The state machine of a bus.

`StateMachine.bring_to` carries out transitions, in the phases of `_bus.phases`.
A transition is carried out by the thread that began it; every other caller joins it, or moves its goal forward.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from typedbus._base.clock import Clock
from typedbus._base.errors import LimitError, StartCancelled, TransitionError
from typedbus._base.events import Moved
from typedbus._base.limits import Limits
from typedbus._base.states import State
from typedbus._bus.builtin import EXIT, RUN, START, STOP
from typedbus._bus.event_loop import EventLoop
from typedbus._bus.lazy_runs import LazyRuns
from typedbus._bus.participants import Participants
from typedbus._bus.policy import TransitionPolicy
from typedbus._bus.registry import Registry
from typedbus._bus.requests import Requests
from typedbus._bus.started import StartedHooks
from typedbus._bus.waiting import Waiter, waiting
from typedbus._os.forks import notice

if TYPE_CHECKING:
    from typedbus._bus.hooks import Abandoned
    from typedbus._bus.partial import PartialRestart
    from typedbus._bus.transition import Transition


class StateMachine:
    """
    The state of one bus, and its transitions.

    Every method may be called from any thread. The lock is the one of the registry.

    Attributes:
        registry: The channels on which it calls hooks and publishes events.
        participants: The objects that prepare a start.
        requests: The pending requests for an exit; a transition discards them when the bus has exited.
        event_loop: The event loop that runs coroutines; a transition ends it when the bus has exited.
        policy: The decisions in which the typed bus and the bus of the old API differ.
        clock: The source of time for durations and limits.
        limits: How long hooks, a start and a stop may take; read at the beginning of each phase.
        state: The current state.
        current: The transition under way, if there is one.
        exits: How often the bus has exited; after each exit containers construct new components.
        started_by: The object that started the bus, if it passed itself to `bring_to`: only that object exits the bus.
        abandoned: The starts that were given up, and have not been rolled back.
        started: The listeners of `START` that have returned in this start; a stop undoes them.
        has_called_starts: Whether this start, or the last one, has begun to call the listeners of `START`.
        is_ending: Whether a stop or an exit has broken off a partial restart, and has not begun yet.
        is_used: Whether the bus has left STOPPED since it was created or last exited.
        waiters: The threads in `wait`.
        restarts: The partial restarts that are under way, or wait for their turn.
        runs: The runs of the bus.
    """

    # Not an attrs class: `import typedbus` would take a millisecond longer.
    __slots__ = (
        "__weakref__",
        "_workers",
        "abandoned",
        "clock",
        "current",
        "event_loop",
        "exits",
        "has_called_starts",
        "is_ending",
        "is_used",
        "limits",
        "participants",
        "policy",
        "registry",
        "requests",
        "restarts",
        "runs",
        "started",
        "started_by",
        "state",
        "waiters",
    )

    def __init__(
        self,
        registry: Registry,
        participants: Participants,
        requests: Requests,
        event_loop: EventLoop,
        *,
        policy: TransitionPolicy,
        clock: Clock,
        limits: Limits,
        workers: int,
    ) -> None:
        self.registry = registry
        self.participants = participants
        self.requests = requests
        self.event_loop = event_loop
        self.policy = policy
        self.clock = clock
        self.limits = limits
        self.workers = workers
        self.state = State.STOPPED
        self.current: Transition | None = None
        self.exits = 0
        self.started_by: object = None
        self.abandoned: list[Abandoned] = []
        self.waiters: list[Waiter] = []
        self.restarts: list[PartialRestart] = []
        self.runs = LazyRuns(registry)
        self.started = StartedHooks()
        self.has_called_starts = False
        self.is_ending = False
        self.is_used = False

    @property
    def workers(self) -> int:
        """How many components may start, or stop, in parallel; see `Bus.workers`."""
        return self._workers

    @workers.setter
    def workers(self, workers: int) -> None:
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise LimitError("workers", workers)
        self._workers = workers

    @property
    def is_too_late_to_start(self) -> bool:
        """Whether a listener of `START` that is subscribed now is not called before the next start."""
        return self.has_called_starts and self.state in (State.STARTING, State.STARTED)

    def wait(self, states: State | Iterable[State], timeout: float | None = None) -> State | None:
        """Return when the bus is in one of *states*, or passes through it; see `Bus.wait`."""
        with waiting(self, states, Waiter) as waiter:
            if waiter.reached is None:
                self.refuse_on_loop("wait")
                waiter.woken.acquire(timeout=-1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX))
            return waiter.reached

    def refuse_on_loop(self, verb: str) -> None:
        """Raise `LoopError` if the sync method *verb* would block an event loop on which hooks have to run."""
        self.event_loop.refuse(verb, (self.registry.look_up(channel) for channel in (START, STOP, EXIT, RUN)))

    def waking(self, wake: Callable[[], object]) -> contextlib.AbstractContextManager[None]:
        """
        Call *wake* if the current start is cancelled while the block runs, or was cancelled before it.

        For a hook of `START` that waits for something that may never happen: *wake* ends its wait, and the
        hook raises `StartCancelled`, which then does not count as a failure. *wake* is called by the thread
        that cancels the start, possibly in a signal handler or under the lock of the bus, and must not block.
        Outside a start it is not called.
        """
        current = self.current
        return contextlib.nullcontext() if current is None else current.waking(wake)

    def bring_to(self, goal: State, by: object = None) -> None:
        """
        Bring the bus to *goal*, or join the transition that is under way.

        Args:
            goal: STARTED, STOPPED or EXITED.
            by: The object that starts the bus. If this call begins the start, `started_by` is set to it.
        """
        current = self.current
        if current is None or not current.includes_caller():
            self.refuse_on_loop({State.STARTED: "start", State.STOPPED: "stop"}.get(goal, "exit"))
        while True:
            # Its thread is known from the beginning, for a signal handler that interrupts the thread before `run`.
            current, is_ours = self.join(goal, {threading.get_ident()}, by)
            if current is None:
                return
            if is_ours:
                self.run(current)
            elif current.is_partial:
                # The restart ends after the hook under way, and this call carries out the rest.
                self._wait_for_end(current)
                continue
            else:
                current.done.wait()
            break
        try:
            self.raise_outcome(current, goal)
        finally:
            del current

    def _wait_for_end(self, current: Transition) -> None:
        """Wait for the end of a partial restart; after a second `KeyboardInterrupt` its hooks are given up."""
        if self.requests.interrupts > 1:
            current.give_up()
        try:
            current.done.wait()
        except BaseException:
            with self.registry.lock:
                current.successors -= 1
            raise

    def join(self, goal: State, threads: set[int], by: object = None) -> tuple[Transition | None, bool]:
        """
        Change the goal of the transition that is under way to *goal*, or create a transition.

        Args:
            goal: As in `bring_to`.
            threads: The thread that will call `run` if the transition is new; empty if it is not running yet.
            by: As in `bring_to`.

        Returns:
            The transition to wait for, None if there is nothing to wait for; and whether it is new, so that the
            caller must call `run`, in any thread. At the end of a partial restart the caller must join again.
        """
        from typedbus._bus.transition import Transition  # a program that only publishes does not need it

        notice()
        with self.registry.lock:
            current = self.current
            if current is None:
                if goal is State.STARTED and self.state not in (State.STOPPED, State.EXITED):
                    raise TransitionError(self.state, State.STARTING)
                if goal is not State.STARTED and self.state in (goal, State.EXITED):
                    return None, False
                if goal is State.STARTED and self.state is State.EXITED:
                    # These causes belong to the run that ended with that exit.
                    self.requests.causes = []
                if goal is State.STARTED and (by is not None or not self.is_used):
                    self.started_by = by
                if goal is State.STARTED:
                    self.requests.interrupts = 0
                self.event_loop.reopen()
                self.current = Transition(
                    goal, goal, threads, self.abandoned, self.event_loop, interrupts=self.requests.interrupts
                )
                return self.current, True
            # Neither a hook nor a run may wait for a transition that waits for it.
            is_in_hook = current.includes_caller() or self.runs.includes_caller()
            if goal is State.STARTED and (current.goal is not State.STARTED or (current.is_partial and not is_in_hook)):
                raise TransitionError(self.state, State.STARTING)
            if goal is State.EXITED or current.goal is State.STARTED:
                current.change_goal(goal)
            if current.is_partial and goal is not State.STARTED:
                current.successors += not is_in_hook
                current.is_ended_by_hook = current.is_ended_by_hook or is_in_hook
            return (None if is_in_hook else current), False

    def raise_outcome(self, current: Transition, goal: State) -> None:
        """Raise the outcome of *current* in a caller that wanted the bus to reach *goal*."""
        try:
            if isinstance(current.outcome, StartCancelled) and goal is not State.STARTED:
                return
            if current.outcome is not None:
                raise current.outcome
        finally:
            # The traceback of the outcome holds this frame.
            del current

    def assign(self, state: State) -> None:
        """Set the state without a transition, and wake the threads that wait for it."""
        with self.registry.lock:
            self.enter(state)
        self.requests.wakeup.wake()

    def begin_from(self, state: State) -> None:
        """Let the next transition begin in *state*, unless one is under way; no waiting thread is woken."""
        with self.registry.lock:
            if self.current is None:
                self.state = state

    def detach(self) -> None:
        """Reset the state in a forked child process; see `Bus.detach`."""
        self.waiters, self.abandoned, self.restarts = [], [], []
        self.started_by = None
        self.runs.detach()
        current, self.current = self.current, None
        if current is not None:
            current.goal = State.EXITED
        if self.is_used:
            self.is_used, self.state, self.started = False, State.EXITED, StartedHooks()
            self.exits += 1

    def run(self, current: Transition) -> None:
        """Run phases until the goal is reached, in this thread; other callers may change the goal meanwhile."""
        current.threads.add(threading.get_ident())
        try:
            from typedbus._bus.phases import (
                carry_out_exit,
                carry_out_start,
                carry_out_stop,
            )  # imported late as in `join`

            while (reached := self._finish(current)) is None:
                # The state is STOPPING here after an interrupt between two listeners.
                if self.state in (State.STARTING, State.STARTED, State.STOPPING):
                    carry_out_stop(self, current)
                elif current.goal is State.STARTED:
                    carry_out_start(self, current)
                elif self.state is not State.EXITED:
                    # The state is already EXITED if another thread changed the goal since the check above.
                    carry_out_exit(self, current)
            current.outcome = current.outcome_in(reached, self.requests.causes)
        except BaseException as interrupt:
            # The interrupt came between two listeners: the state stays as it is,
            # and the next call continues from there.
            self.break_off(current, interrupt)
        finally:
            current.finish()

    def break_off(self, current: Transition, error: BaseException) -> None:
        """End *current* with the outcome *error*, in the state in which the bus is."""
        with self.registry.lock:
            if self.current is current:
                self.current = None
        current.outcome = error

    def _finish(self, current: Transition) -> State | None:
        """End the transition and return the state if it is the goal, else return None; atomic under the lock."""
        with self.registry.lock:
            # A start of a bus that has exited may be stopped before it begins.
            is_down = self.state is State.EXITED and current.goal is State.STOPPED
            if self.state is not current.goal and not is_down:
                return None
            # From here on a caller finds no transition to join and begins its own,
            # and a late request changes a goal that is no longer read.
            self.current = None
            return self.state

    def move(self, state: State) -> None:
        """Change the state, and publish the change."""
        before = self.state
        with self.registry.lock:
            self.enter(state)
        self.announce(before, state)

    def announce(self, before: State, after: State) -> None:
        """Publish the change from *before* to *after*, which `enter` has made."""
        self.registry.observers.publish(Moved(before, after))
        self.policy.announced(after)

    def enter(self, state: State) -> None:
        """Set the state, and wake the threads that wait for it; the caller holds the lock."""
        self.state = state
        for waiter in tuple(self.waiters):
            # Several of a waiter's states may be reached before it wakes up; the first counts.
            if state in waiter.states and waiter.reached is None:
                waiter.reached = state
                waiter.wake()
        self.policy.entered(state)
