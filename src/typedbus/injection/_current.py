"""The scope that is current where code runs, and the container to which a component belongs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Final

import attrs

from typedbus._base.states import State
from typedbus._bus.bus import Bus
from typedbus._bus.forked import BUSES
from typedbus._container.body import blueprint_of, body_of
from typedbus._container.component import Component
from typedbus._container.container import Container
from typedbus._container.core import Core, attached_to, core_of
from typedbus._container.linking import copies_of
from typedbus._container.scope import Scope
from typedbus.injection._errors import NoRunningContainer, NoScope

_DOWN: Final = frozenset({State.STOPPED, State.EXITED})


@attrs.define(eq=False)  # not frozen, which takes longer to create
class Current:
    """
    A scope that is current.

    Attributes:
        scope: The scope.
        container: Its container.
        around: The scope that was current before.
        is_watched: Whether an injected function passes its exception to the scope; calls inside it do not.
    """

    scope: Scope
    container: Container
    around: Current | None
    is_watched: bool = False


CURRENT: Final[ContextVar[Current | None]] = ContextVar("typedbus.injection", default=None)


def current_scope() -> Scope:
    """
    Return the scope of the request, or of the injected function, in which the caller runs.

    It is a context variable: async tasks and functions in the thread pool of a framework inherit
    it, threads that a program starts do not.

    Raises:
        NoScope: There is none, or the response of the request has been sent.
    """
    current = CURRENT.get()
    while current is not None and not current.scope.is_open:
        current = current.around
    if current is None:
        raise NoScope
    return current.scope


def current_with(component: Component[Any]) -> Current | None:
    """Return the innermost open scope that is current and has *component*, or None."""
    current = CURRENT.get()
    while current is not None and not (current.scope.is_open and _has(current.container, component)):
        current = current.around
    return current


def container_with(component: Component[Any], function: str) -> Container:
    """
    Return the container of *component*, for the injected *function*.

    For the component of an instance that is the instance; for the component of a class, the only container that runs
    and has it.

    Raises:
        NoRunningContainer: No container that runs has it, or several do.
    """
    if component.home is not None:
        home: Any = component.home
        return home.container  # type: ignore[no-any-return]  # containers are the homes of components
    homes: dict[int, Any] = {}
    for core in _running():
        homes.update((id(copy.home), copy.home) for copy in copies_of(core.container, component))
    return _only(list(homes.values()), component.path, component.place, function)


def running_container(container: Container | type[Container], user: str) -> Container:
    """
    Return *container*, or the only instance of that class that runs.

    Raises:
        NoRunningContainer: No instance runs, or several do; the error names *user* as what needs it.
    """
    if not isinstance(container, type):
        return container
    cores = [core for core in _running() if isinstance(core.container, container)]
    return _only(cores, container.__name__, blueprint_of(container).place, user)


def _only(cores: list[Core], path: str, place: str, user: str) -> Container:
    if len(cores) == 1:
        container: Any = cores[0].container
        return container  # type: ignore[no-any-return]  # not a `Contributed`, which has no life of its own
    raise NoRunningContainer(path, place, user, tuple(core.name for core in cores))


def _has(container: Container, component: Component[Any]) -> bool:
    # The first test is quick, and finds most declarations.
    return id(component) in body_of(container).copies or bool(core_of(container).copies_of(component))


def _running() -> Iterator[Core]:
    """Yield the containers whose bus runs."""
    for bus in _buses():
        if bus.state not in _DOWN:
            yield from attached_to(bus)


def _buses() -> list[Bus]:
    while True:
        # It fails if another thread creates a bus meanwhile.
        with contextlib.suppress(RuntimeError):
            return list(BUSES)
