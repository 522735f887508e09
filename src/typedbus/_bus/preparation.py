"""The calls by which the participants of a bus prepare a start; only a transition imports them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from typedbus._base.events import LifecycleEvent
from typedbus._base.states import State
from typedbus._bus.machine import StateMachine
from typedbus._bus.participants import PREPARE, Participant, StartContext
from typedbus._bus.transition import Transition
from typedbus._channels.channel import DEFAULT_PRIORITY


@attrs.frozen(eq=False)
class StartUnderWay:
    """A start, for the participants that prepare it; see `StartContext`."""

    _machine: StateMachine
    _transition: Transition
    run: int

    @property
    def is_wanted(self) -> bool:
        return self._machine.current is self._transition and self._transition.goal is State.STARTED

    def publish(self, event: LifecycleEvent, /) -> None:
        self._machine.registry.observers.publish(event)


@attrs.frozen(eq=False)
class Preparation:
    """The call by which a participant prepares a start, as the scheduler sees it."""

    participant: Participant
    start: StartContext

    channel = PREPARE
    priority = DEFAULT_PRIORITY
    node = None
    limit = None
    is_idle = False
    is_inline = False

    @property
    def listener(self) -> Callable[[], None]:
        """The function that the scheduler calls."""
        return self._prepare

    def _prepare(self) -> None:
        self.participant.prepare(self.start)

    @property
    def owner(self) -> object:
        """The call itself."""
        return self

    @property
    def name(self) -> str:
        """The name of the participant."""
        return self.participant.name

    @property
    def path(self) -> str:
        """The path of the component that is under construction, otherwise the name of the participant."""
        return self.participant.name

    @property
    def place(self) -> str:
        """File and line of the participant."""
        return self.participant.place


def preparations(participants: Iterable[Participant], start: StartContext) -> list[Preparation]:
    """Return the calls that prepare *start*, in order."""
    return [Preparation(participant, start) for participant in participants]
