"""
Typed channels, a process bus and a container that wires components to it.

Packages, from the bottom up: `_base`, `_os`, `_channels`, `_bus`, `_container`; then
the components of a site (`plugins`, `servers`), `process` and its siblings, `hosting`,
and the command line. Import contracts hold that order; docs/explanation/design.md
describes it. The container and dependency-injector are imported with their first use.
"""

import sys
from typing import TYPE_CHECKING

from typedbus._base.clock import Clock, Inbox
from typedbus._base.errors import (
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
from typedbus._base.events import (
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
from typedbus._base.exports import export as _export
from typedbus._base.failures import ChannelFailures, Failure, TransitionFailures
from typedbus._base.limits import Limits
from typedbus._base.states import State
from typedbus._bus.bus import Bus
from typedbus._bus.registry import (
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
from typedbus._bus.wakeup import Replacement
from typedbus._channels.bound import BoundChannel, Subscription
from typedbus._channels.channel import AnyChannel, Channel, Hook, Listens, Takes, on
from typedbus._channels.faces import Publishes, Subscribes

if TYPE_CHECKING:
    from typedbus._container.choice import Choice
    from typedbus._container.component import Component
    from typedbus._container.container import Container
    from typedbus._container.contributed import Contributed
    from typedbus._container.faults import (
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
    from typedbus._container.hooks import Exits, Logs, Reloads, Starts, Stops, Ticks
    from typedbus._container.override import Override
    from typedbus._container.providers import every, lazy, provided
    from typedbus._container.running import running
    from typedbus.process import run

_LATER = {
    "ArgumentFault": "_container.faults",
    "BuildFault": "_container.faults",
    "BusFault": "_container.faults",
    "ChannelFault": "_container.faults",
    "Choice": "_container.choice",
    "ChoiceFault": "_container.faults",
    "Component": "_container.component",
    "Container": "_container.container",
    "Contributed": "_container.contributed",
    "ContributionFault": "_container.faults",
    "CycleFault": "_container.faults",
    "DependencyFault": "_container.faults",
    "DisabledFault": "_container.faults",
    "Exits": "_container.hooks",
    "Fault": "_container.faults",
    "HiddenFault": "_container.faults",
    "HookFault": "_container.faults",
    "InvalidContainer": "_container.faults",
    "LibraryFault": "_container.faults",
    "LifetimeFault": "_container.faults",
    "Logs": "_container.hooks",
    "MisspeltFault": "_container.faults",
    "Override": "_container.override",
    "OverrideFault": "_container.faults",
    "Reloads": "_container.hooks",
    "ReferenceFault": "_container.faults",
    "ReplacementFault": "_container.faults",
    "Starts": "_container.hooks",
    "Stops": "_container.hooks",
    "Ticks": "_container.hooks",
    "TypeFault": "_container.faults",
    "every": "_container.providers",
    "lazy": "_container.providers",
    "provided": "_container.providers",
    "run": "process",
    "running": "_container.running",
}


__version__: str

if not TYPE_CHECKING:  # with __getattr__, checkers would accept every name

    def __getattr__(name):
        if name == "__version__":
            from importlib.metadata import version

            return version("typedbus")
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
        # Export every name that this import has loaded: messages may show such a name before it is accessed here.
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
