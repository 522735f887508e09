"""Building the components of a start, and subscribing their hooks, in start order."""

from __future__ import annotations

import time
from collections.abc import Sequence

from typedbus._base.events import Disabled, Subscribed
from typedbus._base.limits import StartNode
from typedbus._base.ordering import listeners_first, start_order
from typedbus._bus.bus import Bus
from typedbus._bus.participants import StartContext
from typedbus._channels.channel import Hook
from typedbus._container.analysis import Analysis, disabled_faults
from typedbus._container.body import Declarations
from typedbus._container.choosing import choice_faults, current_key
from typedbus._container.closing import closing_hooks
from typedbus._container.faults import InvalidContainer
from typedbus._container.hooks import channels_between, hooks_of, phase_of
from typedbus._container.replaceable import Home
from typedbus._container.resources import Shutdowns
from typedbus._container.subscribers import Subscriber
from typedbus._container.validation.hooks import hook_faults


def build_all(home: Home, bus: Bus, start: StartContext, analysis: Analysis, shutdowns: Shutdowns) -> None:
    """
    Build the components of *analysis* that take part and subscribe their hooks, in start order.

    Returns early, with some components not built, if the start is cancelled meanwhile.

    Args:
        home: The container that was asked to build, the first of those that references connect.
        bus: The bus of these containers.
        start: The start of that bus.
        analysis: The components of these containers, disabled ones included.
        shutdowns: The resources of these containers; each receives its node before its first user.

    Raises:
        InvalidContainer: A component needs one that is not enabled, a choice has
            no component for its key, or a method does not fit its channel.
        Exception: The exception of a constructor or a condition.
    """
    holders = {id(holder): holder for holder in analysis.homes}
    declared, graph = analysis.components, analysis.graph
    needed = graph.needed
    participations = [component.participation() for component in declared]
    faults = choice_faults(declared, participations, current_key)
    faults += disabled_faults(declared, graph.required, participations)
    if faults:
        raise InvalidContainer(home.name, faults)
    enabled = [takes_part for takes_part, _ in participations]
    for component, (takes_part, reason) in zip(declared, participations, strict=True):
        if not takes_part:
            start.publish(Disabled(component.path, reason))
    listening = [analysis.listening(component) for component in declared]
    hooks = [row for _, row in listening]
    edges = listeners_first(needed, channels_between(graph.channels, hooks, enabled).values())
    nodes: dict[int, StartNode] = {}
    #: For each gate, the paths of the listeners that it represents.
    behind: dict[int, tuple[str, ...]] = {}
    for number, phase in start_order(len(declared), edges, [phase_of(row) for row in hooks]):
        if not start.is_wanted:
            # A stop or an exit was requested, or the listener that builds has timed out: skip the rest.
            return
        if number >= len(declared):
            nodes[number] = StartNode("", tuple(nodes[other] for other in sorted(edges[number])))
            behind[number] = tuple(
                path for other in sorted(edges[number]) for path in behind.get(other, (nodes[other].path,))
            )
            continue
        component = declared[number]
        if not enabled[number]:
            continue
        before = [nodes[other] for other in sorted(needed[number]) if enabled[other]]
        gates = [gate for gate in sorted(edges[number]) if gate >= len(declared)]
        resources = shutdowns.before(component, phase)
        instance = component()
        first = Subscriber.of(bus, instance)
        if first is not None and first.component is not component and first.node not in before:
            before.append(first.node)
        nodes[number] = StartNode(
            component.path, (*before, *resources, *(nodes[gate] for gate in gates)), component.limit
        )
        shutdowns.after(component, nodes[number])
        if isinstance(instance, Declarations):
            continue
        began = time.monotonic()
        holder = holders.get(id(component.home), home)
        _subscribe(holder, Subscriber(bus, component, instance, nodes[number]), *listening[number], phase)
        paths = tuple([node.path for node in before])
        after = tuple(dict.fromkeys([path for gate in gates for path in behind[gate] if path not in paths]))
        start.publish(Subscribed(component.path, time.monotonic() - began, paths, after))


def _subscribe(
    home: Home, subscriber: Subscriber, expected_class: type | None, expected_hooks: Sequence[Hook[object]], phase: int
) -> None:
    """Subscribe the methods of a built component; *expected_hooks* are the hooks of the *expected_class*."""
    component, cls = subscriber.component, type(subscriber.instance)
    first = Subscriber.of(subscriber.bus, subscriber.instance)
    is_alias = first is not None and first.component is not component
    hooks = expected_hooks
    if is_alias:
        # The component that built the object has already subscribed its methods, by its own declaration.
        declared = [hook for hook in component.hooks if hook.channel not in component.unheard]
        hooks = [*closing_hooks(component), *declared]
    elif cls is not expected_class:
        # The class of an object that a function returns may be known only now.
        hooks = hooks_of(component, cls)
    if is_alias or cls is not expected_class:
        misfits = hook_faults(component, cls, hooks)
        if misfits:
            raise InvalidContainer(home.name, misfits)
    home.subscribers[id(component)] = subscriber
    subscriber.subscribe(hooks, phase)
