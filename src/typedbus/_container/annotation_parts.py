"""The parts of annotations: the type below its wrappers, the members of a literal, and the listeners of a channel."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from itertools import islice
from typing import Any, Final, Union

import typing_extensions

from typedbus._base.signatures import VARIADIC
from typedbus._base.static import MISSING, is_a, lookup
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.async_faces import AsyncPublishes, AsyncSubscribes
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import Listens
from typedbus._container.annotations import Exactly, Several, This, read

#: The classes whose members are compared with the type arguments of an annotation.
LITERALS: Final = (list, tuple, set, frozenset, dict)
#: Limit for the members of a literal, and for the layers of an annotation.
SHALLOW: Final = 100
#: Annotations around another one that do not change the type at run time.
WRAPPERS: Final = [
    getattr(module, name)
    for module in (typing, typing_extensions)
    for name in ("Annotated", "ClassVar", "Final", "Required", "NotRequired", "ReadOnly")
    if hasattr(module, name)
]


def plain(annotation: Any) -> Any:
    """Remove the wrappers of an annotation that do not matter for the type at run time."""
    for _ in range(SHALLOW):
        if type(annotation) in (type, This, Exactly):
            return annotation  # the most frequent case
        if annotation is None:
            return types.NoneType
        if annotation is inspect.Parameter.empty or is_a(annotation, str) or is_a(annotation, typing.ForwardRef):
            return Any
        if annotation is typing_extensions.LiteralString:
            return str
        if is_a(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif typing.get_origin(annotation) in WRAPPERS:
            annotation = typing.get_args(annotation)[0]
        elif is_a(annotation, type):
            return annotation
        else:
            try:
                if is_a(annotation, typing.TypeVar):
                    choices = annotation.__constraints__
                    annotation = annotation.__bound__ or (Union[choices] if choices else Any)  # noqa: UP007  # of a tuple
                else:
                    annotation = annotation.__value__  # a `type` statement, possibly with arguments
            except AttributeError:
                return annotation
            except Exception:
                break  # it is evaluated only now, and may use an undefined name
    return Any


def members_of(value: Any) -> Several:
    """Describe a literal by its first members."""
    kind = type(value)
    if kind is not dict:
        return Several(kind, tuple(map(This, islice(value, SHALLOW))))
    return Several(kind, tuple(map(This, islice(value.values(), SHALLOW))), tuple(map(This, islice(value, SHALLOW))))


def listener_in(face: object) -> inspect.Signature | None:
    """Return the signature of the listeners that the annotation *face* names, or None if it is not known."""
    args = typing.get_args(face)
    listener = args if typing.get_origin(face) in (AsyncBoundChannel, BoundChannel) else plain(args[0])
    cls = typing.get_origin(listener) or listener
    if cls in (Callable, Listens):
        listener = typing.get_args(listener)
    if isinstance(listener, tuple):
        if not listener or not isinstance(listener[0], (list, tuple)):
            return None
        parameters = [
            inspect.Parameter(f"arg{index}", inspect.Parameter.POSITIONAL_ONLY, annotation=annotation)
            for index, annotation in enumerate(listener[0])
        ]
        result = listener[-1]
    else:
        call = inspect.getattr_static(cls, "__call__", None) if isinstance(cls, type) else None
        if not isinstance(call, types.FunctionType) or hasattr(call, "__wrapped__"):
            return None
        signature, hints = read(call)
        if signature is None:
            return None
        parameters = [
            parameter.replace(annotation=hints.get(parameter.name, Any)) for parameter in signature.parameters.values()
        ]
        if parameters and parameters[0].kind not in VARIADIC:
            del parameters[0]  # self
        result = hints.get("return", Any)
    if typing.get_origin(face) in (AsyncPublishes, AsyncSubscribes):
        result = _awaited(result)
    return inspect.Signature(parameters, return_annotation=None if result is types.NoneType else result)


def _awaited(result: Any) -> Any:
    """Return the type of the awaited result of a listener whose annotated result is *result*."""
    origin, args = typing.get_origin(result), typing.get_args(result)
    if origin in (Union, types.UnionType):
        return Union[tuple(map(_awaited, args))]  # noqa: UP007  # of a tuple
    cls = origin or result
    if is_a(cls, type) and lookup(cls, "__await__") is not MISSING:
        return args[-1] if args else Any
    return result  # an `async def` is annotated with the awaited result
