"""The interfaces of the objects that a bound channel uses: substitutes for listeners, its observer, sink and runner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from typedbus._base.failures import calls_listener
from typedbus._channels.channel import AnyChannel, R
from typedbus._channels.codegen import Shape

if TYPE_CHECKING:
    from typedbus._channels.subscriptions import Entries, Subscription


class FailureSink(Protocol):
    """Receives the failures of listeners in a publish."""

    def listener_failed(
        self, channel: AnyChannel, name: str, listener: Callable[..., object], error: Exception, /
    ) -> None:
        """Called in the thread of the publish, after *listener* has raised *error* and before the next is called."""

    def watcher_failed(self, channel: AnyChannel, watcher: Callable[..., object], error: Exception, /) -> None:
        """Called in the same way after *watcher* has raised *error*."""

    def watch_refusal(self, channel: AnyChannel, /) -> str:
        """Return why *channel* cannot be watched, and what to do instead; "" if it can be watched."""
        ...


class Substitute:
    """
    A callable that a publish calls in place of a listener, and that calls the listener.

    Attributes:
        subscription: The subscription of the listener.
    """

    __slots__ = ("subscription",)

    def __init__(self, subscription: Subscription) -> None:
        self.subscription: Final = subscription

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the listener, and return its result."""
        raise NotImplementedError


class TimedListener(Substitute):
    """The substitute for a timed listener."""

    __slots__ = ("_call",)

    def __init__(
        self,
        subscription: Subscription,
        call: Callable[[Subscription, tuple[Any, ...], dict[str, Any]], Any],
    ) -> None:
        super().__init__(subscription)
        self._call = call

    @calls_listener
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._call(self.subscription, args, kwargs)


class Observer(Protocol):
    """
    Counts the publishes of a bound channel.

    Attributes:
        entries: The functions that `publish` and the other verbs call after a change of the listeners.
    """

    entries: Entries

    def arranged(
        self, subscriptions: Sequence[Subscription], listeners: tuple[Callable[..., Any], ...], /
    ) -> tuple[Callable[..., Any], ...]:
        """Return the callables that a publish calls for *listeners*, those of *subscriptions*."""
        ...

    def compile(self, shape: Shape, listeners: tuple[Callable[..., Any], ...], /) -> Callable[..., Any]:
        """Return a function that publishes to exactly *listeners*, which `arranged` returned."""
        ...

    def count(self, publish: Callable[..., R], /, *args: Any, **kwargs: Any) -> R:
        """Call *publish*, and count the publish."""
        ...

    async def run(self, run: Callable[[Any, Any], Awaitable[R]], plan: Any, call: Any, /) -> R:
        """Await *run* with *plan* and *call*, the listeners of a concurrent channel, and count the publish."""
        ...


class CoroutineRunner(Protocol):
    """Runs async functions on the event loop of a bus, for callers in other threads."""

    def __call__(self, action: str, function: Callable[[], Coroutine[Any, Any, R]], /) -> R:
        """Await *function* there, and return its result or raise its exception; *action* names the call in a `LoopError`."""
        ...
