"""Deprecated channels: a warning reports each new listener, and type checkers report the code that subscribes it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, overload

from typedbus._channels.async_channel import AsyncChannel, AsyncListens
from typedbus._channels.channel import AnyListener, Args, Binds, Bound_co, Channel, Hook, Listens, Owner, Result, Takes
from typedbus._channels.subscriptions import Subscription

if TYPE_CHECKING:
    from typing_extensions import deprecated

    from typedbus._channels.async_bound import (
        AsyncBoundChannel,
        _Decorator,  # pyright: ignore[reportPrivateUsage]  # the result of the overridden method
    )
    from typedbus._channels.bound import BoundChannel


class TakesDeprecated(Takes[AnyListener]):
    """A deprecated channel with listeners of the type *AnyListener*."""

    __slots__ = ()


class BindsDeprecated(Binds[Bound_co]):
    """A deprecated channel whose ``bus[channel]`` has the type *Bound_co*."""

    __slots__ = ()


class DeprecatedChannel(  # pyright: ignore[reportGeneralTypeIssues]  # it binds to a subclass, and `Binds` is covariant
    # Before `Channel`: checkers take the first `Binds`.
    BindsDeprecated["DeprecatedBoundChannel[Args, Result]"],
    Channel[Args, Result],
    TakesDeprecated[Listens[Args, Result]],
    Generic[Args, Result],
):
    """
    A channel that no new listener should use: ``@Channel.declare(deprecated="use order_placed")``.

    A `DeprecationWarning` reports each listener when it is subscribed; if a filter makes it an error, the listener is
    not subscribed. Publishing is the same as on every other channel.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @deprecated("the channel is deprecated; its declaration names the replacement")
        def calls(
            self,
            method: Callable[Concatenate[Owner, Args], Result],
            /,
            *,
            priority: int | None = None,
            limit: float | None = None,
            inline: bool = False,
        ) -> Hook[Owner]: ...


class DeprecatedAsyncChannel(  # pyright: ignore[reportGeneralTypeIssues]  # it binds to a subclass, and `Binds` is covariant
    BindsDeprecated["DeprecatedAsyncBoundChannel[Args, Result]"],
    AsyncChannel[Args, Result],
    TakesDeprecated[AsyncListens[Args, Result]],
    Generic[Args, Result],
):
    """An async channel that no new listener should use: see `DeprecatedChannel`."""

    __slots__ = ()

    if TYPE_CHECKING:

        @deprecated("the channel is deprecated; its declaration names the replacement")
        def calls(
            self,
            method: Callable[Concatenate[Owner, Args], Result | Awaitable[Result]],
            /,
            *,
            priority: int | None = None,
        ) -> Hook[Owner]: ...


if TYPE_CHECKING:

    class DeprecatedBoundChannel(BoundChannel[Args, Result], Generic[Args, Result]):
        """A deprecated channel on a bus."""

        @overload
        @deprecated("the channel is deprecated; its declaration names the replacement")
        def subscribe(self, listener: Callable[Args, Result], /, *, priority: int = ...) -> Subscription: ...

        @overload
        @deprecated("the channel is deprecated; its declaration names the replacement")
        def subscribe(
            self, /, *, priority: int = ...
        ) -> Callable[[Callable[Args, Result]], Callable[Args, Result]]: ...

        def subscribe(self, listener: Any = ..., /, *, priority: int = ...) -> Any: ...

    class DeprecatedAsyncBoundChannel(AsyncBoundChannel[Args, Result], Generic[Args, Result]):
        """A deprecated async channel on a bus."""

        @overload
        @deprecated("the channel is deprecated; its declaration names the replacement")
        def subscribe(
            self, listener: Callable[Args, Result | Awaitable[Result]], /, *, priority: int = ...
        ) -> Subscription: ...

        @overload
        @deprecated("the channel is deprecated; its declaration names the replacement")
        def subscribe(self, /, *, priority: int = ...) -> _Decorator[Args, Result]: ...

        def subscribe(self, listener: Any = ..., /, *, priority: int = ...) -> Any: ...


def reporting_class(bound_class: type[Any]) -> type[Any]:
    """Return a subclass of *bound_class* that warns of each new listener, so that other channels need no check."""

    def add(bound: Any, subscription: Subscription) -> Subscription:
        if bound.subscription_of(subscription.listener) is None:
            _warn_of(subscription)
        added: Subscription = bound_class._add(bound, subscription)  # noqa: SLF001  # the method that this one overrides
        return added

    return type(bound_class.__name__, (bound_class,), {"__slots__": (), "_add": add})


def _warn_of(subscription: Subscription) -> None:
    """
    Warn that the listener of *subscription* uses a deprecated channel.

    The place of the warning is that of the listener, so that filters by module and line apply to it.

    Raises:
        DeprecationWarning: A filter turns warnings into errors.
    """
    channel, place = subscription.channel, subscription.place
    file, _, line = place.rpartition(":")
    module = getattr(subscription.listener, "__module__", None) or "<unknown>"
    warnings.warn_explicit(
        f"channel {channel.name!r} is deprecated: {channel.deprecated}; {subscription.name} listens to it ({place})",
        DeprecationWarning,
        file or place,
        int(line) if file else 1,
        module,
        vars(sys.modules[module]).setdefault("__warningregistry__", {}) if module in sys.modules else None,
    )
