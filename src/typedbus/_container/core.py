"""The state of a container: its bus, and its part in the starts of the bus."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import attrs
from dependency_injector import providers

from typedbus._base.errors import OverrideError
from typedbus._base.events import Constructed, Constructing
from typedbus._base.states import State
from typedbus._bus.builtin import WARNING
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.participants import StartContext
from typedbus._container.analysis import Analysis
from typedbus._container.body import Declarations, blueprint_of, body_of
from typedbus._container.checks import container_faults, no_bus, several_buses
from typedbus._container.choosing import foreseen_condition
from typedbus._container.component import Component
from typedbus._container.faults import InvalidContainer
from typedbus._container.group import Group, first_built
from typedbus._container.linking import copies_of, link, references_in
from typedbus._container.open_scopes import described
from typedbus._container.providers import cover, uncover
from typedbus._container.resources import Shutdowns
from typedbus._container.scope import Plans, Scope, ScopeHome
from typedbus._container.scoped import Level, Scoped
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
        group: This container, and those of them that references connect with it.
        assembling: The thread in which a start builds the components.
        building: The component that this start is building.
        run: The number of exits of the bus before the instances were built.
    """

    container: Declarations
    name: str
    bus: Bus | None = attrs.field(default=None, init=False)
    is_guest: bool = attrs.field(default=False, init=False)
    subscribers: dict[int, Subscriber] = attrs.field(factory=dict, init=False)
    companions: Sequence[Core] = attrs.field(init=False)
    group: Group = attrs.field(init=False)
    assembling: int | None = attrs.field(default=None, init=False)
    building: Component[Any] | None = attrs.field(default=None, init=False)
    #: The provider that replaces the declared bus, and the components that it replaces.
    _lent_bus: object = attrs.field(default=None, init=False)
    _covered: list[Component[object]] = attrs.field(factory=list, init=False)
    #: Whether instances were built for a bus that the container has left.
    _is_stale: bool = attrs.field(default=False, init=False)
    run: int = attrs.field(default=0, init=False)
    #: The open scopes, and the code that builds their objects.
    scopes: set[Scope] = attrs.field(factory=set, init=False)
    plans: Plans | None = attrs.field(default=None, init=False)
    #: The containers whose scopes may contain objects of this one: itself, nested containers and companions.
    scope_homes: set[ScopeHome] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.companions, self.scope_homes = [self], {self}
        self.group = Group([self])

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

    @property
    def components(self) -> list[Component[object]]:
        """The components of this container that a start builds, in order of declaration."""
        return self.group.analysis.components_in(self)

    # Scopes.

    def scope(self) -> Scope:
        """Return a scope of the container, for `Scoped.opener`."""
        return Scope(self, (), Level.REQUEST)

    def share_plans(self) -> None:
        """Let each container whose objects the scopes of this one may contain discard the code of these scopes."""
        for core in (self, *self.whole.companions):
            core.scope_homes.add(self)

    def part_from_companions(self) -> None:
        """Discard the code of scopes that may contain objects of this container, before its companions change."""
        for home in self.scope_homes:
            home.plans = None
        self.scope_homes = {self, *self.own_scope_homes}

    @property
    def own_scope_homes(self) -> list[ScopeHome]:
        """The container itself, and those nested in it that have opened scopes."""
        return [home for home in list(self.scope_homes) if home.whole is self]

    @property
    def open_scopes(self) -> list[Scope]:
        """The open scopes of this container and of those nested in it."""
        return [scope for home in self.own_scope_homes for scope in list(home.scopes)]

    def copies_of(self, declaration: Component[Any]) -> list[Component[Any]]:
        """Return the counterparts of *declaration* in the container, or in those on the same bus; itself if it is one."""
        if declaration.home is not None and any(declaration.home is core for core in self.group.members):
            return [declaration]
        if own := copies_of(self.container, declaration):
            return own
        copies = [copy for core in self.companions for copy in copies_of(core.container, declaration)]
        return list({id(copy): copy for copy in copies}.values())

    # What components call; see `Home`.

    def invalidate(self) -> None:
        self.group.invalidate()

    def forget_plans(self) -> None:
        self.group.forget_plans()

    def foreseen(self, condition: object) -> bool | None:
        return foreseen_condition(condition)

    def choice_of(self, component: Component[object], *, is_foreseen: bool) -> tuple[bool | None, str]:
        return self.group.choice_of(component, is_foreseen=is_foreseen)

    def dependents(self, *nodes: object) -> list[object]:
        return self.group.dependents(*nodes)

    def cover(self, component: Component[Any], replacement: object) -> None:
        self.group.cover(component, [(component, replacement)])

    def uncover(self, places: Sequence[Any], replacements: Sequence[object], own: Sequence[object] = ()) -> None:
        # The bus of another container stays: `leave` removes it.
        self.group.uncover(places, [each for each in replacements if each is not self._lent_bus], own)

    def constructing(self, component: Component[object]) -> None:
        """Publish that the constructor of *component* is about to be called."""
        if self.bus is not None:
            parts_of(self.bus).registry.observers.publish(Constructing(component.path))

    def constructed(self, component: Component[object], instance: object, seconds: float) -> None:
        """Publish that *component* was built; a bus becomes the bus of the container."""
        if isinstance(instance, Bus):
            self._join(instance)
        if self.bus is not None:
            parts_of(self.bus).registry.observers.publish(Constructed(component.path, seconds))

    @property
    def is_in_use(self) -> bool:
        """Whether a start has subscribed components of the outermost container, and its bus has not exited."""
        core = self.whole
        return bool(core.subscribers) and core.bus is not None and core.bus.state is not State.EXITED

    @property
    def is_over(self) -> bool:
        """Whether the container ran on a bus that its own declaration returns, and that has exited since."""
        return not self.is_guest and self.bus is not None and self.run != parts_of(self.bus).machine.exits

    # Validation.

    def validate(self) -> None:
        """Raise `InvalidContainer` with the faults of the container; see `Container.validate`."""
        group = self.group
        analysis = group.analysis
        if analysis.has_new_functions:
            analysis.forget_hooks()
            group.validated.clear()
        if self in group.validated and not assigned(self.container):
            return
        faults = container_faults(
            self.container,
            self,
            analysis,
            unresolved=[ref for core in group.members for ref in references_in(core.container) if ref.is_unresolved],
            has_bus=self.is_guest,
            dependents=group.dependents,
        )
        if faults:
            raise InvalidContainer(self.name, faults)
        group.validated.add(self)

    # The bus.

    def attach(self, bus: Bus | None = None) -> Bus:
        """Attach the container to *bus*, or to its own; see `Container.attach`."""
        if self._is_stale:
            self._is_stale = False
            self.group.drop_instances(self.components, kept=self.bus)
        if bus is None and self.bus is not None:
            return self._join(self.bus)
        own = self.group.analysis.buses_in(self)
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
                self.group.drop_instances(self.components)
            late = first_built(self.components if former is not None else self.group.dependents(*own))
            if late is not None:
                reason = "it is built already; attach the container to another bus before that"
                raise OverrideError(late.path, late.place, reason)
            if former is not None:
                self.withdraw()
            self._uncover_buses()
            self._lent_bus, self._covered = providers.Object(bus), own
            for component in own:
                cover(component, self._lent_bus)
            self._set_guest(is_guest=True)
        return self._join(bus)

    def _join(self, bus: Bus) -> Bus:
        if self.bus is not bus:
            self.bus, self.run = bus, parts_of(bus).machine.exits
        if not self.is_guest:
            parts_of(bus).event_loop.name = self.name
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
        self._set_guest(is_guest=was_guest)
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
        self.bus = None
        self._set_guest(is_guest=False)

    def _set_guest(self, *, is_guest: bool) -> None:
        if self.is_guest != is_guest:
            self.is_guest = is_guest
            # Only a guest is valid without a bus of its own.
            self.group.validated.discard(self)

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
        if any(core not in cores for core in self.group.members):
            run_together(cores)
        members = [core for core in cores if core in self.group.members]
        if members[0] is not self:
            return
        for core in members:
            core.assembling, core.building = threading.get_ident(), None
            core.validate()
        group = self.group
        analysis = group.analysis
        if any(core.run != start.run for core in members):
            group.drop_instances(analysis.components, kept=bus)
        for core in members:
            core.run = start.run
        group.choices = analysis.choices
        shutdowns = Shutdowns(bus, analysis.lasting, group.name_of, self.subscribers)
        try:
            build_all(self, bus, start, analysis, shutdowns)
        finally:
            # Also after a failed start, since an exit follows it.
            shutdowns.subscribe_rest()
            # The program may change a class before the next start.
            analysis.forget_hooks()


@attrs.frozen
class Assembly:
    """A container as a participant in the starts of its bus, named after the component that is under construction."""

    core: Core

    def prepare(self, start: StartContext, /) -> None:
        """Build the components of the container, and subscribe their hooks."""
        self.core.prepare(start)

    def stopped(self) -> None:
        """Log each scope of the container that is still open, although the components that it uses have stopped."""
        core = self.core
        if core.bus is not None:
            for scope in described(core.open_scopes):
                parts_of(core.bus).registry.log(f"still open after the stop: {scope}", WARNING)

    def detach(self) -> None:
        """Forget the scopes of the parent's threads. A block that continues in the child still closes its own."""
        for home in self.core.own_scope_homes:
            home.scopes.clear()

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
        return next((core.building for core in self.core.group.members if core.building is not None), None)


def attached_to(bus: Bus) -> list[Core]:
    """Return the containers that the next start of *bus* builds, in the order in which they were attached."""
    return [participant.core for participant in parts_of(bus).participants if isinstance(participant, Assembly)]


def run_together(cores: Sequence[Core]) -> None:
    """Link *cores*, which will share a bus, and undo links to containers with which they shared a bus before."""
    former = {id(other): other for core in cores for other in core.companions if other not in cores}
    for core in (*cores, *former.values()):
        core.part_from_companions()
    # Former companions that still share a bus stay linked; each of the others is linked only to itself.
    sharing: dict[int, list[Core]] = {}
    for core in former.values():
        sharing.setdefault(id(core if core.bus is None else core.bus), []).append(core)
    for companions in (*sharing.values(), list(cores)):
        for containers in link([core.container for core in companions]):
            members = [core_of(container) for container in containers]
            for core in members:
                core.companions = companions
            if len(members) > 1 or len(members[0].group.members) > 1:
                group = Group(members)
                for core in members:
                    core.group, core.plans = group, None


def run_on_first(cores: Sequence[Core]) -> None:
    """Let the containers of *cores* run together on the bus of the first, where the others are guests."""
    for guest in cores[1:]:
        guest.is_guest = True
    run_together(cores)


def core_of(container: Declarations) -> Core:
    """Return the state of *container*."""
    core: Core = body_of(container).core
    return core


def analysis_of(container: Declarations) -> Analysis:
    """Return the current analysis of *container* and of the containers that references connect with it."""
    return core_of(container).group.analysis


def components_of(container: Declarations) -> list[Component[object]]:
    """Return the components of *container* that a start builds, in order of declaration, disabled ones included."""
    return core_of(container).components


def scoped_of(container: Declarations) -> list[Scoped[object]]:
    """Return the declarations of *container* whose objects are built in scopes, in order of declaration."""
    core = core_of(container)
    declarations: list[object] = core.group.analysis.within(core, core.group.analysis.scoped)
    return [declaration for declaration in declarations if isinstance(declaration, Scoped)]
