"""
Types for annotations: protocols to implement, and classes of objects that typedbus returns.

Names from the container are imported with their first use, as in `typedbus`.
"""

from typing import TYPE_CHECKING

from typedbus._base.clock import Clock, Inbox
from typedbus._base.exports import export as _export
from typedbus._base.exports import later as _later
from typedbus._bus.builtin import HookResult
from typedbus._bus.wakeup import Replacement
from typedbus._channels.channel import AnyChannel, Binds, Hook, Listens, Takes

if TYPE_CHECKING:
    from typedbus._bus.listeners import ListenersSubscription
    from typedbus._channels.async_channel import AsyncListens
    from typedbus._channels.deprecated import DeprecatedAsyncChannel, DeprecatedChannel
    from typedbus._container.hooks import Exits, Logs, Reloads, Starts, Stops, Ticks
    from typedbus._container.override import Override

__all__ = (
    "AnyChannel",
    "AsyncListens",
    "Binds",
    "Clock",
    "DeprecatedAsyncChannel",
    "DeprecatedChannel",
    "Exits",
    "Hook",
    "HookResult",
    "Inbox",
    "ListenersSubscription",
    "Listens",
    "Logs",
    "Override",
    "Reloads",
    "Replacement",
    "Starts",
    "Stops",
    "Takes",
    "Ticks",
)

_LATER = {
    "AsyncListens": "typedbus._channels.async_channel",
    "DeprecatedAsyncChannel": "typedbus._channels.deprecated",
    "DeprecatedChannel": "typedbus._channels.deprecated",
    "Exits": "typedbus._container.hooks",
    "ListenersSubscription": "typedbus._bus.listeners",
    "Logs": "typedbus._container.hooks",
    "Override": "typedbus._container.override",
    "Reloads": "typedbus._container.hooks",
    "Starts": "typedbus._container.hooks",
    "Stops": "typedbus._container.hooks",
    "Ticks": "typedbus._container.hooks",
}

if not TYPE_CHECKING:  # with __getattr__, checkers would accept every name
    __getattr__ = _later(globals(), _LATER)

_export(globals())
