"""
Containers: the declarations of an application, and their wiring.

A container is a dynamic container of dependency-injector which makes its own
copies of what its class declares, so that its instances are of that very class
and have its methods.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self

from dependency_injector import containers, providers
from typing_extensions import TypeVar

from typedbus._bound import BoundChannel, Subscription
from typedbus._bus import Bus
from typedbus._channel import DEFAULT_PRIORITY, Hook
from typedbus._component import Component, Home, cycle_fault
from typedbus._events import Constructed
from typedbus._failures import DeclarationError, OverrideError
from typedbus._faults import BusFault, DependencyFault, Fault, InvalidContainer
from typedbus._lifecycle import hook_faults, hooks_of, phase_of, subscribe_hooks
from typedbus._order import dependencies_first, start_order
from typedbus._providers import declared_needs, is_provider, needs
from typedbus._registry import ASSEMBLE, LIFECYCLE
from typedbus._validation import argument_faults, class_of

T = TypeVar("T")

if TYPE_CHECKING:

    class _DynamicContainer:
        """Hides the container library's class, whose `__getattr__` lets every typo pass."""

        def wire(
            self,
            modules: Iterable[object] | None = None,
            packages: Iterable[object] | None = None,
            from_package: str | None = None,
            *,
            keep_cache: bool | None = None,
            warn_unresolved: bool = False,
        ) -> None: ...
        def unwire(self) -> None: ...

else:
    _DynamicContainer = containers.DynamicContainer


class Container(_DynamicContainer):
    """
    The declarations of an application; each instance has components of its own.

    A subclass declares in its body: components, other containers
    (``infra = Infra()``), and providers of dependency-injector. What a subclass
    of a container declares anew takes the place of what its base declared, also
    where the base's other declarations refer to it.

    Making an instance builds no component. Its components are built one by one,
    dependencies first, under one lock, when the container's bus starts, or when
    one is called; after the bus has exited the next start builds them anew. An
    instance lives as long as somebody refers to it or to its
    bus, and may be used from any thread.

    Raises:
        DeclarationError: In the body of a subclass, for a name that containers
            use themselves.
    """

    _declared: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._declared = dict(cls._declared)
        for name, value in vars(cls).copy().items():
            if not is_provider(value) and not isinstance(value, Container):
                continue
            path = f"{cls.__name__}.{name}"
            if name in dir(Container) or name in vars(_EMPTY):
                place = getattr(value, "place", cls.__module__)
                raise DeclarationError(path, place, f"containers use the name {name!r} themselves; take another")
            for replaced in _replaced(cls, name):
                for old, new in _pairs(replaced, value):
                    _refuse_circle(path, old, new)
            if isinstance(value, Component):
                value.path = path
            elif isinstance(value, Container):
                # It is a part of this declaration from here on, and builds nothing.
                value._settle(None, path)
            cls._declared[name] = value
        # Where the container library looks for what its markers refer to.
        setattr(cls, "providers", {name: value for name, value in cls._declared.items() if is_provider(value)})  # noqa: B010  # hidden from checkers

    def __init__(self) -> None:
        super().__init__()
        memo: dict[int, Any] = {}
        for base in reversed(type(self).__mro__):
            _replace(base, memo)
        self._adopt(type(self)._declared, memo)
        injector = _injector(self)
        injector.load_config()
        if injector.is_auto_wiring_enabled():
            injector.wire()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        known: Self | None = memo.get(id(self))
        if known is not None:
            return known
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        super(Container, copied).__init__()
        copied._adopt(self._members, memo)
        return copied

    def _adopt(self, members: Mapping[str, Any], memo: dict[int, Any]) -> None:
        """Take copies of *members*; *memo* knows those that were made already."""
        # Each after what it needs, since copying recurses.
        originals, _ = dependencies_first(_providers_of(members), declared_needs)
        for original in originals:
            providers.deepcopy(original, memo)
        injector = _injector(self)
        injector.declarative_parent = type(self)
        injector.wiring_config = getattr(type(self), "wiring_config", injector.wiring_config)
        self._members: dict[str, Any] = {}
        for name, member in members.items():
            self._members[name] = providers.deepcopy(member, memo)
            setattr(self, name, self._members[name])
        self._copies = {id(original): memo[id(original)] for original in originals}
        self._copies.update((id(copied), copied) for copied in list(self._copies.values()))
        self._bus: Bus | None = None
        self._exits = 0
        self._subscriptions: dict[int, list[Subscription]] = {}
        self._is_valid = False
        self._home = Home(type(self).__name__, self._announce)
        self._settle(self._home, self._home.name)

    def _settle(self, home: Home | None, path: str) -> None:
        """Give each component its path, and its home, without which it builds nothing."""
        for name, member in self._members.items():
            if isinstance(member, Container):
                member._settle(home, f"{path}.{name}")
            elif isinstance(member, Component):
                member.path = f"{path}.{name}"
        for node in dependencies_first(_providers_of(self._members), declared_needs)[0]:
            if isinstance(node, Component):
                node.home = home

    def validate(self) -> None:
        """
        Look for everything that would keep the container from being built and started.

        Arguments that constructors miss or do not know, components that need
        each other in a circle, dependencies that nobody defined, methods that
        do not fit the channel that they are to listen to, no bus to listen on.
        Nothing is built and no constructor runs.

        Raises:
            InvalidContainer: With every fault that was found.
        """
        if self._is_valid:
            return
        faults: list[Fault] = []
        live, circles = self._live()
        faults.extend(map(cycle_fault, circles))
        for component in live:
            faults.extend(
                DependencyFault(component.path, component.place) for need in needs(component) if _is_undefined(need)
            )
        needing_bus: list[Component[object]] = []
        for component in live:
            faults.extend(argument_faults(component))
            cls = class_of(component)
            if cls is not None:
                hooks = hooks_of(component, cls)
                faults.extend(hook_faults(component, cls, hooks))
                if hooks:
                    needing_bus.append(component)
        buses = self._buses(live)
        if needing_bus and not buses:
            faults.append(_no_bus(self._home.name, needing_bus[0]))
        if len(buses) > 1:
            faults.append(_several_buses(self._home.name, buses))
        if faults:
            raise InvalidContainer(self._home.name, faults)
        self._is_valid = True

    def override(self, component: Component[T]) -> Override[T]:
        """
        Put something else in the place of *component*: ``with shop.override(Shop.database).by(fake):``.

        Args:
            component: As the class or the instance of the container has it.

        Raises:
            OverrideError: It is no component of this container.
        """
        copied = self._copies.get(id(component))
        if not isinstance(copied, Component):
            raise OverrideError(component.path, component.place, f"it is no component of {self._home.name}")
        return Override(self, copied)

    def _live(self) -> tuple[list[Component[object]], list[list[object]]]:
        """
        Return the components that are to be built, and the circles among them.

        Not those that only an overridden one needed.
        """
        roots = _providers_of(self._members)
        everything, _ = dependencies_first(roots, declared_needs)
        wanted_by: dict[int, list[object]] = {id(node): [] for node in everything}
        for node in everything:
            for need in declared_needs(node):
                wanted_by[id(need)].append(node)
        idle: set[int] = set()
        for node in reversed(everything):
            users = wanted_by[id(node)]
            if users and all(id(user) in idle or _is_overridden(user) for user in users):
                idle.add(id(node))
        order, circles = dependencies_first((root for root in roots if id(root) not in idle), needs)
        # Where a component stands in for another, the other is out of the play.
        return [
            node for node in order if isinstance(node, Component) and not isinstance(node.overriding, Component)
        ], circles

    def _buses(self, live: Iterable[Component[object]]) -> list[Component[object]]:
        return [component for component in live if issubclass(class_of(component) or object, Bus)]

    def attach(self) -> Bus:
        """
        Return the container's bus, made ready: who starts it, starts the container.

        For who starts and exits the bus by other means than `running` and `run`.

        Raises:
            InvalidContainer: There is none, or more than one.
        """
        buses = self._buses(self._live()[0])
        if len(buses) != 1:
            raise InvalidContainer(
                self._home.name,
                [_several_buses(self._home.name, buses) if buses else _no_bus(self._home.name, None)],
            )
        bus = buses[0]()
        assert isinstance(bus, Bus)
        return self._attach(bus)

    def _attach(self, bus: Bus) -> Bus:
        if self._bus is not bus:
            self._bus, self._exits = bus, bus._exits
        bus[ASSEMBLE]._add(_Assembly(bus[ASSEMBLE], self._assemble, self._home))
        return bus

    def _assemble(self) -> None:
        """Build every component and subscribe what of it listens, in start order."""
        self.validate()
        bus = self.attach()
        live, _ = self._live()
        if self._exits != bus._exits:
            # What they took in their constructors they have let go in exit().
            self._exits = bus._exits
            for component in live:
                if component.is_built and component() is not bus:
                    self._forget(component)
        hooks = {id(component): hooks_of(component, class_of(component) or object) for component in live}
        for number, phase in start_order(len(live), _needs_by_number(live), [phase_of(hooks[id(c)]) for c in live]):
            component = live[number]
            instance = component()
            if isinstance(instance, Container):
                continue
            listening: list[Hook[object]] = hooks[id(component)]
            if type(instance) is not class_of(component):
                # What a function returns is known only now.
                listening = hooks_of(component, type(instance))
                faults = hook_faults(component, type(instance), listening)
                if faults:
                    raise InvalidContainer(self._home.name, faults)
            self._subscriptions[id(component)] = subscribe_hooks(bus, component.path, instance, listening, phase)

    def _announce(self, component: Component[object], seconds: float) -> None:
        instance = component()
        if isinstance(instance, Bus):
            self._attach(instance)
        if self._bus is not None:
            self._bus[LIFECYCLE].publish(Constructed(component.path, seconds))

    def _users(self, component: Component[Any]) -> list[Component[object]]:
        """Return *component* and those that need it, near or far."""
        users: dict[int, Component[object]] = {id(component): component}
        for node in dependencies_first(_providers_of(self._members), declared_needs)[0]:
            if any(id(need) in users for need in declared_needs(node)):
                users[id(node)] = node
        return [user for user in users.values() if isinstance(user, Component)]

    def _forget(self, component: object) -> None:
        """Drop the instance of *component*, and what of it listens."""
        for subscription in self._subscriptions.pop(id(component), ()):
            subscription.cancel()
        if isinstance(component, Component):
            component.reset()

    def __repr__(self) -> str:
        return f"<{self._home.name} with {len(self._members)} declaration(s)>"


class _Assembly(Subscription):
    """The start of a container, by the name of what it is building just then."""

    __slots__ = ("_home",)

    def __init__(self, bound: BoundChannel[[], None], listener: Callable[[], None], home: Home) -> None:
        super().__init__(bound, listener, DEFAULT_PRIORITY)
        self._home = home

    @property
    def name(self) -> str:
        return self._home.building or self._home.name


class Override(Generic[T]):
    """One component of one container, to be replaced; made by `Container.override`."""

    def __init__(self, container: Container, component: Component[T]) -> None:
        self._container = container
        self._component = component

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
        injector: Any = component
        users = container._users(component)
        late = next((user for user in users if user.is_built), None)
        if late is not None:
            raise OverrideError(component.path, component.place, f"{late.path} is built already; override before that")
        standing_in: Any = providers.Object(replacement)
        if isinstance(replacement, Component):
            # What it refers to in the class of the container is in this instance a copy.
            standing_in = providers.deepcopy(replacement, dict(container._copies))
            standing_in.home, standing_in.path = component.home, component.path
        injector.override(standing_in)
        container._is_valid = False
        try:
            yield
        finally:
            own = [node for node in dependencies_first([standing_in], needs)[0] if id(node) not in container._copies]
            for user in (*users, *own):
                container._forget(user)
            injector.reset_last_overriding()
            container._is_valid = False


def _injector(container: Container) -> containers.DynamicContainer:
    injector: Any = container
    return injector  # type: ignore[no-any-return]  # it is one, unknown to checkers


def _providers_of(members: Mapping[str, Any]) -> list[Any]:
    """Return the providers among *members* and in the containers among them, in order of declaration."""
    found: list[Any] = []
    for member in members.values():
        if isinstance(member, Container):
            found.extend(_providers_of(member._members))
        else:
            found.append(member)
    return found


def _replace(base: type, memo: dict[int, Any]) -> None:
    """
    Let what the class *base* declares stand for what its bases declare under the same name.

    What a replacement itself needs is as it was, so that it may wrap what it replaces.
    """
    if not issubclass(base, Container):
        return
    for name, value in vars(base).items():
        for replaced in _replaced(base, name):
            for old, new in _pairs(replaced, value):
                for original in dependencies_first([new], declared_needs)[0]:
                    providers.deepcopy(original, memo)
                memo[id(old)] = memo[id(new)]


def _replaced(base: type, name: str) -> list[object]:
    """Return what the bases of the class *base* declare as *name*."""
    return [
        above._declared[name] for above in base.__bases__ if issubclass(above, Container) and name in above._declared
    ]


def _pairs(old: object, new: object) -> Iterator[tuple[object, object]]:
    if isinstance(old, Container) and isinstance(new, Container):
        for name, member in old._members.items():
            yield from _pairs(member, new._members.get(name))
    elif is_provider(old) and is_provider(new) and old is not new:
        yield old, new


def _refuse_circle(path: str, old: object, new: object) -> None:
    """Raise if *new* takes the place of *old* and needs something that needs *old*; it may wrap *old* itself."""
    for node in dependencies_first([new], declared_needs)[0]:
        if node is not new and node is not old and any(need is old for need in declared_needs(node)):
            place, between = getattr(new, "place", repr(new)), getattr(node, "path", repr(node))
            raise DeclarationError(
                path, place, f"it needs {between}, which needs what this takes the place of; they would go in a circle"
            )


def _is_overridden(node: Any) -> bool:
    return node.last_overriding is not None


def _is_undefined(node: object) -> bool:
    return isinstance(node, providers.Dependency) and not needs(node)


def _needs_by_number(live: list[Component[object]]) -> dict[int, set[int]]:
    """Return which components each component needs, past what stands between them, all by their place in *live*."""
    numbers = {id(component): number for number, component in enumerate(live)}
    reached: dict[int, set[int]] = {}
    nodes: list[object] = list(live)
    for node in dependencies_first(nodes, needs)[0]:
        below: set[int] = set()
        for need in needs(node):
            number = numbers.get(id(need))
            below |= reached[id(need)] if number is None else {number}
        reached[id(node)] = below
    return {numbers[id(component)]: reached[id(component)] for component in live}


def _no_bus(container: str, needing: Component[object] | None) -> BusFault:
    who = f"{needing.path} listens to channels" if needing else "it is to be started"
    place = needing.place if needing else "its class"
    return BusFault(container, place, f"it has no bus, and {who}", "declare one: bus = Component(Bus)")


def _several_buses(container: str, buses: list[Component[object]]) -> BusFault:
    names = ", ".join(f"{bus.path} ({bus.place})" for bus in buses)
    return BusFault(
        container, buses[1].place, f"it has several buses: {names}", "keep one, and hand it on as bus.provided"
    )


_EMPTY = Container()
