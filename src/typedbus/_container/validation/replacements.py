"""Faults of replaced declarations: they seem to replace a declaration that other declarations still use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from typedbus._base.failures import describe
from typedbus._base.static import full_name_of, is_a
from typedbus._bus.bus import Bus
from typedbus._container.body import Declarations, blueprint_of, body_of, is_declaration
from typedbus._container.component import Component
from typedbus._container.faults import ReplacementFault
from typedbus._container.providers import is_provider


def replacement_faults(container: Declarations, path: str) -> list[ReplacementFault]:
    """Return the faults of replaced declarations in *container*, with the path *path*, and its nested containers."""
    faults = []
    cls = type(container)
    for name in dict.fromkeys(name for base in cls.__mro__ for name in vars(base)):
        nearest, *replaced = (vars(base)[name] for base in cls.__mro__ if name in vars(base))
        in_force = blueprint_of(cls).members.get(name)
        if nearest is in_force and not replaced:
            continue
        declaration = nearest if in_force is None else in_force
        place = declaration.place if is_a(declaration, Component) else blueprint_of(cls).place
        if in_force is None:
            if is_provider(nearest):
                faults.append(
                    ReplacementFault(
                        f"{path}.{name}",
                        place,
                        "it is declared in a class that is not a container, or was added after the class was created, "
                        "and belongs to no container",
                        "declare it in the body of a class that inherits Container",
                    )
                )
        elif nearest is not in_force:
            faults.append(
                ReplacementFault(
                    f"{path}.{name}",
                    blueprint_of(cls).place,
                    f"{'a Component' if is_a(nearest, Component) else full_name_of(nearest)} has the same name but does not replace it: the declaration of the base class stays in force",
                    f"declare {name} = Component(...) in the body of the class, or take another name; "
                    f"for a test, override it: with container.override({cls.__name__}.{name}).by(...)"
                    if is_a(nearest, Component)
                    else f"declare {name} = Component(...), or take another name",
                )
            )
        else:
            faults.extend(
                ReplacementFault(
                    f"{path}.{name}",
                    place,
                    f"it does not declare {getattr(missing, 'path', 'a provider')}, which it replaces, "
                    "and components that refer to it keep using the old one",
                    "declare it here as well",
                )
                for missing in _missing(replaced, in_force)
                if id(missing) in body_of(container).copies
            )
            faults.extend(_name_clashes(cls, name, f"{path}.{name}"))
    for name, member in blueprint_of(cls).members.items():
        if isinstance(member, Declarations):
            faults.extend(replacement_faults(member, f"{path}.{name}"))
    return faults


def assigned(container: Declarations) -> list[tuple[Declarations, str, object]]:
    """Return the values that were assigned over declarations of *container* or of its nested containers."""
    assignments: list[tuple[Declarations, str, object]] = []
    members = body_of(container).members
    for name, value in vars(container).items():
        declared = members.get(name)
        is_new = declared is None and is_a(value, Component) and value.home is None
        if is_new or (declared is not None and value is not declared):
            assignments.append((container, name, value))
        elif is_a(declared, Declarations):
            assignments.extend(assigned(declared))
    return assignments


def assigned_faults(container: Declarations, path: str) -> Iterator[ReplacementFault]:
    """Yield a fault for each assigned attribute: other declarations still refer to the original declaration."""
    for owner, name, value in assigned(container):
        declared = body_of(owner).members.get(name)
        cls = type(owner).__name__
        remedy = f"declare {name} = Component(...) in the body of {cls}"
        if declared is not None:
            remedy = f"override it: with container.override({cls}.{name}).by(...)"
        yield ReplacementFault(
            f"{path}.{name}" if owner is container else getattr(declared, "path", f"{cls}.{name}"),
            value.place if is_a(value, Component) else getattr(declared, "place", blueprint_of(type(owner)).place),
            "it was assigned to an instance of the container, which keeps using its declarations",
            remedy,
        )


def _name_clashes(cls: type[Declarations], name: str, path: str) -> Iterator[ReplacementFault]:
    """
    Yield a fault if unrelated bases of *cls* declare *name* for two different purposes.

    Bases are related if one inherits from the other, or if both redeclare *name* of a common base.
    """
    first, *others = (
        base for base in cls.__mro__ if issubclass(base, Declarations) and is_declaration(vars(base).get(name))
    )
    winner: Any = vars(first)[name]
    for other in others:
        loser: Any = vars(other)[name]
        is_related = issubclass(first, other) or any(
            issubclass(first, base) and issubclass(other, base) for base in others if base is not other
        )
        if is_related or loser is winner or _is_variant(winner, loser):
            continue
        yield ReplacementFault(
            path,
            getattr(winner, "place", blueprint_of(first).place),
            f"it is declared in {describe(first)} and again in {describe(other)} "
            f"({getattr(loser, 'place', blueprint_of(other).place)}); the first replaces the second, "
            "although neither class inherits from the other",
            f"rename one of them; or, if both are meant to be the same, declare {name} again in {describe(cls)}, "
            "or once in a base class of both",
        )
        return


def _is_variant(winner: object, loser: object) -> bool:
    """Whether both are buses (there can be only one), or containers, the first an instance of the second's class."""
    if isinstance(winner, Component) and isinstance(loser, Component):
        return all(
            isinstance(component.builds, type) and issubclass(component.builds, Bus) for component in (winner, loser)
        )
    return isinstance(winner, Declarations) and isinstance(loser, Declarations) and isinstance(winner, type(loser))


def _missing(replaced: Sequence[Any], new: Any) -> Iterator[object]:
    """Yield the providers of *replaced* declarations that have no counterpart in *new*."""
    for old in replaced:
        if is_a(old, Declarations):
            theirs = body_of(new).members if is_a(new, Declarations) else {}
            for name, member in body_of(old).members.items():
                yield from _missing([member], theirs.get(name))
        elif is_provider(old) and not is_provider(new):
            yield old
