"""
Typed channels, a process bus and a container that wires components to it.

Packages, from the bottom up: `_base`, `_os`, `_channels`, `_bus`, `_container`; then
the components of a site (`plugins`, `servers`), `process` and its siblings, `hosting`,
and the command line. Import contracts hold that order; docs/explanation/design.md
describes it. The container and dependency-injector are imported with their first use.
"""

from typing import TYPE_CHECKING

from typedbus._base.channel_errors import (
    ChannelError,
    ChannelNameError,
    ListenerCancelled,
    ListenerError,
    NotAMethod,
    RegistrationError,
    WatcherError,
)
from typedbus._base.errors import (
    ComponentDisabled,
    ConstructionCycle,
    DeclarationError,
    HookCancelled,
    HookTimeout,
    LimitError,
    LoopError,
    NoContainer,
    NotMainThread,
    NotOpen,
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
from typedbus._base.exports import export as _export
from typedbus._base.exports import later as _later
from typedbus._base.failures import ChannelFailures, Failure, TransitionFailures
from typedbus._base.limits import Limits
from typedbus._base.run_errors import RestartPolicyError, RunFailed, RunReturned
from typedbus._base.scope_errors import (
    AsyncNeeded,
    NotGiven,
    NotInContainer,
    OutsideScope,
    ResourceError,
    ScopeBusy,
    ScopeClosed,
)
from typedbus._base.states import State
from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import (
    EXIT,
    GRACEFUL,
    LOG,
    MAIN,
    RUN,
    RUNS,
    START,
    STOP,
)
from typedbus._bus.bus import Bus
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import Channel
from typedbus._channels.faces import Publishes, Subscribes
from typedbus._channels.marks import on
from typedbus._channels.subscriptions import Subscription

if TYPE_CHECKING:
    from typedbus._base.restart import Restart
    from typedbus._base.run_records import RunRecord, RunState
    from typedbus._bus.listeners import Listeners
    from typedbus._channels.async_bound import AsyncBoundChannel
    from typedbus._channels.async_channel import AsyncChannel, in_thread
    from typedbus._channels.async_faces import AsyncPublishes, AsyncSubscribes
    from typedbus._channels.attempt import Answer, Attempt
    from typedbus._channels.watching import Published, Watch
    from typedbus._container.choice import Choice
    from typedbus._container.component import Component
    from typedbus._container.container import Container
    from typedbus._container.contributed import Contributed
    from typedbus._container.faults import (
        InvalidContainer,
    )
    from typedbus._container.resource import Resource
    from typedbus._container.running import running
    from typedbus._container.scope import Scope
    from typedbus._container.scoped import SESSION, Given, Scoped
    from typedbus._container.stand_ins import every, lazy, provided
    from typedbus.process import run

_LATER = {
    "Answer": "typedbus._channels.attempt",
    "AsyncBoundChannel": "typedbus._channels.async_bound",
    "AsyncChannel": "typedbus._channels.async_channel",
    "AsyncPublishes": "typedbus._channels.async_faces",
    "AsyncSubscribes": "typedbus._channels.async_faces",
    "Attempt": "typedbus._channels.attempt",
    "Choice": "typedbus._container.choice",
    "Component": "typedbus._container.component",
    "Container": "typedbus._container.container",
    "Contributed": "typedbus._container.contributed",
    "Given": "typedbus._container.scoped",
    "InvalidContainer": "typedbus._container.faults",
    "Listeners": "typedbus._bus.listeners",
    "Resource": "typedbus._container.resource",
    "Restart": "typedbus._base.restart",
    "RunRecord": "typedbus._base.run_records",
    "RunState": "typedbus._base.run_records",
    "SESSION": "typedbus._container.scoped",
    "Scope": "typedbus._container.scope",
    "Scoped": "typedbus._container.scoped",
    "Published": "typedbus._channels.watching",
    "Watch": "typedbus._channels.watching",
    "every": "typedbus._container.stand_ins",
    "in_thread": "typedbus._channels.async_channel",
    "lazy": "typedbus._container.stand_ins",
    "provided": "typedbus._container.stand_ins",
    "run": "typedbus.process",
    "running": "typedbus._container.running",
}


__version__: str

if not TYPE_CHECKING:  # with __getattr__, checkers would accept every name
    # Their classes name these modules in messages, whether or not a program imports them.
    from typedbus import events, faults, observe, types

    _load = _later(globals(), _LATER)

    def __getattr__(name):
        if name == "__version__":
            from importlib.metadata import version

            return version("typedbus")
        for home in (events, faults, observe, types):
            if name in home.__all__:
                # An AttributeError would lose this text in `from typedbus import ...`.
                raise ImportError(f"typedbus.{name} is in {home.__name__}: from {home.__name__} import {name}")
        return _load(name)


__all__ = (
    "EXIT",
    "GRACEFUL",
    "LOG",
    "MAIN",
    "RUN",
    "RUNS",
    "SESSION",
    "START",
    "STOP",
    "Answer",
    "AsyncBoundChannel",
    "AsyncChannel",
    "AsyncNeeded",
    "AsyncPublishes",
    "AsyncSubscribes",
    "Attempt",
    "BoundChannel",
    "Bus",
    "Channel",
    "ChannelError",
    "ChannelFailures",
    "ChannelNameError",
    "Choice",
    "Component",
    "ComponentDisabled",
    "ConstructionCycle",
    "Container",
    "Contributed",
    "DeclarationError",
    "Failure",
    "Given",
    "HookCancelled",
    "HookTimeout",
    "InvalidContainer",
    "LimitError",
    "Limits",
    "ListenerCancelled",
    "ListenerError",
    "Listeners",
    "LoopError",
    "NoContainer",
    "NotAMethod",
    "NotGiven",
    "NotInContainer",
    "NotMainThread",
    "NotOpen",
    "OperatorError",
    "OutsideContainer",
    "OutsideScope",
    "OverrideError",
    "Published",
    "Publishes",
    "RegistrationError",
    "ResetError",
    "Resource",
    "ResourceError",
    "Restart",
    "RestartError",
    "RestartPolicyError",
    "RunFailed",
    "RunRecord",
    "RunReturned",
    "RunState",
    "Scope",
    "ScopeBusy",
    "ScopeClosed",
    "Scoped",
    "StartCancelled",
    "StartPending",
    "State",
    "StillRunning",
    "Stopping",
    "Subscribes",
    "Subscription",
    "TransitionError",
    "TransitionFailures",
    "WaitError",
    "Watch",
    "WatcherError",
    "every",
    "in_thread",
    "lazy",
    "on",
    "provided",
    "run",
    "running",
)

_export(globals())
