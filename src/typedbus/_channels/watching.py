"""
Watchers: functions that receive each publish on a channel and have no part in its results.

A program without watchers does not load this module. A watched channel calls the functions that are generated here in
place of an unrolled one, so a publish on any other channel has no check for watchers. After the watchers they publish
through the loop, which is not unrolled while the channel is watched.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from typedbus._base.channel_errors import WatcherError
from typedbus._base.coroutines import CO_GENERATORS, is_async_callable
from typedbus._base.failures import describe, place_of
from typedbus._base.record import Record
from typedbus._base.signatures import function_of
from typedbus._channels.channel import AnyChannel, P, R
from typedbus._channels.codegen import UNKNOWN, Shape, compiled, function_with
from typedbus._channels.entries import ASYNC_ENTRY, VERBS, WATCHED_CALL, EntryVerbs

if TYPE_CHECKING:
    from typedbus._channels.async_channel import AsyncChannel
    from typedbus._channels.channel import Channel
    from typedbus._channels.subscriptions import AnyBoundChannel, Watches

# The listeners of a publish are those of its beginning, so they are read before a watcher can change them.
_SYNC: Final = """\
def {verb}(_tb_self, {received}):
    _tb_listeners = _tb_self._warm_up()
""" + textwrap.indent(WATCHED_CALL, " " * 4)


async def _after_watchers(
    bound: AnyBoundChannel,
    watches: Watches,
    call: Callable[[Callable[..., object]], object],
    publish: Callable[[tuple[Callable[..., Any], ...]], Awaitable[object]],
    listeners: tuple[Callable[..., Any], ...],
) -> object:
    """Call the watchers of *watches* with *call*, then *publish* to *listeners*, and return the result."""
    bound._call_watchers(watches, call)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return await publish(listeners)


_NAMES: Final[dict[str, object]] = {"_tb_publish": _after_watchers}


class Watch:
    """
    The watch of a watcher on a channel, or on all channels of a bus.

    As a context manager it ends with the block. It may be cancelled from any thread, from inside a watcher and any number
    of times; a publish that is under way still calls the watcher.

    Attributes:
        watcher: The function that receives each publish.
        channel: The channel; None for all channels of a bus.
    """

    __slots__ = ("_end", "channel", "watcher")

    def __init__(
        self, watcher: Callable[..., object], channel: AnyChannel | None, end: Callable[[Watch], None]
    ) -> None:
        self.watcher: Final = watcher
        self.channel: Final = channel
        self._end = end

    @property
    def name(self) -> str:
        """The name of the watcher in messages."""
        return describe(self.watcher)

    @property
    def place(self) -> str:
        """File and line of the watcher, or "no file" if unknown."""
        return place_of(self.watcher)

    def cancel(self) -> None:
        """End the watch."""
        self._end(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<Watch of {self.name} on {'all channels' if self.channel is None else repr(self.channel.name)}>"


@attrs.frozen(eq=False, repr=False)
class Published(Record):
    """
    A publish, as a watcher of all channels receives it.

    Later versions may add attributes.

    Attributes:
        channel: The channel.
        args: The arguments that listeners receive by position.
        kwargs: The arguments that they receive by name.
    """

    channel: Channel[..., Any] | AsyncChannel[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@functools.cache
def _watched(shape: Shape, is_async: bool) -> tuple[Callable[..., Any], EntryVerbs]:
    """Return the function that `publish` of a watched channel calls, and those that its other verbs call."""
    text = ASYNC_ENTRY if is_async else _SYNC
    publish, *verbs = (
        function_with(compiled(text, shape, verb=verb, loop=loop, end=end), _NAMES)
        for verb, (loop, end) in VERBS.items()
    )
    return publish, EntryVerbs(*verbs)


def watch(bound: AnyBoundChannel, watcher: Any) -> Watch:
    """
    Call *watcher* at each later publish on *bound*.

    Raises:
        WatcherError: *watcher* cannot be called, or is async or a generator function; or the channel cannot be watched.
    """
    check_watcher(watcher, bound.channel.name)
    refusal = _refusal(bound)
    if refusal:
        raise WatcherError(bound.channel.name, watcher, refusal)
    watch = Watch(watcher, bound.channel, functools.partial(_end, bound))
    _change(bound, lambda watches: (*watches, (watch, watcher)))
    return watch


def _end(bound: AnyBoundChannel, watch: Watch) -> None:
    _change(bound, lambda watches: tuple(pair for pair in watches if pair[0] is not watch))


def decorator(bound: AnyBoundChannel) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that lets a function watch *bound*, and returns it unchanged."""

    def begin_watch(watcher: Callable[P, R]) -> Callable[P, R]:
        watch(bound, watcher)
        return watcher

    return begin_watch


def check_watcher(watcher: object, channel: str) -> None:
    """
    Check that a call of *watcher* runs its body.

    Raises:
        WatcherError: It cannot.
    """
    if not callable(watcher):
        raise WatcherError(channel, watcher, "it is not callable; pass a function or a method")
    if is_async_callable(watcher):
        raise WatcherError(
            channel,
            watcher,
            "it is async, and the result of a watcher is dropped without awaiting it; pass a plain function, "
            "which may put the arguments into a queue for a task",
        )
    function = function_of(watcher)
    if function is not None and function.__code__.co_flags & CO_GENERATORS:
        raise WatcherError(
            channel, watcher, "it is a generator function, so a call would not run its body; pass a plain function"
        )


def synchronise(bound: AnyBoundChannel, watches: Mapping[Watch, None]) -> None:
    """Let publishes on *bound* call the watchers of *watches*, and no other watchers of all channels of its bus."""
    if _refusal(bound):
        return

    def change(present: Watches) -> Watches:
        kept = [pair for pair in present if pair[0].channel is not None or pair[0] in watches]
        new = watches.keys() - {watch for watch, _ in kept}
        return (*kept, *((watch, _receiver(watch, bound.channel)) for watch in list(watches) if watch in new))

    _change(bound, change)


def _receiver(watch: Watch, channel: Any) -> Callable[..., object]:
    """Return the function that passes the arguments of a publish on *channel* to the watcher of *watch*."""
    return lambda *args, **kwargs: watch.watcher(Published(channel, args, kwargs))


def _refusal(bound: AnyBoundChannel) -> str:
    """Return why *bound* cannot be watched, and what to do instead; "" if it can be watched."""
    failures = bound._failures  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if failures is None:
        return "the bus reports on it, and a listener there changes nothing for the publisher: subscribe the watcher"
    return failures.watch_refusal(bound.channel)


def _change(bound: AnyBoundChannel, change: Callable[[Watches], Watches]) -> None:
    shape = bound._shape or UNKNOWN  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    bound._change_watches(change, _watched(shape, bound.channel.is_async))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
