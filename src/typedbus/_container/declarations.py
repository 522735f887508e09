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
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from dependency_injector import containers, providers

from typedbus._base.errors import DeclarationError
from typedbus._base.failures import describe
from typedbus._base.ordering import dependencies_first
from typedbus._base.static import is_a
from typedbus._container.component import Component, Home
from typedbus._container.faults import Fault
from typedbus._container.injection import replace_stand_ins
from typedbus._container.providers import Selected, copied_before, declared_needs, is_provider, uncover
from typedbus._container.references import Every, Reference, declare, foreign
from typedbus._container.wiring import View

if TYPE_CHECKING:

    class _DynamicContainer:
        """Hides the container library's class from checkers: its `__getattr__` would accept every typo."""

else:
    _DynamicContainer = containers.DynamicContainer


_NOTHING: Final[Mapping[int, Any]] = types.MappingProxyType({})

#: The key of a memo entry: the identities of the declarations of the outermost container that is being copied.
OWN: Final = id(_NOTHING)


INHERIT: Final = (
    "@containers.override and @containers.copy do not work with a Container; inherit from it instead, and declare "
    "anew what is different: class Other(Shop): database = Component(...)"
)


class _NotByDecorator:
    """The attribute that `@containers.override` and `@containers.copy` read from a container class."""

    def __get__(self, instance: object, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__} has no 'cls_providers': {INHERIT}")


class Declarations(_DynamicContainer):
    """The declarations of a container; `Container` adds the rest."""

    if not TYPE_CHECKING:
        cls_providers = _NotByDecorator()

    _declared: ClassVar[dict[str, Any]] = {}
    #: The identities of the declarations of the class and its bases, also in nested containers.
    _own: ClassVar[frozenset[int]] = frozenset()
    #: Pairs of a replaced declaration and its replacement, in the order in which they must be copied.
    _replacements: ClassVar[list[tuple[Any, Any]]] = []

    #: The names that containers use themselves.
    _reserved: ClassVar[frozenset[str]] = frozenset()
    #: The values read from files, with the configuration that read them.
    _loaded: list[tuple[Any, object]]
    #: The home of the outermost container around this one, if it is nested.
    _around: Home | None
    #: File and line of the class.
    _place: ClassVar[str] = ""
    #: Whether a component receives all components of a kind.
    _has_lists: bool = False
    #: Whether a component is a choice.
    _has_choices: bool = False
    #: The references that its own components hold, without the references in nested containers.
    _references: list[Reference]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        caller = sys._getframe(1)
        cls._place = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        inherited = [base for base in cls.__mro__[1:] if issubclass(base, Declarations)]
        # Resolved as attributes are, with each base's declarations in their own order.
        cls._declared = {}
        for base in inherited:
            for name, value in base._declared.items():
                nearest = next((vars(one)[name] for one in inherited if name in vars(one)), value)
                cls._declared.setdefault(name, nearest if is_declaration(nearest) else value)
        new: dict[str, Any] = {}
        for name, value in vars(cls).copy().items():
            if not is_declaration(value):
                continue
            path = f"{cls.__name__}.{name}"
            if name in cls._reserved:
                place = getattr(value, "place", cls.__module__)
                raise DeclarationError(path, place, f"containers use the name {name!r} themselves; take another")
            if isinstance(value, Component):
                value.path = path
                value.owner = value.owner or cls
            elif is_provider(value):
                replace_stand_ins(value)
            if isinstance(inner := inner_of(value), Declarations):
                # From here on it is a part of this declaration, so it must not build or read anything.
                inner._settle(None, path)
                inner._unload()
            cls._declared[name] = new[name] = value
        declared = providers_of(new)
        declare(cls, declared)
        cls._own = frozenset(map(id, declared)).union(*(base._own for base in inherited))
        allowed: type = getattr(cls, "provider_type", providers.Provider)
        provided = {name: value for name, value in cls._declared.items() if is_provider(value)}
        for name, value in provided.items():
            if not isinstance(value, allowed):
                reason = f"its class accepts only providers of {describe(allowed)}, by its provider_type"
                raise DeclarationError(f"{cls.__name__}.{name}", getattr(value, "place", cls._place), reason)
        cls._replacements = _replacements(cls)
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
        self._take({})
        declare(self, providers_of(self._members))
        injector = _injector(self)
        self._loaded = []
        if getattr(type(self), "auto_load_config", True):
            for configuration in injector.traverse([providers.Configuration]):
                before = configuration.overridden
                configuration.load()
                self._loaded.extend((configuration, read) for read in configuration.overridden[len(before) :])
        if overriding:
            injector.override_providers(**overriding)
        self._wire_automatically()

    def _unload(self) -> None:
        """Discard the values read from files: each instance of the container around this one reads them itself."""
        for configuration, read in self._loaded:
            uncover(configuration, read)

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
            for name, declared in base._declared.items():
                pairs.extend(_counterparts(declared, self._members.get(name)))
        self._view.refer(cls, pairs)
        config = injector.wiring_config
        if not (from_package or config.from_package or config.modules or config.packages):
            # Otherwise the library would take this module for the caller.
            from_package = sys._getframe(1).f_globals.get("__package__")
        self._view.wire(modules, packages, from_package, keep_cache=keep_cache, warn_unresolved=warn_unresolved)

    def unwire(self) -> None:
        """Undo `wire` in all modules and packages that this container was wired to: their markers are restored."""
        self._view.unwire()

    def _wire_automatically(self) -> None:
        """Wire this container and its nested containers according to their `wiring_config`."""
        for member in self._members.values():
            if isinstance(inner := inner_of(member), Declarations):
                inner._wire_automatically()
        injector = _injector(self)
        config = injector.wiring_config
        if injector.is_auto_wiring_enabled() and (config.modules or config.packages):
            self.wire()

    def _take(self, memo: dict[int, Any]) -> None:
        """Copy the declarations of the class; *memo* has the copies that exist already."""
        self._references = []
        replaced: dict[int, Any] = {}
        for old, new in type(self)._replacements:
            # Do not copy past a provider that is already copied: the copy may belong to another container.
            self._copy([new], memo, until=memo)
            replaced[id(old)] = memo[id(old)] = memo[id(new)]
        self._adopt(type(self)._declared, memo)
        self._copies.update(replaced)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        known: Self | None = memo.get(id(self))
        if known is not None:
            return known
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied._references = []
        copied._adopt(self._members, memo, self._copies)
        copied._references.extend(providers.deepcopy(reference, memo) for reference in self._references)
        return copied

    def _adopt(self, members: Mapping[str, Any], memo: dict[int, Any], known: Mapping[int, Any] = _NOTHING) -> None:
        """
        Copy *members*; *memo* has the copies that exist already.

        References to the originals in *known*, from which *members* were copied, are redirected to the new copies.
        """
        super().__init__()
        roots = providers_of(members)
        originals = self._copy(roots, memo)
        memo.update([(key, memo[id(one)]) for key, one in known.items() if id(one) in memo])
        injector = _injector(self)
        injector.declarative_parent = type(self)
        injector.wiring_config = getattr(type(self), "wiring_config", injector.wiring_config)
        self._view = View(injector)
        self._loaded = []
        self._members: dict[str, Any] = {}
        for name, member in members.items():
            self._members[name] = providers.deepcopy(member, memo)
            setattr(self, name, self._members[name])
        self._copies = {id(original): memo[id(original)] for original in originals}
        self._copies.update((key, memo[key]) for key in known if key in memo)
        self._copies.update((id(copied), copied) for copied in list(self._copies.values()))
        #: The copies of contributed declarations, here or in nested containers.
        self._lent: dict[int, Any] = {}
        for member in self._members.values():
            if isinstance(inner := inner_of(member), Declarations):
                self._lent.update(inner._lent)

    def _copy(self, roots: Sequence[Any], memo: dict[int, Any], until: Mapping[int, Any] = _NOTHING) -> list[Any]:
        """
        Copy *roots* and the providers that they refer to, and return the originals.

        A declaration of another container becomes a reference. Copying stops at
        the keys of *until*.
        """
        # When a container is copied as part of an outer container, all declarations count as the outer container's own.
        own: frozenset[int] | None = memo.get(OWN)
        if own is None:
            own = memo[OWN] = type(self)._own.union(map(id, roots))

        def before(node: object) -> list[object]:
            return [] if id(node) in until or foreign(node, own) is not None else copied_before(node, own)

        originals: list[Any] = []
        # Each provider is copied after those it refers to, since copying is recursive.
        for original in dependencies_first(roots, before)[0]:
            declaration = foreign(original, own)
            if declaration is None:
                providers.deepcopy(original, memo)
                originals.append(original)
                self._has_lists = self._has_lists or isinstance(original, Every)
                self._has_choices = self._has_choices or isinstance(original, Selected)
            elif id(original) not in memo:
                memo[id(original)] = Reference(original, declaration)
                self._references.append(memo[id(original)])
        return originals

    def _settle(self, home: Home | None, path: str) -> None:
        """Set the path and the home of each component; without a home a component cannot be built."""
        self._around = home
        for name, member in self._members.items():
            if isinstance(inner := inner_of(member), Declarations):
                inner._settle(home, self._path_of(path, name))
            elif isinstance(member, Component):
                member.path = self._path_of(path, name)
        for node in dependencies_first(providers_of(self._members), declared_needs)[0]:
            if isinstance(node, Component):
                node.home = home

    def _path_of(self, path: str, name: str) -> str:
        """Return the path of the member *name* of a container with the path *path*."""
        return f"{path}.{name}"

    def _flaws(self) -> list[Fault]:
        """Return the faults of the declarations themselves, here and in nested containers."""
        inner = [inner_of(member) for member in self._members.values()]
        return [flaw for one in inner if isinstance(one, Declarations) for flaw in one._flaws()]


def _counterparts(old: object, new: object) -> Iterator[tuple[object, object]]:
    """Yield each declaration of *old* with the declaration of the same name in *new*, containers included."""
    if is_a(old, Declarations) and is_a(new, Declarations):
        yield old, new
        for name, member in old._members.items():
            yield from _counterparts(member, new._members.get(name))
    elif is_provider(old) and is_provider(new):
        yield old, new


def is_declaration(value: object) -> bool:
    """Whether *value*, in the body of a container, is a declaration of it."""
    return is_provider(value) or is_a(value, Declarations)


def _injector(container: Declarations) -> containers.DynamicContainer:
    injector: Any = container
    return injector  # type: ignore[no-any-return]  # it is one, unknown to checkers


def inner_of(member: object) -> object:
    """Return the nested container that *member* is or, as a `providers.Container`, holds; None if neither."""
    if isinstance(member, Declarations):
        return member
    return member.container if isinstance(member, providers.Container) else None


def members_of(container: object) -> Mapping[str, Any]:
    """Return the declarations in *container*, which may be a container of the library, by name."""
    if isinstance(container, Declarations):
        return container._members
    injector: Any = container
    return {name: one for name, one in injector.providers.items() if not isinstance(one, providers.Self)}


def paths_in(container: object, path: str) -> dict[int, str]:
    """Return the path of each named provider in *container*, which has the path *path*, by identity."""
    paths: dict[int, str] = {}
    for name, member in members_of(container).items():
        own = container._path_of(path, name) if isinstance(container, Declarations) else f"{path}.{name}"
        paths[id(member)] = own
        if isinstance(member, providers.DependenciesContainer):
            paths.update((id(one), f"{own}.{inner}") for inner, one in member.providers.items())
        if (nested := inner_of(member)) is not None:
            paths.update(paths_in(nested, own))
    return paths


def providers_of(members: Mapping[str, Any]) -> list[Any]:
    """Return the providers among *members* and in nested containers, in order of declaration."""
    found: list[Any] = []
    for member in members.values():
        inner = inner_of(member)
        if inner is not None:
            found.extend(providers_of(members_of(inner)))
        if inner is not member:
            found.append(member)
    return found


def _replacements(cls: type[Declarations]) -> list[tuple[Any, Any]]:
    """
    Return pairs of a replaced declaration and its replacement in the class *cls*, in the order to copy replacements.

    A replacement may wrap the declaration it replaces: it receives the declaration of
    the next class in the method resolution order. For all its other needs it receives
    the declarations in force.

    Raises:
        DeclarationError: A replacement needs another user of the declaration it replaces.
    """
    pairs: dict[tuple[int, int], tuple[object, object]] = {}
    names: dict[int, str] = {}
    # From the base classes up, so that *cls* takes precedence.
    for base in reversed(cls.__mro__):
        above = [one for one in base.__mro__[1:] if issubclass(one, Declarations)]
        for name, value in base._declared.items() if issubclass(base, Declarations) else ():
            for old, new in (pair for one in above for pair in _pairs(one._declared.get(name), value)):
                pairs.setdefault((id(old), id(new)), (old, new))
                names[id(new)] = name
    in_force = {id(old): new for old, new in pairs.values()}
    #: For each replacement in force, the declarations that it replaces, directly or indirectly.
    places: dict[int, list[object]] = {}
    winners: list[object] = []
    for old in {id(old): old for old, _ in pairs.values()}.values():
        new, steps = in_force[id(old)], 0
        while id(new) in in_force:
            # The replacement may itself be replaced, under another name.
            new, steps = in_force[id(new)], steps + 1
            if steps > len(in_force):
                raise DeclarationError(
                    f"{cls.__name__}.{names[id(new)]}",
                    getattr(new, "place", repr(new)),
                    "it takes the place of what takes its own; declare a new one",
                )
        in_force[id(old)] = new
        winners.append(new)
        places.setdefault(id(new), []).append(old)
    declared = {id(node) for node in providers_of(cls._declared)}
    wrapping = set()
    for new in winners:
        lost = {id(old) for old in places[id(new)]}
        # Anonymous providers have a single user; following named ones could close a cycle.
        own, _ = dependencies_first(
            declared_needs(new),
            lambda node: (
                []
                if id(node) in declared or id(node) in in_force or foreign(node, cls._own) is not None
                else declared_needs(node)
            ),
        )
        if any(id(node) in lost for node in own):
            wrapping.add(id(new))

    def needed(node: object) -> list[object]:
        if foreign(node, cls._own) is not None:
            return []
        users = [node, *places[id(node)]] if id(node) in wrapping else [node]
        return [in_force.get(id(need), need) for user in users for need in declared_needs(user)]

    order, circles = dependencies_first(winners, needed)
    for circle in circles:
        new = next((node for node in circle if id(node) in places), None)
        between = next((node for node in circle if node is not new and id(node) in declared), None)
        if new is not None and between is not None:
            raise DeclarationError(
                f"{cls.__name__}.{names[id(new)]}",
                getattr(new, "place", repr(new)),
                f"it needs {getattr(between, 'path', repr(between))}, which needs what this takes the place of; "
                "they would go in a circle",
            )
    chains: dict[int, list[tuple[Any, Any]]] = {}
    for old, new in pairs.values():
        winner = in_force[id(old)]
        if id(winner) in wrapping:
            chains.setdefault(id(winner), []).append((old, new))
    return [
        pair
        for winner in order
        for pair in (*chains.get(id(winner), ()), *((old, winner) for old in places.get(id(winner), ())))
    ]


def _pairs(old: object, new: object) -> Iterator[tuple[object, object]]:
    if isinstance(old, Declarations) and isinstance(new, Declarations):
        for name, member in old._members.items():
            yield from _pairs(member, new._members.get(name))
    elif is_provider(old) and is_provider(new) and old is not new:
        yield old, new
