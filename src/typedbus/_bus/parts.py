"""The parts of a bus, put together."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from typedbus._base.clock import Clock
from typedbus._base.limits import Limits
from typedbus._bus.event_loop import EventLoop
from typedbus._bus.machine import StateMachine
from typedbus._bus.main_loop import MainLoop
from typedbus._bus.participants import Participants
from typedbus._bus.policy import TransitionPolicy
from typedbus._bus.registry import Registry
from typedbus._bus.requests import Requests

Result = TypeVar("Result")


class Parts:
    """
    The parts of a bus, for the packages of this library; `_bus.bus.parts_of` returns them.

    Attributes:
        registry: The channels.
        requests: The pending requests.
        participants: The objects that prepare each start.
        event_loop: The event loop that runs coroutines.
        machine: The state and its transitions.
        main_loop: The loop of the thread in `Bus.block`.
    """

    __slots__ = ("event_loop", "machine", "main_loop", "participants", "registry", "requests")

    def __init__(
        self, registry: Registry, policy: TransitionPolicy, clock: Clock, workers: int, limits: Limits
    ) -> None:
        self.registry = registry
        registry.clock = clock
        self.requests = Requests()
        self.participants = Participants()
        self.event_loop = EventLoop(registry)
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
        self.main_loop = MainLoop(registry, self.requests, self.machine)
        # Weak references, because the machine holds the runs.
        self.machine.runs.machine, self.machine.runs.main_loop = weakref.ref(self.machine), weakref.ref(self.main_loop)
        registry.run_on_loop = functools.partial(_run_on_loop, weakref.ref(self.machine))

    def detach(self) -> None:
        """Reset the parts in a forked child process; see `Bus.detach`."""
        self.registry.renew_lock()
        self.event_loop.detach()
        self.machine.detach()
        self.main_loop.detach()
        self.participants.detach()


def _run_on_loop(
    machine: weakref.ref[StateMachine], action: str, function: Callable[[], Coroutine[Any, Any, Result]]
) -> Result:
    """Await *function* on the event loop of a bus, and wait for the result in this thread; see `CoroutineRunner`."""
    from typedbus._bus.async_methods import run  # asyncio is slow to import

    return run(machine(), action, function)
