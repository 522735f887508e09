"""Building the components of a start, and subscribing their hooks, in start order."""

from __future__ import annotations

import functools
import time

from typedbus._base.events import Disabled, Subscribed
from typedbus._base.limits import StartNode
from typedbus._base.ordering import listeners_first, start_order
from typedbus._bus.builtin import WARNING
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.listeners import Listeners
from typedbus._bus.participants import StartContext
from typedbus._channels.subscriptions import next_position
from typedbus._container.analysis import Analysis, disabled_faults
from typedbus._container.body import Declarations
from typedbus._container.choosing import choice_faults, current_key
from typedbus._container.component import Component
from typedbus._container.faults import InvalidContainer
from typedbus._container.hooks import channels_between, hooks_of, phase_of
from typedbus._container.replaceable import Home
from typedbus._container.resources import Shutdowns
from typedbus._container.subscribers import Subscriber, name_of_listener
from typedbus._container.turns import Turn, forget_turns, hooks_of_instance, kept_positions


def build_all(home: Home, bus: Bus, start: StartContext, analysis: Analysis, shutdowns: Shutdowns) -> None:
    """
    Build the components of *analysis* that take part and subscribe their hooks, in start order.

    Resources, and the components that need one, are built during the start, at their `Turn`.

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
    earlier = forget_turns(analysis.homes)
    declared, needed = analysis.components, analysis.graph.needed
    enabled = _enabled(home, start, analysis)
    deferred = analysis.deferred(enabled)
    listening = [analysis.listening(component) for component in declared]
    hooks = [row for _, row in listening]
    edges = listeners_first(needed, channels_between(analysis.graph.channels, hooks, enabled).values())
    nodes: dict[int, StartNode] = {}
    #: For each gate, the paths of the listeners that it represents.
    behind: dict[int, tuple[str, ...]] = {}
    order = start_order(len(declared), edges, [phase_of(row) for row in hooks])
    positions = kept_positions([declared[number] for number, _ in order if number in deferred], earlier)
    for number, phase in order:
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
        below = [*shutdowns.before(component, phase), *(nodes[gate] for gate in gates)]
        holder = holders.get(id(component.home), home)
        instance: object = None
        if number not in deferred:
            instance = component()
            first = Subscriber.of(bus, instance)
            if first is not None and first.component is not component and first.node not in before:
                before.append(first.node)
        node = nodes[number] = StartNode(component.path, (*before, *below), component.limit)
        shutdowns.after(component, node)
        if isinstance(instance, Declarations):
            continue
        began = time.monotonic()
        if number in deferred:
            drop_users = functools.partial(shutdowns.drop_users, component)
            position = positions[id(component)] if id(component) in positions else next_position()
            turn = Turn(bus, holder, component, node, position, phase, listening[number], drop_users)
            holder.subscribers[id(component)] = turn
            turn.subscribe()
        else:
            listeners = hooks_of_instance(holder, bus, component, instance, listening[number])
            subscriber = holder.subscribers[id(component)] = Subscriber(bus, component, instance, node, phase)
            subscriber.subscribe(listeners)
        paths = tuple([node.path for node in before])
        after = tuple(dict.fromkeys([path for gate in gates for path in behind[gate] if path not in paths]))
        functions = _functions_of(bus, component, instance) if type(instance) is Listeners else None
        start.publish(Subscribed(component.path, time.monotonic() - began, paths, after, functions))


def _functions_of(bus: Bus, component: Component[object], listeners: Listeners) -> tuple[str, ...] | None:
    """
    Return the functions that listen as *component*, and log a warning if there are none.

    None if another component has subscribed the functions.
    """
    owner = Subscriber.of(bus, listeners)
    if owner is None or owner.component is not component:
        return None
    hooks = hooks_of(component, Listeners, listeners)
    if not hooks and component.overriding is None:
        text = f"{component.path} ({component.place}) listens to nothing: no module has registered a function; import "
        parts_of(bus).registry.log(f"{text}the modules whose functions must listen", WARNING)
    return tuple(f"{name_of_listener(hook.method)} on {hook.channel.name}" for hook in hooks)


def _enabled(home: Home, start: StartContext, analysis: Analysis) -> list[bool | None]:
    """
    Return for each component of *analysis* whether it takes part, and publish those that do not.

    Raises:
        InvalidContainer: A component needs one that is not enabled, or a choice has no component for its key.
    """
    declared = analysis.components
    participations = [component.participation() for component in declared]
    faults = choice_faults(declared, participations, current_key)
    faults += disabled_faults(declared, analysis.graph.required, participations)
    if faults:
        raise InvalidContainer(home.name, faults)
    for component, (takes_part, reason) in zip(declared, participations, strict=True):
        if not takes_part:
            start.publish(Disabled(component.path, reason))
    return [takes_part for takes_part, _ in participations]
