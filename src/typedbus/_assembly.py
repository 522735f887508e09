"""The containers that a start assembles together, the graph of their components, and the faults of that graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dependency_injector import providers

from typedbus._annotations import This
from typedbus._bound import BoundChannel, Subscription
from typedbus._bus import Bus
from typedbus._channel import DEFAULT_PRIORITY, AnyChannel
from typedbus._choice import Choice
from typedbus._component import Component, Home
from typedbus._faults import BusFault, ChoiceFault, DisabledFault, Fault
from typedbus._order import dependencies_first
from typedbus._providers import IfEnabled, Selected, declared_needs, needs
from typedbus._references import Every
from typedbus._registry import ASSEMBLE
from typedbus._static import MISSING, is_a, is_simple
from typedbus._validation import class_of, given_by


class Assembly(Subscription):
    """The listener of `ASSEMBLE` of a container, named after the component that is being built."""

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
    roots: Sequence[Any],
) -> tuple[list[Component[object]], list[list[object]], list[object], list[object]]:
    """
    Return the components that a start builds for the providers *roots*, by declaration, and the circles among them.

    Components that only an overridden one needed are left out. Third come all
    providers that *roots* refer to, overridden or not, each after what it needs,
    and fourth those in force, by declaration.
    """
    # Kept, since the container library computes it anew each time, which takes half of the time here.
    known: dict[int, list[object]] = {}

    def declared(node: object) -> list[object]:
        found = known.get(id(node))
        if found is None:
            found = known[id(node)] = declared_needs(node)
        return found

    everything, _ = dependencies_first(roots, declared)
    wanted_by: dict[int, list[object]] = {id(node): [] for node in everything}
    for node in everything:
        # A list of all components of a kind does not keep them: they were declared for their own sake.
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
    # Restore the order of declaration: a replacement has the place of the component that it overrides,
    # and an undeclared provider that of its first user.
    ranks = {id(one): number for number, root in enumerate(roots) for one in (root, root.last_overriding)}
    rank = len(roots)
    for node in reversed(order):
        rank = ranks.setdefault(id(node), rank)
    order.sort(key=lambda node: ranks[id(node)])
    # Leave out components that another component overrides.
    live = [node for node in order if isinstance(node, Component) and not isinstance(node.overriding, Component)]
    return live, circles, everything, order


def buses_of(nodes: Iterable[object]) -> list[Component[object]]:
    """Return the components among *nodes* that are a bus."""
    return [one for one in nodes if isinstance(one, Component) and issubclass(class_of(one) or object, Bus)]


def _is_overridden(node: Any) -> bool:
    return node.last_overriding is not None


def graph_of(
    live: Sequence[Component[object]],
) -> tuple[dict[int, set[int]], list[set[AnyChannel]], list[set[int]]]:
    """
    Return which components each component of *live* needs, by number, and which channels of a bus it is given.

    Whatever stands between two components is passed; what is handed over uncalled does not count.
    Returned last is which components each one cannot do without: those of the first that are not optional.
    """
    numbers = {id(component): number for number, component in enumerate(live)}
    reached: dict[int, tuple[set[int], set[AnyChannel], set[int]]] = {}
    nodes: list[object] = list(live)
    for node in dependencies_first(nodes, needs)[0]:
        below: set[int] = set()
        channels: set[AnyChannel] = set()
        required: set[int] = set()
        for need in needs(node):
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


def choose(
    live: Sequence[Component[object]],
    required: Sequence[Iterable[int]],
    enabled: list[bool | None],
    key_of: Callable[[Choice[object]], object],
) -> tuple[dict[int, str], list[Fault]]:
    """
    Disable, in *enabled*, the branches of choices that nothing needs, and return why, and what is wrong.

    A branch takes part if it is chosen, is built, or a component that takes part cannot do without it.

    Args:
        live: The components.
        required: As `graph_of` returns it.
        enabled: Which of *live* take part, without regard to choices.
        key_of: Returns the key of a choice, or `MISSING` if it is not known yet.
    """
    numbers = {id(component): number for number, component in enumerate(live)}
    reasons: dict[int, str] = {}
    faults: list[Fault] = []
    kept: set[int] = set()
    for number, choice in enumerate(live):
        if not isinstance(choice, Choice) or choice.overriding is not None or enabled[number] is False:
            continue
        key, branches = key_of(choice), choice.selected.branches
        places = {one: numbers.get(id(_acting(branch))) for one, branch in branches.items()}
        if key is MISSING:
            kept.update(place for place in places.values() if place is not None)
            continue
        if key not in branches:
            faults.append(ChoiceFault(choice.path, choice.place, key, tuple(branches)))
            continue
        for one, place in places.items():
            if place is not None and one != key:
                reasons.setdefault(place, f"{choice.path} is {key!r}")
        chosen = places[key]
        if chosen is not None:
            kept.add(chosen)
            if enabled[chosen] is False:
                branch = live[chosen]
                faults.append(DisabledFault(choice.path, choice.place, branch.path, branch.reason))
    idle = {number for number in reasons if number not in kept and not live[number].is_built}
    while True:
        wanted = {
            other
            for number, others in enumerate(required)
            if number not in idle and enabled[number] is not False
            for other in others
        }
        if not idle & wanted:
            break
        idle -= wanted
    for number in idle:
        if enabled[number] is not False:
            enabled[number] = False
        else:
            reasons.pop(number)
    return {number: reason for number, reason in reasons.items() if number in idle}, faults


def foreseen_faults(live: Sequence[Component[object]]) -> list[Fault]:
    """Return the faults of choices and of components that are not enabled, as far as they are known before the start."""
    enabled = [component.foreseen() for component in live]
    if False not in enabled and not any(isinstance(component, Choice) for component in live):
        return []
    required = graph_of(live)[2]
    _, faults = choose(live, required, enabled, foreseen_key)
    return [*faults, *disabled_faults(live, required, enabled)]


def foreseen_key(choice: Choice[object]) -> object:
    """Return the key of *choice*, or `MISSING` where it is not known before something is built."""
    known = given_by(choice.selected.asked)
    is_known = isinstance(known, This) and is_simple(known.value)
    return known.value if is_known and isinstance(known, This) else MISSING


def _acting(component: Any) -> object:
    """Return what stands in for *component*, or itself."""
    acting = getattr(component, "target", None) or component
    while isinstance(acting, Component) and isinstance(acting.overriding, Component):
        acting = acting.overriding
    return acting


def disabled_faults(
    live: Sequence[Component[object]], required: Sequence[Iterable[int]], enabled: Sequence[bool | None]
) -> list[Fault]:
    """Return a fault for each component that is *enabled* and needs one that is not; of None nobody knows yet."""
    return [
        DisabledFault(component.path, component.place, live[other].path, live[other].reason)
        for number, component in enumerate(live if False in enabled else ())
        if enabled[number]
        for other in sorted(required[number])
        if enabled[other] is False
    ]


def no_bus(container: str, place: str, needing: Component[object] | None) -> BusFault:
    """Return the fault of a container without a bus, which *needing* listens on, if it is that component that needs it."""
    who = f"{needing.path} listens to channels" if needing else "it is to be started"
    return BusFault(
        container, needing.place if needing else place, f"it has no bus, and {who}", "declare one: bus = Component(Bus)"
    )


def several_buses(container: str, buses: list[Component[object]]) -> BusFault:
    """Return the fault of a container with more than one bus."""
    names = ", ".join(f"{bus.path} ({bus.place})" for bus in buses)
    return BusFault(
        container, buses[1].place, f"it has several buses: {names}", "keep one, and hand it on as bus.provided"
    )
