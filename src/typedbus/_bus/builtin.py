"""The channels that every bus has, and the levels of messages on `LOG`."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final, TypeAlias

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
from typedbus._base.run_events import RunEvent
from typedbus._channels.channel import Channel
from typedbus._channels.run_channel import RUN as RUN  # noqa: PLC0414  # the mark `on` needs it

HookResult: TypeAlias = Awaitable[None] | None
"""The result of a listener of `START`, `STOP`, `EXIT` and `GRACEFUL`: a transition or a reload awaits async listeners."""

START = Channel[[], HookResult]("start")
STOP = Channel[[], HookResult]("stop")
EXIT = Channel[[], HookResult]("exit")
GRACEFUL = Channel[[], HookResult]("graceful")
MAIN = Channel[[], None]("main")
LOG = Channel[[str, int], None]("log")
LIFECYCLE = Channel[[LifecycleEvent], None]("lifecycle")
MOVED = Channel[[Moved], None]("moved")
CONSTRUCTING = Channel[[Constructing], None]("constructing")
CONSTRUCTED = Channel[[Constructed], None]("constructed")
SUBSCRIBED = Channel[[Subscribed], None]("subscribed")
DISABLED = Channel[[Disabled], None]("disabled")
COMPONENT_STARTING = Channel[[ComponentStarting], None]("component_starting")
COMPONENT_STARTED = Channel[[ComponentStarted], None]("component_started")
COMPONENT_STOPPING = Channel[[ComponentStopping], None]("component_stopping")
COMPONENT_STOPPED = Channel[[ComponentStopped], None]("component_stopped")
COMPONENT_EXITING = Channel[[ComponentExiting], None]("component_exiting")
COMPONENT_EXITED = Channel[[ComponentExited], None]("component_exited")
FAILED = Channel[[Failed], None]("failed")
ROLLED_BACK = Channel[[RolledBack], None]("rolled_back")
LISTENER_FAILED = Channel[[ListenerFailed], None]("listener_failed")
RUNS = Channel[[RunEvent], None]("runs")

LIFECYCLE_CHANNELS: Final = frozenset(value for value in list(vars().values()) if isinstance(value, Channel))
"""All channels above: every bus has them and publishes on them itself."""

# The levels of messages on `LOG`, as in `logging`, which is too slow to import for three numbers.
INFO: Final = 20
WARNING: Final = 30
ERROR: Final = 40

# Each kind of event is mapped to the channel of that kind, which no dict type can express.
EVENT_CHANNELS: Final[dict[type[LifecycleEvent], Channel[[Any], None]]] = {
    Moved: MOVED,
    Constructing: CONSTRUCTING,
    Constructed: CONSTRUCTED,
    Subscribed: SUBSCRIBED,
    Disabled: DISABLED,
    ComponentStarting: COMPONENT_STARTING,
    ComponentStarted: COMPONENT_STARTED,
    ComponentStopping: COMPONENT_STOPPING,
    ComponentStopped: COMPONENT_STOPPED,
    ComponentExiting: COMPONENT_EXITING,
    ComponentExited: COMPONENT_EXITED,
    Failed: FAILED,
    RolledBack: ROLLED_BACK,
    ListenerFailed: LISTENER_FAILED,
}
