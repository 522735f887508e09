"""Finds calls of ``subscribe`` and ``publish`` with a literal channel name in the source of modules."""

from __future__ import annotations

import ast
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

import attrs

from typedbus._base.failures import describe, place_of
from typedbus._channels.channel import DEFAULT_PRIORITY
from typedbus.porting._declarations import signature_text
from typedbus.porting._modules import trees_of
from typedbus.wspbus._report_data import ReportedListener, ReportedPublisher


@attrs.frozen
class SourceListener:
    """
    A call of ``subscribe`` in the source.

    Attributes:
        channel: The literal name in the call.
        entry: The listener as the report shows it.
        function: The listener itself, or None if it is not known.
    """

    channel: str
    entry: ReportedListener
    function: Callable[..., Any] | None


def source_publishers(modules: Iterable[ModuleType]) -> Iterator[tuple[str, ReportedPublisher]]:
    """Yield the literal names in calls of ``publish``, each with the place of the call."""
    for _, file, tree in trees_of(modules):
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(attr="publish"), args=[ast.Constant(value=str(name)), *args]):
                    named = tuple(sorted(word.arg for word in node.keywords if word.arg is not None))
                    yield name, ReportedPublisher(f"{file}:{node.lineno}", len(args), named, is_read=True)
                case _:
                    pass


def source_listeners(modules: Iterable[ModuleType]) -> Iterator[SourceListener]:
    """
    Yield the calls of ``subscribe`` with a literal name that are inside functions.

    A call outside a function was made during the import, on this bus or on another one. The
    listener is known if it is a function of the module, or a method of the class around the
    call, such as ``self.broadcast``.
    """
    for module, file, tree in trees_of(modules):
        pending: deque[tuple[ast.AST, object, bool]] = deque([(tree, module, False)])
        while pending:
            node, scope, is_inside = pending.popleft()
            if isinstance(node, ast.ClassDef):
                # A class inside a function cannot be found by its name.
                scope = vars(scope).get(node.name) if isinstance(scope, (ModuleType, type)) else None
            is_inside = is_inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            pending.extend((child, scope, is_inside) for child in ast.iter_child_nodes(node))
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="subscribe"), args=[ast.Constant(value=str(name)), expression, *_]
                ) if is_inside:
                    function = _function_of(expression, scope, module)
                    call_place = f"{file}:{node.lineno}"
                    if function is None:
                        shown, place, signature = ast.unparse(expression), call_place, "(...)"
                    else:
                        shown, place, signature = describe(function), place_of(function), signature_text(function)
                    entry = ReportedListener(shown, place, signature, DEFAULT_PRIORITY, call_place, is_read=True)
                    yield SourceListener(name, entry, function)
                case _:
                    pass


def _function_of(expression: ast.expr, scope: object, module: ModuleType) -> Callable[..., Any] | None:
    """Return the function that *expression* names; a method is bound, so that it lacks its first argument."""
    match expression:
        case ast.Name(id=name):
            value = vars(module).get(name)
            return value if isinstance(value, types.FunctionType) else None
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if isinstance(scope, type):
            method = next((vars(base)[name] for base in scope.__mro__ if name in vars(base)), None)
            return types.MethodType(method, scope) if isinstance(method, types.FunctionType) else None
        case _:
            return None
