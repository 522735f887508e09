"""
Resolves references: which declaration of which container instance a component of another container receives.

A reference resolves to the counterpart of the declaration in the nearest
enclosing container that has one, itself or in a container nested in it. If no
enclosing container has one, the containers that run together with it are searched.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import typing_extensions
from typing_extensions import TypeVar

from typedbus._base.ordering import dependencies_first
from typedbus._container.body import Declarations, body_of, inner_of, path_of, providers_of
from typedbus._container.component import Component
from typedbus._container.descriptions import class_of
from typedbus._container.providers import needs, reached
from typedbus._container.references import Every, Reference
from typedbus._container.scoped import OfScope

D = TypeVar("D", bound=Declarations)


@attrs.frozen(eq=False)
class _Level:
    """A container, and the counterparts of referenced declarations in it and its nested containers."""

    container: Declarations
    path: str
    around: _Level | None
    #: Keyed by the identity of the declaration.
    counterparts: dict[int, list[object]] = attrs.field(factory=dict)


def link(containers: Sequence[D]) -> list[list[D]]:
    """
    Set the targets of all references in *containers*, which run together, and in their nested containers.

    Returns:
        The containers, in groups such that no reference crosses from one group to another.
    """
    levels = [level for container in containers for level in _levels(container)]
    referenced = {id(ref.declaration) for level in levels for ref in body_of(level.container).references}
    if any(body_of(level.container).has_lists for level in levels):
        _fill_lists(containers)
    elif not referenced:
        return [[container] for container in containers]
    shared: dict[int, list[object]] = {}
    # Inner containers come after the containers around them.
    for level in reversed(levels):
        own = body_of(level.container).copies
        for key in own.keys() & referenced:
            _add(level.counterparts, key, own[key])
        # Beyond the outermost container are the containers that run together with it.
        outside = shared if level.around is None else level.around.counterparts
        for key, copies in level.counterparts.items():
            for counterpart in copies:
                _add(outside, key, counterpart)
    outermost = [level for level in levels if level.around is None]
    groups = {id(container): [container] for container in containers}
    for level in levels:
        for reference in body_of(level.container).references:
            key, around = id(reference.declaration), level
            while key not in around.counterparts and around.around is not None:
                around = around.around
            candidates = around.counterparts.get(key, shared.get(key, []))
            if len(candidates) != 1:
                reference.reject([path for top in outermost for path in _paths(top, candidates)])
                continue
            reference.resolve(candidates[0])
            if key not in around.counterparts:
                holder = next(top.container for top in outermost if key in top.counterparts)
                group, other = groups[id(around.container)], groups[id(holder)]
                if other is not group:
                    group.extend(other)
                    groups.update((id(container), group) for container in other)
    if any(body_of(level.container).has_lists for level in levels):
        return [list(containers)]
    distinct = {id(group): group for group in groups.values()}.values()
    return [[container for container in containers if container in group] for group in distinct]


def _fill_lists(containers: Sequence[Declarations]) -> None:
    """Set the targets of each `Every` in *containers*, which run together."""
    nodes = {id(node): node for container in containers for node in providers_of(body_of(container).members)}
    components = [node for node in nodes.values() if isinstance(node, Component) and not isinstance(node, OfScope)]
    classes = {id(component): class_of(component) for component in components}
    users: dict[int, set[int]] = {}
    lists: dict[int, Every] = {}
    replaced = {id(node.last_overriding): id(node) for node in nodes.values()}
    for node in dependencies_first(nodes.values(), needs)[0]:
        for end, _, _ in reached(node, lambda other: isinstance(other, (Component, Reference, Every))):
            if isinstance(end, Every):
                lists[id(end)] = end
                users.setdefault(id(end), set()).update((id(node), replaced.get(id(node), 0)))
    for key, every in lists.items():
        kind = typing.get_origin(every.kind) or every.kind
        every.targets = tuple(
            component
            for component in components
            if id(component) not in users[key] and _is_of(classes[id(component)], kind)
        )


def _is_of(cls: type | None, kind: type) -> bool:
    """Whether instances of *cls* are certainly of *kind*: *cls* inherits it, or has all members of the protocol."""
    if cls is None or kind in cls.__mro__ or not typing_extensions.is_protocol(kind):
        return cls is not None and kind in cls.__mro__
    names = {name for base in cls.__mro__ for name in (*vars(base), *vars(base).get("__annotations__", ()))}
    return not typing_extensions.is_protocol(cls) and names >= typing_extensions.get_protocol_members(kind)


def references_in(container: Declarations) -> Iterator[Reference]:
    """Yield the references of *container* and of the containers nested in it."""
    return (reference for level in _levels(container) for reference in body_of(level.container).references)


def declaring_container(whole: Declarations, provider: object) -> Declarations:
    """Return the container in *whole* that declares *provider*, or *whole* itself."""
    holders = (level.container for level in _levels(whole))
    return next(
        (holder for holder in holders if any(member is provider for member in body_of(holder).members.values())), whole
    )


def counterparts(container: Declarations, declaration: object) -> list[Any]:
    """Return the counterparts of *declaration* in *container* and the containers nested in it."""
    copies: dict[int, Any] = {}
    for level in _levels(container):
        copy = body_of(level.container).copies.get(id(declaration))
        if copy is not None:
            copies.setdefault(id(copy), copy)
    return list(copies.values())


def copies_of(container: Declarations, declaration: Any) -> list[Any]:
    """
    Return the providers that *declaration* stands for in *container*.

    These are its copies in the container and in the containers nested in it; if there are none, the counterparts that
    the references to it have.
    """
    body = body_of(container)
    copy = body.copies.get(id(declaration), body.contributed.get(id(declaration)))
    if copy is not None:
        return [copy]
    if own := counterparts(container, declaration):
        return own
    copies = [reference.counterpart for reference in references_in(container) if reference.declaration is declaration]
    return list({id(copy): copy for copy in copies if copy is not None}.values())


def paths_of(container: Declarations, declarations: Sequence[object]) -> list[str]:
    """Return the paths of *declarations* in the instance *container*."""
    return list(_paths(next(_levels(container)), declarations))


def _levels(container: Declarations, around: _Level | None = None, path: str = "") -> Iterator[_Level]:
    """Yield a level for *container* and each container nested in it, outer containers first."""
    level = _Level(container, path or type(container).__name__, around)
    yield level
    for name, member in body_of(container).members.items():
        inner = inner_of(member)
        if isinstance(inner, Declarations):
            yield from _levels(inner, level, path_of(level.path, name))


def _add(counterparts: dict[int, list[object]], key: int, counterpart: object) -> None:
    """Add *counterpart* under *key*, unless it is already there."""
    copies = counterparts.setdefault(key, [])
    if not any(copy is counterpart for copy in copies):
        copies.append(counterpart)


def _paths(level: _Level, nodes: Sequence[object]) -> Iterator[str]:
    """Yield the path of each of *nodes* within the container of *level*, in order of declaration."""
    for inner in _levels(level.container, None, level.path):
        for name, member in body_of(inner.container).members.items():
            if any(member is node for node in nodes):
                yield path_of(inner.path, name)
