"""The subscriptions of the methods of components on a bus."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from typedbus._base.limits import StartNode
from typedbus._base.restart import Restart
from typedbus._bus.builtin import RUN, START, STOP
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.listeners import FunctionHook, FunctionSubscription, Listeners, functions_of, join, refuse_late_start
from typedbus._channels.channel import DEFAULT_PRIORITY, Hook
from typedbus._channels.subscriptions import AnyBoundChannel, Subscription, add
from typedbus._container.awaited import AwaitedRun
from typedbus._container.component import Component
from typedbus._container.hooks import PHASED
from typedbus._container.misfits import misfit


class Listening(Protocol):
    """A component that listens on a bus."""

    @property
    def component(self) -> Component[Any]:
        """The component."""
        ...

    @property
    def instance(self) -> object:
        """The instance of the component."""
        ...

    @property
    def node(self) -> StartNode:
        """Its start node."""
        ...


class ComponentSubscription(Subscription):
    """A subscription of a component's method, or of a function of a component that is a `Listeners`."""

    __slots__ = ("hook", "subscriber")

    def __init__(
        self,
        bound: AnyBoundChannel,
        listener: Callable[..., object],
        priority: int,
        subscriber: Listening,
        hook: Hook[object] | None = None,
    ) -> None:
        super().__init__(bound, listener, priority)
        self.subscriber = subscriber
        #: The hook; None for a listener that is not a method of the component.
        self.hook = hook

    @property
    def name(self) -> str:
        """The component's path and the method's name."""
        method = "" if self.hook is None else self.hook.attribute
        return f"{self.subscriber.node.path}.{method or name_of_listener(self.listener)}"

    @property
    def path(self) -> str:
        """The component's path."""
        return self.subscriber.node.path

    @property
    def owner(self) -> object:
        """The object of the method, which may be a part of the component; the component for a function."""
        owner = getattr(self.listener, "__self__", None)
        if owner is None:
            owner = self.subscriber.instance if type(self.hook) is FunctionHook else self
        return owner

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

    @property
    def restart(self) -> Restart | None:
        """The policy of the component, else that of the mark."""
        return self.subscriber.component.policy or (None if self.hook is None else self.hook.restart)

    def added(self) -> Subscription | None:
        """
        Subscribe the listener, or update its node and limit from an earlier start, and return its subscription.

        Return None and change nothing if it is subscribed for another component.
        """
        earlier = self._bound.subscription_of(self.listener)
        if isinstance(earlier, ComponentSubscription) and earlier.subscriber.component is not self.subscriber.component:
            return None
        if type(earlier) is FunctionSubscription:
            # From now on it is a function of the component, as long as that is subscribed.
            earlier.cancel()
        subscription = add(self)
        if isinstance(subscription, ComponentSubscription):
            subscription.subscriber, subscription.hook = self.subscriber, self.hook
        return subscription


class StepSubscription(ComponentSubscription):
    """The subscription of a step of a start or a stop, which calls a method of the component."""

    __slots__ = ()

    @property
    def place(self) -> str:
        """The place of the method that the step calls."""
        step: Any = self.listener
        return step.place  # type: ignore[no-any-return]  # a step of a turn or an `AwaitedRun`


def name_of_listener(listener: object) -> str:
    """Return the name of the function that *listener* calls."""
    function = getattr(listener, "__func__", listener)
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", "listener")


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

    Attributes:
        bus: The bus.
        component: The component.
        instance: Its instance.
        node: Its start node.
        phase: The priority on the channels that follow the dependency graph.
        position: The position of the subscriptions on each channel; None for that of their creation.
    """

    bus: Bus
    component: Component[object]
    instance: object
    node: StartNode
    phase: int = DEFAULT_PRIORITY
    position: int | None = None
    _subscriptions: list[Subscription] = attrs.field(factory=list, init=False)

    @classmethod
    def of(cls, bus: Bus, instance: object) -> Subscriber | None:
        """Return the record of the component that subscribed the methods of *instance* on *bus*, or None."""
        record = parts_of(bus).participants.owners.get(id(instance))
        return record if type(record) is cls else None

    def subscribe(self, hooks: Sequence[Hook[object]]) -> None:
        """Subscribe the methods that *hooks* name, except methods that another component subscribed."""
        listeners = self.instance if type(self.instance) is Listeners else None
        if hooks or self.component.unheard or listeners is not None:
            self.claim()
        listened = [hook.channel for hook in hooks]
        subscriptions: list[ComponentSubscription] = []
        if STOP in listened and START not in listened:
            subscriptions.append(ComponentSubscription(self.bus[START], _Place(self.instance), self.phase, self))
        subscriptions += self._subscriptions_of(hooks)
        if self.position is None:
            # A component that is built at its turn awaits its runs in steps of the turn.
            subscriptions += self._awaited(hooks)
        self._add(subscriptions)
        if listeners is not None and self.of(self.bus, listeners) is self:
            join(listeners, self.bus)
            for hook in functions_of(listeners):
                # Another thread may have registered it since the hooks were read.
                if hook not in hooks and hook.channel not in PHASED:
                    self.check(hook)
                    self.add(hook)

    def _subscriptions_of(self, hooks: Sequence[Hook[object]]) -> list[ComponentSubscription]:
        subscriptions = []
        for hook in hooks:
            channel: Any = hook.channel  # its own class declares what it binds
            bound: AnyBoundChannel = self.bus[channel]
            priority = self.phase if hook.channel in PHASED else hook.priority
            if priority is None:
                priority = DEFAULT_PRIORITY
            subscriptions.append(ComponentSubscription(bound, hook.bind(self.instance), priority, self, hook))
        return subscriptions

    def _awaited(self, hooks: Sequence[Hook[object]]) -> list[ComponentSubscription]:
        """Return the subscriptions of the steps that begin the runs which a start awaits, after the hooks of `START`."""
        return [
            StepSubscription(
                self.bus[START],
                AwaitedRun(self.bus, self.instance, hook, functools.partial(hook.bind, self.instance)),
                self.phase,
                self,
                hook,
            )
            for hook in hooks
            if hook.channel is RUN and hook.awaited
        ]

    def _add(self, subscriptions: Sequence[ComponentSubscription]) -> None:
        for subscription in subscriptions:
            if self.position is not None:
                subscription.position = self.position
            added = subscription.added()
            if added is not None:
                self._subscriptions.append(added)

    def check(self, hook: FunctionHook) -> None:
        """Raise `RegistrationError` if *hook*, which was registered after the component was built, cannot be added."""
        if hook.channel not in self.component.unheard:
            refuse_late_start(self.bus, hook)
            problem = misfit(hook, type(self.instance))
            if problem is not None:
                raise hook.refused(f"it {problem}")

    def add(self, hook: FunctionHook) -> None:
        """Subscribe the function of *hook*, which was registered after the component was built, until `cancel`."""
        with parts_of(self.bus).registry.lock:
            if self.of(self.bus, self.instance) is self and hook.channel not in self.component.unheard:
                self._add(self._subscriptions_of([hook]))

    def claim(self) -> None:
        """Record the component as the one that subscribes the methods of the instance, unless another one is recorded."""
        owner = self.of(self.bus, self.instance)
        if owner is None or owner.component is self.component:
            parts_of(self.bus).participants.owners[id(self.instance)] = self

    def cancel(self) -> None:
        """End the subscriptions; another component that returns the object may then subscribe its methods."""
        owners = parts_of(self.bus).participants.owners
        with parts_of(self.bus).registry.lock:
            if owners.get(id(self.instance)) is self:
                del owners[id(self.instance)]
        for subscription in self._subscriptions:
            subscription.cancel()
