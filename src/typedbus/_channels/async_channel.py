"""Async channels: channels whose publish is awaited."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Final, Generic, Protocol, overload

from typing_extensions import TypeVar

from typedbus._base.thread_calls import call_in_thread
from typedbus._channels.channel import Args, Binds, Hook, Owner, P, R, Result, Result_co, Takes, declared
from typedbus._channels.declaring import checked_declaration

if TYPE_CHECKING:
    from typedbus._channels.async_bound import AsyncBoundChannel  # noqa: F401  # named in a string, as in `channel`
    from typedbus._channels.deprecated import DeprecatedAsyncChannel


class AsyncListens(Protocol[P, Result_co]):
    """A listener of an async channel: a callable that returns the result, or an awaitable of it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result_co | Awaitable[Result_co]:
        """Receive the published arguments."""
        ...


AsyncListener = TypeVar("AsyncListener", bound=Callable[..., object], default=AsyncListens[Args, Result])
"""The type of a channel's listeners, for checkers: invariant, and never written out, as `channel.Listener`."""


class AsyncChannel(
    Takes[AsyncListens[Args, Result]],
    # Names the listener, as `Channel` does.
    Binds["AsyncBoundChannel[Args, Result, AsyncListener]"],
    Generic[Args, Result, AsyncListener],
):
    """
    The declaration of a channel whose publish is awaited: ``await bus[order_placed].publish(order)``.

    ``AsyncChannel[[Order], Receipt]("order_placed")`` is published with one positional `Order`, and the result of
    each listener is a `Receipt`. Listeners are async functions or plain functions. A plain function is called in the
    thread of the event loop, and blocks the loop; `in_thread` makes an async function of it that does not.

    The listeners run one after the other, in running order. With ``concurrent=True`` the listeners of one priority run
    concurrently, each in a task of its own and in a copy of the context; the next priority begins when they have ended.

    Equality, copies and names are as for `Channel`. An async channel is not a `Channel`.

    Attributes:
        concurrent: Whether the listeners of one priority run concurrently.

    Raises:
        ChannelError: The name is not a string, or is blank.
    """

    __slots__ = ("concurrent",)

    is_async: ClassVar[bool] = True

    def __init__(self, name: str, *, concurrent: bool = False) -> None:
        super().__init__(name)
        self.concurrent: Final[bool] = concurrent

    @overload
    @staticmethod
    def declare(
        signature: Callable[P, Coroutine[Any, Any, R]], /, *, name: str = ..., concurrent: bool = ...
    ) -> AsyncChannel[P, R]: ...

    @overload
    @staticmethod
    def declare(signature: Callable[P, R], /, *, name: str = ..., concurrent: bool = ...) -> AsyncChannel[P, R]: ...

    @overload
    @staticmethod
    def declare(*, name: str, concurrent: bool = ...) -> _Declares: ...

    @overload
    @staticmethod
    def declare(*, concurrent: bool) -> _Declares: ...

    @overload
    @staticmethod
    def declare(
        signature: Callable[P, Coroutine[Any, Any, R]],
        /,
        *,
        name: str = ...,
        concurrent: bool = ...,
        deprecated: str,
    ) -> DeprecatedAsyncChannel[P, R]: ...

    @overload
    @staticmethod
    def declare(
        signature: Callable[P, R], /, *, name: str = ..., concurrent: bool = ..., deprecated: str
    ) -> DeprecatedAsyncChannel[P, R]: ...

    @overload
    @staticmethod
    def declare(*, name: str = ..., concurrent: bool = ..., deprecated: str) -> _DeclaresDeprecated: ...

    @staticmethod
    def declare(
        signature: Any = None,
        /,
        *,
        name: str | None = None,
        concurrent: bool = False,
        deprecated: str | None = None,
    ) -> Any:
        """
        Make a channel from a function's name, parameters, result and docstring, as `Channel.declare` does.

        The function may be async; a listener is awaited for a result of the type that an async function returns.
        Without a function, `declare` returns a decorator: ``@AsyncChannel.declare(name="order.placed", concurrent=True)``.

        Raises:
            ChannelError: As for `Channel.declare`.
        """
        if signature is None:
            declare: Any = AsyncChannel.declare
            return functools.partial(declare, name=name, concurrent=concurrent, deprecated=deprecated)
        name, function, text = checked_declaration(signature, name, deprecated, is_async=True)
        kind: type[Any] = AsyncChannel
        if text:
            from typedbus._channels.deprecated import DeprecatedAsyncChannel  # few programs have one

            kind = DeprecatedAsyncChannel
        channel: AsyncChannel[..., Any] = kind(name, concurrent=concurrent)
        channel.declaration, channel.doc, channel.deprecated = function, function.__doc__ or "", text
        return channel

    def calls(
        self,
        method: Callable[Concatenate[Owner, Args], Result | Awaitable[Result]],
        /,
        *,
        priority: int | None = None,
    ) -> Hook[Owner]:
        """
        Declare that *method* of a component listens to this channel: `Component(...).on(channel.calls(Cls.method))`.

        Args:
            method: The function as an attribute of its class, async or not.
            priority: Its place among the listeners of the channel, lower first; by default the component's priority.

        Raises:
            ListenerError: *priority* is not an int.
        """
        return declared(self, method, priority)


if not TYPE_CHECKING:
    # At run time AsyncChannel[[int], str] keeps the two arguments that were written; `signature` reads them.
    AsyncChannel.__parameters__ = (Args, Result)


class _Declares(Protocol):
    """The decorator that `AsyncChannel.declare` returns when it is called without a function."""

    @overload
    def __call__(self, signature: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncChannel[P, R]: ...

    @overload
    def __call__(self, signature: Callable[P, R], /) -> AsyncChannel[P, R]: ...

    def __call__(self, signature: Callable[P, Any], /) -> AsyncChannel[P, Any]:
        """Make a channel from *signature*."""
        ...


class _DeclaresDeprecated(Protocol):
    """The decorator that `AsyncChannel.declare` returns for a deprecated channel."""

    @overload
    def __call__(self, signature: Callable[P, Coroutine[Any, Any, R]], /) -> DeprecatedAsyncChannel[P, R]: ...

    @overload
    def __call__(self, signature: Callable[P, R], /) -> DeprecatedAsyncChannel[P, R]: ...

    def __call__(self, signature: Callable[P, Any], /) -> DeprecatedAsyncChannel[P, Any]:
        """Make a channel from *signature*."""
        ...


def in_thread(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """
    Return an async function that calls *function* in a worker thread of the event loop, and awaits its result.

    For a function that blocks: ``bus[order_placed].subscribe(in_thread(charge))``. It is called in a copy of the
    context. A cancellation ends the await; the thread cannot be interrupted, and runs to its end. If *function* raises
    then, the exception handler of the loop gets the exception; by default it logs it.
    """

    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return await call_in_thread(function, *args, **kwargs)

    return call
