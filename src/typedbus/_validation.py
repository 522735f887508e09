"""What can be said of a component before it is built: its class, and whether what it is given fits."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Final

from typedbus._annotations import (
    Exactly,
    Later,
    OnBus,
    OneOf,
    OrNone,
    Several,
    This,
    attribute_of,
    class_in,
    item_of,
    read,
    returned_by,
)
from typedbus._channel import AnyChannel
from typedbus._component import Component
from typedbus._faults import ArgumentFault, Fault, OverrideFault, TypeFault
from typedbus._fits import fits, shown, shown_signature
from typedbus._given import Attribute, Either, Given, Item, Itself, Made, Maybe, Members, Other, Uncalled, gives
from typedbus._lifecycle import namesake_faults
from typedbus._providers import arguments_of
from typedbus._signatures import call_of, unparametrised
from typedbus._static import full_name_of, is_a, is_simple

# Providers that stand in for each other may go in a circle, and so would we.
_DEPTH: Final = 50


def class_of(component: Component[object]) -> type | None:
    """
    Return the class that *component* will be of, or None where that is not known.

    For what is built by a function that is what its annotation says.
    """
    builds: object = component.builds
    if is_a(builds, type) and component.overriding is None:
        return builds
    return class_in(given_by(component))


def given_by(node: object, depth: int = _DEPTH) -> object:
    """
    Return what the provider *node* will give, as an annotation or one of the kinds of `_annotations`.

    What stands in for a provider is what is given. Nothing is called.
    """
    return _known(gives(node), depth)


def _known(given: Given, depth: int) -> object:
    if not depth:
        return Any
    match given:
        case Itself(value):
            return This(value)
        case Either(nodes):
            return OneOf(tuple(given_by(one, depth - 1) for one in nodes))
        case Maybe(one):
            return OrNone(given_by(one, depth - 1))
        case Uncalled(provider, called):
            return Later(provider, _known(called, depth - 1))
        case Made(by):
            return returned_by(by)
        case Other(other):
            return given_by(other, depth - 1)
        case Attribute(of, name):
            return attribute_of(given_by(of, depth - 1), name)
        case Item(of, key):
            return item_of(given_by(of, depth - 1), key)
        case Members(kind, nodes, keys):
            return Several(kind, tuple(given_by(one, depth - 1) for one in nodes), tuple(map(This, keys)))
        case None:
            return Any


def argument_faults(component: Component[object]) -> list[Fault]:
    """Return how the declared arguments miss the signature of what builds *component*, or the types in it."""
    if component.overriding is not None:
        return []
    signature, hints = read(component.builds)
    if signature is None:
        problem = call_of(component.builds).problem
        remedy = "correct the declaration"
        return [ArgumentFault(component.path, component.place, problem, remedy)] if problem else []
    given, names = component.arguments
    parameters = list(signature.parameters.values())
    kinds = {parameter.kind for parameter in parameters}
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    none_by_default = {one.name for one in parameters if one.default is None}
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
    faults: list[Fault] = []
    if problems:
        built_by = f"{full_name_of(unparametrised(component.builds))}{shown_signature(signature, hints)}"
        faults.extend(
            ArgumentFault(component.path, component.place, f"{built_by} {problem}", "correct the declaration")
            for problem in problems
        )
    if given > len(positional) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        return faults  # which of them is meant for which parameter nobody knows
    for name, node in _by_parameter(component, positional, parameters, by_name):
        handed = given_by(node)
        faults.extend(namesake_faults(component, _channels_in(handed), "is given"))
        if name not in hints or fits(hints[name], handed):
            continue
        remedy = "hand over what it takes, or correct the annotation"
        if isinstance(handed, OrNone) and fits(hints[name], handed.given):
            if name in none_by_default:
                continue
            remedy = f"annotate it as {shown(hints[name])} | None, since that component may be disabled"
        source, steps = _source(node)
        if source is not None and override_fault(source) is not None:
            continue  # an OverrideFault reports it
        origin = f" ({source.path}{steps})" if source is not None else ""
        faults.append(
            TypeFault(
                component.path,
                component.place,
                f"{full_name_of(unparametrised(component.builds))} takes {name!r} as {shown(hints[name])} "
                f"and is given {shown(handed)}{origin}",
                remedy,
            )
        )
    return faults


def override_fault(component: Component[object], annotated: object = None) -> OverrideFault | None:
    """
    Return how the override of *component* differs from its declaration, or None.

    The declaration is *annotated* where the body of the container says so: ``repo: Component[Repo] = Component(SqlRepo)``.
    """
    standing_in = component.overriding
    if standing_in is None:
        return None
    declared = returned_by(component.builds) if annotated is None else annotated
    given = given_by(standing_in)
    # A subclass may stand in, and so may whatever a protocol asks for.
    declared = declared.cls if isinstance(declared, Exactly) else declared
    if fits(declared, given):
        return None
    return OverrideFault(
        component.path,
        component.place,
        f"it is overridden by {shown(given)} and was declared as {shown(declared)}",
        "override it with one of these, or with a Component that builds one",
    )


def _by_parameter(
    component: Component[object],
    positional: list[inspect.Parameter],
    parameters: list[inspect.Parameter],
    by_name: set[str],
) -> Iterator[tuple[str, object]]:
    """Give the provider of each argument of *component*, with the name of the parameter that it goes to."""
    unnamed, named = arguments_of(component)
    rest = {one.kind: one.name for one in parameters}
    for index, node in enumerate(unnamed):
        if index < len(positional):
            yield positional[index].name, node
        elif inspect.Parameter.VAR_POSITIONAL in rest:
            yield rest[inspect.Parameter.VAR_POSITIONAL], node
    for name, node in named.items():
        if name in by_name:
            yield name, node
        elif inspect.Parameter.VAR_KEYWORD in rest:
            yield rest[inspect.Parameter.VAR_KEYWORD], node


def _channels_in(handed: object) -> Iterator[AnyChannel]:
    """Give the channels on a bus that are handed over, also those in a literal."""
    if isinstance(handed, Several):
        for member in handed.members:
            yield from _channels_in(member)
    elif isinstance(handed, OnBus):
        yield handed.channel


def _key(key: object) -> str:
    return repr(key) if is_simple(key) or is_a(key, AnyChannel) else "..."


def _source(node: object) -> tuple[Component[Any] | None, str]:
    """Return the component that *node* is about, if there is one, and which part of it."""
    steps = ""
    for _ in range(_DEPTH):
        if isinstance(node, Component):
            return node, steps
        match gives(node):
            case Attribute(of, name):
                node, steps = of, f".{name}{steps}"
            case Item(of, key):
                node, steps = of, f"[{_key(key)}]{steps}"
            case Maybe(other):
                node, steps = other, f".optional{steps}"
            case Other(other):
                node = other
            case Uncalled(other, _):
                node, steps = other, f".lazy{steps}"
            case _:
                break
    return None, steps
