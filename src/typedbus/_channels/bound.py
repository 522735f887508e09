"""A channel on one bus: its listeners, and publishing."""

from __future__ import annotations

import enum
import threading
import types
import weakref
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, overload

from typedbus._base.errors import ListenerError
from typedbus._base.events import ListenerFailed
from typedbus._base.failures import Blame, ChannelFailures, describe, leave, note_of, place_of, put_note
from typedbus._base.limits import Turn
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
    One listener on one bound channel.

    As a context manager it ends with the block. It may be ended from any thread
    and any number of times; it never ends a later subscription of the same listener.
    """

    __slots__ = ("_bound", "listener", "priority")

    # Of any channel: a listener is checked against it before, not here.
    listener: Callable[..., Any]
    priority: int

    def __init__(self, bound: BoundChannel[Any, Any, Any], listener: Callable[..., object], priority: int) -> None:
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
    def turn(self) -> Turn | None:
        """The turn of the component that listens; outside a container None."""
        return None

    @property
    def limit(self) -> float | None:
        """How long the listener may take when it is called on the life cycle, in seconds; None unless its hook says."""
        return None

    @property
    def is_idle(self) -> bool:
        """Whether the listener does nothing, and only keeps a component's place."""
        return False

    @property
    def is_inline(self) -> bool:
        """Whether the listener is called in the thread of the transition, whatever workers and limits there are."""
        return marked_inline(self.listener, self.channel)

    @property
    def place(self) -> str:
        """File and line of the listener, as far as it is known."""
        return place_of(self.listener)

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


class _Decorator(Generic[Args, Result]):
    """What `subscribe` gives when it is given no listener."""

    __slots__ = ("_bound", "_priority")

    def __init__(self, bound: BoundChannel[Args, Result, Any], priority: int) -> None:
        self._bound = bound
        self._priority = priority

    def __call__(self, listener: Callable[Args, Result]) -> Callable[Args, Result]:
        self._bound.subscribe(listener, priority=self._priority)
        return listener


class _Missing(enum.Enum):
    """Stands for the listener that `subscribe` was not given; None would be a mistake to tell."""

    LISTENER = enum.auto()


_MISSING: Final = _Missing.LISTENER


class BoundChannel(
    Publishes[Listens[Args, Result]], Subscribes[Listens[Args, Result]], Generic[Args, Result, Listener]
):
    """
    A channel on one bus: who listens, and the publishing.

    Made by ``bus[channel]``, once for each channel, and living as long as the
    bus. It holds its listeners strongly. Every method is safe from any thread,
    from a signal handler and from inside a listener.
    """

    __slots__ = (
        "_blames",
        "_changes",
        "_heat",
        "_listeners",
        "_lock",
        "_only",
        "_subscriptions",
        "_unrolled",
        "_witnesses",
        "channel",
    )

    _shape: ClassVar[Shape | None] = None
    _sharing: ClassVar[list[str]] = []

    def __init__(
        self,
        channel: Channel[Args, Result],
        lock: threading.RLock,
        witnesses: tuple[BoundChannel[..., None], ...] = (),
    ) -> None:
        self.channel: Final = channel
        self._lock = lock
        # Where each listener that fails is told.
        self._witnesses = witnesses
        # What is said of those that failed since the listeners changed, by
        # their identities: one that always fails is to be quick as well.
        self._blames: dict[int, Blame] | None = None
        self._subscriptions: dict[object, Subscription] = {}
        # The listeners in running order; None when they have changed since. A
        # publish takes them as they stand and needs no lock.
        self._listeners: tuple[Callable[Args, Result], ...] | None = ()
        self._unrolled: Callable[Args, list[Result]] | None = None
        self._only: Callable[Args, Result] | None = None
        self._heat = HEAT
        self._changes = 0

    def publish(self, /, *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
        """
        Call every listener and return their results in running order.

        Lower priority runs first, equal priorities in the order in which they
        were subscribed. The listeners are those that were subscribed when the
        publish began. They run in the calling thread, one after the other, and
        one that raises keeps none of the others from running. What the
        publisher leaves out is filled in with the defaults of the declaration.

        Raises:
            ChannelFailures: After the last listener, if any of them raised an
                `Exception`; it carries the results of those that worked.
            RecursionError: At once, without calling the listeners after it:
                they would exhaust the stack again. The `ChannelFailures` of the
                listeners that failed before is its cause.
            BaseException: `SystemExit`, `KeyboardInterrupt` and the like leave
                in the same way; an earlier failure also turns an exit status
                of success into 1.
        """
        # For a channel whose signature is known to checkers alone; any other
        # has a class of its own, made by `bind`, with the same loop.
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
        """Add *error* to *errors*, and to *blamed* its listener, by the name of the component if it has one."""
        known = self._blames
        blame = None if known is None else known.get(id(listener))
        if blame is None:
            subscription = self._subscription_of(listener)
            name = self._name_of(listener)
            blame = name, listener, note_of(name, self.channel.name)
            # An identity stays somebody's as long as somebody holds it, as a subscription does.
            if subscription is not None and subscription.listener is listener:
                if known is None:
                    known = self._blames = {}
                known[id(listener)] = blame
        put_note(error, blame[2])
        errors.append(error)
        blamed.append(blame)
        for witness in self._witnesses:
            if witness._subscriptions:
                witness.publish(ListenerFailed(blame[0], self.channel.name, error))

    def _name_of(self, listener: Callable[Args, Result]) -> str:
        """Return the name of *listener* for messages: that of its component if it has one."""
        subscription = self._subscription_of(listener)
        return describe(listener) if subscription is None else subscription.name

    def _leave(
        self, leaving: BaseException, errors: list[Exception], blamed: list[Blame], results: list[Result]
    ) -> None:
        """Let *leaving* carry what had failed before it."""
        if errors:
            leave(leaving, self._failed(errors, blamed, results))

    def _failed(self, errors: list[Exception], blamed: list[Blame], results: list[Result]) -> ChannelFailures:
        failed = _new_group(ChannelFailures, "", errors)
        failed._known = self.channel.name, blamed, results
        return failed

    def _arrange(self) -> tuple[Callable[Args, Result], ...]:
        """Bring the listeners in running order."""
        with self._lock:
            while (listeners := self._listeners) is None:
                seen = self._changes
                listeners = tuple(subscription.listener for subscription in self.subscriptions)
                only = listeners[0] if len(listeners) == 1 else None
                # The lock does not keep out a signal handler or a finaliser of
                # this very thread, which may have subscribed meanwhile.
                if seen == self._changes:
                    self._heat = HEAT
                    self._listeners = listeners
                    self._only = only
        return listeners

    def _warm_up(self) -> tuple[Callable[Args, Result], ...]:
        """Return the listeners, and count: the publishes to come go through a function of their own some day."""
        heat = self._heat - 1
        self._heat = heat
        listeners = self._listeners
        if listeners is None:
            return self._arrange()
        if not heat:
            self._unroll()
        return listeners

    def _unroll(self) -> None:
        """Let the publishes to come go through a function that was made for these very listeners."""
        with self._lock:
            seen, listeners = self._changes, self._listeners
            if self._shape is None or not listeners or len(listeners) > UNROLLED:
                return
            made = unrolled(self._shape, listeners)
            if seen == self._changes:
                self._unrolled = made

    @overload
    def subscribe(self, listener: Callable[Args, Result], /, *, priority: int = ...) -> Subscription: ...

    @overload
    def subscribe(self, /, *, priority: int = ...) -> Callable[[Callable[Args, Result]], Callable[Args, Result]]: ...

    def subscribe(
        self, listener: Callable[Args, Result] | _Missing = _MISSING, /, *, priority: int = DEFAULT_PRIORITY
    ) -> Subscription | Callable[[Callable[Args, Result]], Callable[Args, Result]]:
        """
        Call *listener* at each later publish, until the subscription ends.

        Without a listener it is a decorator, and gives the function back, which
        to checkers has the channel's signature from then on. A listener that is
        subscribed already keeps its one subscription, which takes the new
        priority. Listeners are told apart by equality, as bound methods need;
        those that cannot be hashed, by identity.

        Args:
            listener: Called with what is published.
            priority: Lower runs first.

        Raises:
            ListenerError: The listener cannot be called, or *priority* is no int.
        """
        if listener is _MISSING:
            return _Decorator(self, priority)
        if not callable(listener):
            raise ListenerError(self.channel.name, listener, "it cannot be called; give a function or a method")
        if not isinstance(priority, int):
            raise ListenerError(self.channel.name, listener, f"its priority {priority!r} is no int")
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
        """Who listens, in running order."""
        with self._lock:
            return tuple(sorted(self._subscriptions.values(), key=attrgetter("priority")))

    def _add(self, subscription: Subscription) -> Subscription:
        # A `with` takes a fourth of the time that a subscription takes. In here,
        # an interrupt right after the lock was taken releases it.
        try:
            self._lock.acquire()
            try:
                known = self._subscriptions.setdefault(subscription.listener, subscription)
            except TypeError:
                # It cannot be hashed. What it is listed under is no listener's.
                known = self._subscriptions.setdefault(id(subscription.listener), subscription)
            known.priority = subscription.priority
            self._changes += 1
            self._listeners = self._unrolled = self._only = self._blames = None
        finally:
            self._lock.release()
        return known

    def _end(self, subscription: Subscription) -> None:
        with self._lock:
            if self._subscription_of(subscription.listener) is subscription:
                self.unsubscribe(subscription.listener)

    def _subscription_of(self, listener: object) -> Subscription | None:
        try:
            return self._subscriptions.get(listener)
        except TypeError:
            return self._subscriptions.get(id(listener))

    @classmethod
    def _share(cls, name: str) -> None:
        """Let Python's own TypeError for a wrong call name the channels that it may be about."""
        if name not in cls._sharing and len(cls._sharing) <= _NAMED:
            cls._sharing.append(name)
            named = " or ".join(cls._sharing[:_NAMED]) + (" or another" if len(cls._sharing) > _NAMED else "")
            cls.publish.__qualname__ = f"{named}: publish"

    def __repr__(self) -> str:
        return f"<BoundChannel {self.channel.name!r} with {len(self._subscriptions)} listener(s)>"


if not TYPE_CHECKING:
    # At run time BoundChannel[[int], str] keeps the two arguments that were written; validation reads them.
    BoundChannel.__parameters__ = (Args, Result)

# Without the detour by way of its own __new__, which makes the group of records
# that nobody has asked for yet.
_new_group: Final = ExceptionGroup.__new__
_NAMED: Final = 4
_NO_NAMES: Final[dict[str, object]] = {}
# A class refers to its module's namespace, default values and annotations: it is kept by its bound channels alone.
_classes: Final[weakref.WeakValueDictionary[object, type[BoundChannel[Any, Any]]]] = weakref.WeakValueDictionary()


def bind(
    channel: Channel[Args, Result], lock: threading.RLock, witnesses: tuple[BoundChannel[..., None], ...]
) -> BoundChannel[Args, Result]:
    """
    Return *channel* for one bus, of a class whose `publish` has the channel's parameters.

    Bound channels of one signature share a class, which takes more memory than
    many of them; it lives as long as any of them.
    """
    declared, known = channel._declared, getattr(channel, "__orig_class__", None)
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
    elif known is not None and isinstance(known.__args__[0], tuple):
        given = known.__args__[0]
        shape = Shape(unnamed=tuple(f"arg{index}" for index in range(len(given))))
        annotations = dict(zip(shape.unnamed, given, strict=True))
        annotations["return"] = types.GenericAlias(list, (known.__args__[-1],))
    else:
        return BoundChannel(channel, lock, witnesses)
    # Equal defaults may be different objects, as 1 and True are. Their identities
    # are good keys, since the class keeps them, and the namespace, alive.
    given_defaults = (*(defaults or ()), *(named_defaults or {}).values())
    key = (shape, id(names), repr(annotations), tuple(map(id, given_defaults)))
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
    bound: BoundChannel[Args, Result] = made(channel, lock, witnesses)
    return bound
