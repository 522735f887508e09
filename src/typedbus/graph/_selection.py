"""Parts of a graph: what is around a component, and the components by package instead of container."""

from __future__ import annotations

import difflib
from collections import defaultdict
from typing import Final, Literal, TypeAlias, TypeVar

import attrs

from typedbus._base.structured import StructuredError
from typedbus.graph._model import ChannelNode, ContainerNode, Picture

Follow: TypeAlias = Literal["needs", "users", "both"]
"""Which lines lead away from a component: to what it needs, to what needs it, or both."""

PictureT = TypeVar("PictureT", bound=Picture)

_CLOSE: Final = 3


class UnknownComponent(StructuredError, LookupError):
    """
    Raised for the path of a component that a graph does not have.

    Attributes:
        path: The path as given.
        container: The name of the container.
        near: The paths of components with similar names.
    """

    path: str
    container: str
    near: tuple[str, ...] = ()

    def __str__(self) -> str:
        hint = (
            f"; did you mean {' or '.join(self.near)}?"
            if self.near
            else "; typedbus graph --format json lists the paths"
        )
        return f"{self.container} has no component {self.path!r}{hint}"


def found(picture: Picture, path: str) -> str:
    """
    Return the path of the component *path*, which may lack the names of the containers around it if that is unambiguous.

    Raises:
        UnknownComponent: There is no such component, or there are several.
    """
    paths = [node.path for node in picture.nodes]
    if path in paths:
        return path
    ends = [one for one in paths if one.endswith(f".{path}")]
    if len(ends) == 1:
        return ends[0]
    names = {one.partition(".")[2]: one for one in paths} | {one: one for one in paths}
    near = ends or [names[name] for name in difflib.get_close_matches(path, names, _CLOSE)]
    raise UnknownComponent(path, picture.container, tuple(dict.fromkeys(near)))


def around(picture: PictureT, path: str, depth: int, follow: Follow) -> PictureT:
    """
    Return the part of *picture* with the component *path* and the components at most *depth* steps away.

    A step is a dependency, or a channel from a component that holds it to one that listens to it: the holder needs the
    listener. Channels remain if two components that remain use them, or if the component itself does.

    Raises:
        UnknownComponent: There is no such component.
    """
    centre = found(picture, path)
    steps: dict[str, set[str]] = defaultdict(set)
    pairs = [(edge.source, edge.target) for edge in picture.edges]
    pairs += [
        (holder, listener.path)
        for channel in picture.channels
        for holder in channel.holders
        for listener in channel.listeners
    ]
    for source, target in pairs:
        if follow != "users":
            steps[source].add(target)
        if follow != "needs":
            steps[target].add(source)
    kept = reached = {centre}
    for _ in range(min(depth, len(picture.nodes))):
        reached = {other for one in reached for other in steps[one]} - kept
        kept = kept | reached
    channels: list[ChannelNode] = []
    for channel in picture.channels:
        users = {*channel.holders, *(listener.path for listener in channel.listeners)}
        if centre in users or len(users & kept) > 1:
            channels.append(
                attrs.evolve(
                    channel,
                    listeners=tuple(listener for listener in channel.listeners if listener.path in kept),
                    holders=tuple(holder for holder in channel.holders if holder in kept),
                    order=tuple(pair for pair in channel.order if {pair.publisher, pair.listener} <= kept),
                )
            )
    nodes = tuple(node for node in picture.nodes if node.path in kept)
    return attrs.evolve(
        picture,
        nodes=nodes,
        edges=tuple(edge for edge in picture.edges if {edge.source, edge.target} <= kept),
        channels=tuple(channels),
        containers=_with_contents(picture.containers, {node.container for node in nodes}),
        faults=(),
        centre=centre,
    )


def by_package(picture: PictureT) -> PictureT:
    """Return *picture* with its components in frames of the packages of their classes, in place of their containers."""
    packages = {node.path: node.cls.rpartition(".")[0].rpartition(".")[0] for node in picture.nodes}
    root = picture.containers[0]
    frames = [root, *(ContainerNode(package, root.path) for package in sorted({*packages.values()} - {""}))]
    nodes = tuple(attrs.evolve(node, container=packages[node.path] or root.path) for node in picture.nodes)
    order = {frame.path: number for number, frame in enumerate(frames)}
    return attrs.evolve(
        picture, nodes=tuple(sorted(nodes, key=lambda node: order[node.container])), containers=tuple(frames)
    )


def _with_contents(containers: tuple[ContainerNode, ...], homes: set[str]) -> tuple[ContainerNode, ...]:
    """Return the containers that have a component, or a container with one, in them."""
    parents = {container.path: container.around for container in containers}
    kept = {containers[0].path}
    for home in homes:
        path = home
        while path:
            kept.add(path)
            path = parents[path]
    return tuple(container for container in containers if container.path in kept)
