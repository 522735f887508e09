"""Finds signals, and the calls that send or connect them, in the source of modules that are loaded."""

from __future__ import annotations

import ast
import builtins
import sys
import types
from collections import ChainMap, deque
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final

import attrs

from typedbus._base.failures import place_of
from typedbus._base.static import MISSING, inherits, lookup, stored
from typedbus.porting._declarations import is_specific, known_signature

_CLASSES: Final = (
    ("blinker.base", "Signal"),
    ("django.dispatch.dispatcher", "Signal"),
    ("celery.utils.dispatch.signal", "Signal"),
)
_SENDS: Final = ("send", "send_robust", "asend", "asend_robust", "send_async")


@attrs.frozen(eq=False)
class Definition:
    """
    An assignment of a signal to a variable of a module or of a class.

    Attributes:
        signal: The signal.
        name: The module and the variable.
        place: File and line.
        is_creation: Whether the assigned expression creates the signal, as a call of its class does.
    """

    signal: Any
    name: str
    place: str
    is_creation: bool


@attrs.frozen
class Send:
    """
    A call that sends a signal.

    Attributes:
        place: File and line.
        method: The method, such as ``send_robust``.
        arguments: The type of each keyword argument, and of ``sender``; `MISSING` where it is unknown.
        has_others: Whether the call passes on a mapping of further arguments.
        is_result_used: Whether the call is part of an expression.
    """

    place: str
    method: str
    arguments: Mapping[str, object]
    has_others: bool
    is_result_used: bool


@attrs.frozen
class Connection:
    """
    A call or a decorator that connects a receiver.

    Attributes:
        place: File and line.
        receiver: The receiver in the source.
        definition: File and line of the function that it is, or None if that is unknown.
        sender: The sender in the source, or None if the receiver is called for each.
    """

    place: str
    receiver: str
    definition: str | None
    sender: str | None


def is_signal(value: object) -> bool:
    """Return whether *value* is a signal of a loaded library."""
    return any(
        inherits(type(value), vars(sys.modules[module])[name]) for module, name in _CLASSES if module in sys.modules
    )


def takes_sender_by_position(signal: object) -> bool:
    """Return whether the receivers of *signal* get the sender as their first argument, as in blinker; else by name."""
    return type(signal).__module__.startswith("blinker")


def definition_of(function: object) -> str | None:
    """Return file and line of the definition of a callable; None if that is unknown."""
    place = place_of(function)
    return None if place == "no file" else place


def definitions(module: ModuleType, file: str, tree: ast.Module) -> Iterator[Definition]:
    """Yield the signals that *module* assigns to its variables, and to those of its classes."""
    scope = _Scope(module, _names_of(module), {})
    pending: deque[tuple[ast.AST, Mapping[str, object], str]] = deque([(tree, vars(module), module.__name__)])
    while pending:
        node, namespace, path = pending.popleft()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                continue
            case ast.ClassDef(name=name):
                cls = namespace.get(name)
                namespace, path = (vars(cls) if isinstance(cls, type) else {}), f"{path}.{name}"
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=function))
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=function))
            ) if is_signal(signal := namespace.get(name)):
                creator = scope.value_of(function)
                # A namespace of blinker is a dict of its signals.
                is_creation = isinstance(creator, type) or isinstance(getattr(creator, "__self__", None), dict)
                yield Definition(signal, f"{path}.{name}", f"{file}:{node.lineno}", is_creation)
            case _:
                pass
        pending.extend((child, namespace, path) for child in ast.iter_child_nodes(node))


def uses(module: ModuleType, file: str, tree: ast.Module) -> Iterator[tuple[Any, Send | Connection]]:
    """
    Yield the signals that *module* sends and connects, with each call.

    A signal is found by a variable of the module, an attribute of such a variable or of
    ``self``, an import or an assignment in the function, or its name in blinker's namespace.
    """
    pending: deque[tuple[ast.AST, _Scope, ast.AST]] = deque([(tree, _Scope(module, _names_of(module), {}), tree)])
    while pending:
        node, scope, parent = pending.popleft()
        inner = scope
        match node:
            case ast.ClassDef():
                inner = scope.of_class(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                inner = scope.of_function(node)
                first = min([node, *node.decorator_list], key=lambda part: part.lineno)
                for decorator in node.decorator_list:
                    for signal, sender in _connected_by(decorator, scope):
                        place = f"{file}:{decorator.lineno}"
                        yield signal, Connection(place, node.name, f"{file}:{first.lineno}", sender)
            case ast.Call(func=ast.Attribute(value=owner, attr=method), args=positional) if is_signal(
                signal := scope.value_of(owner)
            ):
                place = f"{file}:{node.lineno}"
                named = {word.arg: word.value for word in node.keywords if word.arg is not None}
                if method in _SENDS:
                    if positional:
                        named = {"sender": positional[0], **named}
                    elif takes_sender_by_position(signal):
                        named = {"sender": ast.Constant(None), **named}
                    known = {name: scope.type_of(value) for name, value in named.items() if name[:1] != "_"}
                    has_others = any(word.arg is None for word in node.keywords)
                    yield signal, Send(place, method, known, has_others, not isinstance(parent, ast.Expr))
                elif method == "connect" and (positional or "receiver" in named):
                    receiver, *senders = [*positional, *(named[key] for key in ("receiver", "sender") if key in named)]
                    text = ast.unparse(senders[0]) if senders else None
                    yield signal, Connection(place, ast.unparse(receiver), scope.definition_of(receiver, file), text)
            case _:
                pass
        # An await is part of the same statement.
        above = parent if isinstance(node, ast.Await) else node
        # In the order of the source.
        pending.extendleft((child, inner, above) for child in reversed([*ast.iter_child_nodes(node)]))


def _names_of(module: ModuleType) -> ChainMap[str, object]:
    return ChainMap(vars(module), builtins.__dict__)


def _connected_by(decorator: ast.expr, scope: _Scope) -> Iterator[tuple[Any, str | None]]:
    """Yield the signals that *decorator* connects a function to, with the sender."""
    senders: list[ast.expr] = []
    match decorator:
        case ast.Attribute(value=owner, attr="connect"):
            signals = [owner]
        case ast.Call(func=ast.Attribute(value=owner, attr="connect_via" | "connect"), args=senders):
            signals = [owner]
        case ast.Call(func=ast.Name(id="receiver") | ast.Attribute(attr="receiver"), args=[argument, *senders]):
            signals = argument.elts if isinstance(argument, (ast.List, ast.Tuple)) else [argument]
        case _:
            return
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    senders = [*senders, *(word.value for word in keywords if word.arg == "sender")]
    for signal in map(scope.value_of, signals):
        if is_signal(signal):
            yield signal, ast.unparse(senders[0]) if senders else None


@attrs.frozen
class _Scope:
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

    def of_class(self, node: ast.ClassDef) -> _Scope:
        """Return the scope of the body of a class."""
        # A class inside a function cannot be found by its name.
        cls = self.values.get(node.name) if self.cls is None else stored(self.cls, node.name)
        return attrs.evolve(self, cls=cls if isinstance(cls, type) else MISSING)

    def of_function(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> _Scope:
        """Return the scope of the body of a function: its parameters, imports and assignments are known as well."""
        values, known_types = self.values.new_child(), dict(self.types)
        inner = _Scope(self.module, values, known_types)
        arguments = function.args
        for at, parameter in enumerate([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]):
            values[parameter.arg] = MISSING
            known_types.pop(parameter.arg, None)
            if parameter.annotation is not None:
                known_types[parameter.arg] = self._evaluated(parameter.annotation)
            elif at == 0 and isinstance(self.cls, type):
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
        """Return the object that *expression* names, or `MISSING`; no code of the application is called."""
        match expression:
            case ast.Name(id=name):
                return self.values.get(name, MISSING)
            case ast.Attribute(value=owner, attr=name):
                value = self.value_of(owner)
                if value is not MISSING:
                    return vars(value).get(name, MISSING) if isinstance(value, ModuleType) else stored(value, name)
                cls = self.type_of(owner)
                return lookup(cls, name) if isinstance(cls, type) else MISSING
            case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
                # `signal("order-placed")` of blinker is a method of the dict of all named signals.
                signals = getattr(self.value_of(function), "__self__", None)
                return signals.get(name, MISSING) if isinstance(signals, dict) else MISSING
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
                return type[cls] if isinstance(cls, type) else MISSING
            case ast.Call(func=function):
                value = self.value_of(function)
                if isinstance(value, type):
                    return value
                if isinstance(value, types.FunctionType):
                    signature = known_signature(value)
                    if signature is not None and is_specific(signature.return_annotation):
                        return signature.return_annotation
                return MISSING
            case _:
                value = self.value_of(expression)
                if isinstance(value, type):
                    return type[value]
                # A function, a property or another descriptor is not the value that an object gives.
                is_unknown = value is MISSING or value is None or isinstance(value, ModuleType)
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
