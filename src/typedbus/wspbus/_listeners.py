"""
The listeners by channel name: a mapping of sets that is a live view of the typed bus.

Old code writes to ``bus.listeners`` freely, puts plain sets into it, and subscribes
while it iterates over it. So no state is stored here: each set reads and changes
the bound channel of its name, under the lock of the typed bus, and iteration covers
the content at its beginning. Listeners that typed code subscribes are in the sets
as well.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Hashable, Iterable, Iterator, MutableMapping, MutableSet
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final

from typedbus._base.channel_errors import ListenerError
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import DEFAULT_PRIORITY
from typedbus._channels.subscriptions import Subscription, add

Listener = Callable[..., Any]


def priority_of(listener: object) -> Any:
    """Return the ``priority`` of *listener*; the default if it is missing or not a number, as in a mock."""
    priority = getattr(listener, "priority", DEFAULT_PRIORITY)
    return priority if isinstance(priority, (int, float)) else DEFAULT_PRIORITY


_HERE: Final = str(Path(__file__).parent)


def caller_place() -> tuple[str, int]:
    """Return file and line of the code that calls the bus: the innermost frame outside this package."""
    frame: types.FrameType = sys._getframe(1)  # noqa: SLF001  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


class ByName(Subscription):
    """
    A subscription that was made by a channel name, without a channel object.

    Attributes:
        subscribed_at: File and line of the call.
    """

    __slots__ = ("subscribed_at",)

    def __init__(self, bound: BoundChannel[Any, Any], listener: Listener, priority: Any) -> None:
        super().__init__(bound, listener, priority)
        self.subscribed_at: Final = caller_place()


class ListenerSet(MutableSet[Listener]):
    """
    The listeners of one channel in running order, as a live set.

    Attributes:
        bound: The channel on the typed bus.
        publish: The function that publishes on it.
    """

    __slots__ = ("bound", "publish")

    bound: BoundChannel[Any, Any]
    publish: Callable[..., list[Any]]

    def __init__(self, bound: BoundChannel[Any, Any], *, accepts_anything: bool) -> None:
        self.bind_to(bound, accepts_anything=accepts_anything)

    def bind_to(self, bound: BoundChannel[Any, Any], *, accepts_anything: bool) -> None:
        """Become the set of *bound*; with *accepts_anything*, its signature does not limit the arguments of a publish."""
        self.bound = bound
        self.publish = types.MethodType(BoundChannel.publish, bound) if accepts_anything else bound.publish

    def put(self, listener: Listener, priority: Any, *, by_name: bool = True) -> None:
        """
        Subscribe *listener*; if it is subscribed already, it gets the new priority.

        Args:
            listener: Called with the published arguments.
            priority: Lower runs first; floats such as 49.5 are allowed.
            by_name: Whether the channel was given by its name.

        Raises:
            ListenerError: *listener* is not callable, or *priority* is not a number.
        """
        name = self.bound.channel.name
        if not callable(listener):
            raise ListenerError(name, listener, "it is not callable; pass a function or a method")
        if not isinstance(priority, (int, float)):
            raise ListenerError(name, listener, f"its priority {priority!r} is not a number; lower numbers run first")
        kind = ByName if by_name else Subscription
        add(kind(self.bound, listener, priority))  # type: ignore[arg-type]  # floats are allowed here

    def add(self, value: Listener) -> None:
        """Subscribe *value* with its own priority, unless it is subscribed."""
        if value not in self:
            self.put(value, priority_of(value))

    def discard(self, value: Listener) -> None:
        """End the subscription of *value*, if there is one."""
        self.bound.unsubscribe(value)

    def __contains__(self, value: object) -> bool:
        return self.bound.subscription_of(value) is not None

    def __iter__(self) -> Iterator[Listener]:
        return iter([subscription.listener for subscription in self.bound.subscriptions])

    def __len__(self) -> int:
        return len(self.bound.subscriptions)

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:
        # The results of set operators are plain sets, without a channel.
        return set(it)

    def copy(self) -> set[Listener]:
        """Return the listeners as a plain set."""
        return set(self)

    def union(self, *others: Iterable[Listener]) -> set[Listener]:
        """Return the listeners and *others* as a plain set."""
        return set(self).union(*others)

    def difference(self, *others: Iterable[Listener]) -> set[Listener]:
        """Return the listeners without *others* as a plain set."""
        return set(self).difference(*others)

    def update(self, *others: Iterable[Listener]) -> None:
        """Subscribe all of *others*."""
        for other in others:
            for listener in other:
                self.add(listener)

    def difference_update(self, *others: Iterable[Listener]) -> None:
        """End the subscriptions of all of *others*."""
        for other in others:
            for listener in list(other):
                self.discard(listener)

    def __repr__(self) -> str:
        return repr(set(self))


_NOTHING: Final = object()


class Listeners(dict[Any, ListenerSet]):
    """
    Maps channel names to the sets of their listeners.

    Assigning a set subscribes its members and unsubscribes all others; reading it
    back returns a live set.
    """

    def __init__(self, find_or_create: Callable[[Hashable], ListenerSet]) -> None:
        super().__init__()
        self._find_or_create = find_or_create

    def put(self, name: Hashable, listeners: ListenerSet) -> None:
        """Store *listeners* as the set of *name*."""
        super().__setitem__(name, listeners)

    def __setitem__(self, name: Hashable, listeners: AbstractSet[Listener] | Iterable[Listener]) -> None:
        wanted = list(listeners)
        current = self._find_or_create(name)
        for listener in current:
            if listener not in wanted:
                current.discard(listener)
        current.update(wanted)

    def setdefault(self, name: Hashable, listeners: Iterable[Listener] = (), /) -> ListenerSet:
        """Return the live set of *name*, which is created with *listeners* if it is missing."""
        current = self.get(name)
        if current is None:
            current = self._find_or_create(name)
            current.update(listeners)
        return current

    def update(self, other: Any = (), /, **named: Iterable[Listener]) -> None:
        """Assign every set of *other*."""
        for name, listeners in {**dict(other), **named}.items():
            self[name] = listeners

    def __delitem__(self, name: Hashable) -> None:
        self.pop(name)

    def pop(self, name: Hashable, default: Any = _NOTHING, /) -> Any:
        """Remove *name* and end the subscriptions of its channel; return the former listeners."""
        current = self.get(name)
        if current is None:
            if default is _NOTHING:
                raise KeyError(name)
            return default
        super().pop(name)
        former = set(current)
        current.clear()
        return former

    def popitem(self) -> Any:
        """Remove the last name, and return it with its former listeners."""
        name = list(self)[-1]
        return name, self.pop(name)

    def clear(self) -> None:
        """Remove every name, and end every subscription."""
        for name in self:
            self.pop(name, None)

    # Other threads may subscribe to new names meanwhile, so these iterate over a copy.
    def __iter__(self) -> Iterator[Any]:
        return iter([name for name, _ in super().items()])

    def keys(self) -> Any:
        """Return the current names."""
        return dict(list(super().items())).keys()

    def values(self) -> Any:
        """Return the current sets."""
        return dict(list(super().items())).values()

    def items(self) -> Any:
        """Return the current names with their sets."""
        return dict(list(super().items())).items()


class Priorities(MutableMapping[tuple[Hashable, Listener], Any]):
    """
    The priority of each listener, by channel name and listener, as a live mapping.

    An item may be assigned for a subscribed listener. Deleting one item, or all
    of them, has no effect: a listener has a priority for as long as it is
    subscribed.
    """

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners

    def __getitem__(self, key: tuple[Hashable, Listener]) -> Any:
        name, listener = key
        current = self._listeners.get(name)
        subscription = None if current is None else current.bound.subscription_of(listener)
        if subscription is None:
            raise KeyError(key)
        return subscription.priority

    def __setitem__(self, key: tuple[Hashable, Listener], priority: Any) -> None:
        if key not in self:
            raise KeyError(key)
        name, listener = key
        self._listeners[name].put(listener, priority)

    def __delitem__(self, key: tuple[Hashable, Listener]) -> None:
        if key not in self:
            raise KeyError(key)

    def clear(self) -> None:
        """Do nothing."""

    def __iter__(self) -> Iterator[tuple[Hashable, Listener]]:
        return iter([(name, listener) for name, listeners in self._listeners.items() for listener in listeners])

    def __len__(self) -> int:
        return sum(map(len, self._listeners.values()))
