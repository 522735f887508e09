"""Faults of overrides and annotations: an override, or an object that is opened, is not of the declared type."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from typedbus._base.hints import annotations_of
from typedbus._base.static import bases_of, full_name_of, inherits, is_a, namespace_of
from typedbus._container.annotation_parts import plain
from typedbus._container.annotation_text import shown
from typedbus._container.annotations import Exactly, evaluated
from typedbus._container.body import Declarations, body_of
from typedbus._container.compatibility import fits
from typedbus._container.component import Component
from typedbus._container.descriptions import declared_type_of, description_of
from typedbus._container.faults import OverrideFault, TypeFault
from typedbus._container.resource import Resource
from typedbus._container.scoped import OfScope, Scoped, level_of


def override_fault(component: Component[object], annotated: object = None) -> OverrideFault | None:
    """
    Return how the override of *component* differs from its declaration, or None.

    *annotated* is the type in the container's body, if annotated: ``repo: Component[Repo] = Component(SqlRepo)``.
    """
    override = component.overriding
    if override is None:
        return None
    if isinstance(override, OfScope) and level_of(override) > level_of(component):
        longer = "a session" if isinstance(component, OfScope) else "the container"
        remedy = "add .at(SESSION)" if isinstance(component, OfScope) else "override it with a Component or an object"
        problem = f"it belongs to {longer}, and is overridden by a {type(override).__name__} ({override.place})"
        return OverrideFault(component.path, component.place, problem, remedy)
    declared = declared_type_of(component) if annotated is None else annotated
    argument = description_of(override)
    # An instance of a subclass, or of any class that fits a protocol, may be the override.
    declared = declared.cls if isinstance(declared, Exactly) else declared
    if fits(declared, argument):
        return None
    return OverrideFault(
        component.path,
        component.place,
        f"it is overridden by {shown(argument)} and was declared as {shown(declared)}",
        "override it with one of these, or with a Component that builds one",
    )


def annotation_faults(declared: Sequence[Component[object]], types_of: Mapping[int, object]) -> Iterator[TypeFault]:
    """
    Yield a fault for each of *declared* that opens an object of another type than its annotation names.

    With the annotation as context, mypy takes a class that opens an object of another class for a plain class.

    Args:
        declared: The components of a container.
        types_of: The result of `declared_types` for it.
    """
    for component in declared if types_of else ():
        if component.overriding is not None or id(component) not in types_of:
            continue
        annotated, opened = types_of[id(component)], declared_type_of(component)
        if not fits(annotated, opened):
            kind = type(component).__name__
            yield TypeFault(
                component.path,
                component.place,
                f"it is annotated as {kind}[{shown(annotated)}], and {full_name_of(component.builds)} opens {shown(opened)}",
                f"annotate it as {kind}[{shown(opened)}], or remove the annotation",
            )


def declared_types(container: Declarations) -> dict[int, object]:
    """
    Return the annotated types of components in *container* and its nested containers, by identity.

    Of components that are overridden, and of objects that are opened.

    ``repo: Component[Repo] = Component(SqlRepo)`` declares a Repo. The type is Any if it cannot be evaluated.
    """
    types_of: dict[int, object] = {}
    for name, member in body_of(container).members.items():
        if is_a(member, Declarations):
            types_of.update(declared_types(member))
        elif is_a(member, Component) and (member.overriding is not None or isinstance(member, (Resource, Scoped))):
            for base in bases_of(type(container)):
                annotations = annotations_of(base) if name in namespace_of(base) else {}
                if name in annotations:
                    annotation = annotations[name]
                    evaluated_type = plain(evaluated(annotation, base))
                    if inherits(typing.get_origin(evaluated_type) or object, Component):
                        types_of[id(member)] = typing.get_args(evaluated_type)[0]
                    elif evaluated_type is Any and is_a(annotation, str) and not annotation.endswith("Any"):
                        types_of[id(member)] = Any
                    break
    return types_of
