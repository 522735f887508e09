"""The phases of a transition: start, stop and exit. All hooks are called here; only a transition imports this module."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from typedbus._base.errors import LoopError
from typedbus._base.events import (
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    LifecycleEvent,
    RolledBack,
)
from typedbus._base.failures import CauseReport, distinct_errors, traceback_of
from typedbus._base.states import State
from typedbus._bus.builtin import ERROR, EXIT, START, STOP, WARNING, HookResult
from typedbus._bus.hooks import PhaseLimit, ScheduledHook
from typedbus._bus.preparation import StartUnderWay, preparations
from typedbus._bus.scheduler import HookScheduler
from typedbus._bus.started import StartedHooks
from typedbus._bus.transition_phase import TransitionPhase
from typedbus._bus.wakeup import report_discarded
from typedbus._channels.channel import Channel
from typedbus._channels.subscriptions import Subscription

if TYPE_CHECKING:
    from typedbus._bus.machine import StateMachine
    from typedbus._bus.transition import Transition


def carry_out_start(machine: StateMachine, current: Transition) -> None:
    """Let the participants prepare the start, and call the hooks of `START`."""
    machine.is_used, machine.has_called_starts, machine.is_ending = True, False, False
    machine.move(State.STARTING)
    limit = PhaseLimit("start", machine.limits.start, machine.clock.now())
    preparing = new_phase(machine, current, None, None, is_up=True)
    starting = new_phase(machine, current, ComponentStarting, ComponentStarted, is_up=True)
    machine.started = StartedHooks(starting.succeeded)
    # Components are constructed in a single thread: this one, unless there is a time limit.
    start = StartUnderWay(machine, current, machine.exits)
    call_hooks(machine, preparing, preparations(machine.participants, start), limit, workers=1, hook_limit=None)
    try:
        # Only now are the hooks of containers subscribed.
        machine.refuse_on_loop("start")
    except LoopError as error:
        current.leaving.append(error)
        with machine.registry.lock:
            current.call_off()
    machine.has_called_starts = True
    call_hooks(
        machine,
        starting,
        subscriptions_of(machine, START),
        limit,
        workers=machine.workers,
        hook_limit=machine.limits.hook,
    )
    with machine.registry.lock:
        if current.failures:
            # A policy may call the remaining hooks after a failure.
            current.call_off()
        if current.goal is not State.STARTED:
            return
        machine.enter(State.STARTED)
        current.has_started = True
    machine.announce(State.STARTING, State.STARTED)
    machine.runs.begin()


def carry_out_stop(machine: StateMachine, current: Transition) -> None:
    """Call the hooks of `STOP` for the components that have started; after a failed start this is the rollback."""
    is_rollback = machine.state is State.STARTING
    failed = next((failure.error for failure in current.failures), None) or next(iter(current.leaving), None)
    if is_rollback and (current.failures or current.leaving):
        end = machine.policy.rolls_back(current)
        with machine.registry.lock:
            if current.goal is State.STOPPED:
                current.goal = end
    machine.move(State.STOPPING)
    limit = PhaseLimit("stop", machine.limits.stop, machine.clock.now())
    if is_rollback:
        seconds = machine.limits.stop if machine.limits.rollback is None else machine.limits.rollback
        limit = PhaseLimit("rollback", seconds, limit.began)
    machine.runs.end(new_phase(machine, current, None, None, is_up=False), limit)
    subscriptions = subscriptions_of(machine, STOP)
    stopping = machine.started.to_stop(subscriptions_of(machine, START), subscriptions)
    hooks = machine.policy.to_call(ready_hooks(machine, stopping), subscriptions)
    phase = new_phase(machine, current, ComponentStopping, ComponentStopped, is_up=False)
    call_hooks(machine, phase, hooks, limit, workers=machine.workers, hook_limit=machine.limits.hook)
    for participant in machine.participants:
        participant.stopped()
    machine.started = StartedHooks()
    if is_rollback:
        paths = tuple(dict.fromkeys(subscription.path for subscription in phase.succeeded))
        machine.registry.observers.publish(RolledBack(machine.clock.now() - limit.began, failed, paths))
    machine.move(State.STOPPED)


def carry_out_exit(machine: StateMachine, current: Transition) -> None:
    """Call the hooks of `EXIT`, log the causes of the exit, and discard the pending requests."""
    machine.policy.exits(current)
    machine.move(State.EXITING)
    limit = PhaseLimit("exit", machine.limits.exit, machine.clock.now())
    phase = new_phase(machine, current, ComponentExiting, ComponentExited, is_up=False)
    subscriptions = subscriptions_of(machine, EXIT)
    hooks = machine.policy.to_call(ready_hooks(machine, reversed(subscriptions)), subscriptions)
    call_hooks(machine, phase, hooks, limit, workers=machine.workers, hook_limit=machine.limits.hook)
    log, requests = machine.registry.log, machine.requests
    for cause in distinct_errors(requests.causes):
        if isinstance(cause, Exception):  # SystemExit is a request, not an error
            log(CauseReport(f"the bus exits because of an error:\n{traceback_of(cause)}"), ERROR)
    with machine.registry.lock:
        discarded = requests.unserved()
    report_discarded(discarded, log)
    for message in machine.event_loop.end():
        log(message, WARNING)
    requests.is_exit_requested = False
    with machine.registry.lock:
        # In this order, so that a signal handler in between sees the exit and not the next run.
        machine.enter(State.EXITED)
        machine.exits += 1
        machine.is_used = False
        discarded = requests.unserved()
    machine.announce(State.EXITING, State.EXITED)
    report_discarded(discarded, log)
    requests.wakeup.wake()


def ready_hooks(machine: StateMachine, hooks: Iterable[Subscription]) -> list[Subscription]:
    """
    Return the *hooks*, of `STOP` or `EXIT`, that can be called now, and postpone the others.

    The hooks of an object whose start was given up and still runs must be called
    after that start: its thread calls them.
    """
    ready: list[Subscription] = []
    postponed: list[str] = []
    with machine.registry.lock:
        pending = {id(late.hook.owner): late for late in machine.abandoned if not late.is_over.is_set()}
        for hook in hooks:
            late = pending.get(id(hook.owner))
            if late is None:
                ready.append(hook)
            else:
                late.left.append(hook)
                postponed.append(
                    f"{hook.name} is not called until {late.hook.name}, which had been given up, has returned"
                )
    for message in postponed:
        machine.registry.log(message, WARNING)
    return ready


def subscriptions_of(machine: StateMachine, channel: Channel[[], HookResult]) -> tuple[Subscription, ...]:
    """Return the subscriptions to *channel* in running order."""
    return machine.registry.look_up(channel).subscriptions


def new_phase(
    machine: StateMachine,
    current: Transition,
    begin: Callable[[str], LifecycleEvent] | None,
    end: Callable[[str, float], LifecycleEvent] | None,
    *,
    is_up: bool,
) -> TransitionPhase:
    """Return a phase of *current*, in which *begin* and *end* create the events of each hook."""
    return TransitionPhase(machine.registry, machine.policy, current, begin, end, is_up)


def call_hooks(
    machine: StateMachine,
    phase: TransitionPhase,
    hooks: Sequence[ScheduledHook],
    limit: PhaseLimit,
    *,
    workers: int,
    hook_limit: float | None,
) -> None:
    """Call the hooks of *phase*. Hooks are called nowhere else."""
    scheduler = HookScheduler(
        hooks,
        phase,
        backwards=not phase.is_up,
        clock=machine.clock,
        waking=machine.requests.wakeup.waking,
        event_loop=machine.event_loop,
        workers=workers,
        hook_limit=hook_limit,
        whole=limit,
        spares=not phase.is_up,
    )
    phase.transition.scheduler = scheduler
    try:
        with machine.waking(scheduler.wake) if phase.is_up else contextlib.nullcontext():
            scheduler.carry_out()
    finally:
        phase.transition.scheduler = None
