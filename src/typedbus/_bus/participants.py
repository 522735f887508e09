"""The seam between a bus and its containers: objects that the bus calls before each start and after each stop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

from typedbus._base.events import LifecycleEvent
from typedbus._channels.channel import AnyChannel, Channel


class StartContext(Protocol):
    """A start, for the participants that prepare it."""

    @property
    def run(self) -> int:
        """The number of exits of the bus before this start: after each exit, new components are constructed."""
        ...

    @property
    def is_wanted(self) -> bool:
        """Whether the start is under way and has not been cancelled; a participant returns early once it is False."""
        ...

    def publish(self, event: LifecycleEvent, /) -> None:
        """Publish *event* on the bus."""


class Participant(Protocol):
    """
    An object that prepares each start: a container constructs its components and subscribes their hooks.

    It is called after each stop as well, when a container logs its open scopes, and in a forked child process.
    """

    @property
    def name(self) -> str:
        """The path of the component that is under construction, otherwise the name of the participant."""
        ...

    @property
    def place(self) -> str:
        """File and line of the object that `name` names."""
        ...

    def prepare(self, start: StartContext, /) -> None:
        """
        Prepare *start*.

        Called in the thread of the transition or, if the start has a time limit, in a worker thread. An exception is
        a failure of the start, which is then rolled back.
        """

    def stopped(self) -> None:
        """Report open scopes; called after the hooks of `STOP`, in the thread of the transition. It must not raise."""

    def detach(self) -> None:
        """Forget what threads of the parent have opened; called in a forked child process."""


class Participants:
    """
    The participants of one bus, in the order in which they were added.

    Attributes:
        owners: By the id of an object, its owner's record of the subscriptions of the object's methods: of several
            components that return one object, only the first subscribes the methods.
    """

    __slots__ = ("_participants", "owners")

    def __init__(self) -> None:
        # A dict of one atomic step per change, for threads that attach containers at the same time.
        self._participants: dict[Participant, None] = {}
        self.owners: dict[int, Any] = {}

    def add(self, participant: Participant) -> None:
        """Let *participant* prepare each later start; one that is equal to an earlier one keeps that one's place."""
        self._participants.setdefault(participant)

    def remove(self, participant: Participant) -> None:
        """Leave later starts to the other participants."""
        self._participants.pop(participant, None)

    def detach(self) -> None:
        """Detach every participant, in a forked child process."""
        for participant in self:
            participant.detach()

    def __iter__(self) -> Iterator[Participant]:
        return iter(list(self._participants))


PREPARE: Final[AnyChannel] = Channel[[], None]("assemble")
"""Names the calls that prepare a start in failures and time-outs. No bus publishes on it."""
