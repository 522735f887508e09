"""dependency-injector's methods to override and reset a provider, with the checks that a component needs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from dependency_injector import providers

from typedbus._base.errors import OverrideError, ResetError
from typedbus._container.injection import Arguments, overriding
from typedbus._container.providers import cover, uncover


class Home(Protocol):
    """The container that owns components, as they see it."""

    #: The name of the container.
    name: str
    #: The thread in which a start builds the components, or None.
    assembling: int | None
    #: The component that this start is building.
    building: Any
    #: The subscriptions of its components and resources, by their identity; each is a `subscribers.Subscriber`.
    subscribers: dict[int, Any]

    @property
    def is_in_use(self) -> bool:
        """Whether its bus has been started and has not exited."""
        ...

    def dependents(self, *nodes: object) -> list[object]:
        """Return the providers *nodes* and their users, direct and indirect, each after the providers it needs."""
        ...

    def constructing(self, component: Any, /) -> None:
        """Called before the constructor of *component*."""

    def constructed(self, component: Any, instance: object, seconds: float, /) -> None:
        """Called after the constructor of *component* has returned *instance*, in *seconds*."""

    def choice_of(self, component: Any, /, *, is_foreseen: bool) -> tuple[bool | None, str]:
        """Return whether choices let *component* take part, and the reason, like `Component.participation`."""
        ...

    def foreseen(self, condition: object, /) -> bool | None:
        """Return the value that *condition* will have, or None if a component must be built to find out."""
        ...

    def forget_plans(self) -> None:
        """Discard the code of scopes: it has the instance of a component, which is dropped, as a constant."""

    def invalidate(self) -> None:
        """Discard the analysis of the container: a declaration has changed."""

    def cover(self, component: Any, replacement: object, /) -> None:
        """
        Override *component* by *replacement*.

        Raises:
            OverrideError: The component, or one that needs it, is already built.
        """

    def uncover(self, places: Sequence[Any], replacements: Sequence[object], /) -> None:
        """Remove the overrides *replacements* from *places*, and forget what was built with them."""


class Replaceable(Arguments):
    """A component that can be overridden before it is built, and reset while its container is not running."""

    path: str
    #: File and line of the declaration.
    place: str
    #: The container, or None for a declaration in a container class.
    home: Home | None
    #: Whether it is a copy that a container of the library has made, which has no home.
    is_in_library: bool = False

    @property
    def overriding(self) -> object:
        """The provider that overrides the component, or None."""
        return self._provider.last_overriding

    def forget(self) -> None:
        """Drop the instance; the next call builds a new one."""
        raise NotImplementedError

    @property
    def _provider(self) -> providers.Singleton[Any]:
        provider: Any = self
        return provider  # type: ignore[no-any-return]  # it is one, unknown to checkers

    def override(self, provider: object) -> AbstractContextManager[object]:  # type: ignore[override]  # upstream's own type is partially unknown
        """
        Override the component by *provider*, or an object, until the end of a ``with`` or `reset_override`.

        Type checkers do not compare the types of the two; for ``shop.override(Shop.database).by(fake)`` they do.

        Raises:
            OverrideError: The component, or one that needs it, is already built.
        """
        replacement: Any = overriding(provider)
        if replacement is self:
            raise OverrideError(self.path, self.place, "it cannot override itself")
        if self.home is None:
            # In a container class, the override is a part of the declaration.
            cover(self, replacement)
        else:
            self.home.cover(self, replacement)
        return providers.OverridingContext(self._provider, replacement)

    def reset_last_overriding(self) -> None:
        """
        Remove the last override, and forget what was built with it.

        Raises:
            ResetError: The container runs.
        """
        self._take_back(self._provider.overridden[-1:])

    def reset_override(self) -> None:
        """
        Remove every override, and forget what was built with them.

        Raises:
            ResetError: The container runs.
        """
        self._take_back(self._provider.overridden)

    def _take_back(self, replacements: Sequence[object]) -> None:
        if self.home is None:
            for replacement in replacements:
                uncover(self, replacement)
        elif self.home.is_in_use:
            raise ResetError(self.path)
        else:
            self.home.uncover([self], replacements)

    def reset(self) -> object:
        """
        Forget the instance; the next call builds a new one.

        Raises:
            ResetError: The container runs.
        """
        if self.home is not None and self.home.is_in_use:
            raise ResetError(self.path)
        self.forget()
        return super().reset()
