"""Checks of a component before it is built: its class, and whether its arguments fit."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any, Final

from typedbus._base.hints import annotations_of
from typedbus._base.signatures import BY_NAME, BY_POSITION, call_of, is_required, unparametrised
from typedbus._base.static import MISSING, bases_of, full_name_of, is_a, is_simple, lookup, namespace_of
from typedbus._channels.channel import AnyChannel
from typedbus._container.annotations import (
    DEFERRED,
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
    named_type,
    read,
    returned_by,
)
from typedbus._container.compatibility import fits, shown, shown_signature
from typedbus._container.component import Component
from typedbus._container.faults import ArgumentFault, Fault, OverrideFault, TypeFault
from typedbus._container.providers import arguments_of
from typedbus._container.results import (
    Attribute,
    Either,
    Item,
    Itself,
    Made,
    Maybe,
    Members,
    Other,
    Result,
    Uncalled,
    result_of,
)
from typedbus._container.validation.hooks import namesake_faults

# Overrides may form a cycle, so the search needs a limit.
_DEPTH: Final = 50
_NOT_OBVIOUS: Final = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | DEFERRED


def class_of(component: Component[object]) -> type | None:
    """
    Return the class of the instance of *component*, or None if it is not known.

    If a function builds the component, its return annotation gives the class.
    """
    builds: object = component.builds
    if is_a(builds, type) and component.overriding is None:
        return builds
    return class_in(description_of(component))


def description_of(node: object, depth: int = _DEPTH) -> object:
    """
    Describe the result of the provider *node*, as an annotation or one of the classes of `_container.annotations`.

    For an overridden provider, the override is described. Nothing is called.
    """
    return _described(result_of(node), depth)


def _described(result: Result, depth: int) -> object:
    if not depth:
        return Any
    match result:
        case Itself(value):
            return This(value)
        case Either(nodes):
            return OneOf(tuple(description_of(node, depth - 1) for node in nodes))
        case Maybe(node):
            return OrNone(description_of(node, depth - 1))
        case Uncalled(provider, called):
            return Later(provider, _described(called, depth - 1))
        case Made(by):
            return returned_by(by)
        case Other(node):
            return description_of(node, depth - 1)
        case Attribute(of, name):
            return attribute_of(description_of(of, depth - 1), name)
        case Item(of, key):
            return item_of(description_of(of, depth - 1), key)
        case Members(kind, nodes, keys):
            return Several(kind, tuple(description_of(node, depth - 1) for node in nodes), tuple(map(This, keys)))
        case None:
            return Any


def argument_faults(component: Component[object]) -> list[Fault]:
    """Return the faults of the declared arguments of *component*: those that do not fit the signature or its types."""
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


def override_fault(component: Component[object], annotated: object = None) -> OverrideFault | None:
    """
    Return how the override of *component* differs from its declaration, or None.

    *annotated* is the type in the container's body, if annotated: ``repo: Component[Repo] = Component(SqlRepo)``.
    """
    standing_in = component.overriding
    if standing_in is None:
        return None
    declared = returned_by(component.builds) if annotated is None else annotated
    replacement = description_of(standing_in)
    # An instance of a subclass, or of any class that fits a protocol, may be the override.
    declared = declared.cls if isinstance(declared, Exactly) else declared
    if fits(declared, replacement):
        return None
    return OverrideFault(
        component.path,
        component.place,
        f"it is overridden by {shown(replacement)} and was declared as {shown(declared)}",
        "override it with one of these, or with a Component that builds one",
    )


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
    for _ in range(_DEPTH):
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
            case Uncalled(other, _):
                node, steps = other, f".lazy{steps}"
            case _:
                break
    return None, steps
