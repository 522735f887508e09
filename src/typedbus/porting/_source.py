"""Finds signals, and the calls that send or connect them, in the source of modules that are loaded."""

from __future__ import annotations

import ast
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from types import MethodType, ModuleType
from typing import Any, Final

import attrs

from typedbus._base.static import inherits, is_a
from typedbus.porting._scope import Scope

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
        has_others: Whether the call passes further arguments, ``**extra``.
        is_result_used: Whether the call is part of an expression.
    """

    place: str
    method: str
    arguments: Mapping[str, object]
    has_others: bool
    is_result_used: bool


@attrs.frozen
class Handover:
    """
    A call that has a signal as an argument, and may send or connect it.

    Attributes:
        place: File and line.
    """

    place: str


@attrs.frozen
class Connection:
    """
    A call or a decorator that connects a receiver.

    Attributes:
        place: File and line.
        receiver: The receiver in the source.
        definition: File and line of the receiver's function, or None if unknown.
        sender: The sender in the source, or None if the receiver is called for every sender.
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


def definitions(module: ModuleType, file: str, tree: ast.Module) -> Iterator[Definition]:
    """Yield the signals that *module* assigns to its variables, and to those of its classes."""
    scope = Scope.of_module(module)
    pending: deque[tuple[ast.AST, Mapping[str, object], str]] = deque([(tree, vars(module), module.__name__)])
    while pending:
        node, namespace, path = pending.popleft()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                continue
            case ast.ClassDef(name=name):
                cls = namespace.get(name)
                namespace, path = (vars(cls) if is_a(cls, type) else {}), f"{path}.{name}"
            case (
                ast.Assign(targets=[ast.Name(id=name), *_], value=ast.Call(func=function))
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=function))
            ) if is_signal(signal := namespace.get(name)):
                creator = scope.value_of(function)
                # A namespace of blinker is a dict of its signals.
                is_creation = is_a(creator, type) or (is_a(creator, MethodType) and is_a(creator.__self__, dict))
                yield Definition(signal, f"{path}.{name}", f"{file}:{node.lineno}", is_creation)
            case _:
                pass
        pending.extend((child, namespace, path) for child in ast.iter_child_nodes(node))


def uses(module: ModuleType, file: str, tree: ast.Module) -> Iterator[tuple[Any, Send | Connection | Handover]]:
    """
    Yield the signals that *module* sends, connects, and passes to functions, with each call.

    A signal is found by a variable of the module, an attribute of such a variable or of
    ``self``, an import or an assignment in the function, or its name in blinker's namespace.
    """
    pending: deque[tuple[ast.AST, Scope, ast.AST]] = deque([(tree, Scope.of_module(module), tree)])
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
                    arguments = {name: scope.type_of(value) for name, value in named.items() if name[:1] != "_"}
                    has_others = any(word.arg is None for word in node.keywords)
                    yield signal, Send(place, method, arguments, has_others, not isinstance(parent, ast.Expr))
                elif method == "connect" and (positional or "receiver" in named):
                    receiver, *senders = [*positional, *(named[key] for key in ("receiver", "sender") if key in named)]
                    text = ast.unparse(senders[0]) if senders else None
                    yield signal, Connection(place, ast.unparse(receiver), scope.definition_of(receiver, file), text)
            case _:
                pass
        if isinstance(node, ast.Call) and not _is_receiver_decorator(node):
            for argument in [*node.args, *(word.value for word in node.keywords)]:
                if is_signal(signal := scope.value_of(argument)):
                    yield signal, Handover(f"{file}:{argument.lineno}")
        # An await is part of the same statement.
        above = parent if isinstance(node, ast.Await) else node
        # In the order of the source.
        pending.extendleft((child, inner, above) for child in reversed([*ast.iter_child_nodes(node)]))


def _connected_by(decorator: ast.expr, scope: Scope) -> Iterator[tuple[Any, str | None]]:
    """Yield the signals that *decorator* connects a function to, with the sender."""
    senders: list[ast.expr] = []
    match decorator:
        case ast.Attribute(value=owner, attr="connect"):
            signals = [owner]
        case ast.Call(func=ast.Attribute(value=owner, attr="connect_via" | "connect"), args=senders):
            signals = [owner]
        case ast.Call(args=[argument, *senders]) if _is_receiver_decorator(decorator):
            signals = argument.elts if isinstance(argument, (ast.List, ast.Tuple)) else [argument]
        case _:
            return
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    senders = [*senders, *(word.value for word in keywords if word.arg == "sender")]
    for signal in map(scope.value_of, signals):
        if is_signal(signal):
            yield signal, ast.unparse(senders[0]) if senders else None


def _is_receiver_decorator(call: ast.Call) -> bool:
    """Return whether *call* is that of ``receiver`` of Django."""
    return isinstance(call.func, (ast.Name, ast.Attribute)) and ast.unparse(call.func).rpartition(".")[2] == "receiver"
