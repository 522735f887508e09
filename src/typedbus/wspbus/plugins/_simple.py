"""A plugin whose methods listen to the channels of the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typedbus.wspbus._bus import Bus


class SimplePlugin:
    """
    Subscribes its methods to the channels of the same names.

    `subscribe` covers the channels that exist when it is called. A plugin with its
    own channel creates that channel first, by
    ``bus.listeners.setdefault(name, set())``.

    Attributes:
        bus: The bus of these channels; None in the class.
    """

    # A subclass may read it before, or without, calling this class's __init__.
    bus: Bus | Any = None

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def subscribe(self) -> None:
        """
        Subscribe each method that has the name of a channel.

        Raises:
            ListenerError: An attribute of such a name is not callable.
        """
        for channel in self.bus.listeners:
            method = getattr(self, channel, None) if isinstance(channel, str) else None
            if method is not None:
                self.bus.subscribe(channel, method)

    def unsubscribe(self) -> None:
        """End these subscriptions."""
        for channel in self.bus.listeners:
            method = getattr(self, channel, None) if isinstance(channel, str) else None
            if method is not None:
                self.bus.unsubscribe(channel, method)
