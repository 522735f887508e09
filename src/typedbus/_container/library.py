"""The methods of dependency-injector's containers that behave differently in a `Container`."""

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
from typedbus._container.body import Declarations, blueprint_of, body_of, path_of, providers_of
from typedbus._container.core import core_of
from typedbus._container.declarations import INHERIT, DeclaredContainer
from typedbus._container.providers import RESOURCE, is_provider
from typedbus._container.resources import drop

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])


def of_instances(method: F, /) -> F:
    """Make *method* raise an error with the remedy if called on the class, as dependency-injector's decorators do."""
    descriptor: Any = _OfInstances(method)
    return descriptor  # type: ignore[no-any-return]  # on an instance it is the method


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
            raise DeclarationError(owner.__name__, blueprint_of(owner).place, INHERIT)

        return on_class


def way_to_override(value: object) -> str:
    """Return why *value*, which is not a component, cannot be passed to `Container.override`, and what to write."""
    if is_provider(value):
        return (
            f"{type(value).__name__} is a provider of dependency-injector; use its own method, "
            "as in `with shop.repo.override(fake):`, or `with shop.override_providers(repo=fake):`"
        )
    if isinstance(value, (Declarations, containers.DynamicContainer, type)):
        return (
            "it takes one component, not a container; name the components to override, "
            "as in `with shop.override_providers(database=other.database):`"
        )
    return f"it takes a component, as in shop.override(Shop.database).by(fake), and was given {value!r}"


class LibraryMethods(DeclaredContainer):
    """Methods on all providers of a container and its nested containers; they refuse to change a running container."""

    if TYPE_CHECKING:

        def init_resources(self) -> object:
            """Open each `Resource` of the container and its nested containers."""

        def check_dependencies(self) -> None:
            """Raise the library's own error if a `Dependency` is not defined; `validate` finds more faults."""

    def override_providers(self, **overriding: object) -> AbstractContextManager[Self]:
        """
        Override several declarations, by name, until the end of a ``with`` or `reset_override`.

        ``with shop.override_providers(database=fake, limit=providers.Object(3)):``
        Type checkers do not check it, unlike `override`.

        Args:
            overriding: For each name, a provider or the object to provide.

        Raises:
            OverrideError: A name is not declared or belongs to a container, or the
                component, or one that needs it, is already built. Then nothing is overridden.
        """
        for name in overriding:
            member = body_of(self).members.get(name)
            path = path_of(type(self).__name__, name)
            if member is None:
                names = ", ".join(body_of(self).members)
                raise OverrideError(path, blueprint_of(type(self)).place, f"it is not declared; declared are {names}")
            if isinstance(member, Declarations):
                reason = f"it is a container; override what it declares: {name}.override_providers(...)"
                raise OverrideError(path, blueprint_of(type(member)).place, reason)
        overridden: list[Any] = []
        try:
            for name, replacement in overriding.items():
                body_of(self).members[name].override(replacement)
                overridden.append(body_of(self).members[name])
        except BaseException:
            for provider in reversed(overridden):
                provider.reset_last_overriding()
            raise
        return containers.ProvidersOverridingContext(self, overridden)

    def reset_override(self) -> None:
        """
        Remove every override of a declaration, nested containers included, and forget what was built with it.

        Raises:
            ResetError: The container runs.
        """
        _refuse_in_use(self)
        for provider in providers_of(body_of(self).members):
            if provider.overridden:
                provider.reset_override()

    def reset_last_overriding(self) -> None:
        """
        Remove the last override of each overridden declaration, and forget what was built with it.

        Raises:
            ResetError: The container runs.
        """
        _refuse_in_use(self)
        for provider in providers_of(body_of(self).members):
            if provider.overridden:
                provider.reset_last_overriding()

    def reset_singletons(self) -> AbstractContextManager[Self]:
        """
        Forget every instance but the bus, nested containers included; the next call or start builds them again.

        Used in a ``with``, it does so again at the end of the block.

        Raises:
            ResetError: The container runs.
        """
        _refuse_in_use(self)
        core_of(self).whole.group.forget_all(self)
        return containers.SingletonResetContext(self)

    def shutdown_resources(self, resource_type: type[Any] | None = None) -> object:
        """
        Shut down each open `Resource`, nested containers included, each before the resources that it needs.

        The exit of the bus does so as well. If one shutdown fails, the others still run.

        Args:
            resource_type: Shut down only resources of this class.

        Returns:
            An awaitable if a resource is asynchronous, as in the library; otherwise None.

        Raises:
            Exception: The exception of a shutdown; a group if several failed.
        """
        kind = RESOURCE if resource_type is None else resource_type
        order, _ = dependencies_first(providers_of(body_of(self).members), lambda node: list(node.related))
        resources = [node for node in order if isinstance(node, kind)]
        if any(node.is_async_mode_enabled() for node in resources):
            injector: Any = super()
            return injector.shutdown_resources(kind)
        drop(resources, lambda node: (str(node), blueprint_of(type(self)).place))
        return None

    def traverse(self, types: Iterable[type[T]] | None = None) -> Iterator[T]:
        """Yield every provider of the container and its nested containers, named or not, in no particular order."""
        return providers.traverse(*providers_of(body_of(self).members), types=types)


def _refuse_in_use(container: Declarations) -> None:
    if core_of(container).is_in_use:
        raise ResetError(type(container).__name__)
