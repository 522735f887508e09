"""The analysis of containers: the components that a start builds, their graph, and its cycles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, Final

import attrs
from dependency_injector import providers

from typedbus._base.ordering import dependencies_first
from typedbus._base.static import is_a
from typedbus._bus.bus import Bus
from typedbus._bus.listeners import Listeners, functions_of
from typedbus._channels.channel import AnyChannel, Hook
from typedbus._container.choice import Choice
from typedbus._container.choosing import Choices, choice_faults, foreseen_key
from typedbus._container.component import Component
from typedbus._container.descriptions import class_of
from typedbus._container.faults import DisabledFault, Fault
from typedbus._container.hooks import foreseen_listeners, hooks_of
from typedbus._container.providers import IfEnabled, Selected, declared_needs, needs
from typedbus._container.references import Every
from typedbus._container.replaceable import Home
from typedbus._container.resource import Resource
from typedbus._container.resources import keeps_instance
from typedbus._container.scoped import OfScope

#: Providers whose needs are fixed when they are created.
_FIXED: Final = (Component, providers.Object, providers.AttributeGetter, providers.ItemGetter)


@attrs.frozen
class ComponentGraph:
    """
    What the components of an analysis need of each other; each attribute has an entry for each component, by number.

    Other providers between two components are followed; providers that are passed uncalled do not count.

    Attributes:
        needed: The numbers of the components that each one needs.
        channels: The bus channels that each one receives.
        required: The part of `needed` without the components that are passed as optional.
    """

    needed: dict[int, set[int]]
    channels: list[set[AnyChannel]]
    required: list[set[int]]


@attrs.frozen(eq=False, slots=False)  # without slots, for `cached_property`
class Analysis:
    """
    The components of containers that references connect, and their graph, at one moment.

    `core.analysis_of` returns the current analysis of a container. It is replaced
    when an override begins or ends, and when a declaration or a reference changes.

    Attributes:
        homes: The containers.
        components: The components that a start builds, in order of declaration.
        scoped: The declarations of scopes, in order of declaration.
        cycles: The cycles among them, each as the list of its providers.
        order: The providers in force, in order of declaration.
        lasting: The library's singletons and resources, each after the providers it needs.
        needs: Returns the providers that a call of a provider calls; cached.
    """

    homes: tuple[Home, ...]
    components: list[Component[object]]
    scoped: list[OfScope[object]]
    cycles: list[list[object]]
    order: list[object]
    lasting: list[object]
    needs: Callable[[object], list[object]]
    #: Each examined provider with its override, and each whose needs may change with the identities of its needs.
    _overrides: list[tuple[Any, object]]
    _library_needs: list[tuple[object, list[int]]]
    _listening: dict[int, tuple[type | None, list[Hook[object]]]] = attrs.field(factory=dict, init=False)
    #: Each `Listeners` among the components, with the number of its functions when its hooks were read.
    _registered: dict[int, tuple[Listeners, int]] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, homes: Sequence[Home], roots: Sequence[Any]) -> Analysis:
        """Analyse the providers *roots*, which the containers *homes* declare, and the providers that these need."""
        declared = _cached(declared_needs)
        reachable, _ = dependencies_first(roots, declared)
        # Leave out providers that only an overridden component needs.
        users: dict[int, list[object]] = {id(node): [] for node in reachable}
        for node in reachable:
            # A list of all components of a kind is not a reason to build them: they were declared for their own sake.
            for need in declared(node) if not isinstance(node, Every) else ():
                users[id(need)].append(node)
        idle: set[int] = set()
        for node in reversed(reachable):
            # A bus stays: other components subscribe to it without naming it as a need.
            if (
                users[id(node)]
                and all(id(user) in idle or _is_overridden(user) for user in users[id(node)])
                and not is_bus(node)
            ):
                idle.add(id(node))

        def needs_in_force(node: object) -> list[object]:
            return needs(node) if _is_overridden(node) else declared(node)

        order, cycles = dependencies_first((root for root in roots if id(root) not in idle), needs_in_force)
        # Restore the order of declaration: an override has the place of the component that it overrides,
        # and an undeclared provider has the place of its first user.
        ranks = {id(node): rank for rank, root in enumerate(roots) for node in (root, root.last_overriding)}
        rank = len(roots)
        for node in reversed(order):
            rank = ranks.setdefault(id(node), rank)
        order.sort(key=lambda node: ranks[id(node)])
        examined: dict[int, Any] = {id(node): node for node in (*reachable, *order)}
        return cls(
            tuple(homes),
            # Leave out components that another component overrides.
            [
                node
                for node in order
                if isinstance(node, Component)
                and not isinstance(node, OfScope)
                and not isinstance(node.overriding, Component)
            ],
            [node for node in order if isinstance(node, OfScope) and not isinstance(node.overriding, Component)],
            cycles,
            order,
            [node for node in reachable if not isinstance(node, Component) and keeps_instance(node)],
            needs_in_force,
            [(node, node.last_overriding) for node in examined.values()],
            [(node, [*map(id, declared(node))]) for node in examined.values() if not isinstance(node, _FIXED)],
        )

    @property
    def is_current(self) -> bool:
        """Whether no override has begun or ended, and no provider of the library has changed, since the analysis."""
        return all(node.last_overriding is override for node, override in self._overrides) and all(
            [*map(id, declared_needs(node))] == earlier_needs for node, earlier_needs in self._library_needs
        )

    @cached_property
    def graph(self) -> ComponentGraph:
        """What the components need of each other."""
        return graph_of(self.components, self.needs)

    def deferred(self, enabled: Sequence[bool | None]) -> set[int]:
        """
        Return the numbers of the components that a start builds at their turn: resources, and components that need one.

        Args:
            enabled: For each component, whether it takes part.
        """
        pending = list(self._resources)
        users: dict[int, list[int]] = {}
        for number, others in self.graph.needed.items() if pending else ():
            for other in others:
                users.setdefault(other, []).append(number)
        numbers: set[int] = set()
        while pending:
            number = pending.pop()
            if number not in numbers and enabled[number]:
                numbers.add(number)
                pending.extend(users.get(number, ()))
        return numbers

    @cached_property
    def _resources(self) -> list[int]:
        """The numbers of the resources, except overridden ones."""
        return [
            number
            for number, component in enumerate(self.components)
            if isinstance(component, Resource) and component.overriding is None
        ]

    @cached_property
    def choices(self) -> Choices:
        """The choices among the components."""
        return Choices(self.components, self.graph.required)

    def components_in(self, home: Home) -> list[Component[object]]:
        """Return the components, except the components of other containers in `homes`."""
        return self.within(home, self.components)

    def buses_in(self, home: Home) -> list[Component[object]]:
        """Return the components of *home* that are a bus."""
        return [component for component in self.components_in(home) if is_bus(component)]

    def cycles_in(self, home: Home) -> list[list[object]]:
        """Return the cycles whose first component belongs to *home*."""
        return self.of_home(home, self.cycles)

    def of_home(self, home: Home, cycles: list[list[object]]) -> list[list[object]]:
        """Return the cycles among *cycles* whose first component belongs to *home*."""
        firsts = [next((node for node in cycle if isinstance(node, Component)), None) for cycle in cycles]
        return [
            cycle for cycle, first in zip(cycles, firsts, strict=True) if first is None or self.within(home, [first])
        ]

    def within(self, home: Home, nodes: list[Any]) -> list[Any]:
        """Return *nodes* without the components of the other containers in `homes`."""
        others = {id(other) for other in self.homes if other is not home}
        if not others:
            return nodes
        return [node for node in nodes if not isinstance(node, Component) or id(node.home) not in others]

    def listening(self, component: Component[object]) -> tuple[type | None, list[Hook[object]]]:
        """Return the class of *component* as declared, None if it is not known, and the hooks of the class; cached."""
        entry = self._listening.get(id(component))
        if entry is None:
            cls = class_of(component)
            listeners = foreseen_listeners(component) if cls is Listeners else None
            if listeners is not None:
                self._registered[id(listeners)] = listeners, len(functions_of(listeners))
            entry = self._listening[id(component)] = cls, hooks_of(component, cls or object, listeners)
        return entry

    @property
    def has_new_functions(self) -> bool:
        """Whether a function was registered with a `Listeners` among the components since its hooks were last read."""
        return any(len(functions_of(listeners)) != count for listeners, count in self._registered.values())

    def forget_hooks(self) -> None:
        """Read the hooks of the classes again at their next use."""
        self._listening.clear()

    @cached_property
    def has_choices(self) -> bool:
        """Whether a component is a choice."""
        return any(isinstance(component, Choice) for component in self.components)

    @cached_property
    def _conditional(self) -> list[int]:
        """The numbers of the components that may take no part; all of them if there are choices."""
        return [
            number
            for number, component in enumerate(self.components)
            if self.has_choices or component.condition is not None or component.overriding is not None
        ]

    def participations(self) -> list[tuple[bool | None, str]]:
        """Return for each component whether it takes part, and why not, as far as that is known before the start."""
        results: list[tuple[bool | None, str]] = [(True, "")] * len(self.components)
        for number in self._conditional:
            results[number] = self.components[number].participation(is_foreseen=True)
        return results

    def foreseen_faults(self, participations: Sequence[tuple[bool | None, str]]) -> list[Fault]:
        """Return the faults of choices, and of components that require a component which takes no part."""
        if not self.has_choices and all(takes_part is not False for takes_part, _ in participations):
            return []
        return [
            *choice_faults(self.components, participations, foreseen_key),
            *disabled_faults(self.components, self.graph.required, participations),
        ]


def is_bus(node: object) -> bool:
    """Whether the provider *node* is a component that is a bus."""
    return isinstance(node, Component) and issubclass(class_of(node) or object, Bus)


def _is_overridden(node: Any) -> bool:
    return node.last_overriding is not None


def _cached(needs_of: Callable[[object], list[object]]) -> Callable[[object], list[object]]:
    """Return *needs_of* with a cache: the container library recomputes the result on each call, which is slow."""
    results: dict[int, list[object]] = {}

    def cached(node: object) -> list[object]:
        result = results.get(id(node))
        if result is None:
            result = results[id(node)] = needs_of(node)
        return result

    return cached


def graph_of(components: Sequence[Component[object]], needs_of: Callable[[object], list[object]]) -> ComponentGraph:
    """Return what *components* need of each other; *needs_of* is `needs` with a cache."""
    numbers = {id(component): number for number, component in enumerate(components)}
    reached: dict[int, tuple[set[int], set[AnyChannel], set[int]]] = {}
    nodes: list[object] = list(components)
    for node in dependencies_first(nodes, needs_of)[0]:
        needed: set[int] = set()
        channels: set[AnyChannel] = set()
        required: set[int] = set()
        for need in needs_of(node):
            number = numbers.get(id(need))
            if number is not None:
                needed.add(number)
                required.add(number)
            else:
                needed |= reached[id(need)][0]
                channels |= reached[id(need)][1]
                required |= reached[id(need)][2]
        if isinstance(node, (IfEnabled, Every)):
            required = set()
        elif isinstance(node, Selected):
            number = numbers.get(id(node.key))
            required = set(reached[id(node.key)][2]) if number is None else {number}
        if isinstance(node, providers.ItemGetter) and is_a(node.name, AnyChannel):
            channels.add(node.name)
        reached[id(node)] = needed, channels, required
    rows = [reached[id(component)] for component in components]
    return ComponentGraph(
        {number: row[0] for number, row in enumerate(rows)}, [row[1] for row in rows], [row[2] for row in rows]
    )


def disabled_faults(
    components: Sequence[Component[object]],
    required: Sequence[Iterable[int]],
    participations: Sequence[tuple[bool | None, str]],
) -> list[Fault]:
    """
    Return a fault for each component that takes part and requires a component that does not.

    Args:
        components: The components.
        required: For each component, the numbers of the components that it requires.
        participations: For each component, the result of `Component.participation`.
    """
    if all(takes_part is not False for takes_part, _ in participations):
        return []
    return [
        DisabledFault(component.path, component.place, components[other].path, participations[other][1])
        for number, component in enumerate(components)
        if participations[number][0]
        for other in sorted(required[number])
        if participations[other][0] is False
    ]
