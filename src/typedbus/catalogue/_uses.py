"""Finds the places in the source that use channels."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any, Final, TypeAlias

import attrs

from typedbus._base.shown_files import shown_file
from typedbus._base.static import MISSING, is_a
from typedbus._channels.channel import AnyChannel
from typedbus.catalogue._model import Dynamic, How, Use
from typedbus.porting._scope import Scope

#: What the methods and attributes of a bound channel do; all others only look.
_VERBS: Final[Mapping[str, How]] = {
    "publish": "publishes",
    "publish_in_thread": "publishes",
    "publish_from_thread": "publishes",
    "first": "publishes",
    "fold": "publishes",
    "attempt": "publishes",
    "subscribe": "listens",
    "watch": "watches",
}
#: The same for a method of a bus that takes the channel.
_BUS_VERBS: Final[Mapping[str, How]] = {"publish": "publishes", "subscribe": "listens"}
_LOOKS: Final = ("unsubscribe", "subscriptions", "has_listeners", "watches", "listeners", "channel", "name")

Held: TypeAlias = Mapping[tuple[object, str], tuple[tuple[AnyChannel, str], ...]]
"""The channels, with the path of the component, that an attribute of a class, or a parameter of a function, has."""


@attrs.frozen
class Found:
    """A use, and the channel."""

    channel: AnyChannel
    use: Use


def uses(
    module: ModuleType, file: str, tree: ast.Module, held: Held, covered: Collection[object]
) -> Iterator[Found | Dynamic]:
    """
    Yield the uses of channels in *module*, in the order of the source.

    What the bodies of the classes *covered* declare is left out: these are containers, whose components are inspected.

    A channel is found by a variable of the module or of a class, an import, or an assignment in the function; a bound channel
    by ``bus[channel]``, and by an attribute or a parameter in *held*.
    """
    place = shown_file(file)
    pending: deque[tuple[ast.AST, ast.AST, Scope, object, str]] = deque(
        (statement, tree, Scope.of_module(module), None, "") for statement in tree.body
    )
    while pending:
        node, parent, scope, owner, around = pending.popleft()
        inner, inner_owner, inner_around = scope, owner, around

        def found(channel: AnyChannel, how: How, line: int, name: str = around, component: str = "") -> Found:
            return Found(channel, Use(how, place, line, component, name))

        match node:
            case ast.ClassDef():
                inner = scope.of_class(node)
                inner_owner, inner_around = inner.cls, f"{around}{'.' * bool(around)}{node.name}"
            case ast.FunctionDef(decorator_list=decorators) | ast.AsyncFunctionDef(decorator_list=decorators):
                name = f"{around}{'.' * bool(around)}{node.name}"
                for channel, line in _marked(decorators, scope):
                    yield found(channel, "listens", line, name)
                inner, inner_around = scope.of_function(node), name
                if owner is None and is_a(function := scope.values.get(node.name), FunctionType):
                    inner_owner = function
            case ast.Subscript(slice=item):
                if is_a(channel := scope.value_of(item), AnyChannel):
                    how = _how(parent)
                    if how is not None and (how != "holds" or owner not in covered):
                        yield found(channel, how, node.lineno)
                elif _is_channel_type(scope.type_of(item)):
                    yield Dynamic(place, node.lineno, ast.unparse(node))
            case ast.Attribute(value=receiver, attr=attribute) if attribute in _VERBS:
                for channel, component in _held_by(receiver, owner, held):
                    yield found(channel, _VERBS[attribute], node.lineno, component=component)
            case ast.Call(func=ast.Attribute(value=receiver, attr="calls"), args=[method, *_]) if is_a(
                channel := scope.value_of(receiver), AnyChannel
            ):
                if owner not in covered:
                    yield found(channel, "listens", node.lineno, ast.unparse(method))
            case ast.Call(func=function, args=positional, keywords=named) if owner not in covered:
                if ast.unparse(function).rpartition(".")[2] != "on":
                    verb = function.attr if isinstance(function, ast.Attribute) else ""
                    does: How = _BUS_VERBS.get(verb, "passes")
                    for argument in [*positional, *(word.value for word in named)]:
                        if is_a(channel := scope.value_of(argument), AnyChannel):
                            yield found(channel, does, argument.lineno)
            case _:
                pass
        children = [(child, node, inner, inner_owner, inner_around) for child in ast.iter_child_nodes(node)]
        pending.extendleft(reversed(children))


def _how(parent: ast.AST) -> How | None:
    """Return what the code does with a bound channel, from the node around ``bus[channel]``; None if it only looks."""
    if isinstance(parent, ast.Attribute):
        return None if parent.attr in _LOOKS else _VERBS.get(parent.attr, "holds")
    return None if isinstance(parent, (ast.Delete, ast.Compare, ast.If, ast.While, ast.UnaryOp)) else "holds"


def _marked(decorators: list[ast.expr], scope: Scope) -> Iterator[tuple[AnyChannel, int]]:
    """Yield the channels of ``@on(channel)`` and ``@listeners.on(channel)``, with the line."""
    for decorator in decorators:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).rpartition(".")[2] == "on":
            for argument in decorator.args:
                if is_a(channel := scope.value_of(argument), AnyChannel):
                    yield channel, decorator.lineno


def _held_by(receiver: ast.expr, owner: object, held: Held) -> tuple[tuple[AnyChannel, str], ...]:
    match receiver:
        case ast.Attribute(value=ast.Name(id="self"), attr=name) | ast.Name(id=name):
            return held.get((owner, name), ())
        case _:
            return ()


def _is_channel_type(annotation: Any) -> bool:
    origin = getattr(annotation, "__origin__", annotation)
    return annotation is not MISSING and is_a(origin, type) and issubclass(origin, AnyChannel)
