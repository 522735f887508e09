"""Describes the result of a provider, such as the class of a component, before anything is built."""

from __future__ import annotations

import types
from typing import Any, Final

from typedbus._base.static import is_a
from typedbus._container.annotations import (
    Later,
    OneOf,
    OrNone,
    Several,
    This,
    attribute_of,
    class_in,
    item_of,
    returned_by,
)
from typedbus._container.component import Component
from typedbus._container.forms import opened_by
from typedbus._container.results import (
    Attribute,
    Either,
    Item,
    Itself,
    Made,
    Maybe,
    Members,
    Opened,
    Opening,
    Other,
    Result,
    Typed,
    Uncalled,
    declared_result,
    result_of,
)

#: Limit for the providers that a search follows, since overrides may form a cycle.
DEPTH: Final = 50


def class_of(component: Component[object]) -> type | None:
    """
    Return the class of the instance of *component*, or None if it is not known.

    If a function builds the component, its return annotation gives the class.
    """
    builds: object = component.builds
    # The look-up of an attribute that is missing is slow, and most components are of this class.
    is_described = type(component) is not Component and hasattr(type(component), "describe_result")
    if is_a(builds, type) and component.overriding is None and not is_described:
        return builds
    return class_in(description_of(component))


def description_of(node: object, depth: int = DEPTH) -> object:
    """
    Describe the result of the provider *node*, as an annotation or one of the classes of `_container.annotations`.

    For an overridden provider, the override is described. Nothing is called.
    """
    return _described(result_of(node), depth)


def declared_type_of(component: Component[object]) -> object:
    """Describe the result of *component* as it is declared, whatever overrides it."""
    return _described(declared_result(component), DEPTH)


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
        case Opening(manager, node):
            return types.GenericAlias(manager, (description_of(node, depth - 1),))
        case Made(by):
            return returned_by(by)
        case Opened(by):
            return opened_by(by)
        case Typed(annotation):
            return annotation
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
