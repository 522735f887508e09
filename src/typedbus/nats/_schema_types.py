"""The types whose values can be sent: JSON represents them, and a decoder restores an equal value of the same type."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, TypeVar

import attrs
import typing_extensions
from msgspec import inspect

from typedbus.nats._errors import SchemaFault

#: A place, such as ``order.lines[].price``, and why a value there cannot be sent.
Problem = tuple[str, str]

OPT_IN: Final = "pass codec=CattrsCodec()"

#: Set in the flags of classes that are written in Python. A decoder makes instances of others without their `__new__`,
#: and an exception without it ends the process when its text is read.
_HEAP_TYPE: Final = 1 << 9
#: The origins of unions.
UNIONS: Final = (typing.Union, types.UnionType)

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
#: The keys of a JSON object are text, from which a decoder restores a key of one of these types.
_KEYS: Final = (
    inspect.StrType,
    inspect.BytesType,
    inspect.IntType,
    inspect.DateTimeType,
    inspect.DateType,
    inspect.TimeType,
    inspect.UUIDType,
    inspect.DecimalType,
    inspect.TimeDeltaType,
    inspect.EnumType,
)


def sendable(channel: str, annotation: Any, path: str) -> inspect.Type:
    """
    Return the description of a type whose values can be sent.

    Args:
        channel: The name of the channel.
        annotation: The annotation of a parameter, or of a result.
        path: The name of the parameter.

    Raises:
        SchemaFault: A part of the type cannot be sent.
    """
    try:
        described = inspect.type_info(annotation)
    except Exception as error:
        place, problem = _refused(annotation, path, error) or (path, str(error))
        raise SchemaFault(channel, place, problem) from error
    for place, problem in _problems(described, path, set()):
        raise SchemaFault(channel, place, problem)
    return described


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
            if not _is_key(key):
                yield (
                    f"{path}.keys()",
                    "the keys of a JSON object are text; use one type as keys: str, int, UUID or an enum",
                )
            yield from _problems(key, f"{path}.keys()", seen)
            yield from _problems(value, f"{path}[]", seen)
        case inspect.UnionType(types=members):
            for member in members:
                yield from _problems(member, path, seen)
        case inspect.EnumType(cls=cls):
            if issubclass(cls, enum.Flag):
                yield path, f"a combination of flags of {cls.__qualname__} has no member to restore; send an int"
        case inspect.DataclassType(cls=cls, fields=fields):
            yield from _class_problems(typing.get_origin(cls) or cls, path)
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


def _is_key(described: inspect.Type) -> bool:
    """Return whether a decoder restores the keys of this type from their text. It takes the text itself for the key of a union."""
    if isinstance(described, inspect.Metadata):
        return _is_key(described.type)
    if isinstance(described, inspect.LiteralType):
        return len({type(value) for value in described.values}) == 1
    return isinstance(described, (inspect.AnyType, *_KEYS))


def has_generated_init(cls: Any) -> bool:
    """Return whether attrs or dataclasses generated the constructor of a class."""
    return not hasattr(cls, "__attrs_init__") if attrs.has(cls) else bool(cls.__dataclass_params__.init)


def _class_problems(cls: Any, path: str) -> Iterator[Problem]:
    """Check the parts that the decoder skips: it sets the attributes of an attrs class or a dataclass without calling `__init__`."""
    is_attrs = bool(attrs.has(cls))
    if ("__attrs_attrs__" if is_attrs else "__dataclass_fields__") not in vars(cls):
        yield path, f"{cls.__qualname__} inherits its fields and is not decorated itself; decorate it"
    foreign = [base.__name__ for base in cls.__mro__[:-1] if not base.__flags__ & _HEAP_TYPE]
    if foreign:
        yield path, f"{cls.__qualname__} inherits from {foreign[0]}, which is not restored; send a class that does not"
    if not has_generated_init(cls):
        yield path, f"the __init__ of {cls.__qualname__} does not run in the receiver; use the generated one"
    fields: tuple[Any, ...] = attrs.fields(cls) if is_attrs else dataclasses.fields(cls)
    for field in fields:
        place = f"{path}.{field.name}"
        if field.name.startswith("_"):
            yield place, f"a private field is not sent; rename it, or {OPT_IN}"
        if not field.init:
            yield place, "a field with init=False would be taken from the message; make it a property"
        if getattr(field, "converter", None) is not None:
            yield place, f"its converter does not run in the receiver; remove it, or {OPT_IN}"
    if is_attrs:
        yield from _hidden_attributes(cls, {field.name for field in fields}, path)


def _hidden_attributes(cls: type, fields: set[str], path: str) -> Iterator[Problem]:
    """Check the attributes of the instances of an attrs class that are no fields."""
    names = {name for base in cls.__mro__ for name in getattr(base, "__slots__", ()) if not name.startswith("_")}
    names |= {name for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, cached_property)}
    for name in sorted(names - fields):
        yield f"{path}.{name}", "a cached property is sent once it has been computed; make it a property"
    if "_attrs_cached_hash" in getattr(getattr(cls.__hash__, "__code__", None), "co_names", ()):
        yield path, f"the receiver cannot compute the hash of a {cls.__qualname__}; remove cache_hash=True"


def _refused(annotation: Any, path: str, error: Exception, within: tuple[Any, ...] = ()) -> Problem | None:
    """Return the innermost part of a type that msgspec refuses; None for a part of itself, which has other faults."""
    if annotation in within:
        return None
    is_recursive = False
    for part, below in _parts(annotation, path):
        try:
            inspect.type_info(part)
        except Exception as reason:
            problem = _refused(part, below, reason, (*within, annotation))
            if problem is not None:
                return problem
            is_recursive = True
    if is_recursive:
        return None
    if isinstance(annotation, str) or isinstance(error, NameError):
        text = annotation if isinstance(annotation, str) else str(error)
        return (
            path,
            f"its annotation cannot be evaluated: {text}; import the name at run time, in the module of the annotation",
        )
    if annotation is typing.Self or annotation is typing_extensions.Self:
        return path, "Self is not resolved; write the name of the class"
    if isinstance(annotation, dataclasses.InitVar):
        return path, "an InitVar is not sent; make it a field"
    if isinstance(error, NotImplementedError):
        return path, f"a default with takes_self=True is not computed in the receiver; remove it, or {OPT_IN}"
    is_union = typing.get_origin(annotation) in UNIONS
    return path, f"{error}; {f'send one of them, or {OPT_IN}' if is_union else 'use another type'}"


def _parts(annotation: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Yield the types of the items, the members or the fields of a type, with their paths."""
    origin = typing.get_origin(annotation)
    cls = origin or annotation
    try:
        hints = typing.get_type_hints(cls, include_extras=True) if isinstance(cls, type) else {}
    except Exception:
        return  # the error of the class names the annotation that cannot be evaluated
    if hints:
        yield from ((hint, f"{path}.{name}") for name, hint in hints.items() if not isinstance(hint, TypeVar))
    elif origin is typing.Annotated:
        yield annotation.__origin__, path
    elif origin in UNIONS:
        yield from ((member, path) for member in typing.get_args(annotation))
    elif origin is tuple:
        items = [item for item in typing.get_args(annotation) if item is not Ellipsis]
        yield from ((item, f"{path}[{index}]" if len(items) > 1 else f"{path}[]") for index, item in enumerate(items))
    elif origin in (list, set, frozenset, dict):
        yield from ((item, f"{path}[]") for item in typing.get_args(annotation))


def _name(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
