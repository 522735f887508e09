"""
The events that a bus publishes, and their channels.

Each kind of event is a frozen record with a channel of its own, named in capitals;
`LIFECYCLE` carries the events of all kinds.
"""

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
from typedbus._base.run_events import RunBegan, RunBroke, RunEnded, RunEvent, RunGaveUp, RunReady
from typedbus._bus.builtin import (
    COMPONENT_EXITED,
    COMPONENT_EXITING,
    COMPONENT_STARTED,
    COMPONENT_STARTING,
    COMPONENT_STOPPED,
    COMPONENT_STOPPING,
    CONSTRUCTED,
    CONSTRUCTING,
    DISABLED,
    FAILED,
    LIFECYCLE,
    LISTENER_FAILED,
    MOVED,
    ROLLED_BACK,
    SUBSCRIBED,
)

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
    "FAILED",
    "LIFECYCLE",
    "LISTENER_FAILED",
    "MOVED",
    "ROLLED_BACK",
    "SUBSCRIBED",
    "ComponentExited",
    "ComponentExiting",
    "ComponentStarted",
    "ComponentStarting",
    "ComponentStopped",
    "ComponentStopping",
    "Constructed",
    "Constructing",
    "Disabled",
    "Failed",
    "LifecycleEvent",
    "ListenerFailed",
    "Moved",
    "RolledBack",
    "RunBegan",
    "RunBroke",
    "RunEnded",
    "RunEvent",
    "RunGaveUp",
    "RunReady",
    "Subscribed",
)

_export(globals())
