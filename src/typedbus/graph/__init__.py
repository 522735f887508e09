"""
The graph of a container: its components, their dependencies, and the listeners of its channels.

`Graph.of` inspects a container without constructing a component. The result is
available as JSON, as text for Mermaid or Graphviz, and as an SVG. The same
container gives the same text in every process. Source places are only in the
JSON, so the drawing of a valid container is the same on every machine.
"""

from __future__ import annotations

import json
import types
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import attrs

from typedbus._base.exports import export
from typedbus._base.ordering import channel_ranks
from typedbus._base.signatures import builder_name
from typedbus._base.static import is_a
from typedbus._bus.builtin import LIFECYCLE_CHANNELS, RUN
from typedbus._bus.bus import Bus
from typedbus._channels.channel import DEFAULT_PRIORITY, AnyChannel, Hook
from typedbus._container.analysis import Analysis, graph_of
from typedbus._container.body import inner_of, members_of, path_of
from typedbus._container.component import Component
from typedbus._container.container import Container
from typedbus._container.core import analysis_of, core_of
from typedbus._container.declared_runs import declared_runs
from typedbus._container.descriptions import class_of
from typedbus._container.faults import CycleFault, Fault, InvalidContainer
from typedbus._container.hooks import channels_between
from typedbus._container.providers import reached
from typedbus._container.replaceable import Home
from typedbus._container.scoped import Given, OfScope
from typedbus.graph import _formats
from typedbus.graph._model import (
    ChannelNode,
    ContainerNode,
    Direction,
    Edge,
    Listener,
    Node,
    NodeRun,
    Picture,
    StartsAfter,
)
from typedbus.graph._selection import Follow, UnknownComponent, around, by_package

__all__ = (
    "ChannelNode",
    "ContainerNode",
    "Edge",
    "Graph",
    "Listener",
    "NoDrawing",
    "Node",
    "NodeRun",
    "StartsAfter",
    "UnknownComponent",
)

T = TypeVar("T")


class NoDrawing(ImportError):
    """Raised by `Graph.svg` if the layout library is not installed."""

    def __str__(self) -> str:
        return (
            'svg() needs igraph, which is not installed: pip install "typedbus[graph]"; '
            "json(), mermaid() and dot() work without it"
        )


@attrs.frozen
class Graph(Picture):
    """
    The contents of a container, in order of declaration.

    Attributes:
        container: Its name.
        nodes: The components of the container and of its nested containers.
        edges: The dependencies between components.
        channels: The channels that components listen to or hold. Life-cycle channels are
            included only if a component holds them; otherwise they are in the `hooks` of nodes.
        containers: The container and its nested containers, each after its parent. Then follow the other containers
            that run together with it and have components that it needs; only these components of them are shown.
        faults: The faults from `validate()` that do not concern a component.
        centre: The path of the component that the graph is around, which drawings emphasise; "" for the whole container.
    """

    @classmethod
    def of(cls, container: Container) -> Graph:
        """
        Inspect *container* in its current state, overrides included.

        No constructor runs. A container with faults has a graph as well, which
        includes the faults.
        """
        core, analysis = core_of(container), analysis_of(container)
        containers, parents = _declared(container, core.name, "")
        live = {*analysis.components_in(core), *analysis.within(core, analysis.scoped)}
        components = list(parents)
        # An override is shown at the place of the overridden component.
        actors: dict[Component[object], Component[object]] = {}
        stand_ins: set[object] = set()
        needs: dict[Component[object], list[tuple[Component[object], bool, object]]] = {}
        #: The components of other containers that components of this one need.
        outsiders: dict[Component[object], Home] = {}
        for component in components:
            actor = component
            while isinstance(actor.overriding, Component) and actor.overriding not in parents:
                actor = actor.overriding
                stand_ins.add(actor)
            actors[component], needs[component] = actor, []
            if component in outsiders:
                continue
            for need, is_lazy, item in reached(
                component, lambda node: isinstance(node, Component) and node not in stand_ins
            ):
                assert isinstance(need, Component)
                needs[component].append((need, is_lazy, item))
                if need not in parents:
                    components.append(need)
                    # Otherwise it is declared inline, as an argument, and has no name of its own.
                    parents[need] = parents[component]
                    if need.home is not None and need.home not in (core, core.whole):
                        outsiders[need] = need.home
        outside = _numbered([core, *dict.fromkeys(outsiders.values())], lambda home: home.name)
        parents |= {component: outside[home] for component, home in outsiders.items()}
        containers.extend(ContainerNode(path, core.name) for path in list(outside.values())[1:])

        paths = _numbered(components, lambda component: component.path)
        shown_paths = {component.path for component in components}
        faults, circles = _faults(container)
        nodes: list[Node] = []
        edges: list[Edge] = []
        listeners: dict[AnyChannel, list[Listener]] = defaultdict(list)
        holders: dict[AnyChannel, dict[str, None]] = defaultdict(dict)
        for component, path in paths.items():
            actor = actors[component]
            hooks: list[Hook[object]] = []
            enabled, reason = component.participation(is_foreseen=True)
            # If the override is a declared component, its hooks are shown at its own node.
            if component not in outsiders and not isinstance(actor.overriding, Component):
                hooks = [] if isinstance(actor, OfScope) else analysis.listening(actor)[1]
                if enabled and actor not in live:
                    enabled, reason = False, "only an overridden component needs it"
            nodes.append(
                Node(
                    path,
                    builder_name(component.builds if component.overriding else class_of(component) or component.builds),
                    component.place,
                    parents[component],
                    tuple(
                        {
                            hook.channel.name: None
                            for hook in hooks
                            if hook.channel in LIFECYCLE_CHANNELS and hook.channel is not RUN
                        }
                    ),
                    enabled,
                    reason,
                    _stand_in(component.overriding),
                    tuple(faults.get(component.path, ())),
                    component.level.name.lower() if isinstance(component, OfScope) else "",
                    isinstance(component, Given),
                    tuple(
                        NodeRun(run.path, run.method, "" if run.policy is None else run.policy.summary, run.is_awaited)
                        for run in ([] if isinstance(actor, OfScope) else declared_runs(actor, hooks))
                    ),
                )
            )
            for hook in hooks:
                priority = DEFAULT_PRIORITY if hook.priority is None else hook.priority
                listeners[hook.channel].append(
                    Listener(path, hook.attribute or builder_name(hook.method).rpartition(".")[2], priority)
                )
            lazy: dict[Component[object], bool] = {}
            for need, is_lazy, item in needs[component]:
                lazy[need] = is_lazy and lazy.get(need, True)
                if is_a(item, AnyChannel) and issubclass(class_of(need) or object, Bus):
                    holders[item][path] = None
            edges.extend(
                Edge(path, paths[need], is_lazy, (component.path, need.path) in circles)
                for need, is_lazy in lazy.items()
            )
        node_of = {actor: paths[component] for component, actor in actors.items()} | paths
        order = {} if analysis.cycles_in(core) else _channel_order(analysis, analysis.components_in(core))
        return cls(
            core.name,
            tuple(nodes),
            tuple(edges),
            tuple(
                ChannelNode(
                    channel.name,
                    tuple(sorted(listeners[channel], key=lambda listener: listener.priority)),
                    tuple(holders[channel]),
                    tuple(
                        StartsAfter(node_of[publisher], node_of[listener])
                        for publisher, listener in order.get(channel, ())
                    ),
                )
                for channel in dict.fromkeys([*listeners, *holders])
                if channel not in LIFECYCLE_CHANNELS or channel in holders
            ),
            tuple(containers),
            tuple(
                text if path == core.name else f"{path}: {text}"
                for path, texts in faults.items()
                if path not in shown_paths
                for text in texts
            ),
        )

    def around(self, path: str, *, depth: int = 1, follow: Follow = "both") -> Graph:
        """
        Return the part with the component *path*, and the components at most *depth* steps away.

        A step is a dependency, or a channel from a component that holds it to a component that listens to it.

        Args:
            path: The path of the component; the names of the containers around it may be left out.
            depth: How many steps away a component may be.
            follow: "needs" for what the component needs, "users" for what needs it, or "both".

        Raises:
            UnknownComponent: There is no such component, or there are several.
        """
        return around(self, path, depth, follow)

    def by_package(self) -> Graph:
        """Return the same graph with a frame for each Python package, in place of each nested container."""
        return by_package(self)

    def json(self) -> str:
        """Return all data as JSON; its keys are the attributes of the records."""
        return json.dumps(attrs.asdict(self), indent=2, ensure_ascii=False) + "\n"

    def mermaid(self, *, direction: Direction = "right") -> str:
        """
        Return a flowchart for Mermaid, which GitHub renders in a ``mermaid`` block of Markdown.

        Components stand to the left of what they need, or above it with the direction "down".
        """
        return _formats.mermaid(self, direction)

    def dot(self, *, direction: Direction = "right") -> str:
        """Return a digraph in the DOT language of Graphviz; *direction* as in `mermaid`."""
        return _formats.dot(self, direction)

    def svg(self, *, direction: Direction = "right") -> str:
        """
        Return a drawing as SVG; *direction* as in `mermaid`.

        Every box and line has an id and a tooltip.

        Raises:
            NoDrawing: igraph is not installed.
        """
        try:
            from typedbus.graph._svg import draw
        except ModuleNotFoundError as missing:
            if missing.name != "igraph":
                raise
            raise NoDrawing from missing
        return draw(self, direction)


def _channel_order(
    analysis: Analysis, components: Sequence[Component[object]]
) -> dict[AnyChannel, list[tuple[Component[object], Component[object]]]]:
    """Return for each channel the publishers that start after a listener, each paired with that listener."""
    graph = graph_of(components, analysis.needs)
    hooks = [analysis.listening(component)[1] for component in components]
    channels = channels_between(graph.channels, hooks, [component.foreseen() for component in components])
    ranks = channel_ranks(graph.needed, list(channels.values()))
    return {
        channel: [
            (components[publisher], components[listener])
            for publisher in publishers
            for listener in listeners
            if ranks[listener] < ranks[publisher]
        ]
        for channel, (publishers, listeners) in channels.items()
        if publishers
    }


def _declared(container: object, path: str, around: str) -> tuple[list[ContainerNode], dict[Component[object], str]]:
    """Return *container* and its nested containers, and all their components with the path of their container."""
    containers = [ContainerNode(path, around)]
    parents: dict[Component[object], str] = {}
    for name, member in members_of(container).items():
        if isinstance(member, Component):
            parents[member] = path
        elif (nested := inner_of(member)) is not None:
            nested_containers, nested_parents = _declared(nested, path_of(path, name), path)
            containers.extend(nested_containers)
            parents.update(nested_parents)
    return containers, parents


def _numbered(items: Iterable[T], text_of: Callable[[T], str]) -> dict[T, str]:
    """Return the text of each of *items*, with a number if several have the same text."""
    counts = Counter[str]()
    texts: dict[T, str] = {}
    for item in items:
        text = text_of(item)
        counts[text] += 1
        texts[item] = text if counts[text] == 1 else f"{text} ({counts[text]})"
    return texts


def _faults(container: Container) -> tuple[dict[str, list[str]], set[tuple[str, str]]]:
    """Return the faults from `validate()` by path, and the edges of dependency cycles."""
    texts: dict[str, list[str]] = defaultdict(list)
    cycle_edges: set[tuple[str, str]] = set()
    try:
        container.validate()
    except InvalidContainer as invalid:
        for fault in invalid.exceptions:
            assert isinstance(fault, Fault)
            paths = fault.cycle if isinstance(fault, CycleFault) else (fault.path,)
            for path in paths:
                texts[path].append(f"{fault.problem}; {fault.remedy}")
            if isinstance(fault, CycleFault):
                cycle_edges.update(zip(paths, (*paths[1:], paths[0]), strict=True))
    return texts, cycle_edges


def _stand_in(provider: object) -> str:
    """Return the name of the class or function with which *provider* overrides a component."""
    if provider is None:
        return ""
    if isinstance(provider, Component):
        return builder_name(class_of(provider) or provider.builds)
    provides: object = getattr(provider, "provides", provider)
    is_shown = is_a(provides, type) or is_a(provides, types.FunctionType)
    return builder_name(provides if is_shown else type(provides))


export(globals())
