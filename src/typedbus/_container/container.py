"""Containers, as users declare and use them; `core` has their state."""

from __future__ import annotations

from typing import Any, Self

from typing_extensions import TypeVar

from typedbus._base.errors import OverrideError
from typedbus._bus.bus import Bus
from typedbus._container.body import RESERVED_NAMES, body_of
from typedbus._container.component import Component
from typedbus._container.core import Core, core_of
from typedbus._container.library import LibraryMethods, of_instances, way_to_override
from typedbus._container.linking import copies_of, link, references_in
from typedbus._container.override import Override
from typedbus._container.scope import Scope
from typedbus._container.scoped import GivenValue, Level

T = TypeVar("T")


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
    has exited, the next start builds them again. A `Resource`, and a component that needs one,
    is built at its turn in each start. An instance lives as long as it or
    its bus is referenced, and may be used from any thread.

    Raises:
        DeclarationError: In the body of a subclass, for a name that containers
            use themselves.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        container = super().__new__(cls, *args, **kwargs)
        container._body.core = Core(container, cls.__name__)
        return container

    def __init__(self, **overriding: object) -> None:
        super().__init__(**overriding)
        link([self])

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = super().__deepcopy__(memo)
        link([copied])
        return copied

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
        core_of(self).validate()

    @of_instances
    def override(self, component: Component[T]) -> Override[T]:
        """
        Replace *component*: ``with shop.override(Shop.database).by(fake):``.

        Args:
            component: The component, as an attribute of the container's class or of the instance.

        Raises:
            OverrideError: It is not a component of this container.
        """
        argument: object = component
        core, body = core_of(self), self._body
        if not isinstance(argument, Component):
            raise OverrideError(core.name, core.place, way_to_override(argument))
        candidates = copies_of(self, component)
        if len(candidates) > 1:
            paths = ", ".join(candidate.path for candidate in candidates)
            reason = f"{core.name} contains it more than once: {paths}; override one of these"
            raise OverrideError(component.path, component.place, reason)
        copied = next(iter(candidates), None)
        references = [ref for ref in references_in(self) if ref.declaration is component] if copied is None else []
        if copied is None and references:
            return Override(core.whole, component, {**body_of(core.whole.container).copies, **body.copies}, references)
        if not isinstance(copied, Component):
            raise OverrideError(component.path, component.place, f"it is not a component of {core.name}")
        # Containers around a nested container may use the component as well.
        whole: Any = core if copied.home is None else copied.home
        outer = body_of(whole.container)
        return Override(whole, copied, {**outer.contributed, **outer.copies, **body.copies})

    def scope(self, *given: GivenValue, level: Level = Level.REQUEST) -> Scope:
        """
        Return a scope: ``with shop.scope(Shop.user.given(ada)) as scope: scope[Shop.orders]``.

        Open it with ``async with`` if an object in it has to be awaited. The container need not
        run: components that the scope needs are built when they are first requested.

        Args:
            given: The values of `Given` declarations.
            level: `SESSION` for a connection, which contains a scope for each of its requests: ``scope.scope()``.

        Raises:
            NotInContainer: At the opening, for a value that the container does not declare.
            ScopeClosed: At the opening, if the bus is EXITING.
        """
        # Not by `core_of`: a call more is a tenth of the cost of an empty scope.
        return Scope(self._body.core, given, level)

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
        return core_of(self).attach(bus)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self._body.members)} declaration(s)>"


RESERVED_NAMES.update(dir(Container), vars(Container()))
