"""
The declarations of a container class, and the copies of them in an instance: the records, without behaviour.

A user's subclass shares its namespace with the container. So a class and an
instance keep their records in one attribute each, which `blueprint_of` and
`body_of` return.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import attrs
from dependency_injector import containers, providers

from typedbus._base.static import is_a
from typedbus._container.providers import is_provider
from typedbus._container.references import Reference
from typedbus._container.replaceable import Home

if TYPE_CHECKING:

    class DynamicContainer:
        """Hides the container library's class from checkers: its `__getattr__` would accept every typo."""

else:
    DynamicContainer = containers.DynamicContainer

#: The names that containers use themselves.
RESERVED_NAMES: Final[set[str]] = set()


@attrs.frozen(eq=False)
class Blueprint:
    """
    The declarations of a container class.

    Attributes:
        place: File and line of the class.
        members: The declarations by name, inherited ones included.
        own: The identities of its declarations and of its bases' declarations, also in nested containers.
        replacements: Pairs of a replaced declaration and its replacement, in the order in which they must be copied.
        shared: The providers of the library's container instances that are attributes of the class, by identity.
            They are not copied: each instance of the class uses these.
    """

    place: str = ""
    members: dict[str, Any] = attrs.field(factory=dict)
    own: frozenset[int] = frozenset()
    replacements: list[tuple[Any, Any]] = attrs.field(factory=list)
    shared: Mapping[int, Any] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Body:
    """
    The declarations of one container: copies of the declarations of its class.

    Attributes:
        members: The declarations by name.
        copies: The copy of each declaration, by the identity of the original.
        contributed: The copies of contributed declarations, here or in nested containers.
        references: The references that its own components hold, without the references in nested containers.
        loaded: The values read from files, each with the configuration that read it.
        has_lists: Whether a component receives all components of a kind.
        core: The state of the container; None for a `Contributed`, which has no life of its own.
        around: The state of the outermost container around this one, or its own; None in the body of a class.
        view: The container as the library wires it.
    """

    members: dict[str, Any] = attrs.field(factory=dict)
    copies: dict[int, Any] = attrs.field(factory=dict)
    contributed: dict[int, Any] = attrs.field(factory=dict)
    references: list[Reference] = attrs.field(factory=list)
    loaded: list[tuple[Any, object]] = attrs.field(factory=list)
    has_lists: bool = False
    core: Any = None  # typed as Any because its module imports this one
    around: Home | None = None
    view: Any = None  # as above


class Declarations(DynamicContainer):
    """The base class of the containers of this package; it has the records alone."""

    _blueprint: ClassVar[Blueprint] = Blueprint()
    _body: Body

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        container = super().__new__(cls)
        container._body = Body()
        return container


def blueprint_of(cls: type[Declarations]) -> Blueprint:
    """Return the declarations of the container class *cls*."""
    return cls._blueprint  # pyright: ignore[reportPrivateUsage]  # the accessor for all other modules


def body_of(container: Declarations) -> Body:
    """Return the declarations of the instance *container*."""
    return container._body  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the accessor for all other modules


def is_declaration(value: object) -> bool:
    """Whether *value*, in the body of a container, is a declaration of it."""
    return is_provider(value) or is_a(value, Declarations)


def inner_of(member: object) -> object:
    """Return the nested container that *member* is or, as a `providers.Container`, holds; None if neither."""
    if isinstance(member, Declarations):
        return member
    return member.container if isinstance(member, providers.Container) else None


def members_of(container: object) -> Mapping[str, Any]:
    """Return the declarations in *container*, which may be a container of the library, by name."""
    if isinstance(container, Declarations):
        return body_of(container).members
    injector: Any = container
    return {name: member for name, member in injector.providers.items() if not isinstance(member, providers.Self)}


def in_library_containers(container: object) -> set[int]:
    """Return the identities of the providers in the containers of the library that are nested in *container*."""
    identities: set[int] = set()
    for member in members_of(container).values():
        inner = inner_of(member)
        if isinstance(inner, Declarations):
            identities.update(in_library_containers(inner))
        elif inner is not None:
            identities.update(map(id, providers_of(members_of(inner))))
    return identities


def path_of(path: str, name: str) -> str:
    """Return the path of the member *name* of a container with the path *path*; contributed names have brackets."""
    return f"{path}{name}" if name.startswith("[") else f"{path}.{name}"


def paths_in(container: object, path: str) -> dict[int, str]:
    """Return the path of each named provider in *container*, which has the path *path*, by identity."""
    paths: dict[int, str] = {}
    for name, member in members_of(container).items():
        own = path_of(path, name)
        paths[id(member)] = own
        if isinstance(member, providers.DependenciesContainer):
            paths.update((id(provider), f"{own}.{inner}") for inner, provider in member.providers.items())
        if (nested := inner_of(member)) is not None:
            paths.update(paths_in(nested, own))
    return paths


def providers_of(members: Mapping[str, Any]) -> list[Any]:
    """Return the providers among *members* and in nested containers, in order of declaration."""
    nodes: list[Any] = []
    for member in members.values():
        inner = inner_of(member)
        if inner is not None:
            nodes.extend(providers_of(members_of(inner)))
        if inner is not member:
            nodes.append(member)
    return nodes
