"""A channel on a bus whose publish awaits its listeners, one after the other."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Protocol, overload

from typedbus._base.channel_errors import ListenerCancelled
from typedbus._channels.async_channel import AsyncListener, AsyncListens
from typedbus._channels.async_codegen import is_awaitable, unrolled
from typedbus._channels.async_faces import AsyncPublishes, AsyncSubscribes
from typedbus._channels.bound import MISSING, Missing
from typedbus._channels.channel import DEFAULT_PRIORITY, Args, P, Result
from typedbus._channels.codegen import generated
from typedbus._channels.faces import T
from typedbus._channels.roles import CoroutineRunner, FailureSink
from typedbus._channels.subscriptions import AnyBoundChannel, Subscription

if TYPE_CHECKING:
    from types import CoroutineType  # noqa: F401  # as in `bound`

    from typedbus._channels.async_channel import AsyncChannel
    from typedbus._channels.attempt import Attempt
    from typedbus._channels.watching import Watch


class _Decorator(Protocol[Args, Result]):
    """The decorator that `subscribe` returns when it is called without a listener."""

    @overload
    def __call__(
        self, listener: Callable[Args, Coroutine[Any, Any, Result]], /
    ) -> Callable[Args, Coroutine[Any, Any, Result]]: ...

    @overload
    def __call__(self, listener: Callable[Args, Result], /) -> Callable[Args, Result]: ...

    @overload
    def __call__(
        self, listener: Callable[Args, Result | Awaitable[Result]], /
    ) -> Callable[Args, Result | Awaitable[Result]]: ...

    def __call__(self, listener: Any, /) -> Any:
        """Subscribe *listener*, and return it."""


class AsyncBoundChannel(
    AnyBoundChannel["AsyncChannel[Args, Result, AsyncListener]"],
    # The type of async functions for pyright; at run time it takes no arguments before Python 3.13.
    AsyncPublishes["Callable[Args, CoroutineType[Any, Any, Result]]"],
    AsyncSubscribes[AsyncListens[Args, Result]],
    Generic[Args, Result, AsyncListener],
):
    """
    An async channel on a bus: its listeners, and publishing.

    Created by ``bus[channel]``, once for each channel, and lives as long as the bus. It holds strong references to
    its listeners. A publish is awaited on an event loop, at any time on any loop; every other method may be called
    from any thread, from a signal handler and from inside a listener.
    """

    __slots__ = ("_run_on_loop",)

    _compile = staticmethod(unrolled)
    _is_awaitable = staticmethod(is_awaitable)

    def __init__(
        self,
        channel: AsyncChannel[Args, Result, AsyncListener],
        lock: threading.RLock,
        failures: FailureSink,
        run_on_loop: CoroutineRunner,
    ) -> None:
        super().__init__(channel, lock, failures)
        self._run_on_loop = run_on_loop

    async def publish(self, /, *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
        """
        Call and await every listener; the result of the coroutine is the list of their results in running order.

        Lower priorities run first, equal priorities in the order of subscription. The listeners that are subscribed
        at the time of the call run when the coroutine is awaited: one after the other, in the task and the context of
        the publisher. On a concurrent channel the listeners of one priority run concurrently, each in a task of its
        own and in a copy of the context. If a listener raises, the others still run. Arguments that the publisher
        leaves out take the defaults of the declaration.

        Cancelling the publisher cancels the listener that it awaits, and calls no other; on a concurrent channel all
        running listeners are cancelled, and awaited. A listener that suppresses the cancellation suppresses it for the
        publish as well, unless the channel is concurrent. A listener that ends with `CancelledError` while its
        publisher is not being cancelled has failed, with `ListenerCancelled`.

        Raises:
            ChannelFailures: After the last listener, if any of them raised an `Exception`; it carries the results of
                the other listeners.
            asyncio.CancelledError: The publisher was cancelled. The `ChannelFailures` of the listeners that failed
                before is its cause.
            RecursionError: At once, in the same way; on a concurrent channel the running listeners are cancelled.
            BaseException: `SystemExit`, `KeyboardInterrupt` and similar exceptions propagate in the same way; an
                earlier failure also turns an exit status of success into 1.
        """
        raise NotImplementedError  # the class that `bind` generates has the method

    @generated
    async def first(self, /, *args: Args.args, **kwargs: Args.kwargs) -> Result | None:
        """
        Call and await the listeners in running order until one returns something other than None.

        The result of the coroutine is that result, or None. Failures are as for `BoundChannel.first`; everything else
        is as for `publish`, but the listeners of a concurrent channel run one after the other.
        """
        raise NotImplementedError

    @generated
    async def fold(
        self: AsyncPublishes[Callable[Concatenate[T, P], Awaitable[T | None]]],
        value: T,
        /,
        *_args: P.args,
        **_kwargs: P.kwargs,
    ) -> T:
        """
        Pass *value* through all listeners; the result of the coroutine is the last value.

        Values and failures are as for `BoundChannel.fold`; everything else is as for `publish`, but the listeners of a
        concurrent channel run one after the other.
        """
        raise NotImplementedError

    @generated
    async def attempt(self, /, *args: Args.args, **kwargs: Args.kwargs) -> Attempt[Result]:
        """
        Call and await every listener; the result of the coroutine has the answer or the failure of each, in running order.

        As `publish`, but the failures are returned together with the results, and not raised.

        Raises:
            BaseException: As for `publish`, `asyncio.CancelledError` and `RecursionError` included, and no other `Exception`.
        """
        raise NotImplementedError

    def publish_from_thread(self, /, *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
        """
        Publish on the event loop of the bus, and wait in this thread, which must not run an event loop itself.

        For sync hooks and listeners, and other threads. The listeners run as for `publish`, in a task of its own and
        in a copy of the context of the caller. An exception in the waiting thread, such as `KeyboardInterrupt`, cancels
        the publish.

        Raises:
            LoopError: An event loop runs in this thread, the bus has exited, or its event loop ended before the publish.
            BaseException: As for `publish`. `SystemExit` is raised in this thread only, and so does not end the loop.
        """
        action = f"publish_from_thread() on channel {self.channel.name!r}"
        return self._run_on_loop(action, functools.partial(self.publish, *args, **kwargs))

    @overload
    def subscribe(
        self, listener: Callable[Args, Result | Awaitable[Result]], /, *, priority: int = ...
    ) -> Subscription: ...

    @overload
    def subscribe(self, /, *, priority: int = ...) -> _Decorator[Args, Result]: ...

    def subscribe(
        self,
        listener: Callable[Args, Result | Awaitable[Result]] | Missing = MISSING,
        /,
        *,
        priority: int = DEFAULT_PRIORITY,
    ) -> Any:
        """
        Call *listener* at each later publish, until the subscription ends; see `BoundChannel.subscribe`.

        Args:
            listener: Called with the published arguments, in the thread of the publisher's event loop. It may be async.
            priority: Lower runs first.

        Raises:
            ListenerError: The listener cannot be called, or *priority* is not an int.
        """
        if listener is MISSING:

            def subscribe(listener: Any, /) -> Any:
                self.subscribe(listener, priority=priority)
                return listener

            return subscribe
        if not (callable(listener) and isinstance(priority, int)):
            raise self._refusal(listener, priority)
        return self._add(Subscription(self, listener, priority))

    @overload
    def watch(self, watcher: Callable[Args, object], /) -> Watch: ...

    @overload
    def watch(self, /) -> Callable[[Callable[Args, T]], Callable[Args, T]]: ...

    def watch(
        self, watcher: Callable[Args, object] | Missing = MISSING, /
    ) -> Watch | Callable[[Callable[Args, T]], Callable[Args, T]]:
        """
        Call *watcher* with the arguments of each later publish, until the watch ends; see `BoundChannel.watch`.

        It is a plain function, called when the publish begins to run, before the first listener, in the task of the
        publisher.

        Raises:
            WatcherError: The watcher cannot be called, or is async or a generator function.
        """
        from typedbus._channels.watching import decorator  # a program without watchers does not need it

        return decorator(self) if watcher is MISSING else super().watch(watcher)

    def unsubscribe(self, listener: Callable[Args, Result | Awaitable[Result]], /) -> None:
        """End the subscription of *listener*, if there is one."""
        self._unsubscribe(listener)

    @staticmethod
    def _own_cancellation(error: BaseException) -> ListenerCancelled | None:
        """Return the failure for *error* if a listener ended with CancelledError on its own; else None."""
        if not isinstance(error, asyncio.CancelledError):
            return None
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return None  # no loop of asyncio runs here
        if task is None or task.cancelling():
            return None
        return listener_cancelled(error)


def listener_cancelled(error: asyncio.CancelledError) -> ListenerCancelled:
    """Return the failure of a listener that ended with *error* on its own, with the traceback of *error*."""
    failure = ListenerCancelled().with_traceback(error.__traceback__)
    failure.__cause__ = error
    return failure


if not TYPE_CHECKING:
    # As for `BoundChannel`.
    AsyncBoundChannel.__parameters__ = (Args, Result)
