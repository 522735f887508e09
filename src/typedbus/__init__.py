"""
Typed channels, a process bus and a container that wires components to it.

What may import what, from the bottom up; an import contract holds it:

- `_states`, `_order`, `_clock`: pure data, pure algorithms, the time;
- `_failures`: every exception, with its text;
- `_publish`: the text of a fast publish, and its compilation;
- `_channel`, `_bound`: the declaration of a channel, and what it is on a bus;
- `_registry`, `_bus`: the channels of a bus, and the state machine over them;
- `_component`, `_lifecycle`, `_validation`, `_container`: declaration, what
  listens, what may be wrong, the wiring; dependency-injector is known to
  `_component` and `_container` alone;
- `_running`, and beside each other `process` and `testing`.

The rungs from `_component` up are imported with their first use.
"""

from typing import TYPE_CHECKING

from typedbus._bound import BoundChannel, Subscription
from typedbus._bus import Bus
from typedbus._channel import AnyChannel, Channel, Hook, Listens, Takes, on
from typedbus._clock import Clock
from typedbus._failures import (
    ArgumentFault,
    BusFault,
    ChannelError,
    ChannelFailures,
    CycleFault,
    DeclarationError,
    DependencyFault,
    Failure,
    Fault,
    HookFault,
    InvalidContainer,
    ListenerError,
    NotMainThread,
    OutsideContainer,
    OverrideError,
    StartCancelled,
    StillRunning,
    TransitionError,
    TransitionFailures,
    WaitError,
)
from typedbus._registry import EXIT, GRACEFUL, LIFECYCLE, LOG, MAIN, START, STOP
from typedbus._states import (
    Constructed,
    Exited,
    Failed,
    LifecycleEvent,
    Moved,
    Started,
    State,
    Stopped,
)

if TYPE_CHECKING:
    from typedbus._component import Component, provided
    from typedbus._container import Container, Override
    from typedbus._lifecycle import Exits, Logs, Reloads, Starts, Stops, Ticks
    from typedbus._running import running
    from typedbus.process import run

_LATER = {
    "Component": "_component",
    "Container": "_container",
    "Exits": "_lifecycle",
    "Logs": "_lifecycle",
    "Override": "_container",
    "Reloads": "_lifecycle",
    "Starts": "_lifecycle",
    "Stops": "_lifecycle",
    "Ticks": "_lifecycle",
    "provided": "_component",
    "run": "process",
    "running": "_running",
}


__version__: str

if not TYPE_CHECKING:  # checkers would believe that every name is there

    def __getattr__(name):
        if name == "__version__":
            from importlib.metadata import version

            return version("typedbus")
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
        globals()[name] = value
        return value


__all__ = (
    "EXIT",
    "GRACEFUL",
    "LIFECYCLE",
    "LOG",
    "MAIN",
    "START",
    "STOP",
    "AnyChannel",
    "ArgumentFault",
    "BoundChannel",
    "Bus",
    "BusFault",
    "Channel",
    "ChannelError",
    "ChannelFailures",
    "Clock",
    "Component",
    "Constructed",
    "Container",
    "CycleFault",
    "DeclarationError",
    "DependencyFault",
    "Exited",
    "Exits",
    "Failed",
    "Failure",
    "Fault",
    "Hook",
    "HookFault",
    "InvalidContainer",
    "LifecycleEvent",
    "ListenerError",
    "Listens",
    "Logs",
    "Moved",
    "NotMainThread",
    "OutsideContainer",
    "Override",
    "OverrideError",
    "Reloads",
    "StartCancelled",
    "Started",
    "Starts",
    "State",
    "StillRunning",
    "Stopped",
    "Stops",
    "Subscription",
    "Takes",
    "Ticks",
    "TransitionError",
    "TransitionFailures",
    "WaitError",
    "on",
    "provided",
    "run",
    "running",
)
