"""Containers, and functions that listen, which other distributions contribute to a container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from typedbus._base.places import calling_place
from typedbus._base.static import is_a
from typedbus._bus.listeners import Listeners
from typedbus._container.body import Declarations, body_of, inner_of, path_of
from typedbus._container.component import Component
from typedbus._container.declarations import DeclaredContainer, copy_class, copy_members
from typedbus._container.faults import ContributionFault, Fault
from typedbus._container.providers import OWN
from typedbus._container.references import Reference, is_declared

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Contributed(DeclaredContainer):
    """
    A place in a container for containers that installed distributions contribute.

    ``plugins = Contributed("shop.plugins")`` in the body of a container. A
    distribution with an entry point in the group *group* contributes the
    container class that the entry point names; its components become a part of
    each instance of this container. They refer to declarations of this container's
    class, as in ``Component(Gauge, Shop.database.provided)``, and receive the
    components of the instance, overrides included. An entry point may also name a
    `Listeners`, whose functions are a component of their own.

    Entry points are looked up and loaded when an instance is created, in order of
    distribution and name. The paths of their components name the distribution,
    ``Shop.plugins[shop-metrics:gauges].gauge``. `validate()` reports an entry point
    that cannot be loaded, or is neither a container class nor a `Listeners`, as a `ContributionFault`.

    Args:
        group: The name of a group of entry points; by convention it begins with
            the name of the package that declares it.
    """

    def __init__(self, group: str) -> None:
        self._group = group
        self.place: str = calling_place()
        #: The name, the problem and the remedy of each entry point that contributes nothing.
        self._problems: list[tuple[str, str, str]] = []
        copy_members(self, {}, {})

    def __iter__(self) -> Iterator[str]:
        """Yield ``distribution:name`` for each contribution."""
        return (name[1:-1] for name in self._body.members)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied: Self | None = memo.get(id(self))
        if copied is not None:
            return copied
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied._group, copied.place = self._group, self.place  # noqa: SLF001  # a copy, of this class
        problems = copied._problems = []  # noqa: SLF001
        members: dict[str, Any] = {}
        names: dict[object, str] = {}
        # Another `Contributed` may load the same classes; it has components of its own.
        memo = dict(memo)
        for entry in _entry_points(self._group):
            distribution = entry.dist.name if entry.dist is not None else "?"
            name = f"[{distribution}:{entry.name}]"
            try:
                loaded = entry.load()
            except Exception as error:
                # Not the repr of the exception, which differs between versions of Python.
                reason = f"{type(error).__name__}: {error}"
                problems.append(
                    (name, f"{entry.value} of distribution {distribution} cannot be loaded: {reason}", "correct it")
                )
                continue
            is_listeners = type(loaded) is Listeners
            kind: Any = loaded
            is_class = is_a(kind, type) and issubclass(kind, Declarations) and kind is not Contributed
            if not (is_class or is_listeners):
                problem = f"{entry.value} of distribution {distribution} is {loaded!r}"
                problems.append((name, problem, "name a container class or a Listeners"))
                continue
            if loaded in names:
                problem = (
                    f"{entry.value} of distribution {distribution} is contributed as {names[loaded][1:-1]} already"
                )
                problems.append((name, problem, "name it once"))
                continue
            names[loaded] = name
            if is_listeners:
                members[name] = functions = Component(loaded)
                functions.place = loaded.place
                continue
            cls: type[Declarations] = loaded
            part = cls.__new__(cls)
            # Anonymous providers may be shared; named declarations are found through references.
            shared = {
                key: copy
                for key, copy in memo.items()
                if key != OWN and not is_declared(key) and not isinstance(copy, Reference)
            }
            copy_class(part, shared)
            del shared[OWN]
            memo.update(shared)
            memo[id(part)] = part
            memo.update((id(own), own) for own in (*body_of(part).copies.values(), *body_of(part).references))
            members[name] = part
        copy_members(copied, members, memo)
        for member in members.values():
            if isinstance(member, Declarations):
                body_of(copied).contributed.update(body_of(member).copies)
        return copied


def problems_of(container: Contributed) -> list[tuple[str, str, str]]:
    """Return the name, the problem and the remedy of each entry point that contributes nothing to *container*."""
    # A public attribute would take a name that a contributed container may use.
    return container._problems  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def contribution_faults(container: Declarations, path: str) -> list[Fault]:
    """Return a fault for each entry point that contributes nothing to *container*, which has the path *path*."""
    faults: list[Fault] = []
    if isinstance(container, Contributed):
        faults.extend(
            ContributionFault(f"{path}{name}", container.place, problem, f"{remedy}, or uninstall the distribution")
            for name, problem, remedy in problems_of(container)
        )
    for name, member in body_of(container).members.items():
        if isinstance(inner := inner_of(member), Declarations):
            faults.extend(contribution_faults(inner, path_of(path, name)))
    return faults


def _entry_points(group: str) -> list[EntryPoint]:
    from importlib.metadata import entry_points  # slow to import, and needed only if there are plugins

    return sorted(
        entry_points(group=group), key=lambda entry: ("" if entry.dist is None else entry.dist.name, entry.name)
    )
