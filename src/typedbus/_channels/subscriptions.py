"""
The listeners of a channel on a bus, without publishing.

`_channels.bound` publishes to them.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypeAlias

from typing_extensions import TypeVar

from typedbus._base.channel_errors import ListenerError
from typedbus._base.coroutines import is_async_callable
from typedbus._base.failures import (
    Blame,
    ChannelFailures,
    chain_failure,
    describe,
    note_of,
    note_refusal,
    place_of,
    put_note,
)
from typedbus._base.limits import StartNode
from typedbus._channels.channel import AnyChannel
from typedbus._channels.codegen import HEAT, UNROLLED, Shape
from typedbus._channels.marks import mark_on, marked_inline
from typedbus._channels.roles import FailureSink, Observer, Substitute

if TYPE_CHECKING:
    from typedbus._base.restart import Restart
    from typedbus._channels.entries import EntryVerbs
    from typedbus._channels.verbs import Unrolled
    from typedbus._channels.watching import Watch

    Verbs: TypeAlias = Unrolled | EntryVerbs
    Entries: TypeAlias = tuple[Callable[..., Any] | None, Verbs | None]
    Watches: TypeAlias = tuple[tuple[Watch, Callable[..., object]], ...]

Declaration_co = TypeVar("Declaration_co", bound=AnyChannel, default=AnyChannel, covariant=True)


#: Returns the next position of a subscription: subscriptions of one priority are in the order of their creation.
next_position: Final = itertools.count().__next__


class Subscription:
    """
    The subscription of a listener to a bound channel.

    As a context manager it ends with the block. It may be cancelled from any thread
    and any number of times; this never ends a later subscription of the same listener.
    """

    __slots__ = ("_bound", "listener", "position", "priority")

    # The channel may have any signature: the listener has been checked against it before.
    listener: Callable[..., Any]
    priority: int
    #: Its place among the subscriptions of the same priority, on every channel.
    position: int

    def __init__(self, bound: AnyBoundChannel, listener: Callable[..., object], priority: int) -> None:
        self._bound = bound
        self.listener = listener
        self.priority = priority
        self.position = next_position()

    @property
    def name(self) -> str:
        """The name of the listener in messages."""
        return describe(self.listener)

    @property
    def path(self) -> str:
        """The dotted path of the listener's component; outside a container the listener's name."""
        return self.name

    @property
    def owner(self) -> object:
        """The object that starts and stops with the listener: the object of a method; for a function the subscription itself."""
        return getattr(self.listener, "__self__", self)

    @property
    def node(self) -> StartNode | None:
        """The start node of the listener's component; outside a container None."""
        return None

    @property
    def limit(self) -> float | None:
        """How long the listener may take on the life cycle, in seconds; None unless its hook declares a limit."""
        return None

    @property
    def is_idle(self) -> bool:
        """Whether the listener does nothing, and only keeps the place of a component in the order."""
        return False

    @property
    def is_inline(self) -> bool:
        """Whether the listener is called in the thread of the transition, regardless of workers and limits."""
        return marked_inline(self.listener, self.channel)

    @property
    def restart(self) -> Restart | None:
        """The restart policy of the listener if it is a run; None if it is never called again."""
        return getattr(mark_on(self.listener, self.channel), "restart", None)

    @property
    def place(self) -> str:
        """File and line of the listener, or "no file" if unknown."""
        return place_of(self.listener)

    @property
    def channel(self) -> AnyChannel:
        """The channel of the subscription."""
        return self._bound.channel

    def cancel(self) -> None:
        """End the subscription; a publish that is under way still calls the listener."""
        self._bound._end(self)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # not for users

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<Subscription of {self.name} to {self.channel.name!r}, priority {self.priority}>"


class AnyBoundChannel(Generic[Declaration_co]):
    """
    A channel on a bus, without publishing: its listeners, their order, and their names in failures.

    Subclasses publish. Every method may be called from any thread, from a signal handler
    and from inside a listener.

    Attributes:
        channel: The declaration of the channel.
    """

    __slots__ = (
        "_blames",
        "_callable_for",
        "_changes",
        "_entries",
        "_failures",
        "_heat",
        "_listeners",
        "_lock",
        "_observer",
        "_only",
        "_subscriptions",
        "_unrolled",
        "_verbs",
        "_watched",
        "_watches",
        "channel",
    )

    _shape: ClassVar[Shape | None] = None
    # The texts of the verbs that differ from those in `verbs`.
    _verb_texts: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        channel: Declaration_co,
        lock: threading.RLock,
        failures: FailureSink | None = None,
    ) -> None:
        self.channel: Final = channel
        self._lock = lock
        self._failures = failures
        # A cache by id(listener), cleared when the listeners change, of the blame for
        # each listener that failed: a listener that always fails stays cheap.
        self._blames: dict[int, Blame] | None = None
        self._subscriptions: dict[object, Subscription] = {}
        # Returns the callable that a publish calls for a subscription: its listener, or a substitute.
        self._callable_for: Callable[[Subscription], Callable[..., Any]] = _listener_of
        # The listeners in running order; None after a change. A publish reads
        # this tuple and needs no lock.
        self._listeners: tuple[Callable[..., Any], ...] | None = ()
        self._unrolled: Callable[..., Any] | None = None
        self._only: Callable[..., Any] | None = None
        # The functions for the other verbs; None until one of them is called.
        self._verbs: Verbs | None = None
        self._heat = HEAT
        self._changes = 0
        # Each watch with the callable that receives the arguments, in the order of the watches.
        self._watches: Watches = ()
        # While there are watches, the two functions that call the watchers first.
        self._watched: Entries = _PLAIN
        self._observer: Observer | None = None
        # After a change of the listeners, `_unrolled` and `_verbs` are these two: the functions of the observer, else
        # those of the watches. So a publish on a channel without observer and watches has no check for them.
        self._entries: Entries = _PLAIN

    @property
    def has_listeners(self) -> bool:
        """Whether a publish would call a listener or a watcher; it takes no lock."""
        return bool(self._subscriptions or self._watches)

    @property
    def listener_count(self) -> int:
        """The number of subscriptions; it takes no lock."""
        return len(self._subscriptions)

    def __bool__(self) -> bool:
        """Whether a publish would call a listener or a watcher, as `has_listeners`."""
        return self.has_listeners

    def watch(self, watcher: Callable[..., object], /) -> Watch:
        """Call *watcher* with the arguments of each later publish, until the watch ends; see `BoundChannel.watch`."""
        from typedbus._channels.watching import watch  # a program without watchers does not need it

        return watch(self, watcher)

    def _refusal(self, listener: object, priority: object) -> ListenerError:
        """Return the error for a *listener* that is not callable, or a *priority* that is not an int."""
        if callable(listener):
            return ListenerError(self.channel.name, listener, f"its priority {priority!r} is not an int")
        return ListenerError(self.channel.name, listener, "it is not callable; pass a function or a method")

    def _unsubscribe(self, listener: object) -> None:
        """End the subscription of *listener*, if there is one."""
        try:
            self._lock.acquire()  # as in _add
            try:
                self._subscriptions.pop(listener, None)
            except TypeError:
                self._subscriptions.pop(id(listener), None)
            self._forget_arrangement()
        finally:
            self._lock.release()

    def _forget_arrangement(self) -> None:
        """Let the next publish arrange the listeners again; the caller holds the lock."""
        self._changes += 1
        self._listeners = self._only = self._blames = None
        self._unrolled, self._verbs = self._entries

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """The subscriptions, in running order."""
        with self._lock:
            return tuple(sorted(self._subscriptions.values(), key=_running_order))

    @property
    def watches(self) -> tuple[Watch, ...]:
        """The watches, in their order, with those of all channels of the bus."""
        return tuple(watch for watch, _ in self._watches)

    def _add(self, subscription: Subscription) -> Subscription:
        # A `with` would take a quarter of the time of a subscription. Inside the
        # `try`, an interrupt right after the lock was acquired releases it.
        try:
            self._lock.acquire()
            try:
                current = self._subscriptions.setdefault(subscription.listener, subscription)
            except TypeError:
                # The listener is unhashable. Its id is an int, which no listener equals.
                current = self._subscriptions.setdefault(id(subscription.listener), subscription)
            current.priority = subscription.priority
            self._changes += 1
            self._listeners = self._only = self._blames = None
            self._unrolled, self._verbs = self._entries
        finally:
            self._lock.release()
        return current

    def _end(self, subscription: Subscription) -> None:
        with self._lock:
            if self.subscription_of(subscription.listener) is subscription:
                self._unsubscribe(subscription.listener)

    def subscription_of(self, listener: object) -> Subscription | None:
        """Return the subscription of *listener*, or None if it is not subscribed."""
        try:
            return self._subscriptions.get(listener)
        except TypeError:
            return self._subscriptions.get(id(listener))

    def _blame(
        self, listener: Callable[..., Any], error: Exception, errors: list[Exception], blames: list[Blame]
    ) -> None:
        """Add *error* to *errors* and its listener to *blames*, named after its component if it has one."""
        cache = self._blames
        blame = None if cache is None else cache.get(id(listener))
        if blame is None:
            if isinstance(listener, Substitute):
                listener = listener.subscription.listener
            subscription = self.subscription_of(listener)
            name = self.name_of(listener)
            blame = name, listener, note_of(name, self.channel.name)
            # id() is a safe key only while the subscription keeps the listener alive.
            if subscription is not None and subscription.listener is listener:
                if cache is None:
                    cache = self._blames = {}
                cache[id(listener)] = blame
        put_note(error, blame[2])
        if type(error) is TypeError:
            note_refusal(error, blame[1], blame[0], self.channel.name)
        errors.append(error)
        blames.append(blame)
        if self._failures is not None:
            self._failures.listener_failed(self.channel, blame[0], listener, error)

    def _change_watches(
        self, change: Callable[[Watches], Watches], watched: tuple[Callable[..., Any], EntryVerbs]
    ) -> None:
        """Replace the watches by the result of *change*; while there are any, publishes call the functions *watched*."""
        with self._lock:
            # First, so that a fork at any point leaves no watch without them; they also serve a channel without watches.
            self._set_entries(watched, self._observer)
            while True:
                watches = self._watches
                changed = change(watches)
                # As in `_arrange`, a signal handler or a finaliser may have changed them meanwhile.
                if watches is self._watches:
                    self._watches = changed
                    break
            if not self._watches:
                self._set_entries(_PLAIN, self._observer)
            self._forget_arrangement()

    def _set_entries(self, watched: Entries, observer: Observer | None) -> None:
        """Set the functions of watches and those of the observer; the caller holds the lock."""
        self._watched, self._observer = watched, observer
        self._entries = watched if observer is None else observer.entries

    def _call_watchers(self, watches: Watches, call: Callable[[Callable[..., object]], object]) -> None:
        """Pass each watcher of *watches* to *call*, which calls it with the published arguments; report its failure."""
        for watch, watcher in watches:
            try:
                call(watcher)
            except RecursionError:
                raise
            except Exception as error:
                self._watcher_failed(watch, error)
            except BaseException as error:
                failure = self._own_cancellation(error)
                if failure is None:
                    raise
                self._watcher_failed(watch, failure)

    def _watcher_failed(self, watch: Watch, error: Exception) -> None:
        if self._failures is not None:
            self._failures.watcher_failed(self.channel, watch.watcher, error)

    def name_of(self, listener: Callable[..., Any]) -> str:
        """Return the name of *listener* for messages: that of its component if it has one."""
        if isinstance(listener, Substitute):
            return listener.subscription.name
        subscription = self.subscription_of(listener)
        return describe(listener) if subscription is None else subscription.name

    @staticmethod
    def _own_cancellation(error: BaseException, /) -> Exception | None:
        """Return the failure for *error* if it is a cancellation that only its listener caused; else None."""
        return None

    def _chain_failures(
        self, leaving: BaseException, errors: list[Exception], blames: list[Blame], results: list[Any]
    ) -> None:
        """Make the earlier failures, if any, the cause of *leaving*."""
        if errors:
            chain_failure(leaving, self._failed(errors, blames, results))

    def _failed(self, errors: list[Exception], blames: list[Blame], results: list[Any]) -> ChannelFailures[Any]:
        failed = _new_group(ChannelFailures, "", errors)
        failed._data = self.channel.name, blames, results  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as in __new__
        return failed

    def _arrange(self) -> tuple[Callable[..., Any], ...]:
        """Sort the listeners into running order, and return them."""
        with self._lock:
            while (listeners := self._listeners) is None:
                changes = self._changes
                subscriptions = self.subscriptions
                listeners = tuple(map(self._callable_for, subscriptions))
                if self._observer is not None:
                    listeners = self._observer.arranged(subscriptions, listeners)
                only = listeners[0] if len(listeners) == 1 else None
                # The lock does not exclude a signal handler or a finaliser in
                # this thread, which may have subscribed a listener meanwhile.
                if changes == self._changes:
                    self._heat = HEAT
                    self._listeners = listeners
                    self._only = only
        return listeners

    def _warm_up(self) -> tuple[Callable[..., Any], ...]:
        """Return the listeners and count this publish; after `HEAT` publishes an unrolled function is compiled."""
        heat = self._heat - 1
        self._heat = heat
        listeners = self._listeners
        if listeners is None:
            return self._arrange()
        if not heat:
            self._unroll()
        return listeners

    @staticmethod
    def _compile(shape: Shape, listeners: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
        """Return a function that publishes to exactly *listeners*."""
        raise NotImplementedError

    def _unroll(self) -> None:
        """Compile a function for exactly these listeners, which later publishes call."""
        with self._lock:
            changes, listeners = self._changes, self._listeners
            if self._shape is None or not listeners or len(listeners) > UNROLLED or self._watches:
                return
            compiling = self._compile if self._observer is None else self._observer.compile
            function = compiling(self._shape, listeners)
            if changes == self._changes:
                self._unrolled = function

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.channel.name!r} with {len(self._subscriptions)} listener(s)>"


# For the bus, the container and the old API; methods would be offered to every user of a bound channel.


def add(subscription: Subscription) -> Subscription:
    """
    Subscribe the listener of *subscription*, and return the subscription in force.

    A listener that is subscribed already keeps its earlier subscription, which takes the new priority.
    """
    return subscription._bound._add(subscription)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def move(subscriptions: Iterable[Subscription], bound: AnyBoundChannel) -> None:
    """Subscribe each of *subscriptions* to *bound* instead of its own channel, which is no longer used."""
    for subscription in subscriptions:
        subscription._bound = bound  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        add(subscription)


def use_lock(bound: AnyBoundChannel, lock: threading.RLock) -> None:
    """Guard *bound* by *lock* in a forked child, where a change of its listeners may have been interrupted."""
    bound._lock = lock  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    # The next publish must see all of that change.
    bound._forget_arrangement()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def has_async_listeners(bound: AnyBoundChannel) -> bool:
    """Whether an async function listens on *bound*."""
    return any(is_async_callable(subscription.listener) for subscription in bound.subscriptions)


def replace_calls(bound: AnyBoundChannel, callable_for: Callable[[Subscription], Callable[..., Any]] | None) -> None:
    """Make publishes on *bound* call the result of *callable_for* for each subscription; with None, its listener."""
    with bound._lock:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        bound._callable_for = callable_for or _listener_of  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        bound._forget_arrangement()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


# Bypasses ChannelFailures.__new__, which makes the group from `Failure` records: these are
# created only when they are asked for.
_new_group: Final = ExceptionGroup.__new__

_PLAIN: Final = (None, None)
_listener_of: Final = attrgetter("listener")
_running_order: Final = attrgetter("priority", "position")
