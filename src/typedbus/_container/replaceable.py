"""Overriding and resetting one component, as dependency-injector's users call it, with the checks that a component needs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from dependency_injector import providers

from typedbus._base.errors import OverrideError, ResetError
from typedbus._container.injection import Arguments, overriding
from typedbus._container.providers import cover, uncover


class Replaceable(Arguments):
    """A component that may be overridden before it is built, and reset while its container does not run."""

    #: The `Home` of the container, or None in the class of a container.
    home: Any

    def forget(self) -> None:
        """Drop the instance; the next call builds a new one."""
        raise NotImplementedError

    @property
    def _provider(self) -> providers.Singleton[Any]:
        provider: Any = self
        return provider  # type: ignore[no-any-return]  # it is one, unknown to checkers

    def override(self, provider: object) -> AbstractContextManager[object]:  # type: ignore[override]  # upstream's own type is partially unknown
        """
        Put *provider*, or an object, in the place of the component, until the end of a ``with`` or `reset_override`.

        Type checkers do not compare the two; they do so for ``shop.override(Shop.database).by(fake)``.

        Raises:
            OverrideError: The component, or one that needs it, is built already.
        """
        standing_in: Any = overriding(provider)
        if standing_in is self:
            raise OverrideError(self.path, self.place, "it would take its own place")
        if self.home is None:
            # In the class of a container it is a part of the declaration.
            cover(self, standing_in)
        else:
            self.home.container._cover(self, standing_in)
        return providers.OverridingContext(self._provider, standing_in)

    def reset_last_overriding(self) -> None:
        """
        Take back the last override, and forget what was built with it.

        Raises:
            ResetError: The container runs.
        """
        self._take_back(self._provider.overridden[-1:])

    def reset_override(self) -> None:
        """
        Take back every override, and forget what was built with them.

        Raises:
            ResetError: The container runs.
        """
        self._take_back(self._provider.overridden)

    def _take_back(self, replacements: Sequence[object]) -> None:
        if self.home is None:
            for replacement in replacements:
                uncover(self, replacement)
        elif self.home.container._is_in_use():
            raise ResetError(self.path)
        else:
            self.home.container._uncover([self], replacements)

    def reset(self) -> object:
        """
        Forget the instance; the next call builds a new one.

        Raises:
            ResetError: The container runs.
        """
        if self.home is not None and self.home.container._is_in_use():
            raise ResetError(self.path)
        self.forget()
        return super().reset()
