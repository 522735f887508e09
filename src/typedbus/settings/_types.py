"""
The types that settings may have: how messages describe them, and how plain values are converted.

TOML values are typed, and must match: ``port = "80"`` is text, not a number.
Values from the environment and options are text, and are parsed as the type of the field.
typed-settings converts all types beyond the plain ones, such as durations and dates.
"""

from __future__ import annotations

import collections.abc
import datetime as dt
import enum
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any, Final, Union

import attrs
from cattrs.errors import StructureHandlerNotFoundError
from typed_settings import Secret
from typed_settings.converters import get_default_cattrs_converter

_CONVERTER: Final = get_default_cattrs_converter(resolve_paths=False)
_CONVERTER.register_structure_hook(
    dt.time, lambda value, _: value if isinstance(value, dt.time) else dt.time.fromisoformat(value)
)
_LONGEST: Final = 60
_LISTS: Final[Mapping[object, Callable[[list[object]], object]]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: tuple,
    collections.abc.Set: frozenset,
    collections.abc.Collection: tuple,
    collections.abc.Iterable: tuple,
}
_TABLES: Final[Mapping[object, Callable[[dict[object, object]], object]]] = {
    dict: dict,
    types.MappingProxyType: types.MappingProxyType,
    collections.abc.Mapping: types.MappingProxyType,
}
_PHRASES: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    PurePath: "a path",
    dt.datetime: "a date with a time (2024-05-31T09:30:00Z)",
    dt.date: "a date (2024-05-31)",
    dt.time: "a time (09:30:00)",
    dt.timedelta: "a duration (90, in seconds, or 1h30m)",
    re.Pattern: "a regular expression",
}


class Misfit(Exception):
    """Raised for a value that does not fit the type of its field; it has no details, since the value may be secret."""


def plain(hint: Any) -> Any:
    """Return *hint* without `NewType`, `Annotated` and type aliases."""
    while True:
        if isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif hasattr(hint, "__value__"):
            hint = hint.__value__  # a `type` statement
        else:
            return hint


def choices_of(hint: Any) -> list[object]:
    """Return the members of a union, or the type itself, without None, which TOML cannot express."""
    hint = plain(hint)
    if typing.get_origin(hint) in (Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not types.NoneType]
        return [choice for member in members for choice in choices_of(member)]
    return [hint]


def nested(hint: Any) -> type[attrs.AttrsInstance] | None:
    """Return the settings class if *hint* is such a class, optional or not; None for other types."""
    cls, *others = choices_of(hint) or [None]
    return cls if isinstance(cls, type) and attrs.has(cls) and not others else None


def is_optional(hint: Any) -> bool:
    """Whether None is accepted."""
    return types.NoneType in typing.get_args(plain(hint))


@attrs.frozen
class ListType:
    """
    The type of a list.

    Attributes:
        make: Its constructor, which takes a list.
        members: The types of its members, in order if it has a fixed length; otherwise the type of all of them.
        has_fixed_length: Whether it has as many members as types.
    """

    make: Callable[[list[object]], object]
    members: tuple[object, ...]
    has_fixed_length: bool

    def members_of(self, length: int) -> tuple[object, ...]:
        """Return the types of the members of a list of *length*; another number of them if that length is wrong."""
        return self.members if self.has_fixed_length else self.members * length


def list_of(hint: Any) -> ListType | None:
    """Return *hint* as a list type; None for other types."""
    origin = typing.get_origin(hint) or hint
    make = _LISTS.get(origin) if isinstance(origin, collections.abc.Hashable) else None
    if make is None:
        return None
    members = typing.get_args(hint)
    if origin is tuple and members and members[-1] is not Ellipsis:
        return ListType(make, members, has_fixed_length=True)
    return ListType(make, (members or (Any,))[:1], has_fixed_length=False)


@attrs.frozen
class TableType:
    """The type of a table with arbitrary keys: its constructor, which takes a dict, and the types of keys and values."""

    make: Callable[[dict[object, object]], object]
    key: object
    value: object


def table_of(hint: Any) -> TableType | None:
    """Return *hint* as the type of a table with arbitrary keys; None for other types."""
    origin = typing.get_origin(hint) or hint
    make = _TABLES.get(origin) if isinstance(origin, collections.abc.Hashable) else None
    if make is None:
        return None
    key, value = typing.get_args(hint) or (str, Any)
    return TableType(make, key, value)


def secret_of(hint: Any) -> tuple[type, object] | None:
    """Return the secret class of *hint*, and the type of the value in it; None for other types."""
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type) and issubclass(origin, Secret):
        return origin, (typing.get_args(hint) or (str,))[0]
    return None


def phrase(hint: Any) -> str:
    """Return the description of a value of that type, for messages."""
    choices = [choice for choice in choices_of(hint) if choice is not hint]
    if choices:
        return " or ".join(dict.fromkeys(map(phrase, choices)))
    members = _members_by_name(hint)
    if members is not None:
        return f"one of {', '.join(map(text_of, members))}"
    secret_type = secret_of(hint)
    if secret_type is not None:
        return phrase(secret_type[1])
    if list_of(hint) is not None:
        return "a list"
    if table_of(hint) is not None or nested(hint) is not None:
        return "a table"
    origin = typing.get_origin(hint) or hint
    phrases = (_PHRASES[base] for base in getattr(origin, "__mro__", ()) if base in _PHRASES)
    return next(phrases, f"a {inspect.formatannotation(hint)}")


def text_of(value: object) -> str:
    """Return a plain value as a deployer would write it, on one line; only the kind of a list or table."""
    match value:
        case bool():
            text = str(value).lower()
        case dict():
            return "a table"
        case list():
            return "a list"
        case str():
            text = repr(str(value))
        case dt.datetime() | dt.date() | dt.time():
            text = value.isoformat()
        case _:
            text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def scalar(hint: Any, value: Any, folder: Path, *, is_text: bool) -> object:
    """
    Return *value* converted to *hint*; a relative path is joined to *folder*.

    Args:
        hint: A type that is neither a list nor a table.
        value: A plain value of a TOML type.
        folder: The folder that relative paths are resolved against.
        is_text: The source has only text, whatever the wanted type, as the environment does.

    Raises:
        Misfit: The value does not fit.
        TypeError: The type is not supported for settings.
    """
    if hint is Any or hint is object:
        return value
    members = _members_by_name(hint)
    if members is not None:
        for name, member in members.items():
            if (type(name) is type(value) and name == value) or (is_text and str(name) == value):
                return member
        raise Misfit
    origin = typing.get_origin(hint) or hint
    kind = type(value)
    if not is_text and origin in (int, float, bool):
        if kind is origin or (origin is float and kind is int):
            return origin(value)
        raise Misfit
    if isinstance(origin, type) and issubclass(origin, PurePath):
        if kind is not str or not value:
            raise Misfit
        return origin(folder, str(value))
    if isinstance(origin, type) and issubclass(origin, str) and kind is not str:
        raise Misfit
    if isinstance(value, (list, dict)) or (kind in (bool, dt.datetime) and kind is not origin):
        raise (TypeError if phrase(hint) == f"a {inspect.formatannotation(hint)}" else Misfit)
    try:
        return _CONVERTER.structure(value, origin if origin is re.Pattern else hint)
    except StructureHandlerNotFoundError:
        raise TypeError from None
    except Exception:
        raise Misfit from None


def _members_by_name(hint: Any) -> dict[object, object] | None:
    """Return the members of a `Literal` or enum by the name to write; None for types without a fixed set of values."""
    if typing.get_origin(hint) is typing.Literal:
        return {value: value for value in typing.get_args(hint)}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        by_value = issubclass(hint, (enum.IntEnum, enum.StrEnum))
        return {member.value if by_value else name: member for name, member in hint.__members__.items()}
    return None
