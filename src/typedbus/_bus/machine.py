"""
The state machine of a bus.

Transitions are implemented by `Machine._bring_to` and the three phases below it;
`_bus.scheduler` calls the hooks of a phase. A transition is carried out by the thread
that began it; every other caller joins it, or moves its goal forward.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from typedbus._base.clock import Clock, SystemClock
from typedbus._base.errors import LimitError, StartCancelled, TransitionError, WaitError
from typedbus._base.events import (
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    LifecycleEvent,
    Moved,
    RolledBack,
)
from typedbus._base.failures import CauseReport, carries, traceback_of, unique
from typedbus._base.limits import Limits
from typedbus._base.states import State
from typedbus._bus.registry import ASSEMBLE, ERROR, EXIT, MAIN, START, STOP, WARNING, Registry
from typedbus._bus.wakeup import MainChannel, MainLoopWakeup, Waiter, report_discarded
from typedbus._channels.bound import Subscription
from typedbus._channels.channel import Channel
from typedbus._os.forks import notice

if TYPE_CHECKING:
    from typedbus._bus.scheduler import Abandoned
    from typedbus._bus.transition import Transition, TransitionPhase


class Machine(Registry):
    """The half of a bus that implements its states and transitions; see `Bus`."""

    def __init__(self, *, clock: Clock | None = None, workers: int = 1, limits: Limits | None = None) -> None:
        super().__init__()
        self._clock: Clock = clock or SystemClock()
        self._state = State.STOPPED
        #: The transition under way.
        self._current: Transition | None = None
        self.workers = workers
        self.limits: Limits = Limits() if limits is None else limits
        #: The listeners of `START` that returned in this start.
        self._started: list[Subscription] = []
        #: How often the bus has exited; after each exit containers construct new components.
        self._exits = 0
        #: The `_lifecycle.Subscriber` of each object whose methods a container subscribed, by id.
        self._subscribers: dict[int, Any] = {}
        #: The starts that were given up, and have not been undone.
        self._abandoned: list[Abandoned] = []
        self._waiters: list[Waiter] = []
        self._exit_requested = False
        #: The causes given to `request_exit` since the last exit, until `block` or `running` raises them.
        self._causes: list[BaseException] = []
        self._wakeup = MainLoopWakeup()
        self._bound[MAIN] = MainChannel(self._lock, self._observers.of_failures, self._wakeup)
        #: Whether the bus has left STOPPED since it was created or last exited.
        self._is_used = False
        #: The object that started the bus, if it passed itself to `_bring_to`: only that object exits the bus.
        self._started_by: object = None

    @property
    def state(self) -> State:
        """The current state; another thread may change it before the caller uses the result."""
        notice()
        return self._state

    @property
    def workers(self) -> int:
        """
        How many components may start, or stop, in parallel; 1 means one after the other.

        With more, each component starts as soon as all its dependencies have started, in a
        worker thread; a component of a higher priority waits for all components of lower
        priorities, and a listener outside all components runs alone, in its place.

        Raises:
            LimitError: The value is not a whole number from 1 up.
        """
        return self._workers

    @workers.setter
    def workers(self, workers: int) -> None:
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise LimitError("workers", workers)
        self._workers = workers

    def wait(self, states: State | Iterable[State], timeout: float | None = None) -> State | None:
        """
        Return when the bus is in one of *states*, or passes through it.

        A thread that a component waits for when it stops should also name the states
        in which it must give up, and check which state was returned: a start may
        fail.

        Args:
            states: One state or several.
            timeout: Seconds; None waits without limit.

        Returns:
            The state that was reached, or None if the timeout passed first.

        Raises:
            WaitError: *states* is empty or contains something that is not a state, or
                the caller is a listener of the transition that it would wait for.
        """
        wanted = _checked(states)
        notice()
        waiter = Waiter(wanted)
        # Add the waiter before reading the state, so that no transition is missed
        # in between, not even one made by a signal handler in this thread.
        self._waiters.append(waiter)
        try:
            state = self._state
            if state in wanted:
                return state
            current = self._current
            if current is not None and threading.get_ident() in current.threads:
                raise WaitError(
                    wanted,
                    f"the bus is {state.name} and goes on only when this listener returns; wait in a thread of your own",
                )
            waiter.woken.acquire(timeout=-1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX))
            return waiter.reached
        finally:
            self._waiters.remove(waiter)

    @contextlib.contextmanager
    def _waking(self, wake: Callable[[], object]) -> Generator[None]:
        """
        Call *wake* if the current start is cancelled while the block runs, or was cancelled before it.

        For a hook of `START` that waits for something that may never happen: *wake* ends its wait, and the
        hook raises `StartCancelled`, which then does not count as a failure. *wake* is called by the thread
        that cancels the start, possibly in a signal handler or under the lock of the bus, and must not block.
        Outside a start it is not called.
        """
        current = self._current
        if current is None or current.asked is not State.STARTED:
            yield
            return
        current.wakers.append(wake)
        try:
            # *wake* is added before the goal is read: whichever thread is second sees the change of the first.
            if current.goal is not State.STARTED:
                wake()
            yield
        finally:
            current.wakers.remove(wake)

    def _take_causes(self, problems: Sequence[BaseException]) -> list[BaseException]:
        """Return and clear the causes of the exit that the caller must raise, except those that *problems* carry."""
        with self._lock:
            causes, self._causes = self._causes, []
        return [cause for cause in unique(causes) if not any(carries(problem, cause) for problem in problems)]

    def _bring_to(self, goal: State, by: object = None) -> None:
        """
        Bring the bus to *goal*, or join the transition that is under way.

        Args:
            goal: STARTED, STOPPED or EXITED.
            by: The object that starts the bus. If this call begins the start, `_started_by` is set to it.
        """
        from typedbus._bus.transition import Transition  # a program that only publishes does not need it

        notice()
        with self._lock:
            current = self._current
            if current is None:
                if goal is State.STARTED and self._state not in (State.STOPPED, State.EXITED):
                    raise TransitionError(self._state, State.STARTING)
                if goal is not State.STARTED and self._state in (goal, State.EXITED):
                    return
                if goal is State.STARTED and self._state is State.EXITED:
                    # These causes belong to the run that ended with that exit.
                    self._causes = []
                if goal is State.STARTED and (by is not None or not self._is_used):
                    self._started_by = by
                current = self._current = Transition(goal, goal, {threading.get_ident()}, self._abandoned)
                joining = False
            else:
                if goal is State.STARTED and current.goal is not State.STARTED:
                    raise TransitionError(self._state, State.STARTING)
                if goal is State.EXITED or current.goal is State.STARTED:
                    current.change_goal(goal)
                if threading.get_ident() in current.threads:
                    return
                joining = True
        if joining:
            current.done.wait()
        else:
            self._carry_out(current)
        try:
            if isinstance(current.outcome, StartCancelled) and goal is not State.STARTED:
                return
            if current.outcome is not None:
                raise current.outcome
        finally:
            del current

    def _carry_out(self, current: Transition) -> None:
        """Run phases until the goal is reached; other callers may change the goal meanwhile."""
        try:
            while (reached := self._arrival(current)) is None:
                # The state is STOPPING here after an interrupt between two listeners.
                if self._state in (State.STARTING, State.STARTED, State.STOPPING):
                    self._lead_down(current)
                elif current.goal is State.STARTED:
                    self._lead_up(current)
                elif self._state is not State.EXITED:
                    # The state is already EXITED if another thread changed the goal since the check above.
                    self._lead_out(current)
            current.outcome = current.outcome_in(reached, self._causes)
        except BaseException as interrupt:
            # The interrupt came between two listeners: the state stays as it is,
            # and the next call continues from there.
            with self._lock:
                if self._current is current:
                    self._current = None
            current.outcome = interrupt
        finally:
            current.done.set()

    def _arrival(self, current: Transition) -> State | None:
        """End the transition and return the state if it is the goal, else return None; atomic under the lock."""
        with self._lock:
            # A start of a bus that has exited may be stopped before it begins.
            is_down = self._state is State.EXITED and current.goal is State.STOPPED
            if self._state is not current.goal and not is_down:
                return None
            # From here on a caller finds no transition to join and begins its own,
            # and a late request changes a goal that is no longer read.
            self._current = None
            return self._state

    def _lead_up(self, current: Transition) -> None:
        self._is_used = True
        self._move(State.STARTING)
        began = self._clock.now()
        assembly = current.phase(self, None, None, is_up=True)
        starting = current.phase(self, ComponentStarting, ComponentStarted, is_up=True)
        self._started = starting.well
        whole = ("start", self.limits.start, began)
        # Components are constructed in a single thread: this one, unless there is a time limit.
        self._call_hooks(assembly, self[ASSEMBLE].subscriptions, 1, None, whole)
        self._call_hooks(starting, self[START].subscriptions, self._workers, self.limits.hook, whole)
        with self._lock:
            if current.goal is not State.STARTED:
                return
            self._set(State.STARTED)
            current.has_started = True
        self._publish_event(Moved(State.STARTING, State.STARTED))

    def _lead_down(self, current: Transition) -> None:
        from typedbus._bus.transition import owner_of  # as for transitions

        is_rollback = self._state is State.STARTING
        failed = next((failure.error for failure in current.failures), None) or next(iter(current.leaving), None)
        self._move(State.STOPPING)
        began = self._clock.now()
        can_start = {id(owner_of(subscription)) for subscription in self[START].subscriptions}
        has_started = {id(owner_of(subscription)) for subscription in self._started}
        stopping = [
            subscription
            for subscription in reversed(self[STOP].subscriptions)
            if (owner := id(owner_of(subscription))) in has_started or owner not in can_start
        ]
        phase = current.phase(self, ComponentStopping, ComponentStopped, is_up=False)
        seconds = self.limits.stop
        if is_rollback and self.limits.rollback is not None:
            seconds = self.limits.rollback
        self._call_hooks(
            phase,
            self._ready(stopping),
            self._workers,
            self.limits.hook,
            ("rollback" if is_rollback else "stop", seconds, began),
        )
        self._started = []
        if is_rollback:
            paths = tuple(dict.fromkeys(subscription.path for subscription in phase.well))
            self._publish_event(RolledBack(self._clock.now() - began, failed, paths))
        self._move(State.STOPPED)

    def _lead_out(self, current: Transition) -> None:
        self._move(State.EXITING)
        phase = current.phase(self, ComponentExiting, ComponentExited, is_up=False)
        exiting = self._ready(reversed(self[EXIT].subscriptions))
        self._call_hooks(phase, exiting, self._workers, self.limits.hook, ("exit", self.limits.exit, self._clock.now()))
        for cause in unique(self._causes):
            if isinstance(cause, Exception):  # SystemExit is a request, not an error
                self.log(CauseReport(f"the bus exits because of an error:\n{traceback_of(cause)}"), ERROR)
        report_discarded(self._unserved(), self.log)
        self._exit_requested = False
        with self._lock:
            # In this order, so that a signal handler in between sees the exit and not the next run.
            self._set(State.EXITED)
            self._exits += 1
            self._is_used = False
            late = self._unserved()
        self._publish_event(Moved(State.EXITING, State.EXITED))
        report_discarded(late, self.log)
        self._wakeup.wake()

    def _ready(self, hooks: Iterable[Subscription]) -> list[Subscription]:
        """
        Return the *hooks*, of `STOP` or `EXIT`, that can be called now, and postpone the others.

        The hooks of an object whose start was given up and still runs must be called
        after that start: its thread calls them.
        """
        from typedbus._bus.transition import owner_of  # as for transitions

        ready: list[Subscription] = []
        postponed: list[str] = []
        with self._lock:
            pending = {id(owner_of(late.subscription)): late for late in self._abandoned if not late.is_over.is_set()}
            for hook in hooks:
                late = pending.get(id(owner_of(hook)))
                if late is None:
                    ready.append(hook)
                else:
                    late.left.append(hook)
                    postponed.append(
                        f"{hook.name} is not called until {late.subscription.name}, which had been given up, has returned"
                    )
        for message in postponed:
            self.log(message, WARNING)
        return ready

    def _unserved(self) -> list[Callable[[], object]]:
        """Take the requested actions, unless a thread is in `block`: that thread calls or discards them."""
        with self._lock:
            return [] if self._wakeup.attendant is not None else self._wakeup.take()

    def _call_hooks(
        self,
        phase: TransitionPhase,
        subscriptions: Sequence[Subscription],
        workers: int,
        hook: float | None,
        whole: tuple[str, float | None, float],
    ) -> None:
        """Call the hooks of one phase. Hooks are called nowhere else."""
        from typedbus._bus.scheduler import HookScheduler  # as for transitions

        scope, seconds, began = whole
        scheduler = HookScheduler(
            subscriptions,
            phase,
            backwards=not phase.is_up,
            clock=self._clock,
            waking=self._wakeup.waking,
            workers=workers,
            hook=hook,
            whole=None if seconds is None else (scope, seconds, began),
            spares=not phase.is_up,
        )
        with self._waking(scheduler.wake) if phase.is_up else contextlib.nullcontext():
            scheduler.carry_out()

    def _goes_up(self, transition: Transition) -> bool:
        """Whether *transition* is still under way, and a start."""
        return self._current is transition and transition.goal is State.STARTED

    def _move(self, state: State) -> None:
        before = self._state
        with self._lock:
            self._set(state)
        self._publish_event(Moved(before, state))

    def _set(self, state: State) -> None:
        self._state = state
        for waiter in tuple(self._waiters):
            # Several of a waiter's states may be reached before it wakes up; the first counts.
            if state in waiter.states and waiter.reached is None:
                waiter.reached = state
                waiter.woken.release()

    def _publish_event(self, event: LifecycleEvent) -> None:
        self._observers.publish(event)


def _checked(given: object) -> frozenset[State]:
    """
    Return the states that *given* consists of, one or several.

    Raises:
        WaitError: *given* is empty, or contains something other than a state.
    """
    each: list[object] = [given]
    if isinstance(given, Iterable) and not isinstance(given, (str, Channel)):
        each = list(given)
    states = frozenset(one for one in each if isinstance(one, State))
    for one in each:
        if isinstance(one, Channel):
            reason = (
                "it is a channel, and wait() takes states: write bus.wait(State.STARTED) to wait for the whole bus, "
                "or subscribe to the channel to be called for each event"
            )
            raise WaitError(states, reason, one)
        if isinstance(one, str) and one.upper() in State.__members__:
            raise WaitError(states, f"it is a string, not a state: write State.{one.upper()}", one)
        if not isinstance(one, State):
            raise WaitError(states, f"it is not a state: give one of {', '.join(map(str, State))}", one)
    if not states:
        raise WaitError(states, "give at least one state")
    return states
