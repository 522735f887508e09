"""The step of a start that begins a run, and waits until it is ready."""

from __future__ import annotations

from collections.abc import Callable

from typedbus._base.errors import StartCancelled
from typedbus._base.failures import place_of
from typedbus._base.states import State
from typedbus._bus.builtin import RUN
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.hooks import WaitingListener
from typedbus._channels.channel import Hook
from typedbus._container.declared_runs import run_name


class AwaitedRun(WaitingListener):
    """
    A listener of `START` that begins the run *hook* of a component, and returns when it is ready.

    Args:
        bus: The bus.
        owner: The object that starts and stops with the component.
        hook: The run.
        listener: Returns the listener of `RUN` when the step is carried out; None if the instance has no such run.
    """

    def __init__(
        self, bus: Bus, owner: object, hook: Hook[object], listener: Callable[[], Callable[..., object] | None]
    ) -> None:
        self.__self__ = owner
        self.__name__ = run_name(hook)
        self.place = place_of(hook.method)
        self._bus = bus
        self._hook = hook
        self._listener = listener

    def __call__(self) -> None:
        """Carry out the step."""
        listener = self._listener()
        if listener is not None:
            begin_awaited(self._bus, listener)

    def stack(self) -> str:
        """Return the present stack of the run."""
        listener = self._listener()
        subscription = None if listener is None else self._bus[RUN].subscription_of(listener)
        return "" if subscription is None else parts_of(self._bus).machine.runs.get().stack_of(subscription)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, AwaitedRun)
            and other.__self__ is self.__self__
            and other._hook.method == self._hook.method
        )

    def __hash__(self) -> int:
        return hash((id(self.__self__), self._hook.method))


def begin_awaited(bus: Bus, listener: Callable[..., object]) -> None:
    """Begin the run *listener*, and return when it is ready; see `Runs.begin_awaited`."""
    subscription = bus[RUN].subscription_of(listener)
    if subscription is None:
        # It was unsubscribed during the start.
        raise StartCancelled(State.STOPPED)
    parts_of(bus).machine.runs.get().begin_awaited(subscription)
