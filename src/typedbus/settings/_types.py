"""
The types that settings may have: how messages describe them, and how plain values are converted.

TOML values are typed, and must match: ``port = "80"`` is text, not a number.
Values from the environment and options are text, and are parsed as the wanted type.
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
    """Raised for a value that does not fit the wanted type; it has no details, since the value may be secret."""


def plain(wanted: Any) -> Any:
    """Return *wanted* without `NewType`, `Annotated` and type aliases."""
    while True:
        if isinstance(wanted, typing.NewType):
            wanted = wanted.__supertype__
        elif typing.get_origin(wanted) is typing.Annotated:
            wanted = typing.get_args(wanted)[0]
        elif hasattr(wanted, "__value__"):
            wanted = wanted.__value__  # a `type` statement
        else:
            return wanted


def choices_of(wanted: Any) -> list[object]:
    """Return the members of a union, or the type itself, without None, which TOML cannot express."""
    wanted = plain(wanted)
    if typing.get_origin(wanted) in (Union, types.UnionType):
        return [choice for one in typing.get_args(wanted) if one is not types.NoneType for choice in choices_of(one)]
    return [wanted]


def nested(wanted: Any) -> type[attrs.AttrsInstance] | None:
    """Return the settings class if *wanted* is such a class, optional or not; None for other types."""
    (wanted, *others) = choices_of(wanted) or [None]
    return wanted if isinstance(wanted, type) and attrs.has(wanted) and not others else None


def is_optional(wanted: Any) -> bool:
    """Whether None is accepted."""
    return types.NoneType in typing.get_args(plain(wanted))


def list_of(wanted: Any) -> tuple[Callable[[list[object]], object], tuple[object, ...], bool] | None:
    """Return the constructor for a list type, its member types, and whether their number fixes its length."""
    origin = typing.get_origin(wanted) or wanted
    make, args = _LISTS.get(origin) if isinstance(origin, collections.abc.Hashable) else None, typing.get_args(wanted)
    if make is None:
        return None
    if origin is tuple and args and args[-1] is not Ellipsis:
        return make, args, True
    return make, (args or (Any,))[:1], False


def table_of(wanted: Any) -> tuple[Callable[[dict[object, object]], object], object, object] | None:
    """Return the constructor for a mapping type with arbitrary keys, and the types of its keys and values."""
    origin = typing.get_origin(wanted) or wanted
    make = _TABLES.get(origin) if isinstance(origin, collections.abc.Hashable) else None
    if make is None:
        return None
    of_key, of_value = typing.get_args(wanted) or (str, Any)
    return make, of_key, of_value


def secret_of(wanted: Any) -> tuple[type, object] | None:
    """Return the secret class of *wanted*, and the type of the value in it; None for other types."""
    origin = typing.get_origin(wanted) or wanted
    if isinstance(origin, type) and issubclass(origin, Secret):
        return origin, (typing.get_args(wanted) or (str,))[0]
    return None


def phrase(wanted: Any) -> str:
    """Return the description of a value of that type, for messages."""
    options = [one for one in choices_of(wanted) if one is not wanted]
    if options:
        return " or ".join(dict.fromkeys(map(phrase, options)))
    named = _named(wanted)
    if named is not None:
        return f"one of {', '.join(map(shown, named))}"
    secret = secret_of(wanted)
    if secret is not None:
        return phrase(secret[1])
    of_list = list_of(wanted)
    if of_list is not None:
        return "a list"
    if table_of(wanted) is not None or nested(wanted) is not None:
        return "a table"
    origin = typing.get_origin(wanted) or wanted
    known = (_PHRASES[base] for base in getattr(origin, "__mro__", ()) if base in _PHRASES)
    return next(known, f"a {inspect.formatannotation(wanted)}")


def shown(value: object) -> str:
    """Return a plain value as a deployer would write it, on one line; only the kind of a list or table."""
    match value:
        case bool():
            said = str(value).lower()
        case dict():
            return "a table"
        case list():
            return "a list"
        case str():
            said = repr(str(value))
        case dt.datetime() | dt.date() | dt.time():
            said = value.isoformat()
        case _:
            said = str(value)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."


def scalar(wanted: Any, value: Any, folder: Path, *, is_text: bool) -> object:
    """
    Return *value* converted to *wanted*; a relative path is joined to *folder*.

    Args:
        wanted: A type that is neither a list nor a table.
        value: A plain value of a TOML type.
        folder: The folder that relative paths are resolved against.
        is_text: The source has only text, whatever the wanted type, as the environment does.

    Raises:
        Misfit: The value does not fit.
        TypeError: The type is not supported for settings.
    """
    if wanted is Any or wanted is object:
        return value
    named = _named(wanted)
    if named is not None:
        for name, member in named.items():
            if (type(name) is type(value) and name == value) or (is_text and str(name) == value):
                return member
        raise Misfit
    origin = typing.get_origin(wanted) or wanted
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
        raise (TypeError if phrase(wanted) == f"a {inspect.formatannotation(wanted)}" else Misfit)
    try:
        return _CONVERTER.structure(value, origin if origin is re.Pattern else wanted)
    except StructureHandlerNotFoundError:
        raise TypeError from None
    except Exception:
        raise Misfit from None


def _named(wanted: Any) -> dict[object, object] | None:
    """Return the members of a `Literal` or enum by the name to write; None for types without a fixed set of values."""
    if typing.get_origin(wanted) is typing.Literal:
        return {one: one for one in typing.get_args(wanted)}
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        by_value = issubclass(wanted, (enum.IntEnum, enum.StrEnum))
        return {member.value if by_value else name: member for name, member in wanted.__members__.items()}
    return None
