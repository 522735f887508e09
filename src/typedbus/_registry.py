"""Which channels a bus has, and who listens to them: the half of a bus that knows no state."""

from __future__ import annotations

import sys
import threading
from typing import Any, Final, ParamSpec

from typing_extensions import TypeVar

from typedbus._bound import BoundChannel, Subscription, bind
from typedbus._channel import AnyChannel, AnyListener, Channel, Takes
from typedbus._failures import ChannelError, ChannelFailures
from typedbus._states import LifecycleEvent

Args = ParamSpec("Args")
Result = TypeVar("Result")

START = Channel[[], None]("start")
STOP = Channel[[], None]("stop")
EXIT = Channel[[], None]("exit")
GRACEFUL = Channel[[], None]("graceful")
MAIN = Channel[[], None]("main")
LOG = Channel[[str, int], None]("log")
LIFECYCLE = Channel[[LifecycleEvent], None]("lifecycle")
ASSEMBLE = Channel[[], None]("assemble")
"""Published at the beginning of a start, for containers to build and subscribe their components."""

INFO: Final = 20


class _ObserverChannel(BoundChannel[Args, None]):
    """A channel whose listeners look on: one that fails changes nothing for anybody."""

    __slots__ = ()

    def publish(self, /, *args: Args.args, **kwargs: Args.kwargs) -> list[None]:
        """Same as in the base class, but failures go to stderr, with what was published."""
        try:
            return super().publish(*args, **kwargs)
        except ChannelFailures as failed:
            for failure in failed.failures:
                said = " ".join(str(arg) for arg in args)
                _last_resort(f"{said}\n({failure.name} on {failure.channel!r} failed: {failure.error!r})")
            return [None for _ in failed.results]


def _last_resort(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        # There is no stderr (pythonw, a closed pipe): nowhere is left to tell it.
        return


class Registry:
    """
    The channels of a bus, each with its listeners.

    Every method may be called from any thread.
    """

    def __init__(self) -> None:
        # Reentrant, since a signal handler or a finaliser may come in between.
        self._lock = threading.RLock()
        # From each channel to its own BoundChannel, which no dict type can say.
        self._bound: dict[object, Any] = {
            LOG: _ObserverChannel(LOG, self._lock),
            LIFECYCLE: _ObserverChannel(LIFECYCLE, self._lock),
        }

    def __getitem__(self, channel: Channel[Args, Result]) -> BoundChannel[Args, Result]:
        """
        Return *channel* on this bus; the same object each time.

        Raises:
            ChannelError: *channel* is none, for instance its name.
        """
        bound: BoundChannel[Args, Result] | None = self._bound.get(channel)
        if bound is not None:
            return bound
        if not isinstance(channel, Channel):
            raise ChannelError(channel, "is no channel: a bus is indexed with the channel object, as in bus[START]")
        kept: BoundChannel[Args, Result] = self._bound.setdefault(channel, bind(channel, self._lock))
        return kept

    def publish(self, channel: Channel[Args, Result], /, *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
        """Same as ``bus[channel].publish(...)``."""
        return self[channel].publish(*args, **kwargs)

    def subscribe(self, channel: Takes[AnyListener], listener: AnyListener, /, *, priority: int = 50) -> Subscription:
        """Same as ``bus[channel].subscribe(listener)``, with a poorer message from the checkers."""
        return self._of(channel).subscribe(listener, priority=priority)

    def unsubscribe(self, channel: Takes[AnyListener], listener: AnyListener, /) -> None:
        """Same as ``bus[channel].unsubscribe(listener)``."""
        self._of(channel).unsubscribe(listener)

    def _of(self, channel: Takes[AnyListener]) -> BoundChannel[..., object]:
        if not isinstance(channel, Channel):
            raise ChannelError(channel, "is no channel: give the channel object, as in bus.subscribe(START, listener)")
        return self[channel]

    @property
    def channels(self) -> tuple[AnyChannel, ...]:
        """The channels that the bus began with and those that anybody has asked it for, in that order."""
        return tuple(bound.channel for bound in list(self._bound.values()))

    def log(self, message: str, level: int = INFO) -> None:
        """Publish *message* on `LOG`; a listener that fails there is told on stderr and changes nothing."""
        self[LOG].publish(message, level)
