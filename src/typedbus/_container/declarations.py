"""
Declarations: the members in the body of a container class, and the copies that an instance makes of them.

An instance is a dynamic container of the container library which makes its own
copies of the declarations of its class, so that it is an instance of that class
and has its methods.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import attrs
from dependency_injector import containers, providers

from typedbus._base.errors import DeclarationError
from typedbus._base.failures import describe
from typedbus._base.ordering import dependencies_first
from typedbus._base.places import calling_place
from typedbus._base.static import is_a
from typedbus._bus.listeners import Listeners
from typedbus._container.body import (
    RESERVED_NAMES,
    Blueprint,
    Declarations,
    DynamicContainer,
    blueprint_of,
    body_of,
    inner_of,
    is_declaration,
    members_of,
    path_of,
    providers_of,
)
from typedbus._container.component import Component
from typedbus._container.inheritance import replacements_in
from typedbus._container.injection import replace_stand_ins
from typedbus._container.providers import OWN, copied_before, declared_needs, is_provider, uncover
from typedbus._container.references import Every, Reference, declare, foreign
from typedbus._container.replaceable import Home
from typedbus._container.wiring import View

_NOTHING: Final[Mapping[int, Any]] = types.MappingProxyType({})


INHERIT: Final = (
    "@containers.override and @containers.copy do not work with a Container; inherit from it instead, and "
    "redeclare what differs: class Other(Shop): database = Component(...)"
)


class _NotByDecorator:
    """The attribute that `@containers.override` and `@containers.copy` read from a container class."""

    def __get__(self, instance: object, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__} has no 'cls_providers': {INHERIT}")


class DeclaredContainer(Declarations):
    """A container that declares, copies and wires its components; `Container` adds the rest."""

    if not TYPE_CHECKING:
        cls_providers = _NotByDecorator()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        place = calling_place()
        inherited = [base for base in cls.__mro__[1:] if issubclass(base, Declarations)]
        # Resolved as attributes are, with each base's declarations in their own order.
        members: dict[str, Any] = {}
        for base in inherited:
            for name, value in blueprint_of(base).members.items():
                nearest = next((vars(base)[name] for base in inherited if name in vars(base)), value)
                members.setdefault(name, nearest if is_declaration(nearest) else value)
        new = {name: value for name, value in vars(cls).items() if is_declaration(value)}
        for name, value in new.items():
            path = f"{cls.__name__}.{name}"
            if name in RESERVED_NAMES:
                reason = f"containers use the name {name!r} themselves; take another"
                raise DeclarationError(path, getattr(value, "place", cls.__module__), reason)
            if isinstance(value, Component):
                value.path = path
                value.owner = value.owner or cls
            elif is_provider(value):
                replace_stand_ins(value)
            if isinstance(inner := inner_of(value), Declarations):
                # From here on it is a part of this declaration, so it must not build or read anything.
                settle(inner, None, path)
                unload(inner)
        for name, value in vars(cls).items():
            if type(value) is Listeners and not any(getattr(each, "builds", None) is value for each in new.values()):
                reason = f"it is a Listeners, whose functions listen only as a component: {name} = Component(...)"
                raise DeclarationError(f"{cls.__name__}.{name}", place, reason)
        members.update(new)
        declared = providers_of(new)
        declare(cls, declared, place, {id(value): name for name, value in new.items()})
        own = frozenset(map(id, declared)).union(*(blueprint_of(base).own for base in inherited))
        allowed: type = getattr(cls, "provider_type", providers.Provider)
        provided = {name: value for name, value in members.items() if is_provider(value)}
        for name, value in provided.items():
            if not isinstance(value, allowed):
                reason = f"its class accepts only providers of {describe(allowed)}, by its provider_type"
                raise DeclarationError(f"{cls.__name__}.{name}", getattr(value, "place", place), reason)
        cls._blueprint = Blueprint(place, members, own, shared=_shared_by(cls, inherited))
        cls._blueprint = attrs.evolve(cls._blueprint, replacements=replacements_in(cls))
        # ``Provide[Shop]`` reads this attribute, and looks up its counterpart in the wired container.
        setattr(cls, "__self__", cls)  # noqa: B010  # hidden from checkers
        # The container library looks up the targets of its markers here.
        setattr(cls, "providers", provided)  # noqa: B010  # hidden from checkers

    def __init__(self, **overriding: object) -> None:
        """
        Create an instance; as in dependency-injector, this reads the files of a `Configuration` and wires modules.

        Args:
            overriding: Overrides of declarations, by name, as in `Container.override_providers`.
        """
        copy_class(self, {})
        declare(self, providers_of(self._body.members), blueprint_of(type(self)).place, {})
        injector = _injector(self)
        if getattr(type(self), "auto_load_config", True):
            for configuration in injector.traverse([providers.Configuration]):
                before = configuration.overridden
                configuration.load()
                values = configuration.overridden[len(before) :]
                self._body.loaded.extend((configuration, value) for value in values)
        if overriding:
            injector.override_providers(**overriding)
        _wire_automatically(self)

    def wire(
        self,
        modules: Iterable[object] | None = None,
        packages: Iterable[object] | None = None,
        from_package: str | None = None,
        *,
        keep_cache: bool | None = None,
        warn_unresolved: bool = False,
    ) -> None:
        """
        Inject components of this container into functions and classes of *modules* and *packages*.

        As in dependency-injector: ``Provide[Shop.orders]`` as the default of a
        parameter, under `inject`, or ``Provide["infra.database"]``. Members of nested
        containers and declarations of base classes may be named. If two wired
        containers have the target of a marker, the container that was wired last is used.

        Args:
            modules: Modules, or their names; by default the modules of `wiring_config`.
            packages: The same for packages and all modules in them.
            from_package: The package that relative names refer to; by default the package
                that `wiring_config` names, the package of the class if `wiring_config` names
                the modules, or the package of the caller.
            keep_cache: Whether the library keeps its cache of inspected signatures.
            warn_unresolved: Whether it warns of markers that have no target here.
        """
        cls = type(self)
        bases = [base for base in cls.__mro__ if issubclass(base, Declarations)]
        injector = _injector(self)
        pairs: list[tuple[object, object]] = [(base, injector.__self__) for base in bases]
        for base in reversed(bases):
            for name, declared in blueprint_of(base).members.items():
                pairs.extend(_counterparts(declared, self._body.members.get(name)))
        pairs.extend((provider, provider) for provider in blueprint_of(cls).shared.values())
        view = self._body.view
        view.refer(cls, pairs)
        config = injector.wiring_config
        if not (from_package or config.from_package or config.modules or config.packages):
            # Otherwise the library would take this module for the caller.
            from_package = sys._getframe(1).f_globals.get("__package__")  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        view.wire(modules, packages, from_package, keep_cache=keep_cache, warn_unresolved=warn_unresolved)

    def unwire(self) -> None:
        """Undo `wire` in all modules and packages that this container was wired to: their markers are restored."""
        self._body.view.unwire()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied: Self | None = memo.get(id(self))
        if copied is None:
            copied = memo[id(self)] = type(self).__new__(type(self))
            copy_members(copied, self._body.members, memo, self._body.copies)
            references = [providers.deepcopy(reference, memo) for reference in self._body.references]
            body_of(copied).references.extend(references)
        return copied


def _shared_by(cls: type[Declarations], bases: Iterable[type[Declarations]]) -> dict[int, Any]:
    """Return the providers that the instances of *cls* do not copy, by identity; see `Blueprint`."""
    shared: dict[int, Any] = {}
    for base in bases:
        shared.update(blueprint_of(base).shared)
    for value in vars(cls).values():
        if is_a(inner := inner_of(value), Declarations):
            shared.update(blueprint_of(type(inner)).shared)
        elif is_a(value, containers.DynamicContainer):
            nodes: Iterator[Any] = value.traverse()
            shared.update((id(node), node) for node in nodes)
    return shared


def copy_class(container: Declarations, memo: dict[int, Any]) -> None:
    """Copy the declarations of the class of *container* into it; *memo* has the copies that exist already."""
    blueprint = blueprint_of(type(container))
    replacements: dict[int, Any] = {}
    for old, new in blueprint.replacements:
        # Do not copy past a provider that is already copied: the copy may belong to another container.
        _copy(container, [new], memo, until=memo)
        replacements[id(old)] = memo[id(old)] = memo[id(new)]
    copy_members(container, blueprint.members, memo)
    body_of(container).copies.update(replacements)


def copy_members(
    container: Declarations, members: Mapping[str, Any], memo: dict[int, Any], earlier: Mapping[int, Any] = _NOTHING
) -> None:
    """
    Copy *members* into *container*; *memo* has the copies that exist already.

    References to the originals in *earlier*, from which *members* were copied, are redirected to the new copies.
    """
    DynamicContainer.__init__(container)
    body = body_of(container)
    originals = _copy(container, providers_of(members), memo, until=_NOTHING)
    memo.update([(key, memo[id(copied)]) for key, copied in earlier.items() if id(copied) in memo])
    injector = _injector(container)
    injector.declarative_parent = type(container)
    injector.wiring_config = getattr(type(container), "wiring_config", injector.wiring_config)
    body.view = View(injector)
    for name, member in members.items():
        body.members[name] = providers.deepcopy(member, memo)
        setattr(container, name, body.members[name])
        if isinstance(own := body.members[name], providers.Self):
            own.set_container(container)
        elif isinstance(own, Declarations):
            # A `DependenciesContainer` of the library finds it here.
            injector.providers[name] = providers.Container(container=own)
    body.copies = {id(original): memo[id(original)] for original in originals}
    body.copies.update((key, memo[key]) for key in earlier if key in memo)
    body.copies.update((id(copied), copied) for copied in list(body.copies.values()))
    for member in body.members.values():
        if isinstance(inner := inner_of(member), Declarations):
            body.contributed.update(body_of(inner).contributed)
    if body.core is not None:
        settle(container, body.core, body.core.name)


def _copy(container: Declarations, roots: Sequence[Any], memo: dict[int, Any], until: Mapping[int, Any]) -> list[Any]:
    """
    Copy *roots* and the providers that they refer to, and return the originals.

    A declaration of another container becomes a reference. Copying stops at
    the keys of *until*.
    """
    body, shared = body_of(container), blueprint_of(type(container)).shared
    # When a container is copied as part of an outer container, all declarations count as the outer container's own.
    own: frozenset[int] | None = memo.get(OWN)
    if own is None:
        own = memo[OWN] = blueprint_of(type(container)).own.union(map(id, roots))
        memo.update(shared)

    def before(node: object) -> list[object]:
        is_end = id(node) in until or id(node) in shared or foreign(node, own) is not None
        return [] if is_end else copied_before(node, own)

    originals: list[Any] = []
    # Each provider is copied after those it refers to, since copying is recursive.
    for original in dependencies_first(roots, before)[0]:
        declaration = foreign(original, own)
        if id(original) in shared:
            continue
        if declaration is None:
            providers.deepcopy(original, memo)
            originals.append(original)
            body.has_lists = body.has_lists or isinstance(original, Every)
        elif id(original) not in memo:
            memo[id(original)] = Reference(original, declaration)
            body.references.append(memo[id(original)])
    return originals


def settle(container: Declarations, home: Home | None, path: str) -> None:
    """Set the path and the home of each component of *container*; without a home a component cannot be built."""
    body = body_of(container)
    body.around = home
    for name, member in body.members.items():
        if isinstance(inner := inner_of(member), Declarations):
            settle(inner, home, path_of(path, name))
        elif isinstance(member, Component):
            member.path = path_of(path, name)
    shared = blueprint_of(type(container)).shared

    def needed(node: object) -> list[object]:
        return [need for need in declared_needs(node) if id(need) not in shared]

    for node in dependencies_first(providers_of(body.members), needed if shared else declared_needs)[0]:
        if isinstance(node, Component):
            node.home = home


def unload(container: Declarations) -> None:
    """Discard the values read from files: each instance of the container around this one reads them itself."""
    for configuration, values in body_of(container).loaded:
        uncover(configuration, values)


def _wire_automatically(container: object) -> None:
    """
    Wire *container* and its nested containers according to their `wiring_config`.

    A nested container of the library has wired its modules already, to the instance in the body of the class.
    """
    for member in members_of(container).values():
        if (inner := inner_of(member)) is not None:
            _wire_automatically(inner)
    injector = _injector(container)
    config = injector.wiring_config
    if injector.is_auto_wiring_enabled() and (config.modules or config.packages):
        injector.wire()


def _counterparts(old: object, new: object) -> Iterator[tuple[object, object]]:
    """Yield each declaration of *old* with the declaration of the same name in *new*, containers included."""
    if is_a(old, Declarations) and is_a(new, Declarations):
        yield old, new
        for name, member in body_of(old).members.items():
            yield from _counterparts(member, body_of(new).members.get(name))
    elif is_provider(old) and is_provider(new):
        yield old, new


def _injector(container: object) -> containers.DynamicContainer:
    injector: Any = container
    return injector  # type: ignore[no-any-return]  # it is one, unknown to checkers
