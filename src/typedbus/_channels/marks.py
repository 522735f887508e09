"""The mark `on`: a method of a component listens to a channel."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, Final, Literal, overload

from typedbus._base.channel_errors import ChannelError, ListenerError, NotAMethod
from typedbus._base.failures import describe, place_of
from typedbus._base.places import function_outside_class
from typedbus._channels.channel import AnyChannel, Channel, Hook, Owner, P, Q, R, S, declared
from typedbus._channels.run_channel import RUN

if TYPE_CHECKING:
    from typing_extensions import deprecated

    from typedbus._base.restart import Restart
    from typedbus._base.stopping import Stopping
    from typedbus._channels.async_channel import AsyncChannel
    from typedbus._channels.deprecated import DeprecatedAsyncChannel, DeprecatedChannel
    from typedbus._channels.marking import AsyncMark, MarkOfTwo

MARK: Final = "__typedbus_channels__"


def mark_on(listener: Callable[..., object], channel: AnyChannel) -> Hook[object] | None:
    """Return the mark on *listener* for *channel*, or None."""
    return next(_marks_on(listener, channel), None)


def marked_inline(listener: Callable[..., object], channel: AnyChannel) -> bool:
    """Return whether a mark on *listener* makes it inline: called in the thread of the transition."""
    return any(mark.inline for mark in _marks_on(listener, channel))


def _marks_on(listener: Callable[..., object], channel: AnyChannel) -> Iterator[Hook[object]]:
    marks: tuple[Hook[object], ...] = getattr(listener, MARK, ())
    return (mark for mark in marks if mark.channel is channel)


if TYPE_CHECKING:  # the decorator imports asyncio when it is called

    @overload
    @deprecated("the channel is deprecated; its declaration names the replacement")
    def on(  # type: ignore[overload-overlap]  # as below; a deprecated channel may have awaitable results
        channel: DeprecatedChannel[P, R],
        /,
        *,
        priority: int | None = ...,
        limit: float | None = ...,
        inline: bool = ...,
    ) -> Callable[[Callable[Concatenate[Owner, P], R]], Callable[Concatenate[Owner, P], R]]: ...

    @overload
    @deprecated("the channel is deprecated; its declaration names the replacement")
    def on(channel: DeprecatedAsyncChannel[P, R], /, *, priority: int | None = ...) -> AsyncMark[P, R]: ...


@overload
def on(  # type: ignore[overload-overlap]  # only a run has a policy
    channel: Channel[[Stopping], Awaitable[None] | None],
    /,
    *,
    priority: int | None = ...,
    limit: float | None = ...,
    restart: Restart | None = ...,
    awaited: bool = ...,
) -> AsyncMark[[Stopping], None]: ...


# An async hook cannot be inline.
@overload
def on(  # type: ignore[overload-overlap]  # the literal True selects it, and the result of the other accepts more methods
    channel: Channel[P, Awaitable[R] | R],
    /,
    *,
    priority: int | None = ...,
    limit: float | None = ...,
    inline: Literal[True],
) -> Callable[[Callable[Concatenate[Owner, P], R]], Callable[Concatenate[Owner, P], R]]: ...


@overload
def on(
    channel: Channel[P, Awaitable[R] | R],
    /,
    *,
    priority: int | None = ...,
    limit: float | None = ...,
    inline: bool = ...,
) -> AsyncMark[P, R]: ...


@overload
def on(
    channel: Channel[P, R], /, *, priority: int | None = ..., limit: float | None = ..., inline: bool = ...
) -> Callable[[Callable[Concatenate[Owner, P], R]], Callable[Concatenate[Owner, P], R]]: ...


@overload
def on(channel: AsyncChannel[P, R], /, *, priority: int | None = ...) -> AsyncMark[P, R]: ...


@overload
def on(
    channel: Channel[P, R], other: Channel[Q, S], /, *, priority: int | None = ..., limit: float | None = ...
) -> MarkOfTwo[P, R, Q, S]: ...


@overload
def on(
    channel: AsyncChannel[P, R], other: AsyncChannel[Q, S], /, *, priority: int | None = ...
) -> MarkOfTwo[P, R | Awaitable[R], Q, S | Awaitable[S]]: ...


def on(
    channel: Any,
    /,
    *others: Any,
    priority: int | None = None,
    limit: float | None = None,
    inline: bool = False,
    restart: Restart | None = None,
    awaited: bool = False,
) -> Any:
    """
    Mark a method of a component as a listener of *channel*.

    The method itself is returned; for type checkers it has the channel's signature
    from then on. Other decorators, `@classmethod` and `@staticmethod` included,
    may stand above and below. An override in a subclass is called instead of the method,
    marked again or not; an override that is None does not listen.

    A method may listen to several channels. If they have one signature, give it a mark for each. Give two channels of
    different signatures to one mark, ``@on(page_published, page_deleted)``, since the signature that a mark gives to
    the method need not fit another mark; the method then has the signature of the first channel. For more than two,
    and to mix a `Channel` with an `AsyncChannel`, use `Channel.calls` in the declaration of the component.

    Args:
        channel: Checked against the method by mypy and pyright. The methods that listen to an `AsyncChannel` may be
            async; they have neither a limit nor *inline*.
        others: A second channel, checked in the same way.
        priority: Its place among the listeners of the channel, lower first; 50 by default.
        limit: How long it may take when the bus starts, stops or exits, in seconds. Of a run, how long a stop waits
            for its end, and a start until it is ready.
        inline: Whether it is called in the thread that starts, stops or exits the bus, regardless of workers and
            limits. Use it for code that must run in the main thread, such as signals, or before other threads exist,
            such as a fork. While it runs no other hook begins, and the bus has no idle threads; hooks that were
            already running continue. No limit interrupts it; its time counts towards the limit of the whole.
        restart: For `RUN`: the restart policy of the run, unless `Component.supervised` sets another.
        awaited: For `RUN`: whether the run begins at the turn of its component, and the start waits until the run has
            called `Stopping.ready`.

    Raises:
        ChannelError: *channel* is not a channel, or takes neither *restart* nor *awaited*.
        NotAMethod: The decorated function is not in the body of a class, so it would never be called.
        ListenerError: *priority* is not an int, or the decorated object takes no mark, as a function written in C.
        LimitError: *limit* is not a number above 0.
    """
    channels = (channel, *others)
    for given in channels:
        if not isinstance(given, AnyChannel):
            raise ChannelError(given, "is not a channel: pass one to @on, as in @on(order_placed)")
        problem = _run_problem(given, restart, inline=inline, awaited=awaited)
        if problem:
            raise ChannelError(given, problem)

    def mark(method: Callable[..., Any]) -> Callable[..., Any]:
        frame = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as in `calling_place`
        function = function_outside_class(method, frame)
        if function is not None:
            raise NotAMethod(channel.name, describe(function), place_of(function))
        # A decorator applies the last of several marks first.
        hooks = [
            declared(each, method, priority, limit, inline=inline, restart=restart, awaited=awaited)
            for each in reversed(channels)
        ]
        marks: tuple[Hook[Any], ...] = getattr(method, MARK, ())
        try:
            setattr(method, MARK, (*marks, *hooks))
        except (AttributeError, TypeError) as error:
            reason = "it cannot be marked; use `channel.calls(...)` in the declaration of the component"
            raise ListenerError(channel.name, method, reason) from error
        return method

    return mark


def _run_problem(channel: AnyChannel, restart: object, *, inline: bool, awaited: object) -> str:
    """Return why a mark for *channel* cannot have these arguments, and the way out; "" if it can."""
    if channel is not RUN:
        if restart is not None or awaited:
            return "is not RUN, and only a run has restart= and awaited=: remove them, or mark a run with @on(RUN)"
        return ""
    if inline:
        return "has listeners that run in threads and tasks of their own: remove inline=True"
    if not isinstance(awaited, bool):
        return f"takes True or False as awaited=, and was given {awaited!r}"
    if restart is not None:
        from typedbus._base.restart import Restart

        if not isinstance(restart, Restart):
            return f"takes a Restart as restart=, and was given {restart!r}: write restart=Restart(...)"
    return ""
