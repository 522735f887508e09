"""Descriptions of what providers return when they are called, found without calling anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
from dependency_injector import providers

from typedbus._container.providers import IfEnabled, Selected, is_delegated, is_provider, same
from typedbus._container.references import Every, Reference


@attrs.frozen(eq=False)
class Itself:
    """The provider returns this object itself."""

    value: object


@attrs.frozen(eq=False)
class Made:
    """The provider returns the result of a call."""

    by: Callable[..., object]


@attrs.frozen(eq=False)
class Opened:
    """The provider returns the object that a generator or a context manager gives when it is opened."""

    by: Callable[..., object]


@attrs.frozen(eq=False)
class Typed:
    """The provider returns an object of this type."""

    annotation: object


@attrs.frozen(eq=False)
class Other:
    """The provider returns the same as another provider."""

    node: object


@attrs.frozen(eq=False)
class Either:
    """The provider returns the same as one of several providers."""

    nodes: tuple[object, ...]


@attrs.frozen(eq=False)
class Maybe:
    """The provider returns the same as another provider, or None."""

    node: object


@attrs.frozen(eq=False)
class Uncalled:
    """The provider returns a function for later: a provider uncalled, or an opener; also describes its result."""

    node: object
    called: Result
    #: The attribute of the component that gives the function.
    attribute: str = "lazy"


@attrs.frozen(eq=False)
class Opening:
    """The provider returns a context manager, of this abstract class, that gives the same as another provider."""

    manager: type
    node: object


@attrs.frozen(eq=False)
class Attribute:
    """The provider returns an attribute of the result of another provider."""

    of: object
    name: str


@attrs.frozen(eq=False)
class Item:
    """The provider returns an item of the result of another provider."""

    of: object
    key: object


@attrs.frozen(eq=False)
class Members:
    """The provider returns a list, tuple or dict of the results of other providers."""

    kind: type
    nodes: tuple[object, ...]
    keys: tuple[object, ...] = ()


Result: TypeAlias = (
    "Itself | Made | Opened | Typed | Other | Either | Maybe | Uncalled | Opening | Attribute | Item | Members | None"
)


def result_of(node: object) -> Result:
    """Describe the result of a call of the provider *node*, without calling anything; None if it is unknown."""
    provider: Any = node
    if not is_provider(node):
        return Itself(node)  # the library passes an argument that is not a provider as it is
    if provider.last_overriding is None and is_delegated(node):
        return Uncalled(node, _called(node))
    return _called(node)


def _called(node: object) -> Result:
    """Same as `gives`, for a call of a provider that would be passed uncalled."""
    provider: Any = node
    return declared_result(node) if provider.last_overriding is None else Other(provider.last_overriding)


def declared_result(node: object) -> Result:
    """Same as `result_of`, for the provider *node* as it was declared: called, and not overridden."""
    provider: Any = node
    if type(node) is providers.Object:
        return Itself(provider.provides)
    # Looked up in the class: some providers of the library have every attribute.
    describe: Callable[[object], Result] | None = getattr(type(node), "describe_result", None)
    if describe is not None:
        return describe(node)
    if isinstance(node, Selected):
        return Either(tuple(node.branches.values()))
    if isinstance(node, IfEnabled):
        takes_part = node.foreseen()
        if takes_part is None:
            return Maybe(node.component)
        return Other(node.component) if takes_part else Itself(None)
    if isinstance(node, providers.Delegate):
        return Uncalled(provider.provides, _called(provider.provides))
    if isinstance(node, providers.AttributeGetter):
        return Attribute(provider.provides, provider.name)
    if isinstance(node, providers.ItemGetter):
        return Item(provider.provides, provider.name)
    if isinstance(node, providers.ProvidedInstance):
        return Other(provider.provides)
    if isinstance(node, Every):
        return Members(list, node.targets)
    if isinstance(node, Reference):
        return Other(provider.target if provider.target is not None else provider.original)
    if isinstance(node, providers.List):
        return Members(list, tuple(provider.args))
    if isinstance(node, providers.Dict):
        return Members(dict, tuple(provider.kwargs.values()), tuple(provider.kwargs))
    if isinstance(node, providers.Dependency):
        return Other(provider.default) if provider.default is not None else None
    if isinstance(node, (providers.BaseSingleton, providers.Factory, providers.Callable)):
        by = provider.provides
        if by is same:
            return Other(provider.args[0])
        if by is tuple and len(provider.args) == 1 and isinstance(provider.args[0], providers.List):
            members: Any = provider.args[0]
            return Members(tuple, tuple(members.args))
        return Other(by) if is_provider(by) else Made(by)
    return None
