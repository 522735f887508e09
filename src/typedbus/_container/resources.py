"""Resources of dependency-injector in the life of a container: open resources are shut down in reverse graph order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
from dependency_injector import providers

from typedbus._base.errors import DeclarationError
from typedbus._base.limits import StartNode
from typedbus._bus.builtin import EXIT
from typedbus._bus.bus import Bus
from typedbus._channels.channel import DEFAULT_PRIORITY, AnyChannel, Hook
from typedbus._container.component import Component
from typedbus._container.providers import forget, is_resource, needs, reached
from typedbus._container.subscribers import Subscriber


@attrs.define(eq=False)
class Shutdown:
    """The shutdown of one resource, as a listener of `EXIT` with the name of the resource."""

    resource: Any
    path: str
    place: str
    unheard: tuple[AnyChannel, ...] = ()

    def shutdown(self) -> None:
        """Shut the resource down, if it is open."""
        shut_down(self.resource, self.path, self.place)


class Shutdowns:
    """
    The shutdowns of the open resources of a container, subscribed on `EXIT` while its components are built.

    Each resource has a node right before the first component that needs it. It is
    therefore shut down after all components that need it have exited, and before
    the components and resources that it needs itself.

    Args:
        bus: The bus.
        lasting: The singletons and resources of the library, each after the providers it needs.
        name_of: Returns the path and the place of a resource.
        subscribers: The subscribers so far, by the identity of the provider.
    """

    def __init__(
        self,
        bus: Bus,
        lasting: Sequence[object],
        name_of: Callable[[object], tuple[str, str]],
        subscribers: dict[int, Subscriber],
    ) -> None:
        self._bus = bus
        self._lasting = lasting
        self._resources = list(filter(is_resource, lasting))
        self._name_of = name_of
        self._subscribers = subscribers
        self._phase = DEFAULT_PRIORITY
        #: The nodes of resources, and of the components that have been built.
        self._nodes: dict[int, StartNode] = {}

    def before(self, component: Component[object], phase: int) -> list[StartNode]:
        """Return the nodes of resources that *component*, about to be built, needs other than through components."""
        self._phase = phase
        return [self._node_of(need) for need in _nearest(component) if is_resource(need)] if self._resources else []

    def after(self, component: Component[object], node: StartNode) -> None:
        """Store the node of a component that has been built."""
        if self._resources:
            self._nodes[id(component)] = node

    def drop_users(self, component: Component[object]) -> None:
        """
        Drop the singletons and resources that were built with *component*, other than through components.

        Raises:
            Exception: As `drop`.
        """
        users = [
            node
            for node in self._lasting
            if any(end is component and not is_lazy for end, is_lazy, _ in reached(node, _is_component))
        ]
        drop(users, self._name_of)

    def subscribe_rest(self) -> None:
        """Subscribe the shutdown of the resources that no component needed."""
        for resource in self._resources:
            self._node_of(resource)

    def _node_of(self, resource: object) -> StartNode:
        if id(resource) in self._nodes:
            return self._nodes[id(resource)]
        below = [
            node
            for need in _nearest(resource)
            if (node := self._node_of(need) if is_resource(need) else self._nodes.get(id(need))) is not None
        ]
        path, place = self._name_of(resource)
        former = self._subscribers.get(id(resource))
        # Use the same object in each start, so that the bus recognizes the listener.
        shutdown: Any = former.instance if former is not None else Shutdown(resource, path, place)
        node = self._nodes[id(resource)] = StartNode(path, tuple(below))
        subscriber = self._subscribers[id(resource)] = Subscriber(self._bus, shutdown, shutdown, node, self._phase)
        subscriber.subscribe([Hook(EXIT, Shutdown.shutdown)])
        return node


def _is_component(node: object) -> bool:
    return isinstance(node, Component)


def _nearest(node: object) -> list[object]:
    """Return the components and resources that *node* needs, also through other providers, in order."""
    ends: dict[int, object] = {}
    pending = needs(node)[::-1]
    seen: set[int] = set()
    while pending:
        need = pending.pop()
        if isinstance(need, Component) or is_resource(need):
            ends[id(need)] = need
        elif id(need) not in seen:
            seen.add(id(need))
            pending.extend(needs(need)[::-1])
    return list(ends.values())


def shut_down(resource: Any, path: str, place: str) -> None:
    """
    Shut *resource* down, if it is open.

    Raises:
        DeclarationError: The resource is asynchronous.
        Exception: The exception that the shutdown raised.
    """
    if not resource.initialized:
        return
    result = resource.shutdown()
    if inspect.isawaitable(result) and not isinstance(result, providers.NullAwaitable):
        if inspect.iscoroutine(result):
            result.close()
        raise DeclarationError(path, place, "it is asynchronous, and no event loop runs where it would be shut down")


def drop(nodes: Sequence[object], name_of: Callable[[object], tuple[str, str]]) -> None:
    """
    Forget the singletons and shut down the resources among *nodes*, each of which comes after the nodes it needs.

    Raises:
        Exception: The exception of a shutdown; a group if several failed. All other nodes were dropped nevertheless.
    """
    failures: list[Exception] = []
    for node in reversed(nodes):
        if not is_resource(node):
            forget(node)
            continue
        try:
            shut_down(node, *name_of(node))
        except Exception as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup("resources did not shut down", failures)


def keeps_instance(node: object) -> bool:
    """Whether the library's provider *node* is a singleton or a resource."""
    return is_resource(node) or isinstance(node, providers.BaseSingleton)


def built_from_components(nodes: Iterable[object]) -> list[object]:
    """Return the singletons and resources in *nodes* that need a component or another resource, in order."""
    return [node for node in nodes if _nearest(node)]
