"""The parts of a bus, put together."""

from __future__ import annotations

from typedbus._base.clock import Clock
from typedbus._base.limits import Limits
from typedbus._bus.event_loop import EventLoop
from typedbus._bus.machine import StateMachine
from typedbus._bus.main_loop import MainLoop
from typedbus._bus.participants import Participants
from typedbus._bus.policy import TransitionPolicy
from typedbus._bus.registry import Registry
from typedbus._bus.requests import Requests


class Parts:
    """
    The parts of a bus, for the packages of this library; `_bus.bus.parts_of` returns them.

    Attributes:
        registry: The channels.
        requests: The pending requests.
        participants: The objects that prepare each start.
        event_loop: The event loop that runs coroutines.
        machine: The state and its transitions.
        loop: The loop of the thread in `Bus.block`.
    """

    __slots__ = ("event_loop", "loop", "machine", "participants", "registry", "requests")

    def __init__(
        self, registry: Registry, policy: TransitionPolicy, clock: Clock, workers: int, limits: Limits
    ) -> None:
        self.registry = registry
        self.requests = Requests()
        self.participants = Participants()
        self.event_loop = EventLoop()
        self.machine = StateMachine(
            registry,
            self.participants,
            self.requests,
            self.event_loop,
            policy=policy,
            clock=clock,
            limits=limits,
            workers=workers,
        )
        self.loop = MainLoop(registry, self.requests, self.machine)
