"""The faults of components that refer to each other in a cycle, or to a declaration that cannot be found."""

from __future__ import annotations

from collections.abc import Sequence

from typedbus._container.faults import CycleFault, ReferenceFault
from typedbus._container.providers import reached
from typedbus._container.references import Reference
from typedbus._container.replaceable import Replaceable


def reference_faults(component: Replaceable) -> list[ReferenceFault]:
    """Return a fault for each unresolved reference of *component* to a declaration of another container."""
    ends = reached(component, lambda node: isinstance(node, (Replaceable, Reference)))
    unresolved = {id(node): node for node, _, _ in ends if isinstance(node, Reference) and node.is_unresolved}
    return [node.fault(component.path, component.place) for node in unresolved.values()]


def cycle_fault(circle: Sequence[object]) -> CycleFault:
    """Return the fault for the cycle *circle*; it names the components along it."""
    members = [
        member
        for member in circle
        if isinstance(member, Replaceable) and not isinstance(member.overriding, Replaceable)
    ]
    if not members:
        return CycleFault([repr(member) for member in circle], "declared with dependency-injector's own providers")
    return CycleFault([member.path for member in members], members[0].place)
