"""Which declarations of a container class replace declarations of its bases, and in which order they are copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typedbus._base.errors import DeclarationError
from typedbus._base.ordering import dependencies_first
from typedbus._container.body import Declarations, blueprint_of, body_of, providers_of
from typedbus._container.providers import declared_needs, is_provider
from typedbus._container.references import foreign


def replacements_in(cls: type[Declarations]) -> list[tuple[Any, Any]]:
    """
    Return pairs of a replaced declaration and its replacement in the class *cls*, in the order to copy replacements.

    A replacement may wrap the declaration it replaces: it receives the declaration of
    the next class in the method resolution order. For all its other needs it receives
    the declarations in force.

    Raises:
        DeclarationError: A replacement needs another user of the declaration it replaces.
    """
    pairs: dict[tuple[int, int], tuple[object, object]] = {}
    names: dict[int, str] = {}
    # From the base classes up, so that *cls* takes precedence.
    for base in reversed(cls.__mro__):
        above = [ancestor for ancestor in base.__mro__[1:] if issubclass(ancestor, Declarations)]
        for name, value in blueprint_of(base).members.items() if issubclass(base, Declarations) else ():
            for old, new in (
                pair for ancestor in above for pair in _pairs(blueprint_of(ancestor).members.get(name), value)
            ):
                pairs.setdefault((id(old), id(new)), (old, new))
                names[id(new)] = name
    in_force = {id(old): new for old, new in pairs.values()}
    #: For each replacement in force, the declarations that it replaces, directly or indirectly.
    places: dict[int, list[object]] = {}
    winners: list[object] = []
    for old in {id(old): old for old, _ in pairs.values()}.values():
        new, steps = in_force[id(old)], 0
        while id(new) in in_force:
            # The replacement may itself be replaced, under another name.
            new, steps = in_force[id(new)], steps + 1
            if steps > len(in_force):
                raise DeclarationError(
                    f"{cls.__name__}.{names[id(new)]}",
                    getattr(new, "place", repr(new)),
                    "it replaces a declaration that replaces it; declare a new component",
                )
        in_force[id(old)] = new
        winners.append(new)
        places.setdefault(id(new), []).append(old)
    declared = {id(node) for node in providers_of(blueprint_of(cls).members)}
    wrapping = set()
    for new in winners:
        old_ids = {id(old) for old in places[id(new)]}
        # Anonymous providers have a single user; following named ones could close a cycle.
        own, _ = dependencies_first(
            declared_needs(new),
            lambda node: (
                []
                if id(node) in declared or id(node) in in_force or foreign(node, blueprint_of(cls).own) is not None
                else declared_needs(node)
            ),
        )
        if any(id(node) in old_ids for node in own):
            wrapping.add(id(new))

    def needed(node: object) -> list[object]:
        if foreign(node, blueprint_of(cls).own) is not None:
            return []
        users = [node, *places[id(node)]] if id(node) in wrapping else [node]
        return [in_force.get(id(need), need) for user in users for need in declared_needs(user)]

    order, circles = dependencies_first(winners, needed)
    for circle in circles:
        new = next((node for node in circle if id(node) in places), None)
        between = next((node for node in circle if node is not new and id(node) in declared), None)
        if new is not None and between is not None:
            raise DeclarationError(
                f"{cls.__name__}.{names[id(new)]}",
                getattr(new, "place", repr(new)),
                f"it needs {getattr(between, 'path', repr(between))}, which needs the declaration that it replaces; "
                "this would close a cycle",
            )
    chains: dict[int, list[tuple[Any, Any]]] = {}
    for old, new in pairs.values():
        winner = in_force[id(old)]
        if id(winner) in wrapping:
            chains.setdefault(id(winner), []).append((old, new))
    return [
        pair
        for winner in order
        for pair in (*chains.get(id(winner), ()), *((old, winner) for old in places.get(id(winner), ())))
    ]


def _pairs(old: object, new: object) -> Iterator[tuple[object, object]]:
    if isinstance(old, Declarations) and isinstance(new, Declarations):
        for name, member in body_of(old).members.items():
            yield from _pairs(member, body_of(new).members.get(name))
    elif is_provider(old) and is_provider(new) and old is not new:
        yield old, new
