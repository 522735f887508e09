"""
All differences between the old contract and the typed bus in states and transitions; `_names` has those in channels.

Transitions, publishing, order, waiting and time limits come from the typed bus. The
old bus differs from it only in these points:

- every listener of ``start`` is called, even after another has failed, as on every
  other channel; then the start is rolled back, and the bus exits;
- on ``stop`` and ``exit`` all listeners run in ascending priority, whatever had
  started. Components of a container keep the order of the typed bus, the reverse
  of their start, and run before the other listeners of priority 50;
- each failure is logged before the next listener is called, and each state when
  it is reached;
- a start, a stop and an exit are possible from every state, and the state may be
  assigned.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from typedbus._base.failures import propagates_at_once
from typedbus._base.states import State
from typedbus._bus.builtin import ERROR, INFO
from typedbus._bus.machine import StateMachine
from typedbus._bus.observers import Observers
from typedbus._bus.participants import PREPARE
from typedbus._channels.channel import DEFAULT_PRIORITY, AnyChannel
from typedbus._channels.subscriptions import Subscription

if TYPE_CHECKING:
    from typedbus._bus.hooks import ScheduledHook
    from typedbus._bus.transition import Transition


class OldPolicy:
    """
    The transition policy of the old API; see `TransitionPolicy`.

    Args:
        log: Receives messages about states and failures, with their level.
        entered: Called with each state as it is reached; the lock is held.

    Attributes:
        exiting: The transition by which the bus exits, or has exited.
        on_interrupt: Called with an exception that ends `block`, in its thread, before any listener is stopped.
    """

    def __init__(self, log: Callable[[str, int], None], entered: Callable[[State], None]) -> None:
        self._log = log
        self._entered = entered
        self.exiting: Transition | None = None
        self.on_interrupt: Callable[[BaseException], None] | None = None

    def entered(self, state: State, /) -> None:
        self._entered(state)

    def announced(self, state: State, /) -> None:
        self._log(f"Bus {state.name}", INFO)

    def hook_failed(self, hook: ScheduledHook, error: BaseException, /) -> bool:
        if hook.channel is PREPARE:
            # Without its components a container has nothing to start.
            return True
        if isinstance(error, Exception):
            self.log_failure(hook.channel, hook.listener, error)
        # SystemExit and similar exceptions roll the start back at once; other failures after the last listener.
        return propagates_at_once(error)

    def rolls_back(self, transition: Transition, /) -> State:
        if transition.failures:
            errors = "".join(_formatted(failure.error) for failure in transition.failures)
            self._log(f"Shutting down due to error in start listener:\n{errors}", ERROR)
        return State.EXITED

    def exits(self, transition: Transition, /) -> None:
        self.exiting = transition

    def to_call(
        self, ready: Sequence[Subscription], subscriptions: Sequence[Subscription], /
    ) -> Sequence[Subscription]:
        # The typed bus skips listeners whose start has not returned; here they are called as well.
        singles = [subscription for subscription in subscriptions if subscription.node is None]
        before = [subscription for subscription in singles if subscription.priority < DEFAULT_PRIORITY]
        components = [subscription for subscription in ready if subscription.node is not None]
        return [*before, *components, *singles[len(before) :]]

    def interrupted(self, error: BaseException, /) -> None:
        if self.on_interrupt is not None:
            self.on_interrupt(error)

    def log_failure(self, channel: AnyChannel, listener: object, error: BaseException) -> None:
        """Log that *listener* of *channel* raised *error*."""
        self._log(f"Error in {channel.name!r} listener {listener!r}\n{_formatted(error)}", ERROR)


@attrs.frozen(eq=False)
class FailureLog:
    """Reports each failure of a listener in a publish on the typed bus, and then in the old form; see `FailureSink`."""

    observers: Observers
    policy: OldPolicy

    def listener_failed(
        self, channel: AnyChannel, name: str, listener: Callable[..., object], error: Exception, /
    ) -> None:
        self.observers.listener_failed(channel, name, listener, error)
        self.policy.log_failure(channel, listener, error)

    def watcher_failed(self, channel: AnyChannel, watcher: Callable[..., object], error: Exception, /) -> None:
        self.observers.watcher_failed(channel, watcher, error)

    def watch_refusal(self, channel: AnyChannel, /) -> str:
        return self.observers.watch_refusal(channel)


def permit(machine: StateMachine, goal: State) -> None:
    """Make *goal* reachable from whatever state, unless a transition is under way."""
    with machine.registry.lock:
        if goal is not State.STARTED:
            # Not STARTED, which would wake the threads that wait for it. A bus that
            # has exited stops and exits again: a server may have been started
            # since then without the bus.
            machine.begin_from(State.STOPPING)
        elif machine.state is not State.EXITED:
            machine.begin_from(State.STOPPED)


def _formatted(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
