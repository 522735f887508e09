"""Set the `__module__` of public classes and functions to the module that users import them from."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any


def export(namespace: Mapping[str, Any], later: Iterable[object] = ()) -> None:
    """
    Set the `__module__` of the classes and functions that a module lists in `__all__` and a private module defines.

    Messages, tracebacks, diagrams and pickles contain this name.

    Args:
        namespace: The globals of the public module.
        later: Objects in `__all__` that the module imports on first use, as far as they are loaded.
    """
    module: str = namespace["__name__"]
    for value in [*(namespace[name] for name in namespace["__all__"] if name in namespace), *later]:
        if isinstance(value, (type, types.FunctionType)) and "._" in value.__module__:
            if isinstance(value, type):
                _export_members(module, value)
            value.__module__ = module


def _export_members(module: str, cls: type) -> None:
    annotations: Any = vars(cls).get("__annotations__")
    if annotations:
        # From now on annotations would be looked up in the public module, which lacks most of the names.
        names = vars(sys.modules[cls.__module__])
        for name, annotation in annotations.items():
            annotations[name] = _evaluated(annotation, names)
    for member in vars(cls).values():
        function = getattr(member, "__func__", member) if isinstance(member, (classmethod, staticmethod)) else member
        # A class may hold functions of other modules, as protocols do.
        if isinstance(function, types.FunctionType) and function.__module__ == cls.__module__:
            function.__module__ = module


def _evaluated(annotation: object, names: dict[str, Any]) -> object:
    if not isinstance(annotation, str):
        return annotation
    try:
        return names[annotation] if annotation in names else eval(annotation, names)  # noqa: S307  # our own text
    except NameError:
        return annotation  # it is imported only for type checkers
