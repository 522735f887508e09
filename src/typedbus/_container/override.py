"""Replacing one component of one container."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import Any, Generic

from dependency_injector import providers
from typing_extensions import TypeVar

from typedbus._base.ordering import dependencies_first
from typedbus._container.body import Declarations, blueprint_of, body_of
from typedbus._container.component import Component
from typedbus._container.core import Core, run_together
from typedbus._container.linking import declaring_container
from typedbus._container.providers import copied_before, needs
from typedbus._container.references import Every, Reference, foreign

T = TypeVar("T")


class Override(Generic[T]):
    """A pending override of one component of one container; created by `Container.override`."""

    def __init__(
        self, core: Core, component: Component[T], copies: dict[int, Any], references: Sequence[Any] = ()
    ) -> None:
        self._core = core
        self._component = component
        self._copies = copies
        #: The references to override if the component's own container is not present.
        self._references = references

    @contextlib.contextmanager
    def by(self, replacement: T | Component[T]) -> Generator[None, None, None]:
        """
        Inside the ``with``, provide *replacement* in place of the component.

        The component itself is neither built nor started, nor are components that
        only it needs. At the end the previous state is restored: everything that
        was built with the replacement is forgotten.

        Args:
            replacement: An object, or the declaration of a component.

        Raises:
            OverrideError: The component, or one that needs it, is already built.
        """
        component, core = self._component, self._core
        override: Any = providers.Object(replacement)
        holder = body_of(declaring_container(core.container, component))
        references: list[Reference] = []
        if isinstance(replacement, Component):
            # Declarations of the container's class have copies in this instance; others become references.
            memo = dict(self._copies)
            references = references_of(replacement, memo)
            holder.references.extend(references)
            run_together(core.companions)
            override = providers.deepcopy(replacement, memo)
            if id(replacement) not in self._copies:
                override.path = component.path
            for node in dependencies_first([override], needs)[0]:
                if isinstance(node, Component) and node.home is None:
                    node.home = component.home or core
        replacements = [(each, each.made_from(override)) for each in self._references] or [(component, override)]
        try:
            core.group.cover(component, replacements)
            if any(isinstance(node, Every) for node in dependencies_first([override], needs)[0]):
                holder.has_lists = True
                run_together(core.companions)
            try:
                yield
            finally:
                nodes, _ = dependencies_first(
                    [override], lambda node: [] if isinstance(node, Reference) else needs(node)
                )
                own = [node for node in nodes if id(node) not in self._copies]
                core.uncover([place for place, _ in replacements], [made for _, made in replacements], own)
        finally:
            holder.references = [reference for reference in holder.references if reference not in references]


def references_of(replacement: Component[Any], memo: dict[int, Any]) -> list[Reference]:
    """
    Return a reference for each declaration that *replacement* refers to and that has no copy in *memo*.

    They are added to *memo*. Declarations of the container class that declares
    *replacement* itself are copied with it.
    """
    owner = replacement.owner
    own = blueprint_of(owner).own if owner is not None and issubclass(owner, Declarations) else frozenset()
    nodes: list[object] = [replacement]
    references: list[Reference] = []
    for node in dependencies_first(
        nodes, lambda node: [] if id(node) in memo or foreign(node, own) is not None else copied_before(node, own)
    )[0]:
        declaration = foreign(node, own)
        if declaration is not None and id(node) not in memo:
            memo[id(node)] = Reference(node, declaration)
            references.append(memo[id(node)])
    return references
