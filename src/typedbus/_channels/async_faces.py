"""Two narrower types of an async channel on a bus: for components that only publish, or only subscribe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, overload

from typedbus._channels.channel import DEFAULT_PRIORITY, P, R
from typedbus._channels.faces import Listener_co, Listener_contra, T

if TYPE_CHECKING:
    from typedbus._channels.attempt import Attempt
    from typedbus._channels.subscriptions import Subscription


class AsyncPublishes(Generic[Listener_co]):
    """
    An async channel on a bus, for a component that only publishes on it: ``low: AsyncPublishes[StockLow]``.

    The type argument is the signature of an async listener: a callback protocol, that is a `Protocol` with
    ``async def __call__``, whose parameters have names and defaults. ``Callable[[str], Awaitable[None]]`` works as
    well. The component is given an `AsyncBoundChannel`, with ``bus.provided[stock_low]``, or with ``bus[stock_low]``
    in tests. A channel is accepted if it accepts every call that the protocol allows.
    """

    __slots__ = ()

    async def publish(
        self: AsyncPublishes[Callable[P, Awaitable[R]]], /, *_args: P.args, **_kwargs: P.kwargs
    ) -> list[R]:
        """Call and await every listener; see `AsyncBoundChannel.publish`."""
        raise NotImplementedError

    async def first(
        self: AsyncPublishes[Callable[P, Awaitable[R]]], /, *_args: P.args, **_kwargs: P.kwargs
    ) -> R | None:
        """Return the first result that is not None; see `AsyncBoundChannel.first`."""
        raise NotImplementedError

    async def fold(
        self: AsyncPublishes[Callable[Concatenate[T, P], Awaitable[T | None]]],
        value: T,
        /,
        *_args: P.args,
        **_kwargs: P.kwargs,
    ) -> T:
        """Pass *value* through all listeners; see `AsyncBoundChannel.fold`."""
        raise NotImplementedError

    async def attempt(
        self: AsyncPublishes[Callable[P, Awaitable[R]]], /, *_args: P.args, **_kwargs: P.kwargs
    ) -> Attempt[R]:
        """Call and await every listener, and return the answer or the failure of each; see `AsyncBoundChannel.attempt`."""
        raise NotImplementedError

    @property
    def has_listeners(self) -> bool:
        """Whether a publish would call a listener or a watcher; see `AsyncBoundChannel.has_listeners`."""
        raise NotImplementedError

    if TYPE_CHECKING:  # a double that derives from this class is true, as any object

        def __bool__(self) -> bool:
            """Whether a publish would call a listener or a watcher, as `has_listeners`."""
            ...


class AsyncSubscribes(Generic[Listener_contra]):
    """
    An async channel on a bus, for a component that only subscribes to it: ``low: AsyncSubscribes[StockLow]``.

    The type argument is the signature of the listeners: as for `AsyncPublishes` if they are async, without ``async``
    if they are plain functions. A channel is accepted if every listener of that signature can be subscribed to it.
    """

    __slots__ = ()

    @overload
    def subscribe(self, listener: Listener_contra, /, *, priority: int = ...) -> Subscription: ...

    @overload
    def subscribe(self, /, *, priority: int = ...) -> Callable[[Listener_contra], Listener_contra]: ...

    def subscribe(self, listener: Any = None, /, *, priority: int = DEFAULT_PRIORITY) -> Any:
        """Call *listener* at each later publish; without a listener, a decorator. See `AsyncBoundChannel.subscribe`."""
        raise NotImplementedError

    def unsubscribe(self, listener: Listener_contra, /) -> None:
        """End the subscription of *listener*, if there is one."""
        raise NotImplementedError
