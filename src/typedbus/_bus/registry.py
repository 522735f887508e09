"""The channels of a bus and their listeners: the half of a bus without states."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from typing import Any, Final, ParamSpec

from typing_extensions import TypeVar

from typedbus._base.errors import ChannelError
from typedbus._base.events import (
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Constructed,
    Constructing,
    Disabled,
    Failed,
    LifecycleEvent,
    ListenerFailed,
    Moved,
    RolledBack,
    Subscribed,
)
from typedbus._base.states import State
from typedbus._channels.bound import BoundChannel, Subscription, bind
from typedbus._channels.channel import AnyChannel, AnyListener, Binds, Channel, Takes

Args = ParamSpec("Args")
Result = TypeVar("Result")
AnyBound = TypeVar("AnyBound", bound=BoundChannel[Any, Any])

START = Channel[[], None]("start")
STOP = Channel[[], None]("stop")
EXIT = Channel[[], None]("exit")
GRACEFUL = Channel[[], None]("graceful")
MAIN = Channel[[], None]("main")
LOG = Channel[[str, int], None]("log")
LIFECYCLE = Channel[[LifecycleEvent], None]("lifecycle")
MOVED = Channel[[Moved], None]("moved")
CONSTRUCTING = Channel[[Constructing], None]("constructing")
CONSTRUCTED = Channel[[Constructed], None]("constructed")
SUBSCRIBED = Channel[[Subscribed], None]("subscribed")
DISABLED = Channel[[Disabled], None]("disabled")
COMPONENT_STARTING = Channel[[ComponentStarting], None]("component_starting")
COMPONENT_STARTED = Channel[[ComponentStarted], None]("component_started")
COMPONENT_STOPPING = Channel[[ComponentStopping], None]("component_stopping")
COMPONENT_STOPPED = Channel[[ComponentStopped], None]("component_stopped")
COMPONENT_EXITING = Channel[[ComponentExiting], None]("component_exiting")
COMPONENT_EXITED = Channel[[ComponentExited], None]("component_exited")
FAILED = Channel[[Failed], None]("failed")
ROLLED_BACK = Channel[[RolledBack], None]("rolled_back")
LISTENER_FAILED = Channel[[ListenerFailed], None]("listener_failed")
ASSEMBLE = Channel[[], None]("assemble")
"""Published at the beginning of a start, for containers to construct and subscribe their components."""

LIFECYCLE_CHANNELS: Final = frozenset(value for value in list(vars().values()) if isinstance(value, Channel))
"""All channels above: every bus has them and publishes on them itself."""

# The levels of messages on `LOG`, as in `logging`, which is too slow to import for three numbers.
INFO: Final = 20
WARNING: Final = 30
ERROR: Final = 40


_DEEPEST: Final = 100
"""This many nested publishes on an observer channel, each by a listener of the previous, count as endless recursion."""


class _ObserverChannel(BoundChannel[Args, None]):
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
            self._refuse_recursion(self._outer(sys._getframe().f_back))
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
                    if is_endless and self._outer(sys._getframe().f_back):
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
            if self._endless and not self._outer(sys._getframe().f_back):
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
        names, channel = ", ".join(map(self._name_of, listeners)), repr(self.channel.name)
        published = " ".join(str(arg) for arg in args)
        if error is not None:
            _last_resort(f"{published}\n({names} on {channel} failed: {error!r})")
        else:
            _last_resort(
                f"{names} failed on {channel}, called with {published!r}: maximum recursion depth exceeded; "
                f"a listener of {channel} must not publish on {channel} each time that it is called"
            )


_PUBLISH: Final = _ObserverChannel.publish.__code__


class Observers:
    """The channels on which a bus publishes events: one for each kind of event, and `LIFECYCLE` for all of them."""

    __slots__ = ("_by_kind", "_lifecycle")

    def __init__(self, lock: threading.RLock) -> None:
        self._lifecycle = _ObserverChannel(LIFECYCLE, lock)
        self._by_kind: dict[type[LifecycleEvent], _ObserverChannel[[Any]]] = {
            kind: _ObserverChannel(channel, lock) for kind, channel in _EVENTS.items()
        }

    @property
    def channels(self) -> list[_ObserverChannel[[Any]]]:
        """All these channels."""
        return [self._lifecycle, *self._by_kind.values()]

    def publish(self, event: LifecycleEvent) -> None:
        """Publish *event* on the channel of its kind, and then on `LIFECYCLE`."""
        self._by_kind[type(event)].publish(event)
        self._lifecycle.publish(event)

    @property
    def of_failures(self) -> tuple[BoundChannel[..., None], ...]:
        """The channels on which a listener that failed in a publish is reported, in order."""
        return self._by_kind[ListenerFailed], self._lifecycle


# Each kind of event is mapped to the channel of that kind, which no dict type can express.
_EVENTS: Final[dict[type[LifecycleEvent], Channel[[Any], None]]] = {
    Moved: MOVED,
    Constructing: CONSTRUCTING,
    Constructed: CONSTRUCTED,
    Subscribed: SUBSCRIBED,
    Disabled: DISABLED,
    ComponentStarting: COMPONENT_STARTING,
    ComponentStarted: COMPONENT_STARTED,
    ComponentStopping: COMPONENT_STOPPING,
    ComponentStopped: COMPONENT_STOPPED,
    ComponentExiting: COMPONENT_EXITING,
    ComponentExited: COMPONENT_EXITED,
    Failed: FAILED,
    RolledBack: ROLLED_BACK,
    ListenerFailed: LISTENER_FAILED,
}


def _no_channel(given: object, expected: str) -> ChannelError:
    """Return the error for *given*, which is used as a channel, with what to write instead."""
    if isinstance(given, State):
        return ChannelError(
            given,
            f"is a state, not a channel: wait for it with bus.wait({given}), or subscribe to changes of the state "
            "with bus[MOVED].subscribe(listener)",
        )
    channel = _EVENTS.get(given) if isinstance(given, type) else None
    if channel is not None:
        name = channel.name.upper()
        return ChannelError(
            given, f"is a class of events, not a channel: they are published on {name}, as in bus[{name}]"
        )
    return ChannelError(given, f"is not a channel: {expected}")


def _last_resort(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        # There is no usable stderr (pythonw, a closed pipe), and no other place for the report.
        return


class Registry:
    """
    The channels of a bus, each with its listeners.

    Every method may be called from any thread.
    """

    def __init__(self) -> None:
        # Reentrant, since a signal handler or a finaliser may come in between.
        self._lock = threading.RLock()
        self._observers = Observers(self._lock)
        # Each channel is mapped to its own BoundChannel, which no dict type can express.
        self._bound: dict[object, Any] = {LOG: _ObserverChannel(LOG, self._lock)}
        for bound in self._observers.channels:
            self._bound[bound.channel] = bound

    def __getitem__(self, channel: Binds[AnyBound]) -> AnyBound:
        """
        Return *channel* on this bus; the same object each time.

        Raises:
            ChannelError: *channel* is not a channel but, for instance, the name of one.
        """
        bound: AnyBound | None = self._bound.get(channel)
        if bound is not None:
            return bound
        if not isinstance(channel, Channel):
            raise _no_channel(channel, "a bus is indexed with the channel object, as in bus[START]")
        kept: AnyBound = self._bound.setdefault(channel, bind(channel, self._lock, self._observers.of_failures))
        return kept

    def publish(self, channel: Channel[Args, Result], /, *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
        """Same as ``bus[channel].publish(...)``."""
        return self[channel].publish(*args, **kwargs)

    def subscribe(self, channel: Takes[AnyListener], listener: AnyListener, /, *, priority: int = 50) -> Subscription:
        """Same as ``bus[channel].subscribe(listener)``, but type checkers report errors less clearly."""
        return self._of(channel).subscribe(listener, priority=priority)

    def unsubscribe(self, channel: Takes[AnyListener], listener: AnyListener, /) -> None:
        """Same as ``bus[channel].unsubscribe(listener)``."""
        self._of(channel).unsubscribe(listener)

    def _of(self, channel: Takes[AnyListener]) -> BoundChannel[..., object]:
        if not isinstance(channel, Channel):
            raise _no_channel(channel, "give the channel object, as in bus.subscribe(START, listener)")
        return self[channel]

    @property
    def channels(self) -> tuple[AnyChannel, ...]:
        """The channels that the bus had from the beginning, then those that were looked up with ``bus[channel]``."""
        return tuple(bound.channel for bound in list(self._bound.values()))

    def _renew_lock(self) -> None:
        """Replace the lock in a forked child, where a thread that exists only in the parent may hold the old one."""
        self._lock = threading.RLock()
        for bound in list(self._bound.values()):
            bound._lock = self._lock
            # That thread may have been in the middle of a change, which the next publish must see completely.
            bound._listeners = bound._unrolled = bound._only = bound._blames = None

    def log(self, message: str, level: int = INFO) -> None:
        """Publish *message* on `LOG`; a listener that fails is reported on stderr and changes nothing for the caller."""
        self[LOG].publish(message, level)
