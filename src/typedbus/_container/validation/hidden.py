"""Faults of components and providers that are passed where the container does not search, or does not own them."""

from __future__ import annotations

import dis
import functools
import types
import typing
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from typedbus._base.failures import describe
from typedbus._base.static import MISSING, full_name_of, is_a, lookup, stored
from typedbus._container.component import Component
from typedbus._container.faults import HiddenFault
from typedbus._container.providers import arguments_of, is_provider
from typedbus._container.results import Itself, Members, Uncalled, result_of
from typedbus._container.scoped import Given, OfScope
from typedbus._container.stand_ins import Provided

_SEQUENCES: Final = (list, tuple, set, frozenset, deque)
_MAPPINGS: Final = (dict, types.MappingProxyType, defaultdict, OrderedDict)
_MANY: Final = 1_000  # limit for the objects that are searched for each component


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
                now, later = f"{short}.provided", f"{short}.{'opener' if isinstance(provider, OfScope) else 'lazy'}"
            later = f"; or {later} to a parameter that takes a function, to be called later"
            if isinstance(provider, Given):
                later = ""  # it cannot be built
            faults.append(
                HiddenFault(
                    component.path,
                    component.place,
                    f"{where or f'{full_name_of(component.builds)}, which builds it,'} holds {name} where the container "
                    "does not search, so that the provider itself would be passed, not its instance",
                    f"pass {now}, as an argument or in a list, tuple or dict{later}",
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
        if not isinstance(result, Uncalled):
            continue
        inline = result.node
        if isinstance(inline, Component) and inline.home is None and id(inline) not in in_force:
            kind = type(inline).__name__
            cls = full_name_of(inline.builds).rpartition(".")[2]
            effect = "has no scopes" if isinstance(inline, OfScope) else "a call of it would raise OutsideContainer"
            faults.append(
                HiddenFault(
                    component.path,
                    component.place,
                    f"it receives {kind}({cls}).{result.attribute}, which is declared inline: that component belongs "
                    f"to no container, and {effect}",
                    f"declare it in the body of the container, as in x = {kind}({cls}), and pass x.{result.attribute}",
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
