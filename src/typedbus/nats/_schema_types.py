"""The types whose values can be sent: JSON represents them, and a decoder restores an equal value of the same type."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Iterator
from typing import Any, Final

import attrs
from msgspec import inspect

#: A place, such as ``order.lines[].price``, and why a value there cannot be sent.
Problem = tuple[str, str]

_LEAVES: Final = (
    inspect.NoneType,
    inspect.BoolType,
    inspect.IntType,
    inspect.FloatType,
    inspect.StrType,
    inspect.BytesType,
    inspect.ByteArrayType,
    inspect.DateTimeType,
    inspect.DateType,
    inspect.TimeType,
    inspect.TimeDeltaType,
    inspect.UUIDType,
    inspect.DecimalType,
    inspect.LiteralType,
)
#: JSON objects have strings as keys; of the others these are restored from their text.
_KEYS: Final = (
    inspect.StrType,
    inspect.IntType,
    inspect.DateTimeType,
    inspect.DateType,
    inspect.TimeType,
    inspect.UUIDType,
    inspect.DecimalType,
    inspect.EnumType,
    inspect.LiteralType,
)


def problems_of(annotation: Any, path: str) -> list[Problem]:
    """
    Return why values of the type *annotation* cannot be sent, each with its path below *path*; none if they can.

    Args:
        annotation: The annotation of a parameter, or of a result.
        path: The name of the parameter.
    """
    try:
        described = inspect.type_info(annotation)
    except Exception as error:
        return [_refused(annotation, path, error)]
    return list(_problems(described, path, set()))


def _problems(described: inspect.Type, path: str, seen: set[int]) -> Iterator[Problem]:
    if isinstance(described, _LEAVES) or id(described) in seen:
        return
    seen.add(id(described))
    match described:
        case inspect.Metadata(type=inner):
            yield from _problems(inner, path, seen)
        case inspect.AnyType():
            yield (
                path,
                "its type is Any, a type variable or a container without the type of its items; state the type, such as list[int]",
            )
        case (
            inspect.ListType(item_type=item)
            | inspect.SetType(item_type=item)
            | inspect.FrozenSetType(item_type=item)
            | inspect.VarTupleType(item_type=item)
        ):
            yield from _problems(item, f"{path}[]", seen)
        case inspect.TupleType(item_types=items):
            for index, item in enumerate(items):
                yield from _problems(item, f"{path}[{index}]", seen)
        case inspect.DictType(key_type=key, value_type=value):
            if isinstance(key, (inspect.AnyType, *_KEYS)):
                yield from _problems(key, f"{path}.keys()", seen)
            else:
                yield f"{path}.keys()", "the keys of a JSON object are text; use str, int, UUID or an enum as keys"
            yield from _problems(value, f"{path}[]", seen)
        case inspect.UnionType(types=members):
            for member in members:
                yield from _problems(member, path, seen)
        case inspect.EnumType(cls=cls):
            if issubclass(cls, enum.Flag):
                yield path, f"a combination of flags of {cls.__qualname__} has no member to restore; send an int"
        case inspect.DataclassType(cls=cls, fields=fields):
            yield from _class_problems(cls, path)
            for field in fields:
                yield from _problems(field.type, f"{path}.{field.name}", seen)
        case (
            inspect.StructType(fields=fields)
            | inspect.TypedDictType(fields=fields)
            | inspect.NamedTupleType(fields=fields)
        ):
            for field in fields:
                yield from _problems(field.type, f"{path}.{field.name}", seen)
        case inspect.CustomType(cls=cls):
            yield (
                path,
                f"values of {_name(cls)} have no form in JSON; send an attrs class, a dataclass, or a basic type",
            )
        case _:
            yield (
                path,
                f"{type(described).__name__.removesuffix('Type')} has no form in JSON that is restored; use another type",
            )


def _class_problems(cls: type, path: str) -> Iterator[Problem]:
    """Check what the decoder skips: it sets the attributes of an attrs class or a dataclass without its constructor."""
    own = "__attrs_attrs__" if attrs.has(cls) else "__dataclass_fields__"
    if own not in vars(cls):
        yield path, f"{cls.__qualname__} inherits its fields and is not decorated itself; decorate it"
    if attrs.has(cls):
        for attribute in attrs.fields(cls):
            yield from _field_problems(f"{path}.{attribute.name}", attribute.name, init=attribute.init)
            if attribute.converter is not None:
                yield (
                    f"{path}.{attribute.name}",
                    "its converter does not run in the receiver; remove it, or pass codec=CattrsCodec()",
                )
    elif dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            yield from _field_problems(f"{path}.{field.name}", field.name, init=field.init)


def _field_problems(path: str, name: str, *, init: bool) -> Iterator[Problem]:
    if name.startswith("_"):
        yield path, "a private field is not sent; rename it, or pass codec=CattrsCodec()"
    elif not init:
        yield path, "a field with init=False would be taken from the message; make it a property"


def _refused(annotation: Any, path: str, error: Exception) -> Problem:
    """Return the innermost part of a type that msgspec refuses."""
    for part, below in _parts(annotation, path):
        try:
            inspect.type_info(part)
        except Exception as reason:
            return _refused(part, below, reason)
    if isinstance(annotation, (str, typing.ForwardRef)) or isinstance(error, NameError):
        text = annotation if isinstance(annotation, str) else str(error)
        return (
            path,
            f"its annotation cannot be evaluated: {text}; import the name at run time, at the top of its module",
        )
    return path, f"{error}; use another type, or pass codec=CattrsCodec()"


def _parts(annotation: Any, path: str) -> Iterator[tuple[Any, str]]:
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return
    if origin is typing.Annotated:
        yield annotation.__origin__, path
        return
    arguments = typing.get_args(annotation)
    is_class = isinstance(origin, type) and (attrs.has(origin) or dataclasses.is_dataclass(origin))
    union = not isinstance(origin, type) or origin.__module__ == "types"
    for index, part in enumerate(() if is_class else arguments):
        if part is not Ellipsis and not isinstance(part, list):
            yield part, path if union else f"{path}[{index}]" if origin is tuple else f"{path}[]"
    cls = origin or annotation
    if isinstance(cls, type) and not hasattr(cls, "__supertype__"):
        try:
            hints = typing.get_type_hints(cls, include_extras=True)
        except Exception:
            return
        for name, hint in hints.items():
            if not (isinstance(hint, typing.TypeVar) or hint is typing.ClassVar):
                yield hint, f"{path}.{name}"


def _name(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
