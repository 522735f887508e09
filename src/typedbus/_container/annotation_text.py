"""Types and signatures as they are written in source, for messages; long text is cut short."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final, Union

from typedbus._base.static import annotated_name, is_a, is_simple
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.async_faces import AsyncPublishes, AsyncSubscribes
from typedbus._channels.bound import BoundChannel
from typedbus._channels.faces import Publishes, Subscribes
from typedbus._container.annotation_parts import LITERALS, WRAPPERS, listener_in, members_of
from typedbus._container.annotations import Exactly, Later, OnBus, OneOf, OrNone, Several, This

_MANY: Final = 4  # limit for the arguments and members shown of one type
_PARAMETERS: Final = 12  # limit for the parameters shown of one signature
_WIDE: Final = 160  # limit for the characters shown of one type


def shown(annotation: object) -> str:
    """Return an annotation, or the type of an argument, as it is written in source; long text is cut short."""
    return _cut(_shown(annotation, _MANY))


def _shown(annotation: Any, depth: int) -> str:
    if annotation is None or annotation is types.NoneType:
        return "None"
    if isinstance(annotation, OneOf):
        return " | ".join(dict.fromkeys(_shown(member, depth) for member in annotation.members))
    if isinstance(annotation, Later):
        return f"Callable[[], {_shown(annotation.result, depth - 1) if depth else '...'}]"
    if isinstance(annotation, OrNone):
        return f"{_shown(annotation.argument, depth)} | None"
    if isinstance(annotation, This):
        value = annotation.value
        if value is None:
            return "None"
        if is_a(value, type):
            return f"type[{annotated_name(value)}]"
        if type(value) in LITERALS:
            return _shown(members_of(value), depth)
        return annotated_name(type(value))
    if isinstance(annotation, Several):
        names = list(dict.fromkeys(_shown(member, depth - 1) for member in annotation.members)) if depth else ["..."]
        kind = annotated_name(annotation.kind)
        return f"{kind}[{_listed(names)}]" if names else f"an empty {kind}"
    if isinstance(annotation, OnBus):
        signature = annotation.channel.signature()
        called = (
            "" if signature is None else f", which is called with {shown_signature(signature, {}, has_result=True)}"
        )
        return f"channel {annotation.channel.name!r}{called}"
    if isinstance(annotation, Exactly):
        return annotated_name(annotation.cls)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in WRAPPERS:
        return _shown(args[0], depth)
    if origin is BoundChannel or origin is AsyncBoundChannel:
        return f"{origin.__name__}[{_listed([_shown(arg, depth - 1) for arg in args[:2]] if depth else ['...'])}]"
    if any(origin is face for face in (AsyncPublishes, AsyncSubscribes, Publishes, Subscribes)):
        listener = listener_in(annotation)
        called = "" if listener is None else f", which is called with {shown_signature(listener, {}, has_result=True)},"
        return f"{origin.__name__}[{_shown(args[0], depth - 1)}]{called}"
    if origin in (Union, types.UnionType):
        return _listed([_shown(arg, depth - 1) for arg in args] if depth else ["..."], " | ")
    if origin is typing.Literal:
        return f"Literal[{_listed([repr(arg) if is_simple(arg) else annotated_name(type(arg)) for arg in args])}]"
    if is_a(origin, type) and args:
        inner = [_shown(arg, depth - 1) for arg in args] if depth else ["..."]
        return f"{annotated_name(origin)}[{_listed(inner)}]"
    if type(annotation) in (list, tuple):  # the parameters of a callable or a channel
        return f"[{_listed([_shown(arg, depth - 1) for arg in annotation] if depth else ['...'])}]"
    if is_a(annotation, type):
        return annotated_name(annotation)
    if is_a(annotation, typing.TypeVar):
        return annotation.__name__
    return inspect.formatannotation(annotation)


def shown_signature(signature: inspect.Signature, hints: Mapping[str, object], *, has_result: bool = False) -> str:
    """
    Return the parameters of a signature as written in source, with the annotations *hints* and optionally the result.

    A default is shown if its repr runs no user code. Long text is cut short.
    """
    words: list[str] = []
    kind = inspect.Parameter
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    for index, parameter in enumerate(signature.parameters.values()):
        earlier = kinds[:index]
        if parameter.kind is kind.KEYWORD_ONLY and not {kind.KEYWORD_ONLY, kind.VAR_POSITIONAL}.intersection(earlier):
            words.append("*")
        stars = "*" if parameter.kind is kind.VAR_POSITIONAL else "**" if parameter.kind is kind.VAR_KEYWORD else ""
        is_annotated = parameter.annotation is not parameter.empty
        hint = hints.get(parameter.name, Any)
        text = parameter.annotation if is_a(parameter.annotation, str) else _shown(parameter.annotation, _MANY)
        word = f"{stars}{parameter.name}"
        if is_annotated:
            word += f": {text if hint is Any else _shown(hint, _MANY)}"
        if parameter.default is not parameter.empty:
            default = _cut(repr(parameter.default)) if is_simple(parameter.default) else "..."
            word += f" = {default}" if is_annotated else f"={default}"
        words.append(word)
        if parameter.kind is kind.POSITIONAL_ONLY and kinds[index + 1 : index + 2] != [kind.POSITIONAL_ONLY]:
            words.append("/")
    result = f" -> {_shown(signature.return_annotation, _MANY)}" if has_result else ""
    return f"({_listed(words, many=_PARAMETERS)}){result}"


def _listed(words: Sequence[str], between: str = ", ", many: int = _MANY) -> str:
    """Return the first *many* of *words* with *between* them."""
    return between.join([*words[:many], "..."] if len(words) > many else words)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 3]}..."
