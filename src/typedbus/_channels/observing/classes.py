"""
Classes for observed channels that do not call an unrolled function in `publish`.

These are channels with concurrent listeners, and channels without a generated `publish`. While such a channel is
observed, its class is a subclass that counts, so that publishes on other channels pay for no check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import Args, Result

if TYPE_CHECKING:
    from typedbus._channels.subscriptions import AnyBoundChannel


class Observed:
    """A base of the class of an observed channel."""

    __slots__ = ()


class ObservedPublish(Observed, BoundChannel[Args, Result]):
    """A base for channels without a generated `publish`."""

    __slots__ = ()

    def publish(self, /, *args: Any, **kwargs: Any) -> list[Any]:
        """Publish, and count it; see `BoundChannel.publish`."""
        observer = self._observer
        if observer is None:  # the observation has ended since the method was read
            return super().publish(*args, **kwargs)
        return observer.count(super().publish, *args, **kwargs)


def observe(bound: AnyBoundChannel) -> None:
    """Make publishes on *bound* pass through its observer."""
    cls = type(bound)
    if issubclass(cls, Observed):
        return
    base: type[Any]
    if getattr(bound.channel, "concurrent", False):
        from typedbus._channels.observing.concurrent import ObservedConcurrent  # it imports asyncio

        base = ObservedConcurrent
    elif bound._shape is None:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        base = ObservedPublish
    else:
        return
    bound.__class__ = type(cls.__name__, (base, cls), {"__slots__": ()})


def release(bound: AnyBoundChannel) -> None:
    """Undo `observe`."""
    cls = type(bound)
    if issubclass(cls, Observed):
        bound.__class__ = cls.__bases__[1]
