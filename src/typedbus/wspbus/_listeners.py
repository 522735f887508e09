"""
Who listens, by the names of channels: a mapping of sets that is the typed bus itself.

Old code writes to ``bus.listeners`` as it likes, puts plain sets into it, and
subscribes while it goes over it. So nothing is held here: each set looks at, and
changes, the bound channel of its name, under the lock of the typed bus, and
iteration goes over what there was when it began. What typed code subscribes is
in the sets as well.
"""

from __future__ import annotations

import sys
import types
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, MutableMapping, MutableSet
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final, Protocol

from typedbus._base.errors import ListenerError
from typedbus._base.failures import Blame
from typedbus._channels.bound import BoundChannel, Subscription
from typedbus._channels.channel import DEFAULT_PRIORITY

Listener = Callable[..., Any]


class Told(BoundChannel[..., Any]):
    """A bound channel that tells of each listener that raises, before the next one is called."""

    # With a __dict__ and without slots of its own: it is mixed into classes that have some.
    tell: Callable[[str, object, BaseException], None]

    def _blame(self, listener: Listener, error: Exception, errors: list[Exception], blamed: list[Blame]) -> None:
        super()._blame(listener, error, errors, blamed)
        self.tell(self.channel.name, listener, error)


# By the identity of the class of bound channels, which the class that is made of it keeps alive.
_made: Final[weakref.WeakValueDictionary[int, type[Told]]] = weakref.WeakValueDictionary()


def told(kind: type[BoundChannel[..., Any]]) -> type[Told]:
    """Return the class that is *kind* and `Told`."""
    made = _made.get(id(kind))
    if made is None:
        _made[id(kind)] = made = type("BoundChannel", (Told, kind), {})
    return made


def priority_of(listener: object) -> Any:
    """Return the priority that *listener* brings along; an attribute that is no number, as a mock has, is none."""
    priority = getattr(listener, "priority", DEFAULT_PRIORITY)
    return priority if isinstance(priority, (int, float)) else DEFAULT_PRIORITY


_HERE: Final = str(Path(__file__).parent)


def speaker() -> tuple[str, int]:
    """Return file and line of the code that speaks to a bus: the first, from here outwards, that is not of the old names."""
    frame: types.FrameType = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


class ByName(Subscription):
    """
    The subscription of who said a name, and had no channel.

    Attributes:
        said: File and line of that.
    """

    __slots__ = ("said",)

    def __init__(self, bound: BoundChannel[Any, Any], listener: Listener, priority: Any) -> None:
        super().__init__(bound, listener, priority)
        self.said: Final = speaker()


class Listening(MutableSet[Listener]):
    """
    The listeners of one channel, as a set that follows every change; in running order.

    Attributes:
        bound: The channel on the typed bus.
        say: What publishes on it, whatever the arguments.
    """

    __slots__ = ("bound", "say")

    bound: BoundChannel[Any, Any]
    say: Callable[..., list[Any]]

    def __init__(self, bound: BoundChannel[Any, Any], *, anything: bool) -> None:
        self.hear(bound, anything=anything)

    def hear(self, bound: BoundChannel[Any, Any], *, anything: bool) -> None:
        """Be the set of *bound*; with *anything*, whatever is published goes to the listeners, the signature aside."""
        self.bound = bound
        self.say = types.MethodType(BoundChannel.publish, bound) if anything else bound.publish

    def put(self, listener: Listener, priority: Any, *, by_name: bool = True) -> None:
        """
        Subscribe *listener*; one that is subscribed gets the new priority.

        Args:
            listener: Called with what is published.
            priority: Lower runs first; 49.5 sorts as well.
            by_name: Whether the channel was given by its name.

        Raises:
            ListenerError: It cannot be called, or *priority* is no number.
        """
        name = self.bound.channel.name
        if not callable(listener):
            raise ListenerError(name, listener, "it cannot be called; give a function or a method")
        if not isinstance(priority, (int, float)):
            raise ListenerError(name, listener, f"its priority {priority!r} is no number; give one, lower runs first")
        kind = ByName if by_name else Subscription
        with self.bound._lock:
            self.bound._add(kind(self.bound, listener, priority))  # type: ignore[arg-type]  # as it says above

    def add(self, value: Listener) -> None:
        """Subscribe *value* with its own priority, unless it is here."""
        if value not in self:
            self.put(value, priority_of(value))

    def discard(self, value: Listener) -> None:
        """End the subscription of *value*, if there is one."""
        self.bound.unsubscribe(value)

    def __contains__(self, value: object) -> bool:
        return self.bound._subscription_of(value) is not None

    def __iter__(self) -> Iterator[Listener]:
        return iter([subscription.listener for subscription in self.bound.subscriptions])

    def __len__(self) -> int:
        return len(self.bound._subscriptions)

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:
        # What operators give is nobody's channel.
        return set(it)

    def copy(self) -> set[Listener]:
        """Return them in a set that follows nothing."""
        return set(self)

    def union(self, *others: Iterable[Listener]) -> set[Listener]:
        """Return them and *others*."""
        return set(self).union(*others)

    def difference(self, *others: Iterable[Listener]) -> set[Listener]:
        """Return them without *others*."""
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


class Names(Protocol):
    """What knows the channel that a name stands for."""

    def enter(self, name: Hashable) -> Listening:
        """Return the set of the channel *name*, which is made where there is none."""
        ...


_NOTHING: Final = object()


class Listeners(dict[Any, Listening]):
    """
    From the names of the channels to the sets of their listeners.

    A set that is assigned is taken over: its members are subscribed, those that
    were there are not any more, and what is read back follows the bus.
    """

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    def known(self, name: Hashable, listening: Listening) -> None:
        """Let *listening* be the set of *name*."""
        super().__setitem__(name, listening)

    def __setitem__(self, name: Hashable, listeners: AbstractSet[Listener] | Iterable[Listener]) -> None:
        wanted = list(listeners)
        listening = self._names.enter(name)
        for listener in listening:
            if listener not in wanted:
                listening.discard(listener)
        listening.update(wanted)

    def setdefault(self, name: Hashable, listeners: Iterable[Listener] = (), /) -> Listening:
        """Return the set of *name*; where there is none, one of *listeners*, that follows the bus."""
        found = self.get(name)
        if found is None:
            found = self._names.enter(name)
            found.update(listeners)
        return found

    def update(self, other: Any = (), /, **named: Iterable[Listener]) -> None:
        """Assign every set of *other*."""
        for name, listeners in {**dict(other), **named}.items():
            self[name] = listeners

    def __delitem__(self, name: Hashable) -> None:
        self.pop(name)

    def pop(self, name: Hashable, default: Any = _NOTHING, /) -> Any:
        """Forget *name* and end the subscriptions of its channel; return who they were."""
        found = self.get(name)
        if found is None:
            if default is _NOTHING:
                raise KeyError(name)
            return default
        super().pop(name)
        were = set(found)
        found.clear()
        return were

    def popitem(self) -> Any:
        """Forget one name."""
        name = list(self)[-1]
        return name, self.pop(name)

    def clear(self) -> None:
        """Forget every name, and end every subscription."""
        for name in self:
            self.pop(name, None)

    # Others may subscribe to new names meanwhile: all of these go over what there was.
    def __iter__(self) -> Iterator[Any]:
        return iter([name for name, _ in super().items()])

    def keys(self) -> Any:
        """Return the names that there are now."""
        return dict(list(super().items())).keys()

    def values(self) -> Any:
        """Return the sets that there are now."""
        return dict(list(super().items())).values()

    def items(self) -> Any:
        """Return the names that there are now, with their sets."""
        return dict(list(super().items())).items()


class Priorities(MutableMapping[tuple[Hashable, Listener], Any]):
    """
    The priority of each listener, by the name of its channel and itself; the mapping follows the bus.

    An item may be assigned for a listener that is subscribed. Deleting one, or
    all of them, changes nothing: a listener has a priority for as long as it is
    subscribed.
    """

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners

    def __getitem__(self, key: tuple[Hashable, Listener]) -> Any:
        name, listener = key
        listening = self._listeners.get(name)
        subscription = None if listening is None else listening.bound._subscription_of(listener)
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
        """Change nothing."""

    def __iter__(self) -> Iterator[tuple[Hashable, Listener]]:
        return iter([(name, listener) for name, listeners in self._listeners.items() for listener in listeners])

    def __len__(self) -> int:
        return sum(map(len, self._listeners.values()))
