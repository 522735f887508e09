"""What a picture of a container shows, in order of declaration: pure data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs


@attrs.frozen
class Node:
    """
    A component, at its place among the others.

    Attributes:
        path: Its dotted path; no two nodes share one.
        cls: What it will be an instance of, or the function that builds it.
        place: File and line of its declaration.
        container: The path of the container that it is declared in.
        hooks: The names of the life-cycle channels that it listens to.
        enabled: Whether it takes part in a run, or None if that turns out later.
        reason: Why it does not, or may not.
        overridden_by: What stands in for it, or nothing.
        faults: What `validate()` says of it, each with the remedy.
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

    @property
    def name(self) -> str:
        """Its path from its container on."""
        return _inside(self.path, self.container)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a picture says of it below its name, a line each; the first is its class, without the module."""
        found = [self.cls.rpartition(".")[2]]
        if self.overridden_by:
            found.append(f"overridden by {self.overridden_by.rpartition('.')[2]}")
        if self.hooks:
            found.append(" · ".join(self.hooks))
        if self.enabled is not True:
            found.append(f"{'conditional' if self.enabled is None else 'off'}: {self.reason}".removesuffix(": "))
        return tuple(map(printable, found))

    @property
    def kind(self) -> str:
        """What it is to be coloured as: the gravest of what can be said of it."""
        if self.faults:
            return "fault"
        if self.enabled is not True:
            return "off" if self.enabled is False else "conditional"
        return "overridden" if self.overridden_by else "component"


@attrs.frozen
class Edge:
    """
    That one component needs another, whatever of the container library stands between them.

    Attributes:
        source: The path of the one that needs.
        target: The path of the one that is needed.
        lazy: Whether it is handed over unbuilt, so that it may close a circle.
        circle: Whether it is part of a circle that `validate()` refuses.
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

    *holders* are the paths of the components that are given the bound channel,
    most often to publish on it. *order* names the pairs of them whose start the
    channel orders: not those that would start in a circle.
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
        """The components that listen and start before a holder."""
        return frozenset(pair.listener for pair in self.order)


@attrs.frozen
class ContainerNode:
    """A container, and the path of the one around it, or nothing."""

    path: str
    around: str = ""

    @property
    def name(self) -> str:
        """Its path from the container around it on."""
        return _inside(self.path, self.around)


@attrs.frozen
class Picture:
    """What `Graph` found; it has the meaning of each."""

    container: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    channels: tuple[ChannelNode, ...] = ()
    containers: tuple[ContainerNode, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def ids(self) -> dict[str, str]:
        """A name for the node of each path that every language takes."""
        return {node.path: f"n{number}" for number, node in enumerate(self.nodes)}

    def outline(self) -> Iterator[tuple[int, str, ContainerNode | Node | None]]:
        """
        Give the nodes between the beginnings and the ends, None, of their containers.

        With each goes how deep it lies, and its id. The outermost container is
        the picture itself, and neither begins nor ends.
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
    """Return *path* from the container *around* on, in which it may be declared without a name of its own."""
    rest = path.removeprefix(around)
    return printable(rest.removeprefix(".") if around and rest[:1] in (".", "[") else path)


def printable(text: str) -> str:
    """Return *text* as one line that every format can hold."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


COLOURS: Final = {
    "component": ("#ffffff", "#64748b"),
    "channel": ("#e0f2fe", "#0369a1"),
    "overridden": ("#fef3c7", "#b45309"),
    "conditional": ("#f8fafc", "#94a3b8"),
    "off": ("#e2e8f0", "#94a3b8"),
    "fault": ("#fee2e2", "#b91c1c"),
}
"""How each kind of box is filled, and drawn."""
