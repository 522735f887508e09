"""Containers that other distributions contribute to a container."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from typedbus._container.declarations import OWN, Declarations
from typedbus._container.faults import ContributionFault, Fault
from typedbus._container.references import Reference, is_declared

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Contributed(Declarations):
    """
    A place in a container for containers that installed distributions contribute.

    ``plugins = Contributed("shop.plugins")`` in the body of a container. A
    distribution with an entry point in the group *group* contributes the
    container class that the entry point names; its components become a part of
    each instance of this container. They refer to declarations of this container's
    class, as in ``Component(Gauge, Shop.database.provided)``, and receive the
    components of the instance, overrides included.

    Entry points are looked up and loaded when an instance is created, in order of
    distribution and name. The paths of their components name the distribution,
    ``Shop.plugins[shop-metrics:gauges].gauge``. `validate()` reports an entry point
    that cannot be loaded, or is not a container class, as a `ContributionFault`.

    Args:
        group: The name of a group of entry points; by convention it begins with
            the name of the package that declares it.
    """

    def __init__(self, group: str) -> None:
        caller = sys._getframe(1)
        self._group = group
        self.place: str = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        self._problems: list[tuple[str, str, str]] = []
        self._references = []
        self._path = group
        self._adopt({}, {})

    def __iter__(self) -> Iterator[str]:
        """Yield ``distribution:name`` for each contributed container."""
        return (name[1:-1] for name in self._members)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        known: Self | None = memo.get(id(self))
        if known is not None:
            return known
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied._group, copied.place, copied._path = self._group, self.place, self._path
        copied._problems, copied._references = [], []
        members: dict[str, Declarations] = {}
        names: dict[type, str] = {}
        # Another `Contributed` may load the same classes; it has components of its own.
        memo = dict(memo)
        for entry in _entry_points(self._group):
            distribution = entry.dist.name if entry.dist is not None else "?"
            name = f"[{distribution}:{entry.name}]"
            try:
                found = entry.load()
            except Exception as error:
                # Not the repr of the exception, which differs between versions of Python.
                reason = f"{type(error).__name__}: {error}"
                copied._problems.append(
                    (name, f"{entry.value} of distribution {distribution} cannot be loaded: {reason}", "mend it")
                )
                continue
            if not (isinstance(found, type) and issubclass(found, Declarations) and found is not Contributed):
                copied._problems.append(
                    (name, f"{entry.value} of distribution {distribution} is {found!r}", "name a container class")
                )
                continue
            if found in names:
                problem = f"{entry.value} of distribution {distribution} is contributed as {names[found][1:-1]} already"
                copied._problems.append((name, problem, "name it once"))
                continue
            names[found] = name
            part = found.__new__(found)
            # Anonymous providers may be shared; named declarations are found through references.
            shared = {
                key: copy
                for key, copy in memo.items()
                if key != OWN and not is_declared(key) and not isinstance(copy, Reference)
            }
            part._take(shared)
            del shared[OWN]
            memo.update(shared)
            memo[id(part)] = part
            memo.update((id(own), own) for own in (*part._copies.values(), *part._references))
            members[name] = part
        copied._adopt(members, memo)
        for part in members.values():
            copied._lent.update(part._copies)
        return copied

    def _settle(self, home: Any, path: str) -> None:
        self._path = path
        super()._settle(home, path)

    def _path_of(self, path: str, name: str) -> str:
        return f"{path}{name}"

    def _flaws(self) -> list[Fault]:
        own = [
            ContributionFault(f"{self._path}{name}", self.place, problem, f"{remedy}, or uninstall the distribution")
            for name, problem, remedy in self._problems
        ]
        return [*own, *super()._flaws()]


def _entry_points(group: str) -> list[EntryPoint]:
    from importlib.metadata import entry_points  # slow to import, and needed only if there are plugins

    found = entry_points(group=group)
    return sorted(found, key=lambda entry: ("" if entry.dist is None else entry.dist.name, entry.name))
