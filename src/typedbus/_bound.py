"""A channel on one bus: who listens, and the publishing."""

from __future__ import annotations

import threading
import types
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, Generic, ParamSpec, Self, overload

from typing_extensions import TypeVar

from typedbus._channel import DEFAULT_PRIORITY, AnyChannel, Channel
from typedbus._failures import ChannelFailures, Failure, ListenerError, describe, leave

Args = ParamSpec("Args")
Result = TypeVar("Result", default=None)


class Subscription:
    """
    One listener on one bound channel.

    As a context manager it ends with the block. It may be ended from any thread
    and any number of times; it never ends a later subscription of the same listener.
    """

    __slots__ = ("_bound", "listener", "priority")

    # Of any channel: a listener is checked against it before, not here.
    listener: Callable[..., Any]

    def __init__(self, bound: BoundChannel[Any, Any], listener: Callable[..., object], priority: int) -> None:
        self._bound = bound
        self.listener = listener
        self.priority = priority

    @property
    def name(self) -> str:
        """The listener as people know it, for messages."""
        return describe(self.listener)

    @property
    def path(self) -> str:
        """The component that listens, as a dotted path; outside a container the listener's name."""
        return self.name

    @property
    def channel(self) -> AnyChannel:
        """The channel that is listened to."""
        channel: AnyChannel = self._bound.channel
        return channel

    def cancel(self) -> None:
        """End the subscription; a publish that is under way still calls the listener."""
        self._bound._end(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
        /,
    ) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<Subscription of {self.name} to {self.channel.name!r}, priority {self.priority}>"


class BoundChannel(Generic[Args, Result]):
    """
    A channel on one bus: who listens, and the publishing.

    Made by ``bus[channel]``, once for each channel, and living as long as the
    bus. It holds its listeners strongly. Every method is safe from any thread,
    from a signal handler and from inside a listener.
    """

    __slots__ = ("_changes", "_lock", "_order", "_subscriptions", "channel")

    def __init__(self, channel: Channel[Args, Result], lock: threading.RLock) -> None:
        self.channel: Final = channel
        self._lock = lock
        self._subscriptions: dict[object, Subscription] = {}
        # The listeners in running order; None when they have changed since. A
        # publish takes it as it stands and needs no lock.
        self._order: tuple[Subscription, ...] | None = ()
        self._changes = 0

    def publish(self, /, *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
        """
        Call every listener and return their results in running order.

        Lower priority runs first, equal priorities in the order in which they
        were subscribed. The listeners are those that were subscribed when the
        publish began. They run in the calling thread, one after the other, and
        one that raises keeps none of the others from running.

        Raises:
            ChannelFailures: After the last listener, if any of them raised an
                `Exception`; it carries the results of those that worked.
            BaseException: `SystemExit`, `KeyboardInterrupt` and their like leave
                at once; what had failed before is their cause, and turns an
                exit status of success to 1.
        """
        results: list[Result] = []
        failures: list[Failure] = []
        order = self._order
        if order is None:
            order = self.subscriptions
        try:
            for subscription in order:
                listener: Callable[Args, Result] = subscription.listener
                try:
                    results.append(listener(*args, **kwargs))
                except Exception as error:
                    failures.append(Failure(subscription.name, self.channel.name, error, listener))
                except BaseException as leaving:
                    if failures:
                        leave(leaving, ChannelFailures(self.channel.name, failures, results))
                    raise
            if failures:
                raise ChannelFailures(self.channel.name, failures, results)
        finally:
            # Each failure's traceback holds this frame: without this they would
            # keep each other alive until the garbage collector comes.
            del failures
        return results

    @overload
    def subscribe(self, listener: Callable[Args, Result], /, *, priority: int = ...) -> Subscription: ...

    @overload
    def subscribe(self, /, *, priority: int = ...) -> Callable[[Callable[Args, Result]], Callable[Args, Result]]: ...

    def subscribe(
        self, /, *listeners: Callable[Args, Result], priority: int = DEFAULT_PRIORITY
    ) -> Subscription | Callable[[Callable[Args, Result]], Callable[Args, Result]]:
        """
        Call *listener* at each later publish, until the subscription ends.

        Without a listener it is a decorator, and gives the function back. A
        listener that is subscribed already keeps its one subscription, which
        takes the new priority. Listeners are told apart by equality, as bound
        methods need; those that cannot be hashed, by identity.

        Args:
            listeners: The listener, called with what is published; or nothing.
            priority: Lower runs first.

        Raises:
            ListenerError: The listener cannot be called, or *priority* is no int.
        """
        if not listeners:

            def decorate(listener: Callable[Args, Result]) -> Callable[Args, Result]:
                self.subscribe(listener, priority=priority)
                return listener

            return decorate
        listener, *others = listeners
        if others:
            raise ListenerError(self.channel.name, listeners, "one call subscribes one listener")
        if not callable(listener):
            raise ListenerError(self.channel.name, listener, "it cannot be called; give a function or a method")
        if not isinstance(priority, int):
            raise ListenerError(self.channel.name, listener, f"its priority {priority!r} is no int")
        return self._add(Subscription(self, listener, priority))

    def unsubscribe(self, listener: Callable[Args, Result], /) -> None:
        """End the subscription of *listener*, if there is one."""
        with self._lock:
            self._subscriptions.pop(_key(listener), None)
            self._invalidate()

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Who listens, in running order."""
        with self._lock:
            while (order := self._order) is None:
                seen = self._changes
                order = tuple(sorted(self._subscriptions.values(), key=attrgetter("priority")))
                # The lock does not keep out a signal handler or a finaliser of
                # this very thread, which may have subscribed while we sorted.
                if seen == self._changes:
                    self._order = order
        return order

    def _add(self, subscription: Subscription) -> Subscription:
        with self._lock:
            known = self._subscriptions.setdefault(_key(subscription.listener), subscription)
            known.priority = subscription.priority
            self._invalidate()
        return known

    def _end(self, subscription: Subscription) -> None:
        key = _key(subscription.listener)
        with self._lock:
            if self._subscriptions.get(key) is subscription:
                del self._subscriptions[key]
                self._invalidate()

    def _invalidate(self) -> None:
        self._changes += 1
        self._order = None

    def __repr__(self) -> str:
        return f"<BoundChannel {self.channel.name!r} with {len(self._subscriptions)} listener(s)>"


def _key(listener: object) -> object:
    """Return what tells *listener* apart: itself, or its identity where it cannot be hashed."""
    try:
        hash(listener)
    except TypeError:
        return id(listener)
    return listener
