"""Containers that references connect: one analysis for all of them, and instances that are dropped together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from typedbus._base.errors import OverrideError
from typedbus._base.ordering import dependencies_first
from typedbus._bus.bus import Bus
from typedbus._container.analysis import Analysis
from typedbus._container.body import Declarations, body_of, paths_in, providers_of
from typedbus._container.choosing import Choices
from typedbus._container.component import Component
from typedbus._container.providers import cover, declared_needs, forget, is_resource, needs, uncover
from typedbus._container.replaceable import Home
from typedbus._container.resources import built_from_components, drop, keeps_instance
from typedbus._container.scoped import OfScope


class Member(Home, Protocol):
    """A container, as its group sees it."""

    container: Declarations
    #: The containers whose scopes may contain its objects.
    scope_homes: set[Any]

    @property
    def place(self) -> str:
        """File and line of the container's class."""
        ...


@attrs.define(eq=False)
class Group:
    """
    Containers that references connect, or a single container.

    Attributes:
        members: The containers.
        choices: The choices of the last analysis, or of the start that is building.
        validated: The containers in which `validate` found no faults since the last analysis.
    """

    members: Sequence[Member]
    choices: Choices | None = attrs.field(default=None, init=False)
    validated: set[Member] = attrs.field(factory=set, init=False)
    _latest: Analysis | None = attrs.field(default=None, init=False)

    @property
    def analysis(self) -> Analysis:
        """The current analysis of the containers."""
        if self._latest is None or not self._latest.is_current:
            # An override without a name belongs to the container that uses it.
            for member in self.members if len(self.members) > 1 else ():
                for node in dependencies_first(providers_of(body_of(member.container).members), needs)[0]:
                    if isinstance(node, Component) and node.home is None:
                        node.home = member
            self.invalidate()
            self._latest = Analysis.of(self.members, self._roots())
        return self._latest

    def invalidate(self) -> None:
        """Make the next use of the analysis create a new one."""
        self._latest = self.choices = None
        self.validated.clear()
        self.forget_plans()

    def forget_plans(self) -> None:
        """Compile the code of scopes again at their next opening: it has components and overrides as constants."""
        for member in self.members:
            for home in member.scope_homes:
                home.plans = None

    def choice_of(self, component: Component[object], *, is_foreseen: bool) -> tuple[bool | None, str]:
        """Return whether choices let *component* take part, and the reason, like `Component.participation`."""
        choices = self.choices
        if choices is None:
            analysis = self.analysis
            # Only choices need the graph, which is costly and may have cycles.
            choices = self.choices = analysis.choices if analysis.has_choices else Choices([], [])
        return choices.participation(component, is_foreseen=is_foreseen)

    def _roots(self) -> list[Any]:
        """Return the providers that the containers declare."""
        return [provider for member in self.members for provider in providers_of(body_of(member.container).members)]

    def dependents(self, *nodes: object) -> list[object]:
        """Return the providers *nodes* and their users, direct and indirect, each after the providers it needs."""
        users = {id(node): node for node in nodes}
        for node in dependencies_first(self._roots() if nodes else (), declared_needs)[0]:
            if any(id(need) in users for need in declared_needs(node)):
                users[id(node)] = node
        return list(users.values())

    def name_of(self, node: object) -> tuple[str, str]:
        """Return the path of a library provider, or its str() if it has no path, and the place of its container."""
        for member in self.members:
            path = paths_in(member.container, member.name).get(id(node))
            if path is not None:
                return path, member.place
        return str(node), self.members[0].place

    def cover(self, component: Component[Any], replacements: Sequence[tuple[Any, object]]) -> None:
        """
        Override *component*.

        Args:
            component: The component.
            replacements: The component, or each reference to it, and the provider that replaces it there.

        Raises:
            OverrideError: The component, or one that needs it, is already built.
        """
        scope = next((scope for member in self.members for home in member.scope_homes for scope in home.scopes), None)
        if scope is not None and isinstance(component, OfScope):
            where = f" (since {scope.place})" if scope.place else ""
            reason = f"a scope is open{where}; override before it is opened"
            raise OverrideError(component.path, component.place, reason)
        late = first_built(self.dependents(*(place for place, _ in replacements)))
        if late is not None:
            raise OverrideError(component.path, component.place, f"{late.path} is built already; override before that")
        for place, replacement in replacements:
            cover(place, replacement)
        self.invalidate()

    def uncover(self, places: Sequence[Any], replacements: Sequence[object], own: Sequence[object] = ()) -> None:
        """Remove the overrides *replacements* from *places*, and forget what was built with them, *own* included."""
        users = [*own, *self.dependents(*places)]
        for user in reversed(users):
            if isinstance(user, Component):
                self._forget(user)
        for place in places:
            for replacement in replacements:
                uncover(place, replacement)
        self.invalidate()
        self._drop([user for user in users if keeps_instance(user) and not isinstance(user, Component)])

    def drop_instances(self, components: Sequence[Component[object]], kept: Bus | None = None) -> None:
        """Drop the instances of *components* except *kept*; their exit() released what their constructors acquired."""
        # Users first: dropping a long chain from its far end would deallocate it recursively.
        for component in reversed(components):
            if kept is None or not component.is_built or component() is not kept:
                self._forget(component)
        self._drop(built_from_components(self.analysis.lasting))

    def forget_all(self, container: Declarations) -> None:
        """Forget the instances of *container*, and what was built with them, except the bus."""
        declared = dependencies_first(providers_of(body_of(container).members), declared_needs)[0]
        users = self.dependents(*declared)
        for user in reversed(users):
            if isinstance(user, Component) and user.is_built and not isinstance(user(), Bus):
                self._forget(user)
        for node in users:
            if not isinstance(node, Component) and not is_resource(node):
                forget(node)

    def _forget(self, component: Component[object]) -> None:
        """Drop the instance of *component*, and end its subscriptions."""
        self._cancel(component)
        component.forget()

    def _drop(self, nodes: Sequence[object]) -> None:
        """Forget singletons and shut down resources among *nodes*, each after what it needs; raise the failures."""
        for node in nodes:
            self._cancel(node)
        drop(nodes, self.name_of)

    def _cancel(self, node: object) -> None:
        for member in self.members:
            subscriber = member.subscribers.pop(id(node), None)
            if subscriber is not None:
                subscriber.cancel()


def first_built(nodes: Sequence[object]) -> Component[object] | None:
    """Return the first of *nodes* that is a component whose instance exists, or None."""
    return next((node for node in nodes if isinstance(node, Component) and node.is_built), None)
