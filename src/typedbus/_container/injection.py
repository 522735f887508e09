"""The class, arguments and attributes of a component, with dependency-injector's methods to set them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from dependency_injector import providers

from typedbus._base.errors import DeclarationError
from typedbus._container.providers import RESOURCE, is_provider
from typedbus._container.stand_ins import Provided, has_stand_in, injection

if TYPE_CHECKING:
    # A provider of `Any`, so that the library's signatures accept components. A component's
    # own type parameter cannot be used, since the provider's is invariant.
    _Singleton = providers.Singleton[Any]
else:
    _Singleton = providers.Singleton


class Arguments(_Singleton):
    """
    A singleton provider whose arguments may be changed until the instance is built.

    Each method returns the component itself, and raises `DeclarationError` if
    it is built. Stand-ins among the arguments (`Component.provided`) are
    replaced by their providers. Type checkers do not compare these arguments
    with the constructor.
    """

    path: str
    place: str

    def _change(self) -> None:
        """Prepare a change; raise `DeclarationError` if the component is built."""
        raise NotImplementedError

    def set_provides(self, provides: Callable[..., object] | None) -> Self:
        """Set the class or function that builds the component."""
        self._change()
        if provides is not None and not callable(provides):
            raise DeclarationError(self.path, self.place, "it is not callable: give a class or a function")
        super().set_provides(provides)
        return self

    def set_args(self, *args: object) -> Self:
        """Replace the positional arguments."""
        self._change()
        super().set_args(*map(argument, args))
        return self

    def add_args(self, *args: object) -> Self:
        """Append positional arguments."""
        self._change()
        super().add_args(*map(argument, args))
        return self

    def clear_args(self) -> Self:
        """Remove the positional arguments."""
        return self.set_args()

    def set_kwargs(self, **kwargs: object) -> Self:
        """Replace the keyword arguments."""
        self._change()
        super().set_kwargs(**_injections(kwargs))
        return self

    def add_kwargs(self, **kwargs: object) -> Self:
        """Add keyword arguments."""
        self._change()
        super().add_kwargs(**_injections(kwargs))
        return self

    def clear_kwargs(self) -> Self:
        """Remove the keyword arguments."""
        return self.set_kwargs()

    def set_attributes(self, **attributes: object) -> Self:
        """Replace the attributes, which are set on the instance before other components receive it."""
        self._change()
        super().set_attributes(**_injections(attributes))
        return self

    def add_attributes(self, **attributes: object) -> Self:
        """Add attributes, which are set on the instance before other components receive it."""
        self._change()
        super().add_attributes(**_injections(attributes))
        return self

    def clear_attributes(self) -> Self:
        """Remove the attributes."""
        return self.set_attributes()


def argument(value: object) -> object:
    """Return the provider of one argument, with the stand-ins in its own arguments replaced by their providers."""
    provider = injection(value)
    if not isinstance(provider, (Arguments, providers.Object)):
        replace_stand_ins(provider)
    return provider


def overriding(value: object) -> object:
    """Return the provider for an override by *value*: *value* itself, a stand-in's provider, or one for the object."""
    if type(value) is Provided:
        return value.__provider__
    if not is_provider(value):
        return providers.Object(value)
    replace_stand_ins(value)
    return value


def replace_stand_ins(node: object) -> None:
    """
    In the library's provider *node*, and those it refers to, replace stand-ins by their providers.

    The library does not know `Component.provided`, and would pass it as it is.
    """
    pending = [node]
    seen: set[int] = set()
    while pending:
        at: Any = pending.pop()
        kind = type(at)
        if id(at) in seen or kind is providers.Object or issubclass(kind, _WITH_OWN_NAMES):
            continue
        seen.add(id(at))
        if issubclass(kind, (*_WITH_ARGUMENTS, providers.List)) and any(map(has_stand_in, at.args)):
            at.set_args(*(injection(value) if has_stand_in(value) else value for value in at.args))
        if issubclass(kind, (*_WITH_ARGUMENTS, providers.Dict)) and any(map(has_stand_in, at.kwargs.values())):
            kwargs = {name: injection(value) if has_stand_in(value) else value for name, value in at.kwargs.items()}
            at.set_kwargs(kwargs) if issubclass(kind, providers.Dict) else at.set_kwargs(**kwargs)
        if issubclass(kind, _WITH_ATTRIBUTES) and any(map(has_stand_in, at.attributes.values())):
            at.add_attributes(
                **{name: injection(value) for name, value in at.attributes.items() if has_stand_in(value)}
            )
        if issubclass(kind, _WITH_ARGUMENTS) and type(at.provides) is Provided:
            at.set_provides(at.provides.__provider__)
        if issubclass(kind, providers.Dependency) and type(getattr(at.default, "provides", None)) is Provided:
            at.set_default(at.default.provides.__provider__)
        pending.extend(related for related in at.related if not isinstance(related, Arguments))


_WITH_ATTRIBUTES = (providers.Factory, providers.BaseSingleton)
_WITH_ARGUMENTS = (*_WITH_ATTRIBUTES, providers.Callable, providers.MethodCaller, RESOURCE)
#: Providers to skip: their arguments are processed where they are declared, or they have none.
_WITH_OWN_NAMES = (Arguments, providers.Container, providers.DependenciesContainer, providers.Configuration)


def _injections(values: Mapping[str, object]) -> dict[str, object]:
    return {name: argument(value) for name, value in values.items()}
