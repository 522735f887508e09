"""The data of a graph of a container, in order of declaration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import attrs

Direction: TypeAlias = Literal["right", "down"]
"""Where what a component needs is drawn: to the right of it, or below it."""


@attrs.frozen
class NodeRun:
    """
    A method of a component that listens to `RUN`.

    Attributes:
        path: The path of the run.
        method: The name of the method.
        policy: Its restart policy as text; "" without a policy.
        awaited: Whether the start waits until the run is ready.
    """

    path: str
    method: str
    policy: str = ""
    awaited: bool = False


@attrs.frozen
class Node:
    """
    A component in the graph.

    Attributes:
        path: Its dotted path, unique among the nodes.
        cls: Its class, or the function that builds it.
        place: File and line of its declaration.
        container: The path of the container that it is declared in.
        hooks: The names of the life-cycle channels that it listens to, without `RUN`.
        enabled: Whether it is enabled, or None if that is only known at the start.
        reason: Why it is disabled, or may be.
        overridden_by: The name of its override, or "".
        faults: The faults that `validate()` finds in it, each with the remedy.
        scope: The level of the scopes of which each has one, "request" or "session"; "" for one that lives as long
            as the container.
        given: Whether it is a value that is passed in when a scope is opened.
        runs: The methods that listen to `RUN`.
    """

    path: str
    cls: str
    place: str
    container: str
    hooks: tuple[str, ...] = ()
    enabled: bool | None = True
    reason: str = ""
    overridden_by: str = ""
    faults: tuple[str, ...] = ()
    scope: str = ""
    given: bool = False
    runs: tuple[NodeRun, ...] = ()

    @property
    def name(self) -> str:
        """Its path relative to its container."""
        return _inside(self.path, self.container)

    @property
    def remarks(self) -> tuple[str, ...]:
        """The lines below its name in a drawing; the first is its class, without the module."""
        lines = [self.cls.rpartition(".")[2]]
        if self.overridden_by:
            lines.append(f"overridden by {self.overridden_by.rpartition('.')[2]}")
        if self.scope:
            lines.append(f"{'given to' if self.given else 'in'} each {self.scope}")
        if self.hooks:
            lines.append(" · ".join(self.hooks))
        for run in self.runs:
            lines.append(f"run {run.method}{' · awaited' * run.awaited}")
            lines += [run.policy] if run.policy else []
        if self.enabled is not True:
            lines.append(f"{'conditional' if self.enabled is None else 'off'}: {self.reason}".removesuffix(": "))
        return tuple(map(printable, lines))

    @property
    def kind(self) -> str:
        """The key of its colour, from the most severe of its conditions."""
        if self.faults:
            return "fault"
        if self.enabled is not True:
            return "off" if self.enabled is False else "conditional"
        if self.overridden_by:
            return "overridden"
        return "scoped" if self.scope else "component"


@attrs.frozen
class Edge:
    """
    A dependency between two components, direct or through providers of the container library.

    Attributes:
        source: The path of the dependent component.
        target: The path of the dependency.
        lazy: Whether the dependency is passed unbuilt, so that it may close a cycle.
        circle: Whether the edge is part of a cycle that `validate()` refuses.
    """

    source: str
    target: str
    lazy: bool = False
    circle: bool = False


@attrs.frozen
class Listener:
    """A method of the component *path* that listens to a channel, at *priority*."""

    path: str
    method: str
    priority: int


@attrs.frozen
class StartsAfter:
    """The component *publisher* starts after the component *listener* and stops before it; both are paths."""

    publisher: str
    listener: str


@attrs.frozen
class ChannelNode:
    """
    A channel, with its *listeners* in the order in which they are called.

    *holders* are the paths of the components that get the bound channel as an
    argument, usually to publish on it. *order* lists the pairs of components whose
    start the channel orders, except pairs that would form a cycle.
    """

    name: str
    listeners: tuple[Listener, ...] = ()
    holders: tuple[str, ...] = ()
    order: tuple[StartsAfter, ...] = ()

    @property
    def later(self) -> frozenset[str]:
        """The holders that start after a listener."""
        return frozenset(pair.publisher for pair in self.order)

    @property
    def earlier(self) -> frozenset[str]:
        """The listening components that start before a holder."""
        return frozenset(pair.listener for pair in self.order)


@attrs.frozen
class ContainerNode:
    """A container, and the path of its parent, or ""."""

    path: str
    around: str = ""

    @property
    def name(self) -> str:
        """Its path relative to its parent."""
        return _inside(self.path, self.around)


@attrs.frozen
class Picture:
    """The data of a `Graph`, whose docstring describes the attributes."""

    container: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    channels: tuple[ChannelNode, ...] = ()
    containers: tuple[ContainerNode, ...] = ()
    faults: tuple[str, ...] = ()
    centre: str = ""

    def label(self, node: Node) -> str:
        """Return the name of *node* in a drawing: relative to its container, or in the frame of a package to the whole."""
        return _inside(node.path, self.container) if node.name == printable(node.path) else node.name

    @property
    def ids(self) -> dict[str, str]:
        """An id for the node of each path that is valid in every output format."""
        return {node.path: f"n{number}" for number, node in enumerate(self.nodes)}

    def outline(self) -> Iterator[tuple[int, str, ContainerNode | Node | None]]:
        """
        Yield the nodes, between the beginnings of their containers and the ends, which are None.

        Each comes with its depth and its id. The outermost container is the picture
        itself, and has no beginning or end.
        """
        ids = self.ids
        inside: dict[str, list[Node]] = {container.path: [] for container in self.containers}
        for node in self.nodes:
            inside[node.container].append(node)
        begun: list[str] = []
        for number, container in enumerate(self.containers):
            while begun and begun[-1] != container.around:
                begun.pop()
                yield len(begun), "", None
            if container.around:
                yield len(begun), f"g{number}", container
            begun.append(container.path)
            for node in inside[container.path]:
                yield len(begun), ids[node.path], node
        for depth in range(len(begun) - 1, 0, -1):
            yield depth, "", None


def _inside(path: str, around: str) -> str:
    """Return *path* relative to the container *around*, even if its component has no name of its own there."""
    rest = path.removeprefix(around)
    return printable(rest.removeprefix(".") if around and rest[:1] in (".", "[") else path)


def printable(text: str) -> str:
    """Return *text* as one line that is valid in every format."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


COLOURS: Final = {
    "component": ("#ffffff", "#64748b"),
    "scoped": ("#f0fdfa", "#0f766e"),
    "channel": ("#e0f2fe", "#0369a1"),
    "overridden": ("#fef3c7", "#b45309"),
    "conditional": ("#f8fafc", "#94a3b8"),
    "off": ("#e2e8f0", "#94a3b8"),
    "fault": ("#fee2e2", "#b91c1c"),
}
"""How each kind of box is filled, and drawn."""

DASHED: Final = ("off", "conditional", "scoped")
"""The kinds of boxes with a dashed frame."""
