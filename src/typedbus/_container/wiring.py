"""
Adapters between containers and dependency-injector's wiring.

The library looks up the target of a marker such as ``Provide[Shop.orders]`` in
a map from the providers of the container's class to the providers of the
container. It builds this map from two attributes, `providers` and
`declarative_parent`, which here belong to a `View` of the container. The
library therefore adds its own entries to the view and not to the container or
its class, and the map can have more entries than the library would look for:
members of nested containers, and declarations of base classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dependency_injector import containers, providers, wiring

from typedbus._container.stand_ins import Provided

if TYPE_CHECKING:
    _Object = providers.Object[object]
else:
    _Object = providers.Object


class Whole(_Object):
    """Provides a nested container, with its members as attributes, for markers such as ``Provide["infra.db"]``."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        member: object = getattr(self.provides, name)
        return Whole(member) if isinstance(member, containers.DynamicContainer) else member


class _Plain:
    """Has the library's own `provided`, which resolves a marker such as ``Provide[Shop.orders.provided.total]``."""

    def __init__(self, provider: object) -> None:
        self.provided = providers.ProvidedInstance(provider)


class View(containers.DynamicContainer):
    """The view of *container* that is passed to the library's `wire`."""

    def __init__(self, container: containers.DynamicContainer) -> None:
        super().__init__()
        self._whole = Whole(container)
        self.__self__ = container.__self__
        self.wiring_config = container.wiring_config

    def refer(self, cls: type, pairs: Iterable[tuple[object, object]]) -> None:
        """
        Set the declarations that markers may refer to, each with its counterpart in the container.

        Args:
            cls: The class of the container; relative names of modules are relative to its package.
            pairs: The declarations and their counterparts.
        """
        declared: dict[str, object] = {}
        copies: dict[str, Any] = {}
        for number, (original, copied) in enumerate(pairs):
            is_provider = isinstance(copied, providers.Provider)
            declared[f"{number}"] = original
            copies[f"{number}"] = copied if is_provider else Whole(copied)
            if is_provider:
                declared[f"{number}.provided"] = _key_of(original)
                copies[f"{number}.provided"] = _Plain(copied)
        self.providers = copies
        self.declarative_parent = type(
            cls.__name__, (), {"__module__": cls.__module__, "__self__": cls, "providers": declared}
        )

    def __getattr__(self, name: str) -> object:
        return getattr(self._whole, name)


def _key_of(provider: object) -> tuple[str, object]:
    """Return the key of *provider* in the map for markers that use its `provided`."""
    return "provided", provider


class _ProvidedInstance(wiring.ProvidedInstance):
    """``provided()`` as the second part of a marker; supports components."""

    def __init__(self, segments: list[tuple[str, Any]]) -> None:
        super().__init__()
        self.segments = segments

    def modify(self, provider: Any, providers_map: object) -> Any:
        """Return the provider that applies the marker's attributes, items and calls to the instance of *provider*."""
        return super().modify(_Plain(provider), providers_map)


def _adapt(member: object) -> None:
    """If *member* is a marker for a `Provided`, make it refer to a provider of the library instead."""
    marker: Any = member
    # Checked by type(): reading the `__class__` of an object may trigger a lazy load.
    while issubclass(type(marker), wiring._Marker):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # it has no public base class
        if type(marker.modifier) is wiring.ProvidedInstance:
            marker.modifier = _ProvidedInstance(marker.modifier.segments)
        if type(marker.provider) is Provided:
            getters: list[Any] = []
            at: Any = marker.provider.__provider__
            while isinstance(at, (providers.AttributeGetter, providers.ItemGetter)):
                getters.append(at)
                at = at.provides
            adapted: Any = providers.ProvidedInstance(_key_of(at))
            for getter in reversed(getters):
                adapted = type(getter)(adapted, getter.name)
            marker.provider = adapted
        marker = marker.provider


def _marker_in(default: object) -> None:
    """Adapt the marker of a parameter; the library calls this for each default and annotation. None: no change."""
    _adapt(default)


def _is_excluded(member: object) -> bool:
    """Adapt markers that are attributes; the library calls this for each member of a module that it wires."""
    _adapt(member)
    for base in type.mro(member) if isinstance(member, type) and member is not type else ():
        for value in vars(base).values():
            _adapt(value)
    return False


# The library's two extension points for its search for markers.
wiring.MARKER_EXTRACTORS.append(_marker_in)
wiring.INSPECT_EXCLUSION_FILTERS.append(_is_excluded)
