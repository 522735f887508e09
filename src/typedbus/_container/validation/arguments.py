"""Faults in the arguments of a component: too many, missing, unknown, or of the wrong type."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any, Final

from typedbus._base.hints import annotations_of
from typedbus._base.signatures import BY_NAME, BY_POSITION, call_of, is_required, unparametrised
from typedbus._base.static import MISSING, bases_of, full_name_of, is_a, is_simple, lookup, namespace_of
from typedbus._channels.channel import AnyChannel
from typedbus._container.annotation_text import shown, shown_signature
from typedbus._container.annotations import (
    DEFERRED,
    OnBus,
    OrNone,
    Several,
    named_type,
    read,
)
from typedbus._container.compatibility import fits
from typedbus._container.component import Component
from typedbus._container.descriptions import DEPTH, description_of
from typedbus._container.faults import ArgumentFault, Fault, TypeFault
from typedbus._container.providers import arguments_of
from typedbus._container.results import (
    Attribute,
    Item,
    Maybe,
    Other,
    Uncalled,
    result_of,
)
from typedbus._container.validation.hooks import namesake_faults
from typedbus._container.validation.overrides import override_fault

_NOT_OBVIOUS: Final = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | DEFERRED


def argument_faults(component: Component[object]) -> list[Fault]:
    """Return the faults of the declared arguments of *component* that do not fit the signature or its types."""
    if component.overriding is not None or _plainly_fit(component):
        return []
    signature, hints = read(component.builds)
    if signature is None:
        problem = call_of(component.builds).problem
        remedy = "correct the declaration"
        return [ArgumentFault(component.path, component.place, problem, remedy)] if problem else []
    count, names = component.arguments
    parameters = list(signature.parameters.values())
    kinds = {parameter.kind for parameter in parameters}
    positional = [parameter for parameter in parameters if parameter.kind in BY_POSITION]
    none_by_default = {parameter.name for parameter in parameters if parameter.default is None}
    by_name = {parameter.name for parameter in parameters if parameter.kind in BY_NAME}
    filled = {parameter.name for parameter in positional[:count]}
    problems = []
    if count > len(positional) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        problems.append(f"takes {len(positional)} positional argument(s) and is given {count}")
    for name in names:
        if name in filled & by_name:
            problems.append(f"is given {name!r} twice")
        elif name not in by_name and inspect.Parameter.VAR_KEYWORD not in kinds:
            problems.append(f"has no parameter {name!r}")
    for parameter in parameters:
        is_named = parameter.name in names and parameter.kind in BY_NAME
        if is_required(parameter) and parameter.name not in filled and not is_named:
            problems.append(f"misses {parameter.name!r}")
    faults: list[Fault] = []
    if problems:
        built_by = f"{full_name_of(unparametrised(component.builds))}{shown_signature(signature, hints)}"
        faults.extend(
            ArgumentFault(component.path, component.place, f"{built_by} {problem}", "correct the declaration")
            for problem in problems
        )
    if count > len(positional) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        return faults  # it is unclear which argument is meant for which parameter
    for name, node in _by_parameter(component, positional, parameters, by_name):
        argument = description_of(node)
        faults.extend(namesake_faults(component, _channels_in(argument), "is given"))
        if name not in hints or fits(hints[name], argument):
            continue
        remedy = "pass a matching argument, or correct the annotation"
        if isinstance(argument, OrNone) and fits(hints[name], argument.argument):
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
                f"and is given {shown(argument)}{origin}",
                remedy,
            )
        )
    return faults


def _plainly_fit(component: Component[object]) -> bool:
    """
    Whether the arguments of *component* obviously fit; False if a full check is needed.

    The obvious case is a class with an own or inherited `__init__` whose annotations are classes, and whose arguments
    are components of plain classes and simple values. Most declarations are of this kind, and validation takes most
    of the time of a start.
    """
    cls: Any = component.builds
    if type(cls) is not type or lookup(cls, "__new__") is not object.__new__:
        return False
    function = lookup(cls, "__init__")
    if function is object.__init__:
        return not any(arguments_of(component))
    if type(function) is not types.FunctionType or function.__dict__:
        return False
    code = function.__code__
    unnamed, named = arguments_of(component)
    if code.co_flags & _NOT_OBVIOUS or code.co_posonlyargcount or code.co_kwonlyargcount or not code.co_argcount:
        return False
    names = code.co_varnames[1 : code.co_argcount]
    required = len(names) - len(function.__defaults__ or ())
    missing = [name for name in names[len(unnamed) : max(required, 0)] if name not in named]
    if missing or len(unnamed) > len(names) or not named.keys() <= set(names[len(unnamed) :]):
        return False
    annotations = annotations_of(function) if names else {}
    for name, node in (*zip(names, unnamed, strict=False), *named.items()):
        annotation = annotations.get(name, MISSING)
        if type(annotation) is str:
            home = next(base for base in bases_of(cls) if "__init__" in namespace_of(base))
            annotation = named_type(annotation, function, home)
        if type(node) is Component:
            built: Any = node.builds
            if node.overriding is not None or type(built) is not type or lookup(built, "__new__") is not object.__new__:
                return False
        elif is_simple(node):
            built = type(node)
        else:
            return False
        if type(annotation) is not type or annotation not in bases_of(built):
            return False
    return True


def _by_parameter(
    component: Component[object],
    positional: list[inspect.Parameter],
    parameters: list[inspect.Parameter],
    by_name: set[str],
) -> Iterator[tuple[str, object]]:
    """Yield the provider of each argument of *component*, with the name of the parameter that receives it."""
    unnamed, named = arguments_of(component)
    rest = {parameter.kind: parameter.name for parameter in parameters}
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


def _channels_in(argument: object) -> Iterator[AnyChannel]:
    """Yield the channels on a bus that are passed, also inside a literal."""
    if isinstance(argument, Several):
        for member in argument.members:
            yield from _channels_in(member)
    elif isinstance(argument, OnBus):
        yield argument.channel


def _key(key: object) -> str:
    return repr(key) if is_simple(key) or is_a(key, AnyChannel) else "..."


def _source(node: object) -> tuple[Component[Any] | None, str]:
    """Return the component whose value or part *node* provides, or None, and the part."""
    steps = ""
    for _ in range(DEPTH):
        if isinstance(node, Component):
            return node, steps
        match result_of(node):
            case Attribute(of, name):
                node, steps = of, f".{name}{steps}"
            case Item(of, key):
                node, steps = of, f"[{_key(key)}]{steps}"
            case Maybe(other):
                node, steps = other, f".optional{steps}"
            case Other(other):
                node = other
            case Uncalled(other, _, attribute):
                node, steps = other, f".{attribute}{steps}"
            case _:
                break
    return None, steps
