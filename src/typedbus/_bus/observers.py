"""The channels on which a bus reports: listeners that fail there change nothing for the publisher."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from typing import Any, Final, ParamSpec

from typedbus._base.events import LifecycleEvent, ListenerFailed
from typedbus._base.failures import describe, place_of, traceback_of
from typedbus._bus.builtin import ERROR, EVENT_CHANNELS, LIFECYCLE, LIFECYCLE_CHANNELS, RUNS
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import AnyChannel, Channel

Args = ParamSpec("Args")

_DEEPEST: Final = 100
"""This many nested publishes on an observer channel, each by a listener of the previous, count as endless recursion."""


class ObserverChannel(BoundChannel[Args, None]):
    """A channel for reports: a failing listener affects neither the publisher nor the other listeners."""

    __slots__ = ("_depth", "_endless")

    def __init__(self, channel: Channel[Args, None], lock: threading.RLock) -> None:
        super().__init__(channel, lock)
        # The number of publishes under way. An estimate, since all threads count here without a lock.
        self._depth = 0
        # By thread, until its outermost publish has ended: the listener that recursed without end.
        self._endless: dict[int, Callable[Args, None]] = {}

    def publish(self, /, *args: Args.args, **kwargs: Args.kwargs) -> list[None]:
        """
        Call every listener; each failure is written to stderr, with the published arguments.

        A listener that publishes on this channel each time that it is called
        gets a `RecursionError`. The error propagates out of every publish on this
        channel but the outermost, which continues with the next listener and names all
        such listeners in one line on stderr. Until then all publishes by listeners
        raise it, so that the recursion ends even if they catch it.

        Raises:
            RecursionError: Only to a listener of this channel that publishes on it.
        """
        if self._depth >= _DEEPEST or self._endless:
            self._refuse_recursion(self._outer(sys._getframe().f_back))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        listeners = self._listeners
        if listeners is None:
            listeners = self._arrange()
        results: list[None] = []
        endless: list[Callable[Args, None]] = []
        try:
            self._depth += 1
            for listener in listeners:
                try:
                    results.append(listener(*args, **kwargs))
                except Exception as error:
                    thread = threading.get_ident()
                    is_endless = isinstance(error, RecursionError) or thread in self._endless
                    if is_endless and self._outer(sys._getframe().f_back):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                        # The next listener would exhaust the stack again, and so on at each level.
                        self._endless.setdefault(thread, listener)
                        raise
                    if self._endless.pop(thread, None) is not None:
                        endless.append(listener)
                        continue
                    try:
                        self._report([listener], error, args)
                    except RecursionError:
                        # The publisher itself has hardly any stack left.
                        continue
            if self._endless and not self._outer(sys._getframe().f_back):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                # The listener has caught the error.
                caught = self._endless.pop(threading.get_ident(), None)
                endless += [] if caught is None else [caught]
        finally:
            if self._depth:
                self._depth -= 1
        if endless:
            self._report(endless, None, args)
        return results

    def _outer(self, frame: types.FrameType | None) -> list[types.FrameType]:
        """Return the frames of this channel's publishes from *frame* outwards; the caller runs inside all of them."""
        frames = []
        while frame is not None:
            if frame.f_code is _PUBLISH and frame.f_locals["self"] is self:
                frames.append(frame)
            frame = frame.f_back
        return frames

    def _refuse_recursion(self, outer: list[types.FrameType]) -> None:
        """Raise `RecursionError` in a publish inside the publishes *outer* if their recursion is endless."""
        thread = threading.get_ident()
        if not outer:
            self._endless.pop(thread, None)
        elif len(outer) >= _DEEPEST:
            self._endless.setdefault(thread, outer[-1].f_locals["listener"])
        if thread in self._endless:
            raise RecursionError(f"a listener of {self.channel.name!r} publishes on it each time that it is called")
        self._depth = min(self._depth, len(outer))

    def _report(self, listeners: list[Callable[Args, None]], error: Exception | None, args: tuple[object, ...]) -> None:
        """Write to stderr that *listeners* raised *error*, or, if it is None, that they recursed without end."""
        names, channel = ", ".join(map(self.name_of, listeners)), repr(self.channel.name)
        published = " ".join(str(arg) for arg in args)
        if error is not None:
            _last_resort(f"{published}\n({names} on {channel} failed: {error!r})")
        else:
            _last_resort(
                f"{names} failed on {channel}, called with {published!r}: maximum recursion depth exceeded; "
                f"a listener of {channel} must not publish on {channel} each time that it is called"
            )


_PUBLISH: Final = ObserverChannel.publish.__code__


class Observers:
    """
    The channels on which a bus publishes events: one for each kind of event, and `LIFECYCLE` for all of them.

    Failures in publishes are reported on them, and failures of watchers on `LOG`.
    """

    __slots__ = ("_by_kind", "_lifecycle", "_log", "_runs")

    def __init__(self, lock: threading.RLock, log: ObserverChannel[[str, int]]) -> None:
        self._log = log
        self._lifecycle = ObserverChannel(LIFECYCLE, lock)
        self._runs = ObserverChannel(RUNS, lock)
        self._by_kind: dict[type[LifecycleEvent], ObserverChannel[[Any]]] = {
            kind: ObserverChannel(channel, lock) for kind, channel in EVENT_CHANNELS.items()
        }

    @property
    def channels(self) -> list[ObserverChannel[[Any]]]:
        """All these channels."""
        return [self._lifecycle, *self._by_kind.values(), self._runs]

    def publish(self, event: LifecycleEvent) -> None:
        """Publish *event* on the channel of its kind, and then on `LIFECYCLE`."""
        self._by_kind[type(event)].publish(event)
        self._lifecycle.publish(event)

    def listener_failed(
        self, channel: AnyChannel, name: str, listener: Callable[..., object], error: Exception, /
    ) -> None:
        """Publish a `ListenerFailed`; nothing is created if no listener would receive it."""
        if self._by_kind[ListenerFailed].has_listeners or self._lifecycle.has_listeners:
            self.publish(ListenerFailed(name, channel.name, error))

    def watcher_failed(self, channel: AnyChannel, watcher: Callable[..., object], error: Exception, /) -> None:
        """Log *error* with its traceback."""
        text = f"watcher {describe(watcher)} ({place_of(watcher)}) of channel {channel.name!r} failed"
        self._log.publish(f"{text}:\n{traceback_of(error)}", ERROR)

    def watch_refusal(self, channel: AnyChannel, /) -> str:
        """Return why *channel* cannot be watched if it is a channel of the life cycle; else ""."""
        if channel not in LIFECYCLE_CHANNELS:
            return ""
        return "the bus calls its listeners itself: subscribe to MOVED or LIFECYCLE of typedbus.events, or subscribe the watcher"


def _last_resort(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        # There is no usable stderr (pythonw, a closed pipe), and no other place for the report.
        return
