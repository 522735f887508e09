"""
Channels, and what happens when one is published on.

A `Channel` is a declaration: a name and a signature, made once, at the top of a
module. It holds no listeners. A `BoundChannel` is a channel on one bus: it holds
the listeners and calls them.
"""

from __future__ import annotations

import threading
import types
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, Self, overload

from typing_extensions import TypeVar

from typedbus._failures import ChannelError, ChannelFailures, Failure, ListenerError, describe, leave

if TYPE_CHECKING:
    import inspect

Args = ParamSpec("Args")
Result = TypeVar("Result", default=None)
Owner = TypeVar("Owner")
Owner_contra = TypeVar("Owner_contra", contravariant=True)
AnyListener = TypeVar("AnyListener", bound=Callable[..., object])
P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_PRIORITY: Final = 50


class AnyChannel:
    """
    A channel of whatever signature; every channel is a `Channel`.

    Attributes:
        name: What people call it.
        doc: The docstring of its declaration.
    """

    __slots__ = ("__orig_class__", "__weakref__", "_declared", "doc", "name")

    name: str
    doc: str
    _declared: Callable[..., object] | None

    def signature(self) -> inspect.Signature | None:
        """
        Return what a listener is called with, as far as it is known at run time.

        None for a channel that was made without type arguments, as
        ``x: Channel[[int], None] = Channel("x")`` is: these are for the checkers.
        """
        import inspect  # costs more than the rest of the package, and only validation asks

        if self._declared is not None:
            try:
                return inspect.signature(self._declared, eval_str=True)
            except NameError:
                return inspect.signature(self._declared)
        known = getattr(self, "__orig_class__", None)
        if known is None or not isinstance(known.__args__[0], tuple):
            return None
        positional, result = known.__args__[0], known.__args__[-1]
        return inspect.Signature(
            [
                inspect.Parameter(f"arg{index}", inspect.Parameter.POSITIONAL_ONLY, annotation=annotation)
                for index, annotation in enumerate(positional)
            ],
            return_annotation=result,
        )

    def __repr__(self) -> str:
        return f"<Channel {self.name!r}>"


class Takes(AnyChannel, Generic[AnyListener]):
    """
    What the listeners of a channel look like.

    Its parameter is invariant, which makes `Bus.subscribe(channel, listener)`
    sound: checkers treat a ParamSpec as covariant and would accept a listener
    that drops an optional parameter.
    """

    __slots__ = ()


class Channel(Takes[Callable[Args, Result]], Generic[Args, Result]):
    """
    The declaration of a channel: what is said on it, and what listeners answer.

    ``Channel[[Order], Receipt]("order_placed")`` is published with one
    positional `Order` and answered with a `Receipt` by each listener; the
    result type may be left out where there is none. `declare` makes a channel
    from a function where parameters need names or defaults.

    A channel is equal to itself alone, is never copied, and may be shared by
    any number of buses and threads. Its name is for people; two channels of one
    name are two channels.

    Raises:
        ChannelError: The name is not a string that people can read.
    """

    __slots__ = ()

    def __init__(self, name: str) -> None:
        if not (isinstance(name, str) and name.strip()):
            raise ChannelError(name, "is no name for a channel: give a string such as 'order_placed'")
        self.name = name
        self.doc = ""
        self._declared = None

    @staticmethod
    def declare(signature: Callable[P, R]) -> Channel[P, R]:
        """
        Make a channel from a function's name, parameters, result and docstring.

        The function itself is never called. Make its parameters positional-only
        (``/``) unless publishers are to name them: a listener must then use the
        same names.

        Raises:
            ChannelError: *signature* has no name of its own, as a lambda or a partial.
        """
        name = getattr(signature, "__name__", "<lambda>")
        if name == "<lambda>":
            raise ChannelError(signature, "declares no channel: decorate a function, `def order_placed(...)`")
        channel: Channel[P, R] = Channel(name)
        channel._declared = signature
        channel.doc = signature.__doc__ or ""
        return channel

    def calls(
        self, method: Callable[Concatenate[Owner, Args], Result], /, *, priority: int | None = None
    ) -> Hook[Owner]:
        """Declare that *method* of a component listens to this channel: `Component(...).on(channel.calls(Cls.method))`."""
        return Hook(self, method, priority)

    # A container copies what is handed to its components; a channel is told
    # apart by identity and must come out as itself.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> str | tuple[object, ...]:
        raise ChannelError(self, "cannot be pickled: a copy would be another channel; import it by name instead")


class Hook(Generic[Owner_contra]):
    """
    The declaration that a component's method listens to a channel; made by `Channel.calls`.

    Attributes:
        channel: The channel that is listened to.
        method: The function as its class has it; a subclass may override it.
        priority: Its place among the listeners, or None for the component's own.
    """

    __slots__ = ("channel", "method", "priority")

    def __init__(self, channel: AnyChannel, method: Callable[..., object], priority: int | None = None) -> None:
        self.channel: Final = channel
        self.method: Final = method
        self.priority: Final = priority

    def bind(self, owner: Owner_contra, /) -> Callable[..., object]:
        """Return the method of *owner*, its own override included; a plain function gets *owner* first."""
        scope, _, name = getattr(self.method, "__qualname__", "").rpartition(".")
        if scope and not scope.endswith("<locals>"):
            listener: object = getattr(owner, name, None)
            if callable(listener):
                return listener
        return types.MethodType(self.method, owner)

    def __repr__(self) -> str:
        return f"<Hook {self.channel.name} calls {describe(self.method)}>"


MARK: Final = "__typedbus_channels__"


def on(
    channel: Channel[Args, R], /, *, priority: int | None = None
) -> Callable[[Callable[Concatenate[Owner, Args], R]], Callable[Concatenate[Owner, Args], R]]:
    """
    Mark a method of a component as a listener of *channel*.

    The method itself is given back, unchanged for its callers. A subclass that
    overrides it is called in its place, marked again or not. Several marks on
    one method add up.

    Args:
        channel: Checked against the method by mypy and pyright.
        priority: Its place among the listeners of the channel, lower first; 50 unless given.
    """
    if not isinstance(channel, Channel):
        raise ChannelError(channel, "is no channel: @on takes one, as in @on(order_placed)")

    def mark(method: Callable[Concatenate[Owner, Args], R]) -> Callable[Concatenate[Owner, Args], R]:
        marks: tuple[Hook[Owner], ...] = getattr(method, MARK, ())
        setattr(method, MARK, (*marks, channel.calls(method, priority=priority)))
        return method

    return mark


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
