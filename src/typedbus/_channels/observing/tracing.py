"""Tracing of publishes, for telemetry: a function decides for each publish whether a trace takes it over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, Self, TypeAlias

import attrs

from typedbus._channels.channel import AnyChannel


@attrs.frozen(eq=False)
class TracedListener:
    """
    A listener that a traced publish calls.

    Attributes:
        channel: The channel.
        name: The name of the listener, as in failures, but without what the repr of an object contains.
        priority: Its priority when the listeners were arranged.
    """

    channel: AnyChannel
    name: str
    priority: int


class PublishTrace(Protocol):
    """
    Receives the course of one publish, in the thread or the task of the publish; its methods must not raise.

    On a concurrent channel the calls for a listener are in the task of the listener.
    """

    def listener_began(self, listener: TracedListener, /) -> Any:
        """Called before *listener*; the result is passed to `listener_ended`."""
        ...

    def listener_ended(self, listener: TracedListener, began: Any, error: BaseException | None, /) -> None:
        """Called after *listener*, which has raised *error* unless that is None; its result has been awaited."""
        ...

    def ended(self, error: BaseException | None, /) -> None:
        """Called once, at the end of the publish, which raises *error* unless that is None."""
        ...


Decide: TypeAlias = Callable[[], PublishTrace | None]
"""
Returns the trace of a publish that begins, or None if it is not traced.

Called in the thread or the task of the publish, before watchers and listeners. It must not raise. Each publish pays for it.
"""


class Tracer(Protocol):
    """Decides which publishes are traced."""

    def decider(self, channel: AnyChannel, /) -> Decide | None:
        """Return the function that decides for each publish on *channel*; None if the channel is not traced."""
        ...


class Tracing:
    """
    The tracing of channels on a bus, until it is closed.

    Args:
        tracer: Decides which publishes are traced.
        end: Called with this object by each `close`.
    """

    def __init__(self, tracer: Tracer, end: Callable[[Tracing], None]) -> None:
        self.tracer: Final = tracer
        self._end = end

    def close(self) -> None:
        """End the tracing, any number of times; traces of publishes that are under way are completed."""
        self._end(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
