"""
References from the declarations of one container class to those of another.

``Component(Orders, Infra.database.provided)`` in the body of another container
than `Infra` refers to a declaration that `Infra` owns. An instance copies the
declarations of its class, but for a declaration of another class it holds a
`Reference`, whose target is found among the containers around the instance and
the containers that run together with it.
"""

from __future__ import annotations

import weakref
from collections.abc import Container as Membership
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dependency_injector import providers

from typedbus._container.faults import InvalidContainer, ReferenceFault

if TYPE_CHECKING:

    class _Provider:
        """Hides the untyped provider class from type checkers."""

        @property
        def related(self) -> Iterator[object]: ...

else:
    _Provider = providers.Provider


class _Owner(weakref.ref[Any]):
    """The container class or instance that declares some providers, and their identities."""

    __slots__ = ("keys", "names", "place")
    keys: list[int]
    names: Mapping[int, str]
    place: str


#: The owner of each provider that is declared in a container, by the identity of the provider.
#: An owner keeps its declarations alive, and its entries are removed with it, so an identity is never stale.
_owners: Final[dict[int, _Owner]] = {}


def declare(owner: object, declarations: Iterable[object], place: str, names: Mapping[int, str]) -> None:
    """
    Record *owner*, a container class or instance, as the owner of *declarations* that have no owner yet.

    Args:
        owner: The owner.
        declarations: The providers.
        place: File and line of the container class.
        names: The names of the named declarations, by identity.
    """
    reference = _Owner(owner, _undeclare)
    reference.place, reference.names = place, names
    reference.keys = [id(declaration) for declaration in declarations]
    for key in reference.keys:
        _owners.setdefault(key, reference)


def _undeclare(owner: _Owner) -> None:
    for key in owner.keys:
        if _owners.get(key) is owner:
            del _owners[key]


def is_declared(key: int) -> bool:
    """Whether *key* is the identity of a provider that a container declares."""
    return key in _owners


def owner_of(declaration: object) -> type | None:
    """Return the class of the container that owns *declaration*, or None if that no longer exists."""
    reference = _owners.get(id(declaration))
    owner: object = None if reference is None else reference()
    return owner if owner is None or isinstance(owner, type) else type(owner)


def foreign(node: object, own: Membership[int]) -> object:
    """
    Return the other container's declaration that the provider *node* is or belongs to, or None.

    Args:
        node: A provider. An option of a configuration and a delegate belong to the configuration or
            provider that they come from: the container library creates one whenever an attribute is read.
        own: The identities of the container's own declarations.
    """
    if id(node) in own:
        return None
    declaration: object = node
    if isinstance(node, providers.ConfigurationOption):
        # A public attribute, whatever its name, would create another option.
        declaration = node._get_root()  # noqa: SLF001
    elif isinstance(node, providers.Delegate):
        declaration = node.provides
    return declaration if id(declaration) in _owners and id(declaration) not in own else None


class Reference(_Provider):
    """
    A provider that forwards to its target, a declaration of another container.

    Attributes:
        original: The provider as written in the declaration, an object of the other class.
        declaration: The declaration that *original* is or belongs to; the same object in most cases.
        counterpart: The counterpart of *declaration* in a container instance; None without exactly one.
        target: The provider in place of *original*, made from the counterpart; None without one.
        candidates: The paths of the counterparts if there are several.
    """

    #: Whether a call returns what the provider in `related` returns.
    is_forwarding: ClassVar[bool] = True

    def __init__(self, original: object = None, declaration: object = None) -> None:
        super().__init__()
        self.original = original
        self.declaration = declaration
        self.counterpart: Any = None
        self.target: Any = None
        self.candidates: tuple[str, ...] = ()

    def resolve(self, counterpart: object) -> None:
        """Set the target, from the *counterpart* of the declaration in a container instance."""
        self.candidates = ()
        self.counterpart, self.target = counterpart, self.made_from(counterpart)

    def made_from(self, provider: Any) -> Any:
        """Return the provider in place of *original* if *provider* takes the place of the declaration."""
        is_declaration = self.original is self.declaration
        return provider if is_declaration else providers.deepcopy(self.original, {id(self.declaration): provider})

    def reject(self, candidates: Sequence[str]) -> None:
        """Set no target, because there are no counterparts or several."""
        self.counterpart = self.target = None
        self.candidates = tuple(candidates)

    @property
    def is_unresolved(self) -> bool:
        """Whether a call would raise."""
        provider: Any = self
        return self.target is None and provider.last_overriding is None

    def fault(self, path: str, place: str) -> ReferenceFault:
        """Return the fault of the component *path*, declared at *place*, which needs the target."""
        return ReferenceFault(path, place, described(self.declaration), place_of(self.declaration), self.candidates)

    def _provide(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        if self.target is None:
            name = described(self.declaration)
            raise InvalidContainer(name, [self.fault(f"a reference to {name}", place_of(self.declaration))])
        # The library passes delegated providers uncalled.
        return self.target if providers.is_delegated(self.target) else self.target(*args, **kwargs)

    @property
    def related(self) -> Iterator[object]:
        """The providers that a call may call."""
        if self.target is not None:
            yield self.target
        yield from super().related

    def __deepcopy__(self, memo: dict[int, Any]) -> Reference:
        copy: Reference | None = memo.get(id(self))
        if copy is None:
            copy = memo[id(self)] = Reference(self.original, self.declaration)
            provider: Any = self
            copied_provider: Any = copy
            for overriding in provider.overridden:
                copied_provider.override(providers.deepcopy(overriding, memo))
        return copy

    def __repr__(self) -> str:
        return f"<Reference to {described(self.declaration)}>"


class Every(_Provider):
    """
    A provider of the list of all components of one kind, in order of declaration.

    Attributes:
        kind: A class, a protocol, or a parametrised generic class.
        targets: The components, as found by `linking.link`.
    """

    def __init__(self, kind: Any = object) -> None:
        super().__init__()
        self.kind = kind
        self.targets: tuple[Any, ...] = ()

    def enabled(self) -> list[Any]:
        """Return the components that take part; builds what their conditions need."""
        return [target for target in self.targets if target.is_enabled()]

    def _provide(self, args: tuple[object, ...], kwargs: dict[str, object]) -> list[object]:
        instances = [target() for target in self.enabled()]
        return list({id(instance): instance for instance in instances}.values())

    @property
    def related(self) -> Iterator[object]:
        """The components that a call may call."""
        yield from self.targets
        yield from super().related

    def __deepcopy__(self, memo: dict[int, Any]) -> Every:
        copy: Every | None = memo.get(id(self))
        if copy is None:
            copy = memo[id(self)] = Every(self.kind)
        return copy


def described(declaration: Any) -> str:
    """Return the path of *declaration* in the class that owns it."""
    path: str | None = _attributes(declaration).get("path")
    owner = owner_of(declaration)
    if path is not None or owner is None:
        return path or f"a {type(declaration).__name__}"
    name = _owners[id(declaration)].names.get(id(declaration), f"a {type(declaration).__name__}")
    return f"{owner.__name__}.{name}"


def place_of(declaration: object) -> str:
    """Return the file and line of *declaration*, or of the class that owns it."""
    place: str | None = _attributes(declaration).get("place")
    owner = _owners.get(id(declaration))
    return place or ("?" if owner is None else owner.place)


def _attributes(provider: object) -> dict[str, Any]:
    # The library's own providers have no instance dict; some of them return a provider for every attribute.
    return vars(provider) if isinstance(provider, providers.Singleton) and hasattr(provider, "__dict__") else {}
