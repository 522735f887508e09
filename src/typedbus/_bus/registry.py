"""The channels of a bus and their listeners."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from typedbus._base.channel_errors import ChannelError, ChannelNameError
from typedbus._base.clock import Clock
from typedbus._base.failures import place_of
from typedbus._base.states import State
from typedbus._bus.builtin import EVENT_CHANNELS, INFO, LIFECYCLE_CHANNELS, LOG
from typedbus._bus.observers import ObserverChannel, Observers
from typedbus._channels.binding import bind
from typedbus._channels.channel import AnyChannel, AnyListener, Binds, Channel, Takes
from typedbus._channels.roles import CoroutineRunner, FailureSink
from typedbus._channels.subscriptions import (
    AnyBoundChannel,
    has_async_listeners,
    replace_calls,
    use_lock,
)

if TYPE_CHECKING:
    from typedbus._bus.observations import Observations
    from typedbus._bus.slow_listeners import SlowListeners
    from typedbus._channels.async_channel import AsyncChannel
    from typedbus._channels.observing.texts import Channels
    from typedbus._channels.observing.tracing import Tracer, Tracing
    from typedbus._channels.watching import Published, Watch

AnyBound = TypeVar("AnyBound", bound=AnyBoundChannel)


class Registry:
    """
    The channels of one bus, each with its listeners.

    Every method may be called from any thread.

    Attributes:
        lock: Guards the listeners of all channels, and the state of the bus. It is reentrant, since a signal handler
            or a finaliser may run while its thread holds it. `renew_lock` replaces it, so it is read at each use.
        bound: Each channel with its bound channel; the bus reads it at each ``bus[channel]``.
        observers: The channels of events.
        watches: The watches of all channels, in their order.
        observations: The observations and tracings; None until the first.
        clock: The source of time of the bus.
        failures: Receives each failure of a listener in a publish.
        run_on_loop: Runs the publishes of async channels for which threads wait.
        admit: Called under the lock with each channel that is about to be bound for the first time, and with its
            bound channel. If it raises, the channel is not bound.
    """

    def __init__(self) -> None:
        self.lock: threading.RLock = threading.RLock()
        log = ObserverChannel(LOG, self.lock)
        self.observers: Observers = Observers(self.lock, log)
        self.failures: FailureSink = self.observers
        self.run_on_loop: CoroutineRunner
        #: Times listeners in the debug mode of the bus's event loop.
        self._slow_listeners: SlowListeners | None = None
        self.admit: Callable[[AnyChannel, AnyBoundChannel], None] | None = None
        # Each channel is mapped to its own BoundChannel, which no dict type can express.
        self.bound: dict[object, Any] = {LOG: log}
        for bound in self.observers.channels:
            self.bound[bound.channel] = bound
        self.watches: dict[Watch, None] = {}
        self.observations: Observations | None = None
        self.clock: Clock
        #: The number of changes of `watches`.
        self._watch_changes = 0

    def look_up(self, channel: Binds[AnyBound]) -> AnyBound:
        """
        Return *channel* on this bus, which binds it at the first use.

        Raises:
            ChannelError: *channel* is not a channel but, for instance, the name of one.
        """
        bound: AnyBound | None = self.bound.get(channel)
        if bound is not None:
            return bound
        if not isinstance(channel, AnyChannel):
            raise no_channel(channel, "a bus is indexed with the channel object, as in bus[START]")
        with self.lock:
            new: Any = bind(channel, self.lock, self.failures, self.run_on_loop)
            # Another thread, or a signal handler in this thread, may have bound the channel meanwhile.
            if channel not in self.bound:
                if self.admit is not None:
                    self.admit(channel, new)
                if self._slow_listeners is not None:
                    replace_calls(new, self._slow_listeners)
                changes = 0
                while changes != self._watch_changes:  # a signal handler may change the watches, too
                    changes = self._watch_changes
                    self._watch(new)
                if self.observations is not None:
                    self.observations.admit(new)
                self.bound[channel] = new
        first: AnyBound = self.bound[channel]
        return first

    def watch(self, watcher: Callable[[Published], object]) -> Watch:
        """Call *watcher* with each later publish on a channel that can be watched; see `Bus.watch`."""
        from typedbus._channels.watching import Watch, check_watcher  # a program without watchers does not need it

        check_watcher(watcher, "")
        watch = Watch(watcher, None, self._end_watch)
        with self.lock:
            self._watch_changes += 1
            self.watches[watch] = None
            for bound in list(self.bound.values()):
                self._watch(bound)
        return watch

    def _end_watch(self, watch: Watch) -> None:
        with self.lock:
            self._watch_changes += 1
            self.watches.pop(watch, None)
            for bound in list(self.bound.values()):
                self._watch(bound)

    def _watch(self, bound: AnyBoundChannel) -> None:
        """Make publishes on *bound* call exactly the current watchers of all channels, beside its own watchers."""
        from typedbus._channels.watching import synchronise

        synchronise(bound, self.watches)

    def trace(self, tracer: Tracer, channels: Channels = None) -> Tracing:
        """
        Let *tracer* decide which publishes on *channels* are traced, until the tracing is closed.

        Raises:
            ObserveError: A channel is traced already, or is one of the bus's own.
        """
        from typedbus._bus.observations import observations_of  # only for telemetry

        return observations_of(self).trace(tracer, channels)

    def channel(self, name: str) -> Channel[..., Any] | AsyncChannel[..., Any]:
        """
        Return the channel *name*.

        Raises:
            ChannelNameError: There is no such channel, or there are several.
        """
        if not isinstance(name, str):
            raise ChannelError(name, "is not the name of a channel: pass a string, as in bus.channel('order_placed')")
        channels: dict[Any, None] = dict.fromkeys((*self.channels, *LIFECYCLE_CHANNELS))
        named = [channel for channel in channels if channel.name == name]
        if len(named) == 1:
            channel: Channel[..., Any] | AsyncChannel[..., Any] = named[0]
            return channel
        import difflib  # only needed for the error

        by_lower_case = {channel.name.lower(): channel.name for channel in channels}
        similar = difflib.get_close_matches(name.lower(), by_lower_case)
        raise ChannelNameError(
            name,
            similar=() if named else tuple(by_lower_case[each] for each in similar),
            places=tuple(
                "unknown place" if channel.declaration is None else place_of(channel.declaration) for channel in named
            ),
        )

    @property
    def channels(self) -> tuple[AnyChannel, ...]:
        """The channels that the bus had from the beginning, then those that were looked up."""
        return tuple(bound.channel for bound in list(self.bound.values()))

    @property
    def has_async_listeners(self) -> bool:
        """Whether an async function listens on a channel, as a hook or on an `AsyncChannel`."""
        channels: list[AnyBoundChannel] = list(self.bound.values())
        return any(map(has_async_listeners, channels))

    def report_slow_listeners(self, *, is_wanted: bool) -> None:
        """Log each plain listener that blocks the event loop, from the next publish on; or call all listeners directly again."""
        with self.lock:
            if is_wanted is (self._slow_listeners is not None):
                return
            self._slow_listeners = None
            if is_wanted:
                from typedbus._bus.slow_listeners import SlowListeners  # only for the debug mode

                self._slow_listeners = SlowListeners(self.bound[LOG].publish)
            for bound in list(self.bound.values()):
                if not isinstance(bound, ObserverChannel):
                    replace_calls(bound, self._slow_listeners)

    def renew_lock(self) -> None:
        """Replace the lock in a forked child, where a thread that exists only in the parent may hold the old one."""
        self.lock = threading.RLock()
        for bound in list(self.bound.values()):
            use_lock(bound, self.lock)

    def log(self, message: str, level: int = INFO) -> None:
        """Publish *message* on `LOG`."""
        self.bound[LOG].publish(message, level)


def bindable(channel: Takes[AnyListener]) -> Binds[Any]:
    """
    Return *channel* as a key of ``bus[...]``: the type `Takes` describes only its listeners.

    Raises:
        ChannelError: *channel* is not a channel.
    """
    if not isinstance(channel, Binds):
        raise no_channel(channel, "give the channel object, as in bus.subscribe(START, listener)")
    bindable: Binds[Any] = channel
    return bindable


def no_channel(given: object, expected: str) -> ChannelError:
    """Return the error for *given*, which is used as a channel, with what to write instead."""
    if isinstance(given, State):
        return ChannelError(
            given,
            f"is a state, not a channel: wait for it with bus.wait({given}), or subscribe to changes of the state "
            "with bus[MOVED].subscribe(listener)",
        )
    channel = EVENT_CHANNELS.get(given) if isinstance(given, type) else None
    if channel is not None:
        name = channel.name.upper()
        return ChannelError(
            given, f"is a class of events, not a channel: they are published on {name}, as in bus[{name}]"
        )
    return ChannelError(given, f"is not a channel: {expected}")
