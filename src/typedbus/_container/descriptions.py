"""Describes the result of a provider, such as the class of a component, before anything is built."""

from __future__ import annotations

import types
from collections.abc import Awaitable
from typing import Any, Final

from dependency_injector import providers

from typedbus._base.coroutines import is_async_callable
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
from typedbus._container.providers import is_delegated, is_provider, needs
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
#: The providers of the library that call a class or a function.
_CALLING: Final = (providers.BaseSingleton, providers.Factory, providers.Callable)


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
    return Awaitable if _is_awaitable(node) else _described(result_of(node), depth)


def _is_awaitable(node: object) -> bool:
    """
    Whether a call of the library's provider *node* returns an awaitable.

    It does if its function is async, or that of a provider among its arguments: the library passes awaitables on.
    """
    if not is_provider(node) or isinstance(node, Component):
        return False  # nearly all arguments
    pending, seen = [node], set[int]()
    while pending:
        provider: Any = pending.pop()
        # The branch that a selector takes is not known.
        is_end = isinstance(provider, (Component, providers.Selector)) or is_delegated(provider)
        if is_end or id(provider) in seen:
            continue
        seen.add(id(provider))
        # Other providers are not read: an option of a configuration answers each attribute with a new option.
        is_call = isinstance(provider, _CALLING) and provider.last_overriding is None
        function: object = getattr(provider, "provides", None) if is_call else None
        if is_async_callable(function):
            return True
        called: list[Any] = needs(provider)
        pending.extend(need for need in called if not need.is_async_mode_disabled())
    return False


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
