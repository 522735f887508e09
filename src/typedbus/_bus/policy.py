"""The decisions of a transition that differ between the typed bus and the bus of the old API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from typedbus._base.states import State
from typedbus._channels.subscriptions import Subscription

if TYPE_CHECKING:
    from typedbus._bus.hooks import ScheduledHook
    from typedbus._bus.transition import Transition


class TransitionPolicy(Protocol):
    """
    The decisions that a state machine leaves to the API it serves.

    Every method is called in the thread of the transition, except where noted. None of them may raise.
    """

    def entered(self, state: State, /) -> None:
        """Called with each state when it is reached, under the lock of the bus; also for an assigned state."""

    def announced(self, state: State, /) -> None:
        """Called with each state after the change to it has been published."""

    def hook_failed(self, hook: ScheduledHook, error: BaseException, /) -> bool:
        """Called with each exception of a hook, before the next hook; return whether it ends a start at once."""
        ...

    def rolls_back(self, transition: Transition, /) -> State:
        """Called before the rollback of a start that failed; return the state in which it ends."""
        ...

    def exits(self, transition: Transition, /) -> None:
        """Called when the bus begins to exit."""

    def to_call(
        self, ready: Sequence[Subscription], subscriptions: Sequence[Subscription], /
    ) -> Sequence[Subscription]:
        """
        Return the hooks of `STOP` or `EXIT` to call, in order.

        Args:
            ready: The hooks to undo what has started, in the reverse of running order.
            subscriptions: All subscriptions to the channel, in running order.
        """
        ...

    def interrupted(self, error: BaseException, /) -> None:
        """Called in the thread in `Bus.block` with an exception, such as `KeyboardInterrupt`, that ends it."""


class TypedPolicy:
    """The policy of the typed bus: a start ends at its first failure and undoes what has started, nothing else."""

    def entered(self, state: State, /) -> None:
        pass

    def announced(self, state: State, /) -> None:
        pass

    def hook_failed(self, hook: ScheduledHook, error: BaseException, /) -> bool:
        return True

    def rolls_back(self, transition: Transition, /) -> State:
        return State.STOPPED

    def exits(self, transition: Transition, /) -> None:
        pass

    def to_call(
        self, ready: Sequence[Subscription], subscriptions: Sequence[Subscription], /
    ) -> Sequence[Subscription]:
        return ready

    def interrupted(self, error: BaseException, /) -> None:
        pass
