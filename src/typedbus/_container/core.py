"""The state of a container: its bus, its analysis, the instances of its components, and the overrides of them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from dependency_injector import providers

from typedbus._base.errors import OverrideError
from typedbus._base.events import Constructed, Constructing
from typedbus._base.ordering import dependencies_first
from typedbus._base.states import State
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.participants import StartContext
from typedbus._container.analysis import Analysis
from typedbus._container.body import Declarations, blueprint_of, body_of, paths_in, providers_of
from typedbus._container.checks import container_faults, no_bus, several_buses
from typedbus._container.choosing import Choices, foreseen_condition
from typedbus._container.component import Component
from typedbus._container.faults import InvalidContainer
from typedbus._container.linking import link, references_in
from typedbus._container.providers import cover, declared_needs, forget, is_resource, needs, uncover
from typedbus._container.resources import Shutdowns, drop, keeps_instance, outlived, raise_together
from typedbus._container.startup import build_all
from typedbus._container.subscribers import Subscriber
from typedbus._container.validation.replacements import assigned


@attrs.define(eq=False)
class Core:
    """
    The state of one container; `core_of` returns it.

    Attributes:
        container: The container.
        name: Its name.
        bus: The bus that it is attached to.
        is_guest: Whether the bus belongs to another container.
        subscribers: The subscriptions of each component and resource, by identity.
        companions: The containers on the same bus, this one included.
        together: Those of them that references connect with this one, and this one.
        is_valid: Whether the last analysis has no faults.
        assembling: The thread in which a start builds the components.
        building: The component that this start is building.
        latest: The last analysis, which may be out of date; `analysis` returns the current one.
        choices: The choices of the last analysis, or of the start that is building.
        run: The number of exits of the bus before the instances were built.
    """

    container: Declarations
    name: str
    bus: Bus | None = attrs.field(default=None, init=False)
    is_guest: bool = attrs.field(default=False, init=False)
    subscribers: dict[int, Subscriber] = attrs.field(factory=dict, init=False)
    companions: Sequence[Core] = attrs.field(init=False)
    together: Sequence[Core] = attrs.field(init=False)
    is_valid: bool = attrs.field(default=False, init=False)
    assembling: int | None = attrs.field(default=None, init=False)
    building: Component[Any] | None = attrs.field(default=None, init=False)
    latest: Analysis | None = attrs.field(default=None, init=False)
    choices: Choices | None = attrs.field(default=None, init=False)
    #: The provider that replaces the declared bus, and the components that it replaces.
    _lent_bus: object = attrs.field(default=None, init=False)
    _covered: list[Component[object]] = attrs.field(factory=list, init=False)
    #: Whether instances were built for a bus that the container has left.
    _is_stale: bool = attrs.field(default=False, init=False)
    run: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.companions = self.together = [self]

    @property
    def place(self) -> str:
        """File and line of the container's class."""
        return blueprint_of(type(self.container)).place

    @property
    def whole(self) -> Core:
        """The state of the outermost container around this one, or this one."""
        around: Any = body_of(self.container).around
        return self if around is None else around

    @property
    def is_outermost(self) -> bool:
        """Whether no other container, and no container class, declares this one."""
        return body_of(self.container).around is self

    # The analysis.

    @property
    def analysis(self) -> Analysis:
        """The current analysis of this container and of the containers that references connect with it."""
        analysis = self.latest
        if analysis is None or analysis.homes != tuple(self.together) or not analysis.is_current:
            # An override without a name belongs to the container that uses it.
            for core in self.together if len(self.together) > 1 else ():
                for node in dependencies_first(providers_of(body_of(core.container).members), needs)[0]:
                    if isinstance(node, Component) and node.home is None:
                        node.home = core
            analysis = Analysis.of(self.together, self._roots())
            for core in self.together:
                core.latest, core.choices = analysis, None
        return analysis

    @property
    def components(self) -> list[Component[object]]:
        """The components of this container that a start builds, in order of declaration."""
        return self.analysis.components_in(self)

    def invalidate(self) -> None:
        """Make the next use analyse again, here and in the containers that references connect with this one."""
        for core in self.together:
            core.is_valid, core.latest, core.choices = False, None, None

    def foreseen(self, condition: object) -> bool | None:
        """Return the value that *condition* will have, or None if a component must be built to find out."""
        return foreseen_condition(condition)

    def choice_of(self, component: Component[object], *, is_foreseen: bool) -> tuple[bool | None, str]:
        """Return whether choices let *component* take part, and the reason, like `Component.participation`."""
        choices = self.choices
        if choices is None:
            analysis = self.analysis
            # Only choices need the graph, which is costly and may have cycles.
            choices = analysis.choices if analysis.has_choices else Choices([], [])
            for core in self.together:
                core.choices = choices
        return choices.participation(component, is_foreseen=is_foreseen)

    def _roots(self) -> list[Any]:
        """Return the providers declared in this container and in the containers that references connect with it."""
        return [provider for core in self.together for provider in providers_of(body_of(core.container).members)]

    def dependents(self, *nodes: object) -> list[object]:
        """Return the providers *nodes* and their users, direct and indirect, each after the providers it needs."""
        users = {id(node): node for node in nodes}
        for node in dependencies_first(self._roots() if nodes else (), declared_needs)[0]:
            if any(id(need) in users for need in declared_needs(node)):
                users[id(node)] = node
        return list(users.values())

    def validate(self) -> None:
        """Raise `InvalidContainer` with the faults of the container; see `Container.validate`."""
        # `invalidate` resets `is_valid`; the library's overrides, and assignments, are checked here.
        if self.is_valid and self.latest is self.analysis and not assigned(self.container):
            return
        analysis = self.analysis
        faults = container_faults(
            self.container,
            self,
            analysis,
            unresolved=[ref for core in self.together for ref in references_in(core.container) if ref.is_unresolved],
            has_bus=self.is_guest,
            dependents=self.dependents,
        )
        if faults:
            raise InvalidContainer(self.name, faults)
        self.is_valid = True

    # The bus.

    def attach(self, bus: Bus | None = None) -> Bus:
        """Attach the container to *bus*, or to its own; see `Container.attach`."""
        if self._is_stale:
            self._is_stale = False
            self._drop_instances(self.components, kept=self.bus)
        if bus is None and self.bus is not None:
            return self._join(self.bus)
        own = self.analysis.buses_in(self)
        if bus is None:
            if len(own) != 1:
                fault = several_buses(self.name, own) if own else no_bus(self.name, self.place, None)
                raise InvalidContainer(self.name, [fault])
            built = own[0]()
            assert isinstance(built, Bus)
            bus = built
        elif bus is not self.bus:
            former = self.bus
            if former is not None and former.state is State.EXITED:
                self._drop_instances(self.components)
            late = next(iter(_built(self.components if former is not None else self.dependents(*own))), None)
            if late is not None:
                reason = "it is built already; attach the container to another bus before that"
                raise OverrideError(late.path, late.place, reason)
            if former is not None:
                self.withdraw()
            self._uncover_buses()
            self._lent_bus, self._covered = providers.Object(bus), own
            for component in own:
                cover(component, self._lent_bus)
            self.is_guest, self.is_valid = True, False
        return self._join(bus)

    def _join(self, bus: Bus) -> Bus:
        if self.bus is not bus:
            self.bus, self.run = bus, parts_of(bus).machine.exits
        parts_of(bus).participants.add(Assembly(self))
        cores = attached_to(bus)
        if any(core not in self.companions for core in cores):
            run_together(cores)
        return bus

    def leave(self, before: Bus | None, *, was_guest: bool) -> None:
        """
        Leave the bus that the container was attached to as a guest, unless that is the bus *before*.

        All of the container's subscriptions there are cancelled. Built components
        stay available until the container is attached again.
        """
        if self.is_guest != was_guest:
            self.is_guest, self.is_valid = was_guest, False
        bus = self.bus
        if bus is None or bus is before:
            return
        self.withdraw()
        for subscriber in self.subscribers.values():
            subscriber.cancel()
        self.subscribers.clear()
        self._uncover_buses()
        self._lent_bus, self._covered = None, []
        self._is_stale = self.run != parts_of(bus).machine.exits
        self.bus, self.is_guest, self.is_valid = None, False, False

    def withdraw(self) -> None:
        """Leave the start of the bus to other containers, until the next `attach`."""
        if self.bus is not None:
            parts_of(self.bus).participants.remove(Assembly(self))

    def _uncover_buses(self) -> None:
        for component in self._covered:
            uncover(component, self._lent_bus)

    def prepare(self, start: StartContext) -> None:
        """
        Build every component and subscribe its hooks, in start order, for *start*.

        Of several containers that references connect, the first does this for all of them.
        """
        bus = self.attach()
        cores = attached_to(bus)
        if any(core not in cores for core in self.together):
            run_together(cores)
        group = [core for core in cores if core in self.together]
        if group[0] is not self:
            return
        for core in group:
            core.assembling, core.building = threading.get_ident(), None
            core.validate()
        analysis = self.analysis
        if any(core.run != start.run for core in group):
            self._drop_instances(analysis.components, kept=bus)
        for core in group:
            core.run = start.run
            core.choices = analysis.choices
        shutdowns = Shutdowns(bus, list(filter(is_resource, analysis.lasting)), self._name_of, self.subscribers)
        try:
            build_all(self, bus, start, analysis, shutdowns)
        finally:
            # Also after a failed start, since an exit follows it.
            shutdowns.rest()
            # The program may change a class before the next start.
            analysis.forget_hooks()

    @property
    def is_in_use(self) -> bool:
        """Whether a start has subscribed components of the outermost container, and its bus has not exited."""
        core = self.whole
        return bool(core.subscribers) and core.bus is not None and core.bus.state is not State.EXITED

    # Construction.

    def constructing(self, component: Component[object]) -> None:
        """Publish that the constructor of *component* is about to be called."""
        if self.bus is not None:
            parts_of(self.bus).registry.observers.publish(Constructing(component.path))

    def constructed(self, component: Component[object], seconds: float) -> None:
        """Publish that *component* was built; a bus becomes the bus of the container."""
        instance = component()
        if isinstance(instance, Bus):
            self._join(instance)
        if self.bus is not None:
            parts_of(self.bus).registry.observers.publish(Constructed(component.path, seconds))

    def _drop_instances(self, components: Sequence[Component[object]], kept: Bus | None = None) -> None:
        """Drop the instances of *components* except *kept*; their exit() released what their constructors acquired."""
        # Users first: dropping a long chain from its far end would deallocate it recursively.
        for component in reversed(components):
            if component.is_built and (kept is None or component() is not kept):
                self.forget(component)
        self._drop(outlived(self.analysis.lasting))

    def _drop(self, nodes: Sequence[object]) -> None:
        """Forget singletons and shut down resources among *nodes*, each after what it needs; raise the failures."""
        for node in nodes:
            self._cancel(node)
        raise_together(drop(nodes, self._name_of))

    def forget_all(self) -> None:
        """Forget every instance but the bus."""
        whole = self.whole
        users = whole.dependents(*dependencies_first(providers_of(body_of(self.container).members), declared_needs)[0])
        for user in reversed(_built(users)):
            if not isinstance(user(), Bus):
                whole.forget(user)
        for node in users:
            if not isinstance(node, Component) and not is_resource(node):
                forget(node)

    def forget(self, component: Component[object]) -> None:
        """Drop the instance of *component*, and end its subscriptions."""
        self._cancel(component)
        component.forget()

    def _cancel(self, node: object) -> None:
        for core in self.together:
            subscriber = core.subscribers.pop(id(node), None)
            if subscriber is not None:
                subscriber.cancel()

    def _name_of(self, node: object) -> tuple[str, str]:
        """Return the path of a library provider, or its str() if it has no path, and the place of the container."""
        for core in self.together:
            path = paths_in(core.container, core.name).get(id(node))
            if path is not None:
                return path, core.place
        return str(node), self.place

    # Overrides.

    def cover(self, component: Component[Any], replacement: object, places: Sequence[Any] = ()) -> None:
        """
        Override *component*, or the references to it in *places*, by *replacement*.

        Raises:
            OverrideError: The component, or one that needs it, is already built.
        """
        covered = places or [component]
        late = next(iter(_built(self.dependents(*covered))), None)
        if late is not None:
            raise OverrideError(component.path, component.place, f"{late.path} is built already; override before that")
        for node in covered:
            cover(node, replacement)
        self.invalidate()

    def uncover(self, places: Sequence[Any], replacements: Sequence[object], own: Sequence[object] = ()) -> None:
        """Remove the overrides *replacements* from *places*, and forget what was built with them, *own* included."""
        users = [*own, *self.dependents(*places)]
        for user in reversed(users):
            if isinstance(user, Component):
                self.forget(user)
        for place in places:
            for replacement in replacements:
                if replacement is not self._lent_bus:
                    uncover(place, replacement)
        self.invalidate()
        self._drop([user for user in users if keeps_instance(user) and not isinstance(user, Component)])


@attrs.frozen
class Assembly:
    """A container as a participant in the starts of its bus, named after the component that is under construction."""

    core: Core

    def prepare(self, start: StartContext, /) -> None:
        """Build the components of the container, and subscribe their hooks."""
        self.core.prepare(start)

    @property
    def name(self) -> str:
        """The path of the component under construction, otherwise the name of the container."""
        building = self._building
        return self.core.name if building is None else building.path

    @property
    def place(self) -> str:
        """File and line of the declaration of the component under construction, otherwise of the container's class."""
        building = self._building
        return self.core.place if building is None else building.place

    @property
    def _building(self) -> Component[Any] | None:
        return next((core.building for core in self.core.together if core.building is not None), None)


def attached_to(bus: Bus) -> list[Core]:
    """Return the containers that the next start of *bus* builds, in the order in which they were attached."""
    return [participant.core for participant in parts_of(bus).participants if isinstance(participant, Assembly)]


def run_together(cores: Sequence[Core]) -> None:
    """Link *cores*, which will share a bus, and undo links to containers with which they shared a bus before."""
    former = {id(other): other for core in cores for other in core.companions if other not in cores}
    # Former companions that still share a bus stay linked; each of the others is linked only to itself.
    sharing: dict[int, list[Core]] = {}
    for core in former.values():
        sharing.setdefault(id(core if core.bus is None else core.bus), []).append(core)
    for companions in (*sharing.values(), list(cores)):
        for group in link([core.container for core in companions]):
            together = [core_of(container) for container in group]
            for core in together:
                core.companions = companions
                if len(together) > 1 or len(core.together) > 1:
                    core.together, core.is_valid, core.choices = together, False, None


def core_of(container: Declarations) -> Core:
    """Return the state of *container*."""
    core: Core = body_of(container).core
    return core


def analysis_of(container: Declarations) -> Analysis:
    """Return the current analysis of *container* and of the containers that references connect with it."""
    return core_of(container).analysis


def components_of(container: Declarations) -> list[Component[object]]:
    """Return the components of *container* that a start builds, in order of declaration, disabled ones included."""
    return core_of(container).components


def _built(nodes: Iterable[object]) -> list[Component[object]]:
    return [node for node in nodes if isinstance(node, Component) and node.is_built]
