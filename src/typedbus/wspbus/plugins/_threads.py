"""Numbers for the threads of a server, and channels for their start and end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from typedbus._base.failures import ChannelFailures as TypedFailures
from typedbus._bus.bus import Bus as TypedBus
from typedbus._channels.channel import Channel
from typedbus.plugins.threads import THREAD_ENDED, THREAD_STARTED, Threads
from typedbus.wspbus._states import ChannelFailures
from typedbus.wspbus.plugins._simple import SimplePlugin

if TYPE_CHECKING:
    from typedbus.wspbus._bus import Bus

_OLD_NAMES: Final = {THREAD_STARTED: "start_thread", THREAD_ENDED: "stop_thread"}


class ThreadManager(SimplePlugin):
    """
    Publishes ``start_thread`` and ``stop_thread``, with a number, for threads that publish ``acquire_thread``.

    A server publishes ``acquire_thread`` in the thread that handles a request, and
    ``release_thread`` when that thread ends, if the server can detect it. Numbers
    are never reused. The end of a thread without ``release_thread`` is published
    when the next thread is acquired, or at the stop.

    Args:
        bus: The bus to publish on; `THREAD_STARTED` and `THREAD_ENDED` of its typed bus are published as well.
    """

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        for name in ("acquire_thread", "start_thread", "release_thread", "stop_thread"):
            bus.listeners.setdefault(name, set())
        self._threads = Threads(cast("TypedBus", _BothBuses(bus)))

    @property
    def threads(self) -> dict[int | None, int]:
        """Maps the idents of the threads that have a number to these numbers."""
        return {thread.ident: number for thread, number in self._threads.by_thread.items()}

    def acquire_thread(self) -> None:
        """Publish ``start_thread`` for this thread, unless it has a number."""
        self._threads.acquire()

    def release_thread(self) -> None:
        """Publish ``stop_thread`` for this thread, if it has a number."""
        self._threads.release()

    def stop(self) -> None:
        """Publish ``stop_thread`` for each thread that has a number."""
        self._threads.stop()

    graceful = stop


class _BothBuses:
    """The bus for `Threads`: each of its channels publishes under the old name, and then on the typed bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def __getitem__(self, channel: Channel[[int], None]) -> _BothChannels:
        return _BothChannels(self._bus, channel)


class _BothChannels:
    """A channel of `_BothBuses`."""

    def __init__(self, bus: Bus, channel: Channel[[int], None]) -> None:
        self._bus = bus
        self._channel = channel

    def publish(self, number: int) -> None:
        try:
            self._bus.publish(_OLD_NAMES[self._channel], number)
        except ChannelFailures as failed:
            # `Threads` continues after the failures that it expects.
            raise cast("TypedFailures", failed.__cause__) from None
        finally:
            self._bus.typed[self._channel].publish(number)
