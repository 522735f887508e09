"""A channel on a bus whose publish calls its listeners directly."""

from __future__ import annotations

import enum
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, overload

from typedbus._base.channel_errors import ListenerError
from typedbus._base.coroutines import CO_COROUTINE, is_async_callable
from typedbus._base.failures import Blame
from typedbus._base.thread_calls import call_in_thread
from typedbus._channels.channel import DEFAULT_PRIORITY, Args, Channel, Listener, Listens, P, Result  # noqa: F401  # Channel: in a string below
from typedbus._channels.codegen import generated, unrolled
from typedbus._channels.faces import Publishes, Subscribes, T
from typedbus._channels.subscriptions import AnyBoundChannel, Subscription

if TYPE_CHECKING:
    from typedbus._channels.attempt import Attempt
    from typedbus._channels.watching import Watch


class _Decorator(Generic[Args, Result]):
    """The decorator that `subscribe` returns when it is called without a listener."""

    __slots__ = ("_bound", "_priority")

    def __init__(self, bound: BoundChannel[Args, Result, Any], priority: int) -> None:
        self._bound = bound
        self._priority = priority

    def __call__(self, listener: Callable[Args, Result]) -> Callable[Args, Result]:
        self._bound.subscribe(listener, priority=self._priority)
        return listener


class Missing(enum.Enum):
    """The default for the listener of `subscribe`; not None, because passing None is an error to report."""

    LISTENER = enum.auto()


MISSING: Final = Missing.LISTENER


class BoundChannel(
    # A string, since at run time there are two parameters.
    AnyBoundChannel["Channel[Args, Result, Listener]"],
    Publishes[Listens[Args, Result]],
    Subscribes[Listens[Args, Result]],
    Generic[Args, Result, Listener],
):
    """
    A channel on a bus: its listeners, and publishing.

    Created by ``bus[channel]``, once for each channel, and lives as long as the
    bus. It holds strong references to its listeners. Every method may be called from
    any thread, from a signal handler and from inside a listener.
    """

    __slots__ = ()

    _compile = staticmethod(unrolled)

    def publish(self, /, *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
        """
        Call every listener and return their results in running order.

        Lower priorities run first, equal priorities in the order of subscription.
        The listeners that were subscribed when the publish began are called, in the
        calling thread, one after the other. If a listener raises, the others
        are still called. Arguments that the publisher leaves out take the defaults
        of the declaration.

        Raises:
            ChannelFailures: After the last listener, if any of them raised an
                `Exception`; it carries the results of the other listeners.
            RecursionError: At once, without calling the remaining listeners:
                they would exhaust the stack again. The `ChannelFailures` of the
                listeners that failed before is its cause.
            BaseException: `SystemExit`, `KeyboardInterrupt` and similar exceptions
                propagate in the same way; an earlier failure also turns an exit
                status of success into 1.
        """
        # For channels of the bus itself, and for the old API, which publishes any arguments on them; for any other
        # channel `bind` generates a class with the same loop.
        listeners = self._listeners
        if listeners is None:
            listeners = self._arrange()
        results: list[Result] = []
        errors: list[Exception] = []
        blames: list[Blame] = []
        try:
            for listener in listeners:
                try:
                    results.append(listener(*args, **kwargs))
                except RecursionError as leaving:
                    # No call unless it is needed: hardly any stack is left.
                    if errors:
                        self._chain_failures(leaving, errors, blames, results)
                    raise
                except Exception as error:
                    self._blame(listener, error, errors, blames)
                except BaseException as leaving:
                    self._chain_failures(leaving, errors, blames, results)
                    raise
            if errors:
                raise self._failed(errors, blames, results)
        finally:
            # The traceback of each failure holds this frame.
            del errors
        return results

    @generated
    def first(self, /, *args: Args.args, **kwargs: Args.kwargs) -> Result | None:
        """
        Call the listeners in running order until one returns something other than None, and return that, or None.

        Later listeners are not called. Listeners, order, arguments and threads are as for `publish`. A listener that
        raises has not answered: the next one is called.

        Raises:
            ChannelFailures: After the answer, or after the last listener, if any of them raised an `Exception`. It
                carries the results of the listeners that returned, the Nones and, as the last, the answer: an answer in
                place of that of a failed listener may not be the right one, so the publisher decides.
            BaseException: As for `publish`, `RecursionError` included.
        """
        raise NotImplementedError

    @generated
    def fold(
        self: Publishes[Callable[Concatenate[T, P], T | None]], value: T, /, *_args: P.args, **_kwargs: P.kwargs
    ) -> T:
        """
        Pass *value* through all listeners, and return the last value.

        The first parameter of the channel is the value. Each listener receives the result of the previous one;
        None leaves the value unchanged. The other arguments are the same for all listeners. Listeners, order and threads
        are as for `publish`. The value skips a listener that raises.

        Raises:
            ChannelFailures: After the last listener, if any of them raised an `Exception`; it carries the results of
                the other listeners.
            BaseException: As for `publish`, `RecursionError` included.
            ChannelError: The channel has no positional parameter.
        """
        raise NotImplementedError

    @generated
    def attempt(self, /, *args: Args.args, **kwargs: Args.kwargs) -> Attempt[Result]:
        """
        Call every listener, and return the answer or the failure of each, in running order.

        As `publish`, but the failures are returned together with the results, and not raised:
        ``for answer in bus[saved].attempt(page): ...`` with the result in ``answer.result``, or the exception in
        ``answer.error``.

        Raises:
            BaseException: As for `publish`, `RecursionError` included, and no other `Exception`.
        """
        raise NotImplementedError

    @overload
    def subscribe(self, listener: Callable[Args, Result], /, *, priority: int = ...) -> Subscription: ...

    @overload
    def subscribe(self, /, *, priority: int = ...) -> Callable[[Callable[Args, Result]], Callable[Args, Result]]: ...

    def subscribe(
        self, listener: Callable[Args, Result] | Missing = MISSING, /, *, priority: int = DEFAULT_PRIORITY
    ) -> Subscription | Callable[[Callable[Args, Result]], Callable[Args, Result]]:
        """
        Call *listener* at each later publish, until the subscription ends.

        Without a listener it returns a decorator, which returns the function unchanged;
        for type checkers the function has the channel's signature from then on. A listener
        that is already subscribed keeps its subscription, which takes the new
        priority. Listeners are compared by equality, as bound methods require;
        unhashable listeners by identity.

        Args:
            listener: Called with the published arguments.
            priority: Lower runs first.

        Raises:
            ListenerError: The listener cannot be called, or *priority* is not an int; or the listener is async,
                and the channel does not declare an awaitable as its result.
        """
        if listener is MISSING:
            return _Decorator(self, priority)
        if not (callable(listener) and isinstance(priority, int)):
            raise self._refusal(listener, priority)
        # The first line decides for most listeners, in a tenth of the time of a subscription.
        if (
            (type(listener) is not FunctionType or listener.__code__.co_flags & CO_COROUTINE)
            and is_async_callable(listener)
            and not self.channel.returns_awaitables()
        ):
            raise ListenerError(
                self.channel.name,
                listener,
                "it is async, and publishing on a Channel does not await it; declare the channel as an AsyncChannel, "
                "or pass a plain function",
            )
        return self._add(Subscription(self, listener, priority))

    @overload
    def watch(self, watcher: Callable[Args, object], /) -> Watch: ...

    @overload
    def watch(self, /) -> Callable[[Callable[Args, T]], Callable[Args, T]]: ...

    def watch(
        self, watcher: Callable[Args, object] | Missing = MISSING, /
    ) -> Watch | Callable[[Callable[Args, T]], Callable[Args, T]]:
        """
        Call *watcher* with the arguments of each later publish, before the listeners, until the watch ends.

        Its result is dropped, so it has no part in the results of the publish. `first`, `fold` and `attempt` call it as
        well, `fold` with the value that is passed in. Watchers are called in the order of the watches, in the thread
        of the publish, with the defaults of the declaration for arguments that the publisher leaves out. A watcher
        that raises is logged on `LOG`, as an error with its traceback, and changes nothing for the publisher, the
        listeners and the other watchers; `RecursionError` and exceptions such as `SystemExit` that are not an
        `Exception` propagate before any listener is called. A watcher may watch several times, and is then called
        several times.

        Without a watcher it returns a decorator, which returns the function unchanged.

        Raises:
            WatcherError: The watcher cannot be called, or is async or a generator function; or the bus publishes on the
                channel itself, as on `LOG`, `START` and the channels of events.
        """
        from typedbus._channels.watching import decorator  # a program without watchers does not need it

        return decorator(self) if watcher is MISSING else super().watch(watcher)

    async def publish_in_thread(self, /, *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
        """
        Publish in a worker thread of the running event loop, and await the end: for listeners that block.

        The thread runs in a copy of the context. A cancellation ends the await; the thread cannot be interrupted, and
        calls the remaining listeners. If they fail then, the exception handler of the loop gets the `ChannelFailures`;
        by default it logs them.

        Raises:
            ChannelFailures: As for `publish`.
        """
        return await call_in_thread(self.publish, *args, **kwargs)

    def unsubscribe(self, listener: Callable[Args, Result], /) -> None:
        """End the subscription of *listener*, if there is one."""
        self._unsubscribe(listener)


if not TYPE_CHECKING:
    # At run time BoundChannel[[int], str] keeps the two arguments that were written; validation reads them.
    BoundChannel.__parameters__ = (Args, Result)
