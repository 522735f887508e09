"""A component that is selected from several by a key, which is known when the container starts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from dependency_injector import providers
from typing_extensions import TypeVar

from typedbus._base.errors import DeclarationError
from typedbus._base.places import calling_place
from typedbus._container.component import Component
from typedbus._container.faults import ChoiceFault, InvalidContainer
from typedbus._container.providers import Selected, same
from typedbus._container.stand_ins import Provided, injection

T_co = TypeVar("T_co", covariant=True)
K = TypeVar("K", bound=Hashable)


class Choice(Component[T_co]):
    """
    The declaration of a component that configuration selects from several.

    ``store = Choice[Store](settings.provided.kind, {"pg": pg, "memory": memory})``
    is used as any other component: ``store.provided`` is a `Store`. A start
    builds the components that the key needs, reads the key, and builds and starts
    the branch under it. The other branches take no part unless another component
    requires them: ``pg.optional`` is None, ``every(Store)`` leaves them out,
    a call raises `ComponentDisabled`, and the event `Disabled` gives the reason.

    Args:
        key: The key, or a value that another component provides.
        branches: A component for each key.

    Raises:
        DeclarationError: A branch is not a component.
    """

    def __init__(self, key: K, branches: Mapping[K, Component[T_co]]) -> None:
        wrong = next((branch for branch in branches.values() if not isinstance(branch, Component)), None)
        place = calling_place()
        if wrong is not None:
            raise DeclarationError("Choice", place, f"{wrong!r} is not a component: give one for each key")
        names: Any = providers.Object(tuple(branches))
        selected: Any = Provided(Selected(same, injection(key), names, *branches.values()))
        super().__init__(same, selected)
        self.place = place
        self.path = "Choice"

    @property
    def selected(self) -> Selected:
        """The provider that reads the key and calls the branch under it."""
        selected: Any = self._provider.args[0]
        return selected  # type: ignore[no-any-return]  # `__init__` has put it there

    def fault(self, key: object) -> ChoiceFault:
        """Return the fault of *key*, which has no branch."""
        return ChoiceFault(self.path, self.place, key, tuple(self.selected.branches))

    def before_construction(self) -> None:
        """
        Check that there is a branch for the key.

        Raises:
            InvalidContainer: There is no branch for the key.
        """
        key = self.selected.key()
        if self.selected.branch_of(key) is None:
            raise InvalidContainer(self.path, [self.fault(key)])
