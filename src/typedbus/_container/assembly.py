"""The containers that a start assembles together, the graph of their components, and the faults of that graph."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import attrs
from dependency_injector import providers

from typedbus._base.ordering import dependencies_first
from typedbus._base.static import is_a
from typedbus._bus.bus import Bus
from typedbus._bus.registry import ASSEMBLE
from typedbus._channels.bound import BoundChannel, Subscription
from typedbus._channels.channel import DEFAULT_PRIORITY, AnyChannel, Hook
from typedbus._container.choice import Choice
from typedbus._container.choosing import choice_faults, foreseen_key
from typedbus._container.component import Component, Home
from typedbus._container.faults import BusFault, DisabledFault, Fault
from typedbus._container.providers import IfEnabled, Selected, declared_needs, needs
from typedbus._container.references import Every
from typedbus._container.resources import keeps_instance
from typedbus._container.validation.arguments import class_of


class Assembly(Subscription):
    """A container's listener on `ASSEMBLE`, named after the component that is being built."""

    __slots__ = ("_home",)

    def __init__(self, bound: BoundChannel[[], None], listener: Callable[[], None], home: Home) -> None:
        super().__init__(bound, listener, DEFAULT_PRIORITY)
        self._home = home

    @property
    def name(self) -> str:
        return self._home.name if self._building is None else self._building.path

    @property
    def place(self) -> str:
        return super().place if self._building is None else self._building.place

    @property
    def _building(self) -> Component[Any] | None:
        homes = [container._home for container in self._home.container._together]
        return next((home.building for home in homes if home.building is not None), None)


def attached_to(bus: Bus) -> list[Any]:
    """Return the containers that the next start of *bus* builds, in the order in which they were attached."""
    subscriptions = list(bus[ASSEMBLE]._subscriptions.values())
    return [one._home.container for one in subscriptions if isinstance(one, Assembly)]


def live_of(
    roots: Sequence[Any], declared: Callable[[object], list[object]] | None = None
) -> tuple[list[Component[object]], list[list[object]], list[object], list[object]]:
    """
    Return the components that a start builds for the providers *roots*, in order of declaration, and their cycles.

    Components that only an overridden component needed are left out. The third
    result lists all providers that *roots* refer to, overridden or not, each after
    the providers it needs; the fourth lists the providers in force, in order of
    declaration. *declared* is `declared_needs` with a cache.
    """
    declared = _cached(declared_needs) if declared is None else declared
    everything, _ = dependencies_first(roots, declared)
    wanted_by: dict[int, list[object]] = {id(node): [] for node in everything}
    for node in everything:
        # A list of all components of a kind is not a reason to build them: they were declared for their own sake.
        for need in declared(node) if not isinstance(node, Every) else ():
            wanted_by[id(need)].append(node)
    idle: set[int] = set()
    for node in reversed(everything):
        users = wanted_by[id(node)]
        if not users or not all(id(user) in idle or _is_overridden(user) for user in users):
            continue
        # A bus stays: other components subscribe to it without naming it as a need.
        if not (isinstance(node, Component) and buses_of([node])):
            idle.add(id(node))
    order, circles = dependencies_first(
        (root for root in roots if id(root) not in idle),
        lambda node: needs(node) if _is_overridden(node) else declared(node),
    )
    # Restore the order of declaration: an override has the place of the component that it overrides,
    # and an undeclared provider has the place of its first user.
    ranks = {id(one): number for number, root in enumerate(roots) for one in (root, root.last_overriding)}
    rank = len(roots)
    for node in reversed(order):
        rank = ranks.setdefault(id(node), rank)
    order.sort(key=lambda node: ranks[id(node)])
    # Leave out components that another component overrides.
    live = [node for node in order if isinstance(node, Component) and not isinstance(node.overriding, Component)]
    return live, circles, everything, order


@attrs.define(eq=False)
class Look:
    """
    The graph of the containers *together* at one moment.

    Attributes:
        together: The containers, connected by references.
        live: The components that a start builds, in order of declaration.
        circles: The cycles among them.
        in_force: The providers in force, in order of declaration.
        looked_at: All examined providers, each with its override at that moment.
        lasting: The library's singletons and resources, each after the providers it needs.
        needed: `needs` with a cache.
    """

    together: Sequence[Any]
    live: list[Component[object]]
    circles: list[list[object]]
    in_force: list[object]
    looked_at: list[tuple[Any, object]]
    lasting: list[object]
    needed: Callable[[object], list[object]]
    #: The class and the hooks of each component of `live`, by identity, as `validate` found them.
    hooks: dict[int, tuple[type | None, list[Hook[object]]]] = attrs.field(factory=dict)
    _faults: list[Fault] | None = None
    _participations: list[tuple[bool | None, str]] | None = None

    @classmethod
    def at(cls, together: Sequence[Any], roots: Sequence[Any]) -> Look:
        """Build the graph of the providers *roots* of the containers *together*."""
        declared = _cached(declared_needs)
        live, circles, everything, in_force = live_of(roots, declared)
        nodes: dict[int, Any] = {id(node): node for node in (*everything, *in_force)}
        looked_at = [(node, node.last_overriding) for node in nodes.values()]
        lasting = [node for node in everything if not isinstance(node, Component) and keeps_instance(node)]

        def needed(node: object) -> list[object]:
            return needs(node) if _is_overridden(node) else declared(node)

        return cls(together, live, circles, in_force, looked_at, lasting, needed)

    @property
    def is_outdated(self) -> bool:
        """Whether an override has begun or ended since then."""
        return any(node.last_overriding is not standing_in for node, standing_in in self.looked_at)

    @property
    def faults(self) -> list[Fault]:
        """The faults of choices and of components that are not enabled; computed once."""
        if self._faults is None:
            self._faults = foreseen_faults(self.live, self.participations, self.needed)
        return self._faults

    @property
    def participations(self) -> list[tuple[bool | None, str]]:
        """For each live component, whether it takes part, as far as that is known; computed once."""
        if self._participations is None:
            self._participations = [component.participation(is_foreseen=True) for component in self.live]
        return self._participations

    @property
    def absent(self) -> set[int]:
        """The identities of the live components that are known to take no part."""
        rows = zip(self.live, self.participations, strict=True)
        return {id(component) for component, (takes_part, _) in rows if takes_part is False}


@contextlib.contextmanager
def looking_once(containers: Sequence[Any]) -> Generator[None]:
    """Within the block, let *containers* that are connected by references share one `Look` at their graph."""
    looks: dict[int, Look] = {}
    for container in containers:
        container._looks = looks
    try:
        yield
    finally:
        for container in containers:
            container._looks = None


def buses_of(nodes: Iterable[object]) -> list[Component[object]]:
    """Return the components among *nodes* that are a bus."""
    return [one for one in nodes if isinstance(one, Component) and issubclass(class_of(one) or object, Bus)]


def _is_overridden(node: Any) -> bool:
    return node.last_overriding is not None


def _cached(needs_of: Callable[[object], list[object]]) -> Callable[[object], list[object]]:
    """Return *needs_of* with a cache: the container library recomputes the result on each call, which is slow."""
    answers: dict[int, list[object]] = {}

    def cached(node: object) -> list[object]:
        answer = answers.get(id(node))
        if answer is None:
            answer = answers[id(node)] = needs_of(node)
        return answer

    return cached


def graph_of(
    live: Sequence[Component[object]], needed: Callable[[object], list[object]] | None = None
) -> tuple[dict[int, set[int]], list[set[AnyChannel]], list[set[int]]]:
    """
    Return, for each component of *live*, the components that it needs, by number, and the bus channels it is given.

    Other providers between two components are followed; providers that are passed uncalled do not count.
    The third result is the part of the first that is required: without the components that are passed as optional.
    *needed* is `needs` with a cache.
    """
    numbers = {id(component): number for number, component in enumerate(live)}
    reached: dict[int, tuple[set[int], set[AnyChannel], set[int]]] = {}
    nodes: list[object] = list(live)
    needed = _cached(needs) if needed is None else needed
    for node in dependencies_first(nodes, needed)[0]:
        below: set[int] = set()
        channels: set[AnyChannel] = set()
        required: set[int] = set()
        for need in needed(node):
            number = numbers.get(id(need))
            if number is not None:
                below.add(number)
                required.add(number)
            else:
                below |= reached[id(need)][0]
                channels |= reached[id(need)][1]
                required |= reached[id(need)][2]
        if isinstance(node, (IfEnabled, Every)):
            required = set()
        elif isinstance(node, Selected):
            number = numbers.get(id(node.asked))
            required = set(reached[id(node.asked)][2]) if number is None else {number}
        if isinstance(node, providers.ItemGetter) and is_a(node.name, AnyChannel):
            channels.add(node.name)
        reached[id(node)] = below, channels, required
    rows = [reached[id(component)] for component in live]
    return {number: row[0] for number, row in enumerate(rows)}, [row[1] for row in rows], [row[2] for row in rows]


def foreseen_faults(
    live: Sequence[Component[object]],
    rows: Sequence[tuple[bool | None, str]],
    needed: Callable[[object], list[object]],
) -> list[Fault]:
    """
    Return the faults of choices and of components that are not enabled, as far as they are known before the start.

    Args:
        live: The components.
        rows: For each component, the result of `Component.participation`.
        needed: `needs` with a cache.
    """
    if all(takes_part is not False for takes_part, _ in rows) and not any(isinstance(one, Choice) for one in live):
        return []
    return [*choice_faults(live, rows, foreseen_key), *disabled_faults(live, graph_of(live, needed)[2], rows)]


def disabled_faults(
    live: Sequence[Component[object]],
    required: Sequence[Iterable[int]],
    participations: Sequence[tuple[bool | None, str]],
) -> list[Fault]:
    """
    Return a fault for each component that takes part and requires a component that does not.

    Args:
        live: The components.
        required: The third result of `graph_of`.
        participations: For each component, the result of `Component.participation`.
    """
    if all(takes_part is not False for takes_part, _ in participations):
        return []
    return [
        DisabledFault(component.path, component.place, live[other].path, participations[other][1])
        for number, component in enumerate(live)
        if participations[number][0]
        for other in sorted(required[number])
        if participations[other][0] is False
    ]


def no_bus(container: str, place: str, needing: Component[object] | None) -> BusFault:
    """Return the fault of a container without a bus; *needing* is a component that listens to channels, or None."""
    reason = f"{needing.path} listens to channels" if needing else "a start needs one"
    return BusFault(
        container,
        needing.place if needing else place,
        f"it has no bus, and {reason}",
        "declare one: bus = Component(Bus)",
    )


def several_buses(container: str, buses: list[Component[object]]) -> BusFault:
    """Return the fault of a container with more than one bus."""
    names = ", ".join(f"{bus.path} ({bus.place})" for bus in buses)
    return BusFault(
        container, buses[1].place, f"it has several buses: {names}", "keep one, and hand it on as bus.provided"
    )
