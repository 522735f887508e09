"""Two narrower types of a bound channel: for components that only publish, or only subscribe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, overload

from typing_extensions import TypeVar

from typedbus._channels.channel import DEFAULT_PRIORITY, P, R

if TYPE_CHECKING:
    from typedbus._channels.attempt import Attempt
    from typedbus._channels.subscriptions import Subscription

Listener_co = TypeVar("Listener_co", bound=Callable[..., object], covariant=True)
Listener_contra = TypeVar("Listener_contra", bound=Callable[..., object], contravariant=True)
T = TypeVar("T")


class Publishes(Generic[Listener_co]):
    """
    A bound channel, for a component that only publishes on it: ``low: Publishes[StockLow]``.

    The type argument is the signature of the listeners: a callback protocol, that is a `Protocol` with
    ``__call__``, whose parameters have names and defaults. ``Callable[[str], None]`` works as well.
    The component is given a `BoundChannel`, with ``bus.provided[stock_low]``, or with ``bus[stock_low]``
    in tests. A channel is accepted if it accepts every call that the protocol allows.
    """

    __slots__ = ()

    def publish(self: Publishes[Callable[P, R]], /, *_args: P.args, **_kwargs: P.kwargs) -> list[R]:
        """Call every listener and return their results; see `BoundChannel.publish`."""
        raise NotImplementedError

    def first(self: Publishes[Callable[P, R]], /, *_args: P.args, **_kwargs: P.kwargs) -> R | None:
        """Return the first result that is not None; see `BoundChannel.first`."""
        raise NotImplementedError

    def fold(
        self: Publishes[Callable[Concatenate[T, P], T | None]], value: T, /, *_args: P.args, **_kwargs: P.kwargs
    ) -> T:
        """Pass *value* through all listeners; see `BoundChannel.fold`."""
        raise NotImplementedError

    def attempt(self: Publishes[Callable[P, R]], /, *_args: P.args, **_kwargs: P.kwargs) -> Attempt[R]:
        """Call every listener, and return the answer or the failure of each; see `BoundChannel.attempt`."""
        raise NotImplementedError

    @property
    def has_listeners(self) -> bool:
        """Whether a publish would call a listener or a watcher; see `BoundChannel.has_listeners`."""
        raise NotImplementedError

    if TYPE_CHECKING:  # a double that derives from this class is true, as any object

        def __bool__(self) -> bool:
            """Whether a publish would call a listener or a watcher, as `has_listeners`."""
            ...


class Subscribes(Generic[Listener_contra]):
    """
    A bound channel, for a component that only subscribes to it: ``low: Subscribes[StockLow]``.

    The type argument is the signature of the listeners, as for `Publishes`. A channel is accepted if
    every listener of that signature can be subscribed to it.
    """

    __slots__ = ()

    @overload
    def subscribe(self, listener: Listener_contra, /, *, priority: int = ...) -> Subscription: ...

    @overload
    def subscribe(self, /, *, priority: int = ...) -> Callable[[Listener_contra], Listener_contra]: ...

    def subscribe(self, listener: Any = None, /, *, priority: int = DEFAULT_PRIORITY) -> Any:
        """Call *listener* at each later publish; without a listener, a decorator. See `BoundChannel.subscribe`."""
        raise NotImplementedError

    def unsubscribe(self, listener: Listener_contra, /) -> None:
        """End the subscription of *listener*, if there is one."""
        raise NotImplementedError
