"""The methods that a container shares with those of dependency-injector, as far as they mean something else here."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

from dependency_injector import containers, providers
from typing_extensions import TypeVar

from typedbus._base.errors import DeclarationError, OverrideError, ResetError
from typedbus._base.ordering import dependencies_first
from typedbus._container.declarations import INHERIT, Declarations, providers_of
from typedbus._container.providers import RESOURCE, is_provider
from typedbus._container.resources import drop, raise_together

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])


def of_instances(method: F, /) -> F:
    """Let *method* raise an error with the way out if it is called on the class, as dependency-injector's decorators do."""
    found: Any = _OfInstances(method)
    return found  # type: ignore[no-any-return]  # a method, for those who have an instance


class _OfInstances:
    def __init__(self, method: Callable[..., object]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, instance: object, owner: type[Declarations]) -> Callable[..., object]:
        if instance is not None:
            return types.MethodType(self._method, instance)

        @functools.wraps(self._method)
        def on_class(*args: object) -> object:
            if args and isinstance(args[0], owner):
                return self._method(*args)
            raise DeclarationError(owner.__name__, owner._place, INHERIT)

        return on_class


def way_to_override(given: object) -> str:
    """Return why *given*, which is no component, cannot be passed to `Container.override`, and what to write."""
    if is_provider(given):
        return (
            f"{type(given).__name__} is a provider of dependency-injector; use its own method, "
            "as in `with shop.repo.override(fake):`, or `with shop.override_providers(repo=fake):`"
        )
    if isinstance(given, (Declarations, containers.DynamicContainer, type)):
        return (
            "it takes one component, not a container; name the components to override, "
            "as in `with shop.override_providers(database=other.database):`"
        )
    return f"it takes a component, as in shop.override(Shop.database).by(fake), and was given {given!r}"


class LibraryMethods(Declarations):
    """Methods on all providers of a container and of those nested in it; they refuse to change a container that runs."""

    if TYPE_CHECKING:

        def init_resources(self) -> object:
            """Open each `Resource` of the container and of those in it."""

        def check_dependencies(self) -> None:
            """Raise the library's own error if a `Dependency` is not defined; `validate` looks for more."""

    def override_providers(self, **overriding: object) -> AbstractContextManager[Self]:
        """
        Override several declarations, by name, until the end of a ``with`` or `reset_override`.

        ``with shop.override_providers(database=fake, limit=providers.Object(3)):``
        Unlike `override`, it is not checked by type checkers.

        Args:
            overriding: For each name a provider, or the object to be provided.

        Raises:
            OverrideError: A name is not declared or is that of a container, or a
                component, or one that needs it, is built already. Then nothing is overridden.
        """
        for name in overriding:
            member = self._members.get(name)
            path = self._path_of(type(self).__name__, name)
            if member is None:
                names = ", ".join(self._members)
                raise OverrideError(path, type(self)._place, f"it is not declared; declared are {names}")
            if isinstance(member, Declarations):
                reason = f"it is a container; override what it declares: {name}.override_providers(...)"
                raise OverrideError(path, type(member)._place, reason)
        overridden: list[Any] = []
        try:
            for name, given in overriding.items():
                self._members[name].override(given)
                overridden.append(self._members[name])
        except BaseException:
            for provider in reversed(overridden):
                provider.reset_last_overriding()
            raise
        return containers.ProvidersOverridingContext(self, overridden)

    def reset_override(self) -> None:
        """
        Take back every override of a declaration, nested containers included, and forget what was built with it.

        Raises:
            ResetError: The container runs.
        """
        self._refuse_in_use()
        for provider in providers_of(self._members):
            if provider.overridden:
                provider.reset_override()

    def reset_last_overriding(self) -> None:
        """
        Take back the last override of each declaration that has one, and forget what was built with it.

        Raises:
            ResetError: The container runs.
        """
        self._refuse_in_use()
        for provider in providers_of(self._members):
            if provider.overridden:
                provider.reset_last_overriding()

    def reset_singletons(self) -> AbstractContextManager[Self]:
        """
        Forget every instance but the bus, nested containers included; the next call, or start, builds them anew.

        Used in a ``with``, it does so again at the end.

        Raises:
            ResetError: The container runs.
        """
        self._refuse_in_use()
        self._forget_all()
        return containers.SingletonResetContext(self)

    def shutdown_resources(self, resource_type: type[Any] | None = None) -> object:
        """
        Shut down each `Resource` that is open, nested containers included, each before those that it needs.

        The exit of the bus does so as well. One that fails does not keep the others open.

        Args:
            resource_type: Shut down those of this class alone.

        Returns:
            What to await if one of them is asynchronous, as in the library, and otherwise None.

        Raises:
            Exception: What a shutdown raised; a group if several did.
        """
        wanted = RESOURCE if resource_type is None else resource_type
        order, _ = dependencies_first(providers_of(self._members), lambda node: list(node.related))
        opened = [node for node in order if isinstance(node, wanted)]
        if any(node.is_async_mode_enabled() for node in opened):
            injector: Any = super()
            return injector.shutdown_resources(wanted)
        raise_together(drop(opened, lambda node: (str(node), type(self)._place)))
        return None

    def traverse(self, types: Iterable[type[T]] | None = None) -> Iterator[T]:
        """Give every provider of the container and of those in it, named or not, in no particular order."""
        return providers.traverse(*providers_of(self._members), types=types)

    def _forget_all(self) -> None:
        raise NotImplementedError

    def _is_in_use(self) -> bool:
        raise NotImplementedError

    def _refuse_in_use(self) -> None:
        if self._is_in_use():
            raise ResetError(type(self).__name__)
