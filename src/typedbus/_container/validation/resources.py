"""Faults of resources, and of components that would need one before it is open."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from typedbus._base.static import full_name_of
from typedbus._bus.bus import Bus
from typedbus._container.choice import Choice
from typedbus._container.component import Component
from typedbus._container.descriptions import class_of
from typedbus._container.faults import BuildFault, LifetimeFault
from typedbus._container.forms import Form, not_closing, transaction_of
from typedbus._container.resource import NOT_CLOSED, Resource


def resource_faults(component: Component[object]) -> list[BuildFault]:
    """Return the faults of *component* if it is a resource."""
    if not isinstance(component, Resource) or component.overriding is not None:
        return []
    faults: list[BuildFault] = []
    path, place = component.path, component.place
    if component.form is Form.COROUTINE and component.closing is None:
        problem = (
            f"{full_name_of(component.builds)} is async and only opens: nothing would close the object that it returns"
        )
        faults.append(BuildFault(path, place, problem, "add closed_by(...), with the function that closes it"))
    if (connection := transaction_of(component.builds)) is not None:
        faults.append(BuildFault(path, place, not_closing(connection), NOT_CLOSED))
    return faults


def early_faults(
    components: Sequence[Component[object]], deferred: Collection[int], needed: Callable[[object], Sequence[object]]
) -> Iterator[LifetimeFault]:
    """
    Yield a fault for each of *components* that needs a resource before a start opens it: in its condition or its key.

    Args:
        components: The components.
        deferred: The ids of the components that a start builds at their turn.
        needed: Returns the providers that a provider needs, as `needs` does.
    """
    for component in components if deferred else ():
        places: dict[str, object] = {}
        if component.condition is not None:
            places["its condition"] = component.condition
        if isinstance(component, Choice) and component.overriding is None:
            places["its key"] = component.selected.key
        if id(component) in deferred and issubclass(class_of(component) or object, Bus):
            places["the bus"] = component
        for words, root in places.items():
            end = _first_deferred(root, deferred, needed)
            if end is not None:
                what = "which is not open" if isinstance(end, Resource) else "which needs a resource and is not built"
                yield LifetimeFault(
                    component.path,
                    component.place,
                    f"{words} needs {end.path}, {what} before the start",
                    "take the value from a component that needs no resource",
                )


def _first_deferred(
    root: object, deferred: Collection[int], needed: Callable[[object], Sequence[object]]
) -> Component[object] | None:
    """Return the first component that the provider *root*, or one that it needs, needs and that is in *deferred*."""
    pending = [root]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if id(node) in deferred and isinstance(node, Component) and node is not root:
            return node
        if id(node) not in seen:
            seen.add(id(node))
            pending.extend(needed(node)[::-1])
    return root if isinstance(root, Component) and id(root) in deferred else None
