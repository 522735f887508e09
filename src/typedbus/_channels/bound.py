"""A channel on one bus: its listeners, and publishing."""

from __future__ import annotations

import enum
import threading
import types
import weakref
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, Self, overload

from typedbus._base.errors import ListenerError
from typedbus._base.failures import Blame, ChannelFailures, describe, leave, note_of, place_of, put_note
from typedbus._base.limits import StartNode
from typedbus._channels.channel import (
    DEFAULT_PRIORITY,
    AnyChannel,
    Args,
    Channel,
    Listener,
    Listens,
    Result,
    marked_inline,
)
from typedbus._channels.codegen import HEAT, UNROLLED, Shape, methods, shape_of, unrolled
from typedbus._channels.faces import Publishes, Subscribes


class Subscription:
    """
    The subscription of a listener to a bound channel.

    As a context manager it ends with the block. It may be cancelled from any thread
    and any number of times; this never ends a later subscription of the same listener.
    """

    __slots__ = ("_bound", "listener", "priority")

    # The channel may have any signature: the listener has been checked against it before.
    listener: Callable[..., Any]
    priority: int

    def __init__(self, bound: BoundChannel[Any, Any, Any], listener: Callable[..., object], priority: int) -> None:
        self._bound = bound
        self.listener = listener
        self.priority = priority

    @property
    def name(self) -> str:
        """The name of the listener in messages."""
        return describe(self.listener)

    @property
    def path(self) -> str:
        """The dotted path of the listener's component; outside a container the listener's name."""
        return self.name

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
    def place(self) -> str:
        """File and line of the listener, or "no file" if unknown."""
        return place_of(self.listener)

    @property
    def channel(self) -> AnyChannel:
        """The channel of the subscription."""
        channel: AnyChannel = self._bound.channel
        return channel

    def cancel(self) -> None:
        """End the subscription; a publish that is under way still calls the listener."""
        self._bound._end(self)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # not for users

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


class _Decorator(Generic[Args, Result]):
    """The decorator that `subscribe` returns when it is called without a listener."""

    __slots__ = ("_bound", "_priority")

    def __init__(self, bound: BoundChannel[Args, Result, Any], priority: int) -> None:
        self._bound = bound
        self._priority = priority

    def __call__(self, listener: Callable[Args, Result]) -> Callable[Args, Result]:
        self._bound.subscribe(listener, priority=self._priority)
        return listener


class FailureSink(Protocol):
    """Receives the failures of listeners in a publish."""

    def listener_failed(
        self, channel: AnyChannel, name: str, listener: Callable[..., object], error: Exception, /
    ) -> None:
        """Called in the thread of the publish, after *listener* has raised *error* and before the next is called."""


class _Missing(enum.Enum):
    """The default for the listener of `subscribe`; not None, because passing None is an error to report."""

    LISTENER = enum.auto()


_MISSING: Final = _Missing.LISTENER


class BoundChannel(
    Publishes[Listens[Args, Result]], Subscribes[Listens[Args, Result]], Generic[Args, Result, Listener]
):
    """
    A channel on a bus: its listeners, and publishing.

    Created by ``bus[channel]``, once for each channel, and lives as long as the
    bus. It holds strong references to its listeners. Every method may be called from
    any thread, from a signal handler and from inside a listener.
    """

    __slots__ = (
        "_blames",
        "_changes",
        "_failures",
        "_heat",
        "_listeners",
        "_lock",
        "_only",
        "_subscriptions",
        "_unrolled",
        "channel",
    )

    _shape: ClassVar[Shape | None] = None
    _sharing: ClassVar[list[str]] = []

    def __init__(
        self,
        channel: Channel[Args, Result],
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
        # The listeners in running order; None after a change. A publish reads
        # this tuple and needs no lock.
        self._listeners: tuple[Callable[Args, Result], ...] | None = ()
        self._unrolled: Callable[Args, list[Result]] | None = None
        self._only: Callable[Args, Result] | None = None
        self._heat = HEAT
        self._changes = 0

    def publish(self, /, *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
        """
        Call every listener and return their results in running order.

        Lower priorities run first, equal priorities in the order of subscription.
        The listeners that were subscribed when the publish began are called, in the
        calling thread, one after the other. If a listener raises, the others
        are still called. Arguments that the publisher leaves out take the defaults
        of the declaration.

        Raises:
            ChannelFailures: After the last listener, if any of them raised an
                `Exception`; it carries the results of the other listeners.
            RecursionError: At once, without calling the remaining listeners:
                they would exhaust the stack again. The `ChannelFailures` of the
                listeners that failed before is its cause.
            BaseException: `SystemExit`, `KeyboardInterrupt` and similar exceptions
                propagate in the same way; an earlier failure also turns an exit
                status of success into 1.
        """
        # For a channel whose signature only type checkers know; for any other
        # channel `bind` generates a class with the same loop.
        listeners = self._listeners
        if listeners is None:
            listeners = self._arrange()
        results: list[Result] = []
        errors: list[Exception] = []
        blamed: list[Blame] = []
        try:
            for listener in listeners:
                try:
                    results.append(listener(*args, **kwargs))
                except RecursionError as leaving:
                    # No call unless it is needed: hardly any stack is left.
                    if errors:
                        self._leave(leaving, errors, blamed, results)
                    raise
                except Exception as error:
                    self._blame(listener, error, errors, blamed)
                except BaseException as leaving:
                    self._leave(leaving, errors, blamed, results)
                    raise
            if errors:
                raise self._failed(errors, blamed, results)
        finally:
            # The traceback of each failure holds this frame.
            del errors
        return results

    def _blame(
        self, listener: Callable[Args, Result], error: Exception, errors: list[Exception], blamed: list[Blame]
    ) -> None:
        """Add *error* to *errors* and its listener to *blamed*, named after its component if it has one."""
        cache = self._blames
        blame = None if cache is None else cache.get(id(listener))
        if blame is None:
            subscription = self.subscription_of(listener)
            name = self._name_of(listener)
            blame = name, listener, note_of(name, self.channel.name)
            # id() is a safe key only while the subscription keeps the listener alive.
            if subscription is not None and subscription.listener is listener:
                if cache is None:
                    cache = self._blames = {}
                cache[id(listener)] = blame
        put_note(error, blame[2])
        errors.append(error)
        blamed.append(blame)
        if self._failures is not None:
            self._failures.listener_failed(self.channel, blame[0], listener, error)

    def _name_of(self, listener: Callable[Args, Result]) -> str:
        """Return the name of *listener* for messages: that of its component if it has one."""
        subscription = self.subscription_of(listener)
        return describe(listener) if subscription is None else subscription.name

    def _leave(
        self, leaving: BaseException, errors: list[Exception], blamed: list[Blame], results: list[Result]
    ) -> None:
        """Make the earlier failures, if any, the cause of *leaving*."""
        if errors:
            leave(leaving, self._failed(errors, blamed, results))

    def _failed(self, errors: list[Exception], blamed: list[Blame], results: list[Result]) -> ChannelFailures:
        failed = _new_group(ChannelFailures, "", errors)
        failed._data = self.channel.name, blamed, results  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as in __new__
        return failed

    def _arrange(self) -> tuple[Callable[Args, Result], ...]:
        """Sort the listeners into running order, and return them."""
        with self._lock:
            while (listeners := self._listeners) is None:
                changes = self._changes
                listeners = tuple(subscription.listener for subscription in self.subscriptions)
                only = listeners[0] if len(listeners) == 1 else None
                # The lock does not exclude a signal handler or a finaliser in
                # this thread, which may have subscribed a listener meanwhile.
                if changes == self._changes:
                    self._heat = HEAT
                    self._listeners = listeners
                    self._only = only
        return listeners

    def _warm_up(self) -> tuple[Callable[Args, Result], ...]:
        """Return the listeners and count this publish; after `HEAT` publishes an unrolled function is compiled."""
        heat = self._heat - 1
        self._heat = heat
        listeners = self._listeners
        if listeners is None:
            return self._arrange()
        if not heat:
            self._unroll()
        return listeners

    def _unroll(self) -> None:
        """Compile a function for exactly these listeners, which later publishes call."""
        with self._lock:
            changes, listeners = self._changes, self._listeners
            if self._shape is None or not listeners or len(listeners) > UNROLLED:
                return
            function = unrolled(self._shape, listeners)
            if changes == self._changes:
                self._unrolled = function

    @overload
    def subscribe(self, listener: Callable[Args, Result], /, *, priority: int = ...) -> Subscription: ...

    @overload
    def subscribe(self, /, *, priority: int = ...) -> Callable[[Callable[Args, Result]], Callable[Args, Result]]: ...

    def subscribe(
        self, listener: Callable[Args, Result] | _Missing = _MISSING, /, *, priority: int = DEFAULT_PRIORITY
    ) -> Subscription | Callable[[Callable[Args, Result]], Callable[Args, Result]]:
        """
        Call *listener* at each later publish, until the subscription ends.

        Without a listener it returns a decorator, which returns the function unchanged;
        for type checkers the function has the channel's signature from then on. A listener
        that is already subscribed keeps its subscription, which takes the new
        priority. Listeners are compared by equality, as bound methods require;
        unhashable listeners by identity.

        Args:
            listener: Called with the published arguments.
            priority: Lower runs first.

        Raises:
            ListenerError: The listener cannot be called, or *priority* is not an int.
        """
        if listener is _MISSING:
            return _Decorator(self, priority)
        if not callable(listener):
            raise ListenerError(self.channel.name, listener, "it is not callable; pass a function or a method")
        if not isinstance(priority, int):
            raise ListenerError(self.channel.name, listener, f"its priority {priority!r} is not an int")
        return self._add(Subscription(self, listener, priority))

    def unsubscribe(self, listener: Callable[Args, Result], /) -> None:
        """End the subscription of *listener*, if there is one."""
        try:
            self._lock.acquire()  # as in _add
            try:
                self._subscriptions.pop(listener, None)
            except TypeError:
                self._subscriptions.pop(id(listener), None)
            self._changes += 1
            self._listeners = self._unrolled = self._only = self._blames = None
        finally:
            self._lock.release()

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """The subscriptions, in running order."""
        with self._lock:
            return tuple(sorted(self._subscriptions.values(), key=attrgetter("priority")))

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
            self._listeners = self._unrolled = self._only = self._blames = None
        finally:
            self._lock.release()
        return current

    def _end(self, subscription: Subscription) -> None:
        with self._lock:
            if self.subscription_of(subscription.listener) is subscription:
                self.unsubscribe(subscription.listener)

    def subscription_of(self, listener: object) -> Subscription | None:
        """Return the subscription of *listener*, or None if it is not subscribed."""
        try:
            return self._subscriptions.get(listener)
        except TypeError:
            return self._subscriptions.get(id(listener))

    @classmethod
    def _share(cls, name: str) -> None:
        """Make Python's own TypeError for a wrong call name the channels that share this class."""
        if name not in cls._sharing and len(cls._sharing) <= _NAMED:
            cls._sharing.append(name)
            named = " or ".join(cls._sharing[:_NAMED]) + (" or another" if len(cls._sharing) > _NAMED else "")
            cls.publish.__qualname__ = f"{named}: publish"

    def __repr__(self) -> str:
        return f"<BoundChannel {self.channel.name!r} with {len(self._subscriptions)} listener(s)>"


if not TYPE_CHECKING:
    # At run time BoundChannel[[int], str] keeps the two arguments that were written; validation reads them.
    BoundChannel.__parameters__ = (Args, Result)

# For the bus, the container and the old API; methods would be offered to every user of a bound channel.


def add(subscription: Subscription) -> Subscription:
    """
    Subscribe the listener of *subscription*, and return the subscription in force.

    A listener that is subscribed already keeps its earlier subscription, which takes the new priority.
    """
    return subscription._bound._add(subscription)  # noqa: SLF001


def move(subscriptions: Iterable[Subscription], bound: BoundChannel[Any, Any]) -> None:
    """Subscribe each of *subscriptions* to *bound* instead of its own channel, which is no longer used."""
    for subscription in subscriptions:
        subscription._bound = bound  # noqa: SLF001
        bound._add(subscription)  # noqa: SLF001


def use_lock(bound: BoundChannel[Any, Any], lock: threading.RLock) -> None:
    """Guard *bound* by *lock* in a forked child, where a change of its listeners may have been interrupted."""
    bound._lock = lock  # noqa: SLF001
    # The next publish must see all of that change.
    bound._listeners = bound._unrolled = bound._only = bound._blames = None  # noqa: SLF001


# Bypasses ChannelFailures.__new__, which makes the group from `Failure` records: these are
# created only when they are asked for.
_new_group: Final = ExceptionGroup.__new__
_NAMED: Final = 4
_NO_NAMES: Final[dict[str, object]] = {}
# Weak, because a class refers to its module's namespace, defaults and annotations: only bound channels keep it alive.
_classes: Final[weakref.WeakValueDictionary[object, type[BoundChannel[Any, Any]]]] = weakref.WeakValueDictionary()


def bind(channel: Channel[Args, Result], lock: threading.RLock, failures: FailureSink) -> BoundChannel[Args, Result]:
    """
    Return a bound channel for *channel*, of a class whose `publish` has the channel's parameters.

    Bound channels of the same signature share a class, because a class takes more memory
    than many bound channels; it lives as long as any of them.
    """
    declared, parametrised = channel.declaration, getattr(channel, "__orig_class__", None)
    names = _NO_NAMES
    annotations: dict[str, object]
    defaults: tuple[object, ...] | None = None
    named_defaults: dict[str, object] | None = None
    if isinstance(declared, types.FunctionType) and not hasattr(declared, "__wrapped__"):
        from typedbus._base.hints import annotations_of  # not needed for `import typedbus`

        shape, names = shape_of(declared), declared.__globals__
        annotations = annotations_of(declared)
        result = annotations.get("return")
        annotations["return"] = f"list[{result}]" if isinstance(result, str) else types.GenericAlias(list, (result,))
        defaults, named_defaults = declared.__defaults__, declared.__kwdefaults__
    elif parametrised is not None and isinstance(parametrised.__args__[0], tuple):
        parameters = parametrised.__args__[0]
        shape = Shape(unnamed=tuple(f"arg{index}" for index in range(len(parameters))))
        annotations = dict(zip(shape.unnamed, parameters, strict=True))
        annotations["return"] = types.GenericAlias(list, (parametrised.__args__[-1],))
    else:
        return BoundChannel(channel, lock, failures)
    # Equal defaults may be different objects, such as 1 and True. Their ids are
    # safe keys, since the class keeps the defaults and the namespace alive.
    default_values = (*(defaults or ()), *(named_defaults or {}).values())
    key = (shape, id(names), repr(annotations), tuple(map(id, default_values)))
    made = _classes.get(key)
    if made is None:
        generated = methods(shape, names)
        publish = generated["publish"]
        publish.__defaults__, publish.__kwdefaults__ = defaults, named_defaults
        publish.__annotations__ = annotations
        publish.__doc__ = BoundChannel.publish.__doc__
        made = type("BoundChannel", (BoundChannel,), {"__slots__": (), "_shape": shape, "_sharing": [], **generated})
        _classes[key] = made
    made._share(channel.name)
    bound: BoundChannel[Args, Result] = made(channel, lock, failures)
    return bound
