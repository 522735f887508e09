"""Set the `__module__` of public classes and functions to the module that users import them from."""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Final

#: Names that are imported on first use, by the module that defines them: the globals of the public module, and the name.
_LATE_NAMES: Final[dict[str, list[tuple[dict[str, Any], str]]]] = {}


def export(namespace: Mapping[str, Any]) -> None:
    """
    Set the `__module__` of the classes and functions that a module lists in `__all__` and a private module defines.

    Messages, tracebacks, diagrams and pickles contain this name.

    Args:
        namespace: The globals of the public module.
    """
    for name in namespace["__all__"]:
        if name in namespace:
            _rename(namespace[name], namespace["__name__"])


def later(namespace: dict[str, Any], modules: Mapping[str, str]) -> Callable[[str], Any]:
    """
    Return the `__getattr__` of a public module that imports some of its names on first use.

    An import may load other such names as well, and messages may show them before
    they are accessed, so every loaded name of every public module is exported.

    Args:
        namespace: The globals of the public module.
        modules: The module that defines each name.
    """
    for name, module in modules.items():
        _LATE_NAMES.setdefault(module, []).append((namespace, name))

    def __getattr__(name: str) -> Any:  # noqa: N807  # it is assigned to this name
        if name not in modules:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        from importlib import import_module

        try:
            module = import_module(modules[name])
        except AttributeError as error:
            # Python would report it as a missing name of the public module, without this cause.
            raise ImportError(f"cannot import {modules[name]}: {error}", name=modules[name]) from error
        value = namespace[name] = getattr(module, name)
        for defining, names in _LATE_NAMES.items():
            for public, attribute in names:
                if hasattr(sys.modules.get(defining), attribute):
                    _rename(getattr(sys.modules[defining], attribute), public["__name__"])
        return value

    return __getattr__


def _rename(value: object, module: str) -> None:
    """Set the `__module__` of *value* to *module*, if a private module defines it."""
    if isinstance(value, (type, types.FunctionType)) and "._" in value.__module__:
        if isinstance(value, type):
            _export_members(module, value)
        value.__module__ = module


def _export_members(module: str, cls: type) -> None:
    """Set the `__module__` of the methods of *cls*, and evaluate its annotations."""
    annotations: Any = vars(cls).get("__annotations__")
    if annotations:
        # From now on annotations would be looked up in the public module, which lacks most of the names.
        names = vars(sys.modules[cls.__module__])
        for name, annotation in annotations.items():
            annotations[name] = _evaluate(annotation, names)
    for member in vars(cls).values():
        function = getattr(member, "__func__", member) if isinstance(member, (classmethod, staticmethod)) else member
        # A class may hold functions of other modules, as protocols do.
        if isinstance(function, types.FunctionType) and function.__module__ == cls.__module__:
            function.__module__ = module


def _evaluate(annotation: object, names: dict[str, Any]) -> object:
    if not isinstance(annotation, str):
        return annotation
    try:
        for scope in (names, vars(builtins)):
            if annotation in scope:
                return scope[annotation]  # most annotations are a name, and eval is slow
        return eval(annotation, names)  # noqa: S307  # our own text
    except NameError:
        return annotation  # it is imported only for type checkers
