"""The types that `CattrsCodec` opens, and their parts."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any, Final

import attrs

from typedbus.nats._schema_types import UNIONS

_COLLECTIONS: Final = (list, set, frozenset, tuple)


def class_of(annotation: Any) -> Any:
    """Return the attrs class or the dataclass of a type, or None."""
    cls = typing.get_origin(annotation) or annotation
    return cls if isinstance(cls, type) and (attrs.has(cls) or dataclasses.is_dataclass(cls)) else None


def item_of(annotation: Any) -> tuple[Any, ...]:
    """Return the type of the items of a collection, in a tuple; an empty one for any other type."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) not in _COLLECTIONS or (
        typing.get_origin(annotation) is tuple and arguments[1:] != (...,)
    ):
        return ()
    return arguments[:1]


def value_of(annotation: Any) -> tuple[Any, ...]:
    """Return the type of the values of a dict with text as keys, in a tuple; an empty one for any other type."""
    arguments = typing.get_args(annotation)
    return arguments[1:] if typing.get_origin(annotation) is dict and arguments[0] is str else ()


def classes_of(annotation: Any) -> dict[str, Any]:
    """Return the members of a union of classes of different names, by name; empty for any other type."""
    if typing.get_origin(annotation) not in UNIONS:
        return {}
    members = [member for member in typing.get_args(annotation) if member is not types.NoneType]
    classes = {class_of(member).__name__: member for member in members if class_of(member)}
    return classes if len(classes) == len(members) > 1 else {}


def other_than_none(annotation: Any) -> tuple[Any, ...]:
    """Return the other member of a union with None, in a tuple; an empty one for any other type."""
    members = typing.get_args(annotation) if typing.get_origin(annotation) in UNIONS else ()
    others = tuple(member for member in members if member is not types.NoneType)
    return others if len(others) == 1 else ()


def sent_fields(annotation: Any, cls: Any) -> Iterator[tuple[str, Any, bool]]:
    """Yield the name and the type of each field that is sent, and whether it has no default."""
    hints = typing.get_type_hints(cls, include_extras=True)
    arguments = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(annotation), strict=False))
    for field in attrs.fields(cls) if attrs.has(cls) else dataclasses.fields(cls):
        kind = hints.get(field.name, Any)
        parameters = tuple(arguments.get(parameter, parameter) for parameter in getattr(kind, "__parameters__", ()))
        if field.init:
            yield field.name, arguments.get(kind, kind[parameters] if parameters else kind), not _has_default(field)


def _has_default(field: Any) -> bool:
    if isinstance(field, dataclasses.Field):
        return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return bool(field.default is not attrs.NOTHING)


def type_text(annotation: Any) -> str:
    """Return a type as it is written."""
    return (
        annotation.__qualname__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)
    )
