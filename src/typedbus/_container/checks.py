"""The faults of a container: every check of `validate()`, in one place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from typedbus._base.ordering import dependencies_first
from typedbus._container.analysis import Analysis, is_bus
from typedbus._container.body import Declarations, blueprint_of, body_of, in_library_containers, paths_in, providers_of
from typedbus._container.component import Component
from typedbus._container.component_faults import cycle_fault, reference_faults
from typedbus._container.contributed import contribution_faults
from typedbus._container.descriptions import class_of
from typedbus._container.faults import BusFault, CycleFault, DisabledFault, Fault
from typedbus._container.providers import IfEnabled, needs
from typedbus._container.references import Every, Reference
from typedbus._container.replaceable import Home
from typedbus._container.scoped import OfScope, Scoped
from typedbus._container.validation.arguments import argument_faults
from typedbus._container.validation.building import build_faults, class_faults
from typedbus._container.validation.hidden import hidden_faults, inline_faults
from typedbus._container.validation.hooks import hook_faults, misspelt_faults
from typedbus._container.validation.library import library_faults, lifetime_faults
from typedbus._container.validation.overrides import annotation_faults, declared_types, override_fault
from typedbus._container.validation.replacements import assigned_faults, replacement_faults
from typedbus._container.validation.resources import early_faults, resource_faults
from typedbus._container.validation.scopes import later_faults, mark_faults, transaction_faults


def container_faults(
    container: Declarations,
    home: Home,
    analysis: Analysis,
    *,
    unresolved: Sequence[Reference],
    has_bus: bool,
    dependents: Callable[..., list[object]],
) -> list[Fault]:
    """
    Return the faults that keep *container* from being built and started, in order of declaration.

    Args:
        container: The container.
        home: The same container, as its components see it.
        analysis: The analysis of it and of the containers that references connect with it.
        unresolved: The references in these containers that have no target.
        has_bus: Whether the container shares the bus of another one.
        dependents: Returns the users of a provider, direct and indirect.
    """
    faults: list[Fault] = []
    cycles = analysis.cycles_in(home)
    components = analysis.components_in(home)
    participations = analysis.participations() if not cycles else []
    if not cycles:
        paths = {component.path for component in components}
        faults.extend(fault for fault in analysis.foreseen_faults(participations) if fault.path in paths)
    declared = [node for node in providers_of(body_of(container).members) if isinstance(node, Component)]
    # Overrides have no dependents, so cycles among them are looked for separately.
    overridden = [component for component in declared if component.overriding is not None]
    roots: list[object] = list(overridden)
    reported = {frozenset(map(id, cycle)) for cycle in cycles}
    further = [cycle for cycle in dependencies_first(roots, needs)[1] if frozenset(map(id, cycle)) not in reported]
    cycles = [*cycles, *analysis.of_home(home, further)]
    faults.extend(map(cycle_fault, cycles))
    if not analysis.cycles:
        # A disabled component that no other component requires does not prevent the start.
        absent = {
            id(component)
            for component, (takes_part, _) in zip(analysis.components, participations, strict=True)
            if takes_part is False
        }
        components = [component for component in components if id(component) not in absent]
        deferred = analysis.deferred([takes_part is not False for takes_part, _ in participations])
        faults.extend(
            early_faults(components, {id(analysis.components[number]) for number in deferred}, analysis.needs)
        )
    in_force = set(map(id, analysis.order))
    for component in components:
        faults.extend(_component_faults(component, analysis, in_force, has_unresolved=bool(unresolved)))
    faults.extend(_scope_faults(components, home, analysis, in_force, has_unresolved=bool(unresolved)))
    types = declared_types(container)
    faults.extend([*build_faults(components), *annotation_faults(declared, types)])
    for component in overridden:
        fault = override_fault(component, types.get(id(component)))
        faults.extend([] if fault is None else [fault])
    place = blueprint_of(type(container)).place
    providers = analysis.within(home, analysis.order)
    named, unported = paths_in(container, home.name), in_library_containers(container)
    faults.extend(library_faults(providers, named, place, dependents, analysis.needs, unported=unported))
    faults.extend(contribution_faults(container, home.name))
    faults.extend(replacement_faults(container, home.name))
    faults.extend(assigned_faults(container, home.name))
    positions = {component.path: position for position, component in enumerate(declared)}
    # Cycles come first: they have no single place.
    faults.sort(key=lambda fault: -1 if isinstance(fault, CycleFault) else positions.get(fault.path, len(positions)))
    # An unresolved reference to a bus has been reported as a fault already.
    has_bus = has_bus or any(is_bus(reference.declaration) for reference in unresolved)
    faults.extend(_bus_faults(components, home, analysis, place, has_bus=has_bus))
    return faults


def _component_faults(
    component: Component[object], analysis: Analysis, in_force: Collection[int], *, has_unresolved: bool
) -> Iterator[Fault]:
    """Yield the faults of the arguments, the lifetime and the hooks of *component*."""
    yield from reference_faults(component) if has_unresolved else ()
    yield from argument_faults(component)
    yield from hidden_faults(component)
    yield from inline_faults(component, in_force)
    yield from lifetime_faults(component, analysis.needs)
    yield from resource_faults(component)
    cls, hooks = analysis.listening(component)
    if cls is not None:
        yield from hook_faults(component, cls, hooks)
        yield from misspelt_faults(component, cls, hooks)


def _bus_faults(
    components: Sequence[Component[object]], home: Home, analysis: Analysis, place: str, *, has_bus: bool
) -> Iterator[BusFault]:
    """Yield a fault if one of *components* listens and there is no bus, and a fault if there are several."""
    buses = [component for component in components if is_bus(component)]
    if not buses and not has_bus:
        for component in components:
            cls, hooks = analysis.listening(component)
            if cls is not None and hooks:
                unknown = next(
                    (each for each in components if each.path.endswith("bus") and class_of(each) is None), None
                )
                yield no_bus(home.name, place, component, unknown)
                return
    if len(buses) > 1:
        yield several_buses(home.name, buses)


def _scope_faults(
    components: Sequence[Component[object]],
    home: Home,
    analysis: Analysis,
    in_force: Collection[int],
    *,
    has_unresolved: bool,
) -> Iterator[Fault]:
    """Yield the faults of the objects of scopes, and of *components* that receive functions which open or need one."""
    if not analysis.scoped:
        return
    declarations: list[OfScope[object]] = analysis.within(home, analysis.scoped)
    for scoped in declarations:
        yield from reference_faults(scoped) if has_unresolved else ()
        if isinstance(scoped, Scoped):
            yield from argument_faults(scoped)
            yield from hidden_faults(scoped)
            yield from inline_faults(scoped, in_force)
            yield from mark_faults(scoped)
            yield from transaction_faults(scoped)
            yield from class_faults(scoped)
        yield from lifetime_faults(scoped, analysis.needs)
        yield from () if analysis.cycles else _disabled_faults(scoped, analysis)
    for component in (*components, *declarations):
        yield from later_faults(component, analysis.needs)


def _disabled_faults(scoped: OfScope[object], analysis: Analysis) -> Iterator[DisabledFault]:
    """Yield a fault for each component that *scoped* requires and that certainly takes no part."""
    pending = analysis.needs(scoped)[::-1]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if id(node) in seen or isinstance(node, (OfScope, IfEnabled, Every)):
            continue
        seen.add(id(node))
        if not isinstance(node, Component):
            pending.extend(analysis.needs(node)[::-1])
            continue
        takes_part, reason = node.participation(is_foreseen=True)
        if takes_part is False:
            yield DisabledFault(scoped.path, scoped.place, node.path, reason)


def no_bus(
    container: str, place: str, needing: Component[object] | None, unknown: Component[object] | None = None
) -> BusFault:
    """
    Return the fault of a container without a bus.

    Args:
        container: The name of the container.
        place: File and line of the container.
        needing: A component that listens to channels, or None.
        unknown: A component with the name of a bus whose function does not declare what it returns, or None.
    """
    annotate = f"; if {unknown.path} is one, annotate its function with '-> Bus'" if unknown else ""
    reason = f"{needing.path} listens to channels" if needing else "a start needs one"
    return BusFault(
        container,
        needing.place if needing else place,
        f"it has no bus, and {reason}",
        f"declare one: bus = Component(Bus){annotate}",
    )


def several_buses(container: str, buses: list[Component[object]]) -> BusFault:
    """Return the fault of a container with more than one bus."""
    names = ", ".join(f"{bus.path} ({bus.place})" for bus in buses)
    return BusFault(
        container,
        buses[1].place,
        f"it has several buses: {names}",
        "keep one, and pass it to the others as bus.provided",
    )
