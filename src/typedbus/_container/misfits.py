"""Whether a method can be called with the arguments that are published on its channel."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any

from typedbus._base.signatures import function_of
from typedbus._base.static import is_a, lookup
from typedbus._bus.listeners import FunctionHook
from typedbus._channels.channel import Hook
from typedbus._container.annotation_text import shown, shown_signature
from typedbus._container.annotations import DEFERRED, Exactly, class_in, read
from typedbus._container.compatibility import fits


class NamedHook(Hook[object]):
    """An undeclared hook: its method has the name of a life-cycle channel."""

    __slots__ = ()


def misfit(hook: Hook[object], cls: type) -> str | None:
    """Return why a method cannot be called with the published arguments, or None if it can."""
    call = hook.channel.signature()
    method: Any = hook.method
    is_function = type(hook) is FunctionHook
    if type(method) is types.MethodType and not is_function:
        method = method.__func__
    deferred = _deferred(function_of(method))
    if deferred is not None and deferred[0] is types.CoroutineType:
        if not (hook.channel.is_async or hook.channel.returns_awaitables()):
            return deferred[1]
    elif deferred is not None and call is not None and not fits(call.return_annotation, Exactly(deferred[0])):
        return deferred[1]
    if call is None:
        return None
    signature, hints = read(method)
    if signature is None:
        return None  # its signature is unknown, as for most methods written in C
    name = hook.attribute or (method.__name__ if is_a(method, types.FunctionType) else "")
    owner = [] if is_function or type(lookup(cls, name)) is staticmethod else [None]
    for args, kwargs in _calls(call):
        try:
            bound = signature.bind(*owner, *args, **kwargs)
        except TypeError as error:
            return f"is called with {shown_signature(call, {})} and takes {shown_signature(signature, hints)}: {error}"
        for name, values in bound.arguments.items():
            for parameter in values if isinstance(values, tuple) else (values,):
                if not isinstance(parameter, inspect.Parameter):
                    continue
                if name not in hints and isinstance(hook, NamedHook):
                    return f"has no annotation for {name!r}, and may have this name by chance"
                annotation = parameter.annotation
                kind = class_in(annotation)
                # A publisher may publish an instance of exactly this class, not of a subclass.
                argument = Exactly(kind) if kind is not None and kind is annotation else annotation
                if not fits(hints.get(name, Any), argument):
                    return f"takes {name!r} as {shown(hints[name])} and is given {shown(annotation)}"
    return None


def is_async(method: Any) -> bool:
    """Return whether a call of *method* returns a coroutine."""
    deferred = _deferred(function_of(method))
    return deferred is not None and deferred[0] is types.CoroutineType


def _deferred(function: types.FunctionType | None) -> tuple[type, str] | None:
    """Return the type of the object that *function* returns before its body runs, and why that is a fault."""
    flags = 0 if function is None else function.__code__.co_flags & DEFERRED
    if flags & inspect.CO_COROUTINE:
        return types.CoroutineType, "is async, and its result would not be awaited"
    if flags & inspect.CO_ASYNC_GENERATOR:
        return types.AsyncGeneratorType, "is an async generator, and its body would not run"
    return (types.GeneratorType, "is a generator, and its body would not run") if flags else None


def _calls(signature: inspect.Signature) -> Iterator[tuple[list[inspect.Parameter], dict[str, inspect.Parameter]]]:
    """Yield the calls a publisher may make: with the fewest arguments, the most, and as many by name as possible."""
    parameters = signature.parameters.values()
    if not parameters:
        yield [], {}
        return
    by_kind = {
        kind: [parameter for parameter in parameters if parameter.kind is kind]
        for kind in {parameter.kind for parameter in parameters}
    }
    unnamed = by_kind.get(inspect.Parameter.POSITIONAL_ONLY, [])
    either = by_kind.get(inspect.Parameter.POSITIONAL_OR_KEYWORD, [])
    named = by_kind.get(inspect.Parameter.KEYWORD_ONLY, [])
    rest = by_kind.get(inspect.Parameter.VAR_POSITIONAL, [])
    others = dict(zip(["any_other_name"], by_kind.get(inspect.Parameter.VAR_KEYWORD, []), strict=False))
    empty = inspect.Parameter.empty
    yield (
        [parameter for parameter in unnamed + either if parameter.default is empty],
        {parameter.name: parameter for parameter in named if parameter.default is empty},
    )
    yield unnamed + either + rest, {**{parameter.name: parameter for parameter in named}, **others}
    yield unnamed, {**{parameter.name: parameter for parameter in either + named}, **others}
