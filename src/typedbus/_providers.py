"""The providers of the container library: what stands for an argument, and what a call of one will call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from dependency_injector import providers

from typedbus._failures import DeclarationError

T = TypeVar("T")


class Provided:
    """
    What a component will provide, in the body of a container where it does not exist yet.

    It knows attribute and item access and refuses everything else, so that a
    slip such as ``f"{settings.provided.url}"`` is an error where it is written.
    """

    # Dunder names, so that no attribute of an instance is hidden by one of ours.
    __slots__ = ("__provider__", "__text__")

    def __init__(self, provider: Any, text: str | None = None) -> None:
        self.__provider__ = provider
        if text is None:
            text = f"{getattr(provider, 'path', 'a provider')}.provided"
        self.__text__ = text

    def __getattr__(self, name: str) -> Provided:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Provided(providers.AttributeGetter(self.__provider__, name), f"{self.__text__}.{name}")

    def __getitem__(self, item: Any) -> Provided:
        return Provided(providers.ItemGetter(self.__provider__, item), f"{self.__text__}[{item!r}]")

    def __refuse(self, *args: object, **kwargs: object) -> Any:
        caller = sys._getframe(1)
        raise DeclarationError(
            self.__text__,
            f"{caller.f_code.co_filename}:{caller.f_lineno}",
            "there is no instance yet where a container is declared; "
            "hand it to a component, or to a function that Component(function, ...) calls",
        )

    __call__ = __str__ = __format__ = __bool__ = __iter__ = __len__ = __contains__ = __refuse
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __hash__ = __enter__ = __refuse
    __int__ = __float__ = __add__ = __radd__ = __or__ = __sub__ = __mul__ = __truediv__ = __mod__ = __refuse

    def __repr__(self) -> str:
        return f"<{self.__text__}>"


def provided(provider: Callable[[], T], /) -> T:
    """
    Hand what any provider of dependency-injector provides to a component.

    ``Component(Database, provided(config.url.as_(str)))``: same as the property
    of that name of `Component`, for the library's own providers, typed where
    they are.
    """
    argument: Any = Provided(provider)
    return argument  # type: ignore[no-any-return]  # it stands in for what is provided


def is_provider(value: object) -> bool:
    """Whether the container library would call *value* instead of handing it over."""
    return isinstance(value, providers.Provider)


def needs(node: object) -> list[object]:
    """
    Return the providers that a call of the provider *node* will call, in order of declaration.

    Those that are handed over uncalled (delegates, a container's own provider)
    are none of them: they are needed later, and may close a circle.
    """
    provider: providers.Provider[Any] = node  # type: ignore[assignment]  # nodes are providers
    if provider.last_overriding is not None:
        # Not `related`, which goes on giving what the overridden one needed.
        return [provider.last_overriding]
    return declared_needs(node)


def declared_needs(node: object) -> list[object]:
    """Same as `needs`, but as if *node* were not overridden."""
    provider: providers.Provider[Any] = node  # type: ignore[assignment]  # nodes are providers
    if isinstance(provider, (providers.Delegate, providers.Self, providers.Container, providers.DependenciesContainer)):
        return []
    return [other for other in provider.related if not providers.is_delegated(other)]


def injection(value: object) -> object:
    """Return the provider of one argument of a declaration."""
    if type(value) is Provided:
        return value.__provider__
    if is_provider(value):
        return value
    kind = type(value)
    if isinstance(value, (list, tuple)) and kind in (list, tuple):
        if any(_is_lazy(member) for member in value):
            members = providers.List(*map(injection, value))
            return members if kind is list else providers.Callable(tuple, members)
    elif isinstance(value, dict) and kind is dict and any(map(_is_lazy, value.values())):
        return providers.Dict({key: injection(member) for key, member in value.items()})
    # As an Object it comes out as itself, where a bare value would be copied.
    return providers.Object(value)


def _is_lazy(value: object) -> bool:
    if type(value) in (list, tuple):
        assert isinstance(value, (list, tuple))
        return any(map(_is_lazy, value))
    if isinstance(value, dict) and type(value) is dict:
        return any(map(_is_lazy, value.values()))
    return type(value) is Provided
