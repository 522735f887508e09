"""What can be said of a component before it is built: its class, and whether its arguments fit."""

from __future__ import annotations

import inspect
import typing

from typedbus._component import Component
from typedbus._failures import describe
from typedbus._faults import ArgumentFault


def class_of(component: Component[object]) -> type | None:
    """
    Return the class that *component* will be of, or None where that is not known.

    For what is built by a function that is what its annotation says.
    """
    builds: object = component.builds
    overriding = component.overriding
    if isinstance(overriding, Component):
        return class_of(overriding)
    if overriding is not None:
        return type(getattr(overriding, "provides", None))
    if not isinstance(builds, type) and callable(builds):
        function = getattr(builds, "func", builds)
        try:
            builds = typing.get_type_hints(function).get("return")
        except (NameError, TypeError, AttributeError):
            return None
    origin = typing.get_origin(builds) or builds
    return origin if isinstance(origin, type) else None


def argument_faults(component: Component[object]) -> list[ArgumentFault]:
    """Return how the declared arguments miss the signature of what builds *component*."""
    if component.overriding is not None:
        return []
    try:
        signature = inspect.signature(component.builds)
    except (ValueError, TypeError):
        return []  # it is written in C and has no signature to read
    given, names = component.arguments
    parameters = list(signature.parameters.values())
    kinds = {parameter.kind for parameter in parameters}
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    by_name = {one.name for one in parameters if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)}
    taken = {one.name for one in positional[:given]}
    problems = []
    if given > len(positional) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        problems.append(f"takes {len(positional)} positional argument(s) and is given {given}")
    for name in names:
        if name in taken & by_name:
            problems.append(f"is given {name!r} twice")
        elif name not in by_name and inspect.Parameter.VAR_KEYWORD not in kinds:
            problems.append(f"has no parameter {name!r}")
    for one in parameters:
        required = one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        if required and one.name not in taken and (one.name not in names or one.kind is one.POSITIONAL_ONLY):
            problems.append(f"misses {one.name!r}")
    built_by = f"{describe(component.builds)}{signature.replace(return_annotation=inspect.Signature.empty)}"
    return [
        ArgumentFault(component.path, component.place, f"{built_by} {problem}", "correct the declaration")
        for problem in problems
    ]
