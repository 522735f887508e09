"""Containers: validation, assembly, overrides and reset of the declared components."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from dependency_injector import providers
from typing_extensions import TypeVar

from typedbus._base.errors import OverrideError
from typedbus._base.events import Constructed, Constructing
from typedbus._base.ordering import dependencies_first
from typedbus._base.states import State
from typedbus._bus.bus import Bus
from typedbus._bus.registry import ASSEMBLE
from typedbus._container.assembly import (
    Assembly,
    Look,
    attached_to,
    buses_of,
    graph_of,
    live_of,
    looking_once,
    no_bus,
    several_buses,
)
from typedbus._container.choosing import Choices, foreseen_condition
from typedbus._container.component import Component, Home, cycle_fault, reference_faults
from typedbus._container.declarations import _NOTHING, Declarations, paths_in, providers_of
from typedbus._container.faults import CycleFault, Fault, InvalidContainer
from typedbus._container.hooks import Subscriber, hook_faults, hooks_of
from typedbus._container.library import LibraryMethods, of_instances, way_to_override
from typedbus._container.linking import counterparts, link, references_in, run_together
from typedbus._container.override import Override
from typedbus._container.providers import cover, declared_needs, forget, is_resource, needs, uncover
from typedbus._container.resources import Shutdowns, drop, keeps_instance, outlived, raise_together
from typedbus._container.startup import build_all
from typedbus._container.validation.arguments import argument_faults, class_of, override_fault
from typedbus._container.validation.building import build_faults
from typedbus._container.validation.library import library_faults
from typedbus._container.validation.pitfalls import (
    assigned,
    assigned_faults,
    declared_types,
    hidden_faults,
    inline_faults,
    lifetime_faults,
    misspelt_faults,
    replacement_faults,
)

T = TypeVar("T")
N = TypeVar("N")


class Container(LibraryMethods):
    """
    The declarations of an application; each instance has components of its own.

    The body of a subclass declares components, other containers
    (``infra = Infra()``), and providers of dependency-injector. A declaration in
    a subclass replaces the base's declaration of the same name, also where the
    base's other declarations refer to it.

    Creating an instance builds no component. Its components are built one by one,
    dependencies first, in the thread that starts the container's bus, or, when
    a component is called, in the calling thread; each is built once. After the bus
    has exited, the next start builds them again. An instance lives as long as it or
    its bus is referenced, and may be used from any thread.

    Raises:
        DeclarationError: In the body of a subclass, for a name that containers
            use themselves.
    """

    def __init__(self, **overriding: object) -> None:
        super().__init__(**overriding)
        link([self])

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = super().__deepcopy__(memo)
        link([copied])
        return copied

    def _adopt(self, members: Mapping[str, Any], memo: dict[int, Any], known: Mapping[int, Any] = _NOTHING) -> None:
        super()._adopt(members, memo, known)
        self._bus: Bus | None = None
        #: Whether the bus belongs to another container.
        self._is_guest = False
        #: The provider that replaces the declared bus, and the components that it replaces.
        self._lent_bus: object = None
        self._covered: list[Component[object]] = []
        #: Whether instances were built for a bus that the container has left.
        self._is_stale = False
        self._exits = 0
        self._subscribers: dict[int, Subscriber] = {}
        #: The last look at this container and the containers that references connect with it.
        self._look: Look | None = None
        #: The looks that containers share within `looking_once`, by the identity of their list of containers.
        self._looks: dict[int, Look] | None = None
        self._is_valid = False
        #: The choices in this container and the containers that references connect with it; None until first used.
        self._choices: Choices | None = None
        #: The containers on the same bus, this one included; and those of them that references connect with this one.
        self._companions: Sequence[Container] = [self]
        self._together: Sequence[Container] = [self]
        self._home = Home(self, type(self).__name__, self._constructing, self._constructed)
        self._settle(self._home, self._home.name)

    def validate(self) -> None:
        """
        Find everything that would keep the container from being built and started.

        It reports arguments that are missing, unknown or of the wrong type, components
        that need each other in a cycle, dependencies without a provider, methods
        that do not fit their channel, a missing bus, and declarations that would
        silently do something other than they appear to.
        Nothing is built and no constructor runs.

        Raises:
            InvalidContainer: With every fault that was found, in order of declaration.
        """
        # This package's override methods reset `_is_valid`; the library's overrides, and assignments, are checked here.
        if self._is_valid and self._look is not None and not self._look.is_outdated and not assigned(self):
            return
        faults: list[Fault] = []
        look = self._look_together()
        circles = self._own_circles(look.circles)
        live = self._held(look.live)
        if not circles:
            own = {component.path for component in live}
            faults.extend(fault for fault in look.faults if fault.path in own)
        declared = [one for one in providers_of(self._members) if isinstance(one, Component)]
        # Overrides have no dependents, so cycles among them are looked for separately.
        overridden = [one for one in declared if one.overriding is not None]
        nodes: list[object] = list(overridden)
        met = {frozenset(map(id, circle)) for circle in circles}
        circles += [
            one for one in self._own_circles(dependencies_first(nodes, needs)[1]) if frozenset(map(id, one)) not in met
        ]
        faults.extend(map(cycle_fault, circles))
        needing_bus: list[Component[object]] = []
        unresolved = [one for each in self._together for one in references_in(each) if one.is_unresolved]
        in_force = set(map(id, look.in_force))
        # A component that takes no part, and that no component requires, keeps nothing from starting.
        absent: set[int] = look.absent if not look.circles else set()
        live = [one for one in live if id(one) not in absent]
        for component in live:
            faults.extend(reference_faults(component) if unresolved else ())
            faults.extend(argument_faults(component))
            faults.extend(hidden_faults(component))
            faults.extend(inline_faults(component, in_force))
            faults.extend(lifetime_faults(component, look.needed))
            cls = class_of(component)
            if cls is not None:
                hooks = hooks_of(component, cls)
                look.hooks[id(component)] = cls, hooks
                faults.extend(hook_faults(component, cls, hooks))
                faults.extend(misspelt_faults(component, cls, hooks))
                if hooks:
                    needing_bus.append(component)
        faults.extend(build_faults(live))
        types = declared_types(self)
        faults.extend(fault for one in overridden if (fault := override_fault(one, types.get(id(one)))))
        faults.extend(
            library_faults(
                self._held(look.in_force), paths_in(self, self._home.name), self._place, self._dependents, look.needed
            )
        )
        faults.extend(self._flaws())
        faults.extend([*replacement_faults(self, self._home.name), *assigned_faults(self, self._home.name)])
        positions = {component.path: position for position, component in enumerate(declared)}
        # Cycles come first: they have no single place.
        faults.sort(
            key=lambda fault: -1 if isinstance(fault, CycleFault) else positions.get(fault.path, len(positions))
        )
        buses = buses_of(live)
        # An unresolved reference to a bus has been reported as a fault already.
        missing = buses_of(one.declaration for one in unresolved)
        if needing_bus and not buses and not self._is_guest and not missing:
            faults.append(no_bus(self._home.name, self._place, needing_bus[0]))
        if len(buses) > 1:
            faults.append(several_buses(self._home.name, buses))
        if faults:
            raise InvalidContainer(self._home.name, faults)
        self._is_valid = True

    @of_instances
    def override(self, component: Component[T]) -> Override[T]:
        """
        Replace *component*: ``with shop.override(Shop.database).by(fake):``.

        Args:
            component: The component, as an attribute of the container's class or of the instance.

        Raises:
            OverrideError: It is not a component of this container.
        """
        given: object = component
        if not isinstance(given, Component):
            raise OverrideError(self._home.name, self._place, way_to_override(given))
        copied = self._copies.get(id(component), self._lent.get(id(component)))
        references = [one for one in references_in(self) if one.declaration is component] if copied is None else []
        if copied is None:
            targets = {id(one.target): one.target for one in references if one.target is not None}
            candidates = counterparts(self, component) or list(targets.values())
            if len(candidates) > 1:
                paths = ", ".join(candidate.path for candidate in candidates)
                reason = f"{self._home.name} contains it more than once: {paths}; override one of these"
                raise OverrideError(component.path, component.place, reason)
            copied = next(iter(candidates), None)
        if copied is None and references:
            return Override(self._whole(), component, {**self._whole()._copies, **self._copies}, references)
        if not isinstance(copied, Component):
            raise OverrideError(component.path, component.place, f"it is no component of {self._home.name}")
        # Containers around a nested container may use the component as well.
        whole: Container = self if copied.home is None else copied.home.container
        return Override(whole, copied, {**whole._lent, **whole._copies, **self._copies})

    def _live(self) -> tuple[list[Component[object]], list[list[object]]]:
        """Return the components of this container that will be built, and the cycles among them."""
        look = self._look_together()
        return self._held(look.live), self._own_circles(look.circles)

    def _own_circles(self, circles: Iterable[list[object]]) -> list[list[object]]:
        """Return the cycles among *circles* whose first component belongs to this container."""
        firsts = ((circle, next((one for one in circle if isinstance(one, Component)), None)) for circle in circles)
        return [circle for circle, first in firsts if first is None or self._held([first])]

    def _held(self, nodes: Iterable[N]) -> list[N]:
        """Return *nodes* without the components of other containers that references connect with this one."""
        others = {id(one._home) for one in self._together if one is not self}
        return [node for node in nodes if not isinstance(node, Component) or id(node.home) not in others]

    def _roots(self) -> list[Any]:
        """Return the providers declared in this container and in the containers that references connect with it."""
        return [provider for container in self._together for provider in providers_of(container._members)]

    def _look_together(self) -> Look:
        """
        Return the `Look` at this container and the containers that references connect with it.

        Within `looking_once` these containers share one look, until an override begins or ends.
        """
        look = None if self._looks is None else self._looks.get(id(self._together))
        if look is None or look.is_outdated:
            look = self._new_look()
            if self._looks is not None:
                self._looks[id(self._together)] = look
        self._look = look
        return look

    def _new_look(self) -> Look:
        for container in self._together if len(self._together) > 1 else ():
            # An override without a name belongs to the container that uses it.
            for node in dependencies_first(providers_of(container._members), needs)[0]:
                if isinstance(node, Component) and node.home is None:
                    node.home = container._home
        for container in self._together:
            container._choices = None
        return Look.at(self._together, self._roots())

    def _foreseen(self, condition: object) -> bool | None:
        """Return the value that *condition* will have, or None if a component must be built to find out."""
        return foreseen_condition(condition)

    def _chosen(self, component: Component[object], *, is_foreseen: bool) -> tuple[bool | None, str]:
        """Return whether choices let *component* take part, and the reason, like `Component.participation`."""
        if self._choices is None:
            has_choices = any(container._has_choices for container in self._together)
            live = live_of(self._roots())[0] if has_choices else []
            self._choices = Choices(live, graph_of(live)[2])
            for container in self._together:
                container._choices = self._choices
        return self._choices.participation(component, is_foreseen=is_foreseen)

    def attach(self, bus: Bus | None = None) -> Bus:
        """
        Return the container's bus, prepared so that a start of the bus starts the container.

        For programs that start and exit the bus by other means than `running` and `run`.

        Args:
            bus: The bus of another container, to be shared. It replaces the
                bus that is declared here, if any, and the bus that the
                container was attached to before.

        Raises:
            InvalidContainer: *bus* is None, and the container declares no bus or more than one.
            OverrideError: *bus* is given, and a component is built for another bus that has not exited.
        """
        if self._is_stale:
            self._is_stale = False
            self._let_go(self._live()[0], kept=self._bus)
        if bus is None and self._bus is not None:
            return self._attach(self._bus)
        live, _ = self._live()
        own = buses_of(live)
        if bus is None:
            if len(own) != 1:
                fault = several_buses(self._home.name, own) if own else no_bus(self._home.name, self._place, None)
                raise InvalidContainer(self._home.name, [fault])
            built = own[0]()
            assert isinstance(built, Bus)
            bus = built
        elif bus is not self._bus:
            left = self._bus
            if left is not None and left.state is State.EXITED:
                self._let_go(live)
            late = next(iter(_built(live if left is not None else self._dependents(*own))), None)
            if late is not None:
                reason = "it is built already; attach the container to another bus before that"
                raise OverrideError(late.path, late.place, reason)
            if left is not None:
                left[ASSEMBLE].unsubscribe(self._assemble)
            for component in self._covered:
                uncover(component, self._lent_bus)
            self._lent_bus, self._covered = providers.Object(bus), own
            for component in own:
                cover(component, self._lent_bus)
            self._is_guest, self._is_valid = True, False
        return self._attach(bus)

    def _attach(self, bus: Bus) -> Bus:
        if self._bus is not bus:
            self._bus, self._exits = bus, bus._exits
        bus[ASSEMBLE]._add(Assembly(bus[ASSEMBLE], self._assemble, self._home))
        attached = attached_to(bus)
        if any(container not in self._companions for container in attached):
            run_together(attached)
        return bus

    def _leave(self, before: Bus | None, *, was_guest: bool) -> None:
        """
        Leave the bus that the container was attached to as a guest, unless that is the bus *before*.

        All of the container's subscriptions there are cancelled. Built components
        stay available until the container is attached again.
        """
        if self._is_guest != was_guest:
            self._is_guest, self._is_valid = was_guest, False
        left = self._bus
        if left is None or left is before:
            return
        left[ASSEMBLE].unsubscribe(self._assemble)
        for subscriber in self._subscribers.values():
            subscriber.cancel()
        self._subscribers.clear()
        for component in self._covered:
            uncover(component, self._lent_bus)
        self._lent_bus, self._covered = None, []
        self._is_stale = self._exits != left._exits
        self._bus, self._is_guest, self._is_valid = None, False, False

    def _assemble(self) -> None:
        """
        Build every component and subscribe its hooks, in start order.

        Of several containers that references connect, the first does this for all of them.
        """
        bus = self.attach()
        attached = attached_to(bus)
        if any(container not in attached for container in self._together):
            run_together(attached)
        group = [container for container in attached if container in self._together]
        if group[0] is not self:
            return
        with looking_once(group):
            for container in group:
                container._home.assembling, container._home.building = threading.get_ident(), None
                container.validate()
            look = self._look_together()
        declared = look.live
        if any(container._exits != bus._exits for container in group):
            self._let_go(declared, kept=bus)
        for container in group:
            container._exits = bus._exits
        shutdowns = Shutdowns(bus, list(filter(is_resource, look.lasting)), self._name_of, self._subscribers)
        try:
            build_all(self, bus, look, shutdowns)
        finally:
            # Also after a failed start, since an exit follows it.
            shutdowns.rest()

    def _constructing(self, component: Component[object]) -> None:
        if self._bus is not None:
            self._bus._publish_event(Constructing(component.path))

    def _constructed(self, component: Component[object], seconds: float) -> None:
        instance = component()
        if isinstance(instance, Bus):
            self._attach(instance)
        if self._bus is not None:
            self._bus._publish_event(Constructed(component.path, seconds))

    def _users(self, component: Component[Any]) -> list[Component[object]]:
        """Return *component* and the components that need it, directly or indirectly."""
        return [node for node in self._dependents(component) if isinstance(node, Component)]

    def _dependents(self, *nodes: object) -> list[object]:
        """Return the providers *nodes* and their users, direct and indirect, each after the providers it needs."""
        users = {id(node): node for node in nodes}
        for node in dependencies_first(self._roots() if nodes else (), declared_needs)[0]:
            if any(id(need) in users for need in declared_needs(node)):
                users[id(node)] = node
        return list(users.values())

    def _let_go(self, live: Sequence[Component[object]], kept: Bus | None = None) -> None:
        """Drop the instances of *live* except *kept*; they released in exit() what their constructors acquired."""
        # Users first: dropping a long chain from its far end would deallocate it recursively.
        for component in reversed(live):
            if component.is_built and (kept is None or component() is not kept):
                self._forget(component)
        self._drop(outlived([] if self._look is None else self._look.lasting))

    def _drop(self, nodes: Sequence[object]) -> None:
        """Forget singletons and shut down resources among *nodes*, each after what it needs; raise the failures."""
        for node in nodes:
            self._cancel(node)
        raise_together(drop(nodes, self._name_of))

    def _name_of(self, node: object) -> tuple[str, str]:
        """Return the path of a library provider, or its str() if it has no path, and the place of the container."""
        for container in self._together:
            path = paths_in(container, container._home.name).get(id(node))
            if path is not None:
                return path, container._place
        return str(node), self._place

    def _cover(self, component: Component[Any], standing_in: object, places: Sequence[Any] = ()) -> None:
        """
        Override *component*, or the references to it in *places*, by *standing_in*.

        Raises:
            OverrideError: The component, or one that needs it, is already built.
        """
        covered = places or [component]
        late = next(iter(_built(self._dependents(*covered))), None)
        if late is not None:
            raise OverrideError(component.path, component.place, f"{late.path} is built already; override before that")
        for one in covered:
            cover(one, standing_in)
        self._look_again()

    def _uncover(self, places: Sequence[Any], replacements: Sequence[object], own: Sequence[object] = ()) -> None:
        """Remove the overrides *replacements* from *places*, and forget what was built with them, *own* included."""
        users = [*own, *self._dependents(*places)]
        for user in reversed(users):
            if isinstance(user, Component):
                self._forget(user)
        for place in places:
            for replacement in replacements:
                if replacement is not self._lent_bus:
                    uncover(place, replacement)
        self._look_again()
        self._drop([user for user in users if keeps_instance(user) and not isinstance(user, Component)])

    def _look_again(self) -> None:
        """Make the next `validate` run in full, here and in the containers that references connect with this one."""
        for container in self._together:
            container._is_valid, container._choices = False, None

    def _is_in_use(self) -> bool:
        whole = self._whole()
        if whole is not self:
            return whole._is_in_use()
        return bool(self._subscribers) and self._bus is not None and self._bus.state is not State.EXITED

    def _whole(self) -> Container:
        """Return the outermost container around this one, or itself."""
        return self if self._around is None else self._around.container

    def _forget_all(self) -> None:
        whole = self._whole()
        users = whole._dependents(*dependencies_first(providers_of(self._members), declared_needs)[0])
        for user in reversed(_built(users)):
            if not isinstance(user(), Bus):
                whole._forget(user)
        for node in users:
            if not isinstance(node, Component) and not is_resource(node):
                forget(node)

    def _forget(self, component: Component[object]) -> None:
        """Drop the instance of *component*, and end its subscriptions."""
        self._cancel(component)
        component.forget()

    def _cancel(self, node: object) -> None:
        for container in self._together:
            subscriber = container._subscribers.pop(id(node), None)
            if subscriber is not None:
                subscriber.cancel()

    def __repr__(self) -> str:
        return f"<{self._home.name} with {len(self._members)} declaration(s)>"


def _built(nodes: Iterable[object]) -> list[Component[object]]:
    return [node for node in nodes if isinstance(node, Component) and node.is_built]


Declarations._reserved = frozenset({*dir(Container), *vars(Container())})
