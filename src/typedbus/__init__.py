"""
Typed channels, a process bus and a container that wires components to it.

What may import what, from the bottom up; an import contract holds it:

- `_states`, `_events`, `_order`, `_clock`: pure data, pure algorithms, the time;
- `_publish`: the text of a fast publish, and its compilation;
- `_errors`, `_failures`, `_faults`, `_turns`: every exception, with its text; limits;
- `_channel`, `_faces`, `_bound`: the declaration of a channel; a channel on a
  bus, as components see it that only publish or subscribe, and as a whole;
- `_registry`, `_visit`, `_transition`, `_bus`: the channels of a bus, one way
  over its hooks, and the state machine over them;
- `_annotations`, `_fits`, `_providers`: what is known before anything is built;
- `_component`, `_lifecycle`, `_validation`, `_declarations`, `_traps`,
  `_contributed`, `_startup`, `_container`: declaration, hooks, faults, the
  start; `docs/explanation/design.md` lists the modules that may import
  dependency-injector;
- `_running`, and beside each other `process`, `testing`, `report` and `graph`;
  above them the command line, `cli`.

The rungs from `_annotations` up are imported with their first use.
"""

import sys
from typing import TYPE_CHECKING

from typedbus._bound import BoundChannel, Subscription
from typedbus._bus import Bus
from typedbus._channel import AnyChannel, Channel, Hook, Listens, Takes, on
from typedbus._clock import Clock, Inbox
from typedbus._doorbell import Replacement
from typedbus._errors import (
    ChannelError,
    ComponentDisabled,
    ConstructionCycle,
    DeclarationError,
    HookTimeout,
    LimitError,
    ListenerError,
    NoContainer,
    NotMainThread,
    OperatorError,
    OutsideContainer,
    OverrideError,
    ResetError,
    RestartError,
    StartCancelled,
    StartPending,
    StillRunning,
    TransitionError,
    WaitError,
)
from typedbus._events import (
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Constructed,
    Constructing,
    Disabled,
    Failed,
    LifecycleEvent,
    ListenerFailed,
    Moved,
    RolledBack,
    Subscribed,
)
from typedbus._exports import export as _export
from typedbus._faces import Publishes, Subscribes
from typedbus._failures import ChannelFailures, Failure, TransitionFailures
from typedbus._registry import (
    COMPONENT_EXITED,
    COMPONENT_EXITING,
    COMPONENT_STARTED,
    COMPONENT_STARTING,
    COMPONENT_STOPPED,
    COMPONENT_STOPPING,
    CONSTRUCTED,
    CONSTRUCTING,
    DISABLED,
    EXIT,
    FAILED,
    GRACEFUL,
    LIFECYCLE,
    LISTENER_FAILED,
    LOG,
    MAIN,
    MOVED,
    ROLLED_BACK,
    START,
    STOP,
    SUBSCRIBED,
)
from typedbus._states import State
from typedbus._turns import Limits

if TYPE_CHECKING:
    from typedbus._choice import Choice
    from typedbus._component import Component
    from typedbus._container import Container
    from typedbus._contributed import Contributed
    from typedbus._faults import (
        ArgumentFault,
        BuildFault,
        BusFault,
        ChannelFault,
        ChoiceFault,
        ContributionFault,
        CycleFault,
        DependencyFault,
        DisabledFault,
        Fault,
        HiddenFault,
        HookFault,
        InvalidContainer,
        LibraryFault,
        LifetimeFault,
        MisspeltFault,
        OverrideFault,
        ReferenceFault,
        ReplacementFault,
        TypeFault,
    )
    from typedbus._lifecycle import Exits, Logs, Reloads, Starts, Stops, Ticks
    from typedbus._override import Override
    from typedbus._providers import every, lazy, provided
    from typedbus._running import running
    from typedbus.process import run

_LATER = {
    "ArgumentFault": "_faults",
    "BuildFault": "_faults",
    "BusFault": "_faults",
    "ChannelFault": "_faults",
    "Choice": "_choice",
    "ChoiceFault": "_faults",
    "Component": "_component",
    "Container": "_container",
    "Contributed": "_contributed",
    "ContributionFault": "_faults",
    "CycleFault": "_faults",
    "DependencyFault": "_faults",
    "DisabledFault": "_faults",
    "Exits": "_lifecycle",
    "Fault": "_faults",
    "HiddenFault": "_faults",
    "HookFault": "_faults",
    "InvalidContainer": "_faults",
    "LibraryFault": "_faults",
    "LifetimeFault": "_faults",
    "Logs": "_lifecycle",
    "MisspeltFault": "_faults",
    "Override": "_override",
    "OverrideFault": "_faults",
    "Reloads": "_lifecycle",
    "ReferenceFault": "_faults",
    "ReplacementFault": "_faults",
    "Starts": "_lifecycle",
    "Stops": "_lifecycle",
    "Ticks": "_lifecycle",
    "TypeFault": "_faults",
    "every": "_providers",
    "lazy": "_providers",
    "provided": "_providers",
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
        # All that were imported with it: messages may name them before anybody asks for them here.
        loaded = [(later, sys.modules.get(f"{__name__}.{module}")) for later, module in _LATER.items()]
        _export(globals(), [getattr(module, later) for later, module in loaded if hasattr(module, later)])
        globals()[name] = value
        return value


__all__ = (
    "COMPONENT_EXITED",
    "COMPONENT_EXITING",
    "COMPONENT_STARTED",
    "COMPONENT_STARTING",
    "COMPONENT_STOPPED",
    "COMPONENT_STOPPING",
    "CONSTRUCTED",
    "CONSTRUCTING",
    "DISABLED",
    "EXIT",
    "FAILED",
    "GRACEFUL",
    "LIFECYCLE",
    "LISTENER_FAILED",
    "LOG",
    "MAIN",
    "MOVED",
    "ROLLED_BACK",
    "START",
    "STOP",
    "SUBSCRIBED",
    "AnyChannel",
    "ArgumentFault",
    "BoundChannel",
    "BuildFault",
    "Bus",
    "BusFault",
    "Channel",
    "ChannelError",
    "ChannelFailures",
    "ChannelFault",
    "Choice",
    "ChoiceFault",
    "Clock",
    "Component",
    "ComponentDisabled",
    "ComponentExited",
    "ComponentExiting",
    "ComponentStarted",
    "ComponentStarting",
    "ComponentStopped",
    "ComponentStopping",
    "Constructed",
    "Constructing",
    "ConstructionCycle",
    "Container",
    "Contributed",
    "ContributionFault",
    "CycleFault",
    "DeclarationError",
    "DependencyFault",
    "Disabled",
    "DisabledFault",
    "Exits",
    "Failed",
    "Failure",
    "Fault",
    "HiddenFault",
    "Hook",
    "HookFault",
    "HookTimeout",
    "Inbox",
    "InvalidContainer",
    "LibraryFault",
    "LifecycleEvent",
    "LifetimeFault",
    "LimitError",
    "Limits",
    "ListenerError",
    "ListenerFailed",
    "Listens",
    "Logs",
    "MisspeltFault",
    "Moved",
    "NoContainer",
    "NotMainThread",
    "OperatorError",
    "OutsideContainer",
    "Override",
    "OverrideError",
    "OverrideFault",
    "Publishes",
    "ReferenceFault",
    "Reloads",
    "Replacement",
    "ReplacementFault",
    "ResetError",
    "RestartError",
    "RolledBack",
    "StartCancelled",
    "StartPending",
    "Starts",
    "State",
    "StillRunning",
    "Stops",
    "Subscribed",
    "Subscribes",
    "Subscription",
    "Takes",
    "Ticks",
    "TransitionError",
    "TransitionFailures",
    "TypeFault",
    "WaitError",
    "every",
    "lazy",
    "on",
    "provided",
    "run",
    "running",
)

_export(globals())
