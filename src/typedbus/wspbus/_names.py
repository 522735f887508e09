"""
The names of the old API, each of which stands for one channel of the typed bus.

A name is bound to the first typed channel of that name on the bus; if old code has
used the name already, its listeners move to the typed channel. A second typed
channel of the same name is refused: old code could reach only one of them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import attrs

from typedbus._base.channel_errors import ChannelError
from typedbus._bus.builtin import EXIT, GRACEFUL, LOG, MAIN, START, STOP
from typedbus._bus.registry import Registry
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import AnyChannel, Channel
from typedbus._channels.subscriptions import AnyBoundChannel, Subscription, move
from typedbus.wspbus._listeners import Listeners, ListenerSet


@attrs.frozen
class NamedChannel:
    """A channel with its subscriptions, and whether typed code declared it; otherwise a name created it."""

    channel: Channel[Any, Any]
    is_declared: bool
    subscriptions: tuple[Subscription, ...]


class ChannelNames:
    """
    The names of the channels of one bus.

    Args:
        registry: The channels of the typed bus. From here on each channel that it binds takes its name.

    Attributes:
        listeners: The listeners by channel name.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._channels: dict[Hashable, Channel[Any, Any]] = {}
        #: The channels that a name created.
        self._undeclared: set[AnyChannel] = set()
        self.listeners: Listeners = Listeners(self.find_or_create)
        for channel in _BUILT_IN:
            self._channels[channel.name] = channel
            self.listeners.put(channel.name, ListenerSet(registry.look_up(channel), accepts_anything=True))
        registry.admit = self._admit

    def find(self, name: Hashable) -> ListenerSet | None:
        """Return the listeners of the channel *name*, which may be a typed channel; None if the name is unused."""
        listeners = self.listeners.get(name)
        if listeners is not None:
            return listeners
        channel = name if isinstance(name, Channel) else self._channels.get(name)
        return None if channel is None else self._set_of(channel)

    def find_or_create(self, name: Hashable) -> ListenerSet:
        """Return the listeners of the channel *name*, which is created if it is missing."""
        if isinstance(name, Channel):
            return ListenerSet(self._registry.look_up(name), accepts_anything=False)
        with self._registry.lock:
            listeners = self.listeners.get(name)
            if listeners is None:
                channel = self._channels.get(name)
                if channel is None:
                    channel = Channel.declare(_anything)
                    channel.name = name if isinstance(name, str) else repr(name)
                    self._channels[name] = channel
                    self._undeclared.add(channel)
                listeners = self._set_of(channel)
                self.listeners.put(name, listeners)
            return listeners

    def snapshot(self) -> dict[Hashable, NamedChannel]:
        """Return the channels by name, as they are now."""
        with self._registry.lock:
            return {
                name: NamedChannel(
                    channel, channel not in self._undeclared, self._registry.look_up(channel).subscriptions
                )
                for name, channel in self._channels.items()
            }

    def _set_of(self, channel: Channel[Any, Any]) -> ListenerSet:
        # The original's built-in channels accept any arguments.
        return ListenerSet(self._registry.look_up(channel), accepts_anything=channel in _BUILT_IN)

    def _admit(self, channel: AnyChannel, bound: AnyBoundChannel) -> None:
        """Bind the name of *channel* to it, when the bus binds the channel."""
        if not isinstance(bound, BoundChannel):
            raise ChannelError(
                channel.name, "is an async channel, and this bus publishes without awaiting: use a typedbus.Bus"
            )
        if channel in self._undeclared:
            return
        former = self._channels.get(channel.name)
        if former is not None:
            if former not in self._undeclared:
                raise ChannelError(
                    channel.name, "means another channel of this bus already; give one of the two another name"
                )
            move(self._registry.bound.pop(former).subscriptions, bound)
            self._undeclared.discard(former)
        self._channels[channel.name] = bound.channel
        listeners = self.listeners.get(channel.name)
        if listeners is None:
            self.listeners.put(channel.name, ListenerSet(bound, accepts_anything=False))
        else:
            listeners.bind_to(bound, accepts_anything=False)


_BUILT_IN: Final[tuple[Channel[..., Any], ...]] = (START, STOP, EXIT, GRACEFUL, LOG, MAIN)


def _anything(*args: Any, **kwargs: Any) -> Any:
    """Takes any arguments, as the channels of old code do."""
