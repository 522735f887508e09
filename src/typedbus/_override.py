"""Replacing one component of one container."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, Generic

from dependency_injector import providers
from typing_extensions import TypeVar

from typedbus._component import Component
from typedbus._order import dependencies_first
from typedbus._providers import needs

T = TypeVar("T")


class Override(Generic[T]):
    """One component of one container, to be replaced; made by `Container.override`."""

    def __init__(self, container: Any, component: Component[T], copies: dict[int, Any]) -> None:
        self._container = container
        self._component = component
        self._copies = copies

    @contextlib.contextmanager
    def by(self, replacement: T | Component[T]) -> Generator[None, None, None]:
        """
        Let *replacement* be given wherever the component is asked for, inside the ``with``.

        The component itself is neither built nor started, nor is what only it
        needs. At the end all is as it was: what was built meanwhile with the
        replacement is forgotten.

        Args:
            replacement: An object, or the declaration of one.

        Raises:
            OverrideError: The component, or one that needs it, is built already.
        """
        component, container = self._component, self._container
        standing_in: Any = providers.Object(replacement)
        if isinstance(replacement, Component):
            # What it refers to in the class of the container is in this instance a copy.
            standing_in = providers.deepcopy(replacement, dict(self._copies))
            if id(replacement) not in self._copies:
                standing_in.path = component.path
            for node in dependencies_first([standing_in], needs)[0]:
                if isinstance(node, Component) and node.home is None:
                    node.home = component.home
        container._cover(component, standing_in)
        try:
            yield
        finally:
            own = [node for node in dependencies_first([standing_in], needs)[0] if id(node) not in self._copies]
            container._uncover(component, [standing_in], own)
