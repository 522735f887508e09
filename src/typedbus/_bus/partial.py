"""
Partial restarts: a component and its dependents are stopped and started while the bus stays STARTED.

A partial restart is a transition from STARTED to STARTED whose phases visit only a part of the start graph. It runs in
the thread of the run that has failed. A stop or an exit ends it after the hook under way; the thread that has requested
the stop or the exit then carries it out, so that hooks that belong in the main thread are still called there.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Collection, Iterable
from queue import SimpleQueue
from typing import Protocol

import attrs

from typedbus._base.events import ComponentStarted, ComponentStarting, ComponentStopped, ComponentStopping
from typedbus._base.failures import combined_error, traceback_of
from typedbus._base.limits import StartNode
from typedbus._base.states import State
from typedbus._base.sync import simple_queue
from typedbus._bus.builtin import ERROR, RUN, START, STOP
from typedbus._bus.hooks import PhaseLimit
from typedbus._bus.machine import StateMachine
from typedbus._bus.phases import call_hooks, new_phase, ready_hooks, subscriptions_of
from typedbus._bus.transition import Transition


class PartialOutcome(enum.Enum):
    """How a partial restart has ended."""

    RESTARTED = enum.auto()
    """All components of the part have started again, and their runs have begun."""
    DROPPED = enum.auto()
    """It was withdrawn before its turn, or the bus is not STARTED, or about to leave that state: nothing was called."""
    TAKEN_OVER = enum.auto()
    """The part is stopped, and the restart of a component that it needs starts it."""
    BROKEN_OFF = enum.auto()
    """A stop or an exit was requested meanwhile."""
    GAVE_UP = enum.auto()
    """A start has failed, and there is no further attempt: the part is stopped."""


class PartRuns(Protocol):
    """The runs of the part, as a partial restart needs them; it calls them in its thread."""

    def end(self, nodes: Collection[StartNode], /) -> None:
        """End the runs of the components of *nodes*, dependents first, except the run that has failed."""

    def begin(self, nodes: Collection[StartNode], /) -> None:
        """Begin the runs of the components of *nodes* in start order."""

    def failed(self, error: BaseException, /) -> float | None:
        """
        Count *error*, of a start that has failed, as a failure of the run; nothing of the part is started then.

        Return the seconds until the next attempt, None if there is none. An error that is not an `Exception` must
        exit the bus.
        """
        ...


@attrs.define(eq=False)
class PartialRestart:
    """
    A restart of the component of *node* and of its dependents.

    Their runs are ended and their listeners of `STOP` called, dependents first. After a pause their listeners of
    `START` are called, and their runs begin. The instances stay, except those of resources and their users. If a start
    fails, the components that this restart has started are stopped again, and a new attempt follows a further pause. A
    failure of a listener of `STOP` is logged. Limits apply as in a stop and a start.

    Only one restart is under way at a time. If the component needs another one whose restart waits for its turn, the
    other one takes the part over: a start with a component that has failed would fail as well.

    Args:
        machine: The state machine of the bus.
        node: The component whose run has failed.
        runs: The runs.
    """

    machine: StateMachine
    node: StartNode
    runs: PartRuns
    _is_withdrawn: bool = attrs.field(default=False, init=False)
    _is_under_way: bool = attrs.field(default=False, init=False)
    #: Receives an item when the turn, or the end of a pause, may have come.
    _inbox: SimpleQueue[None] = attrs.field(factory=simple_queue, init=False)

    def withdraw(self) -> None:
        """
        Let `carry_out` return at once if it still waits for its turn; may be called in any thread.

        Called when another transition has ended the run.
        """
        self._is_withdrawn = True
        self._wake()

    def carry_out(self, pause: float) -> PartialOutcome:
        """
        Restart the part in this thread, with *pause* seconds between stop and start.

        It begins when no other transition is under way, and its pauses belong to it.
        """
        restarts, lock = self.machine.restarts, self.machine.registry.lock
        with lock:
            restarts.append(self)
            others = tuple(restarts)
        for other in others:
            # The one under way may leave its part to this one.
            other._wake()  # noqa: SLF001  # the same class
        try:
            transition = self._await_turn()
            return PartialOutcome.DROPPED if transition is None else self._run(transition, pause)
        finally:
            with lock:
                restarts.remove(self)

    def _wake(self) -> None:
        self._inbox.put(None)

    def _await_turn(self) -> Transition | None:
        """Wait for the turn of this restart, and begin its transition; return None if it must not be carried out."""
        machine = self.machine
        while True:
            with machine.registry.lock:
                is_ending = machine.is_ending or machine.requests.is_exit_requested
                if self._is_withdrawn or is_ending or machine.state is not State.STARTED:
                    return None
                current = machine.current
                if current is None:
                    self._is_under_way = True
                    machine.current = self._transition()
                    return machine.current
            current.when_done(self._wake)
            del current
            self._inbox.get()

    def _transition(self) -> Transition:
        machine = self.machine
        return Transition(
            State.STARTED,
            State.STARTED,
            {threading.get_ident()},
            machine.abandoned,
            machine.event_loop,
            interrupts=machine.requests.interrupts,
            has_started=True,
            restarted=self.node,
        )

    def _run(self, transition: Transition, pause: float) -> PartialOutcome:
        try:
            outcome = self._attempt(transition, pause)
        finally:
            goal = self._end(transition)
        if goal is not State.STARTED:
            self._continue_to(goal)
        return outcome

    def _attempt(self, transition: Transition, pause: float) -> PartialOutcome:
        """Stop and start the part until a start succeeds."""
        machine, runs = self.machine, self.runs
        hooks = [hook for channel in (START, STOP, RUN) for hook in machine.registry.look_up(channel).subscriptions]
        nodes = part_of(self.node, (hook.node for hook in hooks if hook.node is not None))
        error: BaseException | None = None
        while transition.goes_on(is_up=False):
            # Also before a further attempt: the last one may have begun runs that its start waits for.
            runs.end(nodes)
            error = self._stop(transition, nodes) or error
            if not transition.goes_on(is_up=False):
                break
            machine.started.forget(nodes)
            if error is not None and not self._is_taken_over:
                # Cleared, because the frames of its traceback refer to this one.
                delay, error = runs.failed(error), None
                if delay is None:
                    machine.started.note_lost(self.node, nodes)
                    return PartialOutcome.GAVE_UP
                pause = delay
            self._pause(transition, pause)
            if self._is_taken_over:
                if error is not None:
                    self._log("is left to the restart of a component that it needs, after an error", error)
                machine.started.note_lost(self.node, nodes)
                return PartialOutcome.TAKEN_OVER
            startable = machine.started.startable(nodes)
            error = self._start(transition, startable)
            if error is None and transition.goes_on(is_up=False):
                machine.started.note_restarted(nodes)
                runs.begin(startable)
                return PartialOutcome.RESTARTED
        if error is not None:
            self._log("was broken off after an error", error)
        return PartialOutcome.BROKEN_OFF

    def _stop(self, transition: Transition, nodes: Collection[StartNode]) -> BaseException | None:
        """Stop what has started of *nodes*; log failures, and return the error that must exit the bus, if any."""
        machine = self.machine
        limit = PhaseLimit("stop", machine.limits.stop, machine.clock.now())
        stopping = machine.started.to_stop(subscriptions_of(machine, START), subscriptions_of(machine, STOP))
        hooks = ready_hooks(machine, [hook for hook in stopping if hook.node in nodes])
        phase = new_phase(machine, transition, ComponentStopping, ComponentStopped, is_up=False)
        try:
            call_hooks(machine, phase, hooks, limit, workers=machine.workers, hook_limit=machine.limits.hook)
        finally:
            machine.started.note_stopped(phase.finished)
        failures, transition.failures = transition.failures, []
        for failure in failures:
            self._log(f"continues after {failure.name} has failed", failure.error)
        return self._taken_exit_error(transition)

    def _pause(self, transition: Transition, seconds: float) -> None:
        clock = self.machine.clock
        due = clock.now() + seconds
        with transition.waking(self._wake):
            while transition.goes_on(is_up=False) and not self._is_taken_over and (left := due - clock.now()) > 0:
                clock.wait(self._inbox, left)

    @property
    def _is_taken_over(self) -> bool:
        """Whether the restart of a component that this one needs waits for its turn."""
        with self.machine.registry.lock:
            waiting = [other.node for other in self.machine.restarts if not other._is_under_way]  # noqa: SLF001  # the same class
        return bool(waiting) and not needs_of(self.node).isdisjoint(waiting)

    def _start(self, transition: Transition, nodes: Collection[StartNode]) -> BaseException | None:
        """Start *nodes*, and return the error of the first that fails."""
        machine = self.machine
        transition.has_failed = False
        limit = PhaseLimit("start", machine.limits.start, machine.clock.now())
        hooks = [hook for hook in subscriptions_of(machine, START) if hook.node in nodes]
        phase = new_phase(machine, transition, ComponentStarting, ComponentStarted, is_up=True)
        try:
            call_hooks(machine, phase, hooks, limit, workers=machine.workers, hook_limit=machine.limits.hook)
        finally:
            machine.started.note_started(phase.succeeded)
        failures, transition.failures = transition.failures, []
        exit_error = self._taken_exit_error(transition)
        return exit_error or combined_error("several starts have failed", [failure.error for failure in failures])

    def _taken_exit_error(self, transition: Transition) -> BaseException | None:
        """Return the errors of hooks that must exit the bus, such as `SystemExit`, as one, and clear them."""
        leaving, transition.leaving = transition.leaving, []
        return combined_error("several hooks have asked for the exit", leaving)

    def _end(self, transition: Transition) -> State:
        """End the transition; return the state to which this thread must bring the bus, or STARTED if it need not."""
        machine = self.machine
        with machine.registry.lock:
            if machine.current is transition:
                machine.current = None
            goal = transition.goal
            machine.is_ending = goal is not State.STARTED
            is_left_to_others = transition.successors or machine.requests.is_exit_requested
        transition.finish()
        return State.STARTED if is_left_to_others and not transition.is_ended_by_hook else goal

    def _continue_to(self, goal: State) -> None:
        """Carry out a stop or an exit that a hook has requested, or whose caller was interrupted."""
        try:
            self.machine.bring_to(goal)
        except Exception as error:
            self._log(f"was followed by {'an exit' if goal is State.EXITED else 'a stop'} that failed", error)
        except BaseException as error:
            self.runs.failed(error)

    def _log(self, text: str, error: BaseException) -> None:
        self.machine.registry.log(f"the restart of {self.node.path} {text}:\n{traceback_of(error)}", ERROR)


def needs_of(node: StartNode) -> set[StartNode]:
    """Return the nodes that *node* needs, directly or indirectly."""
    needed: set[StartNode] = set()
    unseen = list(node.needs)
    while unseen:
        need = unseen.pop()
        # The publisher behind a gate starts after the listeners, but does not need them.
        if need not in needed and not need.is_gate:
            needed.add(need)
            unseen.extend(need.needs)
    return needed


def part_of(root: StartNode, nodes: Iterable[StartNode]) -> frozenset[StartNode]:
    """Return *root* and the nodes that need it, directly or indirectly; *nodes* and the nodes they need are searched."""
    users: dict[StartNode, list[StartNode]] = {}
    seen: set[StartNode] = set()
    unseen = list(nodes)
    while unseen:
        node = unseen.pop()
        if node in seen or node.is_gate:  # as in `needs_of`
            continue
        seen.add(node)
        for need in node.needs:
            users.setdefault(need, []).append(node)
            unseen.append(need)
    part = {root}
    unseen = [root]
    while unseen:
        for user in users.get(unseen.pop(), ()):
            if user not in part:
                part.add(user)
                unseen.append(user)
    return frozenset(part)
