"""Channels by name: the part of a bus of the old names that does not depend on its state."""

from __future__ import annotations

import sys
import traceback as tracebacks
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, overload

from typedbus._base.failures import ChannelFailures as TypedFailures
from typedbus._bus.bus import Bus as TypedBus
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import Channel
from typedbus.wspbus._listeners import Listeners, ListenerSet, Priorities, priority_of
from typedbus.wspbus._names import ChannelNames
from typedbus.wspbus._states import ChannelFailures

Args = ParamSpec("Args")
Result = TypeVar("Result")
AnyListener = TypeVar("AnyListener", bound=Callable[..., Any])


class Messenger:
    """Subscribes and publishes by name, and logs; see `Bus`."""

    typed: TypedBus
    names: ChannelNames

    @property
    def listeners(self) -> Listeners:
        """A live mapping from the names of channels to the sets of their listeners."""
        return self.names.listeners

    @listeners.setter
    def listeners(self, listeners: Mapping[Any, Iterable[Callable[..., Any]]]) -> None:
        for name in self.names.listeners:
            if name not in listeners:
                self.names.listeners.pop(name, None)
        self.names.listeners.update(listeners)

    @property
    def _priorities(self) -> Priorities:
        # Private in the original as well; test suites use it to empty a bus between two tests.
        return Priorities(self.names.listeners)

    @_priorities.setter
    def _priorities(self, priorities: Mapping[tuple[Hashable, Callable[..., Any]], float]) -> None:
        # The original ignores items without a subscription.
        for key, priority in dict(priorities).items():
            if key in self._priorities:
                self._priorities[key] = priority

    def __getitem__(self, channel: Channel[Args, Result]) -> BoundChannel[Args, Result]:
        """
        Return *channel* bound to the typed bus; its name stands for it from then on.

        Raises:
            ChannelError: *channel* is not a channel, or its name stands for another channel.
        """
        return self.typed[channel]

    @overload
    def subscribe(
        self, channel: Hashable, callback: None = ..., priority: float | None = ...
    ) -> Callable[[AnyListener], AnyListener]: ...

    @overload
    def subscribe(self, channel: Hashable, callback: Callable[..., Any], priority: float | None = ...) -> None: ...

    def subscribe(
        self, channel: Hashable, callback: Callable[..., Any] | None = None, priority: float | None = None
    ) -> Callable[[AnyListener], AnyListener] | None:
        """
        Call *callback* at each later publish on *channel*.

        A callback that is subscribed again keeps its place, and gets the new priority.
        Without a callback this is a decorator, which returns the function.

        Args:
            channel: A name, or a typed channel; with ``bus[channel].subscribe(callback)`` checkers see the callback.
            callback: Called with the published arguments.
            priority: Lower runs first, equal priorities in the order of subscription;
                by default the callback's attribute of that name, or 50.

        Raises:
            ListenerError: The callback is not callable, or *priority* is not a number.
        """
        if callback is None:

            def decorate(listener: AnyListener) -> AnyListener:
                self.subscribe(channel, listener, priority)
                return listener

            return decorate
        self.names.find_or_create(channel).put(
            callback,
            priority_of(callback) if priority is None else priority,
            by_name=not isinstance(channel, Channel),
        )
        return None

    def unsubscribe(self, channel: Hashable, callback: Callable[..., Any] | None) -> None:
        """End the subscription of *callback* to *channel*, if there is one."""
        listeners = self.names.find(channel)
        if listeners is not None and callback is not None:
            listeners.discard(callback)

    def publish(self, channel: Hashable, *args: Any, **kwargs: Any) -> list[Any]:
        """
        Call every listener of *channel*, in order of priority, and return their results.

        A listener that raises is logged, and the others are still called. An unused
        name has no listeners.

        Raises:
            ChannelFailures: After the last listener, if any raised an `Exception`.
            TypeError: *channel* is a typed channel, and the arguments do not fit its declaration.
            BaseException: `SystemExit`, `KeyboardInterrupt` and similar exceptions propagate at once; after a
                failure a status of success becomes 1.
        """
        listeners: ListenerSet | None = self.names.listeners.get(channel)
        if listeners is None:
            listeners = self.names.find(channel)
            if listeners is None:
                return []
        try:
            return listeners.publish(*args, **kwargs)
        except TypedFailures as failed:
            raise ChannelFailures.of(failed.exceptions) from failed

    def log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:  # noqa: FBT002  # as old code calls it
        """Publish *msg* and *level* on ``log``, with the handled exception; stderr reports a failing listener."""
        if traceback:
            msg += "\n" + "".join(tracebacks.format_exception(*sys.exc_info()))
        self.typed.log(msg, level)
