"""
Which methods of a component listen to which channels, and their subscriptions.

A method listens by its name, if it is the name of a life-cycle channel; by a
mark, the decorator `@on`; or by declaration, as an argument of `Component.on`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import attrs

from typedbus._base.limits import StartNode
from typedbus._base.methods import held_by, layers, name_of
from typedbus._base.static import (
    MISSING,
    bases_of,
    inherits,
    is_a,
    lookup,
    module_of,
    namespace_of,
    stored,
)
from typedbus._bus.builtin import EXIT, GRACEFUL, LIFECYCLE_CHANNELS, LOG, MAIN, START, STOP
from typedbus._bus.bus import Bus, parts_of
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import DEFAULT_PRIORITY, MARK, AnyChannel, Channel, Hook
from typedbus._channels.subscriptions import Subscription, add
from typedbus._container.component import Component
from typedbus._container.misfits import NamedHook, misfit

#: The channels to which a method listens if it has their name.
NAMED_HOOKS = {channel.name: channel for channel in (START, STOP, EXIT, GRACEFUL, MAIN, LOG)}
#: The channels whose hooks are called in the order of the dependency graph.
PHASED = (START, STOP, EXIT, GRACEFUL)


class Starts(Protocol):
    """Inherit from it so that type checkers check the signature of `start`."""

    def start(self) -> None:
        """Called when the bus starts, after the `start` of every component that this one needs."""


class Stops(Protocol):
    """Inherit from it so that type checkers check the signature of `stop`."""

    def stop(self) -> None:
        """Called when the bus stops, before the `stop` of every component that this one needs."""


class Exits(Protocol):
    """Inherit from it so that type checkers check the signature of `exit`."""

    def exit(self) -> None:
        """Called when the bus exits, to release what the constructor acquired."""


class Reloads(Protocol):
    """Inherit from it so that type checkers check the signature of `graceful`."""

    def graceful(self) -> None:
        """Called to reload: to read settings again or reopen files, for example."""


class Ticks(Protocol):
    """Inherit from it so that type checkers check the signature of `main`."""

    def main(self) -> None:
        """Called at each tick of the thread that blocks on the bus."""


class Logs(Protocol):
    """Inherit from it so that type checkers check the signature of `log`."""

    def log(self, message: str, level: int, /) -> None:
        """Called with each message that is published on the log channel."""


def hooks_of(component: Component[object], cls: type) -> list[Hook[object]]:
    """
    Return which methods of *cls* listen as *component*: by name, by mark and by declaration.

    Each hook has the method that is called, which may be a subclass's override, and its name.
    """
    hooks: dict[tuple[object, AnyChannel], Hook[object]] = {}
    # The methods of a bus have the names of its channels because they publish on them.
    for name, channel in {} if inherits(cls, Bus) else NAMED_HOOKS.items():
        method = getattr(cls, name, None) if lookup(cls, name) is not MISSING else None
        if callable(method):
            named = NamedHook(channel, method, attribute=name)
            if not _is_named_by_chance(named, cls):
                hooks[name, channel] = named
    for name, mark in _marks_of(cls):
        hooks[name, mark.channel] = _held(mark, cls, name, inline=mark.inline)
    for hook in component.hooks:
        # A declaration for a method that already listens changes how it listens. An override's class may have it, too.
        name = name_of(hook.method, cls)
        if not name and is_a(component.builds, type):
            name = name_of(hook.method, component.builds)
        key = (name or hook, hook.channel)
        # A declaration that only sets a priority keeps `inline=True` from the method's own mark.
        inline = hook.inline or (key in hooks and hooks[key].inline)
        hooks[key] = _held(hook, cls, name, inline=inline)
    return [hook for hook in hooks.values() if hook.channel not in component.unheard]


def _held(hook: Hook[object], cls: type, name: str, *, inline: bool) -> Hook[object]:
    """Return *hook* for the method that *cls* has under *name*, if it has one."""
    method: Any = held_by(cls, name) if name else None
    if method is None or isinstance(method, (property, functools.cached_property)):
        method = hook.method
    return Hook(hook.channel, method, hook.priority, hook.limit, inline=inline, attribute=name)


def _marks_of(cls: type) -> Iterator[tuple[str, Hook[object]]]:
    """
    Yield the marks on methods of *cls*, each with the name of its method, from the base classes up.

    So the mark of an overriding method comes after the mark of the overridden
    method, and replaces it. If a class has a method under several names, the name
    that a subclass overrides is used; a name that a subclass adds is another method's.
    """
    seen: set[Hook[object]] = set()
    for base in cls.__mro__[-2::-1]:
        marked: dict[Hook[object], dict[str, object]] = {}
        for name, value in vars(base).items():
            for layer in layers(value, base.__qualname__):
                marks = stored(layer, MARK)
                for mark in marks if is_a(marks, tuple) else ():
                    marked.setdefault(mark, {}).setdefault(name, value)
        for mark, values in marked.items():
            if mark in seen:
                continue
            name = getattr(mark.method, "__name__", "")
            name = name if name in values else next(iter(values))
            value = values[name]
            if len(values) > 1 and held_by(cls, name) is value:
                aliases = [alias for alias, other in values.items() if other is value]
                name = next((alias for alias in aliases if held_by(cls, alias) is not value), name)
            # Like a named hook, a marked method that a subclass sets to None does not listen.
            if held_by(cls, name) is not None:
                yield name, mark
        seen.update(marked)


def _is_named_by_chance(hook: NamedHook, cls: type) -> bool:
    """
    Whether a library's method has the name of a channel that it does not fit, as `logging.Logger.log` has.

    Libraries use the words "log" and "main" for many things. A `start` or `stop` that does not fit is a fault:
    the component would silently not start.
    """
    if hook.channel not in (LOG, MAIN):
        return False
    home = next(base for base in bases_of(cls) if hook.channel.name in namespace_of(base))
    return is_foreign(home) and misfit(hook, cls) is not None


def is_foreign(base: type) -> bool:
    """Whether a class is from the standard library or an installed package: the user did not choose its names."""
    module = module_of(base)
    if module == "__main__":
        return False  # a program in an installed package may run the user's code as `__main__`
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return module.partition(".")[0] in sys.stdlib_module_names or "-packages" in file


def phase_of(hooks: Iterable[Hook[object]]) -> int:
    """Return the priority at which a component starts: its start hook's, else its stop hook's, else 50."""
    priorities = {hook.channel: hook.priority for hook in hooks if hook.priority is not None}
    return priorities.get(START, priorities.get(STOP, DEFAULT_PRIORITY))


def channels_between(
    received: Sequence[Iterable[AnyChannel]],
    hooks: Sequence[Iterable[Hook[object]]],
    enabled: Sequence[bool | None],
) -> dict[AnyChannel, tuple[list[int], list[int]]]:
    """
    Return the channels that some components receive and others listen to, each with the numbers of both.

    Life-cycle channels, which every bus has, and components that are certainly disabled do not count.

    Args:
        received: For each component, the channels that it receives as arguments.
        hooks: For each component, its hooks.
        enabled: For each component, whether it takes part; None if that is not known.
    """
    channels: dict[AnyChannel, tuple[list[int], list[int]]] = {}
    for number, listening in enumerate(hooks):
        for channel in {hook.channel: None for hook in listening} if enabled[number] is not False else ():
            if channel not in LIFECYCLE_CHANNELS:
                channels.setdefault(channel, ([], []))[1].append(number)
    for number, own in enumerate(received):
        for channel in own if enabled[number] is not False else ():
            if channel in channels:
                channels[channel][0].append(number)
    return channels


class _ComponentSubscription(Subscription):
    """A subscription of a component's method."""

    __slots__ = ("hook", "subscriber")

    def __init__(
        self,
        bound: BoundChannel[..., None],
        listener: Callable[..., object],
        priority: int,
        subscriber: Subscriber,
        hook: Hook[object] | None = None,
    ) -> None:
        super().__init__(bound, listener, priority)
        self.subscriber = subscriber
        #: The hook; None for the placeholder of a component without a start hook.
        self.hook = hook

    @property
    def name(self) -> str:
        """The component's path and the method's name."""
        method = "" if self.hook is None else self.hook.attribute
        return f"{self.subscriber.node.path}.{method or getattr(self.listener, '__name__', 'listener')}"

    @property
    def path(self) -> str:
        """The component's path."""
        return self.subscriber.node.path

    @property
    def node(self) -> StartNode:
        """The component's node."""
        return self.subscriber.node

    @property
    def limit(self) -> float | None:
        """The limit of the hook, in seconds, or None."""
        return None if self.hook is None else self.hook.limit

    @property
    def is_idle(self) -> bool:
        """Whether the component has a stop hook and no start hook."""
        return isinstance(self.listener, _Place)

    @property
    def is_inline(self) -> bool:
        """Whether the hook is declared inline."""
        return self.hook is not None and self.hook.inline

    def added(self) -> Subscription | None:
        """
        Subscribe the listener, or update its node and limit from an earlier start, and return its subscription.

        Return None and change nothing if it is subscribed for another component.
        """
        earlier = self._bound.subscription_of(self.listener)
        if (
            isinstance(earlier, _ComponentSubscription)
            and earlier.subscriber.component is not self.subscriber.component
        ):
            return None
        subscription = add(self)
        if isinstance(subscription, _ComponentSubscription):
            subscription.subscriber, subscription.hook = self.subscriber, self.hook
        return subscription


class _Place:
    """A placeholder listener of `START` for a component with a stop hook only, so that its node is known."""

    def __init__(self, owner: object) -> None:
        self.__self__ = owner
        self.__name__ = "start"

    def __call__(self) -> None:
        """Do nothing: the component was ready when it was built."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Place) and other.__self__ is self.__self__

    def __hash__(self) -> int:
        return id(self.__self__)


@attrs.frozen(eq=False)
class Subscriber:
    """
    The subscriptions of one component's methods on a bus.

    Several components may return one object. The first of them subscribes its
    methods and is recorded on the bus, in `Participants.owners`, until `cancel`.
    """

    bus: Bus
    component: Component[object]
    instance: object
    node: StartNode
    _subscriptions: list[Subscription] = attrs.field(factory=list, init=False)

    @classmethod
    def of(cls, bus: Bus, instance: object) -> Subscriber | None:
        """Return the record of the component that subscribed the methods of *instance* on *bus*, or None."""
        known: Subscriber | None = parts_of(bus).participants.owners.get(id(instance))
        return known

    def subscribe(self, hooks: Sequence[Hook[object]], phase: int) -> None:
        """
        Subscribe the methods that *hooks* name, except methods that another component subscribed.

        Args:
            hooks: Which method listens to which channel.
            phase: The priority on the channels that follow the dependency graph.
        """
        if hooks or self.component.unheard:
            known = self.of(self.bus, self.instance)
            if known is None or known.component is self.component:
                parts_of(self.bus).participants.owners[id(self.instance)] = self
        listened = [hook.channel for hook in hooks]
        subscriptions = []
        if STOP in listened and START not in listened:
            subscriptions.append(_ComponentSubscription(self.bus[START], _Place(self.instance), phase, self))
        for hook in hooks:
            assert isinstance(hook.channel, Channel)
            bound: BoundChannel[..., None] = self.bus[hook.channel]
            priority = phase if hook.channel in PHASED else hook.priority
            if priority is None:
                priority = DEFAULT_PRIORITY
            listener = hook.bind(self.instance)
            subscriptions.append(_ComponentSubscription(bound, listener, priority, self, hook))
        for subscription in subscriptions:
            added = subscription.added()
            if added is not None:
                self._subscriptions.append(added)

    def cancel(self) -> None:
        """End the subscriptions; another component that returns the object may then subscribe its methods."""
        for subscription in self._subscriptions:
            subscription.cancel()
        owners = parts_of(self.bus).participants.owners
        if owners.get(id(self.instance)) is self:
            del owners[id(self.instance)]
