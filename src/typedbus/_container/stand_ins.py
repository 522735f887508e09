"""Stand-ins: what a declaration passes in place of an instance that does not exist yet, and its provider."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dependency_injector import providers

from typedbus._base.errors import DeclarationError
from typedbus._base.places import calling_place
from typedbus._container.providers import is_provider
from typedbus._container.references import Every

T = TypeVar("T")


class Provided:
    """
    A stand-in for the instance of a component, in the body of a container where no instance exists yet.

    It supports attribute and item access and refuses everything else, so that a
    mistake such as ``f"{settings.provided.url}"`` is an error where it is written.
    """

    # Dunder names, so that no attribute of the instance is hidden by an attribute of this class.
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
        raise DeclarationError(
            self.__text__,
            calling_place(),
            "no instance exists while a container is declared; "
            "pass it to a component, or to a function that Component(function, ...) calls",
        )

    __call__ = __str__ = __format__ = __bool__ = __iter__ = __len__ = __contains__ = __refuse
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __hash__ = __enter__ = __refuse
    __int__ = __float__ = __add__ = __radd__ = __or__ = __sub__ = __mul__ = __truediv__ = __mod__ = __refuse

    def __repr__(self) -> str:
        return f"<{self.__text__}>"


def provided(provider: Callable[[], T], /) -> T:
    """
    Pass the result of any provider of dependency-injector to a component.

    ``Component(Database, provided(config.url.as_(str)))``: same as the property
    `Component.provided`, for the library's own providers; typed if the provider
    is typed.

    To pass a provider itself, for a component that calls it later, use `lazy`.
    `provided(x.provider)` does the same at run time, but the library's type
    hints give ``x.provider`` the type of ``x``, so that type checkers take the
    argument for an instance.
    """
    argument: Any = Provided(provider)
    return argument  # type: ignore[no-any-return]  # it stands in for what is provided


def every(kind: Callable[..., T], /) -> Sequence[T]:
    """
    Pass all components of one kind to a component, as a list.

    ``Component(Dispatcher, every(Handler))``: the list has the instance of each
    enabled component whose class, or whose function's annotation, is *kind* or
    inherits it; for a protocol, also of each class that has its members. It is
    in order of declaration, and covers the containers around the declaring
    container, all containers nested in these, and the containers that run
    together with them. The receiving component itself and objects of scopes are left out, an override
    takes the place of the component that it overrides, and an object that several
    components return appears once. The list may be empty. The components in it
    start before the component that receives it, and stop after it.

    Args:
        kind: A class or a protocol; the parameters of a parametrised class matter only to type checkers.

    Raises:
        DeclarationError: *kind* is not a class.
    """
    if not isinstance(typing.get_origin(kind) or kind, type):
        place = calling_place()
        raise DeclarationError("every(...)", place, f"it takes a class, as in every(Handler), and was given {kind!r}")
    argument: Any = Provided(Every(kind), f"every({getattr(kind, '__name__', kind)})")
    return argument  # type: ignore[no-any-return]  # it stands in for the list


def lazy(provider: Callable[[], T], /) -> Callable[[], T]:
    """
    Pass a provider of dependency-injector itself to a component, which calls it later.

    ``Component(Orders, lazy(session))``, where `Orders` takes a
    ``Callable[[], Session]``: same as the property `Component.lazy`, for the
    library's own providers. It does not affect the start order, may close a
    cycle, and gives each thread or context its own instance if the provider
    does.

    Raises:
        DeclarationError: *provider* is not a provider.
    """
    if not is_provider(provider):
        place = calling_place()
        raise DeclarationError(
            "lazy(...)", place, "it takes a provider, as in lazy(session); of a component write x.lazy"
        )
    path = getattr(provider, "path", None)
    delegated: Any = provider
    argument: Any = Provided(providers.Delegate(delegated), f"{path}.lazy" if path else "lazy(a provider)")
    return argument  # type: ignore[no-any-return]  # it stands in for the provider


def injection(value: object) -> object:
    """Return the provider of one argument of a declaration."""
    if type(value) is Provided:
        return value.__provider__
    if is_provider(value):
        return value
    kind = type(value)
    if kind in (list, tuple) and isinstance(value, (list, tuple)):
        if any(has_stand_in(member) for member in value):
            members = providers.List(*map(injection, value))
            return members if kind is list else providers.Callable(tuple, members)
    elif kind is dict and isinstance(value, dict) and any(map(has_stand_in, value.values())):
        return providers.Dict({key: injection(member) for key, member in value.items()})
    # Wrapped in an Object, the value is provided as it is; a bare value would be copied.
    return providers.Object(value)


def has_stand_in(value: object) -> bool:
    """Whether *value* is a stand-in, `Provided`, or has one in its lists, tuples and dicts."""
    if type(value) in (list, tuple):
        assert isinstance(value, (list, tuple))
        return any(map(has_stand_in, value))
    if type(value) is dict and isinstance(value, dict):
        return any(map(has_stand_in, value.values()))
    return type(value) is Provided
