"""
Finds declarations that silently do something other than they appear to.

Each of these runs without an error, which is why `validate()` reports it.
"""

from __future__ import annotations

import dis
import functools
import types
import typing
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from typedbus._base.failures import describe
from typedbus._base.hints import annotations_of
from typedbus._base.static import MISSING, bases_of, full_name_of, inherits, is_a, lookup, namespace_of, stored
from typedbus._bus.bus import Bus
from typedbus._channels.channel import AnyChannel, Hook
from typedbus._container.annotations import evaluated
from typedbus._container.body import Declarations, blueprint_of, body_of, is_declaration
from typedbus._container.compatibility import plain
from typedbus._container.component import Component
from typedbus._container.faults import HiddenFault, LifetimeFault, MisspeltFault, ReplacementFault
from typedbus._container.hooks import NAMED_HOOKS, is_foreign
from typedbus._container.misfits import NamedHook, misfit
from typedbus._container.providers import Provided, arguments_of, is_provider, lifetime, needs
from typedbus._container.results import Itself, Made, Members, Uncalled, result_of

_LONG_ENOUGH: Final = 4
_LONG: Final = 6
_SEQUENCES: Final = (list, tuple, set, frozenset, deque)
_MAPPINGS: Final = (dict, types.MappingProxyType, defaultdict, OrderedDict)
_MANY: Final = 1_000  # limit for the objects that are searched for each component


def lifetime_faults(
    component: Component[object], needed: Callable[[object], Sequence[object]] = needs
) -> list[LifetimeFault]:
    """
    Return a fault for each object that *component* would keep for life although it is made for one thread or context.

    Args:
        component: The component whose needs are searched.
        needed: Returns the providers that a provider needs, as `needs` does.
    """
    faults = []
    pending = [*needed(component)[::-1]]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if isinstance(node, Component) or id(node) in seen:
            continue
        seen.add(id(node))
        scope = lifetime(node)
        if scope is None:
            pending.extend(needed(node)[::-1])
            continue
        result = result_of(node)
        name = full_name_of(result.by) if isinstance(result, Made) else full_name_of(node)
        faults.append(
            LifetimeFault(
                component.path,
                component.place,
                f"it would keep one instance of {name}, although each {scope} has its own ({type(node).__name__})",
                "pass lazy(x), and call it where it is used; or declare x as a Component",
            )
        )
    return faults


def hidden_faults(component: Component[object]) -> list[HiddenFault]:
    """Return a fault for each component or provider hidden in an argument of *component*, where it is not called."""
    unnamed, named = arguments_of(component)
    places: list[tuple[str, object]] = []
    if type(component.builds) is not type and not is_provider(component.builds):
        places.append(("", component.builds))
    for name, node in [*((f"argument {index + 1}", node) for index, node in enumerate(unnamed)), *named.items()]:
        if isinstance(node, Component):
            continue
        result = result_of(node)
        # A provider that is the argument itself, or is passed as a delegate, is intended.
        if isinstance(result, Itself) and not is_provider(result.value):
            places.append((f"its {name}" if name.startswith("argument ") else f"its argument {name!r}", result.value))
    faults = []
    for where, value in places:
        for hidden in _hidden_in(value):
            provider = hidden.__provider__ if type(hidden) is Provided else hidden
            name, now, later = f"a {type(provider).__name__}", "provided(x)", "lazy(x)"
            if isinstance(provider, Component):
                name = provider.path
                short = name.rpartition(".")[2] if name != describe(provider.builds) else "x"
                now, later = f"{short}.provided", f"{short}.lazy"
            faults.append(
                HiddenFault(
                    component.path,
                    component.place,
                    f"{where or f'{full_name_of(component.builds)}, which builds it,'} holds {name} where the container "
                    "does not search, so that the provider itself would be passed, not its instance",
                    f"pass {now}, as an argument or in a list, tuple or dict; "
                    f"or {later} to a parameter that takes a function, to be called later",
                )
            )
    return faults


def inline_faults(component: Component[object], in_force: typing.Container[int]) -> list[HiddenFault]:
    """
    Return a fault for each component that *component* receives uncalled and that is declared inline, in the argument.

    Args:
        component: The component whose arguments are searched.
        in_force: The identities of the providers in force, which belong to a container.
    """
    unnamed, named = arguments_of(component)
    pending: list[object] = [*unnamed, *named.values()]
    faults: list[HiddenFault] = []
    for node in pending:
        if isinstance(node, Component) or not is_provider(node):
            continue
        result = result_of(node)
        if isinstance(result, Members):
            pending.extend(result.nodes)
        inline = result.node if isinstance(result, Uncalled) else None
        if isinstance(inline, Component) and inline.home is None and id(inline) not in in_force:
            cls = full_name_of(inline.builds).rpartition(".")[2]
            faults.append(
                HiddenFault(
                    component.path,
                    component.place,
                    f"it receives Component({cls}).lazy, which is declared inline: that component belongs to no "
                    "container, and a call of it would raise OutsideContainer",
                    f"declare it in the body of the container, as in x = Component({cls}), and pass x.lazy",
                )
            )
    return faults


def _hidden_in(value: object) -> Iterator[object]:
    """Yield each provider and each stand-in that is found in *value*, once."""
    pending: deque[object] = deque([value])
    seen: dict[int, object] = {}  # keeps temporary objects alive, so that identities stay unique
    while pending and len(seen) < _MANY:
        at = pending.popleft()
        if id(at) in seen:
            continue
        seen[id(at)] = at
        kind = type(at)
        if kind is Provided or is_provider(at):
            yield at
        elif kind in _SEQUENCES:
            sequence: Any = at
            pending.extend(islice(sequence, _MANY))
        elif kind in _MAPPINGS:
            mapping: Any = at
            pending.extend(islice(mapping, _MANY))
            pending.extend(islice(mapping.values(), _MANY))
        elif kind is functools.partial:
            partial: Any = at
            pending.extend((partial.func, partial.args, partial.keywords))
        elif kind is types.MethodType:
            method: Any = at
            pending.append(method.__func__)
        elif is_a(at, types.FunctionType):
            pending.extend((at.__defaults__ or (), at.__kwdefaults__ or {}))
            pending.extend(_cells_of(at))
            pending.extend(_globals_of(at.__code__, at.__globals__))
        else:
            # Search the fields of records only; other classes are assumed to hold a provider on purpose.
            pending.extend(value for name in _fields_of(kind) if (value := stored(at, name)) is not MISSING)


def _fields_of(kind: type) -> list[str]:
    """Return the names of the fields of an attrs class or a dataclass."""
    fields = lookup(kind, "__attrs_attrs__")
    if fields is MISSING:
        fields = lookup(kind, "__dataclass_fields__")
        fields = tuple(fields.values()) if type(fields) is dict else ()
    return [field.name for field in fields] if is_a(fields, tuple) else []


def _cells_of(function: types.FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue  # the cell is still empty


def _globals_of(code: types.CodeType, names: Mapping[str, object]) -> Iterator[object]:
    """Yield the providers and stand-ins among the globals that *code* and its nested functions read."""
    values = {name: names[name] for name in code.co_names if name in names}
    hidden = {name: value for name, value in values.items() if type(value) is Provided or is_provider(value)}
    if hidden:
        # `co_names` also has the names of attributes.
        read = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
        yield from (value for name, value in hidden.items() if name in read)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _globals_of(inner, names)


def replacement_faults(container: Declarations, path: str) -> list[ReplacementFault]:
    """Return the faults of replaced declarations in *container*, with the path *path*, and its nested containers."""
    faults = []
    cls = type(container)
    for name in dict.fromkeys(name for base in cls.__mro__ for name in vars(base)):
        nearest, *replaced = (vars(base)[name] for base in cls.__mro__ if name in vars(base))
        in_force = blueprint_of(cls).members.get(name)
        if nearest is in_force and not replaced:
            continue
        declaration = nearest if in_force is None else in_force
        place = declaration.place if is_a(declaration, Component) else blueprint_of(cls).place
        if in_force is None:
            if is_provider(nearest):
                faults.append(
                    ReplacementFault(
                        f"{path}.{name}",
                        place,
                        "it is declared in a class that is not a container, or was added after the class was created, "
                        "and belongs to no container",
                        "declare it in the body of a class that inherits Container",
                    )
                )
        elif nearest is not in_force:
            faults.append(
                ReplacementFault(
                    f"{path}.{name}",
                    blueprint_of(cls).place,
                    f"{'a Component' if is_a(nearest, Component) else full_name_of(nearest)} has the same name but does not replace it: the declaration of the base class stays in force",
                    f"declare {name} = Component(...) in the body of the class, or take another name; "
                    f"for a test, override it: with container.override({cls.__name__}.{name}).by(...)"
                    if is_a(nearest, Component)
                    else f"declare {name} = Component(...), or take another name",
                )
            )
        else:
            faults.extend(
                ReplacementFault(
                    f"{path}.{name}",
                    place,
                    f"it does not declare {getattr(missing, 'path', 'a provider')}, which it replaces, "
                    "and components that refer to it keep using the old one",
                    "declare it here as well",
                )
                for missing in _missing(replaced, in_force)
                if id(missing) in body_of(container).copies
            )
            faults.extend(_name_clashes(cls, name, f"{path}.{name}"))
    for name, member in blueprint_of(cls).members.items():
        if isinstance(member, Declarations):
            faults.extend(replacement_faults(member, f"{path}.{name}"))
    return faults


def assigned(container: Declarations) -> list[tuple[Declarations, str, object]]:
    """Return the values that were assigned over declarations of *container* or of its nested containers."""
    assignments: list[tuple[Declarations, str, object]] = []
    members = body_of(container).members
    for name, value in vars(container).items():
        declared = members.get(name)
        is_new = declared is None and is_a(value, Component) and value.home is None
        if is_new or (declared is not None and value is not declared):
            assignments.append((container, name, value))
        elif is_a(declared, Declarations):
            assignments.extend(assigned(declared))
    return assignments


def assigned_faults(container: Declarations, path: str) -> Iterator[ReplacementFault]:
    """Yield a fault for each assigned attribute: other declarations still refer to the original declaration."""
    for owner, name, value in assigned(container):
        declared = body_of(owner).members.get(name)
        cls = type(owner).__name__
        remedy = f"declare {name} = Component(...) in the body of {cls}"
        if declared is not None:
            remedy = f"override it: with container.override({cls}.{name}).by(...)"
        yield ReplacementFault(
            f"{path}.{name}" if owner is container else getattr(declared, "path", f"{cls}.{name}"),
            value.place if is_a(value, Component) else getattr(declared, "place", blueprint_of(type(owner)).place),
            "it was assigned to an instance of the container, which keeps using its declarations",
            remedy,
        )


def declared_types(container: Declarations) -> dict[int, object]:
    """
    Return the annotated types of overridden components in *container* and its nested containers, by identity.

    ``repo: Component[Repo] = Component(SqlRepo)`` declares a Repo. The type is Any if it cannot be evaluated.
    """
    types_of: dict[int, object] = {}
    for name, member in body_of(container).members.items():
        if is_a(member, Declarations):
            types_of.update(declared_types(member))
        elif is_a(member, Component) and member.overriding is not None:
            for base in bases_of(type(container)):
                annotations = annotations_of(base) if name in namespace_of(base) else {}
                if name in annotations:
                    annotation = annotations[name]
                    evaluated_type = plain(evaluated(annotation, base))
                    if typing.get_origin(evaluated_type) is Component:
                        types_of[id(member)] = typing.get_args(evaluated_type)[0]
                    elif evaluated_type is Any and is_a(annotation, str) and not annotation.endswith("Any"):
                        types_of[id(member)] = Any
                    break
    return types_of


def _name_clashes(cls: type[Declarations], name: str, path: str) -> Iterator[ReplacementFault]:
    """
    Yield a fault if unrelated bases of *cls* declare *name* for two different purposes.

    Bases are related if one inherits from the other, or if both redeclare *name* of a common base.
    """
    first, *others = (
        base for base in cls.__mro__ if issubclass(base, Declarations) and is_declaration(vars(base).get(name))
    )
    winner: Any = vars(first)[name]
    for other in others:
        loser: Any = vars(other)[name]
        is_related = issubclass(first, other) or any(
            issubclass(first, base) and issubclass(other, base) for base in others if base is not other
        )
        if is_related or loser is winner or _is_variant(winner, loser):
            continue
        yield ReplacementFault(
            path,
            getattr(winner, "place", blueprint_of(first).place),
            f"it is declared in {describe(first)} and again in {describe(other)} "
            f"({getattr(loser, 'place', blueprint_of(other).place)}); the first replaces the second, "
            "although neither class inherits from the other",
            f"rename one of them; or, if both are meant to be the same, declare {name} again in {describe(cls)}, "
            "or once in a base class of both",
        )
        return


def _is_variant(winner: object, loser: object) -> bool:
    """Whether both are buses (there can be only one), or containers, the first an instance of the second's class."""
    if isinstance(winner, Component) and isinstance(loser, Component):
        return all(
            isinstance(component.builds, type) and issubclass(component.builds, Bus) for component in (winner, loser)
        )
    return isinstance(winner, Declarations) and isinstance(loser, Declarations) and isinstance(winner, type(loser))


def _missing(replaced: Sequence[Any], new: Any) -> Iterator[object]:
    """Yield the providers of *replaced* declarations that have no counterpart in *new*."""
    for old in replaced:
        if is_a(old, Declarations):
            theirs = body_of(new).members if is_a(new, Declarations) else {}
            for name, member in body_of(old).members.items():
                yield from _missing([member], theirs.get(name))
        elif is_provider(old) and not is_provider(new):
            yield old


def misspelt_faults(component: Component[object], cls: type, hooks: Sequence[Hook[object]]) -> list[MisspeltFault]:
    """
    Return a fault for each method of *cls* with nearly the name of a life-cycle channel that could have been called.

    A class that also has the correctly named hook is not reported, nor is a method
    that the class itself calls, or whose name comes from a library's class.
    """
    # The last base, `object`, has no such method.
    candidates = {
        name: channel for base in bases_of(cls)[:-1] for name in namespace_of(base) if (channel := _misspelt(name))
    }
    if inherits(cls, Bus) or not candidates:
        return []
    faults = []
    own = [base for base in bases_of(cls) if not is_foreign(base)]
    foreign = [base for base in bases_of(cls) if is_foreign(base)]
    for name, channel in candidates.items():
        own_hook = lookup(cls, channel.name)
        if channel in component.unheard or not (own_hook is MISSING or own_hook is None):
            continue
        method = lookup(cls, name)
        if not is_a(method, types.FunctionType):
            continue
        names = [(hook.attribute, full_name_of(hook.method).rpartition(".")[2]) for hook in hooks]
        if any(hook.method is method for hook in hooks) or any(name in pair for pair in names):
            continue
        if any(lookup(base, name) is not MISSING for base in foreign) or any(
            _calls_by_name(base, name) for base in own
        ):
            continue
        if misfit(NamedHook(channel, method), cls) is None:
            faults.append(
                MisspeltFault(
                    component.path,
                    component.place,
                    f"{full_name_of(method)} will not be called: a component listens to channel {channel.name!r} "
                    f"by a method named {channel.name!r}",
                    f"rename it, or declare that it does not listen: Component(...).without({channel.name.upper()})",
                )
            )
    return faults


def _calls_by_name(base: type, name: str) -> bool:
    """Whether another method of *base* uses the name."""
    others = [value for own, value in namespace_of(base).items() if own != name and type(value) is types.FunctionType]
    return any(name in other.__code__.co_names for other in others)


@functools.cache
def _spellings() -> dict[str, AnyChannel]:
    """Return likely misspellings of the names of the life-cycle channels, in lower case, and the names themselves."""
    spellings: dict[str, AnyChannel] = {}
    for name, channel in NAMED_HOOKS.items():
        ways = [f"{name}_", f"on_{name}", f"on{name}"]
        # Typos of short names, and doubled vowels, are ordinary words too often: `min`, `mail`, `stat`, `stoop`.
        for index in range(1, len(name)) if len(name) >= _LONG_ENOUGH else ():
            ways.append(name[:index] + name[index + 1 : index + 2] + name[index] + name[index + 2 :])
            if name[index] not in "aeiou":
                ways.append(name[:index] + name[index] + name[index:])
            if len(name) > _LONG:
                ways.append(name[:index] + name[index + 1 :])
        spellings.update(dict.fromkeys(ways, channel))
        spellings[name] = channel
    return spellings


def _misspelt(name: str) -> AnyChannel | None:
    """Return the life-cycle channel of which *name* is a misspelling, or None."""
    channel = _spellings().get(name.lower())
    return None if channel is None or name in NAMED_HOOKS else channel
