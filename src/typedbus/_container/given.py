"""What providers give when they are called, known without calling anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
from dependency_injector import providers

from typedbus._container.providers import IfEnabled, Selected, is_delegated, is_provider, same
from typedbus._container.references import Every, Reference


@attrs.frozen(eq=False)
class Itself:
    """What a provider gives: this very object."""

    value: object


@attrs.frozen(eq=False)
class Made:
    """What a provider gives: the result of a call."""

    by: Callable[..., object]


@attrs.frozen(eq=False)
class Other:
    """What a provider gives: the same as another one."""

    node: object


@attrs.frozen(eq=False)
class Either:
    """What a provider gives: the same as one of several."""

    nodes: tuple[object, ...]


@attrs.frozen(eq=False)
class Maybe:
    """What a provider gives: the same as another one, or None."""

    node: object


@attrs.frozen(eq=False)
class Uncalled:
    """What a provider gives: a provider, and what a call of that gives."""

    node: object
    called: Given


@attrs.frozen(eq=False)
class Attribute:
    """What a provider gives: an attribute of what another one gives."""

    of: object
    name: str


@attrs.frozen(eq=False)
class Item:
    """What a provider gives: an item of what another one gives."""

    of: object
    key: object


@attrs.frozen(eq=False)
class Members:
    """What a provider gives: a list, tuple or dict of what others give."""

    kind: type
    nodes: tuple[object, ...]
    keys: tuple[object, ...] = ()


Given: TypeAlias = "Itself | Made | Other | Either | Maybe | Uncalled | Attribute | Item | Members | None"


def gives(node: object) -> Given:
    """Return what a call of the provider *node* will give, without calling anything; None if that is unknown."""
    provider: Any = node
    if not is_provider(node):
        return Itself(node)  # the library's own take objects as they are
    if provider.last_overriding is None and is_delegated(node):
        return Uncalled(node, _called(node))
    return _called(node)


def _called(node: object) -> Given:
    """Same as `gives`, for a provider that is called although it would be handed over uncalled."""
    provider: Any = node
    if provider.last_overriding is not None:
        return Other(provider.last_overriding)
    if type(node) is providers.Object:
        return Itself(provider.provides)
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
