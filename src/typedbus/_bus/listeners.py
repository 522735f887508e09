"""
Functions that listen to channels: registered when their module is imported, and subscribed on a bus later.

A `Listeners` object refers to no bus. Each bus on which its functions are subscribed has a record of the
subscriptions in `Participants.owners`, to which functions that are registered later are added.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, final, overload

import attrs

from typedbus._base.channel_errors import RegistrationError
from typedbus._base.coroutines import is_async_callable
from typedbus._base.failures import describe
from typedbus._base.places import calling_place
from typedbus._base.states import State
from typedbus._bus.builtin import RUN, START
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.registry import no_channel
from typedbus._channels.channel import (
    DEFAULT_PRIORITY,
    AnyChannel,
    Channel,
    Hook,
    Other_co,
    Other_contra,
    P,
    Q,
    R,
    Result,
    Result_co,
    S,
)
from typedbus._channels.subscriptions import AnyBoundChannel, Subscription, add

if TYPE_CHECKING:
    from typing_extensions import deprecated

    from typedbus._channels.async_channel import AsyncChannel
    from typedbus._channels.deprecated import DeprecatedAsyncChannel, DeprecatedChannel


@final
class FunctionHook(Hook[object]):
    """
    The declaration that a function listens to a channel; made by `Listeners.on`.

    Attributes:
        place: File and line of ``@listeners.on``.
    """

    __slots__ = ("place",)

    def __init__(self, channel: AnyChannel, function: Callable[..., object], priority: int | None, place: str) -> None:
        super().__init__(channel, function, priority)
        self.place: Final = place

    def bind(self, owner: object, /) -> Callable[..., object]:
        """Return the function itself."""
        return self.method

    def refused(self, reason: str) -> RegistrationError:
        """Return the error for this declaration."""
        return RegistrationError(describe(self.method), self.place, self.channel.name, reason)


class _AsyncRegister(Protocol[P, Result]):
    """The decorator that `Listeners.on` returns for a channel whose listeners may be async."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, Result]], /
    ) -> Callable[P, Coroutine[Any, Any, Result]]: ...

    @overload
    def __call__(self, function: Callable[P, Result], /) -> Callable[P, Result]: ...

    def __call__(self, function: Callable[P, Any], /) -> Callable[P, Any]:
        """Register *function*, and return it."""
        ...


class _TakesBoth(Protocol[P, Result_co, Q, Other_co]):
    """A function that can be called as a listener of either of two channels."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result_co: ...

    @overload
    def __call__(self, *args: Q.args, **kwargs: Q.kwargs) -> Other_co: ...


class _RegisterForTwo(Protocol[P, R, Q, Other_contra]):
    """The decorator that `Listeners.on` returns for two channels."""

    def __call__(self, function: _TakesBoth[P, R, Q, Other_contra], /) -> Callable[P, R]:
        """Register *function*, and return it."""
        ...


@final
class Listeners:
    """
    Functions that listen to channels, for a module that has no bus at hand: ``@listeners.on(order_placed)``.

    Made at the top of a module, and kept for the life of the process. In a container, ``Component(listeners)``
    subscribes the functions on the bus of the container as it subscribes the methods of other components. The component
    is this object. Without a container, `subscribe` subscribes them. Any number of containers and buses
    may use one object, at the same time or one after the other; it keeps none of them alive.

    A function that is registered later is subscribed at once on each bus where the others are.
    Every method may be called from any thread.
    """

    def __init__(self) -> None:
        #: File and line of the call.
        self.place: Final = calling_place()
        self._hooks: list[FunctionHook] = []
        self._buses: weakref.WeakValueDictionary[int, Bus] = weakref.WeakValueDictionary()

    def __call__(self, bus: Bus | None = None, /) -> Listeners:
        """Return the object itself: ``Component(listeners)`` or ``Component(listeners, bus.provided)`` calls it."""
        return self

    if TYPE_CHECKING:  # the decorator imports asyncio when it is called

        @overload
        @deprecated("the channel is deprecated; its declaration names the replacement")
        def on(  # type: ignore[overload-overlap]  # a deprecated channel may have awaitable results
            self, channel: DeprecatedChannel[P, R], /, *, priority: int | None = ...
        ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

        @overload
        @deprecated("the channel is deprecated; its declaration names the replacement")
        def on(
            self, channel: DeprecatedAsyncChannel[P, R], /, *, priority: int | None = ...
        ) -> _AsyncRegister[P, R]: ...

    @overload
    def on(self, channel: Channel[P, Awaitable[R] | R], /, *, priority: int | None = ...) -> _AsyncRegister[P, R]: ...

    @overload
    def on(
        self, channel: Channel[P, R], /, *, priority: int | None = ...
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    @overload
    def on(self, channel: AsyncChannel[P, R], /, *, priority: int | None = ...) -> _AsyncRegister[P, R]: ...

    @overload
    def on(
        self, channel: Channel[P, R], other: Channel[Q, S], /, *, priority: int | None = ...
    ) -> _RegisterForTwo[P, R, Q, S]: ...

    @overload
    def on(
        self, channel: AsyncChannel[P, R], other: AsyncChannel[Q, S], /, *, priority: int | None = ...
    ) -> _RegisterForTwo[P, R | Awaitable[R], Q, S | Awaitable[S]]: ...

    def on(self, channel: Any, /, *others: Any, priority: int | None = None) -> Any:
        """
        Register the decorated function as a listener of *channel*.

        The function itself is returned; for type checkers it has the channel's signature from then on. For several
        channels of one signature it has a decorator for each; two channels of different signatures are arguments
        of one decorator, as for the mark `on`.

        Args:
            channel: Checked against the function by mypy and pyright. A listener of an `AsyncChannel`, or of a
                channel with an awaitable result, may be async.
            others: A second channel, checked in the same way.
            priority: Its place among the listeners of the channel, lower first; 50 by default. The functions for
                `START`, `STOP`, `EXIT` and `GRACEFUL` share one priority in a container, that of the component.

        Raises:
            ChannelError: *channel* is not a channel.
            RegistrationError: By the decorator: the function cannot be called or would not be awaited, is a method, or
                listens to the channel already; *priority* is not an int; or the bus has started, and the
                function does not fit the channel or listens to `START`.
        """
        place = calling_place()
        for given in (channel, *others):
            if not isinstance(given, AnyChannel):
                raise no_channel(given, "pass one to @listeners.on, as in @listeners.on(order_placed)")

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            hooks = [FunctionHook(each, function, priority, place) for each in (channel, *others)]
            for hook in hooks:
                problem = self._problem_of(hook)
                if problem:
                    raise hook.refused(problem)
                for record in self._records():
                    record.check(hook)
            # A bus on which the functions are being subscribed is recorded before it reads this list.
            self._hooks.extend(hooks)
            for hook in hooks:
                for record in self._records():
                    record.add(hook)
            return function

        return register

    def subscribe(self, bus: Bus, /) -> ListenersSubscription:
        """
        Subscribe the functions on *bus*, and those that are registered later, until the subscription ends.

        For a program, or a test, without a container. If they are subscribed already, they are not called
        twice: they listen until the last of the subscriptions ends. Where a container runs them as
        a component, they stay subscribed as long as the component is.

        Raises:
            RegistrationError: A function listens to `START`, and the bus has started.
            TypeError: *bus* is not a bus.
        """
        if not isinstance(bus, Bus):
            raise TypeError(f"{bus!r} is not a bus; pass one, as in listeners.subscribe(shop.bus())")
        owners = parts_of(bus).participants.owners
        with parts_of(bus).registry.lock:
            record = owners.get(id(self))
            if record is None:
                record = owners[id(self)] = _DirectSubscriptions(self, bus)
                self._join(bus)
                try:
                    for hook in functions_of(self):
                        record.check(hook)
                        record.add(hook)
                except BaseException:
                    record.end()
                    raise
            return ListenersSubscription(self, record if isinstance(record, _DirectSubscriptions) else None)

    def _problem_of(self, hook: FunctionHook) -> str:
        """Return why the function of *hook* cannot listen, and the way out, or "" if it can."""
        function: Any = hook.method
        if isinstance(function, (staticmethod, classmethod)):
            return f"it is a {type(function).__name__}, not a function; a method of a component listens by @on"
        if not callable(function):
            return "it is not callable; decorate a function"
        scope = getattr(function, "__qualname__", "").rpartition(".")[0]
        if isinstance(function, types.FunctionType) and scope and not scope.endswith("<locals>"):
            code = function.__code__
            if code.co_varnames[: code.co_argcount][:1] in (("self",), ("cls",)):
                return "it is a method, which needs its object; mark it with @on, and declare its class as a component"
        priority: Any = hook.priority
        if priority is not None and not isinstance(priority, int):
            return f"its priority {priority!r} is not an int"
        if is_async_callable(function) and not (hook.channel.is_async or hook.channel.returns_awaitables()):
            return (
                "it is async, and publishing on a Channel does not await it; declare the channel as an AsyncChannel, "
                "or make it a plain function"
            )
        for other in functions_of(self):
            if other.channel is hook.channel and other.method == function:
                return f"it was registered for this channel at {other.place}; remove one of the two registrations"
        return ""

    def _join(self, bus: Bus) -> None:
        """Subscribe functions that are registered from now on as well, while *bus* has a record of this object."""
        self._buses[id(bus)] = bus

    def _records(self) -> list[_Record]:
        """Return the records of the subscriptions on each bus."""
        buses = [bus for reference in self._buses.valuerefs() if (bus := reference()) is not None]
        records = [parts_of(bus).participants.owners.get(id(self)) for bus in buses]
        return [record for record in records if record is not None]

    def __repr__(self) -> str:
        return f"<Listeners {self.place} with {len(self._hooks)} function(s)>"


class ListenersSubscription:
    """
    The subscription of the functions of a `Listeners` on a bus.

    As a context manager it ends with the block. It may be cancelled from any thread and any number of times; a
    publish that is under way still calls the functions.
    """

    def __init__(self, listeners: Listeners, record: _DirectSubscriptions | None) -> None:
        self._listeners = listeners
        self._record = record
        if record is not None:
            record.users.add(self)

    def cancel(self) -> None:
        """End the subscriptions of the functions, unless another `ListenersSubscription` on the bus keeps them."""
        if self._record is not None:
            self._record.release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<ListenersSubscription of {self._listeners!r}>"


class FunctionSubscription(Subscription):
    """A subscription by `Listeners.subscribe`; several `Listeners` may hold the subscription of one function."""

    __slots__ = ("holders",)

    def __init__(self, bound: AnyBoundChannel, listener: Callable[..., object], priority: int) -> None:
        super().__init__(bound, listener, priority)
        self.holders: set[_DirectSubscriptions] = set()


class _Record(Protocol):
    """The record of the subscriptions of a `Listeners` on one bus."""

    def check(self, hook: FunctionHook, /) -> None:
        """Raise `RegistrationError` if *hook* cannot be added."""

    def add(self, hook: FunctionHook, /) -> None:
        """Subscribe the function of *hook*, unless the subscriptions have ended."""


@attrs.frozen(eq=False)
class _DirectSubscriptions:
    """
    The record of the subscriptions that `Listeners.subscribe` has made on *bus*.

    The bus has it under the id of *listeners* in `Participants.owners`, until the last of its *users* ends, or a
    container starts a component with these functions.
    """

    listeners: Listeners
    bus: Bus
    users: set[ListenersSubscription] = attrs.field(factory=set, init=False)
    _subscriptions: list[FunctionSubscription] = attrs.field(factory=list, init=False)

    def check(self, hook: FunctionHook) -> None:
        refuse_late_start(self.bus, hook)

    def add(self, hook: FunctionHook) -> None:
        channel: Any = hook.channel  # its own class declares what it binds
        bound: AnyBoundChannel = self.bus[channel]
        priority = DEFAULT_PRIORITY if hook.priority is None else hook.priority
        with parts_of(self.bus).registry.lock:
            if parts_of(self.bus).participants.owners.get(id(self.listeners)) is self:
                subscription = add(FunctionSubscription(bound, hook.method, priority))
                if isinstance(subscription, FunctionSubscription):
                    subscription.holders.add(self)
                    self._subscriptions.append(subscription)

    def release(self, user: ListenersSubscription) -> None:
        """End the subscriptions if *user* is the last one."""
        with parts_of(self.bus).registry.lock:
            self.users.discard(user)
            if not self.users:
                self.end()

    def end(self) -> None:
        """End the subscriptions; the caller holds the lock."""
        owners = parts_of(self.bus).participants.owners
        if owners.get(id(self.listeners)) is self:
            del owners[id(self.listeners)]
        while self._subscriptions:
            subscription = self._subscriptions.pop()
            subscription.holders.discard(self)
            if not subscription.holders:
                subscription.cancel()


def refuse_late_start(bus: Bus, hook: FunctionHook) -> None:
    """Raise `RegistrationError` if *hook* listens to `START` or `RUN`, whose listeners the bus has called already."""
    machine = parts_of(bus).machine
    is_late_run = hook.channel is RUN and machine.state is State.STARTED
    if is_late_run or (hook.channel is START and machine.is_too_late_to_start):
        raise hook.refused(
            "the bus has started, so the function would not be called; import its module, or subscribe, before the start"
        )


# For the container. As methods of `Listeners` they would be public.


def functions_of(listeners: Listeners) -> tuple[FunctionHook, ...]:
    """Return the functions of *listeners*, in the order in which they were registered."""
    return tuple(listeners._hooks)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def join(listeners: Listeners, bus: Bus) -> None:
    """Subscribe functions that are registered from now on as well, through the record that *bus* has of *listeners*."""
    listeners._join(bus)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
