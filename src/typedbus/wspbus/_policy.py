"""
All differences between the old contract and the typed bus.

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
  assigned;
- a name stands for one channel of a bus. It is bound to the first typed channel of
  that name on the bus; if old code has used the name already, its listeners move to
  the typed channel. A second typed channel of the same name is refused: old code
  could reach only one of them.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

from typedbus._base.errors import ChannelError
from typedbus._base.events import LifecycleEvent, Moved
from typedbus._base.failures import leaves
from typedbus._base.states import State
from typedbus._bus.bus import Bus
from typedbus._bus.registry import ASSEMBLE, ERROR, EXIT, GRACEFUL, LOG, MAIN, START, STOP, AnyBound
from typedbus._bus.transition import Transition, TransitionPhase
from typedbus._bus.wakeup import MainChannel
from typedbus._channels.bound import BoundChannel, Subscription, bind
from typedbus._channels.channel import DEFAULT_PRIORITY, Binds, Channel
from typedbus.wspbus._listeners import Listeners, Listening, told


class OldPhase(TransitionPhase):
    """One phase of a transition; its failures are logged at once and never prevent other listeners from being called."""

    __slots__ = ()

    def ended(self, subscription: Subscription, seconds: float, error: BaseException | None, /) -> None:
        if isinstance(error, Exception):
            bus = self.registry
            assert isinstance(bus, OldBus)
            bus.tell(subscription.channel.name, subscription.listener, error)
        was_up = self.is_up
        # The start is rolled back after the last listener; SystemExit and the like roll it back at once.
        self.is_up = was_up and (error is None or leaves(error))
        super().ended(subscription, seconds, error)
        self.is_up = was_up


class OldBus(Bus):
    """
    The typed bus under the old names.

    Args:
        log: Receives messages about states and failures, with their level.
        seen: Called with each state as it is reached, for subclasses that override ``state``; the lock is held.

    Attributes:
        listeners: The listeners by channel name.
        exiting: The transition by which the bus exits, or has exited.
    """

    def __init__(self, log: Callable[[str, int], None], seen: Callable[[State], None]) -> None:
        # Before the first channel is used.
        self.listeners: Listeners = Listeners(self)
        self._meant: dict[Hashable, Channel[Any, Any]] = {}
        self._made: set[Channel[Any, Any]] = set()
        self._log_old = log
        self._seen = seen
        self.interrupted: Callable[[BaseException], None] | None = None
        self.exiting: Transition | None = None
        super().__init__()
        main = told(MainChannel)(self._lock, self._observers.of_failures, self._wakeup)  # type: ignore[arg-type]
        main.tell = self.tell
        self._bound[MAIN] = main
        self._bring_in(ASSEMBLE)
        for channel in _BUILT_IN:
            bound = self._bound.get(channel) or self._bring_in(channel)
            self._meant[channel.name] = channel
            self.listeners.known(channel.name, Listening(bound, anything=True))

    def __getitem__(self, channel: Binds[AnyBound]) -> AnyBound:
        """
        Return *channel* bound to this bus; from the first call on, its name stands for it.

        Raises:
            ChannelError: *channel* is not a channel, or its name stands for another channel.
        """
        bound: AnyBound | None = self._bound.get(channel)
        if bound is not None:
            return bound
        if not isinstance(channel, Channel):
            raise ChannelError(channel, "is not a channel: names are for subscribe, publish and listeners")
        with self._lock:
            there: AnyBound | None = self._bound.get(channel)
            if there is not None:
                return there
            meant = self._meant.get(channel.name)
            if meant is not None and meant not in self._made:
                raise ChannelError(
                    channel.name, "means another channel of this bus already; give one of the two another name"
                )
            made: AnyBound = self._bring_in(channel)
            if meant is not None:
                self._take_over(self._bound.pop(meant), made)
                self._made.discard(meant)
            self._meant[channel.name] = channel
            known = self.listeners.get(channel.name)
            if known is None:
                self.listeners.known(channel.name, Listening(made, anything=False))
            else:
                known.hear(made, anything=False)
            return made

    def known(self, name: Hashable) -> Listening | None:
        """Return the set of the channel *name*, which may be a typed channel; None if the name is unused."""
        found = self.listeners.get(name)
        if found is not None:
            return found
        meant = name if isinstance(name, Channel) else self._meant.get(name)
        return None if meant is None else Listening(self[meant], anything=meant in _BUILT_IN)

    def enter(self, name: Hashable) -> Listening:
        """Return the set of the channel *name*, which is created if it is missing."""
        if isinstance(name, Channel):
            return Listening(self[name], anything=False)
        with self._lock:
            found = self.listeners.get(name)
            if found is None:
                meant = self._meant.get(name)
                if meant is None:
                    meant = Channel.declare(_anything)
                    meant.name = name if isinstance(name, str) else repr(name)
                    self._meant[name] = meant
                    self._made.add(meant)
                    self._bound[meant] = self._bring_in(meant)
                # The original's built-in channels accept any arguments.
                found = Listening(self._bound[meant], anything=meant in _BUILT_IN)
                self.listeners.known(name, found)
            return found

    def _bring_in(self, channel: Channel[Any, Any]) -> Any:
        witnesses = self._observers.of_failures
        kind: Any = type(bind(channel, self._lock, witnesses))
        made: Any = told(kind)(channel, self._lock, witnesses)
        made.tell = self.tell
        return self._bound.setdefault(channel, made)

    @staticmethod
    def _take_over(before: BoundChannel[Any, Any], bound: BoundChannel[Any, Any]) -> None:
        for subscription in before.subscriptions:
            subscription._bound = bound
            bound._add(subscription)

    def tell(self, channel: str, listener: object, error: BaseException) -> None:
        """Log that *listener* of *channel* raised *error*."""
        self._log_old(f"Error in {channel!r} listener {listener!r}\n{_told(error)}", ERROR)

    def assign(self, state: State) -> None:
        """Force the state to *state* (for legacy code that assigns `bus.state`)."""
        with self._lock:
            # No exit is carried out, so EXITING means that it is over.
            self._set(State.EXITED if state is State.EXITING else state)
        self._wakeup.wake()

    def be_ready(self, goal: State) -> None:
        """Make *goal* reachable from the current state, unless a transition is already running."""
        with self._lock:
            if self._current is not None:
                return
            if goal is State.STARTED:
                if self._state is not State.EXITED:
                    self._state = State.STOPPED
            else:
                # Not STARTED, which would wake the threads that wait for it. A bus that
                # has exited stops and exits again: a server may have been started
                # since then without the bus.
                self._state = State.STOPPING

    def _set(self, state: State) -> None:
        super()._set(state)
        self._seen(state)

    def _publish_event(self, event: LifecycleEvent) -> None:
        super()._publish_event(event)
        if type(event) is Moved:
            self._log_old(f"Bus {event.after.name}", 20)

    def _lead_down(self, current: Transition) -> None:
        if self._state is State.STARTING and (current.failures or current.leaving):
            if current.failures:
                errors = "".join(_told(failure.error) for failure in current.failures)
                self._log_old(f"Shutting down due to error in start listener:\n{errors}", ERROR)
            with self._lock:
                if current.goal is State.STOPPED:
                    current.goal = State.EXITED
        super()._lead_down(current)

    def _lead_out(self, current: Transition) -> None:
        self.exiting = current
        super()._lead_out(current)

    def _call_hooks(
        self,
        phase: TransitionPhase,
        subscriptions: Sequence[Subscription],
        workers: int,
        hook: float | None,
        whole: tuple[str, float | None, float],
    ) -> None:
        if phase.is_up and subscriptions and subscriptions[0].channel is not START:
            # The phase that constructs containers: without them there is nothing to start.
            super()._call_hooks(phase, subscriptions, workers, hook, whole)
            return
        old = OldPhase(phase.registry, phase.transition, phase.begin, phase.end, phase.is_up, phase.well)
        if phase.is_up:
            super()._call_hooks(old, subscriptions, workers, hook, whole)
            if phase.transition.failures:
                with self._lock:
                    phase.transition.call_off()
            return
        # The typed bus skips listeners whose start has not returned; here they are called as well.
        everybody = self[EXIT if self._state is State.EXITING else STOP].subscriptions
        singles = [subscription for subscription in everybody if subscription.node is None]
        before = [subscription for subscription in singles if subscription.priority < DEFAULT_PRIORITY]
        components = [subscription for subscription in subscriptions if subscription.node is not None]
        super()._call_hooks(old, [*before, *components, *singles[len(before) :]], workers, hook, whole)

    @property
    def _exits_in(self) -> int:
        return self._life_to_exit

    @_exits_in.setter
    def _exits_in(self, life: int) -> None:
        # An exception in the thread in `block` reaches this setter before any listener is stopped.
        met = sys.exc_info()[1]
        if self.interrupted is not None and met is not None:
            self.interrupted(met)
        self._life_to_exit = life


_BUILT_IN: Final[tuple[Channel[..., Any], ...]] = (START, STOP, EXIT, GRACEFUL, LOG, MAIN)


def _anything(*args: Any, **kwargs: Any) -> Any:
    """Takes any arguments, as the channels of old code do."""


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
