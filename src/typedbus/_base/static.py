"""
Inspect objects without running any of their code.

`isinstance`, `getattr`, `==`, `hash` and `repr` evaluate a lazy object, such as the settings of Django.
The functions here use only the type of an object, and read attributes from the place where classes store them.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeGuard, TypeVar

K = TypeVar("K")

MISSING: Final = object()

# A metaclass may define attributes of these names; the slots of `type` cannot be hidden.
bases_of: Final[Callable[[type], tuple[type, ...]]] = vars(type)["__mro__"].__get__
namespace_of: Final[Callable[[type], Mapping[str, Any]]] = vars(type)["__dict__"].__get__
_is_base: Final = type.__subclasscheck__
_qualname_of: Final[Callable[[type], str]] = vars(type)["__qualname__"].__get__

_ROUTINES: Final = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
)
_SIMPLE: Final = (str, bytes, int, float, bool, complex, types.NoneType)


def is_a(value: object, kind: type[K]) -> TypeGuard[K]:
    """Whether the type of *value* is *kind* or inherits it; the `__class__` of *value* is ignored."""
    return _is_base(kind, type(value))


def inherits(cls: type, base: type) -> bool:
    """Whether *base* is *cls* or among its bases; `__subclasscheck__` and `register` of ABCs are ignored."""
    return _is_base(base, cls)


def is_simple(value: object) -> bool:
    """Whether *value* is exactly of a built-in type whose comparison, hash and repr run no user code."""
    return type(value) in _SIMPLE


def lookup(cls: type, name: str) -> Any:
    """Return the attribute *name* as stored in *cls* or the nearest base, or `MISSING`; descriptors are not called."""
    for base in bases_of(cls):
        value = namespace_of(base).get(name, MISSING)
        if value is not MISSING:
            return value
    return MISSING


def stored(value: object, name: str) -> Any:
    """Return the attribute *name* of an object as stored, or `MISSING` if it is computed or not set."""
    if is_a(value, types.FunctionType):
        return value.__dict__.get(name, MISSING)
    attribute = inspect.getattr_static(value, name, MISSING)
    if type(attribute) is not types.MemberDescriptorType:
        return attribute
    try:
        return attribute.__get__(value)  # the attribute has a slot
    except AttributeError:
        return MISSING


def module_of(cls: type) -> str:
    """Return the `__module__` of *cls*."""
    module = namespace_of(cls).get("__module__", "builtins")
    return module if is_a(module, str) else "builtins"


def has_name(value: object) -> bool:
    """Whether *value* is a class or a function, and not merely a callable object."""
    return is_a(value, type) or type(value) in _ROUTINES


def full_name_of(value: object) -> str:
    """Return the name of a class or callable for messages: module and qualified name, or its type if it has none."""
    if is_a(value, type):
        return f"{module_of(value)}.{_qualname_of(value)}"
    function: Any = getattr(value, "__func__", value) if type(value) is types.MethodType else value
    if type(function) in _ROUTINES:
        module = getattr(function, "__module__", None)  # a method in C has none
        return f"{module}.{function.__qualname__}" if module else str(function.__qualname__)
    if type(value) is functools.partial:
        return f"functools.partial({full_name_of(value.func)}, ...)"
    return f"<{full_name_of(type(value))} object>"


def annotated_name(cls: type) -> str:
    """Return the name of *cls* as in annotations: without the module for a built-in class."""
    return _qualname_of(cls) if module_of(cls) == "builtins" else full_name_of(cls)
