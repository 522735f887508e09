"""
The values and types of names in the source of a loaded module, as far as they are known.

No code of the application runs, except its annotations: `is_a` and `stored` do not evaluate lazy objects.
"""

from __future__ import annotations

import ast
import builtins
import sys
import types
from collections import ChainMap
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import attrs

from typedbus._base.failures import place_of
from typedbus._base.static import MISSING, is_a, lookup, stored
from typedbus.porting._declarations import is_specific, known_signature


def definition_of(function: object) -> str | None:
    """Return file and line of the definition of a callable; None if that is unknown."""
    place = place_of(function)
    return None if place == "no file" else place


@attrs.frozen
class Scope:
    """
    What is known about the names at a point of the source.

    Attributes:
        module: The module.
        values: The values of names; `MISSING` for a parameter or a variable whose value is unknown.
        types: The types of such names, as far as they are known.
        cls: The class around the point.
    """

    module: ModuleType
    values: ChainMap[str, object]
    types: Mapping[str, object]
    cls: object = None

    @classmethod
    def of_module(cls, module: ModuleType) -> Scope:
        """Return the scope of the body of a module."""
        return cls(module, ChainMap(vars(module), builtins.__dict__), {})

    def of_class(self, node: ast.ClassDef) -> Scope:
        """Return the scope of the body of a class."""
        # A class inside a function cannot be found by its name.
        cls = self.values.get(node.name) if self.cls is None else stored(self.cls, node.name)
        return attrs.evolve(self, cls=cls if is_a(cls, type) else MISSING)

    def of_function(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Scope:
        """Return the scope of the body of a function: its parameters, imports and assignments are known as well."""
        values, known_types = self.values.new_child(), dict(self.types)
        inner = Scope(self.module, values, known_types)
        arguments = function.args
        for at, parameter in enumerate([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]):
            values[parameter.arg] = MISSING
            known_types.pop(parameter.arg, None)
            if parameter.annotation is not None:
                known_types[parameter.arg] = self._evaluated(parameter.annotation)
            elif at == 0 and is_a(self.cls, type):
                if parameter.arg == "cls":
                    values["cls"] = self.cls
                else:
                    known_types[parameter.arg] = self.cls
        for node in ast.walk(function):
            match node:
                case ast.ImportFrom(module=str(name), level=level, names=aliases):
                    package = (self.module.__package__ or "").split(".")
                    prefix = package[: len(package) - level + 1] if level else []
                    imported = sys.modules.get(".".join([*prefix, name]))
                    for alias in aliases:
                        value = getattr(imported, "__dict__", {}).get(alias.name, MISSING)
                        values[alias.asname or alias.name] = value
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                    values[name], known_types[name] = MISSING, self._evaluated(annotation)
                case ast.Assign(targets=[ast.Name(id=name)], value=expression):
                    value, known_type = inner.value_of(expression), inner.type_of(expression)
                    if name in known_types and known_types[name] != known_type:
                        known_type = MISSING
                    values[name], known_types[name] = value, known_type
                case _:
                    pass
        return inner

    def value_of(self, expression: ast.expr) -> Any:
        """Return the object that *expression* names, or `MISSING`."""
        match expression:
            case ast.Name(id=name):
                return self.values.get(name, MISSING)
            case ast.Attribute(value=owner, attr=name):
                value = self.value_of(owner)
                if value is not MISSING:
                    return vars(value).get(name, MISSING) if is_a(value, ModuleType) else stored(value, name)
                cls = self.type_of(owner)
                return lookup(cls, name) if is_a(cls, type) else MISSING
            case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
                # `signal("order-placed")` of blinker is a method of the dict of all named signals.
                method = self.value_of(function)
                signals = method.__self__ if is_a(method, types.MethodType) else None
                return signals.get(name, MISSING) if is_a(signals, dict) else MISSING
            case _:
                return MISSING

    def type_of(self, expression: ast.expr) -> Any:
        """Return the annotation for the value of *expression*, or `MISSING`."""
        match expression:
            case ast.Constant(value=value):
                return None if value is None else type(value)
            case ast.JoinedStr():
                return str
            case ast.Name(id=name) if name in self.types:
                return self.types[name]
            case ast.Attribute(value=owner, attr="__class__") | ast.Call(func=ast.Name(id="type"), args=[owner]):
                cls = self.type_of(owner)
                return type[cls] if is_a(cls, type) else MISSING
            case ast.Call(func=function):
                value = self.value_of(function)
                if is_a(value, type):
                    return value
                if is_a(value, types.FunctionType):
                    signature = known_signature(value)
                    if signature is not None and is_specific(signature.return_annotation):
                        return signature.return_annotation
                return MISSING
            case _:
                value = self.value_of(expression)
                if is_a(value, type):
                    return type[value]
                # A function, a property or another descriptor is not the value that an object gives.
                is_unknown = value is MISSING or value is None or is_a(value, ModuleType)
                return MISSING if is_unknown or hasattr(type(value), "__get__") else type(value)

    def definition_of(self, receiver: ast.expr, file: str) -> str | None:
        """Return file and line of the function that *receiver* names, or None."""
        if isinstance(receiver, ast.Lambda):
            return f"{file}:{receiver.lineno}"
        return definition_of(self.value_of(receiver))

    def _evaluated(self, annotation: ast.expr) -> object:
        """Return the value of an annotation, or its text if that cannot be evaluated; `MISSING` for Any."""
        text = ast.unparse(annotation)
        try:
            value: object = eval(text, dict(vars(self.module)))  # noqa: S307  # an annotation of the application
        except Exception:
            return text
        return value if is_specific(value) else MISSING
