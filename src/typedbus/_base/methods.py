"""Find methods in classes, by name and below decorators, without running code of the class."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Iterator
from typing import Any, Final

_MISSING: Final = object()
_WRAPPERS: Final = (classmethod, staticmethod)
# The types of most attributes that are not methods, to skip them fast: every component class is searched several times.
_OTHERS: Final = frozenset(
    (
        str,
        int,
        types.NoneType,
        property,
        types.GetSetDescriptorType,
        types.MemberDescriptorType,
        types.WrapperDescriptorType,
    )
)
_NO_DECORATORS: Final = (type, property, functools.cached_property)
_PLAIN: Final[Any] = object.__getattribute__
_PARTIALS: Final = (functools.partialmethod, functools.singledispatchmethod, functools.partial)


def held_by(cls: type, name: str) -> object:
    """Return the attribute *name* as stored in *cls* or the first base that has it; None if no class has it."""
    for base in cls.__mro__:
        attributes = base.__dict__
        if name in attributes:
            return attributes[name]
    return None


def name_of(method: Any, cls: type) -> str:
    """
    Return the name under which *cls* or a base stores *method*, which was read as ``Cls.method``; "" if not found.

    The last base in the method resolution order that stores it decides. Of several names there, the function's own
    name is returned, or else the first.
    """
    own_name = getattr(method, "__name__", "")
    function = getattr(method, "__func__", method)
    # A partialmethod creates a new function on each access, with a reference that newer Pythons name differently.
    partial = getattr(method, "__partialmethod__", getattr(method, "_partialmethod", _MISSING))
    for base in reversed(cls.__mro__):
        names = [
            name
            for name, value in vars(base).items()
            if value is method
            or value is partial
            or (issubclass(type(value), _WRAPPERS) and value.__func__ is function)
        ]
        if names:
            return own_name if own_name in names else names[0]
    return ""


def layers(value: Any, scope: str) -> Iterable[Any]:
    """
    Return *value*, an attribute of a class, and the functions that its decorators wrap, from the outside inwards.

    Empty if *value* cannot be a method. A decorator without `functools.wraps`
    stores the wrapped function in a closure or in an attribute. Methods of other
    classes that are found there are left out.

    Args:
        value: A function, possibly decorated.
        scope: The qualified name of the class.
    """
    kind = type(value)
    if issubclass(kind, types.FunctionType) and not value.__closure__:
        return (value,)
    if kind in _OTHERS or not (callable(value) or hasattr(kind, "__get__")):
        return ()
    visited = {id(value)}
    pending: list[Any] = [value]
    result: list[Any] = []
    while pending:
        layer: Any = pending.pop()
        result.append(layer)
        # Checked by type, because the __class__ of a lazy object is computed.
        kind = type(layer)
        inner: list[Any] = []
        if issubclass(kind, _WRAPPERS):
            inner = [layer.__func__]
        elif kind is types.FunctionType:
            if hasattr(layer, "__wrapped__"):
                inner = [layer.__wrapped__]
            elif layer.__closure__ and _scope_of(layer) != scope:
                inner = list(_candidates(_contents(layer.__closure__), kind, scope))
        elif issubclass(kind, _PARTIALS):
            inner = [layer.func]
        elif not issubclass(kind, _NO_DECORATORS) and kind.__getattribute__ is _PLAIN:
            inner = list(_candidates(getattr(layer, "__dict__", {}).values(), kind, scope))
        pending += [candidate for candidate in inner if id(candidate) not in visited]
        visited.update(map(id, inner))
    return result


def _contents(cells: Iterable[types.CellType]) -> Iterator[Any]:
    for cell in cells:
        try:
            yield cell.cell_contents
        except ValueError:
            continue  # the variable has no value yet


def _candidates(values: Iterable[Any], decorator: type, scope: str) -> Iterator[Any]:
    """Yield the *values*, found in a *decorator*, that may be the method or another decorator around it."""
    for value in values:
        kind = type(value)
        if kind is types.FunctionType:
            # A method of another class has a scope of its own.
            outer = _scope_of(value)
            is_wrapped = outer == scope or not outer or outer.endswith("<locals>")
        elif issubclass(kind, (*_WRAPPERS, *_PARTIALS)):
            is_wrapped = True
        else:
            # A closure may contain any object, and following the references of arbitrary objects would lead too far.
            is_wrapped = decorator in (kind, types.FunctionType) and callable(value) and kind.__getattribute__ is _PLAIN
        if is_wrapped:
            yield value


def _scope_of(function: types.FunctionType) -> str:
    return function.__qualname__.rpartition(".")[0]
